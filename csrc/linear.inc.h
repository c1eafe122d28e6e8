/* Rows of a linear model: scores -> loss rows -> dscores -> gradient, a block of rows at a time. */

static inline int64_t NAME(row)(const fo_data *data, int64_t position)
{
    return data->order ? data->order[position] : position;
}

#include "losses.inc.h"
#include "tiles.inc.h"
#include "sparse.inc.h"

/* Labels, weights and targets of the positions from `first` on; block->rows of them. */
static void NAME(gather_labels)(const fo_data *data, int64_t first, NAME(block) *block)
{
    const T *weight = data->weight, *targets = data->targets;
    for (int r = 0; r < ROWS; r++) block->y[r] = 0, block->weight[r] = 0, block->targets[r] = 0;
    for (int r = 0; r < block->rows; r++) {
        int64_t row = NAME(row)(data, first + r);
        if (data->y) block->y[r] = (INT)data->y[row];
        if (targets) block->targets[r] = targets[row];
        block->weight[r] = weight ? weight[row] : (T)1;
    }
}

static void NAME(gather_dense)(const fo_data *data, int64_t first, int64_t stop, NAME(block) *block)
{
    const T *x = data->x;
    for (int r = 0; r < ROWS; r++)
        block->x[r] = x + NAME(row)(data, first + (r < block->rows ? r : 0)) * data->features;
    int64_t next = first + block->rows;
    block->fetch = next + R_MAX <= stop;
    for (int r = 0; block->fetch && r < R_MAX; r++)
        block->ahead[r] = x + NAME(row)(data, next + r) * data->features;
}

/* uint8 rows, scaled, in a buffer that the block then points to; those of the next block are fetched meanwhile. */
static void NAME(gather_uint8)(const fo_data *data, int64_t first, int64_t stop, NAME(block) *block, T *buffer)
{
    const T scale = (T)data->scale;
    const uint8_t *start = data->x;
    for (int r = 0; r < block->rows; r++) {
        const uint8_t *x = start + NAME(row)(data, first + r) * data->features;
        int64_t next = first + block->rows + r;
        const uint8_t *ahead = start + NAME(row)(data, next < stop ? next : first + r) * data->features;
        T *out = buffer + r * data->features;
        for (int64_t f = 0; f < data->features; f += 64) PREFETCH(ahead + f);
        for (int64_t f = 0; f < data->features; f++) out[f] = (T)x[f] * scale;
    }
    for (int r = 0; r < ROWS; r++) block->x[r] = buffer + (r < block->rows ? r : 0) * data->features;
    block->fetch = 0;
}

/* Rows of a block: as many as keep it in the second-level cache. */
static int NAME(block_rows)(int64_t features)
{
    int64_t bytes = features * (int64_t)sizeof(T);
    return bytes <= 16384 ? ROWS : bytes <= 32768 ? ROWS / 2 : ROWS / 4;
}

/* Scores in s -> weighted dscores in s; returns the weighted loss. */
static double NAME(finish_block)(const fo_data *data, const NAME(block) *block, T *s, T *db)
{
    T loss[ROWS];
    double sum = 0;
    NAME(loss_rows)(data, s, block->y, block->targets, loss);
    for (int64_t c = 0; c < data->classes; c++)
        for (int r = 0; r < ROWS; r++) s[c * ROWS + r] *= block->weight[r];
    for (int64_t c = 0; db && c < data->classes; c++)
        for (int r = 0; r < block->rows; r++) db[c] += s[c * ROWS + r];
    for (int r = 0; r < block->rows; r++) sum += (double)block->weight[r] * (double)loss[r];
    return sum;
}

static int NAME(rows)(const fo_data *data, const T *W, const T *b, int64_t begin, int64_t end, int64_t stop,
                      T *dW, T *db, double *loss)
{
    int sparse = data->storage == FO_CSR32 || data->storage == FO_CSR64;
    int64_t features = data->features, classes = data->classes;
    int64_t converted = data->storage == FO_UINT8 ? ROWS * features : 0;
    int step = sparse ? ROWS : NAME(block_rows)(features);
    NAME(sparse) table = {0};
    NAME(block) block;
    T *s = malloc(sizeof(T) * (size_t)(classes * ROWS + converted));
    if (!s || (sparse && NAME(sparse_open)(&table, data, W, dW, begin, end))) {
        free(s);
        return FO_NO_MEMORY;
    }
    for (int64_t first = begin; first < end; first += step) {
        block.rows = end - first < step ? (int)(end - first) : step;
        NAME(gather_labels)(data, first, &block);
        if (sparse) {
            NAME(sparse_scores)(&table, data, b, first, block.rows, stop, s);
            *loss += NAME(finish_block)(data, &block, s, db);
            NAME(sparse_gradient)(&table, data, first, block.rows, s);
            continue;
        }
        if (converted)
            NAME(gather_uint8)(data, first, stop, &block, s + classes * ROWS);
        else
            NAME(gather_dense)(data, first, stop, &block);
        NAME(dense_scores)(&block, W, b, features, classes, s);
        *loss += NAME(finish_block)(data, &block, s, db);
        NAME(dense_gradient)(&block, s, dW, features, classes);
    }
    if (sparse) NAME(sparse_close)(&table, data, dW);
    free(s);
    return FO_OK;
}

static double NAME(penalise)(T *dW, const T *W, int64_t n, double scale, double l2)
{
    const T factor = (T)scale, twice = (T)(2 * l2);
    double sum = 0;
    if (l2 == 0) {
        for (int64_t i = 0; i < n; i++) dW[i] *= factor;
        return 0;
    }
    for (int64_t i = 0; i < n;) {
        T part[16] = {0};
        int64_t stop = i + 1024 < n ? i + 1024 : n;
        for (; i + 16 <= stop; i += 16)
            for (int j = 0; j < 16; j++) {
                part[j] += W[i + j] * W[i + j];
                dW[i + j] = dW[i + j] * factor + twice * W[i + j];
            }
        for (; i < stop; i++) part[0] += W[i] * W[i], dW[i] = dW[i] * factor + twice * W[i];
        for (int j = 0; j < 16; j++) sum += (double)part[j];
    }
    return sum;
}

#include "scaled.inc.h"
#undef EACH_COUNT
