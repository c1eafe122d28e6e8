/* What the cffi module is compiled with. Addresses come from Python as integers, and a step's as one
 * address of a plan, an int64 table made once: a call takes 0.31 us, one with all nine arguments 0.47 us. */
#include <stddef.h>

#include "denormals.h"
#include "fastopt.h"

#if defined(_MSC_VER)
#include <intrin.h>
#define LOAD(x) _InterlockedOr64(x, 0)
#define STORE(x, value) ((void)_InterlockedExchange64(x, value))
#define NEXT(x) _InterlockedExchangeAdd64(x, 1)
#define REPLACE(x, old, value) (_InterlockedCompareExchange64(x, value, old) == (old))
#else
#define LOAD(x) __atomic_load_n(x, __ATOMIC_ACQUIRE)
#define STORE(x, value) __atomic_store_n(x, value, __ATOMIC_RELEASE)
#define NEXT(x) __atomic_fetch_add(x, 1, __ATOMIC_SEQ_CST)
#define REPLACE(x, old, value) \
    __atomic_compare_exchange_n(x, &(int64_t){old}, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
#endif

/* A board as fastopt/threads.py describes it, in int64 numbers. */
enum { LOOK = 0, TAKEN = 8, BAD = 16, SEEN = 24, PATIENCE = 1 << 16 };

/* plan: rule, k, p, g, s, arrays, chunks (fastopt/kernels/step/elementwise.py, where step_together is explained). */
#define STEP(T, F)                                                                                   \
    static int64_t first_nonfinite_##F(const int64_t *a, int64_t begin, int64_t end)                 \
    {                                                                                                \
        return fo_first_nonfinite_##F((const T *const *)a[3], (const int64_t *)a[6], begin, end);    \
    }                                                                                                \
    static void update_##F(const int64_t *a, int64_t begin, int64_t end)                             \
    {                                                                                                \
        fo_step_##F((int)a[0], (const double *)a[1], (T *const *)a[2], (const T *const *)a[3],       \
                    (T *const *)a[4], a[5], (const int64_t *)a[6], begin, end);                      \
    }                                                                                                \
    static int64_t step_##F(intptr_t plan, int check, int64_t begin, int64_t end)                    \
    {                                                                                                \
        const int64_t *a = (const int64_t *)plan;                                                    \
        int64_t bad = check ? first_nonfinite_##F(a, begin, end) : -1;                               \
        if (bad < 0) update_##F(a, begin, end);                                                      \
        return bad;                                                                                  \
    }                                                                                                \
    static void look_##F(const int64_t *a, int64_t c, int64_t *board)                                \
    {                                                                                                \
        if (first_nonfinite_##F(a, c, c + 1) >= 0)                                                   \
            for (;;) {                                                                               \
                int64_t known = LOAD(board + BAD);                                                   \
                if ((known >= 0 && known <= c) || REPLACE(board + BAD, known, c)) break;             \
            }                                                                                        \
        STORE(board + SEEN + c, 1);                                                                  \
    }                                                                                                \
    static void step_together_##F(intptr_t plan, int check, int64_t chunks, intptr_t at)             \
    {                                                                                                \
        const int64_t *a = (const int64_t *)plan;                                                    \
        int64_t *board = (int64_t *)at, patience = PATIENCE, c;                                      \
        if (check) {                                                                                 \
            while ((c = NEXT(board + LOOK)) < chunks) look_##F(a, c, board);                         \
            for (c = 0; c < chunks; c++) {                                                           \
                while (!LOAD(board + SEEN + c) && patience > 0) patience--;                          \
                if (!LOAD(board + SEEN + c)) look_##F(a, c, board);                                  \
            }                                                                                        \
            if (LOAD(board + BAD) >= 0) return;                                                      \
        }                                                                                            \
        while ((c = chunks - 1 - NEXT(board + TAKEN)) >= 0) update_##F(a, c, c + 1);                 \
    }

STEP(float, f32)
STEP(double, f64)

static void coefficients(int rule, intptr_t h, double t, intptr_t k)
{
    fo_coefficients(rule, (const double *)h, t, (double *)k);
}

/* The coefficients of the steps t, t+1, ...: a row each in k; h: a row each, or h_step = 0 for one row. */
static void coefficient_table(int rule, intptr_t h, int64_t h_step, double t, int64_t steps, intptr_t k)
{
    int size = fo_rule_coefficients(rule);
    for (int64_t i = 0; i < steps; i++)
        fo_coefficients(rule, (const double *)h + i * h_step, t + (double)i, (double *)k + i * size);
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
