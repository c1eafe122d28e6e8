/* The kernels of linear models of one instruction set (FO_SET), float and double: those of fastopt/kernels/gradient and
 * kernels/training, function by function, on the same tables, in the same order of operations. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "crew.h"
#include "denormals.h"
#include "lanes.h"
#include "pair.h"
#include "sets.h"

#define PASTE(a, b) a##_##b
#define JOIN(a, b) PASTE(a, b)
#define NAME(x) JOIN(x, SUFFIX)

/* Tiles by the number of vector registers: 32, or 16. */
#if defined(__AVX512F__) || defined(__aarch64__)
#define TILE_ROWS 4       /* of scores: rows x classes, twice the classes for one row */
#define TILE_CLASSES 5
#define STRIP_CLASSES 10  /* of the gradient: classes x up to 4 registers */
#else
#define TILE_ROWS 2
#define TILE_CLASSES 4
#define STRIP_CLASSES 5
#endif
#define TILE_SUMS 20
#define ROWS FO_ROWS
#define CHUNK ((int64_t)(2048 / sizeof(T)))  /* features between two sums of lanes */
#define BUFFER 1024
#define NEAR 3                               /* rows between the one at hand and the one that is fetched */
#define LANES LANES_OF(T)
#define REGISTER_LANES REGISTER_LANES_OF(T)
#define REGISTERS_OF_VECTOR (LANES / REGISTER_LANES)
#define LN2 0.6931471805599453

/* A hyperparameter in T: one that is not 0 does not become 0 or subnormal. */
#define NARROW(tiny)                                                   \
    static inline T NAME(narrow)(double x)                             \
    {                                                                  \
        T k = (T)x;                                                    \
        return x != 0 && FABS(k) < tiny ? x < 0 ? -tiny : tiny : k;    \
    }

#define T float
#define SUFFIX f32
#define INT int32_t
#define UINT uint32_t
#define FMA fmaf
#define FABS fabsf
#define UPDATE update_any_f32
#define MANTISSA 23
#define BIAS 127
#define MAGIC 12582912.0f
#define ROOT_HALF 0x3F3504F3
#define LN2_HIGH 0.693359375f
#define LN2_LOW ((float)(LN2 - 0.693359375))
#define EXP_TERMS 7
#define LOG_TERMS 5
static const float EXP_SERIES_f32[] = {
    (float)(1.0 / 5040), (float)(1.0 / 720), (float)(1.0 / 120), (float)(1.0 / 24), (float)(1.0 / 6), 0.5f, 1, 1,
};
static const float LOG_SERIES_f32[] = {
    (float)(2.0 / 11), (float)(2.0 / 9), (float)(2.0 / 7), (float)(2.0 / 5), (float)(2.0 / 3),
};
NARROW(0x1p-126f)
#include "vecmath.inc.h"
#include "losses.inc.h"
#include "tiles.inc.h"
#include "blocks.inc.h"
#include "sparse.inc.h"
#include "passes.inc.h"
#include "groups.inc.h"
#include "crew.inc.h"
#include "steps.inc.h"
#include "scaled.inc.h"
#undef T
#undef SUFFIX
#undef INT
#undef UINT
#undef FMA
#undef FABS
#undef UPDATE
#undef MANTISSA
#undef BIAS
#undef MAGIC
#undef ROOT_HALF
#undef LN2_HIGH
#undef LN2_LOW
#undef EXP_TERMS
#undef LOG_TERMS

#define T double
#define SUFFIX f64
#define INT int64_t
#define UINT uint64_t
#define FMA fma
#define FABS fabs
#define UPDATE update_any_f64
#define MANTISSA 52
#define BIAS 1023
#define MAGIC 6755399441055744.0
#define ROOT_HALF 0x3FE6A09E667F3BCD
#define LN2_HIGH 0.6931471803691238
#define LN2_LOW 1.9082149292705877e-10
#define EXP_TERMS 13
#define LOG_TERMS 10
static const double EXP_SERIES_f64[] = {
    1.0 / 6227020800, 1.0 / 479001600, 1.0 / 39916800, 1.0 / 3628800, 1.0 / 362880, 1.0 / 40320, 1.0 / 5040,
    1.0 / 720, 1.0 / 120, 1.0 / 24, 1.0 / 6, 0.5, 1, 1,
};
static const double LOG_SERIES_f64[] = {
    2.0 / 21, 2.0 / 19, 2.0 / 17, 2.0 / 15, 2.0 / 13, 2.0 / 11, 2.0 / 9, 2.0 / 7, 2.0 / 5, 2.0 / 3,
};
NARROW(0x1p-1022)
#include "vecmath.inc.h"
#include "losses.inc.h"
#include "tiles.inc.h"
#include "blocks.inc.h"
#include "sparse.inc.h"
#include "passes.inc.h"
#include "groups.inc.h"
#include "crew.inc.h"
#include "steps.inc.h"
#include "scaled.inc.h"

#define KERNELS(F)                                                                                            \
    {take_groups_##F, finish_gradient_##F, steps_##F, help_crew_##F, help_pair_##F, scaled_steps_##F,         \
     single_row_steps_##F, gram_##F, row_scores_##F}

extern const fo_linear_kernels JOIN(fo_linear_kernels, FO_SET);
const fo_linear_kernels JOIN(fo_linear_kernels, FO_SET) = {KERNELS(f32), KERNELS(f64), add_rows_f32, add_rows_f64};
