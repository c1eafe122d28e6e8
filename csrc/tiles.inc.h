/* Register tiles of the linear model, as kernels/gradient/tiles.py has them: scores of a few rows, gradient of a few
 * classes. Rows are given as a table of addresses. */

/* scores[c, r] += the sum over `count` features of X[r] W[c], for R rows x C classes. offset: bytes from the rows'
 * addresses; stride: numbers from class to class of w; ahead: what is wanted next, `step` bytes a feature. */
static ALWAYS_INLINE void NAME(score_tile)(const int64_t *table, int64_t offset, int64_t ahead, int64_t step, const T *w,
                                           int64_t stride, int64_t count, T *scores, const int R, const int C)
{
    const T *x[TILE_ROWS];
    NAME(vec) sums[REGISTERS_OF_VECTOR][TILE_SUMS], v[TILE_ROWS];
    T total[TILE_SUMS];
    int64_t full = count & -LANES;
    UNROLL for (int r = 0; r < R; r++) x[r] = AT(const T, table[r] + offset);
    for (int part = 0; part < REGISTERS_OF_VECTOR; part++) {
        NAME(vec) a[TILE_SUMS];
        int64_t f = part * REGISTER_LANES;
        UNROLL for (int j = 0; j < R * C; j++) a[j] = (NAME(vec)){0};
        for (; f < full; f += LANES) {
            if (part == 0) PREFETCH(ahead + f * step);
            UNROLL for (int r = 0; r < R; r++) v[r] = NAME(load)(x[r] + f);
            UNROLL for (int c = 0; c < C; c++) {
                NAME(vec) wc = NAME(load)(w + c * stride + f);
                UNROLL for (int r = 0; r < R; r++) a[c * R + r] = NAME(times_plus)(v[r], wc, a[c * R + r]);
            }
        }
        if (f < count) {
            int n = count - f < REGISTER_LANES ? (int)(count - f) : REGISTER_LANES;
            if (part == 0) PREFETCH(ahead + f * step);
            UNROLL for (int r = 0; r < R; r++) v[r] = NAME(load_part)(x[r] + f, n);
            UNROLL for (int c = 0; c < C; c++) {
                NAME(vec) wc = NAME(load_part)(w + c * stride + f, n);
                UNROLL for (int r = 0; r < R; r++) a[c * R + r] = NAME(times_plus)(v[r], wc, a[c * R + r]);
            }
        }
        UNROLL for (int j = 0; j < R * C; j++) sums[part][j] = a[j];
    }
    for (int half = REGISTERS_OF_VECTOR / 2; half; half /= 2)
        for (int part = 0; part < half; part++)
            for (int j = 0; j < R * C; j++) sums[part][j] += sums[part + half][j];
    UNROLL for (int j = R * C; j < (R * C + 3) / 4 * 4; j++) sums[0][j] = (NAME(vec)){0};
    UNROLL for (int j = 0; j < R * C; j += 4) NAME(sum4)(sums[0] + j, total + j);
    UNROLL for (int c = 0; c < C; c++)
        UNROLL for (int r = 0; r < R; r++) scores[c * ROWS + r] += total[c * R + r];
}

#define SCORES const int64_t *table, int64_t offset, int64_t ahead, int64_t step, const T *w, int64_t stride, \
        int64_t count, T *scores, int64_t classes
#define TILE(R, C) case C: NAME(score_tile)(table, offset, ahead, step, w, stride, count, scores, R, C); break;
static void NAME(score_tiles)(SCORES)
{
    switch (classes) {
        TILE(TILE_ROWS, 1) TILE(TILE_ROWS, 2) TILE(TILE_ROWS, 3) TILE(TILE_ROWS, 4)
#if TILE_CLASSES > 4
        TILE(TILE_ROWS, 5)
#endif
    }
}

static void NAME(score_row)(SCORES)
{
    switch (classes) {
        TILE(1, 1) TILE(1, 2) TILE(1, 3) TILE(1, 4) TILE(1, 5) TILE(1, 6) TILE(1, 7) TILE(1, 8)
#if TILE_CLASSES > 4
        TILE(1, 9) TILE(1, 10)
#endif
    }
}
#undef TILE
#undef SCORES

/* dW of C classes and V registers of features from f on, n of the last one (V is then 1), over the rows of a block.
 * fresh: dW is written without being looked at. Rows of `following` are fetched, `step` bytes a feature. */
static ALWAYS_INLINE void NAME(gradient_tile)(const int64_t *table, const int64_t *following, int64_t step, int64_t rows,
                                              const T *d, T *dw, int fresh, int64_t stride, int64_t f, int n, const int C,
                                              const int V, const int part)
{
    NAME(vec) a[STRIP_CLASSES][4], v[4];
    UNROLL for (int c = 0; c < C; c++)
        UNROLL for (int j = 0; j < V; j++) {
            T *at = dw + c * stride + f + j * REGISTER_LANES;
            a[c][j] = (NAME(vec)){0};
            if (!fresh) a[c][j] = part ? NAME(load_part)(at, n) : NAME(load)(at);
        }
    for (int64_t r = 0; r < rows; r++) {
        const T *x = AT(const T, table[r]) + f;
        UNROLL for (int j = 0; j < V; j++) {
            v[j] = part ? NAME(load_part)(x, n) : NAME(load)(x + j * REGISTER_LANES);
            PREFETCH(following[r] + (f + j * REGISTER_LANES) * step);
        }
        UNROLL for (int c = 0; c < C; c++) {
            NAME(vec) slope = d[c * ROWS + r] - (NAME(vec)){0};
            UNROLL for (int j = 0; j < V; j++) a[c][j] = NAME(times_plus)(v[j], slope, a[c][j]);
        }
    }
    UNROLL for (int c = 0; c < C; c++)
        UNROLL for (int j = 0; j < V; j++) {
            T *at = dw + c * stride + f + j * REGISTER_LANES;
            if (part) NAME(store_part)(at, a[c][j], n);
            else NAME(store)(at, a[c][j]);
        }
}

#define STRIP const int64_t *table, const int64_t *following, int64_t step, int64_t rows, const T *d, T *dw, int fresh, \
        int64_t stride, int64_t f, int64_t end
static ALWAYS_INLINE void NAME(gradient_strip)(STRIP, const int C, const int V)
{
    for (; f + V * REGISTER_LANES <= end; f += V * REGISTER_LANES)
        NAME(gradient_tile)(table, following, step, rows, d, dw, fresh, stride, f, 0, C, V, 0);
    for (; f + REGISTER_LANES <= end; f += REGISTER_LANES)
        NAME(gradient_tile)(table, following, step, rows, d, dw, fresh, stride, f, 0, C, 1, 0);
    if (f < end) NAME(gradient_tile)(table, following, step, rows, d, dw, fresh, stride, f, (int)(end - f), C, 1, 1);
}

/* dW[c] += the sum over rows of d[c, r] X[r] for features [f, end); classes up to STRIP_CLASSES. */
static void NAME(gradient_strips)(STRIP, int64_t classes)
{
#define OF(C, V) case C: NAME(gradient_strip)(table, following, step, rows, d, dw, fresh, stride, f, end, C, V); break;
    switch (classes) {
#if STRIP_CLASSES > 5
        OF(1, 4) OF(2, 4) OF(3, 4) OF(4, 4) OF(5, 4) OF(6, 4) OF(7, 3) OF(8, 3) OF(9, 2) OF(10, 2)
#else
        OF(1, 4) OF(2, 4) OF(3, 3) OF(4, 2) OF(5, 2)
#endif
    }
#undef OF
}
#undef STRIP
