/* Rules around others, and norms: fastopt/rules/wrappers.py and `measure` of norms.py. Included by rules.c once for each T.
 *
 * A block of elements goes through the base's loop and what follows it while it is in the first cache, in the order of
 * operations of the fused formula: the same bits. */

static void NAME(update_any)(int rule, const double *k, T *p, const T *g, T *const *s, int64_t begin, int64_t end);

/* The slots of a rule from element i on. */
static inline void NAME(from)(T *const *s, int slots, int64_t i, T **part)
{
    for (int j = 0; j < 3; j++) part[j] = j < slots ? s[j] + i : 0;
}

/* Elements [begin, end) of a rule of the table. */
static void NAME(base)(int rule, const double *k, T *p, const T *g, T *const *s, int64_t begin, int64_t end)
{
    T *part[3];
    NAME(from)(s, fo_rule_slots(rule), 0, part);
    JOIN(fo_rule_kernels, FO_SET).UPDATE[rule](k, p, g, part[0], part[1], part[2], begin, end);
}

static void NAME(averaged)(const double *e, const T *p, T *average, int64_t begin, int64_t end)
{
    T keep = NAME(coefficient)(e[0]), share = NAME(coefficient)(e[1]);
    for (int64_t i = begin; i < end; i++) average[i] = keep * average[i] + share * p[i];
}

static void NAME(lookahead)(const double *e, T *FO_RESTRICT p, T *FO_RESTRICT slow, int64_t begin, int64_t end)
{
    T alpha = NAME(coefficient)(e[0]), stay = NAME(coefficient)(e[1]), meet = NAME(coefficient)(e[2]);
    for (int64_t i = begin; i < end; i++) {
        T middle = slow[i] + alpha * (p[i] - slow[i]);
        p[i] = stay * p[i] + meet * middle;
        slow[i] = stay * slow[i] + meet * middle;
    }
}

/* y between z, which takes the base's step, and its mean. */
static void NAME(schedule_free)(int inner, const double *k, const double *e, T *FO_RESTRICT p, const T *g, T *const *s,
                                T *FO_RESTRICT z, int64_t begin, int64_t end)
{
    T keep = NAME(coefficient)(e[0]), apart = NAME(coefficient)(e[1]), toward = NAME(coefficient)(e[2]);
    for (int64_t i = begin; i < end; i++) p[i] = keep * (p[i] - apart * z[i]);
    NAME(update_any)(inner, k, z, g, s, begin, end);
    for (int64_t i = begin; i < end; i++) p[i] = p[i] + toward * z[i];
}

/* The base's move of n elements from 0, and the gradient with which it is compared. */
static void NAME(cautious_move)(int inner, const double *k, T coupled, const T *p, const T *g, T *const *s, T *move, T *with,
                                int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        with[i] = g[i] + coupled * p[i];
        move[i] = p[i] - p[i];
    }
    NAME(base)(inner, k, move, with, s, 0, n);
}

/* 0 of NaN, as np.fmax. */
static inline T NAME(agree)(T move, T g, T zero)
{
    T same = -NAME(sign)(move) * NAME(sign)(g);
    return (same > zero ? same : zero) + zero;
}

static void NAME(cautious)(int inner, const double *k, const double *e, T *p, const T *g, T *const *s, int64_t n)
{
    T move[BLOCK], with[BLOCK], keep = NAME(coefficient)(e[1]), zero = NAME(coefficient)(e[2]);
    T rate = NAME(coefficient)(e[3]);
    NAME(cautious_move)(inner, k, NAME(coefficient)(e[0]), p, g, s, move, with, n);
    for (int64_t i = 0; i < n; i++) p[i] = keep * p[i] + rate * NAME(agree)(move[i], with[i], zero) * move[i];
}

/* Elements [begin, end) of any rule; s: its slots. */
static void NAME(update_any)(int rule, const double *k, T *p, const T *g, T *const *s, int64_t begin, int64_t end)
{
    int wrapper = fo_outer(rule), inner = fo_inner(rule);
    if (!wrapper) {
        NAME(base)(rule, k, p, g, s, begin, end);
        return;
    }
    int slots = fo_rule_slots(inner), numbers = fo_rule_numbers(inner), first = fo_rule_coefficients(inner) - numbers;
    const double *e = k + first;
    double own[FO_MAX_COEFFICIENTS];
    if (numbers) { /* they come after what the wrapper takes: the inner rule's k has none between */
        memcpy(own, k, sizeof(double) * (size_t)first);
        memcpy(own + first, k + fo_rule_coefficients(rule) - numbers, sizeof(double) * (size_t)numbers);
        k = own;
    }
    unsigned control = fo_flush_denormals();
    for (int64_t i = begin; i < end; i += BLOCK) {
        int64_t stop = end - i < BLOCK ? end : i + BLOCK;
        if (wrapper == FO_CAUTIOUS) {
            T *part[3];
            NAME(from)(s, slots, i, part);
            NAME(cautious)(inner, k, e, p + i, g + i, part, stop - i);
        } else if (wrapper == FO_SCHEDULE_FREE) NAME(schedule_free)(inner, k, e, p, g, s, s[slots], i, stop);
        else {
            NAME(update_any)(inner, k, p, g, s, i, stop);
            if (wrapper == FO_AVERAGED) NAME(averaged)(e, p, s[slots], i, stop);
            else NAME(lookahead)(e, p, s[slots], i, stop);
        }
    }
    fo_restore_denormals(control);
}

/* ---- norms ---- */

static void NAME(lamb_direction)(const double *k, const T *p, const T *g, const T *m, const T *v, T *u, int64_t n)
{
    T c[10];
    for (int j = 0; j < 10; j++) c[j] = NAME(coefficient)(k[j]);
    for (int64_t i = 0; i < n; i++) {
        T first, second;
        u[i] = NAME(lamb_step)(c, p[i], g[i], m[i], v[i], &first, &second);
    }
}

static void NAME(cautious_agreement)(int inner, const double *k, const T *p, const T *g, T *const *s, T *out, int64_t n)
{
    T move[BLOCK], with[BLOCK], copies[3][BLOCK], *copy[3] = {copies[0], copies[1], copies[2]};
    const double *e = k + fo_rule_coefficients(inner);
    T zero = NAME(coefficient)(e[2]);
    for (int j = 0; j < fo_rule_slots(inner); j++) memcpy(copies[j], s[j], sizeof(T) * (size_t)n);
    NAME(cautious_move)(inner, k, NAME(coefficient)(e[0]), p, g, copy, move, with, n);
    for (int64_t i = 0; i < n; i++) out[i] = NAME(agree)(move[i], with[i], zero);
}

/* The sums of squares of what the rule measures of elements [begin, end), each in 32 parts. factors: (unit, scale, most)
 * of the gradient, or NULL. */
static void NAME(measure)(int rule, const double *k, const T *p, const T *g, T *const *s, const double *factors,
                          int64_t begin, int64_t end, double *out)
{
    double parts[2][PARTS] = {{0}};
    T block[BLOCK], value[BLOCK];
    int norms = fo_rule_norms(rule);
    for (; fo_outer(rule) && fo_outer(rule) != FO_CAUTIOUS; rule = fo_inner(rule))
        if (fo_outer(rule) == FO_SCHEDULE_FREE) p = s[fo_rule_slots(fo_inner(rule))];
    unsigned control = fo_flush_denormals();
    for (int64_t i = begin; i < end; i += BLOCK) {
        int64_t n = end - i < BLOCK ? end - i : BLOCK;
        const T *now = g + i;
        if (factors) {
            T unit = (T)factors[0], scale = (T)factors[1], most = (T)factors[2];
            for (int64_t j = 0; j < n; j++) block[j] = NAME(held)(now[j] * unit * scale, most);
            now = block;
        }
        if (fo_outer(rule)) {
            T *part[3];
            NAME(from)(s, fo_rule_slots(rule), i, part);
            NAME(cautious_agreement)(fo_inner(rule), k, p + i, now, part, value, n);
            NAME(add_squares)(value, n, 1, parts[0]);
        } else {
            NAME(add_squares)(p + i, n, 1, parts[0]);
            if (rule == FO_LAMB) NAME(lamb_direction)(k, p + i, now, s[0] + i, s[1] + i, value, n);
            NAME(add_squares)(rule == FO_LAMB ? value : now, n, 1, parts[1]);
        }
    }
    for (int j = 0; j < norms; j++) out[j] = sum_of_parts(parts[j]);
    fo_restore_denormals(control);
}
