/* Passes over the rows for solvers, as kernels/solvers/passes.py: kept scores. What a pass does to each block of rows is
 * the sum of these, in pass_kind:
 *   FO_SCORED   scores of W and b, to `out` (0: to scratch); without it the scores are those in `kept`
 *   FO_LOST     the loss at the scores, its dscores and their sums
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
        if (kind & FO_LOST) {
            NAME(load_rows)(p, first, last, &m);
            total += NAME(block_loss)(p, rows, &m, db);
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
        if (kind & FO_LOST) {
            NAME(load_rows)(p, first, last, &m);
            total += NAME(block_loss)(p, rows, &m, db);
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
