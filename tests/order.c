/* Digests of gradients and training runs by the C library, a line a case: the same on every instruction set and machine.
 *
 * Data come from whole numbers, so that no function of the system's has a part in them. An argument is a comma list of
 * instruction sets not to be used. bench/order_machines.sh compares machines. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastopt.h"

enum { ROWS = 211, MOST = 211 * 600 };
static uint64_t state;

static double number(void) /* in [-1, 1), of 20 bits */
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(int64_t)(state >> 44) / (1 << 19) - 1;
}

static uint64_t digest(uint64_t seen, const void *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++) seen = (seen ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
    return seen;
}

static int64_t y[ROWS], order[ROWS], indptr64[ROWS + 1], indices64[MOST];
static int32_t indptr32[ROWS + 1], indices32[MOST];
static uint8_t bytes[MOST];
static const double h[] = {0.3, 1};
static const char *const STORAGES[] = {"dense", "uint8", "csr32", "csr64"};
static const char *const RULES[] = {"SGD", "Momentum", "Nesterov", "AdaGrad", "RMSProp", "Adam", "AMSGrad", "AdaDelta", "Lion", "NAdam"};

#define CASES(T, F)                                                                                              \
    static T x_##F[MOST], values_##F[MOST], W_##F[12 * 600], b_##F[12], dW_##F[12 * 600], db_##F[12], w_##F[ROWS];  \
    static T targets_##F[ROWS], slots_##F[6][12 * 600];                                                          \
    static fo_data make_##F(int loss, int storage, int64_t classes, int64_t features, int weighted)              \
    {                                                                                                            \
        int64_t entries = 0;                                                                                     \
        state = (uint64_t)(loss * 1000 + storage * 100 + (int)classes);                                          \
        for (int64_t i = 0; i < ROWS; i++) {                                                                     \
            y[i] = (int64_t)((number() + 1) * (double)(classes > 1 ? classes : loss == FO_SOFTMAX ? 1 : 2) / 2); \
            w_##F[i] = (T)(number() + 1), targets_##F[i] = (T)(number() + 1);                                    \
            order[i] = i * 37 % ROWS;                                                                            \
            indptr32[i] = (int32_t)(indptr64[i] = entries);                                                      \
            for (int64_t f = 0; f < features; f++) {                                                             \
                T value = (T)number();                                                                           \
                x_##F[i * features + f] = value;                                                                 \
                bytes[i * features + f] = (uint8_t)((number() + 1) * 127);                                       \
                if ((i + f) % 7) continue;                                                                       \
                indices32[entries] = (int32_t)(indices64[entries] = f);                                          \
                values_##F[entries++] = value;                                                                   \
            }                                                                                                    \
        }                                                                                                        \
        indptr32[ROWS] = (int32_t)(indptr64[ROWS] = entries);                                                    \
        for (int64_t i = 0; i < classes * features; i++) W_##F[i] = (T)(number() / 4);                           \
        for (int64_t c = 0; c < classes; c++) b_##F[c] = (T)number();                                            \
        fo_data d = {.loss = loss, .storage = storage, .h = h, .features = features, .classes = classes,         \
                     .scale = 1.0 / 255, .y = y, .order = order, .weight = weighted ? w_##F : 0};                \
        int real = loss == FO_SQUARED_ERROR || loss >= FO_HUBER;                                                 \
        if (real && classes == 1) d.targets = targets_##F;                                                       \
        d.x = storage == FO_DENSE ? (void *)x_##F : storage == FO_UINT8 ? (void *)bytes : (void *)values_##F;    \
        d.indptr = storage == FO_CSR32 ? (void *)indptr32 : (void *)indptr64;                                    \
        d.indices = storage == FO_CSR32 ? (void *)indices32 : (void *)indices64;                                 \
        return d;                                                                                                \
    }                                                                                                            \
    static void gradients_##F(void)                                                                              \
    {                                                                                                            \
        static const int64_t CLASSES[] = {1, 3, 12}, FEATURES[] = {67, 600};                                     \
        for (int loss = 0; loss <= FO_POISSON; loss++)                                                           \
            for (int storage = 0; storage < 4; storage++)                                                        \
                for (int j = 0; j < 6; j++) {                                                                    \
                    int64_t classes = CLASSES[j % 3], features = FEATURES[j / 3];                                \
                    fo_data d = make_##F(loss, storage, classes, features, j % 2);                               \
                    double value = 0;                                                                            \
                    memset(dW_##F, 0, sizeof dW_##F), memset(db_##F, 0, sizeof db_##F);                          \
                    int status = fo_rows_##F(&d, W_##F, b_##F, 0, ROWS, dW_##F, db_##F, &value);                 \
                    uint64_t seen = digest(14695981039346656037u + (uint64_t)status, &value, sizeof value);      \
                    seen = digest(seen, dW_##F, sizeof(T) * (size_t)(classes * features));                       \
                    seen = digest(seen, db_##F, sizeof(T) * (size_t)classes);                                    \
                    printf("%016" PRIx64 " rows " #F " loss %d %s %d x %d %g\n", seen, loss, STORAGES[storage],  \
                           (int)features, (int)classes, value);                                                  \
                }                                                                                                \
    }                                                                                                            \
    static void epochs_##F(void)                                                                                 \
    {                                                                                                            \
        static const int64_t BATCHES[] = {1, 32, ROWS};                                                          \
        for (size_t r = 0; r < sizeof RULES / sizeof *RULES; r++)                                                \
            for (int storage = 0; storage < 4; storage++)                                                        \
                for (int j = 0; j < 6; j++) {                                                                    \
                    int64_t batch = BATCHES[j % 3], features = j < 3 ? 67 : 600, steps = (ROWS + batch - 1) / batch; \
                    fo_data d = make_##F(j % 2 ? FO_LOGISTIC : FO_SOFTMAX, storage, 4, features, j == 1);        \
                    int rule = fo_rule_by_name(RULES[r]), size = fo_rule_coefficients(rule);                     \
                    double hyper[16], *k = calloc((size_t)(steps * size), sizeof(double));                       \
                    fo_rule_defaults(rule, hyper);                                                               \
                    for (int64_t t = 0; t < steps; t++) fo_coefficients(rule, hyper, (double)t + 1, k + t * size); \
                    memset(slots_##F, 0, sizeof slots_##F);                                                      \
                    void *own[] = {slots_##F[0], slots_##F[1], slots_##F[2]};                                    \
                    void *biases[] = {slots_##F[3], slots_##F[4], slots_##F[5]};                                 \
                    fo_training t = {.rule = rule, .coefficients = k, .batch = batch, .rows = ROWS, .l2 = j % 2 * 1e-3, \
                                     .W = W_##F, .b = b_##F, .W_slots = own, .b_slots = biases};                 \
                    int64_t stopped = fo_epoch_##F(&d, &t, 0, steps);                                            \
                    uint64_t seen = digest(14695981039346656037u + (uint64_t)stopped, &t.loss, sizeof t.loss);   \
                    seen = digest(seen, &t.gradient_norm, sizeof t.gradient_norm);                               \
                    seen = digest(seen, W_##F, sizeof(T) * (size_t)(4 * features));                              \
                    seen = digest(seen, b_##F, sizeof(T) * 4);                                                   \
                    printf("%016" PRIx64 " epoch " #F " %s %s %d features, batch %d %g\n", seen, RULES[r],       \
                           STORAGES[storage], (int)features, (int)batch, t.loss);                                \
                    free(k);                                                                                     \
                }                                                                                                \
    }                                                                                                            \
    static void scaled_epochs_##F(void)                                                                          \
    {                                                                                                            \
        for (int j = 0; j < 8; j++) {                                                                            \
            int64_t batch = j % 2 ? 1 : 16, steps = (ROWS + batch - 1) / batch, features = 67, classes = j & 2 ? 12 : 2; \
            fo_data d = make_##F(FO_SOFTMAX, j & 4 ? FO_CSR32 : FO_CSR64, classes, features, j == 5);            \
            double *k = calloc((size_t)(steps * 3), sizeof(double)), squares = 0;                                \
            for (int64_t t = 0; t < steps; t++) k[3 * t] = 0.9, k[3 * t + 1] = 1, k[3 * t + 2] = -0.1;           \
            for (int64_t i = 0; i < classes * features; i++) squares += (double)W_##F[i] * (double)W_##F[i];     \
            fo_scaled_training t = {.coefficients = k, .batch = batch, .rows = ROWS, .l2 = 1e-3, .V = W_##F,     \
                                    .b = b_##F, .alpha = 1, .squares = squares};                                 \
            int64_t stopped = fo_scaled_epoch_##F(&d, &t, 0, steps);                                             \
            uint64_t seen = digest(14695981039346656037u + (uint64_t)stopped, &t.loss, sizeof t.loss);   \
            seen = digest(digest(seen, &t.alpha, sizeof t.alpha), &t.squares, sizeof t.squares);                 \
            seen = digest(digest(seen, &t.gradient_norm, sizeof t.gradient_norm), b_##F, sizeof(T) * (size_t)classes); \
            seen = digest(seen, W_##F, sizeof(T) * (size_t)(classes * features));                                \
            printf("%016" PRIx64 " scaled epoch " #F " %d: %g\n", seen, j, t.loss);                              \
            free(k);                                                                                             \
        }                                                                                                        \
    }

CASES(float, f32)
CASES(double, f64)

int main(int count, char **given)
{
    fprintf(stderr, "%s\n", count > 1 ? fo_select_features(given[1]) : fo_features());
    gradients_f32(), gradients_f64(), epochs_f32(), epochs_f64(), scaled_epochs_f32(), scaled_epochs_f64();
    return 0;
}
