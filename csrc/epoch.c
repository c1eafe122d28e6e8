/* Training steps in one loop: gradient of a batch, penalty, rule. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"
#include "sets.h"

static double norm_f32(const float *g, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)g[i] * (double)g[i];
    return sqrt(sum);
}

static double norm_f64(const double *g, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += g[i] * g[i];
    return sqrt(sum);
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
    if (slots < 0) return FO_UNKNOWN_RULE;
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
    if (data->storage != FO_CSR32 && data->storage != FO_CSR64) return FO_UNKNOWN_STORAGE;
    if (!t->coefficients || (!t->V && data->features > 0)) return FO_NULL_POINTER;
    return isfinite(t->alpha) && t->alpha != 0 ? FO_OK : FO_BAD_VALUE;
}

#define EPOCH(T, F)                                                                                  \
    int64_t fo_epoch_##F(const fo_data *data, fo_training *t, int64_t begin, int64_t end)            \
    {                                                                                                \
        if (!t) return FO_NULL_POINTER;                                                              \
        int status = fo_steps_status(t->batch, t->rows, begin, end);                                 \
        if (status || begin == end) return status ? status : end;                                    \
        status = training_status(data, t);                                                           \
        if (status) return status;                                                                   \
        const fo_linear_kernels *linear = fo_kernels()->linear;                                      \
        int coefficients = fo_rule_coefficients(t->rule);                                            \
        int64_t size = data->classes * data->features, step = begin;                                 \
        T *dW = malloc(sizeof(T) * (size_t)(size + data->classes)), *db = t->b ? dW + size : 0;      \
        if (!dW) return FO_NO_MEMORY;                                                                \
        for (; step < end; step++) {                                                                 \
            int64_t first = step * t->batch;                                                         \
            int64_t last = t->rows - first > t->batch ? first + t->batch : t->rows;                  \
            double value = 0;                                                                        \
            memset(dW, 0, sizeof(T) * (size_t)(size + data->classes));                               \
            if (linear->rows_##F(data, t->W, t->b, first, last, t->rows, dW, db, &value) != FO_OK) { \
                step = FO_NO_MEMORY;                                                                 \
                break;                                                                               \
            }                                                                                        \
            double scale = 1 / (double)(last - first);                                               \
            value = value * scale + t->l2 * linear->penalise_##F(dW, t->W, size, scale, t->l2);      \
            if (db) linear->penalise_##F(db, t->b, data->classes, scale, 0);                         \
            if (!isfinite(value)) break;                                                             \
            t->loss += value;                                                                        \
            const double *k = t->coefficients + (step - begin) * coefficients;                       \
            fo_update_##F(t->rule, k, t->W, dW, (T *const *)t->W_slots, 0, size);                    \
            if (db) fo_update_##F(t->rule, k, t->b, db, (T *const *)t->b_slots, 0, data->classes);   \
        }                                                                                            \
        if (step > begin) t->gradient_norm = norm_##F(dW, size + (db ? data->classes : 0));          \
        free(dW);                                                                                    \
        return step;                                                                                 \
    }                                                                                                \
                                                                                                     \
    int64_t fo_scaled_epoch_##F(const fo_data *data, fo_scaled_training *t, int64_t begin,           \
                                int64_t end)                                                         \
    {                                                                                                \
        if (!t) return FO_NULL_POINTER;                                                              \
        int status = fo_steps_status(t->batch, t->rows, begin, end);                                 \
        if (status || begin == end) return status ? status : end;                                    \
        status = scaled_status(data, t);                                                             \
        return status ? status : fo_kernels()->linear->scaled_##F(data, t, begin, end);              \
    }

EPOCH(float, f32)
EPOCH(double, f64)
