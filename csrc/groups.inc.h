/* A pass over rows in groups, as kernels/gradient/groups.py: each group's gradient is summed alone, then the groups'
 * in order, so that the sums do not depend on who did which group. */

/* Positions [first, last) of a step's rows; returns how many groups they are. */
static int64_t NAME(batch_of)(const fo_worker *w, int64_t step, int64_t *first, int64_t *last)
{
    *first = step * w->batch;
    *last = w->n - *first > w->batch ? *first + w->batch : w->n;
    int64_t groups = (*last - *first + w->group_rows - 1) / w->group_rows;
    return groups > 1 ? groups : 1;
}

/* Where this worker puts a group's dW and db. */
static void NAME(place_of)(const fo_problem *p, const fo_worker *w, int64_t group, int64_t *dw, int64_t *db)
{
    *dw = w->first, *db = w->first_bias;
    if (group > 0) {
        int64_t weights = NAME(elements_of)(p), size = sizeof(T);
        *dw = w->partials + (group - 1) * (weights + p->classes) * size;
        *db = *db ? *dw + weights * size : 0;
    }
}

/* The sums over one group of a step's rows; those from `coming` on will be wanted next. */
static void NAME(do_group)(fo_problem *p, const fo_worker *w, int64_t step, int64_t group, int64_t coming)
{
    int64_t first, last, dw, db;
    NAME(batch_of)(w, step, &first, &last);
    NAME(place_of)(p, w, group, &dw, &db);
    if (db) memset(AT(T, db), 0, sizeof(T) * (size_t)p->classes);
    int64_t begin = first + group * w->group_rows, end = begin + w->group_rows < last ? begin + w->group_rows : last;
    AT(double, w->losses)[group] = p->pass_kind ? NAME(pass_rows)(p, begin, end, coming, w->n, dw, AT(T, db), w->scratch)
                                                : NAME(add_rows)(p, begin, end, coming, w->n, dw, 1, AT(T, db), w->scratch, 0);
}

/* Groups of the only step, until none is left that nobody has taken. */
static void NAME(take_groups)(fo_problem *p, const fo_worker *w, int64_t *counter)
{
    int64_t first, last, groups = NAME(batch_of)(w, 0, &first, &last), group;
    while ((group = ADD(counter, 1)) < groups) NAME(do_group)(p, w, 0, group, (group + 1) * w->group_rows);
}

/* target = scale * (the sources in order) + twice_l2 * w. */
static void NAME(add_up)(int64_t count, T *target, const int64_t *sources, int64_t groups, T scale, const T *w, T twice_l2)
{
    for (int64_t i = 0; i < count; i += BUFFER) {
        T sum[BUFFER];
        int64_t n = count - i < BUFFER ? count - i : BUFFER;
        const T *from = AT(const T, sources[0]) + i;
        for (int64_t j = 0; j < n; j++) sum[j] = from[j];
        for (int64_t g = 1; g < groups; g++) {
            from = AT(const T, sources[g]) + i;
            for (int64_t j = 0; j < n; j++) sum[j] += from[j];
        }
        for (int64_t j = 0; j < n; j++) sum[j] *= scale;
        for (int64_t j = 0; twice_l2 != 0 && j < n; j++) sum[j] = FMA(w[i + j], twice_l2, sum[j]);
        memcpy(target + i, sum, sizeof(T) * (size_t)n);
    }
}

/* scale * (sum over a step's groups) + twice_l2 * W to dW and db; returns the groups' loss. Bit k of `theirs` is set
 * where group k was done by others, into that worker's places. */
static double NAME(join)(const fo_problem *p, const fo_worker *w, const fo_worker *others, int64_t theirs, int64_t groups,
                         T scale, T twice_l2)
{
    int64_t *sources = AT(int64_t, w->sources);
    double loss = 0;
    for (int64_t g = 0; g < groups; g++) {
        const fo_worker *whose = theirs >> g & 1 ? others : w;
        NAME(place_of)(p, whose, g, sources + g, sources + FO_MOST_GROUPS + g);
        loss += AT(const double, whose->losses)[g];
    }
    if (groups > 1 || theirs || scale != 1 || twice_l2 != 0) {
        NAME(add_up)(NAME(elements_of)(p), AT(T, w->first), sources, groups, scale, AT(const T, p->W), twice_l2);
        if (w->first_bias)
            NAME(add_up)(p->classes, AT(T, w->first_bias), sources + FO_MOST_GROUPS, groups, scale, 0, 0);
    }
    return loss;
}

/* In double the sum of 16 vectors' lanes at a time. */
static double NAME(sum_of_squares)(const T *x, int64_t count)
{
    double total = 0;
    for (int64_t i = 0; i < count; i += 16 * LANES) {
        T sum[LANES] = {0};
        int64_t stop = count - i < 16 * LANES ? count : i + 16 * LANES, j = i;
        for (; j + LANES <= stop; j += LANES)
            for (int k = 0; k < LANES; k++) sum[k] = FMA(x[j + k], x[j + k], sum[k]);
        for (int k = 0; j + k < stop; k++) sum[k] = FMA(x[j + k], x[j + k], sum[k]);
        total += NAME(sum_lanes)(sum);
    }
    return total;
}

/* Groups that nobody has taken, then all groups' sums, in order, to dW and db; the value is returned. */
static double NAME(finish_gradient)(fo_problem *p, const fo_worker *w, int64_t *counter, double scale, double l2)
{
    int64_t first, last, groups = NAME(batch_of)(w, 0, &first, &last);
    NAME(take_groups)(p, w, counter);
    double loss = NAME(join)(p, w, w, 0, groups, (T)scale, (T)(2 * l2));
    double penalty = l2 != 0 ? l2 * NAME(sum_of_squares)(AT(const T, p->W), NAME(elements_of)(p)) : 0;
    return loss * scale + penalty;
}
