/* What the cffi module is compiled with. Addresses come from Python as integers, and a step's as one
 * address of a plan, an int64 table made once: a call takes 0.31 us, one with all nine arguments 0.47 us. */
#include <stddef.h>

#include "denormals.h"
#include "fastopt.h"

/* plan: rule, k, p, g, s, arrays, chunks (fastopt/kernels/elementwise.py). */
#define STEP(T, F)                                                                                   \
    static int64_t first_nonfinite_##F(intptr_t plan, int64_t begin, int64_t end)                    \
    {                                                                                                \
        const int64_t *a = (const int64_t *)plan;                                                    \
        return fo_first_nonfinite_##F((const T *const *)a[3], (const int64_t *)a[6], begin, end);    \
    }                                                                                                \
    static int64_t step_##F(intptr_t plan, int check, int64_t begin, int64_t end)                    \
    {                                                                                                \
        const int64_t *a = (const int64_t *)plan;                                                    \
        int64_t bad = check ? first_nonfinite_##F(plan, begin, end) : -1;                            \
        if (bad >= 0) return bad;                                                                    \
        fo_step_##F((int)a[0], (const double *)a[1], (T *const *)a[2], (const T *const *)a[3],       \
                    (T *const *)a[4], a[5], (const int64_t *)a[6], begin, end);                      \
        return -1;                                                                                   \
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

/* The head of a NumPy array object, which NumPy's ABI fixes; it follows the object header. */
typedef struct {
    intptr_t data;
    int nd;
    const intptr_t *dimensions;
    const intptr_t *strides;
    const void *base;
    const void *descr;
    int flags;
} array_head;

static intptr_t array_address(intptr_t head) { return ((const array_head *)head)->data; }

static int same_form(const array_head *a, const array_head *like)
{
    enum { C_CONTIGUOUS = 0x1, ALIGNED = 0x100 };
    if (a->descr != like->descr || a->nd != like->nd) return 0;
    if ((a->flags & (C_CONTIGUOUS | ALIGNED)) != (C_CONTIGUOUS | ALIGNED)) return 0;
    for (int j = 0; j < a->nd; j++)
        if (a->dimensions[j] != like->dimensions[j]) return 0;
    return 1;
}

/* Addresses of n arrays, given as object ids, if each has the dtype and shape of its like, lies in one
 * piece, and meets none of the m spans (begin, end), which are sorted and disjoint. Else 0. */
static int match_arrays(intptr_t ids, intptr_t likes, int64_t n, int64_t header, intptr_t sizes,
                        intptr_t spans, int64_t m, intptr_t addresses)
{
    const int64_t *span = (const int64_t *)spans;
    for (int64_t i = 0; i < n; i++) {
        const array_head *a = (const array_head *)(((const intptr_t *)ids)[i] + header);
        if (!same_form(a, (const array_head *)(((const intptr_t *)likes)[i] + header))) return 0;
        int64_t low = 0, high = m; /* the first span that ends behind the array's beginning */
        while (low < high) {
            int64_t middle = (low + high) / 2;
            if (span[2 * middle + 1] > a->data) high = middle;
            else low = middle + 1;
        }
        if (low < m && span[2 * low] < a->data + ((const int64_t *)sizes)[i]) return 0;
        ((int64_t *)addresses)[i] = a->data;
    }
    return 1;
}
