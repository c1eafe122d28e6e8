/* What every public function looks at before it touches memory. */
#ifndef FO_CHECKS_H
#define FO_CHECKS_H

#include "fastopt.h"

enum { LOSSES = FO_LOGISTIC_OF_SHARES + 1, STORAGES = FO_CSR64 + 1 };

static inline int fo_range_status(int64_t begin, int64_t end)
{
    return begin < 0 || begin > end ? FO_BAD_RANGE : FO_OK;
}

/* Whether a * b numbers of 8 bytes can be one block of memory. */
static inline int fo_fits(int64_t a, int64_t b)
{
    return a >= 0 && b >= 0 && (b == 0 || a <= INT64_MAX / 64 / b);
}

/* Whether the targets are a probability of each class. */
static inline int fo_takes_shares(int loss) { return loss >= FO_SOFTMAX_OF_SHARES; }

/* Whether y may be real numbers. */
static inline int fo_is_real(int loss)
{
    return loss == FO_SQUARED_ERROR || (loss >= FO_HUBER && loss <= FO_POISSON);
}

/* Whether the loss cannot do without hyperparameters. */
static inline int fo_needs_h(int loss)
{
    return loss == FO_MULTICLASS_HINGE || (loss >= FO_HUBER && loss <= FO_QUANTILE);
}

/* The description of the data, for a range that is not empty. Labels are int32 beside float scores. */
static inline int fo_data_status(const fo_data *data)
{
    if (!data) return FO_NULL_POINTER;
    if (data->loss < 0 || data->loss >= LOSSES) return FO_UNKNOWN_LOSS;
    if (data->storage < 0 || data->storage >= STORAGES) return FO_UNKNOWN_STORAGE;
    if (data->classes < 1 || data->classes > INT32_MAX || !fo_fits(data->classes, data->features))
        return FO_BAD_SIZE;
    int shares = fo_takes_shares(data->loss);
    if (data->targets && !shares && (!fo_is_real(data->loss) || data->classes != 1)) return FO_BAD_SIZE;
    if (!data->targets && (shares || !data->y)) return FO_NULL_POINTER;
    if (fo_needs_h(data->loss) && !data->h) return FO_NULL_POINTER;
    if (data->storage == FO_CSR32 || data->storage == FO_CSR64)
        return data->indptr && (data->features == 0 || (data->x && data->indices)) ? FO_OK : FO_NULL_POINTER;
    return data->x || data->features == 0 ? FO_OK : FO_NULL_POINTER;
}

/* The steps [begin, end) of batches of `batch` rows. */
static inline int fo_steps_status(int64_t batch, int64_t rows, int64_t begin, int64_t end)
{
    if (batch < 1 || rows < 0) return FO_BAD_SIZE;
    if (fo_range_status(begin, end)) return FO_BAD_RANGE;
    return end > rows / batch + (rows % batch != 0) ? FO_BAD_RANGE : FO_OK;
}

#endif
