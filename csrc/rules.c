/* The element-wise kernels of one instruction set (FO_SET), float and double. */
#include <math.h>
#include <string.h>

#include "denormals.h"
#include "rules.h"

#define PASTE(a, b) a##_##b
#define JOIN(a, b) PASTE(a, b)
#define NAME(x) JOIN(x, SUFFIX)

enum { PARTS = 32 }; /* of a sum */
#define BLOCK ((int64_t)(4096 / sizeof(T))) /* elements that stay in the first cache with their slots */

/* Halves are added until one is left. */
static double sum_of_parts(double *part)
{
    for (int width = PARTS / 2; width > 0; width /= 2)
        for (int j = 0; j < width; j++) part[j] += part[j + width];
    return part[0];
}

extern const fo_rule_kernels JOIN(fo_rule_kernels, FO_SET);

#define T float
#define SUFFIX f32
#define UPDATE update_f32
#define SQRT sqrtf
#define FABS fabsf
#define TINY 0x1p-126f
#define BITS uint32_t
#define EXPONENT 0x7f800000u
#include "rules.inc.h"
#include "around.inc.h"
#include "adafactor.inc.h"
#include "forms.inc.h"
#include "pairs.inc.h"
#include "stored.inc.h"
#undef T
#undef SUFFIX
#undef UPDATE
#undef SQRT
#undef FABS
#undef TINY
#undef BITS
#undef EXPONENT

#define T double
#define SUFFIX f64
#define UPDATE update_f64
#define SQRT sqrt
#define FABS fabs
#define TINY 0x1p-1022
#define BITS uint64_t
#define EXPONENT 0x7ff0000000000000u
#include "rules.inc.h"
#include "around.inc.h"
#include "adafactor.inc.h"

#define UPDATE_F32(rule, slots, coefficients) update_##rule##_f32,
#define UPDATE_F64(rule, slots, coefficients) update_##rule##_f64,

const fo_rule_kernels JOIN(fo_rule_kernels, FO_SET) = {
    {FO_RULES(UPDATE_F32)},
    {FO_RULES(UPDATE_F64)},
    update_any_f32,
    update_any_f64,
    measure_f32,
    measure_f64,
    {adafactor_f32, plain_adafactor_f32},
    {adafactor_f64, plain_adafactor_f64},
    all_finite_f32,
    all_finite_f64,
    squares_f32,
    squares_f64,
    update_stored,
    finite_halves,
    squares_halves,
};
