/* CSR rows. An entry meets one column of W in every class: with enough entries W and dW are turned to
 * (features, classes), so that a column is one or two cache lines; a few rows use them as they stand. */

typedef struct {
    const T *w;
    T *dw;
    T *turned;            /* W, then dW, feature-major; NULL where used in place */
    int64_t by_class, by_feature;
} NAME(sparse);

static inline int64_t NAME(entry)(const fo_data *data, const void *table, int64_t i)
{
    return data->storage == FO_CSR32 ? ((const int32_t *)table)[i] : ((const int64_t *)table)[i];
}

static int NAME(sparse_open)(NAME(sparse) *table, const fo_data *data, const T *W, T *dW, int64_t begin,
                             int64_t end)
{
    int64_t features = data->features, classes = data->classes, entries = 0;
    for (int64_t i = begin; i < end && entries < 4 * features; i++) {
        int64_t row = NAME(row)(data, i);
        entries += NAME(entry)(data, data->indptr, row + 1) - NAME(entry)(data, data->indptr, row);
    }
    *table = (NAME(sparse)){W, dW, 0, features, 1};
    if (entries < 4 * features || classes == 1) return FO_OK;
    T *turned = malloc(sizeof(T) * (size_t)(2 * features * classes));
    if (!turned) return FO_NO_MEMORY;
    T *sums = turned + features * classes;
    for (int64_t f = 0; f < features; f++)
        for (int64_t c = 0; c < classes; c++) turned[f * classes + c] = W[c * features + f];
    memset(sums, 0, sizeof(T) * (size_t)(features * classes));
    *table = (NAME(sparse)){turned, sums, turned, 1, classes};
    return FO_OK;
}

static void NAME(sparse_close)(NAME(sparse) *table, const fo_data *data, T *dW)
{
    if (!table->turned) return;
    for (int64_t f = 0; f < data->features; f++)
        for (int64_t c = 0; c < data->classes; c++)
            dW[c * data->features + f] += table->dw[f * data->classes + c];
    free(table->turned);
}

/* Fetch the entries of the row at a position, if it is before `stop`. */
static ALWAYS_INLINE void NAME(fetch_row)(const fo_data *data, int64_t position, int64_t stop, const int soon)
{
    if (position >= stop) return;
    int64_t row = NAME(row)(data, position), size = data->storage == FO_CSR32 ? 4 : 8;
    int64_t i = NAME(entry)(data, data->indptr, row), n = NAME(entry)(data, data->indptr, row + 1) - i;
    const char *x = (const char *)((const T *)data->x + i), *f = (const char *)data->indices + i * size;
    for (int64_t j = 0; j < n * (int64_t)sizeof(T); j += 64) soon ? PREFETCH(x + j) : PREFETCH_LATER(x + j);
    for (int64_t j = 0; j < n * size; j += 64) soon ? PREFETCH(f + j) : PREFETCH_LATER(f + j);
}
#define NEAR 3  /* rows ahead for the first level, and for the second */
#define FAR 64

/* C classes of one row; `i` begins its entries. A chain of sums waits four cycles for each: few classes have
 * several. */
static ALWAYS_INLINE void NAME(entries_scores)(const NAME(sparse) *table, const void *indices, int wide,
                                               const T *x, int64_t i, int64_t stop, const T *w,
                                               int64_t by_class, T *s, const int C)
{
    const int chains = C <= 4 ? 4 : 1;
    T a[4][SPARSE_MAX] = {{0}};
    for (; i + chains <= stop; i += chains)
        UNROLL for (int u = 0; u < chains; u++) {
            int64_t f = wide ? ((const int64_t *)indices)[i + u] : ((const int32_t *)indices)[i + u];
            const T *column = w + f * table->by_feature;
            UNROLL for (int c = 0; c < C; c++) a[u][c] += x[i + u] * column[c * by_class];
        }
    for (; i < stop; i++) {
        int64_t f = wide ? ((const int64_t *)indices)[i] : ((const int32_t *)indices)[i];
        const T *column = w + f * table->by_feature;
        UNROLL for (int c = 0; c < C; c++) a[0][c] += x[i] * column[c * by_class];
    }
    UNROLL for (int u = 1; u < chains; u++)
        UNROLL for (int c = 0; c < C; c++) a[0][c] += a[u][c];
    UNROLL for (int c = 0; c < C; c++) s[c * ROWS] = a[0][c];
}

static ALWAYS_INLINE void NAME(entries_gradient)(const NAME(sparse) *table, const void *indices, int wide,
                                                 const T *x, int64_t i, int64_t stop, T *dw,
                                                 int64_t by_class, const T *ds, const int C)
{
    T a[SPARSE_MAX];
    UNROLL for (int c = 0; c < C; c++) a[c] = ds[c * ROWS];
    for (; i < stop; i++) {
        int64_t f = wide ? ((const int64_t *)indices)[i] : ((const int32_t *)indices)[i];
        T *column = dw + f * table->by_feature, value = x[i];
        UNROLL for (int c = 0; c < C; c++) column[c * by_class] += value * a[c];
    }
}

/* Constant strides and class counts let the compiler turn the inner loop into vectors. */
#define EACH_COUNT(F, n, ...)                 \
    switch (n) {                              \
    case 1: F(__VA_ARGS__, 1); break;         \
    case 2: F(__VA_ARGS__, 2); break;         \
    case 3: F(__VA_ARGS__, 3); break;         \
    case 4: F(__VA_ARGS__, 4); break;         \
    case 5: F(__VA_ARGS__, 5); break;         \
    case 6: F(__VA_ARGS__, 6); break;         \
    case 7: F(__VA_ARGS__, 7); break;         \
    case 8: F(__VA_ARGS__, 8); break;         \
    case 9: F(__VA_ARGS__, 9); break;         \
    default: F(__VA_ARGS__, 10);              \
    }

static void NAME(sparse_scores)(const NAME(sparse) *table, const fo_data *data, const T *b, int64_t first,
                                int rows, int64_t end, T *s)
{
    int wide = data->storage == FO_CSR64;
    for (int64_t j = 0; j < data->classes * ROWS; j++) s[j] = 0;
    for (int r = 0; r < rows; r++) {
        int64_t row = NAME(row)(data, first + r);
        int64_t i = NAME(entry)(data, data->indptr, row), stop = NAME(entry)(data, data->indptr, row + 1);
        NAME(fetch_row)(data, first + r + NEAR, end, 1);
        NAME(fetch_row)(data, first + r + FAR, end, 0);
        for (int64_t c = 0; c < data->classes; c += SPARSE_MAX) {
            int n = data->classes - c < SPARSE_MAX ? (int)(data->classes - c) : SPARSE_MAX;
            const T *w = table->w + c * table->by_class;
            T *out = s + c * ROWS + r;
            if (table->turned) {
                EACH_COUNT(NAME(entries_scores), n, table, data->indices, wide, data->x, i, stop, w, 1, out)
            } else {
                EACH_COUNT(NAME(entries_scores), n, table, data->indices, wide, data->x, i, stop, w,
                           data->features, out)
            }
        }
    }
    for (int64_t c = 0; b && c < data->classes; c++)
        for (int r = 0; r < ROWS; r++) s[c * ROWS + r] += b[c];
}

static void NAME(sparse_gradient)(const NAME(sparse) *table, const fo_data *data, int64_t first, int rows,
                                  const T *ds)
{
    int wide = data->storage == FO_CSR64;
    for (int r = 0; r < rows; r++) {
        int64_t row = NAME(row)(data, first + r);
        int64_t i = NAME(entry)(data, data->indptr, row), stop = NAME(entry)(data, data->indptr, row + 1);
        for (int64_t c = 0; c < data->classes; c += SPARSE_MAX) {
            int n = data->classes - c < SPARSE_MAX ? (int)(data->classes - c) : SPARSE_MAX;
            T *w = table->dw + c * table->by_class;
            const T *d = ds + c * ROWS + r;
            if (table->turned) {
                EACH_COUNT(NAME(entries_gradient), n, table, data->indices, wide, data->x, i, stop, w, 1, d)
            } else {
                EACH_COUNT(NAME(entries_gradient), n, table, data->indices, wide, data->x, i, stop, w,
                           data->features, d)
            }
        }
    }
}
#undef NEAR
#undef FAR
