/* What the cffi module is compiled with. Addresses come from Python as integers: a step called with
 * nine of them takes a third of the time that conversions to pointer objects would. */
#include <stddef.h>

#include "denormals.h"
#include "fastopt.h"

#define STEP(T, F)                                                                                   \
    static void step_##F(int rule, intptr_t k, intptr_t p, intptr_t g, intptr_t s, int64_t arrays,   \
                         intptr_t chunks, int64_t begin, int64_t end)                                \
    {                                                                                                \
        fo_step_##F(rule, (const double *)k, (T *const *)p, (const T *const *)g, (T *const *)s,      \
                    arrays, (const int64_t *)chunks, begin, end);                                    \
    }                                                                                                \
    static int64_t first_nonfinite_##F(intptr_t x, intptr_t chunks, int64_t begin, int64_t end)      \
    {                                                                                                \
        return fo_first_nonfinite_##F((const T *const *)x, (const int64_t *)chunks, begin, end);     \
    }

STEP(float, f32)
STEP(double, f64)

static void coefficients(int rule, intptr_t h, double t, intptr_t k)
{
    fo_coefficients(rule, (const double *)h, t, (double *)k);
}

/* So that the NumPy back end has the same bits: subnormal numbers count as zero in every step. */
static unsigned flush_denormals(void) { return fo_flush_denormals(); }
static void restore_denormals(unsigned control) { fo_restore_denormals(control); }

static intptr_t read_word(intptr_t address) { return *(const intptr_t *)address; }

/* The pointer-sized word at a fixed offset in each of n objects: ids -> data addresses, in place. */
static void read_words(intptr_t table, int64_t n, int64_t offset)
{
    intptr_t *word = (intptr_t *)table;
    for (int64_t i = 0; i < n; i++) word[i] = *(const intptr_t *)(word[i] + offset);
}
