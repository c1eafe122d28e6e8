/* The losses: scores of a block in, dscores in their place, one loss a row.
 *
 * s is class-major, s[c * ROWS + r]: the loops run over rows, which are the vector's lanes. Comparisons
 * are turned so that a NaN score gives a NaN loss.
 */

static void NAME(softmax)(T *s, int64_t classes, const INT *y, T *loss)
{
    T top[ROWS], sum[ROWS] = {0}, own[ROWS];
    for (int r = 0; r < ROWS; r++) own[r] = s[y[r] * ROWS + r], top[r] = s[r];
    for (int64_t c = 1; c < classes; c++)
        for (int r = 0; r < ROWS; r++) top[r] = s[c * ROWS + r] > top[r] ? s[c * ROWS + r] : top[r];
    for (int64_t c = 0; c < classes; c++)
        for (int r = 0; r < ROWS; r++) {
            T e = NAME(vexp)(s[c * ROWS + r] - top[r]);
            s[c * ROWS + r] = e;
            sum[r] += e;
        }
    for (int r = 0; r < ROWS; r++) loss[r] = NAME(vlog)(sum[r]) + (top[r] - own[r]);
    for (int r = 0; r < ROWS; r++) sum[r] = 1 / sum[r];
    for (int64_t c = 0; c < classes; c++)
        for (int r = 0; r < ROWS; r++) s[c * ROWS + r] *= sum[r];
    for (int r = 0; r < ROWS; r++) s[y[r] * ROWS + r] -= 1;
}

/* sum over j != y of max(0, s_j - s_y + margin), or of its square. */
static void NAME(multiclass_hinge)(T *s, int64_t classes, const INT *y, T *loss, T margin, int squared)
{
    T own[ROWS], sum[ROWS] = {0};
    for (int r = 0; r < ROWS; r++) own[r] = s[y[r] * ROWS + r], loss[r] = 0;
    for (int64_t c = 0; c < classes; c++)
        for (int r = 0; r < ROWS; r++) {
            T t = s[c * ROWS + r] - own[r] + margin;
            t = t <= 0 ? 0 : t;
            t = y[r] == (INT)c ? 0 : t;
            T slope = squared ? 2 * t : t == 0 ? (T)0 : (T)1;
            loss[r] += squared ? t * t : t;
            s[c * ROWS + r] = slope;
            sum[r] += slope;
        }
    for (int r = 0; r < ROWS; r++) s[y[r] * ROWS + r] = -sum[r];
}

static void NAME(squared_error)(T *s, int64_t classes, const INT *y, const T *targets, T *loss)
{
    for (int r = 0; r < ROWS; r++) loss[r] = 0;
    for (int64_t c = 0; c < classes; c++)
        for (int r = 0; r < ROWS; r++) {
            T target = targets ? targets[r] : y[r] == (INT)c ? (T)1 : (T)0;
            T d = s[c * ROWS + r] - target;
            s[c * ROWS + r] = d;
            loss[r] += (T)0.5 * (d * d);
        }
}

/* One versus rest; with a single row of W the positive label is 1. */
static void NAME(logistic)(T *s, int64_t classes, const INT *y, T *loss)
{
    for (int r = 0; r < ROWS; r++) loss[r] = 0;
    for (int64_t c = 0; c < classes; c++)
        for (int r = 0; r < ROWS; r++) {
            T z = y[r] == (INT)(classes == 1 ? 1 : c) ? (T)1 : (T)-1;
            T a = z * s[c * ROWS + r];
            T e = NAME(vexp)(a > 0 ? -a : a);
            T small = e / (1 + e);
            s[c * ROWS + r] = -z * (a > 0 ? small : 1 - small);
            loss[r] += (a > 0 ? 0 : -a) + NAME(vlog1p)(e);
        }
}

/* max(0, 1 - z s), or its square. */
static void NAME(hinge)(T *s, int64_t classes, const INT *y, T *loss, int squared)
{
    for (int r = 0; r < ROWS; r++) loss[r] = 0;
    for (int64_t c = 0; c < classes; c++)
        for (int r = 0; r < ROWS; r++) {
            T z = y[r] == (INT)(classes == 1 ? 1 : c) ? (T)1 : (T)-1;
            T t = 1 - z * s[c * ROWS + r];
            t = t <= 0 ? 0 : t;
            loss[r] += squared ? t * t : t;
            s[c * ROWS + r] = t <= 0 ? 0 : squared ? -z * (2 * t) : -z;
        }
}

static void NAME(modified_huber)(T *s, int64_t classes, const INT *y, T *loss)
{
    for (int r = 0; r < ROWS; r++) loss[r] = 0;
    for (int64_t c = 0; c < classes; c++)
        for (int r = 0; r < ROWS; r++) {
            T z = y[r] == (INT)(classes == 1 ? 1 : c) ? (T)1 : (T)-1;
            T m = z * s[c * ROWS + r];
            T t = 1 - m;
            t = t <= 0 ? 0 : t;
            loss[r] += m < -1 ? -4 * m : t * t;
            s[c * ROWS + r] = -z * (m < -1 ? 4 : 2 * t);
        }
}

/* Losses of one number a score, less its target: h is (delta), (epsilon, squared) or (quantile). */
static void NAME(residual)(int kind, T *s, int64_t classes, const INT *y, const T *targets, T *loss,
                           const double *h)
{
    T h0 = h && kind != FO_POISSON ? (T)h[0] : 0;
    int squared = kind == FO_EPSILON_INSENSITIVE && h[1] != 0;
    for (int r = 0; r < ROWS; r++) loss[r] = 0;
    for (int64_t c = 0; c < classes; c++)
        for (int r = 0; r < ROWS; r++) {
            T target = targets ? targets[r] : y[r] == (INT)c ? (T)1 : (T)0;
            T d = s[c * ROWS + r] - target, a = d < 0 ? -d : d;
            if (kind == FO_HUBER) {
                T m = a > h0 ? h0 : a;
                loss[r] += m * (a - m / 2);
                d = d < 0 ? -m : m;
            } else if (kind == FO_EPSILON_INSENSITIVE) {
                T t = a - h0;
                t = t <= 0 ? 0 : t;
                T slope = squared ? 2 * t : t == 0 ? (T)0 : (T)1;
                loss[r] += squared ? t * t : t;
                d = d < 0 ? -slope : slope;
            } else if (kind == FO_QUANTILE) {
                loss[r] += d < 0 ? -h0 * d : (1 - h0) * d;
                d = d < 0 ? -h0 : d > 0 ? 1 - h0 : 0;
            } else {
                T e = NAME(vexp)(s[c * ROWS + r]);
                loss[r] += e - target * s[c * ROWS + r];
                d = e - target;
            }
            s[c * ROWS + r] = d;
        }
}

static void NAME(loss_rows)(const fo_data *data, T *s, const INT *y, const T *targets, T *loss)
{
    int64_t classes = data->classes;
    targets = data->targets ? targets : 0;
    switch (data->loss) {
    case FO_SOFTMAX: NAME(softmax)(s, classes, y, loss); break;
    case FO_MULTICLASS_HINGE:
        if (data->h[1] != 0)
            NAME(multiclass_hinge)(s, classes, y, loss, (T)data->h[0], 1);
        else
            NAME(multiclass_hinge)(s, classes, y, loss, (T)data->h[0], 0);
        break;
    case FO_SQUARED_ERROR: NAME(squared_error)(s, classes, y, targets, loss); break;
    case FO_LOGISTIC: NAME(logistic)(s, classes, y, loss); break;
    case FO_HINGE: NAME(hinge)(s, classes, y, loss, 0); break;
    case FO_SQUARED_HINGE: NAME(hinge)(s, classes, y, loss, 1); break;
    case FO_MODIFIED_HUBER: NAME(modified_huber)(s, classes, y, loss); break;
    case FO_HUBER: NAME(residual)(FO_HUBER, s, classes, y, targets, loss, data->h); break;
    case FO_EPSILON_INSENSITIVE:
        NAME(residual)(FO_EPSILON_INSENSITIVE, s, classes, y, targets, loss, data->h);
        break;
    case FO_QUANTILE: NAME(residual)(FO_QUANTILE, s, classes, y, targets, loss, data->h); break;
    case FO_POISSON: NAME(residual)(FO_POISSON, s, classes, y, targets, loss, data->h); break;
    default: break; /* refused in fo_data_status */
    }
}
