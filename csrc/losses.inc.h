/* The losses of LANES rows: scores s[c * ROWS + r] and labels y[r] in, derivatives d[c * ROWS + r] and a loss a row out.
 *
 * The operations of `rows` in fastopt/losses in the same order. Labels are numbers of type T, class numbers too; soft ones
 * are y[c * ROWS + r]. The loops run over rows, which are the vector's lanes. */
#define ROWS_OF_LOSS const T *RESTRICT s, const T *RESTRICT y, T *RESTRICT d, int64_t classes, T *RESTRICT loss
#define EACH_ROW LANEWISE for (int r = 0; r < LANES; r++)
#define EACH_CLASS for (int64_t c = 0; c < classes; c++, s += ROWS, d += ROWS)

/* NaN where either is NaN, as np.maximum and np.minimum. */
static inline T NAME(larger)(T a, T b) { return ((b > a) | (b != b)) ? b : a; }
static inline T NAME(smaller)(T a, T b) { return ((b < a) | (b != b)) ? b : a; }

static void NAME(softmax)(ROWS_OF_LOSS)
{
    T top[LANES], own[LANES], total[LANES];
    EACH_ROW top[r] = own[r] = s[r], total[r] = 0;
    for (int64_t c = 1; c < classes; c++)
        EACH_ROW {
            T score = s[c * ROWS + r];
            top[r] = NAME(larger)(top[r], score);
            own[r] = y[r] == (T)c ? score : own[r];
        }
    for (int64_t c = 0; c < classes; c++)
        EACH_ROW {
            T e = NAME(vexp)(s[c * ROWS + r] - top[r]);
            total[r] += e;
            d[c * ROWS + r] = e;
        }
    EACH_ROW loss[r] = NAME(vlog)(total[r]) + (top[r] - own[r]), total[r] = 1 / total[r];
    for (int64_t c = 0; c < classes; c++)
        EACH_ROW {
            T share = d[c * ROWS + r] * total[r];
            d[c * ROWS + r] = y[r] == (T)c ? share - 1 : share;
        }
}

static ALWAYS_INLINE void NAME(multiclass_hinge)(ROWS_OF_LOSS, T margin, const int squared)
{
    T own[LANES], slope[LANES];
    EACH_ROW own[r] = s[r], slope[r] = 0, loss[r] = 0;
    for (int64_t c = 1; c < classes; c++)
        EACH_ROW own[r] = y[r] == (T)c ? s[c * ROWS + r] : own[r];
    for (int64_t c = 0; c < classes; c++)
        EACH_ROW {
            T t = NAME(larger)(s[c * ROWS + r] - own[r] + margin, 0);
            t = y[r] == (T)c ? (T)0 : t;
            T change = squared ? 2 * t : t > 0 ? (T)1 : (T)0;
            loss[r] += squared ? t * t : t;
            d[c * ROWS + r] = change;
            slope[r] += change;
        }
    for (int64_t c = 0; c < classes; c++)
        EACH_ROW d[c * ROWS + r] = y[r] == (T)c ? -slope[r] : d[c * ROWS + r];
}

/* What a loss of the residual has of row r: the score less its target. */
#define RESIDUAL (classes == 1 ? s[r] - y[r] : y[r] == (T)c ? s[r] - 1 : s[r])

static void NAME(squared_error)(ROWS_OF_LOSS)
{
    EACH_ROW loss[r] = 0;
    EACH_CLASS EACH_ROW {
        T t = RESIDUAL;
        loss[r] += t * t;
        d[r] = t;
    }
    EACH_ROW loss[r] /= 2;
}

static void NAME(logistic)(ROWS_OF_LOSS)
{
    EACH_ROW loss[r] = 0;
    EACH_CLASS EACH_ROW {
        int positive = y[r] == (T)c;
        T m = positive ? s[r] : -s[r];
        T e = NAME(vexp)(-FABS(m));
        loss[r] += NAME(larger)(-m, 0) + NAME(vlog1p)(e);
        T q = (m > 0 ? e : 1) / (1 + e);
        d[r] = positive ? -q : q;
    }
}

static void NAME(hinge)(ROWS_OF_LOSS)
{
    EACH_ROW loss[r] = 0;
    EACH_CLASS EACH_ROW {
        int positive = y[r] == (T)c;
        T t = 1 - (positive ? s[r] : -s[r]);
        loss[r] += NAME(larger)(t, 0);
        d[r] = t > 0 ? positive ? (T)-1 : (T)1 : (T)0;
    }
}

static void NAME(squared_hinge)(ROWS_OF_LOSS)
{
    EACH_ROW loss[r] = 0;
    EACH_CLASS EACH_ROW {
        int positive = y[r] == (T)c;
        T t = NAME(larger)(1 - (positive ? s[r] : -s[r]), 0);
        loss[r] += t * t;
        d[r] = positive ? -2 * t : 2 * t;
    }
}

static void NAME(modified_huber)(ROWS_OF_LOSS)
{
    EACH_ROW loss[r] = 0;
    EACH_CLASS EACH_ROW {
        int positive = y[r] == (T)c;
        T m = positive ? s[r] : -s[r];
        T t = NAME(smaller)(NAME(larger)(1 - m, 0), 2);
        loss[r] += m < -1 ? -4 * m : t * t;
        d[r] = positive ? -2 * t : 2 * t;
    }
}

static void NAME(huber)(ROWS_OF_LOSS, T delta)
{
    EACH_ROW loss[r] = 0;
    EACH_CLASS EACH_ROW {
        T t = RESIDUAL, size = FABS(t);
        loss[r] += size <= delta ? t * t / 2 : delta * (size - delta / 2);
        d[r] = NAME(larger)(NAME(smaller)(t, delta), -delta);
    }
}

static ALWAYS_INLINE void NAME(epsilon_insensitive)(ROWS_OF_LOSS, T epsilon, const int squared)
{
    EACH_ROW loss[r] = 0;
    EACH_CLASS EACH_ROW {
        T t = RESIDUAL, beyond = NAME(larger)(FABS(t) - epsilon, 0);
        loss[r] += squared ? beyond * beyond : beyond;
        if (squared)
            d[r] = t > 0 ? 2 * beyond : -2 * beyond;
        else
            d[r] = beyond > 0 ? t > 0 ? (T)1 : (T)-1 : (T)0;
    }
}

static void NAME(quantile)(ROWS_OF_LOSS, T q)
{
    const T above = (T)(1 - (double)q);
    EACH_ROW loss[r] = 0;
    EACH_CLASS EACH_ROW {
        T t = RESIDUAL;
        loss[r] += t < 0 ? -q * t : above * t;
        d[r] = t < 0 ? -q : t > 0 ? above : (T)0;
    }
}

static void NAME(poisson)(ROWS_OF_LOSS)
{
    EACH_ROW loss[r] = 0;
    EACH_CLASS EACH_ROW {
        T target = classes == 1 ? y[r] : y[r] == (T)c ? (T)1 : (T)0;
        T mean = NAME(vexp)(s[r]);
        loss[r] += mean - target * s[r];
        d[r] = mean - target;
    }
}

static void NAME(softmax_of_shares)(ROWS_OF_LOSS)
{
    T top[LANES], total[LANES], below[LANES], mass[LANES], scale[LANES];
    EACH_ROW top[r] = s[r], total[r] = below[r] = mass[r] = 0;
    for (int64_t c = 1; c < classes; c++)
        EACH_ROW top[r] = NAME(larger)(top[r], s[c * ROWS + r]);
    for (int64_t c = 0; c < classes; c++)
        EACH_ROW {
            T share = y[c * ROWS + r], e = NAME(vexp)(s[c * ROWS + r] - top[r]);
            total[r] += e;
            mass[r] += share;
            below[r] += share * (top[r] - s[c * ROWS + r]);
            d[c * ROWS + r] = e;
        }
    EACH_ROW scale[r] = mass[r] / total[r], loss[r] = mass[r] * NAME(vlog)(total[r]) + below[r];
    for (int64_t c = 0; c < classes; c++)
        EACH_ROW d[c * ROWS + r] = d[c * ROWS + r] * scale[r] - y[c * ROWS + r];
}

static void NAME(logistic_of_shares)(ROWS_OF_LOSS)
{
    EACH_ROW loss[r] = 0;
    EACH_CLASS EACH_ROW {
        T share = y[c * ROWS + r], e = NAME(vexp)(-FABS(s[r])), less = NAME(vlog1p)(e);
        loss[r] += share * (NAME(larger)(-s[r], 0) + less) + (1 - share) * (NAME(larger)(s[r], 0) + less);
        T low = e / (1 + e), high = 1 / (1 + e);
        d[r] = (1 - share) * (s[r] > 0 ? high : low) - share * (s[r] > 0 ? low : high);
    }
}

/* h: the loss's hyperparameters. */
static void NAME(loss_rows)(int64_t kind, const double *h, const T *s, const T *y, T *d, int64_t classes, T *loss)
{
    switch (kind) {
    case FO_SOFTMAX: NAME(softmax)(s, y, d, classes, loss); break;
    case FO_MULTICLASS_HINGE:
        if (h[1] != 0)
            NAME(multiclass_hinge)(s, y, d, classes, loss, NAME(narrow)(h[0]), 1);
        else
            NAME(multiclass_hinge)(s, y, d, classes, loss, NAME(narrow)(h[0]), 0);
        break;
    case FO_SQUARED_ERROR: NAME(squared_error)(s, y, d, classes, loss); break;
    case FO_LOGISTIC: NAME(logistic)(s, y, d, classes, loss); break;
    case FO_HINGE: NAME(hinge)(s, y, d, classes, loss); break;
    case FO_SQUARED_HINGE: NAME(squared_hinge)(s, y, d, classes, loss); break;
    case FO_MODIFIED_HUBER: NAME(modified_huber)(s, y, d, classes, loss); break;
    case FO_HUBER: NAME(huber)(s, y, d, classes, loss, NAME(narrow)(h[0])); break;
    case FO_EPSILON_INSENSITIVE:
        if (h[1] != 0)
            NAME(epsilon_insensitive)(s, y, d, classes, loss, NAME(narrow)(h[0]), 1);
        else
            NAME(epsilon_insensitive)(s, y, d, classes, loss, NAME(narrow)(h[0]), 0);
        break;
    case FO_QUANTILE: NAME(quantile)(s, y, d, classes, loss, NAME(narrow)(h[0])); break;
    case FO_POISSON: NAME(poisson)(s, y, d, classes, loss); break;
    case FO_SOFTMAX_OF_SHARES: NAME(softmax_of_shares)(s, y, d, classes, loss); break;
    case FO_LOGISTIC_OF_SHARES: NAME(logistic_of_shares)(s, y, d, classes, loss); break;
    default: break; /* refused in fo_data_status */
    }
}

/* d = the second derivatives by the scores, times v: `curvature` in fastopt/losses. Losses without one are not asked. */
#define CURVATURE const T *RESTRICT s, const T *RESTRICT y, const T *RESTRICT v, T *RESTRICT d, int64_t classes
#define EACH_ENTRY for (int64_t c = 0; c < classes; c++, s += ROWS, v += ROWS, d += ROWS) EACH_ROW

static ALWAYS_INLINE void NAME(softmax_curvature)(CURVATURE, const int shares)
{
    T top[LANES], mass[LANES], total[LANES], mean[LANES], scale[LANES];
    EACH_ROW top[r] = s[r], mass[r] = y[r], total[r] = mean[r] = 0;
    for (int64_t c = 1; c < classes; c++)
        EACH_ROW {
            top[r] = NAME(larger)(top[r], s[c * ROWS + r]);
            if (shares) mass[r] += y[c * ROWS + r];
        }
    for (int64_t c = 0; c < classes; c++)
        EACH_ROW {
            T e = NAME(vexp)(s[c * ROWS + r] - top[r]);
            total[r] += e;
            mean[r] += e * v[c * ROWS + r];
            d[c * ROWS + r] = e;
        }
    EACH_ROW scale[r] = 1 / total[r], mean[r] *= scale[r];
    for (int64_t c = 0; c < classes; c++)
        EACH_ROW {
            T bend = d[c * ROWS + r] * scale[r] * (v[c * ROWS + r] - mean[r]);
            d[c * ROWS + r] = shares ? bend * mass[r] : bend;
        }
}

static void NAME(multiclass_hinge_curvature)(CURVATURE, T margin)
{
    T own[LANES], own_v[LANES], total[LANES];
    EACH_ROW own[r] = s[r], own_v[r] = v[r], total[r] = 0;
    for (int64_t c = 1; c < classes; c++)
        EACH_ROW {
            own[r] = y[r] == (T)c ? s[c * ROWS + r] : own[r];
            own_v[r] = y[r] == (T)c ? v[c * ROWS + r] : own_v[r];
        }
    for (int64_t c = 0; c < classes; c++)
        EACH_ROW {
            T active = s[c * ROWS + r] - own[r] + margin > 0 ? (T)2 : (T)0;
            active = y[r] == (T)c ? (T)0 : active;
            d[c * ROWS + r] = active * (v[c * ROWS + r] - own_v[r]);
            total[r] += d[c * ROWS + r];
        }
    for (int64_t c = 0; c < classes; c++)
        EACH_ROW d[c * ROWS + r] = y[r] == (T)c ? -total[r] : d[c * ROWS + r];
}

static void NAME(logistic_curvature)(CURVATURE)
{
    (void)y;
    EACH_ENTRY {
        T e = NAME(vexp)(-FABS(s[r]));
        d[r] = v[r] * (e / ((1 + e) * (1 + e)));
    }
}

static void NAME(loss_curvature)(int64_t kind, const double *h, CURVATURE)
{
    const int limited = kind == FO_MULTICLASS_HINGE || kind == FO_HUBER || kind == FO_EPSILON_INSENSITIVE;
    const T limit = limited ? NAME(narrow)(h[0]) : (T)0;
    switch (kind) {
    case FO_SOFTMAX: NAME(softmax_curvature)(s, y, v, d, classes, 0); break;
    case FO_SOFTMAX_OF_SHARES: NAME(softmax_curvature)(s, y, v, d, classes, 1); break;
    case FO_LOGISTIC:
    case FO_LOGISTIC_OF_SHARES: NAME(logistic_curvature)(s, y, v, d, classes); break;
    case FO_MULTICLASS_HINGE: NAME(multiclass_hinge_curvature)(s, y, v, d, classes, limit); break;
    case FO_SQUARED_ERROR: EACH_ENTRY d[r] = v[r]; break;
    case FO_SQUARED_HINGE: EACH_ENTRY d[r] = (y[r] == (T)c ? s[r] : -s[r]) < 1 ? 2 * v[r] : (T)0; break;
    case FO_MODIFIED_HUBER:
        EACH_ENTRY {
            T m = y[r] == (T)c ? s[r] : -s[r];
            d[r] = (m < 1) & (m >= -1) ? 2 * v[r] : (T)0;
        }
        break;
    case FO_HUBER: EACH_ENTRY d[r] = FABS(RESIDUAL) <= limit ? v[r] : (T)0; break;
    case FO_EPSILON_INSENSITIVE: EACH_ENTRY d[r] = FABS(RESIDUAL) > limit ? 2 * v[r] : (T)0; break;
    case FO_POISSON: EACH_ENTRY d[r] = NAME(vexp)(s[r]) * v[r]; break;
    default: break;
    }
}
#undef CURVATURE
#undef EACH_ENTRY
#undef RESIDUAL
#undef ROWS_OF_LOSS
#undef EACH_ROW
#undef EACH_CLASS
