/* The update rules: one formula a rule, one loop. Included by rules.c once for each T.
 *
 * Every formula repeats the order of operations of `update` in fastopt/rules: with no contraction
 * and no reassociation the bits are the same there, here, and on every instruction set.
 */

/* NaN where either is NaN, as np.maximum. */
static inline T NAME(maximum)(T a, T b)
{
    return ((a >= b) | (a != a)) ? a : b;
}

/* NaN of NaN, as np.sign. */
static inline T NAME(sign)(T x)
{
    T s = x > 0 ? (T)1 : (T)0;
    s = x < 0 ? (T)-1 : s;
    return x == x ? s : x;
}

/* A coefficient in T. One that is not 0, such as an eps of 1e-50, does not become 0 or subnormal. */
static inline T NAME(coefficient)(double x)
{
    T k = (T)x;
    if (x != 0 && FABS(k) < TINY) k = x < 0 ? -TINY : TINY;
    return k;
}

/* Within [-most, most]; NaN stays NaN (fastopt/rules/limits.py says what for). */
static inline T NAME(held)(T x, T most)
{
    x = x > most ? most : x;
    return x < -most ? -most : x;
}

/* NaN where either is NaN, as np.minimum. */
static inline T NAME(minimum)(T a, T b)
{
    return ((a <= b) | (a != a)) ? a : b;
}

static inline T NAME(sgd)(const T *k, T p, T g, T *s)
{
    T lr = k[0], weight_decay = k[1];
    (void)s;
    g = g + weight_decay * p;
    return p - lr * g;
}

static inline T NAME(momentum)(const T *k, T p, T g, T *s)
{
    T lr = k[0], momentum = k[1], share = k[2], weight_decay = k[3];
    g = g + weight_decay * p;
    s[0] = momentum * s[0] + share * g;
    return p - lr * s[0];
}

static inline T NAME(classical_momentum)(const T *k, T p, T g, T *s)
{
    T lr = k[0], momentum = k[1], weight_decay = k[2];
    g = g + weight_decay * p;
    s[0] = momentum * s[0] - lr * g;
    return p + s[0];
}

static inline T NAME(nesterov)(const T *k, T p, T g, T *s)
{
    T twice_lr = k[0], momentum = k[1], weight_decay = k[2], half = k[3], half_momentum = k[4];
    g = g + weight_decay * p;
    s[0] = momentum * s[0] + g;
    return p - twice_lr * (half * g + half_momentum * s[0]);
}

static inline T NAME(adagrad)(const T *k, T p, T g, T *s)
{
    T lr = k[0], eps = k[1], weight_decay = k[2], reach = k[3], tiny = k[4], three = k[5];
    g = NAME(held)(g + weight_decay * p, SQRT(tiny) / tiny);
    s[0] = NAME(held)(s[0] + g * g, three / tiny);
    return p - NAME(held)(lr * g / (SQRT(s[0]) + eps), reach);
}

static inline T NAME(rmsprop)(const T *k, T p, T g, T *s)
{
    T lr = k[0], decay = k[1], share = k[2], eps = k[3], weight_decay = k[4], reach = k[5], tiny = k[6];
    g = NAME(held)(g + weight_decay * p, SQRT(tiny) / tiny);
    s[0] = decay * s[0] + share * g * g;
    return p - NAME(held)(lr * g / (SQRT(s[0]) + eps), reach);
}

static inline T NAME(centered_rmsprop)(const T *k, T p, T g, T *s)
{
    T lr = k[0], decay = k[1], share = k[2], eps = k[3], weight_decay = k[4], zero = k[5], tiny = k[6];
    g = NAME(held)(g + weight_decay * p, SQRT(tiny) / tiny);
    s[0] = decay * s[0] + share * g * g;
    s[1] = decay * s[1] + share * g;
    return p - lr * g / (SQRT(NAME(maximum)(s[0] - s[1] * s[1], zero)) + eps);
}

static inline T NAME(adam)(const T *k, T p, T g, T *s)
{
    T lr = k[0], root = k[1], beta1 = k[2], share1 = k[3], beta2 = k[4], share2 = k[5];
    T eps = k[6], weight_decay = k[7], reach = k[8], tiny = k[9];
    g = NAME(held)(g + weight_decay * p, SQRT(tiny) / tiny);
    s[0] = beta1 * s[0] + share1 * g;
    s[1] = beta2 * s[1] + share2 * g * g;
    return p - NAME(held)(lr * s[0] / (SQRT(s[1]) * root + eps), reach);
}

static inline T NAME(adamw)(const T *k, T p, T g, T *s)
{
    T lr = k[0], root = k[1], beta1 = k[2], share1 = k[3], beta2 = k[4], share2 = k[5];
    T eps = k[6], keep = k[7], reach = k[8], tiny = k[9];
    g = NAME(held)(g, SQRT(tiny) / tiny);
    s[0] = beta1 * s[0] + share1 * g;
    s[1] = beta2 * s[1] + share2 * g * g;
    return keep * p - NAME(held)(lr * s[0] / (SQRT(s[1]) * root + eps), reach);
}

static inline T NAME(amsgrad)(const T *k, T p, T g, T *s)
{
    T lr = k[0], root = k[1], beta1 = k[2], share1 = k[3], beta2 = k[4], share2 = k[5];
    T eps = k[6], weight_decay = k[7], reach = k[8], tiny = k[9];
    g = NAME(held)(g + weight_decay * p, SQRT(tiny) / tiny);
    s[0] = beta1 * s[0] + share1 * g;
    s[1] = beta2 * s[1] + share2 * g * g;
    s[2] = NAME(maximum)(s[2], s[1]);
    return p - NAME(held)(lr * s[0] / (SQRT(s[2]) * root + eps), reach);
}

static inline T NAME(adadelta)(const T *k, T p, T g, T *s)
{
    T lr = k[0], rho = k[1], share = k[2], eps = k[3], weight_decay = k[4], tiny = k[5];
    g = NAME(held)(g + weight_decay * p, SQRT(tiny) / tiny);
    s[0] = rho * s[0] + share * g * g;
    T d = SQRT(s[1] + eps) / SQRT(s[0] + eps) * g;
    s[1] = rho * s[1] + share * d * d;
    return p - lr * d;
}

static inline T NAME(adamax)(const T *k, T p, T g, T *s)
{
    T lr = k[0], beta1 = k[1], share1 = k[2], beta2 = k[3], eps = k[4], weight_decay = k[5], tiny = k[6];
    g = NAME(held)(g + weight_decay * p, SQRT(tiny) / tiny);
    s[0] = beta1 * s[0] + share1 * g;
    s[1] = NAME(maximum)(beta2 * s[1], FABS(g) + eps);
    return p - lr * s[0] / s[1];
}

static inline T NAME(nadam)(const T *k, T p, T g, T *s)
{
    T lr_g = k[0], lr_m = k[1], root = k[2], beta1 = k[3], share1 = k[4], beta2 = k[5], share2 = k[6];
    T eps = k[7], weight_decay = k[8], reach = k[9], tiny = k[10];
    g = NAME(held)(g + weight_decay * p, SQRT(tiny) / tiny);
    s[0] = beta1 * s[0] + share1 * g;
    s[1] = beta2 * s[1] + share2 * g * g;
    return p - NAME(held)((lr_g * g + lr_m * s[0]) / (SQRT(s[1]) * root + eps), reach);
}

static inline T NAME(lion)(const T *k, T p, T g, T *s)
{
    T lr = k[0], beta1 = k[1], share1 = k[2], beta2 = k[3], share2 = k[4], keep = k[5];
    T c = beta1 * s[0] + share1 * g;
    s[0] = beta2 * s[0] + share2 * g;
    return keep * p - lr * NAME(sign)(c);
}

static inline T NAME(sgdw)(const T *k, T p, T g, T *s)
{
    T lr = k[0], keep = k[1];
    (void)s;
    return keep * p - lr * g;
}

static inline T NAME(momentumw)(const T *k, T p, T g, T *s)
{
    T lr = k[0], momentum = k[1], share = k[2], keep = k[3];
    s[0] = momentum * s[0] + share * g;
    return keep * p - lr * s[0];
}

static inline T NAME(rmsprop_momentum)(const T *k, T p, T g, T *s)
{
    T lr = k[0], decay = k[1], share = k[2], momentum = k[3], eps = k[4], weight_decay = k[5];
    T reach = k[6], tiny = k[7];
    g = NAME(held)(g + weight_decay * p, SQRT(tiny) / tiny);
    s[0] = decay * s[0] + share * g * g;
    s[1] = momentum * s[1] + NAME(held)(g / (SQRT(s[0]) + eps), reach);
    return p - lr * s[1];
}

static inline T NAME(centered_rmsprop_momentum)(const T *k, T p, T g, T *s)
{
    T lr = k[0], decay = k[1], share = k[2], momentum = k[3], eps = k[4], weight_decay = k[5];
    T zero = k[6], tiny = k[7];
    g = NAME(held)(g + weight_decay * p, SQRT(tiny) / tiny);
    s[0] = decay * s[0] + share * g * g;
    s[1] = decay * s[1] + share * g;
    s[2] = momentum * s[2] + g / (SQRT(NAME(maximum)(s[0] - s[1] * s[1], zero)) + eps);
    return p - lr * s[2];
}

static inline T NAME(amsgradw)(const T *k, T p, T g, T *s)
{
    T lr = k[0], root = k[1], beta1 = k[2], share1 = k[3], beta2 = k[4], share2 = k[5];
    T eps = k[6], keep = k[7], reach = k[8], tiny = k[9];
    g = NAME(held)(g, SQRT(tiny) / tiny);
    s[0] = beta1 * s[0] + share1 * g;
    s[1] = beta2 * s[1] + share2 * g * g;
    s[2] = NAME(maximum)(s[2], s[1]);
    return keep * p - NAME(held)(lr * s[0] / (SQRT(s[2]) * root + eps), reach);
}

static inline T NAME(nadamw)(const T *k, T p, T g, T *s)
{
    T lr_g = k[0], lr_m = k[1], root = k[2], beta1 = k[3], share1 = k[4], beta2 = k[5], share2 = k[6];
    T eps = k[7], keep = k[8], reach = k[9], tiny = k[10];
    g = NAME(held)(g, SQRT(tiny) / tiny);
    s[0] = beta1 * s[0] + share1 * g;
    s[1] = beta2 * s[1] + share2 * g * g;
    return keep * p - NAME(held)((lr_g * g + lr_m * s[0]) / (SQRT(s[1]) * root + eps), reach);
}

static inline T NAME(radam)(const T *k, T p, T g, T *s)
{
    T plain = k[0], adaptive = k[1], beta1 = k[2], share1 = k[3], beta2 = k[4], share2 = k[5];
    T eps = k[6], weight_decay = k[7], reach = k[8], tiny = k[9], free = k[10], most = SQRT(tiny) / tiny;
    g = g + weight_decay * p;
    s[0] = beta1 * s[0] + share1 * NAME(held)(g, NAME(maximum)(most, free));
    g = NAME(held)(g, most);
    s[1] = beta2 * s[1] + share2 * g * g;
    return p - plain * s[0] - NAME(held)(adaptive * s[0] / (SQRT(s[1]) + eps), reach);
}

static inline T NAME(radamw)(const T *k, T p, T g, T *s)
{
    T plain = k[0], adaptive = k[1], beta1 = k[2], share1 = k[3], beta2 = k[4], share2 = k[5];
    T eps = k[6], keep = k[7], reach = k[8], tiny = k[9], free = k[10], most = SQRT(tiny) / tiny;
    s[0] = beta1 * s[0] + share1 * NAME(held)(g, NAME(maximum)(most, free));
    g = NAME(held)(g, most);
    s[1] = beta2 * s[1] + share2 * g * g;
    return keep * p - plain * s[0] - NAME(held)(adaptive * s[0] / (SQRT(s[1]) + eps), reach);
}

static inline T NAME(ademamix)(const T *k, T p, T g, T *s)
{
    T rate = k[0], rate_n = k[1], root = k[2], beta1 = k[3], share1 = k[4], beta3 = k[5], share3 = k[6];
    T beta2 = k[7], share2 = k[8], eps = k[9], keep = k[10], reach = k[11], tiny = k[12];
    g = NAME(held)(g, SQRT(tiny) / tiny);
    s[0] = beta1 * s[0] + share1 * g;
    s[1] = beta3 * s[1] + share3 * g;
    s[2] = beta2 * s[2] + share2 * g * g;
    return keep * p - NAME(held)((rate * s[0] + rate_n * s[1]) / (SQRT(s[2]) * root + eps), reach);
}

static inline T NAME(rprop)(const T *k, T p, T g, T *s)
{
    T less = k[0], more = k[1], step_min = k[2], step_max = k[3], one = k[4], zero = k[5];
    T change = NAME(sign)(g) * NAME(sign)(s[0]);
    T rise = NAME(maximum)(change, zero), fall = NAME(maximum)(-change, zero);
    T factor = more * rise + less * fall + (one - rise - fall);
    s[1] = NAME(minimum)(NAME(maximum)(s[1] * factor, step_min), step_max);
    s[0] = g * (one - fall);
    return p - s[1] * NAME(sign)(s[0]);
}

static inline T NAME(asgd)(const T *k, T p, T g, T *s)
{
    T keep = k[0], eta = k[1], mu = k[2], weight_decay = k[3];
    g = g + weight_decay * p;
    p = keep * p - eta * g;
    s[0] = s[0] + mu * (p - s[0]);
    return p;
}

static inline T NAME(schedule_free_sgd)(const T *k, T p, T g, T *s)
{
    T lr = k[0], keep = k[1], c = k[2], rate = k[3], weight_decay = k[4];
    T z = s[0];
    g = g + weight_decay * p;
    s[0] = z - lr * g;
    return keep * p + c * z - rate * g;
}

static inline T NAME(schedule_free_adamw)(const T *k, T p, T g, T *s)
{
    T lr = k[0], keep = k[1], c = k[2], rate = k[3], root = k[4], beta2 = k[5], share2 = k[6];
    T eps = k[7], weight_decay = k[8], reach = k[9], tiny = k[10], z = s[0];
    g = NAME(held)(g, SQRT(tiny) / tiny);
    s[1] = beta2 * s[1] + share2 * g * g;
    T d = NAME(held)(g / (SQRT(s[1]) * root + eps), reach) + weight_decay * p;
    s[0] = z - lr * d;
    return keep * p + c * z - rate * d;
}

static inline T NAME(lars)(const T *k, T p, T g, T *s)
{
    T momentum = k[0], weight_decay = k[1], rate = k[2], unit = k[3];
    s[0] = momentum * s[0] + rate * (unit * g + unit * weight_decay * p);
    return p - s[0];
}

/* LAMB's direction, and its slots m and v as they will be. */
static inline T NAME(lamb_step)(const T *k, T p, T g, T m, T v, T *m_new, T *v_new)
{
    T first = k[0], root = k[1], beta1 = k[2], share1 = k[3], beta2 = k[4], share2 = k[5];
    T eps = k[6], weight_decay = k[7], reach = k[8], tiny = k[9];
    g = NAME(held)(g, SQRT(tiny) / tiny);
    *m_new = beta1 * m + share1 * g;
    *v_new = beta2 * v + share2 * g * g;
    return NAME(held)(first * *m_new / (SQRT(*v_new) * root + eps), reach) + weight_decay * p;
}

static inline T NAME(lamb)(const T *k, T p, T g, T *s)
{
    return p - k[10] * NAME(lamb_step)(k, p, g, s[0], s[1], s, s + 1);
}

/* Elements [begin, end) of one array. A slot the rule does not have is never touched. */
#define LOOP(rule, SLOTS, COEFFICIENTS)                                                             \
    static void NAME(update_##rule)(const double *coefficients, T *FO_RESTRICT p,                   \
                                    const T *FO_RESTRICT g, T *FO_RESTRICT s0, T *FO_RESTRICT s1,   \
                                    T *FO_RESTRICT s2, int64_t begin, int64_t end)                  \
    {                                                                                               \
        T k[COEFFICIENTS];                                                                          \
        for (int j = 0; j < COEFFICIENTS; j++) k[j] = NAME(coefficient)(coefficients[j]);           \
        (void)s0, (void)s1, (void)s2;                                                               \
        unsigned control = fo_flush_denormals();                                                    \
        for (int64_t i = begin; i < end; i++) {                                                     \
            T s[3] = {0, 0, 0};                                                                     \
            if (SLOTS > 0) s[0] = s0[i];                                                            \
            if (SLOTS > 1) s[1] = s1[i];                                                            \
            if (SLOTS > 2) s[2] = s2[i];                                                            \
            p[i] = NAME(rule)(k, p[i], g[i], s);                                                    \
            if (SLOTS > 0) s0[i] = s[0];                                                            \
            if (SLOTS > 1) s1[i] = s[1];                                                            \
            if (SLOTS > 2) s2[i] = s[2];                                                            \
        }                                                                                           \
        fo_restore_denormals(control);                                                              \
    }
FO_RULES(LOOP)
#undef LOOP

static inline BITS NAME(is_bad)(const T *x)
{
    BITS bits;
    memcpy(&bits, x, sizeof bits);
    return (bits & EXPONENT) == EXPONENT;
}

/* 1 if no element is inf or NaN: those have all bits of the exponent set. Read at four places at once:
 * from memory 20M floats took 3.6 ms of one thread, in order 7.2. */
static int NAME(all_finite)(const T *x, int64_t n)
{
    BITS bad = 0;
    int64_t part = n / 4;
    const T *second = x + part, *third = second + part, *fourth = third + part;
    for (int64_t i = 0; i < part; i++)
        bad |= NAME(is_bad)(x + i) | NAME(is_bad)(second + i) | NAME(is_bad)(third + i) | NAME(is_bad)(fourth + i);
    for (int64_t i = 4 * part; i < n; i++) bad |= NAME(is_bad)(x + i);
    return !bad;
}

/* Adds (x * unit)^2 to 32 parts: part j has the elements j, j + 32, ... in order. */
static void NAME(add_squares)(const T *x, int64_t n, double unit, double *part)
{
    int64_t i = 0;
    for (; i + PARTS <= n; i += PARTS)
        for (int j = 0; j < PARTS; j++) {
            double v = (double)x[i + j] * unit;
            part[j] += v * v;
        }
    for (int j = 0; i + j < n; j++) {
        double v = (double)x[i + j] * unit;
        part[j] += v * v;
    }
}

static double NAME(squares)(const T *x, int64_t n, double unit)
{
    double part[PARTS] = {0};
    NAME(add_squares)(x, n, unit, part);
    return sum_of_parts(part);
}
