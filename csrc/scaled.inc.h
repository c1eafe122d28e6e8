/* Steps of a linear rule with lazily scaled weights, W = alpha * V: kernels/training/scaled.py and single_rows.py
 * (Bottou 2012, Stochastic Gradient Descent Tricks, section 5.1). */
#define SMALLEST 1e-6
#define LARGEST 1e6
#define FAR (ROWS - 4)  /* rows between a single row and the one that is fetched */

typedef struct {
    NAME(memory) block;
    int64_t *following, *spans;
    T *slopes;
} NAME(layout);

static NAME(layout) NAME(layout_of)(const fo_problem *p, const fo_worker *w, int64_t count)
{
    NAME(layout) m;
    m.block = NAME(block_memory)(p, w->scratch);
    m.following = m.block.table;
    m.spans = m.following + 2 * ROWS;
    m.slopes = (T *)(m.spans + 2 * (count + NEAR));
    return m;
}

/* A vector with the value in the first lane, 0 in the others: whole registers, since one that is put together in memory is waited
 * for by who loads it (ten classes of a row: 27 % of the time). */
static inline void NAME(store_first)(T *vector, T value)
{
    NAME(vec) first = {value}, rest = {0};
    NAME(store)(vector, first);
    for (int i = 1; i < REGISTERS_OF_VECTOR; i++) NAME(store)(vector + i * REGISTER_LANES, rest);
}

/* The loss of a batch of one dense row; its slopes are its dscores, also in db. */
static double NAME(row_slopes)(const fo_problem *p, const fo_run *run, int64_t position, double alpha)
{
    const NAME(layout) m = NAME(layout_of)(p, run->worker, 1);
    const T *b = AT(const T, run->p->b), factor = (T)alpha;
    T *db = AT(T, run->g->b);
    const int64_t row = NAME(row_at)(p, position), features = p->features, n = run->worker->n;
    const int64_t reach = features * NAME(feature_bytes)(p) - 1;
    if (!p->shares) NAME(store_first)(m.block.targets, NAME(label)(p, row));
    for (int64_t c = 0; c < p->shares; c++)
        NAME(store_first)(m.block.targets + c * ROWS, AT(const T, p->y)[row * p->shares + c]);
    NAME(store_first)(m.block.weights, NAME(weight)(p, row));
    NAME(fill_table)(p, m.spans, position, position + 1, 1, reach);
    NAME(fill_table)(p, m.following, position + 1, position + 2 < n ? position + 2 : n, 1, reach);
    if (p->x_kind == 1) NAME(widen_rows)(p, m.spans, 1, m.spans, (int64_t)(intptr_t)m.slopes, 0, features);
    NAME(block_scores)(p, m.spans, m.following, 1, m.block.scores, 0, features);
    for (int64_t c = 0; c < p->classes; c++)
        NAME(store_first)(m.block.scores + c * ROWS, (b ? b[c] : (T)0) + factor * m.block.scores[c * ROWS]);
    double loss = NAME(block_loss)(p, 1, &m.block, 0);
    for (int64_t c = 0; db && c < p->classes; c++) db[c] = m.block.dscores[c * ROWS];
    return loss;
}

/* The loss of a batch; the slopes by its scores in the scratch memory, their sums over rows in db. */
static double NAME(batch_slopes)(const fo_problem *p, const fo_run *run, int64_t first, int64_t last, double alpha)
{
    if (p->x_kind < 2) return NAME(row_slopes)(p, run, first, alpha);
    const NAME(layout) m = NAME(layout_of)(p, run->worker, last - first);
    const int64_t step = NAME(row_numbers)(p), n = run->worker->n;
    T *db = AT(T, run->g->b);
    double total = 0;
    if (db) memset(db, 0, sizeof(T) * (size_t)p->classes);
    NAME(fill_spans)(p, m.spans, first, last + NEAR, n);
    for (int64_t begin = first; begin < last; begin += ROWS) {
        int64_t end = begin + ROWS < last ? begin + ROWS : last, *own = m.spans + 2 * (begin - first);
        T *place = m.slopes + (begin - first) * step;
        NAME(load_rows)(p, begin, end, &m.block);
        NAME(fill_spans)(p, m.following, begin + ROWS, end + ROWS, n);
        NAME(block_dots)(p, own, own + 2 * NEAR, m.following, end - begin, step, place);
        NAME(spread_scores)(p, end - begin, step, place, AT(const T, run->p->b), alpha, m.block.scores);
        total += NAME(block_loss)(p, end - begin, &m.block, db);
        NAME(gather_slopes)(p, end - begin, step, m.block.dscores, place);
    }
    return total;
}

/* target += factor * the batch's gradient; returns how much the sum of its squares grew, with squares. */
static double NAME(scaled_descend)(const fo_problem *p, const fo_run *run, int64_t first, int64_t last, T *target,
                                   double scale, int squares)
{
    const NAME(layout) m = NAME(layout_of)(p, run->worker, last - first);
    const T factor = (T)scale;
    double grown = 0;
    if (p->x_kind > 1) {
        const int64_t rows = last - first, step = NAME(row_numbers)(p);
        for (int64_t i = 0; i < rows * step; i++) m.slopes[i] *= factor;
        return NAME(block_adds)(p, squares, m.spans, rows, m.slopes, step, target);
    }
    const T *x = AT(const T, m.spans[0]);
    for (int64_t c = 0; c < p->classes; c++) {
        const T slope = factor * m.block.dscores[c * ROWS];
        T *row = target + c * p->features;
        if (slope != 0) {
            double before = squares ? NAME(sum_of_squares)(row, p->features) : 0;
            for (int64_t f = 0; f < p->features; f++) row[f] = FMA(x[f], slope, row[f]);
            grown += squares ? NAME(sum_of_squares)(row, p->features) - before : 0;
        }
    }
    return grown;
}

/* The norm of the batch's gradient, from a dW that is made for it alone. */
static void NAME(record_scaled)(const fo_problem *p, const fo_run *run, int64_t first, int64_t last, double alpha,
                                double inverse)
{
    T *dw = AT(T, run->g->W);
    memset(dw, 0, sizeof(T) * (size_t)NAME(elements_of)(p));
    NAME(scaled_descend)(p, run, first, last, dw, 1, 0);
    NAME(record_norm)(p, run, AT(const T, p->W), (T)inverse, (T)(2 * run->numbers->l2 * alpha));
}

static void NAME(rescale)(T *v, int64_t count, double factor)
{
    for (int64_t i = 0; i < count; i++) v[i] *= (T)factor;
}

/* As steps; a row of K, or the one for all (k_count = 0), has decay of W, decay of b and slope. */
static int64_t NAME(scaled_steps)(fo_problem *p, fo_run *run, int64_t begin, int64_t end)
{
    fo_numbers *numbers = run->numbers;
    T *v = AT(T, p->W), *b = AT(T, run->p->b);
    const T *db = AT(const T, run->g->b);
    const double l2 = numbers->l2;
    const int64_t elements = NAME(elements_of)(p);
    double alpha = numbers->alpha, squares = numbers->squares;
    int64_t step = begin, first, last;
    for (; step < end; step++) {
        NAME(batch_of)(run->worker, step, &first, &last);
        double loss = NAME(batch_slopes)(p, run, first, last, alpha), inverse = 1 / (double)(last - first);
        double value = loss * inverse + (l2 != 0 ? l2 * alpha * alpha * squares : 0);
        if (!isfinite(value)) break;
        numbers->loss += value;
        if (step == end - 1) NAME(record_scaled)(p, run, first, last, alpha, inverse);
        const double *k = AT(const double, run->K) + (step - begin) * run->k_count;
        alpha *= k[0];
        double slope = k[2] * inverse;
        if (SMALLEST < alpha && alpha < LARGEST)
            squares += NAME(scaled_descend)(p, run, first, last, v, slope / alpha, l2 != 0);
        else {
            NAME(rescale)(v, elements, alpha);
            alpha = 1;
            NAME(scaled_descend)(p, run, first, last, v, slope, 0);
            squares = l2 != 0 ? NAME(sum_of_squares)(v, elements) : 0;
        }
        for (int64_t c = 0; b && c < p->classes; c++) b[c] = (T)(k[1] * (double)b[c] + slope * (double)db[c]);
    }
    numbers->alpha = alpha;
    numbers->squares = squares;
    return step;
}

/* As scaled_steps, for batches of one CSR row. */
static int64_t NAME(single_row_steps)(fo_problem *p, fo_run *run, int64_t begin, int64_t end)
{
    fo_numbers *numbers = run->numbers;
    T *v = AT(T, p->W), *b = AT(T, run->p->b), *db = AT(T, run->g->b), loss_of_row[LANES];
    const NAME(layout) m = NAME(layout_of)(p, run->worker, 1);
    const int64_t n = run->worker->n, width = NAME(row_numbers)(p), classes = p->classes, elements = NAME(elements_of)(p);
    const int64_t y_size = p->y_kind ? p->y_kind : (int64_t)sizeof(T);
    int64_t *ring = m.following, step = begin;
    const double l2 = numbers->l2, *h = AT(const double, p->numbers) + 1, *k = AT(const double, run->K);
    double total = numbers->loss, alpha = numbers->alpha, squares = numbers->squares;
    memset(m.slopes, 0, sizeof(T) * (size_t)width);
    for (int64_t i = begin; i < begin + FAR; i++) NAME(fill_spans)(p, ring + i % ROWS * 2, i, i + 1, n);
    for (; step < end; step++, k += run->k_count) {
        const int64_t row = NAME(row_at)(p, step), later = NAME(row_at)(p, step + 2 * FAR < n ? step + 2 * FAR : n - 1);
        const T factor = (T)alpha;
        int64_t *span = ring + step % ROWS * 2, *far = ring + (step + FAR) % ROWS * 2;
        NAME(store_first)(m.block.targets, NAME(label)(p, row));
        PREFETCH(p->y + later * y_size);
        PREFETCH(p->indptr + later * p->x_kind / 8);
        NAME(fill_spans)(p, far, step + FAR, step + FAR + 1, n);
        NAME(block_dots)(p, span, ring + (step + NEAR) % ROWS * 2, far, 1, width, m.slopes);
        for (int64_t c = 0; c < classes; c++)
            NAME(store_first)(m.block.scores + c * ROWS, (b ? b[c] : (T)0) + factor * m.slopes[c]);
        double share = p->weights ? (double)NAME(weight)(p, row) : 1;
        NAME(loss_rows)(p->loss, h, m.block.scores, m.block.targets, m.block.dscores, classes, loss_of_row);
        double loss = (double)loss_of_row[0] * share;
        double value = loss + (l2 != 0 ? l2 * alpha * alpha * squares : 0);
        if (!isfinite(value)) break;
        total += value;
        if (step == end - 1) {
            for (int64_t c = 0; c < classes; c++) {
                m.slopes[c] = m.block.dscores[c * ROWS];
                if (db) db[c] = m.slopes[c];
            }
            NAME(fill_spans)(p, m.spans, step, step + 1, n);
            NAME(record_scaled)(p, run, step, step + 1, alpha, share);
        }
        alpha *= k[0];
        double slope = k[2] * share;
        int fits = SMALLEST < alpha && alpha < LARGEST;
        if (!fits) {
            NAME(rescale)(v, elements, alpha);
            alpha = 1;
        }
        const T rate = (T)(slope / alpha);
        for (int64_t c = 0; c < classes; c++) {
            T d = m.block.dscores[c * ROWS];
            m.slopes[c] = rate * d;
            if (b) b[c] = (T)(k[1] * (double)b[c] + slope * (double)d);
        }
        double grown = NAME(block_adds)(p, l2 != 0 && fits, span, 1, m.slopes, width, v);
        if (l2 != 0 && fits) squares += grown;
        else squares = l2 != 0 ? NAME(sum_of_squares)(v, elements) : 0;
    }
    numbers->loss = total;
    numbers->alpha = alpha;
    numbers->squares = squares;
    return step;
}
#undef SMALLEST
#undef LARGEST
#undef FAR
