/* Dense scores and gradients of a block of rows, in register tiles of fixed shape. */

typedef struct {
    const T *x[ROWS];   /* a row each; unused ones repeat the first */
    const T *ahead[R_MAX];  /* the next block's first, to be fetched meanwhile */
    INT y[ROWS];
    T weight[ROWS];     /* 0 where unused */
    T targets[ROWS];
    int rows, fetch;    /* fetch: whether ahead is filled */
} NAME(block);

/* X W^T over features [first, last) as R x C sums of LANES lanes each; sums of earlier features are
 * taken up where first > 0. */
static ALWAYS_INLINE void NAME(score_tile)(const T *const *x, const T *const *ahead, const T *w, int64_t stride,
                                           int64_t first, int64_t last, NAME(vec) *sums, const int R,
                                           const int C)
{
    NAME(vec) a[R_MAX][C_MAX], v[R_MAX];
    int64_t f = first;
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int c = 0; c < C; c++) a[r][c] = first ? sums[c * ROWS + r] : (NAME(vec)){0};
    for (; f + LANES <= last; f += LANES) {
        UNROLL for (int r = 0; r < R; r++) v[r] = NAME(load)(x[r] + f);
        if (ahead) {
            UNROLL for (int r = 0; r < R; r++) PREFETCH(ahead[r] + f);
        }
        UNROLL for (int c = 0; c < C; c++) {
            NAME(vec) wc = NAME(load)(w + c * stride + f);
            UNROLL for (int r = 0; r < R; r++) a[r][c] += v[r] * wc;
        }
    }
    if (f < last) {
        int n = (int)(last - f);
        UNROLL for (int r = 0; r < R; r++) v[r] = NAME(load_part)(x[r] + f, n);
        UNROLL for (int c = 0; c < C; c++) {
            NAME(vec) wc = NAME(load_part)(w + c * stride + f, n);
            UNROLL for (int r = 0; r < R; r++) a[r][c] += v[r] * wc;
        }
    }
    UNROLL for (int r = 0; r < R; r++)
        UNROLL for (int c = 0; c < C; c++) sums[c * ROWS + r] = a[r][c];
}

#define TILES(name, R)                                                                               \
    static void NAME(name)(const T *const *x, const T *const *ahead, const T *w, int64_t stride,     \
                           int64_t first, int64_t last, NAME(vec) *sums, int classes)                \
    {                                                                                                \
        switch (classes) {                                                                           \
        case 1: NAME(score_tile)(x, ahead, w, stride, first, last, sums, R, 1); break;               \
        case 2: NAME(score_tile)(x, ahead, w, stride, first, last, sums, R, 2); break;               \
        case 3: NAME(score_tile)(x, ahead, w, stride, first, last, sums, R, 3); break;               \
        case 4: NAME(score_tile)(x, ahead, w, stride, first, last, sums, R, 4); break;               \
        default: NAME(score_tile)(x, ahead, w, stride, first, last, sums, R, 5);                     \
        }                                                                                            \
    }
TILES(score_tiles, R_MAX)
TILES(score_row, 1)
#undef TILES

/* Scores of up to CLASSES classes: panels of W that stay in the first-level cache, all rows over each. */
static void NAME(score_classes)(const NAME(block) *block, const T *w, int64_t features, int classes,
                                const T *const *ahead, T *s)
{
    NAME(vec) sums[CLASSES * ROWS];
    int rows = block->rows, whole = rows / R_MAX * R_MAX;
    int split = classes > C_MAX ? (classes + 1) / 2 : classes, rest = classes - split;
    const T *w_rest = w + split * features;
    for (int64_t first = 0; first == 0 || first < features; first += PANEL) {
        int64_t last = first + PANEL < features ? first + PANEL : features;
        for (int r = 0; r < whole; r += R_MAX) {
            const T *const *next = !ahead ? 0 : r + R_MAX < whole ? block->x + r + R_MAX : ahead;
            NAME(score_tiles)(block->x + r, next, w, features, first, last, sums + r, split);
            if (rest)
                NAME(score_tiles)(block->x + r, 0, w_rest, features, first, last, sums + split * ROWS + r, rest);
        }
        for (int r = whole; r < rows; r++) {
            NAME(score_row)(block->x + r, 0, w, features, first, last, sums + r, split);
            if (rest)
                NAME(score_row)(block->x + r, 0, w_rest, features, first, last, sums + split * ROWS + r, rest);
        }
    }
    for (int c = 0; c < classes; c++) {
        NAME(vec) *v = sums + c * ROWS;
        for (int r = rows; r < ROWS; r++) {
            if (r % 4) v[r] = (NAME(vec)){0};
            s[c * ROWS + r] = 0;
        }
        for (int r = 0; r < rows; r += 4) NAME(sum4)(v + r, s + c * ROWS + r);
    }
}

static void NAME(dense_scores)(const NAME(block) *block, const T *W, const T *b, int64_t features,
                               int64_t classes, T *s)
{
    for (int64_t c = 0; c < classes; c += CLASSES) {
        int n = classes - c < CLASSES ? (int)(classes - c) : CLASSES;
        NAME(score_classes)(block, W + c * features, features, n, c == 0 && block->fetch ? block->ahead : 0, s + c * ROWS);
    }
    for (int64_t c = 0; b && c < classes; c++)
        for (int r = 0; r < ROWS; r++) s[c * ROWS + r] += b[c];
}

/* dW of C classes and V vectors of features from f on, kept in registers over the rows. */
static ALWAYS_INLINE void NAME(gradient_tile)(const NAME(block) *block, const T *ds, T *dw, int64_t stride,
                                              int64_t f, const int C, const int V)
{
    NAME(vec) a[CLASSES][4], v[4];
    UNROLL for (int c = 0; c < C; c++)
        UNROLL for (int j = 0; j < V; j++) a[c][j] = NAME(load)(dw + c * stride + f + j * LANES);
    for (int r = 0; r < block->rows; r++) {
        UNROLL for (int j = 0; j < V; j++) v[j] = NAME(load)(block->x[r] + f + j * LANES);
        UNROLL for (int c = 0; c < C; c++)
            UNROLL for (int j = 0; j < V; j++) a[c][j] += v[j] * ds[c * ROWS + r];
    }
    UNROLL for (int c = 0; c < C; c++)
        UNROLL for (int j = 0; j < V; j++) NAME(store)(dw + c * stride + f + j * LANES, a[c][j]);
}

static ALWAYS_INLINE void NAME(gradient_part)(const NAME(block) *block, const T *ds, T *dw, int64_t stride,
                                              int64_t f, int n, const int C)
{
    NAME(vec) a[CLASSES];
    UNROLL for (int c = 0; c < C; c++) a[c] = NAME(load_part)(dw + c * stride + f, n);
    for (int r = 0; r < block->rows; r++) {
        NAME(vec) v = NAME(load_part)(block->x[r] + f, n);
        UNROLL for (int c = 0; c < C; c++) a[c] += v * ds[c * ROWS + r];
    }
    UNROLL for (int c = 0; c < C; c++) NAME(store_part)(dw + c * stride + f, a[c], n);
}

static ALWAYS_INLINE void NAME(gradient_strip)(const NAME(block) *block, const T *ds, T *dw,
                                               int64_t features, const int C, const int V)
{
    int64_t f = 0;
    for (; f + V * LANES <= features; f += V * LANES)
        NAME(gradient_tile)(block, ds, dw, features, f, C, V);
    for (; V > 1 && f + LANES <= features; f += LANES)
        NAME(gradient_tile)(block, ds, dw, features, f, C, 1);
    if (f < features) NAME(gradient_part)(block, ds, dw, features, f, (int)(features - f), C);
}

static void NAME(dense_gradient)(const NAME(block) *block, const T *ds, T *dW, int64_t features,
                                 int64_t classes)
{
    int64_t tiles = (classes + G_MAX - 1) / G_MAX, c = 0;
    for (int64_t t = 0; t < tiles; t++) {
        int n = (int)((classes - c + tiles - t - 1) / (tiles - t));
        const T *d = ds + c * ROWS;
        T *w = dW + c * features;
        switch (n) {
        case 1: NAME(gradient_strip)(block, d, w, features, 1, 4); break;
        case 2: NAME(gradient_strip)(block, d, w, features, 2, 4); break;
        case 3: NAME(gradient_strip)(block, d, w, features, 3, G_WIDE); break;
        case 4: NAME(gradient_strip)(block, d, w, features, 4, G_WIDE); break;
        case 5: NAME(gradient_strip)(block, d, w, features, 5, G_WIDE); break;
#if G_MAX > 5
        case 6: NAME(gradient_strip)(block, d, w, features, 6, 2); break;
        case 7: NAME(gradient_strip)(block, d, w, features, 7, 2); break;
        case 8: NAME(gradient_strip)(block, d, w, features, 8, 2); break;
        case 9: NAME(gradient_strip)(block, d, w, features, 9, 2); break;
        case 10: NAME(gradient_strip)(block, d, w, features, 10, 2); break;
#endif
        }
        c += n;
    }
}
