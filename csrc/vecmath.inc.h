/* exp, log and log1p of one element, without branches, for loops that the compiler vectorises: the operations of
 * kernels/language/vecmath.py in the same order, so that the bits are the same. Errors up to 2 units of the last place.
 *
 * INT and UINT are the integers as wide as T, MANTISSA the bits of T's fraction, BIAS that of its exponent, MAGIC rounds
 * to an integer, EXP_TERMS and LOG_TERMS what the series need. */

static inline T NAME(from_bits)(INT bits)
{
    union { INT i; T x; } u = {bits};
    return u.x;
}

static inline INT NAME(to_bits)(T x)
{
    union { T x; INT i; } u = {x};
    return u.i;
}

/* Signed integers must not overflow, as they may where x is NaN. */
static inline INT NAME(plus)(INT a, INT b) { return (INT)((UINT)a + (UINT)b); }
static inline INT NAME(minus)(INT a, INT b) { return (INT)((UINT)a - (UINT)b); }
static inline INT NAME(to_exponent)(INT n) { return (INT)((UINT)n << MANTISSA); }

/* 2^n for n in the exponent's range. */
static inline T NAME(power_of_two)(INT n) { return NAME(from_bits)(NAME(to_exponent)(NAME(plus)(n, BIAS))); }

static inline T NAME(vexp)(T x)
{
    const T low = (T)(-1.05 * (BIAS + MANTISSA) * LN2), high = (T)(1.05 * BIAS * LN2);
    x = low > x ? low : x;
    x = high < x ? high : x;
    T shifted = FMA(x, (T)(1 / LN2), MAGIC);
    T n = shifted - MAGIC;
    T r = FMA(n, -LN2_HIGH, x);
    r = FMA(n, -LN2_LOW, r);
    T sum = NAME(EXP_SERIES)[0];
#define TERM(j) sum = FMA(sum, r, NAME(EXP_SERIES)[j]);
    TERM(1) TERM(2) TERM(3) TERM(4) TERM(5) TERM(6) TERM(7) /* a loop here would keep the caller's from being vectorised */
#if EXP_TERMS > 7
    TERM(8) TERM(9) TERM(10) TERM(11) TERM(12) TERM(13)
#endif
#undef TERM
    INT e = NAME(minus)(NAME(to_bits)(shifted), NAME(to_bits)(MAGIC)), half = e >> 1;
    return sum * NAME(power_of_two)(half) * NAME(power_of_two)(NAME(minus)(e, half));
}

static inline T NAME(vlog)(T x)
{
    int small = x < NAME(power_of_two)(1 - BIAS);
    T scaled = small ? x * (T)((INT)1 << (MANTISSA + 1)) : x;
    INT bits = NAME(to_bits)(scaled), e = NAME(minus)(bits, ROOT_HALF) >> MANTISSA;
    T m = NAME(from_bits)(NAME(minus)(bits, NAME(to_exponent)(e)));
    T n = NAME(from_bits)(NAME(plus)(NAME(to_bits)(MAGIC), e)) - MAGIC;
    n -= small ? (T)(MANTISSA + 1) : (T)0;
    T f = m - 1, s = f / (f + 2), z = s * s;
    T series = NAME(LOG_SERIES)[0];
#define TERM(j) series = FMA(series, z, NAME(LOG_SERIES)[j]);
    TERM(1) TERM(2) TERM(3) TERM(4)
#if LOG_TERMS > 5
    TERM(5) TERM(6) TERM(7) TERM(8) TERM(9)
#endif
#undef TERM
    T half = f * f * (T)0.5;
    T low = FMA(n, LN2_LOW, s * FMA(series, z, half));
    T result = FMA(n, LN2_HIGH, f - (half - low));
    result = x == INFINITY ? x : result;
    result = x == 0 ? -(T)INFINITY : result;
    return (x < 0) | (x != x) ? (T)NAN : result;
}

static inline T NAME(vlog1p)(T x)
{
    T w = x + 1;
    T correction = w > 0 ? (x - (w - 1)) / w : (T)0;
    T result = NAME(vlog)(w) + correction;
    return x == INFINITY ? x : result;
}
