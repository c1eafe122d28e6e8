/* Dual coordinate ascent on rows whose values are of type T: passes over the rows, each of which moves its dual variable, or one
 * a class, to its best. All sums are double.
 *
 * The weights w = sum over rows of the dual variables times X, / (2 l2), are kept up to date, and b likewise with 1 / (2 rho)
 * for the sum. solvers/dual.py has the sources. */

static void NAME(row_span)(const fo_ascent *a, int64_t i, int64_t *begin, int64_t *end)
{
    const int64_t *indptr = AT(const int64_t, a->indptr);
    *begin = indptr ? indptr[i] : i * a->features;
    *end = indptr ? indptr[i + 1] : *begin + a->features;
}

/* Without values all entries are 1: a row of a9a takes 0.55 to 0.6 of the time. */
static double NAME(sum_at)(const int32_t *indices, int64_t begin, int64_t end, const double *w)
{
    double even = 0, odd = 0;
    int64_t k = begin;
    for (; k < end - 1; k += 2) even += w[indices[k]], odd += w[indices[k + 1]];
    if (k < end) even += w[indices[k]];
    return even + odd;
}

static double NAME(sparse_dot)(const T *values, const int32_t *indices, int64_t begin, int64_t end, const double *w)
{
    double even = 0, odd = 0;
    int64_t k = begin;
    for (; k < end - 1; k += 2) {
        even += values[k] * w[indices[k]];
        odd += values[k + 1] * w[indices[k + 1]];
    }
    if (k < end) even += values[k] * w[indices[k]];
    return even + odd;
}

static void NAME(sparse_add)(const T *values, const int32_t *indices, int64_t begin, int64_t end, double *w, double factor)
{
    for (int64_t k = begin; k < end; k++) w[indices[k]] += factor * values[k];
}

static double NAME(dense_dot)(const T *RESTRICT values, const double *RESTRICT w, int64_t n)
{
    double sums[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        LANEWISE for (int k = 0; k < LANES; k++) sums[k] += (double)values[i + k] * w[i + k];
    for (int k = 0; i < n; i++, k++) sums[k] += (double)values[i] * w[i];
    return tree(sums);
}

static double NAME(score)(const fo_ascent *a, int64_t begin, int64_t end)
{
    const T *values = AT(const T, a->values);
    const int32_t *indices = AT(const int32_t, a->indices);
    const double *w = AT(const double, a->w);
    if (!a->indptr) return NAME(dense_dot)(values + begin, w, end - begin);
    return values ? NAME(sparse_dot)(values, indices, begin, end, w) : NAME(sum_at)(indices, begin, end, w);
}

static void NAME(add_row)(const fo_ascent *a, int64_t begin, int64_t end, double factor)
{
    const T *RESTRICT values = AT(const T, a->values);
    const int32_t *indices = AT(const int32_t, a->indices);
    double *RESTRICT w = AT(double, a->w);
    if (!a->indptr)
        for (int64_t k = 0; k < end - begin; k++) w[k] += factor * values[begin + k];
    else if (values) NAME(sparse_add)(values, indices, begin, end, w, factor);
    else
        for (int64_t k = begin; k < end; k++) w[indices[k]] += factor;
}

/* Ask for what a pass will want of row i: rows come in an order that no prefetcher guesses. */
static void NAME(fetch_row)(const fo_ascent *a, int64_t i)
{
    int64_t begin, end, step = 64 / (int64_t)sizeof(T);
    NAME(row_span)(a, i, &begin, &end);
    int64_t last = end < begin + FETCHED * step ? end : begin + FETCHED * step;
    PREFETCH(a->rows + i * (int64_t)sizeof(fo_ascent_row));
    for (int64_t k = begin; a->values && k < last; k += step) PREFETCH(a->values + k * (int64_t)sizeof(T));
    for (int64_t k = begin; a->indices && k < last; k += 16) PREFETCH(a->indices + k * 4);
}

/* The row at place `at` of the order; the one AHEAD of it is fetched. */
static int64_t NAME(next_row)(const fo_ascent *a, int64_t at, int64_t count)
{
    const int32_t *order = AT(const int32_t, a->order);
    NAME(fetch_row)(a, order[at + AHEAD < count ? at + AHEAD : count - 1]);
    return order[at];
}

/* Each dual variable of the rows in use, in a new order, in [0, most] to its best. Rows at a bound far from wanting to leave
 * it are put aside, as in liblinear, but for NARROW; inverse_q may be up to twice the inverse (over-relaxation). Source: Hsieh et
 * al. 2008. */
static void NAME(ascent_pass)(fo_ascent *a)
{
    fo_ascent_numbers *numbers = a->numbers;
    int32_t *order = AT(int32_t, a->order);
    const double inverse = numbers->one_over_l2, inverse_rho = numbers->one_over_rho, margin = numbers->margin;
    const double high = numbers->high, low = numbers->low;
    double worst_high = 0, worst_low = 0, b = *AT(const double, a->b);
    int64_t count = a->active, begin, end;
    shuffle(a);
    for (int64_t at = 0; at < count;) {
        const int64_t i = NAME(next_row)(a, at, count);
        fo_ascent_row *row = AT(fo_ascent_row, a->rows) + i;
        NAME(row_span)(a, i, &begin, &end);
        const double slope = row->z * (b + NAME(score)(a, begin, end)) - margin + row->alpha * row->bend;
        const double alpha = row->alpha, new_alpha = within(alpha - slope * row->inverse_q, 0, row->most);
        const double move = (new_alpha - alpha) * row->z;
        if (move == 0) {
            if ((alpha == 0 && slope > high) || (alpha == row->most && slope < low)) {
                order[at] = order[--count], order[count] = (int32_t)i;
                continue;
            }
        } else {
            worst_high = slope > worst_high ? slope : worst_high;
            worst_low = slope < worst_low ? slope : worst_low;
            row->alpha = new_alpha;
            b += move * inverse_rho;
            NAME(add_row)(a, begin, end, move * inverse);
        }
        at++;
    }
    *AT(double, a->b) = b;
    a->active = count;
    numbers->worst = worst_high - worst_low;
    numbers->high = worst_high > 0 ? NARROW * worst_high : HUGE_VAL;
    numbers->low = worst_low < 0 ? NARROW * worst_low : -HUGE_VAL;
}

/* The same for a target z: each dual variable in [bend, most], with margin * |it| against it. Source: Ho & Lin 2012, without
 * putting rows aside. */
static void NAME(target_pass)(fo_ascent *a)
{
    fo_ascent_numbers *numbers = a->numbers;
    const double inverse = numbers->one_over_l2, inverse_rho = numbers->one_over_rho, margin = numbers->margin;
    double worst = 0, b = *AT(const double, a->b);
    int64_t begin, end;
    shuffle(a);
    for (int64_t at = 0; at < a->active; at++) {
        const int64_t i = NAME(next_row)(a, at, a->active);
        fo_ascent_row *row = AT(fo_ascent_row, a->rows) + i;
        NAME(row_span)(a, i, &begin, &end);
        const double alpha = row->alpha, q = row->inverse_q;
        const double unheld = alpha - (b + NAME(score)(a, begin, end) - row->z) * q;
        const double move = lowest(unheld, margin * q, row->bend, row->most) - alpha;
        if (move == 0) continue;
        const double size = fabs(move) / q;
        worst = size > worst ? size : worst;
        row->alpha = alpha + move;
        b += move * inverse_rho;
        NAME(add_row)(a, begin, end, move * inverse);
    }
    *AT(double, a->b) = b;
    numbers->worst = worst;
}

/* The same for several classes, W (features, classes): Weston-Watkins, or Crammer-Singer. A row that does not move is put aside. */
static void NAME(multiclass_pass)(fo_ascent *a, const fo_ascent_classes *of)
{
    const int64_t classes = of->classes;
    fo_ascent_numbers *numbers = a->numbers;
    const double inverse = numbers->one_over_l2, inverse_rho = numbers->one_over_rho;
    int32_t *order = AT(int32_t, a->order);
    const int32_t *indices = AT(const int32_t, a->indices);
    const T *values = AT(const T, a->values);
    double *RESTRICT scores = of->room, *RESTRICT moves = scores + classes, *b = AT(double, a->b), worst = 0;
    shuffle(a);
    for (int64_t at = 0; at < a->active;) {
        const int64_t i = order[at];
        int64_t begin, end;
        NAME(row_span)(a, i, &begin, &end);
        memcpy(scores, b, sizeof(double) * (size_t)classes);
        for (int64_t k = begin; k < end; k++) {
            const double *RESTRICT w = AT(const double, a->w) + (indices ? indices[k] : k - begin) * classes, x = values ? values[k] : 1;
            for (int64_t c = 0; c < classes; c++) scores[c] += x * w[c];
        }
        const double q = of->squares[i] * inverse + inverse_rho;
        memset(moves, 0, sizeof(double) * (size_t)classes);
        double moved = of->one_of_a_row ? one_of_a_row(of, i, numbers->margin, q) : all_of_a_row(of, i, numbers->margin, q);
        if (!(moved > 0)) {
            order[at] = order[--a->active], order[a->active] = (int32_t)i;
            continue;
        }
        at++;
        worst = moved > worst ? moved : worst;
        for (int64_t c = 0; c < classes; c++) b[c] += moves[c] * inverse_rho, moves[c] *= inverse;
        for (int64_t k = begin; k < end; k++) {
            double *RESTRICT w = AT(double, a->w) + (indices ? indices[k] : k - begin) * classes;
            const double x = values ? values[k] : 1;
            for (int64_t c = 0; c < classes; c++) w[c] += moves[c] * x;
        }
    }
    numbers->worst = worst;
}

/* |x|^2 of each row. */
static void NAME(row_squares)(const fo_ascent *a, int64_t n, double *squares)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t begin, end;
        NAME(row_span)(a, i, &begin, &end);
        if (!a->values) {
            squares[i] = (double)(end - begin);
            continue;
        }
        double sums[LANES] = {0};
        const T *x = AT(const T, a->values) + begin;
        for (int64_t k = 0; k < end - begin; k++) sums[k % LANES] += (double)x[k] * x[k];
        squares[i] = tree(sums);
    }
}
