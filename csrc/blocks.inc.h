/* Blocks of dense rows, as kernels/gradient/linear.py: addresses -> scores -> loss rows -> dscores -> gradient. */

/* Addresses within a thread's scratch memory; sparse rows have spans where the tables would be. */
typedef struct {
    T *scores, *dscores, *targets, *weights;
    int64_t *table;
} NAME(memory);

static NAME(memory) NAME(block_memory)(const fo_problem *p, int64_t scratch)
{
    NAME(memory) m;
    m.scores = AT(T, (scratch + 63) / 64 * 64);
    m.dscores = m.scores + p->classes * ROWS;
    m.targets = m.dscores + p->classes * ROWS;
    m.weights = m.targets + (p->shares > 1 ? p->shares : 1) * ROWS;
    m.table = (int64_t *)(m.weights + ROWS);
    return m;
}

static inline int64_t NAME(row_at)(const fo_problem *p, int64_t position)
{
    return p->order ? AT(const int64_t, p->order)[position] : position;
}

/* Of X as it was given. */
static inline int64_t NAME(feature_bytes)(const fo_problem *p) { return p->x_kind == 1 ? 1 : (int64_t)sizeof(T); }

/* Numbers of W as the loops hold it. */
static inline int64_t NAME(elements_of)(const fo_problem *p) { return p->width * p->features; }

static inline T NAME(label)(const fo_problem *p, int64_t row)
{
    return p->y_kind ? (T)(AT(const int64_t, p->y)[row] - p->y_shift) : AT(const T, p->y)[row];
}

static inline T NAME(weight)(const fo_problem *p, int64_t row)
{
    return p->weights ? AT(const T, p->weights)[row] : (T)1;
}

/* Addresses of rows, the last repeated up to `count`; byte `reach` of each is fetched. */
static void NAME(fill_table)(const fo_problem *p, int64_t *table, int64_t begin, int64_t end, int64_t count, int64_t reach)
{
    int64_t address = p->X, rows = end > begin ? end - begin : 0;
    for (int64_t i = 0; i < rows; i++) {
        table[i] = address = p->X + NAME(row_at)(p, begin + i) * p->x_stride;
        PREFETCH(address + reach);
    }
    for (int64_t i = rows; i < count; i++) table[i] = address;
}

/* The label of a row to place r of a block, or its soft labels, one a class. */
static inline void NAME(load_label)(const fo_problem *p, int64_t row, int64_t r, T *targets)
{
    if (!p->shares) targets[r] = NAME(label)(p, row);
    for (int64_t c = 0; c < p->shares; c++) targets[c * ROWS + r] = AT(const T, p->y)[row * p->shares + c];
}

/* Labels and weights of a block; the weight past the end is 0. */
static void NAME(load_rows)(const fo_problem *p, int64_t begin, int64_t end, const NAME(memory) *m)
{
    int64_t rows = end - begin;
    for (int64_t r = 0; r < rows; r++) {
        int64_t row = NAME(row_at)(p, begin + r);
        NAME(load_label)(p, row, r, m->targets);
        m->weights[r] = NAME(weight)(p, row);
    }
    for (int64_t r = rows; r < ROWS; r++) m->weights[r] = 0;
    for (int64_t c = 0; c < (p->shares ? p->shares : 1); c++)
        for (int64_t r = rows; r < ROWS; r++) m->targets[c * ROWS + r] = 0;
}

/* Features [first, last) of uint8 rows, scaled; `widened` is the table of the copies' addresses. */
static void NAME(widen_rows)(const fo_problem *p, const int64_t *table, int64_t rows, int64_t *widened, int64_t target,
                             int64_t first, int64_t last)
{
    const int64_t size = sizeof(T), stride = (p->features * size + 63) / 64 * 64 + 64;
    const T scale = (T)AT(const double, p->numbers)[0];
    for (int64_t r = 0; r < rows; r++) {
        const uint8_t *RESTRICT x = AT(const uint8_t, table[r]);
        T *RESTRICT out = AT(T, target + r * stride);
        for (int64_t f = first; f < last; f++) out[f] = (T)x[f] * scale;
    }
    for (int64_t r = 0; r < rows + TILE_ROWS - 1 && r < ROWS; r++)
        widened[r] = target + (r < rows ? r : rows - 1) * stride;
}

/* scores[c, r] = W[c] X[r] over features [first, last), + b[c] if these are the first. */
static void NAME(block_scores)(const fo_problem *p, const int64_t *table, const int64_t *following, int64_t rows, T *scores,
                               int64_t first, int64_t last)
{
    const int64_t size = sizeof(T), classes = p->classes, stride = p->w_stride / size, step = NAME(feature_bytes)(p);
    const T *w = AT(const T, p->W + (first ? p->jump : 0)), *b = first ? 0 : AT(const T, p->b);
    for (int64_t c = 0; c < classes; c++)
        for (int r = 0; r < ROWS; r++) scores[c * ROWS + r] = b ? b[c] : (T)0;
    for (int64_t f = first; f < last; f += CHUNK) {
        int64_t count = last - f < CHUNK ? last - f : CHUNK;
        for (int64_t panel = 0; panel < classes; panel += 2 * TILE_CLASSES) {
            int64_t wide = classes - panel < 2 * TILE_CLASSES ? classes - panel : 2 * TILE_CLASSES;
            int64_t cut = wide <= TILE_CLASSES ? wide : (wide + 1) / 2;
            const T *own = w + panel * stride + f;
            for (int64_t r = 0; r < rows; r += TILE_ROWS) {
                T *out = scores + panel * ROWS + r;
                int64_t ahead = following[r] + f * step;
                if (rows - r == 1) {
                    NAME(score_row)(table + r, f * size, ahead, step, own, stride, count, out, wide);
                    continue;
                }
                NAME(score_tiles)(table + r, f * size, ahead, step, own, stride, count, out, cut);
                if (cut < wide)
                    NAME(score_tiles)(table + r, f * size, following[r + 1] + f * step, step, own + cut * stride, stride,
                                      count, out + cut * ROWS, wide - cut);
            }
        }
    }
}

/* The sum of a vector's lanes in double, halves first. */
static inline double NAME(sum_lanes)(const T *v)
{
    double sums[LANES / 2];
    for (int i = 0; i < LANES / 2; i++) sums[i] = (double)v[i] + (double)v[i + LANES / 2];
    for (int half = LANES / 4; half; half /= 2)
        for (int i = 0; i < half; i++) sums[i] += sums[i + half];
    return sums[0];
}

/* db[c] += the sum of dscores[c] over a block's rows; db: NULL for none. */
static void NAME(add_bias)(int64_t rows, int64_t classes, const T *dscores, T *db)
{
    for (int64_t c = 0; db && c < classes; c++) {
        const T *d = dscores + c * ROWS;
        NAME(vec) sums[REGISTERS_OF_VECTOR];
        T t[LANES];
        for (int i = 0; i < REGISTERS_OF_VECTOR; i++) {
            sums[i] = NAME(load)(d + i * REGISTER_LANES);
            for (int64_t j = LANES; j < rows; j += LANES) sums[i] += NAME(load)(d + j + i * REGISTER_LANES);
            NAME(store)(t + i * REGISTER_LANES, sums[i]);
        }
        db[c] = (T)((double)db[c] + NAME(sum_lanes)(t));
    }
}

/* Loss of a block; its dscores, times the weights; their sums over rows are added to db (or NULL). */
static double NAME(block_loss)(const fo_problem *p, int64_t rows, const NAME(memory) *m, T *db)
{
    const int64_t classes = p->classes;
    const double *h = AT(const double, p->numbers) + 1;
    const T *w = m->weights;
    double total = 0;
    T loss[LANES];
    for (int64_t j = 0; j < rows; j += LANES) {
        T *d = m->dscores + j;
        NAME(loss_rows)(p->loss, h, m->scores + j, m->targets + j, d, classes, loss);
        if (rows < ROWS || p->weights) {
            LANEWISE for (int r = 0; r < LANES; r++) loss[r] *= w[j + r];
            for (int64_t c = 0; c < classes; c++)
                LANEWISE for (int r = 0; r < LANES; r++) d[c * ROWS + r] *= w[j + r];
        }
        total += NAME(sum_lanes)(loss);
    }
    NAME(add_bias)(rows, classes, m->dscores, db);
    return total;
}

/* dw += dscores X, or with fresh, dw = dscores X, for features [begin, end). */
static void NAME(block_gradient)(const fo_problem *p, const int64_t *table, const int64_t *following, int64_t rows,
                                 const T *d, int64_t dw, int fresh, int64_t begin, int64_t end)
{
    const int64_t classes = p->classes, stride = p->w_stride / (int64_t)sizeof(T), step = NAME(feature_bytes)(p);
    int64_t parts = (classes + STRIP_CLASSES - 1) / STRIP_CLASSES, first = 0;
    T *target = AT(T, dw + (begin ? p->jump : 0));
    for (int64_t part = 0; part < parts; part++) {
        int64_t last = first + (classes - first) / (parts - part);
        NAME(gradient_strips)(table, following, step, rows, d + first * ROWS, target + first * stride, fresh, stride, begin,
                              end, last - first);
        following = table;
        first = last;
    }
}

static void NAME(add_blocks)(const fo_problem *p, const T *a, const T *b, T *target)
{
    for (int64_t i = 0; i < p->classes * ROWS; i++) target[i] = a[i] + b[i];
}

/* Write the gradient of positions [begin, end) to dw, or add it (fresh = 0), add it to db (or NULL); returns their loss.
 * Rows from `coming` on, up to `stop`, are fetched meanwhile. dw = 0 ends after the first block's dscores. side: NULL,
 * or one's side of a pair, which does its own half of the features and stops where the other side is lost. */
static double NAME(add_dense_rows)(const fo_problem *p, int64_t begin, int64_t end, int64_t coming, int64_t stop, int64_t dw,
                                   int fresh, T *db, int64_t scratch, fo_side *side)
{
    const int64_t classes = p->classes, block = p->block_rows, features = p->features;
    NAME(memory) m = NAME(block_memory)(p, scratch);
    int64_t *table = m.table, *following = table + ROWS, *ahead = following + ROWS, *widened = ahead + ROWS;
    const int wide = p->x_kind == 1, fetched = classes > TILE_CLASSES ? 2 : 1;
    int64_t left = side ? side->first : 0, right = side ? side->last : features, middle = side ? 0 : p->half;
    const int64_t reach = right * NAME(feature_bytes)(p) - 1;
    double total = 0;
    if (begin >= end && dw && fresh) memset(AT(T, dw), 0, sizeof(T) * (size_t)(classes * features));
    NAME(fill_table)(p, table, begin, begin + block < end ? begin + block : end, ROWS, reach);
    for (int64_t first = begin; first < end; first += block) {
        int64_t last = first + block < end ? first + block : end, rows = last - first;
        NAME(load_rows)(p, first, last, &m);
        if (last < end) NAME(fill_table)(p, following, last, last + block < end ? last + block : end, ROWS, reach);
        else NAME(fill_table)(p, following, coming, coming + block < stop ? coming + block : stop, ROWS, reach);
        const int64_t *x = table;
        if (wide) {
            x = widened;
            NAME(widen_rows)(p, table, rows, widened, (int64_t)(intptr_t)(widened + ROWS), left, right);
        }
        if (side) {
            int64_t a, b;
            NAME(block_scores)(p, x, following, rows, AT(T, fo_own_slot(side)), left, right);
            if (!fo_exchange(side, &a, &b)) return total;
            NAME(add_blocks)(p, AT(const T, a), AT(const T, b), m.scores);
        } else {
            NAME(block_scores)(p, x, following, rows, m.scores, 0, p->half ? p->half : features);
            if (p->half) {
                NAME(block_scores)(p, x, following, rows, m.dscores, p->half, features);
                NAME(add_blocks)(p, m.scores, m.dscores, m.scores);
            }
        }
        total += NAME(block_loss)(p, rows, &m, db);
        if (!dw) return total;
        for (int64_t r = 0; r < rows; r++) ahead[r] = r % TILE_ROWS < fetched ? table[r] : following[r];
        int clean = fresh && first == begin;
        NAME(block_gradient)(p, x, ahead, rows, m.dscores, dw, clean, left, middle ? middle : right);
        if (middle) NAME(block_gradient)(p, x, ahead, rows, m.dscores, dw, clean, middle, right);
        int64_t *swap = table;
        table = following, following = swap;
    }
    return total;
}
