/* Steps of training: gradient of a batch, then the rule, as kernels/training/steps.py and weight_parts.py. */

/* W and its gradient in the parts whose sums are taken one by one: the two halves of a pair, else the whole. */
static inline int NAME(parts)(const fo_problem *p) { return p->half ? 2 : 1; }

static void NAME(part_of)(const fo_problem *p, int part, int64_t *first, int64_t *last)
{
    *first = part ? p->half : 0;
    *last = p->half && !part ? p->half : p->features;
}

/* Where a part lies: `count` stretches of `numbers`, `apart` numbers from one to the next, from number `begin` on. */
typedef struct {
    int64_t count, begin, apart, numbers;
} NAME(stretches);

static NAME(stretches) NAME(stretches_of)(const fo_problem *p, int64_t first, int64_t last)
{
    const int64_t size = sizeof(T);
    if (!p->half) return (NAME(stretches)){1, 0, 0, NAME(elements_of)(p)};
    return (NAME(stretches)){p->classes, first + (first ? p->jump / size : 0), p->w_stride / size, last - first};
}

static double NAME(part_squares)(const fo_problem *p, int64_t first, int64_t last)
{
    NAME(stretches) at = NAME(stretches_of)(p, first, last);
    double total = 0;
    for (int64_t i = 0; i < at.count; i++)
        total += NAME(sum_of_squares)(AT(const T, p->W) + at.begin + i * at.apart, at.numbers);
    return total;
}

/* Sum of squares of scale*dw + penalty*w. */
static double NAME(squared_norm)(const T *w, const T *dw, int64_t numbers, T scale, T penalty)
{
    double total = 0;
    for (int64_t i = 0; i < numbers; i += LANES) {
        T t[LANES] = {0};
        int n = numbers - i < LANES ? (int)(numbers - i) : LANES;
        for (int k = 0; k < n; k++) t[k] = FMA(dw[i + k], scale, w[i + k] * penalty);
        for (int k = 0; k < LANES; k++) t[k] *= t[k];
        total += NAME(sum_lanes)(t);
    }
    return total;
}

static double NAME(part_norm)(const fo_problem *p, const T *w, const T *dw, int64_t first, int64_t last, T scale, T penalty)
{
    NAME(stretches) at = NAME(stretches_of)(p, first, last);
    double total = 0;
    for (int64_t i = 0; i < at.count; i++) {
        int64_t begin = at.begin + i * at.apart;
        total += NAME(squared_norm)(w + begin, dw + begin, at.numbers, scale, penalty);
    }
    return total;
}

static void NAME(write_norm)(const fo_problem *p, const fo_run *run, double of_weights, T scale)
{
    const T *db = AT(const T, run->g->b);
    double of_biases = db ? NAME(squared_norm)(db, db, p->classes, scale, 0) : 0;
    run->numbers->norm = sqrt(of_weights + of_biases);
}

/* The norm of the gradient scale*dW + penalty*w, scale*db. */
static void NAME(record_norm)(const fo_problem *p, const fo_run *run, const T *w, T scale, T penalty)
{
    double total = 0;
    for (int part = 0; part < NAME(parts)(p); part++) {
        int64_t first, last;
        NAME(part_of)(p, part, &first, &last);
        total += NAME(part_norm)(p, w, AT(const T, run->g->W), first, last, scale, penalty);
    }
    NAME(write_norm)(p, run, total, scale);
}

/* The rule on `n` elements of W (0) or b (1) from `begin` on; the gradient is scale*g + penalty*p, g its first element. */
static void NAME(update)(const fo_run *run, const double *k, int array, int64_t begin, int64_t n, const T *g, T scale,
                         T penalty)
{
    void *const *s = AT(void *const, run->s);
    T *p = AT(T, array ? run->p->b : run->p->W) + begin, buffer[BUFFER], *slot[FO_MAX_SLOTS] = {0};
    const int slots = fo_rule_slots((int)run->update);
    for (int j = 0; j < slots; j++) slot[j] = (T *)s[2 * j + array] + begin;
    for (int64_t i = 0; i < n; i += BUFFER) {
        int64_t m = n - i < BUFFER ? n - i : BUFFER;
        for (int64_t j = 0; j < m; j++) buffer[j] = scale * g[i + j] + penalty * p[i + j];
        fo_kernels()->rules->UPDATE((int)run->update, k, p + i, buffer, slot, 0, m);
        for (int j = 0; j < slots; j++) slot[j] += m;
    }
}

/* The rule on features [first, last) of W, and with the first of them on b; k: its coefficients. */
static void NAME(descend)(const fo_problem *p, const fo_run *run, const double *k, int64_t first, int64_t last)
{
    const T scale = (T)run->numbers->scale, penalty = (T)(2 * run->numbers->l2);
    NAME(stretches) at = NAME(stretches_of)(p, first, last);
    unsigned before = fo_flush_denormals();
    for (int64_t i = 0; i < at.count; i++) {
        int64_t begin = at.begin + i * at.apart;
        NAME(update)(run, k, 0, begin, at.numbers, AT(const T, run->g->W) + begin, scale, penalty);
    }
    if (first == 0 && run->p->b) NAME(update)(run, k, 1, 0, p->classes, AT(const T, run->g->b), scale, 0);
    fo_restore_denormals(before);
}

/* The rule from one dense row: its gradient is dscores[c] * x, and need not be stored. */
static void NAME(descend_by_row)(const fo_problem *p, const fo_run *run, const double *k)
{
    const T scale = (T)run->numbers->scale, penalty = (T)(2 * run->numbers->l2);
    NAME(memory) m = NAME(block_memory)(p, run->worker->scratch);
    const T *x = AT(const T, m.table[p->x_kind == 1 ? 3 * ROWS : 0]);
    unsigned before = fo_flush_denormals();
    for (int64_t c = 0; c < p->classes; c++)
        NAME(update)(run, k, 0, c * p->features, p->features, x, scale * m.dscores[c * ROWS], penalty);
    if (run->p->b) NAME(update)(run, k, 1, 0, p->classes, AT(const T, run->g->b), scale, 0);
    fo_restore_denormals(before);
}

/* The loss of a batch of one dense row, and its dscores. */
static double NAME(row_loss)(fo_problem *p, const fo_run *run, int64_t step)
{
    const fo_worker *w = run->worker;
    T *db = AT(T, run->g->b);
    int64_t first, last;
    NAME(batch_of)(w, step, &first, &last);
    if (db) memset(db, 0, sizeof(T) * (size_t)p->classes);
    return NAME(add_rows)(p, first, last, last, w->n, 0, 1, db, w->scratch, 0);
}

/* The loss of a batch, and its gradient in dW and db. */
static double NAME(batch_loss)(fo_problem *p, const fo_run *run, int64_t step)
{
    int64_t first, last, groups = NAME(batch_of)(run->worker, step, &first, &last);
    int64_t theirs = NAME(do_groups)(p, run->worker, AT(int64_t, run->crew), step, run->patience);
    return NAME(join)(p, run->worker, run->others, theirs, groups, 1, 0);
}

/* As batch_loss, of a pair: the gradient is that of one's own half. */
static double NAME(half_loss)(fo_problem *p, const fo_run *run, int64_t step)
{
    const fo_worker *w = run->worker;
    fo_side *side = run->side;
    T *db = AT(T, w->first_bias);
    int64_t first, last;
    if (run->numbers->l2 != 0) fo_note(side, step, NAME(part_squares)(p, side->first, side->last));
    NAME(batch_of)(w, step, &first, &last);
    if (db) memset(db, 0, sizeof(T) * (size_t)p->classes);
    return NAME(add_rows)(p, first, last, last, w->n, w->first, 1, db, w->scratch, side);
}

/* The value of a batch, of which `loss` is the sum; 1 / its rows is noted. */
static double NAME(value)(const fo_problem *p, const fo_run *run, int64_t step, double loss, int paired)
{
    fo_numbers *numbers = run->numbers;
    int64_t first, last;
    NAME(batch_of)(run->worker, step, &first, &last);
    numbers->scale = 1 / (double)(last - first);
    double value = loss * numbers->scale;
    if (numbers->l2 != 0 && paired) value += numbers->l2 * fo_noted(run->side, step);
    else if (numbers->l2 != 0) {
        double squares = 0;
        for (int part = 0; part < NAME(parts)(p); part++) {
            NAME(part_of)(p, part, &first, &last);
            squares += NAME(part_squares)(p, first, last);
        }
        value += numbers->l2 * squares;
    }
    return value;
}

/* What one's own half adds to the squared norm of the gradient. */
static void NAME(note_norm)(const fo_problem *p, const fo_run *run, int64_t step)
{
    fo_note(run->side, step + 1,
            NAME(part_norm)(p, AT(const T, p->W), AT(const T, run->g->W), run->side->first, run->side->last,
                            (T)run->numbers->scale, (T)(2 * run->numbers->l2)));
}

/* Steps [begin, end); returns end, or the step before which it stopped: its loss is not finite. The coefficients' first
 * row is that of step `begin`; the norm is recorded at the last step. */
static int64_t NAME(steps)(fo_problem *p, fo_run *run, int64_t begin, int64_t end)
{
    fo_side *side = run->side;
    int paired = 0;
    for (int64_t step = begin; step < end; step++) {
        const double *k = AT(const double, run->K) + (step - begin) * run->k_count;
        int by_row = run->update_by_row && step < end - 1;
        double loss = 0;
        paired = side && fo_together(side, step + 1, run->blocks);
        if (paired) {
            loss = NAME(half_loss)(p, run, step);
            paired = !side->lost && fo_may_update(side);
        }
        if (by_row) loss = NAME(row_loss)(p, run, step);
        else if (!paired) loss = NAME(batch_loss)(p, run, step);
        double value = NAME(value)(p, run, step, loss, paired);
        if (!isfinite(value)) return step;
        run->numbers->loss += value;
        if (step == end - 1) {
            if (paired) NAME(note_norm)(p, run, step);
            else
                NAME(record_norm)(p, run, AT(const T, p->W), (T)run->numbers->scale, (T)(2 * run->numbers->l2));
        }
        if (by_row) NAME(descend_by_row)(p, run, k);
        else if (paired) NAME(descend)(p, run, k, side->first, side->last);
        else
            for (int part = 0; part < NAME(parts)(p); part++) {
                int64_t first, last;
                NAME(part_of)(p, part, &first, &last);
                NAME(descend)(p, run, k, first, last);
            }
    }
    if (paired) {
        fo_wait_for_update(side);
        NAME(write_norm)(p, run, fo_noted(side, end), (T)run->numbers->scale);
    }
    return end;
}

/* A helper's steps from this one on, until the leader has sent it away. */
static void NAME(help_steps)(fo_problem *p, fo_run *run, int64_t step, int64_t begin, int64_t end)
{
    fo_side *side = run->side;
    for (; step < end; step++) {
        fo_begin_step(side, step + 1, run->blocks);
        double loss = NAME(half_loss)(p, run, step);
        if (side->lost) return;
        if (!isfinite(NAME(value)(p, run, step, loss, 1))) fo_wait_to_be_sent_away(side);
        if (!fo_may_update(side)) return;
        if (step == end - 1) NAME(note_norm)(p, run, step);
        NAME(descend)(p, run, AT(const double, run->K) + (step - begin) * run->k_count, side->first, side->last);
        fo_after_update(side);
    }
}

/* What the helper of a pair does until the stretch is over. */
static void NAME(help_pair)(fo_problem *p, fo_run *run, int64_t begin, int64_t end)
{
    int64_t *state = fo_pair_state(run->side);
    while (!LOAD(fo_pair_stop(run->side))) {
        int64_t now = LOAD(state);
        if (now == PAIR_AWAY) STORE(state, PAIR_READY);
        else if (now == PAIR_READY || now / 2 > end) SPIN();
        else NAME(help_steps)(p, run, now / 2 - 1, begin, end);
    }
}
