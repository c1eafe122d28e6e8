/* Passes over the rows for solvers, as kernels/solvers/passes.py: kept scores. What a pass does to each block of rows is
 * the sum of these, in pass_kind:
 *   FO_SCORED   scores of W and b, to `out` (0: to scratch); without it the scores are those in `kept`
 *   FO_LOST     the loss at the scores, its dscores and their sums
 *   FO_CURVED   instead: the second derivative at `kept` times the scores, which are those of a direction
 *   FO_SUMMED   the gradient, dscores X
 *   FO_LINE     instead: the loss at kept + t * out, without X, and its slope by t, to `line`
 * A block's scores lie in `kept` and `out` as they do in scratch, (classes, ROWS), one block after the other. */

/* Where the scores of the block at row `first` are. */
static T *NAME(block_place)(const fo_problem *p, int64_t scores, int64_t first)
{
    return AT(T, scores) + first / p->block_rows * p->classes * ROWS;
}

static T *NAME(own_scores)(const fo_problem *p, int64_t first, T *scratch)
{
    if (!(p->pass_kind & FO_SCORED)) return NAME(block_place)(p, p->kept, first);
    return p->out ? NAME(block_place)(p, p->out, first) : scratch;
}

/* What the pass makes of a block's scores, at m.scores: its dscores; returns its loss. */
static double NAME(block_slopes)(const fo_problem *p, int64_t first, int64_t rows, const NAME(memory) *m, T *db)
{
    if (!(p->pass_kind & FO_CURVED)) return NAME(block_loss)(p, rows, m, db);
    const T *kept = NAME(block_place)(p, p->kept, first), *w = m->weights;
    for (int64_t j = 0; j < rows; j += LANES) {
        T *d = m->dscores + j;
        NAME(loss_curvature)(p->loss, AT(const double, p->numbers) + 1, kept + j, m->targets + j, m->scores + j, d, p->classes);
        for (int64_t c = 0; c < p->classes; c++)
            LANEWISE for (int r = 0; r < LANES; r++) d[c * ROWS + r] *= w[j + r];
    }
    NAME(add_bias)(rows, p->classes, m->dscores, db);
    return 0;
}

/* Dense rows [begin, end); dw is overwritten. */
static double NAME(pass_dense_rows)(const fo_problem *p, int64_t begin, int64_t end, int64_t coming, int64_t stop, int64_t dw,
                                    T *db, int64_t scratch)
{
    const int64_t classes = p->classes, block = p->block_rows, features = p->features, kind = p->pass_kind;
    NAME(memory) m = NAME(block_memory)(p, scratch);
    int64_t *table = m.table, *following = table + ROWS, *ahead = following + ROWS, *widened = ahead + ROWS;
    const int fetched = kind & FO_SCORED ? classes > TILE_CLASSES ? 2 : 1 : 0;
    const int64_t reach = features * NAME(feature_bytes)(p) - 1;
    T *scores = m.scores;
    double total = 0;
    if (begin >= end && kind & FO_SUMMED) memset(AT(T, dw), 0, sizeof(T) * (size_t)(classes * features));
    NAME(fill_table)(p, table, begin, begin + block < end ? begin + block : end, ROWS, reach);
    for (int64_t first = begin; first < end; first += block) {
        int64_t last = first + block < end ? first + block : end, rows = last - first, *swap = table;
        if (last < end) NAME(fill_table)(p, following, last, last + block < end ? last + block : end, ROWS, reach);
        else NAME(fill_table)(p, following, coming, coming + block < stop ? coming + block : stop, ROWS, reach);
        const int64_t *x = table;
        if (p->x_kind == 1) {
            x = widened;
            NAME(widen_rows)(p, table, rows, widened, (int64_t)(intptr_t)(widened + ROWS), 0, features);
        }
        m.scores = NAME(own_scores)(p, first, scores);
        if (kind & FO_SCORED) NAME(block_scores)(p, x, following, rows, m.scores, 0, features);
        if (kind & (FO_LOST | FO_CURVED)) {
            NAME(load_rows)(p, first, last, &m);
            total += NAME(block_slopes)(p, first, rows, &m, db);
        }
        if (kind & FO_SUMMED) {
            for (int64_t r = 0; r < rows; r++) ahead[r] = r % TILE_ROWS < fetched ? table[r] : following[r];
            NAME(block_gradient)(p, x, ahead, rows, m.dscores, dw, first == begin, 0, features);
        }
        table = following, following = swap;
    }
    return total;
}

/* The same of CSR rows, whose columns have been checked. */
static double NAME(pass_sparse_rows)(const fo_problem *p, int64_t begin, int64_t end, int64_t coming, int64_t stop, int64_t dw,
                                     T *db, int64_t scratch)
{
    const int64_t kind = p->pass_kind, step = NAME(row_numbers)(p);
    NAME(memory) m = NAME(block_memory)(p, scratch);
    int64_t *ring = m.table, *own = ring, *following = own + 2 * ROWS, *far = following + 2 * ROWS;
    int64_t few = end - begin + NEAR < ROWS ? end - begin + NEAR : ROWS;
    T *by_row = (T *)(ring + 2 * (3 * ROWS + NEAR)), *target = AT(T, dw), *scores = m.scores;
    double total = 0;
    if (kind & FO_SUMMED) memset(target, 0, sizeof(T) * (size_t)NAME(elements_of)(p));
    NAME(fill_block)(p, own, ring, few, begin, end, coming, stop);
    if (few == ROWS) NAME(fill_block)(p, following, ring, ROWS, begin + ROWS, end, coming, stop);
    for (int64_t first = begin; first < end; first += ROWS) {
        int64_t last = first + ROWS < end ? first + ROWS : end, rows = last - first, *swap = own;
        NAME(fill_block)(p, far, ring, last < end ? ROWS : rows, first + 2 * ROWS, end, coming, stop);
        m.scores = NAME(own_scores)(p, first, scores);
        if (kind & FO_SCORED) {
            NAME(block_dots)(p, own, own + 2 * NEAR, far, rows, step, by_row);
            NAME(spread_scores)(p, rows, step, by_row, AT(const T, p->b), 1, m.scores);
        }
        if (kind & (FO_LOST | FO_CURVED)) {
            NAME(load_rows)(p, first, last, &m);
            total += NAME(block_slopes)(p, first, rows, &m, db);
        }
        if (kind & FO_SUMMED) {
            NAME(gather_slopes)(p, rows, step, m.dscores, by_row);
            NAME(block_adds)(p, 0, own, rows, by_row, step, target);
        }
        own = following, following = far, far = swap;
    }
    return total;
}

/* line: t, then a slope for each block of rows, at the group's first one. */
static double NAME(line_rows)(const fo_problem *p, int64_t begin, int64_t end, int64_t scratch)
{
    const int64_t count = p->classes * ROWS;
    NAME(memory) m = NAME(block_memory)(p, scratch);
    double *line = AT(double, p->line), total = 0, slope = 0;
    const T t = (T)line[0];
    for (int64_t first = begin; first < end; first += p->block_rows) {
        int64_t last = first + p->block_rows < end ? first + p->block_rows : end;
        const T *kept = NAME(block_place)(p, p->kept, first), *direction = NAME(block_place)(p, p->out, first);
        NAME(load_rows)(p, first, last, &m);
        for (int64_t i = 0; i < count; i++) m.scores[i] = kept[i] + t * direction[i];
        memset(m.dscores, 0, sizeof(T) * (size_t)count);
        total += NAME(block_loss)(p, last - first, &m, 0);
        double block = 0;
        for (int64_t i = 0; i < count; i += LANES) {
            T product[LANES];
            for (int r = 0; r < LANES; r++) product[r] = m.dscores[i + r] * direction[i + r];
            block += NAME(sum_lanes)(product);
        }
        slope += block;
    }
    line[1 + begin / p->block_rows] = slope;
    return total;
}

static double NAME(pass_rows)(const fo_problem *p, int64_t begin, int64_t end, int64_t coming, int64_t stop, int64_t dw,
                              T *db, int64_t scratch)
{
    if (p->pass_kind & FO_LINE) return NAME(line_rows)(p, begin, end, scratch);
    if (p->x_kind > 1) return NAME(pass_sparse_rows)(p, begin, end, coming, stop, dw, db, scratch);
    return NAME(pass_dense_rows)(p, begin, end, coming, stop, dw, db, scratch);
}

/* target[j, i] = sum_r d_r x_rj x_ri over rows [begin, end): kernels/solvers/gram.py. stride: numbers from one j to the next. */
static void NAME(dense_gram)(const fo_problem *p, const T *diagonal, int64_t begin, int64_t end, int64_t first_feature,
                             int64_t last_feature, T *target, int64_t stride, int64_t scratch)
{
    const int64_t block = p->block_rows, features = p->features, panel = last_feature - first_feature;
    const int64_t reach = features * NAME(feature_bytes)(p) - 1;
    int64_t *table = AT(int64_t, (scratch + 63) / 64 * 64), *copies = table + ROWS;
    T *slopes = (T *)(copies + ROWS), *weights = slopes + panel * ROWS, *widened = weights + ROWS;
    for (int64_t first = begin; first < end; first += block) {
        int64_t rows = end - first < block ? end - first : block;
        NAME(fill_table)(p, table, first, first + rows, ROWS, reach);
        const int64_t *x = table;
        if (p->x_kind == 1) {
            x = copies;
            NAME(widen_rows)(p, table, rows, copies, (int64_t)(intptr_t)widened, first_feature, features);
        }
        for (int64_t r = 0; r < rows; r++) weights[r] = diagonal[first + r];
        for (int64_t j = 0; j < panel; j += STRIP_CLASSES) {
            const int64_t own = first_feature + j, count = panel - j < STRIP_CLASSES ? panel - j : STRIP_CLASSES;
            T *d = slopes + j * ROWS;
            for (int64_t r = 0; r < rows; r++) {
                const T *row = AT(const T, x[r]) + own;
                for (int64_t c = 0; c < count; c++) d[c * ROWS + r] = weights[r] * row[c];
            }
            NAME(gradient_strips)(x, x, sizeof(T), rows, d, target + own * stride, first == begin, stride, own, features, count);
        }
        if (first_feature == 0)
            NAME(gradient_strips)(x, x, sizeof(T), rows, weights, target + features * stride, first == begin, stride, 0,
                                  features, 1);
    }
}

/* The same of CSR rows with columns in any order, each pair of entries once, in float64. */
static void NAME(sparse_gram)(const fo_problem *p, const T *diagonal, int64_t begin, int64_t end, int64_t first_feature,
                              int64_t last_feature, double *target, int64_t stride, int64_t scratch)
{
    const T *values = AT(const T, p->X);
    double *ones = target + p->features * stride, *squares = ones + stride;
    for (int64_t r = begin; r < end; r++) {
        const int64_t first = NAME(number_at)(p, p->indptr, r), count = NAME(number_at)(p, p->indptr, r + 1) - first;
        const double weight = diagonal[r];
        if (weight == 0) continue;
        int64_t *places = AT(int64_t, scratch);
        double *numbers = (double *)(places + count);
        for (int64_t e = 0; e < count; e++) {
            places[e] = NAME(number_at)(p, p->indices, first + e);
            numbers[e] = values[first + e];
        }
        for (int64_t a = 0; a < count; a++) {
            const int64_t j = places[a];
            if (j < first_feature || j >= last_feature) continue;
            const double own = weight * numbers[a];
            double *place = target + j * stride;
            ones[j] += own;
            squares[j] += own * numbers[a];
            for (int64_t e = a + 1; e < count; e++) place[places[e]] += own * numbers[e];
        }
    }
}

static void NAME(gram)(const fo_problem *p, int64_t diagonal, int64_t begin, int64_t end, int64_t first_feature,
                       int64_t last_feature, int64_t target, int64_t stride, int64_t scratch)
{
    const T *d = AT(const T, diagonal);
    if (p->x_kind > 1)
        NAME(sparse_gram)(p, d, begin, end, first_feature, last_feature, AT(double, target), stride / (int64_t)sizeof(double),
                          scratch);
    else
        NAME(dense_gram)(p, d, begin, end, first_feature, last_feature, AT(T, target), stride / (int64_t)sizeof(T), scratch);
}

/* out[r, c] = W[c] X[r] + b[c] of dense rows [begin, end), what predictions are made of; FO_NO_MEMORY, or FO_OK. */
static int NAME(row_scores)(const fo_problem *p, int64_t begin, int64_t end, int64_t out)
{
    const int64_t classes = p->classes, features = p->features, reach = features * NAME(feature_bytes)(p) - 1;
    const int64_t wide = p->x_kind == 1 ? (features * (int64_t)sizeof(T) + 63) / 64 * 64 + 64 : 0;
    const int64_t size = 3 * ROWS * 8 + classes * ROWS * (int64_t)sizeof(T) + ROWS * wide + 64;
    char *room = malloc((size_t)size);
    if (!room) return FO_NO_MEMORY;
    int64_t *table = AT(int64_t, ((intptr_t)room + 63) / 64 * 64), *following = table + ROWS, *copies = following + ROWS;
    T *scores = (T *)(copies + ROWS), *target = AT(T, out) + begin * classes;
    NAME(fill_table)(p, table, begin, begin + p->block_rows < end ? begin + p->block_rows : end, ROWS, reach);
    for (int64_t first = begin; first < end; first += p->block_rows) {
        int64_t last = first + p->block_rows < end ? first + p->block_rows : end, rows = last - first, *swap = table;
        NAME(fill_table)(p, following, last, last + p->block_rows < end ? last + p->block_rows : end, ROWS, reach);
        const int64_t *x = table;
        if (wide) {
            x = copies;
            NAME(widen_rows)(p, table, rows, copies, (int64_t)(intptr_t)(scores + classes * ROWS), 0, features);
        }
        NAME(block_scores)(p, x, following, rows, scores, 0, features);
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < classes; c++) *target++ = scores[c * ROWS + r];
        table = following, following = swap;
    }
    free(room);
    return FO_OK;
}
