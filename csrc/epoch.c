/* The public functions of linear models: their structs in the form of the tables that the loops take (tables.h), in memory
 * that is made for the call. Rows are divided as fastopt/kernels/gradient/division.py says. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "sets.h"

enum { LINE = 64, GROUP_ROWS = 32, MANY_ROWS = 512, HALVED = 512 };
#define PARTIALS_BYTES ((int64_t)16 << 20)
#define SPARSE_PARTIALS_BYTES ((int64_t)8 << 20)
#define BLOCK_BYTES ((int64_t)640 << 10)
#define ADDRESS(pointer) ((int64_t)(intptr_t)(pointer))

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t rounded_up(int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; }
static int is_sparse(const fo_data *data) { return data->storage == FO_CSR32 || data->storage == FO_CSR64; }

/* Numbers of W a feature: of CSR rows a power of two, or whole vectors. */
static int64_t width_of(const fo_data *data, int64_t size)
{
    int64_t lanes = 64 / size, width = 1;
    if (!is_sparse(data)) return data->classes;
    if (data->classes > lanes) return rounded_up(data->classes, lanes);
    while (width < data->classes) width *= 2;
    return width;
}

/* How many groups n rows are; *group_rows: rows in each. */
static int64_t row_groups(int64_t n, int64_t partial_bytes, int sparse, int64_t *group_rows)
{
    int64_t fit = most(1, (sparse ? SPARSE_PARTIALS_BYTES : PARTIALS_BYTES) / partial_bytes), even = 1;
    int64_t groups = most(1, least(least(FO_MOST_GROUPS, fit), most(least(2, n / GROUP_ROWS), n / MANY_ROWS)));
    while (2 * even <= groups) even *= 2;
    *group_rows = rounded_up((most(n, 1) + even - 1) / even, FO_ROWS);
    return most(1, (n + *group_rows - 1) / *group_rows);
}

static int64_t scratch_bytes(const fo_problem *p, int64_t size)
{
    int64_t bytes = 4 * FO_ROWS * 8 + (2 * p->classes + 1 + most(1, p->shares)) * FO_ROWS * size + 192;
    if (p->x_kind == 1) bytes += FO_ROWS * (rounded_up(p->features * size, 64) + 64);
    else if (p->x_kind) bytes += FO_ROWS * (most(64, p->width * size) + 6 * 8);
    return rounded_up(bytes, LINE) + LINE;
}

/* numbers: room for three. W and b are left out. */
static fo_problem problem_of(const fo_data *data, int64_t size, double *numbers)
{
    int sparse = is_sparse(data), one_row = data->classes == 1;
    int binary = data->loss >= FO_LOGISTIC && data->loss <= FO_MODIFIED_HUBER;
    int64_t row = data->features * size, block = FO_ROWS;
    while (!sparse && block > 4 && block * row > BLOCK_BYTES) block /= 2;
    numbers[0] = data->scale;
    numbers[1] = data->h && fo_needs_h(data->loss) ? data->h[0] : 0;
    numbers[2] = data->h && (data->loss == FO_MULTICLASS_HINGE || data->loss == FO_EPSILON_INSENSITIVE) ? data->h[1] : 0;
    return (fo_problem){
        .X = ADDRESS(data->x),
        .x_stride = data->features * (data->storage == FO_UINT8 ? 1 : size),
        .x_kind = data->storage == FO_UINT8 ? 1 : data->storage == FO_CSR32 ? 32 : data->storage == FO_CSR64 ? 64 : 0,
        .y = data->targets ? ADDRESS(data->targets) : ADDRESS(data->y),
        .y_kind = data->targets ? 0 : 8,
        .y_shift = one_row && binary,
        .shares = fo_takes_shares(data->loss) ? data->classes : 0,
        .weights = ADDRESS(data->weight),
        .order = ADDRESS(data->order),
        .classes = data->classes,
        .features = data->features,
        .numbers = ADDRESS(numbers),
        .block_rows = block,
        .loss = data->loss,
        .indices = ADDRESS(data->indices),
        .indptr = ADDRESS(data->indptr),
        .width = width_of(data, size),
        .w_stride = row,
    };
}

/* Memory of one call, cut into pieces that begin with a cache line; each piece is 0. */
typedef struct {
    char *all, *next;
} memory;

static int64_t piece(memory *m, int64_t bytes)
{
    char *at = m->next;
    m->next += rounded_up(bytes, LINE) + LINE;
    return ADDRESS(at);
}

static int memory_open(memory *m, int64_t bytes, int pieces)
{
    m->all = calloc((size_t)(bytes + (pieces + 1) * 2 * LINE), 1);
    m->next = m->all ? m->all + (LINE - ADDRESS(m->all) % LINE) : 0;
    return m->all != 0;
}

static int slots_status(void *const *slots, int n)
{
    if (n > 0 && !slots) return FO_NULL_POINTER;
    for (int j = 0; j < n; j++)
        if (!slots[j]) return FO_NULL_POINTER;
    return FO_OK;
}

static int training_status(const fo_data *data, const fo_training *t)
{
    int slots = fo_rule_slots(t->rule);
    if (slots < 0 || fo_rule_norms(t->rule)) return FO_UNKNOWN_RULE;
    int status = fo_data_status(data);
    if (status) return status;
    if (!t->coefficients || (!t->W && data->features > 0)) return FO_NULL_POINTER;
    status = slots_status(t->W_slots, slots);
    return status || !t->b ? status : slots_status(t->b_slots, slots);
}

static int scaled_status(const fo_data *data, const fo_scaled_training *t)
{
    int status = fo_data_status(data);
    if (status) return status;
    if (!is_sparse(data)) return FO_UNKNOWN_STORAGE;
    if (!t->coefficients || (!t->V && data->features > 0)) return FO_NULL_POINTER;
    return isfinite(t->alpha) && t->alpha != 0 ? FO_OK : FO_BAD_VALUE;
}

#define LINEAR(T, F)                                                                                                     \
    /* W as the loops hold it for CSR rows, and back */                                                                  \
    static void turn_##F(const fo_problem *p, T *W, T *held, int back)                                                   \
    {                                                                                                                    \
        for (int64_t f = 0; f < p->features; f++)                                                                        \
            for (int64_t c = 0; c < p->classes; c++) {                                                                   \
                T *one = W + c * p->features + f, *other = held + f * p->width + c;                                      \
                if (back) *one = *other;                                                                                 \
                else *other = *one;                                                                                      \
            }                                                                                                            \
    }                                                                                                                    \
                                                                                                                         \
    int fo_rows_##F(const fo_data *data, const T *W, const T *b, int64_t begin, int64_t end, T *dW, T *db, double *loss) \
    {                                                                                                                    \
        int status = fo_range_status(begin, end);                                                                        \
        if (status || begin == end) return status;                                                                       \
        status = fo_data_status(data);                                                                                   \
        if (status) return status;                                                                                       \
        if (!loss || (data->features > 0 && (!W || !dW))) return FO_NULL_POINTER;                                        \
        double numbers[3];                                                                                               \
        fo_problem p = problem_of(data, sizeof(T), numbers);                                                             \
        memory m;                                                                                                        \
        int64_t held = is_sparse(data) ? p.features * p.width * (int64_t)sizeof(T) : 0, scratch = scratch_bytes(&p, sizeof(T)); \
        if (!memory_open(&m, scratch + 2 * held, 3)) return FO_NO_MEMORY;                                                \
        int64_t own = piece(&m, scratch), by_feature = piece(&m, held), sums = piece(&m, held);                          \
        p.b = ADDRESS(b), p.W = held ? by_feature : ADDRESS(W);                                                          \
        if (held) turn_##F(&p, (T *)W, AT(T, by_feature), 0);                                                            \
        *loss += fo_kernels()->linear->add_rows_##F(&p, begin, end, end, end, held ? sums : dW ? ADDRESS(dW) : own, held != 0, \
                                                    db, own, 0);                                                         \
        for (int64_t f = 0; held && f < p.features; f++)                                                                 \
            for (int64_t c = 0; c < p.classes; c++) dW[c * p.features + f] += AT(T, sums)[f * p.width + c];              \
        free(m.all);                                                                                                     \
        return FO_OK;                                                                                                    \
    }                                                                                                                    \
                                                                                                                         \
    int64_t fo_epoch_##F(const fo_data *data, fo_training *t, int64_t begin, int64_t end)                                \
    {                                                                                                                    \
        if (!t) return FO_NULL_POINTER;                                                                                  \
        int status = fo_steps_status(t->batch, t->rows, begin, end);                                                     \
        if (status || begin == end) return status ? status : end;                                                        \
        status = training_status(data, t);                                                                               \
        if (status) return status;                                                                                       \
        double table[3];                                                                                                 \
        fo_problem p = problem_of(data, sizeof(T), table);                                                               \
        int sparse = is_sparse(data), slots = fo_rule_slots(t->rule);                                                    \
        int64_t size = sizeof(T), elements = p.width * p.features, groups = 1, group_rows = t->batch;                    \
        if (!sparse && t->batch > 1 && t->batch < 2 * MANY_ROWS && p.features >= HALVED)                                 \
            p.half = rounded_up(p.features, 32) / 2;                                                                     \
        else                                                                                                             \
            groups = row_groups(t->batch, (elements + p.classes) * size, sparse, &group_rows);                           \
        memory m;                                                                                                        \
        int64_t held = sparse ? elements * size : 0, scratch = scratch_bytes(&p, size);                                  \
        int64_t partials = (groups - 1) * (elements + p.classes) * size;                                                 \
        if (!memory_open(&m, scratch + partials + (elements + p.classes) * size + (1 + slots) * held, 6 + slots))        \
            return FO_NO_MEMORY;                                                                                         \
        double losses[FO_MOST_GROUPS], *K = (double *)t->coefficients;                                                   \
        int64_t sources[2 * FO_MOST_GROUPS];                                                                             \
        void *s[2 * FO_MAX_SLOTS] = {0}, *arrays[1 + FO_MAX_SLOTS] = {t->W};                                             \
        fo_worker worker = {.batch = t->batch, .n = t->rows, .group_rows = group_rows, .losses = ADDRESS(losses),        \
                            .sources = ADDRESS(sources), .scratch = piece(&m, scratch), .partials = piece(&m, partials)}; \
        fo_numbers numbers = {.l2 = t->l2, .loss = t->loss, .norm = t->gradient_norm};                                   \
        fo_parameters parameters = {ADDRESS(t->W), ADDRESS(t->b)}, gradients = {piece(&m, elements * size), 0};          \
        if (t->b) gradients.b = piece(&m, p.classes * size);                                                             \
        worker.first = gradients.W, worker.first_bias = gradients.b;                                                     \
        for (int j = 0; j < slots; j++) {                                                                                \
            arrays[1 + j] = s[2 * j] = t->W_slots[j];                                                                    \
            s[2 * j + 1] = t->b ? t->b_slots[j] : 0;                                                                     \
        }                                                                                                                \
        int64_t apart[1 + FO_MAX_SLOTS] = {0};                                                                           \
        for (int j = 0; sparse && j < 1 + slots; j++) {                                                                  \
            apart[j] = piece(&m, held);                                                                                  \
            turn_##F(&p, arrays[j], AT(T, apart[j]), 0);                                                                 \
            if (j) s[2 * (j - 1)] = AT(void, apart[j]);                                                                  \
            else parameters.W = apart[0];                                                                                \
        }                                                                                                                \
        p.W = parameters.W, p.b = parameters.b;                                                                          \
        fo_run run = {.s = ADDRESS(s), .K = ADDRESS(K), .k_count = fo_rule_coefficients(t->rule), .update = t->rule,     \
                      .update_by_row = t->batch == 1 && !sparse && !data->weight && data->features > 0, .p = &parameters, \
                      .g = &gradients, .worker = &worker, .others = &worker, .numbers = &numbers};                       \
        int64_t stopped = fo_kernels()->linear->F.steps(&p, &run, begin, end);                                           \
        for (int j = 0; sparse && j < 1 + slots; j++) turn_##F(&p, arrays[j], AT(T, apart[j]), 1);                       \
        t->loss = numbers.loss, t->gradient_norm = numbers.norm;                                                         \
        free(m.all);                                                                                                     \
        return stopped;                                                                                                  \
    }                                                                                                                    \
                                                                                                                         \
    int64_t fo_scaled_epoch_##F(const fo_data *data, fo_scaled_training *t, int64_t begin, int64_t end)                  \
    {                                                                                                                    \
        if (!t) return FO_NULL_POINTER;                                                                                  \
        int status = fo_steps_status(t->batch, t->rows, begin, end);                                                     \
        if (status || begin == end) return status ? status : end;                                                        \
        status = scaled_status(data, t);                                                                                 \
        if (status) return status;                                                                                       \
        double table[3];                                                                                                 \
        fo_problem p = problem_of(data, sizeof(T), table);                                                               \
        int64_t size = sizeof(T), elements = p.width * p.features;                                                       \
        int64_t batch = rounded_up(least(t->batch, most(t->rows, 1)), FO_ROWS);                                          \
        int64_t scratch = (2 * p.classes + 1 + most(1, p.shares)) * FO_ROWS * size + (batch + FO_ROWS + 3) * 16 +          \
                          batch * most(64, p.width * size) + 192;                                                        \
        memory m;                                                                                                        \
        if (!memory_open(&m, scratch + 2 * elements * size + p.classes * size, 4)) return FO_NO_MEMORY;                  \
        fo_worker worker = {.batch = t->batch, .n = t->rows, .group_rows = t->batch, .scratch = piece(&m, scratch)};     \
        fo_numbers numbers = {.l2 = t->l2, .loss = t->loss, .norm = t->gradient_norm, .alpha = t->alpha, .squares = t->squares}; \
        fo_parameters parameters = {piece(&m, elements * size), ADDRESS(t->b)};                                          \
        fo_parameters gradients = {piece(&m, elements * size), piece(&m, p.classes * size)};                             \
        T *V = t->V, *held = AT(T, parameters.W);                                                                        \
        for (int64_t f = 0; f < p.features; f++) memcpy(held + f * p.width, V + f * p.classes, sizeof(T) * (size_t)p.classes); \
        p.W = parameters.W;                                                                                              \
        fo_run run = {.K = ADDRESS(t->coefficients), .k_count = 3, .p = &parameters, .g = &gradients, .worker = &worker, \
                      .others = &worker, .numbers = &numbers};                                                           \
        const fo_loops *loops = &fo_kernels()->linear->F;                                                                \
        int64_t stopped =                                                                                                \
            (t->batch == 1 && !p.shares ? loops->single_row_steps : loops->scaled_steps)(&p, &run, begin, end);          \
        for (int64_t f = 0; f < p.features; f++) memcpy(V + f * p.classes, held + f * p.width, sizeof(T) * (size_t)p.classes); \
        t->loss = numbers.loss, t->gradient_norm = numbers.norm, t->alpha = numbers.alpha, t->squares = numbers.squares; \
        free(m.all);                                                                                                     \
        return stopped;                                                                                                  \
    }

LINEAR(float, f32)
LINEAR(double, f64)
