/* exp, log and log1p of one element, without branches, for loops that the compiler vectorises.
 *
 * INT and UINT are the integers as wide as T, MANTISSA the bits of T's fraction, TERMS the terms that its precision
 * needs. Worst errors in units of the last place, float over its range and double over 4 million points:
 * exp 1.2, log 1.9, log1p 2.5.
 */

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

/* n * 2^MANTISSA for any n, as the bits of a NaN give: signed integers must not be shifted so far. */
static inline INT NAME(to_exponent)(INT n) { return (INT)((UINT)n << MANTISSA); }

/* 2^n for n in the exponent's range. */
static inline T NAME(power_of_two)(INT n) { return NAME(from_bits)(NAME(to_exponent)(n + BIAS)); }

/* exp(x) = 2^n exp(r), |r| <= ln(2)/2, exp(r) by its Taylor series. Two factors for 2^n reach the
 * denormal range and infinity; a NaN passes the comparisons and stays. */
static inline T NAME(vexp)(T x)
{
    x = x > EXP_MAX ? EXP_MAX : x;
    x = x < EXP_MIN ? EXP_MIN : x;
    T shifted = x * (T)1.4426950408889634074 + ROUND;
    T n = shifted - ROUND;
    T r = (x - n * LN2_HIGH) - n * LN2_LOW;
    T sum = EXP_LAST;
    EXP_SERIES(sum, r);
    INT e = NAME(to_bits)(shifted) - NAME(to_bits)(ROUND);
    INT half = e >> 1;
    return sum * NAME(power_of_two)(half) * NAME(power_of_two)(e - half);
}

/* log(x) of a normal x > 0: x = 2^n m, m in [sqrt(1/2), sqrt(2)), log(m) = 2 atanh((m-1)/(m+1)). */
static inline T NAME(vlog)(T x)
{
    INT bits = NAME(to_bits)(x) - NAME(to_bits)((T)0.70710678118654752440);
    INT n = bits >> MANTISSA;
    T m = NAME(from_bits)(NAME(to_bits)(x) - NAME(to_exponent)(n));
    T s = (m - 1) / (m + 1), z = s * s;
    T sum = LOG_LAST;
    LOG_SERIES(sum, z);
    T e = (T)n;
    return x < INFINITY ? e * LN2_HIGH + (2 * s + (2 * s * (z * sum) + e * LN2_LOW)) : x;
}

/* log(1 + x) for 0 <= x <= 1; (1+x) - 1 tells how much of x the rounding of 1 + x lost. */
static inline T NAME(vlog1p)(T x)
{
    T u = 1 + x;
    return NAME(vlog)(u) + (x - (u - 1)) / u;
}
