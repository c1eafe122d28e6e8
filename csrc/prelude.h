/* What the cffi module is compiled with. Addresses come from Python as integers, and a step's as one
 * address of a plan, an int64 table made once: a call takes 0.31 us, one with all nine arguments 0.47 us. */
#include <math.h>
#include <stddef.h>
#include <stdlib.h>

#include "atomics.h"
#include "denormals.h"
#include "fastopt.h"
#include "noise.h"
#include "sets.h"

#define NEXT(x) ADD(x, 1)

/* A board as fastopt/threads.py describes it, in int64 numbers. */
enum { LOOK = 0, TAKEN = 8, BAD = 16, SEEN = 24, PATIENCE = 1 << 16 };

/* A plan's numbers (fastopt/stepping/table.py); kernels/step/elementwise.py explains step and step_together. */
enum { RULE, K, P, G, S, ARRAYS, CHUNKS, CLOCK, FACTORS, NUMBER_FORMS, NOISE, BLOCK = 2048 };

#define STEP(T, F)                                                                                   \
    static int64_t first_nonfinite_##F(intptr_t plan, int64_t begin, int64_t end)                    \
    {                                                                                                \
        const int64_t *a = (const int64_t *)plan;                                                    \
        return fo_first_nonfinite_##F((const T *const *)a[G], (const int64_t *)a[CHUNKS], begin, end); \
    }                                                                                                \
    /* Elements [begin, end) from gradients that are multiplied and held within bounds a block at a time */ \
    static void update_scaled_##F(int rule, const double *k, T *p, const T *g, T *const *s,          \
                                  const double *factors, int64_t begin, int64_t end)                 \
    {                                                                                                \
        T block[BLOCK], unit = (T)factors[0], scale = (T)factors[1], most = (T)factors[2], *slot[FO_MAX_SLOTS]; \
        for (; begin < end; begin += BLOCK) {                                                        \
            int64_t n = end - begin < BLOCK ? end - begin : BLOCK;                                   \
            unsigned control = fo_flush_denormals();                                                 \
            for (int64_t i = 0; i < n; i++) {                                                        \
                T v = g[begin + i] * unit * scale;                                                   \
                v = v > most ? most : v;                                                             \
                block[i] = v < -most ? -most : v;                                                    \
            }                                                                                        \
            fo_restore_denormals(control);                                                           \
            for (int j = 0; j < FO_MAX_SLOTS; j++) slot[j] = s[j] ? s[j] + begin : 0;                       \
            fo_update_##F(rule, k, p + begin, block, slot, 0, n);                                    \
        }                                                                                            \
    }                                                                                                \
    static void update_##F(const int64_t *a, int64_t t, int64_t begin, int64_t end)                  \
    {                                                                                                \
        const double *const *k = (const double *const *)a[K], *factors = (const double *)a[FACTORS]; \
        T *const *p = (T *const *)a[P], *const *s = (T *const *)a[S], *slot[FO_MAX_SLOTS] = {0};     \
        const T *const *g = (const T *const *)a[G];                                                  \
        int rule = (int)a[RULE], slots = fo_rule_slots(rule);                                        \
        for (int64_t c = begin; c < end; c++) {                                                      \
            const int64_t *chunk = (const int64_t *)a[CHUNKS] + 3 * c, x = chunk[0];                 \
            for (int j = 0; j < slots; j++) slot[j] = s[j * a[ARRAYS] + x];                          \
            const double *f = factors + 3 * x;                                                       \
            (void)t;                                                                                 \
            if (f[0] != 1 || f[1] != 1 || f[2] < (double)INFINITY)                                   \
                update_scaled_##F(rule, k[x], p[x], g[x], slot, f, chunk[1], chunk[2]);              \
            else fo_update_##F(rule, k[x], p[x], g[x], slot, chunk[1], chunk[2]);                    \
        }                                                                                            \
    }                                                                                                \
    /* a row of `out` each chunk: the sums of squares of what the rule measures */                   \
    static void measure_##F(intptr_t plan, intptr_t out, int64_t begin, int64_t end)                 \
    {                                                                                                \
        const int64_t *a = (const int64_t *)plan;                                                    \
        T *const *s = (T *const *)a[S], *slot[FO_MAX_SLOTS] = {0};                                   \
        int rule = (int)a[RULE], slots = fo_rule_slots(rule), norms = fo_rule_norms(rule);           \
        for (int64_t c = begin; c < end; c++) {                                                      \
            const int64_t *chunk = (const int64_t *)a[CHUNKS] + 3 * c, x = chunk[0];                 \
            const double *f = (const double *)a[FACTORS] + 3 * x;                                    \
            int plain = f[0] == 1 && f[1] == 1 && !(f[2] < (double)INFINITY);                        \
            for (int j = 0; j < slots; j++) slot[j] = s[j * a[ARRAYS] + x];                          \
            fo_kernels()->rules->measure_##F(rule, ((const double *const *)a[K])[x],                 \
                                             ((T *const *)a[P])[x], ((const T *const *)a[G])[x], slot, plain ? 0 : f, \
                                             chunk[1], chunk[2], (double *)out + c * norms);         \
        }                                                                                            \
    }                                                                                                \
    static void squares_##F(intptr_t plan, double unit, intptr_t out, int64_t begin, int64_t end)    \
    {                                                                                                \
        const int64_t *a = (const int64_t *)plan;                                                    \
        for (int64_t c = begin; c < end; c++) {                                                      \
            const int64_t *chunk = (const int64_t *)a[CHUNKS] + 3 * c;                               \
            const T *g = ((const T *const *)a[G])[chunk[0]];                                         \
            ((double *)out)[c] = fo_squares_##F(g + chunk[1], chunk[2] - chunk[1], unit);            \
        }                                                                                            \
    }

STEP(float, f32)
STEP(double, f64)

/* SAM's climb (fastopt/stepping/ascent.py): `to` is n elements `from` on the way along g. */
#define CLIMB(T, F)                                                                                  \
    static void climb_##F(intptr_t to, intptr_t from, intptr_t g, double unit, double length, int64_t n) \
    {                                                                                                \
        T *end = (T *)to;                                                                            \
        const T *p = (const T *)from, *slope = (const T *)g;                                         \
        for (int64_t i = 0; i < n; i++) end[i] = p[i] + (T)((double)slope[i] * unit * length);       \
    }

CLIMB(float, f32)
CLIMB(double, f64)

/* The chunk [chunk[1], chunk[2]) of array x of a plan whose numbers are of few bits. */
static void update_stored_chunk(const int64_t *a, const int64_t *chunk, int64_t t)
{
    const int32_t *forms = (const int32_t *)a[NUMBER_FORMS];
    const double *factors = (const double *)a[FACTORS] + 3 * chunk[0];
    const uint32_t *noise = (const uint32_t *)a[NOISE];
    void *const *s = (void *const *)a[S];
    int64_t x = chunk[0], arrays = a[ARRAYS], row = 0;
    int rule = (int)a[RULE], slots = fo_rule_slots(rule);
    fo_stored one = {.parameter = forms[0], .unit = factors[0], .scale = factors[1]};
    one.most = factors[2] < (double)INFINITY ? factors[2] : 0;
    one.p = ((void *const *)a[P])[x];
    one.g = ((const void *const *)a[G])[x];
    if (one.parameter == FO_BFLOAT16 || one.parameter == FO_FLOAT16) one.master = s[row++ * arrays + x];
    for (int j = 0; j < slots; j++) {
        one.form[j] = forms[1 + j];
        one.s[j] = s[row++ * arrays + x];
        if (one.form[j] >= FO_SIGNED8) one.base[j] = (int16_t *)s[row++ * arrays + x];
    }
    for (int q = 0; q < 3; q++) one.key[q] = fo_noise_key(noise[3 * x + q], t);
    fo_update_stored(rule, ((const double *const *)a[K])[x], &one, chunk[1], chunk[2]);
}

static void update_stored(const int64_t *a, int64_t t, int64_t begin, int64_t end)
{
    for (int64_t c = begin; c < end; c++) update_stored_chunk(a, (const int64_t *)a[CHUNKS] + 3 * c, t);
}

static int64_t first_nonfinite_stored(intptr_t plan, int64_t begin, int64_t end)
{
    const int64_t *a = (const int64_t *)plan;
    int form = ((const int32_t *)a[NUMBER_FORMS])[0];
    if (form == FO_FLOAT32) return first_nonfinite_f32(plan, begin, end);
    for (int64_t c = begin; c < end; c++) {
        const int64_t *chunk = (const int64_t *)a[CHUNKS] + 3 * c;
        const uint16_t *g = ((const uint16_t *const *)a[G])[chunk[0]] + chunk[1];
        if (!fo_all_finite_halves(form == FO_FLOAT16 ? form : FO_BFLOAT16, g, chunk[2] - chunk[1])) return chunk[0];
    }
    return -1;
}

static void squares_stored(intptr_t plan, double unit, intptr_t out, int64_t begin, int64_t end)
{
    const int64_t *a = (const int64_t *)plan;
    int form = ((const int32_t *)a[NUMBER_FORMS])[0];
    if (form == FO_FLOAT32) {
        squares_f32(plan, unit, out, begin, end);
        return;
    }
    for (int64_t c = begin; c < end; c++) {
        const int64_t *chunk = (const int64_t *)a[CHUNKS] + 3 * c;
        const uint16_t *g = ((const uint16_t *const *)a[G])[chunk[0]] + chunk[1];
        ((double *)out)[c] = fo_squares_halves(form == FO_FLOAT16 ? form : FO_BFLOAT16, g, chunk[2] - chunk[1], unit);
    }
}

/* A step of Adafactor (which = 0) or PlainAdafactor (1) on whole arrays. forms: for each an fo_whole, whether it has the slot m, and whether it has a gradient.
 * The first array with NaN or inf, -1 when all is done, or FO_NO_MEMORY - 1, and nothing is changed. */
#define WHOLE(T, F)                                                                                  \
    static int64_t whole_##F(intptr_t plan, int which, int check, intptr_t forms, int64_t chunks)    \
    {                                                                                                \
        const int64_t *a = (const int64_t *)plan, *form = (const int64_t *)forms, n = a[ARRAYS];     \
        T *const *s = (T *const *)a[S];                                                              \
        int64_t bad = check ? first_nonfinite_##F(plan, 0, chunks) : -1, most = 1;                   \
        if (bad >= 0) return bad;                                                                    \
        for (int64_t x = 0; x < n; x++) {                                                            \
            int64_t numbers = form[6 * x] * (form[6 * x + 1] + form[6 * x + 2]);                     \
            if (form[6 * x + 3] && numbers > most) most = numbers;                                   \
        }                                                                                            \
        double *room = malloc(sizeof(double) * 2 * (size_t)most);                                    \
        if (!room) return FO_NO_MEMORY - 1;                                                          \
        for (int64_t x = 0; x < n; x++) {                                                            \
            const int64_t *of = form + 6 * x;                                                        \
            const fo_whole whole = {of[0], of[1], of[2], of[3]};                                     \
            if (of[5])                                                                               \
                fo_kernels()->rules->whole_##F[which](                                               \
                    &whole, ((const double *const *)a[K])[x], (const double *)a[FACTORS] + 3 * x,    \
                    ((T *const *)a[P])[x], ((const T *const *)a[G])[x], s[x], s[n + x],              \
                    of[4] ? s[2 * n + x] : 0, room);                                                 \
        }                                                                                            \
        free(room);                                                                                  \
        ++*(int64_t *)a[CLOCK];                                                                      \
        return -1;                                                                                   \
    }

WHOLE(float, f32)
WHOLE(double, f64)

/* t: of the step. It is read before any chunk is taken: the thread that finds none left counts it up. */
#define STEPS(F)                                                                                     \
    static int64_t step_##F(intptr_t plan, int check, int64_t begin, int64_t end)                    \
    {                                                                                                \
        const int64_t *a = (const int64_t *)plan;                                                    \
        int64_t bad = check ? first_nonfinite_##F(plan, begin, end) : -1;                            \
        if (bad < 0) {                                                                               \
            update_##F(a, *(const int64_t *)a[CLOCK] + 1, begin, end);                               \
            ++*(int64_t *)a[CLOCK];                                                                  \
        }                                                                                            \
        return bad;                                                                                  \
    }                                                                                                \
    static void look_##F(intptr_t plan, int64_t c, int64_t *board)                                   \
    {                                                                                                \
        if (first_nonfinite_##F(plan, c, c + 1) >= 0)                                                \
            for (;;) {                                                                               \
                int64_t known = LOAD(board + BAD);                                                   \
                if ((known >= 0 && known <= c) || REPLACE(board + BAD, known, c)) break;             \
            }                                                                                        \
        STORE(board + SEEN + c, 1);                                                                  \
    }                                                                                                \
    static void step_together_##F(intptr_t plan, int check, int64_t chunks, intptr_t at)             \
    {                                                                                                \
        const int64_t *a = (const int64_t *)plan;                                                    \
        int64_t *board = (int64_t *)at, patience = PATIENCE, c, t = *(const int64_t *)a[CLOCK] + 1;  \
        if (check) {                                                                                 \
            while ((c = NEXT(board + LOOK)) < chunks) look_##F(plan, c, board);                      \
            for (c = 0; c < chunks; c++) {                                                           \
                while (!LOAD(board + SEEN + c) && patience > 0) patience--;                          \
                if (!LOAD(board + SEEN + c)) look_##F(plan, c, board);                               \
            }                                                                                        \
            if (LOAD(board + BAD) >= 0) return;                                                      \
        }                                                                                            \
        while ((c = chunks - 1 - NEXT(board + TAKEN)) >= 0) update_##F(a, t, c, c + 1);              \
        if (c == -1) ++*(int64_t *)a[CLOCK]; /* the one thread that was the first to find none left */ \
    }

STEPS(f32)
STEPS(f64)
STEPS(stored)

/* The loops of linear models, on tables by address (fastopt/kernels/tables.py); h is not used, as in Numba's kernels. */
#define LOOPS(F)                                                                                     \
    static void take_groups_##F(int h, intptr_t p, intptr_t worker, intptr_t counter)                \
    {                                                                                                \
        (void)h;                                                                                     \
        fo_kernels()->linear->F.take_groups((fo_problem *)p, (const fo_worker *)worker, (int64_t *)counter); \
    }                                                                                                \
    static double finish_gradient_##F(int h, intptr_t p, intptr_t worker, intptr_t counter, double scale, double l2) \
    {                                                                                                \
        (void)h;                                                                                     \
        return fo_kernels()->linear->F.finish_gradient((fo_problem *)p, (const fo_worker *)worker,   \
                                                       (int64_t *)counter, scale, l2);               \
    }                                                                                                \
    static void help_crew_##F(int h, intptr_t p, intptr_t worker, intptr_t crew)                     \
    {                                                                                                \
        (void)h;                                                                                     \
        fo_kernels()->linear->F.help_crew((fo_problem *)p, (const fo_worker *)worker, (int64_t *)crew); \
    }                                                                                                \
    static void help_pair_##F(int h, intptr_t p, intptr_t run, int64_t begin, int64_t end)           \
    {                                                                                                \
        (void)h;                                                                                     \
        fo_kernels()->linear->F.help_pair((fo_problem *)p, (fo_run *)run, begin, end);               \
    }                                                                                                \
    static void gram_##F(int h, intptr_t p, intptr_t diagonal, int64_t begin, int64_t end, int64_t first, \
                         int64_t last, intptr_t target, int64_t stride, intptr_t scratch)            \
    {                                                                                                \
        (void)h;                                                                                     \
        fo_kernels()->linear->F.gram((const fo_problem *)p, diagonal, begin, end, first, last, target, stride, scratch); \
    }                                                                                                \
    static int row_scores_##F(intptr_t X, int64_t features, int64_t bytes, intptr_t W, intptr_t b, int64_t classes, double scale, \
                              int64_t block_rows, int64_t begin, int64_t end, intptr_t out)          \
    {                                                                                                \
        const fo_problem p = {.X = X, .x_stride = features * bytes, .x_kind = bytes == 1, .W = W, .b = b, .classes = classes, \
                              .features = features, .numbers = (intptr_t)&scale, .block_rows = block_rows, .width = classes, \
                              .w_stride = features * sizeof_##F};                                    \
        return fo_kernels()->linear->F.row_scores(&p, begin, end, out);                              \
    }                                                                                                \
    LOOP(steps, F)                                                                                   \
    LOOP(scaled_steps, F)                                                                            \
    LOOP(single_row_steps, F)
#define LOOP(name, F)                                                                                \
    static int64_t name##_##F(int h, intptr_t p, intptr_t run, int64_t begin, int64_t end)           \
    {                                                                                                \
        (void)h;                                                                                     \
        return fo_kernels()->linear->F.name((fo_problem *)p, (fo_run *)run, begin, end);             \
    }

enum { sizeof_f32 = sizeof(float), sizeof_f64 = sizeof(double) };
LOOPS(f32)
LOOPS(f64)

/* Of solvers (solvers.c). */
static int cholesky(intptr_t A, int64_t n, double ridge) { return fo_kernels()->solvers->cholesky((double *)A, n, ridge); }

static void substitute(intptr_t L, int64_t n, intptr_t x)
{
    fo_kernels()->solvers->substitute((const double *)L, n, (double *)x);
}

static int64_t descend(int64_t n, intptr_t H, intptr_t q, intptr_t z, intptr_t l1, intptr_t low, intptr_t high, intptr_t used,
                       double tol, int64_t most)
{
    const fo_quadratic p = {n, (const double *)H, (double *)q, (double *)z, (const double *)l1, (const double *)low,
                            (const double *)high, (int64_t *)used};
    return fo_kernels()->solvers->descend(&p, tol, most);
}

static void pack_columns(intptr_t values, intptr_t rows, intptr_t ends, int64_t columns, intptr_t root, int64_t n, intptr_t which,
                         intptr_t packed, intptr_t packed_rows, intptr_t packed_ends, int64_t count, intptr_t bends)
{
    const fo_columns from = {(double *)values, (int32_t *)rows, (int64_t *)ends};
    const fo_columns to = {(double *)packed, (int32_t *)packed_rows, (int64_t *)packed_ends};
    fo_kernels()->solvers->pack_columns(&from, columns, (const double *)root, n, (const int64_t *)which, &to, count,
                                        (double *)bends);
}

static int64_t descend_columns(intptr_t values, intptr_t rows, intptr_t ends, intptr_t r, intptr_t own, intptr_t used,
                               int64_t count, double tol, int64_t most)
{
    const fo_columns p = {(double *)values, (int32_t *)rows, (int64_t *)ends};
    return fo_kernels()->solvers->descend_columns(&p, (double *)r, (fo_column *)own, (int64_t *)used, count, tol, most);
}

static void times_columns(intptr_t values, intptr_t rows, intptr_t ends, intptr_t r, intptr_t products, int64_t begin, int64_t end)
{
    const fo_columns p = {(double *)values, (int32_t *)rows, (int64_t *)ends};
    fo_kernels()->solvers->times_columns(&p, (const double *)r, (double *)products, begin, end);
}

#define ASCENTS(F)                                                                                   \
    static void ascent_pass_##F(intptr_t a) { fo_kernels()->solvers->F.ascent_pass((fo_ascent *)a); } \
    static void target_pass_##F(intptr_t a) { fo_kernels()->solvers->F.target_pass((fo_ascent *)a); } \
    static void multiclass_pass_##F(intptr_t a, int64_t classes, int64_t one_of_a_row, intptr_t y, intptr_t most, intptr_t bend, \
                                    intptr_t squares, intptr_t alpha, intptr_t room)                 \
    {                                                                                                \
        const fo_ascent_classes of = {classes, one_of_a_row, (const int64_t *)y, (const double *)most, (const double *)bend, \
                                      (const double *)squares, (double *)alpha, (double *)room};     \
        fo_kernels()->solvers->F.multiclass_pass((fo_ascent *)a, &of);                               \
    }                                                                                                \
    static void row_squares_##F(intptr_t a, int64_t n, intptr_t squares)                             \
    {                                                                                                \
        fo_kernels()->solvers->F.row_squares((const fo_ascent *)a, n, (double *)squares);            \
    }

ASCENTS(f32)
ASCENTS(f64)

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
static unsigned denormals_control(void) { return fo_denormals_control(); }
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

enum { ALIGNED = 0x100, WRITEABLE = 0x400 };

/* What an array's head must say: five numbers (descr, nd, where its sizes begin, bytes, flags), and of the sizes nd
 * dimensions, nd strides of the parameter (which = 1) and nd of its gradient (2). Strides of one step, and those of
 * empty arrays, mean nothing. */
static int has_form(const array_head *a, const int64_t *form, const int64_t *all_sizes, int which, int64_t flags)
{
    const int64_t nd = form[1], *sizes = all_sizes + form[2];
    if ((int64_t)(intptr_t)a->descr != form[0] || a->nd != nd || (a->flags & flags) != flags) return 0;
    for (int64_t j = 0; j < nd; j++) {
        if (a->dimensions[j] != sizes[j]) return 0;
        if (form[3] && sizes[j] != 1 && a->strides[j] != sizes[which * nd + j]) return 0;
    }
    return 1;
}

/* What a watch (native.Watch) knows of n parameters and their gradients; numbers are int64. */
enum { N, HEADER, TYPE, PARAMETERS, GRADIENTS, FORMS, SIZES, WHERE, SPANS, SPAN_COUNT, ADDRESSES };

/* Where a list keeps the addresses of its items. */
static intptr_t list_items(intptr_t list, int64_t header)
{
    return *(const intptr_t *)(list + header + (intptr_t)sizeof(intptr_t));
}

/* -1: every parameter's head is as it was, and every gradient from `first` on has its parameter's form, and meets
 * none of the spans (begin, end), sorted and disjoint; the gradients' addresses are then written. -2: a parameter
 * is another than it was. Else the first gradient that is not so; those before it are written. */
static int64_t watch(intptr_t at, int64_t first)
{
    const int64_t *w = (const int64_t *)at, n = w[N], m = w[SPAN_COUNT], header = w[HEADER];
    const int64_t *parameters = (const int64_t *)w[PARAMETERS], *gradients = (const int64_t *)w[GRADIENTS];
    const int64_t *forms = (const int64_t *)w[FORMS], *sizes = (const int64_t *)w[SIZES];
    const int64_t *where = (const int64_t *)w[WHERE], *span = (const int64_t *)w[SPANS];
    for (int64_t i = first ? n : 0; i < n; i++) {
        const array_head *a = (const array_head *)(intptr_t)(parameters[i] + header);
        if (a->data != where[i] || !has_form(a, forms + 5 * i, sizes, 1, forms[5 * i + 4])) return -2;
    }
    for (int64_t i = first; i < n; i++) {
        const array_head *a = (const array_head *)(intptr_t)(gradients[i] + header);
        if (((const intptr_t *)a)[-1] != w[TYPE] || !has_form(a, forms + 5 * i, sizes, 2, ALIGNED)) return i;
        int64_t low = 0, high = m; /* the first span that ends behind the array's beginning */
        while (low < high) {
            int64_t middle = (low + high) / 2;
            if (span[2 * middle + 1] > a->data) high = middle;
            else low = middle + 1;
        }
        if (low < m && span[2 * low] < a->data + forms[5 * i + 3]) return i;
        ((int64_t *)w[ADDRESSES])[i] = a->data;
    }
    return -1;
}
