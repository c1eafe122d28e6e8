/* What the header promises of bad arguments: every call below says which error it must give. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fastopt.h"

static int failures;
static void expect(const char *what, long long got, long long wanted)
{
    if (got == wanted) return;
    printf("%s: %lld, not %lld\n", what, got, wanted);
    failures++;
}
#define EXPECT(call, wanted) expect(#call, (long long)(call), wanted)

static double x[24], W[12], dW[12], db[3], k[64], h[3] = {1, 0, 0}, loss;
static int64_t y[8] = {0, 1, 2, 0, 1, 2, 0, 1}, indices[12], indptr[9];
static const int64_t whole[3] = {0, 0, 12};

static fo_data good(void)
{
    fo_data d = {.loss = FO_MULTICLASS_HINGE, .h = h, .features = 3, .classes = 3, .x = x, .y = y};
    return d;
}

static int rows(fo_data d) { return fo_rows_f64(&d, W, 0, 0, 8, dW, 0, &loss); }

static void linear(void)
{
    fo_data d = good();
    EXPECT(rows(d), FO_OK);
    for (int bad = -1; bad <= FO_LOGISTIC_OF_SHARES + 1; bad += FO_LOGISTIC_OF_SHARES + 2) d.loss = bad, EXPECT(rows(d), FO_UNKNOWN_LOSS);
    d = good();
    for (int bad = -3; bad <= 4; bad += 7) d.storage = bad, EXPECT(rows(d), FO_UNKNOWN_STORAGE);
    d = good(), d.classes = 0, EXPECT(rows(d), FO_BAD_SIZE);
    d = good(), d.features = -1, EXPECT(rows(d), FO_BAD_SIZE);
    d = good(), d.features = INT64_MAX / 2, EXPECT(rows(d), FO_BAD_SIZE);
    d = good(), d.h = 0, EXPECT(rows(d), FO_NULL_POINTER);
    d = good(), d.x = 0, EXPECT(rows(d), FO_NULL_POINTER);
    d = good(), d.y = 0, EXPECT(rows(d), FO_NULL_POINTER);
    d = good(), d.storage = FO_CSR64, EXPECT(rows(d), FO_NULL_POINTER);
    d = good(), d.targets = x, EXPECT(rows(d), FO_BAD_SIZE);
    d = good();
    EXPECT(fo_rows_f64(&d, 0, 0, 0, 8, dW, 0, &loss), FO_NULL_POINTER);
    EXPECT(fo_rows_f64(&d, W, 0, 0, 8, dW, 0, 0), FO_NULL_POINTER);
    EXPECT(fo_rows_f64(0, W, 0, 0, 8, dW, 0, &loss), FO_NULL_POINTER);
    EXPECT(fo_rows_f64(&d, W, 0, 5, 3, dW, 0, &loss), FO_BAD_RANGE);
    EXPECT(fo_rows_f64(&d, W, 0, -1, 3, dW, 0, &loss), FO_BAD_RANGE);
    EXPECT(fo_rows_f64(0, 0, 0, 4, 4, 0, 0, 0), FO_OK);
}

static void values(void)
{
    fo_data d = good();
    int64_t order[2] = {7, 8};
    EXPECT(fo_check_data(&d, 8, 8, 0), FO_OK);
    y[3] = 3, EXPECT(fo_check_data(&d, 8, 8, 0), FO_BAD_VALUE);
    y[3] = -1, EXPECT(fo_check_data(&d, 8, 8, 0), FO_BAD_VALUE);
    y[3] = 0, d.order = order, EXPECT(fo_check_data(&d, 2, 8, 0), FO_BAD_VALUE);
    EXPECT(fo_check_data(&d, 1, 8, 0), FO_OK);
    EXPECT(fo_check_data(0, 0, 0, 0), FO_OK);
    EXPECT(fo_check_data(&d, -1, 8, 0), FO_BAD_SIZE);
    d = good(), d.storage = FO_CSR64, d.indices = indices, d.indptr = indptr;
    for (int i = 0; i <= 8; i++) indptr[i] = i;
    EXPECT(fo_check_data(&d, 8, 8, 8), FO_OK);
    EXPECT(fo_check_data(&d, 8, 8, 7), FO_BAD_VALUE);
    indices[5] = 3, EXPECT(fo_check_data(&d, 8, 8, 8), FO_BAD_VALUE);
    indices[5] = 0, indptr[4] = 2, EXPECT(fo_check_data(&d, 8, 8, 8), FO_BAD_VALUE);
    indptr[4] = 4;
    d.classes = 1, d.loss = FO_LOGISTIC;
    EXPECT(fo_check_data(&d, 8, 8, 8), FO_BAD_VALUE); /* the label 2 */
}

static void training(void)
{
    fo_data d = good();
    void *slots[2] = {x, 0};
    fo_training t = {.rule = FO_SGD, .coefficients = k, .batch = 3, .rows = 8, .W = W};
    EXPECT(fo_epoch_f64(&d, &t, 0, 3), 3);
    EXPECT(fo_epoch_f64(&d, &t, 0, 4), FO_BAD_RANGE);
    EXPECT(fo_epoch_f64(&d, &t, 3, 1), FO_BAD_RANGE);
    EXPECT(fo_epoch_f64(0, &t, 2, 2), 2);
    EXPECT(fo_epoch_f64(&d, 0, 0, 1), FO_NULL_POINTER);
    t.rule = fo_rule_count(), EXPECT(fo_epoch_f64(&d, &t, 0, 1), FO_UNKNOWN_RULE);
    t.rule = FO_ADAM, EXPECT(fo_epoch_f64(&d, &t, 0, 1), FO_NULL_POINTER);
    t.W_slots = slots, EXPECT(fo_epoch_f64(&d, &t, 0, 1), FO_NULL_POINTER);
    t.rule = FO_SGD, t.batch = 0, EXPECT(fo_epoch_f64(&d, &t, 0, 1), FO_BAD_SIZE);
    t.batch = 3, t.rows = -8, EXPECT(fo_epoch_f64(&d, &t, 0, 1), FO_BAD_SIZE);
    t.rows = 8, t.coefficients = 0, EXPECT(fo_epoch_f64(&d, &t, 0, 1), FO_NULL_POINTER);
    t.coefficients = k, d.loss = FO_LOGISTIC_OF_SHARES + 1, EXPECT(fo_epoch_f64(&d, &t, 0, 1), FO_UNKNOWN_LOSS);
    fo_scaled_training s = {.coefficients = k, .batch = 3, .rows = 8, .V = W, .alpha = 1};
    d = good(), EXPECT(fo_scaled_epoch_f64(&d, &s, 0, 3), FO_UNKNOWN_STORAGE);
    d.storage = FO_CSR64, d.indices = indices, d.indptr = indptr;
    k[0] = k[1] = 1;
    EXPECT(fo_scaled_epoch_f64(&d, &s, 0, 3), 3);
    s.alpha = 0, EXPECT(fo_scaled_epoch_f64(&d, &s, 0, 3), FO_BAD_VALUE);
    s.alpha = NAN, EXPECT(fo_scaled_epoch_f64(&d, &s, 0, 3), FO_BAD_VALUE);
}

static void update(void)
{
    double *one[2] = {dW, 0};
    double *p[1] = {W};
    const double *g[1] = {dW};
    EXPECT(fo_update_f64(FO_SGD, k, W, dW, 0, 0, 12), FO_OK);
    EXPECT(fo_update_f64(-1, k, W, dW, 0, 0, 12), FO_UNKNOWN_RULE);
    EXPECT(fo_update_f64(FO_ADAM, k, W, dW, 0, 0, 12), FO_NULL_POINTER);
    EXPECT(fo_update_f64(FO_ADAM, k, W, dW, one, 0, 12), FO_NULL_POINTER);
    EXPECT(fo_update_f64(FO_ADAM, 0, 0, 0, 0, 0, 0), FO_OK);
    EXPECT(fo_update_f64(FO_SGD, k, W, dW, 0, 0, -2), FO_BAD_RANGE);
    EXPECT(fo_step_f64(FO_SGD, k, p, g, 0, 1, whole, 0, 1), FO_OK);
    EXPECT(fo_step_f64(FO_SGD, k, p, g, 0, 1, 0, 0, 1), FO_NULL_POINTER);
    EXPECT(fo_step_f64(FO_SGD, k, p, g, 0, 0, whole, 0, 1), FO_BAD_SIZE);
    EXPECT(fo_step_f64(99, 0, 0, 0, 0, 0, 0, 0, 0), FO_UNKNOWN_RULE);
    EXPECT(fo_all_finite_f64(0, 0), 1);
    EXPECT(fo_all_finite_f64(0, 3), FO_NULL_POINTER);
    EXPECT(fo_all_finite_f64(x, -1), FO_BAD_SIZE);
    EXPECT(fo_first_nonfinite_f64(0, 0, 0, 0), -1);
    EXPECT(fo_rule_defaults(fo_rule_count(), h), FO_UNKNOWN_RULE);
    EXPECT(fo_rule_defaults(FO_SGD, 0), FO_NULL_POINTER);
    EXPECT(fo_coefficients(FO_SGD, 0, 1, k), FO_NULL_POINTER);
    EXPECT(fo_rule_by_name(0), -1);
}

/* Values that reach every line of exp and log: for the sanitizer, whatever comes out. */
static void odd_values(void)
{
    const float odd[] = {NAN, -NAN, INFINITY, -INFINITY, 1e30f, -1e30f, 1e-40f, 88.5f, -104.5f, 0};
    for (int number = FO_SOFTMAX; number <= FO_POISSON; number++)
        for (int i = 0; i < 10; i++)
            for (int classes = 1; classes <= 3; classes += 2) {
                float a[6] = {odd[i], 1, -1, odd[9 - i], 0, 2}, V[9] = {1, 2, 3, -4, 5, -6, 7, 8, 9}, dV[9] = {0};
                double a64[6], V64[9], dV64[9] = {0}, sum = 0;
                for (int j = 0; j < 6; j++) a64[j] = a[j] * (j ? 1 : 1e8);
                for (int j = 0; j < 9; j++) V64[j] = V[j];
                int64_t labels[2] = {0, classes - 1};
                fo_data d = {.loss = number, .h = h, .features = 3, .classes = classes, .x = a, .y = labels};
                EXPECT(fo_rows_f32(&d, V, 0, 0, 2, dV, 0, &sum), FO_OK);
                d.x = a64;
                EXPECT(fo_rows_f64(&d, V64, 0, 0, 2, dV64, 0, &sum), FO_OK);
            }
}

int main(void)
{
    linear(), values(), training(), update(), odd_values();
    EXPECT(strcmp(fo_version(), FO_VERSION_STRING), 0);
    EXPECT(strcmp(fo_message(FO_UNKNOWN_LOSS), "unknown loss"), 0);
    EXPECT(strcmp(fo_message(-1000000), "unknown status"), 0);
    EXPECT(fo_message(INT64_MIN) != 0 && fo_message(INT64_MAX) != 0, 1);
    return failures != 0;
}
