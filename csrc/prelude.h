/* What the cffi module is compiled with. Addresses come from Python as integers, and a step's as one
 * address of a plan, an int64 table made once: a call takes 0.31 us, one with all nine arguments 0.47 us. */
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

/* plan: rule, k, p, g, s, arrays, chunks. Where `check` is set and a gradient has NaN or inf, that
 * array's number is the answer and nothing changes; else -1. */
#define PLANNED(F)                                                                          \
    static int64_t run_##F(intptr_t plan, int check, int64_t begin, int64_t end)            \
    {                                                                                       \
        const int64_t *a = (const int64_t *)plan;                                           \
        int64_t bad = check ? first_nonfinite_##F(a[3], a[6], begin, end) : -1;             \
        if (bad < 0) step_##F((int)a[0], a[1], a[2], a[3], a[4], a[5], a[6], begin, end);   \
        return bad;                                                                         \
    }

STEP(float, f32)
STEP(double, f64)
PLANNED(f32)
PLANNED(f64)

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
