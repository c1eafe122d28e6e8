/* The kernels of linear models of one instruction set (FO_SET), float and double.
 *
 * This file alone may contract products and sums (see CMakeLists.txt). */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "lanes.h"
#include "sets.h"

#define PASTE(a, b) a##_##b
#define JOIN(a, b) PASTE(a, b)
#define NAME(x) JOIN(x, SUFFIX)

/* Tiles by the number of vector registers: 32, or 16. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define R_MAX 4   /* score tile: rows x C_MAX classes */
#define G_MAX 10  /* gradient tile: classes x 2 vectors, or half as many x 4 */
#define G_WIDE 4
#else
#define R_MAX 2
#define G_MAX 5
#define G_WIDE 2
#endif
#define C_MAX 5
#define CLASSES 10
#define ROWS 32
#define SPARSE_MAX 10
#define PANEL 512
#define LANES LANES_OF(T)

#define T float
#define SUFFIX f32
#define INT int32_t
#define UINT uint32_t
#define MANTISSA 23
#define BIAS 127
#define ROUND 12582912.0f
#define LN2_HIGH 0.693359375f
#define LN2_LOW -2.12194440e-4f
#define EXP_MAX 89.0f
#define EXP_MIN -104.0f
#define EXP_LAST (1.0f / 5040)
#define EXP_SERIES(sum, r) \
    for (int i = 0; i < 7; i++) sum = sum * r + EXP_TERMS_f32[i]
#define LOG_LAST (1.0f / 9)
#define LOG_SERIES(sum, z) \
    for (int i = 0; i < 3; i++) sum = sum * z + LOG_TERMS_f32[i]
static const float EXP_TERMS_f32[] = {1.0f / 720, 1.0f / 120, 1.0f / 24, 1.0f / 6, 0.5f, 1, 1};
static const float LOG_TERMS_f32[] = {1.0f / 7, 1.0f / 5, 1.0f / 3};
#include "vecmath.inc.h"
#include "linear.inc.h"
#undef T
#undef SUFFIX
#undef INT
#undef UINT
#undef MANTISSA
#undef BIAS
#undef ROUND
#undef LN2_HIGH
#undef LN2_LOW
#undef EXP_MAX
#undef EXP_MIN
#undef EXP_LAST
#undef EXP_SERIES
#undef LOG_LAST
#undef LOG_SERIES

#define T double
#define SUFFIX f64
#define INT int64_t
#define UINT uint64_t
#define MANTISSA 52
#define BIAS 1023
#define ROUND 6755399441055744.0
#define LN2_HIGH 6.93147180369123816490e-01
#define LN2_LOW 1.90821492927058770002e-10
#define EXP_MAX 710.0
#define EXP_MIN -746.0
#define EXP_LAST (1.0 / 6227020800)
#define EXP_SERIES(sum, r) \
    for (int i = 0; i < 13; i++) sum = sum * r + EXP_TERMS_f64[i]
#define LOG_LAST (1.0 / 23)
#define LOG_SERIES(sum, z) \
    for (int i = 0; i < 10; i++) sum = sum * z + LOG_TERMS_f64[i]
static const double EXP_TERMS_f64[] = {
    1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040, 1.0 / 720,
    1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1, 1,
};
static const double LOG_TERMS_f64[] = {
    1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13, 1.0 / 11, 1.0 / 9, 1.0 / 7, 1.0 / 5, 1.0 / 3,
};
#include "vecmath.inc.h"
#include "linear.inc.h"

extern const fo_linear_kernels JOIN(fo_linear_kernels, FO_SET);
const fo_linear_kernels JOIN(fo_linear_kernels, FO_SET) = {
    rows_f32, rows_f64, penalise_f32, penalise_f64, scaled_f32, scaled_f64,
};
