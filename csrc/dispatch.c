/* Ask the CPU once, keep a pointer to its set of kernels, and call through it. */
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "sets.h"

#define DECLARE(set)                                 \
    extern const fo_rule_kernels fo_rule_kernels_##set; \
    extern const fo_linear_kernels fo_linear_kernels_##set; \
    extern const fo_solver_kernels fo_solver_kernels_##set;
#define SET(set) {#set, &fo_rule_kernels_##set, &fo_linear_kernels_##set, &fo_solver_kernels_##set}

DECLARE(plain)
#if defined(FO_X86_SETS)
DECLARE(avx2)
DECLARE(avx512)
#endif

/* Best first. */
static const fo_set SETS[] = {
#if defined(FO_X86_SETS)
    SET(avx512),
    SET(avx2),
#endif
    SET(plain),
};
enum { COUNT = sizeof SETS / sizeof *SETS };

/* __builtin_cpu_supports also asks whether the system saves the wide registers. */
static int offered(const char *name)
{
#if defined(FO_X86_SETS)
    __builtin_cpu_init();
    int avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    if (strcmp(name, "avx2") == 0) return avx2;
    if (strcmp(name, "avx512") == 0)
        return avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
#endif
    return strcmp(name, "plain") == 0;
}

/* Whether the comma list holds the name; blanks around names are allowed. */
static int listed(const char *list, const char *name)
{
    size_t n = strlen(name);
    while (list && *list) {
        list += strspn(list, " ,");
        size_t m = strcspn(list, " ,");
        if (m == n && memcmp(list, name, n) == 0) return 1;
        list += m;
    }
    return 0;
}

static const fo_set *choose(const char *disabled)
{
    for (int i = 0; i < COUNT - 1; i++)
        if (offered(SETS[i].name) && !listed(disabled, SETS[i].name)) return &SETS[i];
    return &SETS[COUNT - 1];
}

/* Two threads that come here first at once choose the same set, so a plain race does no harm; the
 * atomic access makes the pointer itself safe to read. */
#if defined(__GNUC__)
static const fo_set *chosen;
#define READ_CHOSEN() __atomic_load_n(&chosen, __ATOMIC_ACQUIRE)
#define WRITE_CHOSEN(set) __atomic_store_n(&chosen, set, __ATOMIC_RELEASE)
#else
static const fo_set *volatile chosen;
#define READ_CHOSEN() chosen
#define WRITE_CHOSEN(set) (chosen = (set))
#endif

const fo_set *fo_kernels(void)
{
    const fo_set *set = READ_CHOSEN();
    if (!set) {
        set = choose(getenv("FASTOPT_DISABLE_CPU_FEATURES"));
        WRITE_CHOSEN(set);
    }
    return set;
}

const char *fo_features(void) { return fo_kernels()->name; }

const char *fo_select_features(const char *disabled)
{
    WRITE_CHOSEN(choose(disabled));
    return fo_features();
}

const char *fo_version(void) { return FO_VERSION_STRING; }

const char *fo_message(int64_t status)
{
    static const char *const MESSAGES[] = {
        "no error", "no memory", "unknown loss", "unknown storage, or one that this function does not take",
        "unknown rule", "NULL where a pointer is needed", "a size that is negative or impossible",
        "a range that does not rise, or goes beyond the last step", "a value out of its range",
    };
    if (status > 0) return MESSAGES[0]; /* a step */
    return status < FO_BAD_VALUE ? "unknown status" : MESSAGES[-status];
}

/* ---- what the values are, on request ---- */

static int64_t number(const fo_data *data, const void *table, int64_t i)
{
    return data->storage == FO_CSR32 ? ((const int32_t *)table)[i] : ((const int64_t *)table)[i];
}

/* Labels that a loss takes: two where one row of W tells two classes apart. */
static int64_t label_count(const fo_data *data)
{
    int one_row = data->classes == 1 && data->loss != FO_SOFTMAX && data->loss != FO_MULTICLASS_HINGE;
    return one_row ? 2 : data->classes;
}

static int csr_row_status(const fo_data *data, int64_t row, int64_t entries)
{
    int64_t i = number(data, data->indptr, row), stop = number(data, data->indptr, row + 1);
    if (i < 0 || stop < i || stop > entries) return FO_BAD_VALUE;
    for (; i < stop; i++) {
        int64_t f = number(data, data->indices, i);
        if (f < 0 || f >= data->features) return FO_BAD_VALUE;
    }
    return FO_OK;
}

int fo_check_data(const fo_data *data, int64_t positions, int64_t rows, int64_t entries)
{
    int csr, status;
    if (positions < 0 || rows < 0) return FO_BAD_SIZE;
    if (positions == 0) return FO_OK;
    status = fo_data_status(data);
    csr = !status && (data->storage == FO_CSR32 || data->storage == FO_CSR64);
    if (!status && csr && entries < 0) return FO_BAD_SIZE;
    for (int64_t i = 0; !status && i < positions; i++) {
        int64_t row = data->order ? data->order[i] : i;
        if (row < 0 || row >= rows) return FO_BAD_VALUE;
        if (data->y && (data->y[row] < 0 || data->y[row] >= label_count(data))) return FO_BAD_VALUE;
        if (csr) status = csr_row_status(data, row, entries);
    }
    return status;
}

/* ---- the public functions of one dtype ---- */

static int update_status(int rule, const double *k, const void *p, const void *g, const void *s)
{
    int slots = fo_rule_slots(rule);
    if (slots < 0) return FO_UNKNOWN_RULE;
    return k && p && g && (s || slots == 0) ? FO_OK : FO_NULL_POINTER;
}

#define FUNCTIONS(T, F)                                                                               \
    int fo_update_##F(int rule, const double *k, T *p, const T *g, T *const *s, int64_t begin,        \
                      int64_t end)                                                                    \
    {                                                                                                 \
        int slots = fo_rule_slots(rule), status = fo_range_status(begin, end);                        \
        if (slots < 0) return FO_UNKNOWN_RULE;                                                        \
        if (status || begin == end) return status;                                                    \
        status = update_status(rule, k, p, g, s);                                                     \
        for (int j = 0; !status && j < slots; j++)                                                    \
            if (!s[j]) status = FO_NULL_POINTER;                                                      \
        if (status) return status;                                                                    \
        fo_kernels()->rules->update_any_##F(rule, k, p, g, s, begin, end);                            \
        return FO_OK;                                                                                 \
    }                                                                                                 \
                                                                                                      \
    int fo_step_##F(int rule, const double *k, T *const *p, const T *const *g, T *const *s,           \
                    int64_t arrays, const int64_t *chunks, int64_t begin, int64_t end)                \
    {                                                                                                 \
        int slots = fo_rule_slots(rule), status = fo_range_status(begin, end);                        \
        if (slots < 0) return FO_UNKNOWN_RULE;                                                        \
        if (status || begin == end) return status;                                                    \
        if (arrays < 1) return FO_BAD_SIZE;                                                           \
        status = chunks ? update_status(rule, k, p, g, s) : FO_NULL_POINTER;                          \
        if (status) return status;                                                                    \
        for (int64_t c = begin; c < end; c++) {                                                       \
            int64_t a = chunks[3 * c];                                                                \
            T *slot[FO_MAX_SLOTS] = {0};                                                              \
            for (int j = 0; j < slots; j++) slot[j] = s[j * arrays + a];                              \
            fo_kernels()->rules->update_any_##F(rule, k, p[a], g[a], slot, chunks[3 * c + 1],         \
                                                chunks[3 * c + 2]);                                   \
        }                                                                                             \
        return FO_OK;                                                                                 \
    }                                                                                                 \
                                                                                                      \
    int fo_measure_##F(int rule, const double *k, const T *p, const T *g, T *const *s, int64_t begin, \
                       int64_t end, double *squares)                                                  \
    {                                                                                                 \
        int slots = fo_rule_slots(rule), norms = fo_rule_norms(rule), status = fo_range_status(begin, end); \
        if (norms < 1) return FO_UNKNOWN_RULE;                                                        \
        if (status) return status;                                                                    \
        if (!squares) return FO_NULL_POINTER;                                                         \
        if (begin < end) status = update_status(rule, k, p, g, s);                                    \
        for (int j = 0; !status && begin < end && j < slots; j++)                                     \
            if (!s[j]) status = FO_NULL_POINTER;                                                      \
        if (status) return status;                                                                    \
        for (int j = 0; j < norms; j++) squares[j] = 0;                                               \
        if (begin < end) fo_kernels()->rules->measure_##F(rule, k, p, g, s, 0, begin, end, squares);  \
        return FO_OK;                                                                                 \
    }                                                                                                 \
                                                                                                      \
    int fo_all_finite_##F(const T *x, int64_t n)                                                      \
    {                                                                                                 \
        if (n <= 0) return n < 0 ? FO_BAD_SIZE : 1;                                                   \
        return x ? fo_kernels()->rules->all_finite_##F(x, n) : FO_NULL_POINTER;                       \
    }                                                                                                 \
                                                                                                      \
    double fo_squares_##F(const T *x, int64_t n, double unit)                                         \
    {                                                                                                 \
        return x && n > 0 ? fo_kernels()->rules->squares_##F(x, n, unit) : 0;                         \
    }                                                                                                 \
                                                                                                      \
    int64_t fo_first_nonfinite_##F(const T *const *x, const int64_t *chunks, int64_t begin,           \
                                   int64_t end)                                                       \
    {                                                                                                 \
        for (int64_t c = begin; x && chunks && c < end; c++) {                                        \
            const int64_t *chunk = chunks + 3 * c;                                                    \
            if (!fo_all_finite_##F(x[chunk[0]] + chunk[1], chunk[2] - chunk[1])) return chunk[0];     \
        }                                                                                             \
        return -1;                                                                                    \
    }

FUNCTIONS(float, f32)
FUNCTIONS(double, f64)
