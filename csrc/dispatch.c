/* Ask the CPU once, keep a pointer to its set of kernels, and call through it. */
#include <stdlib.h>
#include <string.h>

#include "sets.h"

#define DECLARE(set)                                 \
    extern const fo_rule_kernels fo_rule_kernels_##set; \
    extern const fo_linear_kernels fo_linear_kernels_##set;
#define SET(set) {#set, &fo_rule_kernels_##set, &fo_linear_kernels_##set}

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

static int known(int rule) { return rule >= 0 && rule < FO_RULE_COUNT; }

/* The public functions of one dtype. */
#define FUNCTIONS(T, F)                                                                               \
    void fo_update_##F(int rule, const double *k, T *p, const T *g, T *const *s, int64_t begin,       \
                       int64_t end)                                                                   \
    {                                                                                                 \
        int slots = fo_rule_slots(rule);                                                              \
        if (!known(rule)) return;                                                                     \
        fo_kernels()->rules->update_##F[rule](k, p, g, slots > 0 ? s[0] : 0, slots > 1 ? s[1] : 0,    \
                                              slots > 2 ? s[2] : 0, begin, end);                      \
    }                                                                                                 \
                                                                                                      \
    void fo_step_##F(int rule, const double *k, T *const *p, const T *const *g, T *const *s,          \
                     int64_t arrays, const int64_t *chunks, int64_t begin, int64_t end)               \
    {                                                                                                 \
        int slots = fo_rule_slots(rule);                                                              \
        if (!known(rule)) return;                                                                     \
        fo_update_##F##_fn *update = fo_kernels()->rules->update_##F[rule];                           \
        for (int64_t c = begin; c < end; c++) {                                                       \
            int64_t a = chunks[3 * c];                                                                \
            T *slot[3] = {0, 0, 0};                                                                   \
            for (int j = 0; j < slots; j++) slot[j] = s[j * arrays + a];                              \
            update(k, p[a], g[a], slot[0], slot[1], slot[2], chunks[3 * c + 1], chunks[3 * c + 2]);   \
        }                                                                                             \
    }                                                                                                 \
                                                                                                      \
    int fo_all_finite_##F(const T *x, int64_t n) { return fo_kernels()->rules->all_finite_##F(x, n); } \
                                                                                                      \
    int64_t fo_first_nonfinite_##F(const T *const *x, const int64_t *chunks, int64_t begin,           \
                                   int64_t end)                                                       \
    {                                                                                                 \
        for (int64_t c = begin; c < end; c++) {                                                       \
            const int64_t *chunk = chunks + 3 * c;                                                    \
            if (!fo_all_finite_##F(x[chunk[0]] + chunk[1], chunk[2] - chunk[1])) return chunk[0];     \
        }                                                                                             \
        return -1;                                                                                    \
    }                                                                                                 \
                                                                                                      \
    int fo_rows_##F(const fo_data *data, const T *W, const T *b, int64_t begin, int64_t end, T *dW,   \
                    T *db, double *loss)                                                              \
    {                                                                                                 \
        return fo_kernels()->linear->rows_##F(data, W, b, begin, end, end, dW, db, loss);             \
    }

FUNCTIONS(float, f32)
FUNCTIONS(double, f64)
