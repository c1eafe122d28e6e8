/* Blocks of CSR rows, as kernels/gradient/sparse.py and sparse_tiles.py: W and its gradient are held as (features,
 * width), the weights of a feature side by side. Spans: the first entry of a row and its end, two int64 a row. */

/* Numbers from one row's scores, side by side, to the next's: whole vectors. */
static inline int64_t NAME(row_numbers)(const fo_problem *p) { return (p->width + LANES - 1) / LANES * LANES; }

static inline int64_t NAME(number_at)(const fo_problem *p, int64_t table, int64_t i)
{
    return p->x_kind == 64 ? AT(const int64_t, table)[i] : (int64_t)AT(const int32_t, table)[i];
}

/* Spans of positions [begin, end); none for those from `stop` on. */
static void NAME(fill_spans)(const fo_problem *p, int64_t *spans, int64_t begin, int64_t end, int64_t stop)
{
    for (int64_t i = begin; i < end; i++, spans += 2) {
        int64_t row = i < stop ? NAME(row_at)(p, i) : -1;
        spans[0] = row < 0 ? 0 : NAME(number_at)(p, p->indptr, row);
        spans[1] = row < 0 ? 0 : NAME(number_at)(p, p->indptr, row + 1);
    }
}

/* `count` spans of rows from `begin` on, in a place of the ring; what comes after `end` is `coming`. */
static void NAME(fill_block)(const fo_problem *p, int64_t *place, int64_t *ring, int64_t count, int64_t begin, int64_t end,
                             int64_t coming, int64_t stop)
{
    int64_t own = end - begin < 0 ? 0 : end - begin < count ? end - begin : count;
    NAME(fill_spans)(p, place, begin, begin + own, end);
    begin = coming + begin - end > coming ? coming + begin - end : coming;
    NAME(fill_spans)(p, place + 2 * own, begin, begin + count - own, stop);
    if (place == ring) memcpy(ring + 2 * 3 * ROWS, place, 2 * NEAR * 8);
}

/* The first line of a span's bytes, the last and those between; size: of an entry. */
static ALWAYS_INLINE void NAME(fetch_span)(int64_t address, const int64_t *span, int64_t size, const int soon)
{
    int64_t begin = address + span[0] * size, bytes = (span[1] - span[0]) * size;
    soon ? PREFETCH(begin) : PREFETCH_LATER(begin);
    soon ? PREFETCH(begin + bytes - 1) : PREFETCH_LATER(begin + bytes - 1);
    for (int64_t i = 64; i < bytes - 32; i += 64) soon ? PREFETCH(begin + i) : PREFETCH_LATER(begin + i);
}

#define ENTRY(i) ((int64_t)(wide ? AT(const int64_t, p->indices)[i] : AT(const int32_t, p->indices)[i]) * stride)

/* out[r * step + c] for N of the columns of W: four chains of sums over a row's entries. */
static ALWAYS_INLINE void NAME(dots)(const fo_problem *p, const int64_t *spans, const int64_t *near, const int64_t *far,
                                     int64_t rows, const T *w, T *out, int64_t step, const int wide, const int N)
{
    const int64_t stride = N < LANES ? N : p->width;
    const T *values = AT(const T, p->X);
    for (int64_t r = 0; r < rows; r++) {
        int64_t i = spans[2 * r], end = spans[2 * r + 1], middle = i + ((end - i) & -4);
        T a[4][LANES];
        for (int k = 0; k < 4; k++)
            for (int c = 0; c < N; c++) a[k][c] = 0;
        for (; i < middle; i += 4)
            UNROLL for (int k = 0; k < 4; k++) {
                const T *own = w + ENTRY(i + k), x = values[i + k];
                UNROLL for (int c = 0; c < N; c++) a[k][c] = FMA(own[c], x, a[k][c]);
            }
        UNROLL for (int k = 0; k < 3; k++)
            if (i + k < end) {
                const T *own = w + ENTRY(i + k), x = values[i + k];
                UNROLL for (int c = 0; c < N; c++) a[k][c] = FMA(own[c], x, a[k][c]);
            }
        UNROLL for (int c = 0; c < N; c++) out[r * step + c] = (a[0][c] + a[1][c]) + (a[2][c] + a[3][c]);
        NAME(fetch_span)(p->X, far + 2 * r, sizeof(T), 0);
        NAME(fetch_span)(p->indices, far + 2 * r, p->x_kind / 8, 0);
        NAME(fetch_span)(p->X, near + 2 * r, sizeof(T), 1);
        NAME(fetch_span)(p->indices, near + 2 * r, p->x_kind / 8, 1);
    }
}

/* target[feature, c] += value * slopes[r * step + c] for N of the columns; rows whose slopes are all 0 are passed over.
 * Returns how much the sum of the target's squares grew, in four chains, or 0 without squares. */
static ALWAYS_INLINE T NAME(adds)(const fo_problem *p, const int64_t *spans, int64_t rows, T *RESTRICT target,
                                  const T *RESTRICT slopes, int64_t step, const int squares, const int wide, const int N)
{
    const int64_t stride = N < LANES ? N : p->width;
    const T *RESTRICT values = AT(const T, p->X);
    T grown[4][LANES], sum = 0;
    for (int k = 0; squares && k < 4; k++)
        for (int c = 0; c < N; c++) grown[k][c] = 0;
#define ADD_ENTRY(i, chain)                                                                                  \
    {                                                                                                        \
        T *own = target + ENTRY(i), before[LANES], after[LANES];                                             \
        const T x = values[i];                                                                               \
        LANEWISE for (int c = 0; c < N; c++) before[c] = own[c];                                                      \
        LANEWISE for (int c = 0; c < N; c++) after[c] = FMA(slope[c], x, before[c]);                                  \
        LANEWISE for (int c = 0; c < N; c++) own[c] = after[c];                                                       \
        LANEWISE for (int c = 0; squares && c < N; c++)                                                               \
            grown[chain][c] = FMA(slope[c] * x, before[c] + after[c], grown[chain][c]);                      \
    }
    for (int64_t r = 0; r < rows; r++) {
        int64_t i = spans[2 * r], end = spans[2 * r + 1], middle = i + ((end - i) & -4);
        T slope[LANES];
        int any = 0;
        LANEWISE for (int c = 0; c < N; c++) slope[c] = slopes[r * step + c];
        LANEWISE for (int c = 0; c < N; c++) any |= slope[c] != 0;
        if (!any) continue;
        for (; i < middle; i += 4) {
            ADD_ENTRY(i, 0)
            ADD_ENTRY(i + 1, 1)
            ADD_ENTRY(i + 2, 2)
            ADD_ENTRY(i + 3, 3)
        }
        for (; i < end; i++) ADD_ENTRY(i, 0)
    }
#undef ADD_ENTRY
    for (int k = 0; squares && k < 4; k++)
        for (int c = 0; c < N; c++) sum += grown[k][c];
    return sum;
}
#undef ENTRY

/* The calls with constant numbers: N columns, indices of 32 or 64 bits. */
#define EACH_WIDTH(F, ...)                                                                   \
    switch ((p->width < LANES ? p->width : LANES) + (p->x_kind == 64 ? 100 : 0)) {           \
    case 1: F(__VA_ARGS__, 0, 1); break;                                                     \
    case 2: F(__VA_ARGS__, 0, 2); break;                                                     \
    case 4: F(__VA_ARGS__, 0, 4); break;                                                     \
    case 8: F(__VA_ARGS__, 0, 8); break;                                                     \
    case 16: F(__VA_ARGS__, 0, LANES); break;                                                \
    case 101: F(__VA_ARGS__, 1, 1); break;                                                   \
    case 102: F(__VA_ARGS__, 1, 2); break;                                                   \
    case 104: F(__VA_ARGS__, 1, 4); break;                                                   \
    case 108: F(__VA_ARGS__, 1, 8); break;                                                   \
    default: F(__VA_ARGS__, 1, LANES);                                                       \
    }

/* out[r, c] = W[c] X[r], `step` numbers a row; near, far: spans of as many rows that are wanted soon, and later. */
static void NAME(block_dots)(const fo_problem *p, const int64_t *spans, const int64_t *near, const int64_t *far, int64_t rows,
                             int64_t step, T *out)
{
    for (int64_t c = 0; c < p->width; c += LANES) {
        const T *w = AT(const T, p->W) + c;
        EACH_WIDTH(NAME(dots), p, spans, near, far, rows, w, out + c, step)
        near = far = spans;
    }
}

static double NAME(block_adds)(const fo_problem *p, int squares, const int64_t *spans, int64_t rows, const T *slopes,
                               int64_t step, T *target)
{
    double grown = 0;
    for (int64_t c = 0; c < p->width; c += LANES) {
        if (squares) {
            EACH_WIDTH(grown += (double)NAME(adds), p, spans, rows, target + c, slopes + c, step, 1)
        } else {
            EACH_WIDTH(NAME(adds), p, spans, rows, target + c, slopes + c, step, 0)
        }
    }
    return grown;
}
#undef EACH_WIDTH

/* scores[c, r] = scale * by_row[r, c] + b[c]; b: NULL for none. */
static void NAME(spread_scores)(const fo_problem *p, int64_t rows, int64_t step, const T *by_row, const T *b, double scale,
                                T *scores)
{
    const T factor = (T)scale;
    for (int64_t c = 0; c < p->classes; c++) {
        T start = b ? b[c] : (T)0;
        for (int64_t r = 0; r < rows; r++) scores[c * ROWS + r] = start + factor * by_row[r * step + c];
        for (int64_t r = rows; r < ROWS; r++) scores[c * ROWS + r] = start;
    }
}

/* by_row[r, c] = dscores[c, r], and 0 beyond the classes. */
static void NAME(gather_slopes)(const fo_problem *p, int64_t rows, int64_t step, const T *dscores, T *by_row)
{
    memset(by_row, 0, sizeof(T) * (size_t)(rows * step));
    for (int64_t c = 0; c < p->classes; c++)
        for (int64_t r = 0; r < rows; r++) by_row[r * step + c] = dscores[c * ROWS + r];
}

/* Whether all columns of rows [begin, end), which lie in order, are there; where not, the problem is marked as bad. */
static int NAME(indices_fit)(fo_problem *p, int64_t begin, int64_t end)
{
    int64_t last = NAME(number_at)(p, p->indptr, NAME(row_at)(p, end - 1) + 1);
    uint64_t most = 0;
    for (int64_t i = NAME(number_at)(p, p->indptr, NAME(row_at)(p, begin)); i < last; i++) {
        uint64_t f = (uint64_t)NAME(number_at)(p, p->indices, i);
        most = f > most ? f : most;
    }
    if (most == 0 || most < (uint64_t)p->features) return 1;
    p->bad = 1;
    return 0;
}

/* add_dense_rows for CSR. */
static double NAME(add_sparse_rows)(fo_problem *p, int64_t begin, int64_t end, int64_t coming, int64_t stop, int64_t dw,
                                    int fresh, T *db, int64_t scratch)
{
    NAME(memory) m = NAME(block_memory)(p, scratch);
    int64_t *ring = m.table, *own = ring, *following = own + 2 * ROWS, *far = following + 2 * ROWS;
    int64_t step = NAME(row_numbers)(p), few = end - begin + NEAR < ROWS ? end - begin + NEAR : ROWS;
    T *by_row = (T *)(ring + 2 * (3 * ROWS + NEAR)), *target = AT(T, dw);
    double total = 0;
    if (fresh) memset(target, 0, sizeof(T) * (size_t)NAME(elements_of)(p));
    NAME(fill_block)(p, own, ring, few, begin, end, coming, stop);
    if (few == ROWS) NAME(fill_block)(p, following, ring, ROWS, begin + ROWS, end, coming, stop);
    for (int64_t first = begin; first < end; first += ROWS) {
        int64_t last = first + ROWS < end ? first + ROWS : end, rows = last - first, *swap = own;
        if (p->unchecked && !NAME(indices_fit)(p, first, last)) return 0;
        NAME(load_rows)(p, first, last, &m);
        NAME(fill_block)(p, far, ring, last < end ? ROWS : rows, first + 2 * ROWS, end, coming, stop);
        NAME(block_dots)(p, own, own + 2 * NEAR, far, rows, step, by_row);
        NAME(spread_scores)(p, rows, step, by_row, AT(const T, p->b), 1, m.scores);
        total += NAME(block_loss)(p, rows, &m, db);
        NAME(gather_slopes)(p, rows, step, m.dscores, by_row);
        NAME(block_adds)(p, 0, own, rows, by_row, step, target);
        own = following, following = far, far = swap;
    }
    return total;
}

static double NAME(add_rows)(fo_problem *p, int64_t begin, int64_t end, int64_t coming, int64_t stop, int64_t dw, int fresh,
                             T *db, int64_t scratch, fo_side *side)
{
    if (p->x_kind > 1) return NAME(add_sparse_rows)(p, begin, end, coming, stop, dw, fresh, db, scratch);
    return NAME(add_dense_rows)(p, begin, end, coming, stop, dw, fresh, db, scratch, side);
}
