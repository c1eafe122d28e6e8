/* SGD on CSR rows with W = alpha * V: a penalty shrinks alpha alone, and a step touches the features of
 * its rows only (Bottou, "Stochastic Gradient Descent Tricks", 2012, section 5.1). V is (features x
 * classes); a row of coefficients has the decay of W, the decay of b and the slope. The sum of V^2, for
 * the penalty's value, is kept up. Beyond these bounds alpha is taken into V. */
#define ALPHA_MIN 1e-6
#define ALPHA_MAX 1e6

/* C classes of one row; adds how much the sum of V^2 grew to *squares, if there is one. */
static ALWAYS_INLINE void NAME(entries_add)(const fo_data *data, T *V, int64_t i, int64_t stop, const T *slope,
                                            T *squares, const int C)
{
    const T *x = data->x;
    T grown[SPARSE_MAX] = {0};
    for (; i < stop; i++) {
        T *v = V + NAME(entry)(data, data->indices, i) * data->classes, value = x[i];
        UNROLL for (int c = 0; c < C; c++) {
            T change = value * slope[c], before = v[c];
            v[c] = before + change;
            if (squares) grown[c] += change * (before + v[c]);
        }
    }
    UNROLL for (int c = 0; squares && c < C; c++) *squares += grown[c];
}

/* V += factor * (dscores X) for the rows of one block that have slopes; returns how much the sum of V^2 grew,
 * 0 without squares. */
static double NAME(scaled_add)(const fo_data *data, T *V, int64_t first, int rows, const T *s, T factor,
                               int squares)
{
    int64_t classes = data->classes;
    double grown = 0;
    for (int r = 0; r < rows; r++) {
        int64_t row = NAME(row)(data, first + r);
        int64_t i = NAME(entry)(data, data->indptr, row), stop = NAME(entry)(data, data->indptr, row + 1);
        for (int64_t c = 0; c < classes; c += SPARSE_MAX) {
            int n = classes - c < SPARSE_MAX ? (int)(classes - c) : SPARSE_MAX, any = 0;
            T slope[SPARSE_MAX], part = 0;
            for (int k = 0; k < n; k++) slope[k] = factor * s[(c + k) * ROWS + r], any |= slope[k] != 0;
            if (!any) continue;
            if (squares) {
                EACH_COUNT(NAME(entries_add), n, data, V + c, i, stop, slope, &part)
            } else {
                EACH_COUNT(NAME(entries_add), n, data, V + c, i, stop, slope, 0)
            }
            grown += (double)part;
        }
    }
    return grown;
}

static double NAME(scaled_squares)(const T *V, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)V[i] * (double)V[i];
    return sum;
}

/* 2-norm of a batch's gradient: scale * (dV, db) and the penalty's part. */
static double NAME(scaled_norm)(const fo_data *data, const fo_scaled_training *t, int64_t first, int64_t last,
                                const T *s, const T *db, T *dV, double scale)
{
    const T *V = t->V;
    int64_t classes = data->classes, n = classes * data->features;
    double sum = 0;
    memset(dV, 0, sizeof(T) * (size_t)n);
    for (int64_t at = first; at < last; at += ROWS, s += classes * ROWS)
        NAME(scaled_add)(data, dV, at, last - at < ROWS ? (int)(last - at) : ROWS, s, 1, 0);
    for (int64_t i = 0; i < n; i++) {
        double g = scale * (double)dV[i] + 2 * t->l2 * t->alpha * (double)V[i];
        sum += g * g;
    }
    for (int64_t c = 0; c < classes; c++) sum += scale * scale * (double)db[c] * (double)db[c];
    return sqrt(sum);
}

static int64_t NAME(scaled)(const fo_data *data, fo_scaled_training *t, int64_t begin, int64_t end)
{
    int64_t classes = data->classes, n = classes * data->features, tile = classes * ROWS, step = begin;
    int64_t batch = t->batch < t->rows ? t->batch : t->rows, blocks = (batch + ROWS - 1) / ROWS;
    T *V = t->V, *b = t->b, *s = malloc(sizeof(T) * (size_t)(blocks * tile + classes + n));
    if (!s) return FO_NO_MEMORY;
    T *db = s + blocks * tile, *dV = db + classes;
    NAME(sparse) table = {V, V, V, 1, classes};
    for (; step < end; step++) {
        int64_t first = step * batch, last = first + batch < t->rows ? first + batch : t->rows;
        double value = 0, scale = 1 / (double)(last - first);
        memset(db, 0, sizeof(T) * (size_t)classes);
        for (int64_t at = first; at < last; at += ROWS) {
            T *own = s + (at - first) / ROWS * tile;
            NAME(block) block;
            block.rows = last - at < ROWS ? (int)(last - at) : ROWS;
            NAME(gather_labels)(data, at, &block);
            NAME(sparse_scores)(&table, data, 0, at, block.rows, t->rows, own);
            for (int64_t c = 0; c < classes; c++)
                for (int r = 0; r < ROWS; r++)
                    own[c * ROWS + r] = own[c * ROWS + r] * (T)t->alpha + (b ? b[c] : 0);
            value += NAME(finish_block)(data, &block, own, db);
        }
        value = value * scale + t->l2 * t->alpha * t->alpha * t->squares;
        if (!isfinite(value)) break;
        t->loss += value;
        if (step == end - 1) t->gradient_norm = NAME(scaled_norm)(data, t, first, last, s, db, dV, scale);
        const double *k = t->coefficients + 3 * (step - begin);
        double slope = k[2] * scale, grown = 0;
        int taken_over;
        t->alpha *= k[0];
        taken_over = !(t->alpha > ALPHA_MIN && t->alpha < ALPHA_MAX);
        if (taken_over) {
            for (int64_t i = 0; i < n; i++) V[i] *= (T)t->alpha;
            t->alpha = 1;
        }
        for (int64_t at = first; at < last; at += ROWS)
            grown += NAME(scaled_add)(data, V, at, last - at < ROWS ? (int)(last - at) : ROWS,
                                      s + (at - first) / ROWS * tile, (T)(slope / t->alpha),
                                      t->l2 != 0 && !taken_over);
        t->squares = taken_over && t->l2 != 0 ? NAME(scaled_squares)(V, n) : t->squares + grown;
        for (int64_t c = 0; b && c < classes; c++) b[c] = (T)(k[1] * (double)b[c] + slope * (double)db[c]);
    }
    free(s);
    return step;
}
#undef ALPHA_MIN
#undef ALPHA_MAX
