/* Rules around others and rules with norms, as a C program uses them: against the formulas written out below. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "fastopt.h"

enum { N = 1500, STEPS = 25 };
static int failures;
static double p[N], g[N], slots[FO_MAX_SLOTS][N], *s[FO_MAX_SLOTS];
static double q[N], m[N], v[N], beside[N]; /* by hand */

static void expect(int good, const char *what)
{
    if (!good) printf("%s\n", what), failures++;
}

static void close_to(const double *a, const double *b, const char *what)
{
    double worst = 0;
    for (int i = 0; i < N; i++) worst = fmax(worst, fabs(a[i] - b[i]) / (1e-3 + fabs(b[i])));
    if (!(worst < 1e-11)) printf("%s: %g apart\n", what, worst), failures++;
}

static double start_at(int i) { return sin(i) + 0.1; }

static void begin(int rule, const double *h)
{
    for (int i = 0; i < N; i++) p[i] = q[i] = beside[i] = start_at(i), m[i] = v[i] = 0;
    for (int j = 0; j < fo_rule_slots(rule); j++) {
        double start = 0;
        int copy = fo_rule_start(rule, j, h, &start);
        expect(copy == 0 || copy == 1, "how a slot begins");
        s[j] = slots[j];
        for (int i = 0; i < N; i++) slots[j][i] = copy ? p[i] : start;
    }
}

/* One step of the library, the array in pieces as threads would take them. */
static void step(int rule, const double *h, int t)
{
    static const int64_t ends[] = {0, 7, 700, 1211, N};
    double k[FO_MAX_COEFFICIENTS], sums[FO_MAX_NORMS] = {0}, part[FO_MAX_NORMS];
    expect(fo_coefficients(rule, h, t, k) == FO_OK, "coefficients");
    for (int c = 0; c < 4 && fo_rule_norms(rule) > 0; c++) {
        expect(fo_measure_f64(rule, k, p, g, s, ends[c], ends[c + 1], part) == FO_OK, "measure");
        for (int j = 0; j < fo_rule_norms(rule); j++) sums[j] += part[j];
    }
    for (int j = 0; j < FO_MAX_NORMS; j++) sums[j] = sqrt(sums[j]);
    if (fo_rule_norms(rule) > 0) expect(fo_from_norms(rule, h, sums, N, k) == FO_OK, "from norms");
    for (int c = 0; c < 4; c++) expect(fo_update_f64(rule, k, p, g, s, ends[c], ends[c + 1]) == FO_OK, "update");
}

static void slope(int t)
{
    for (int i = 0; i < N; i++) g[i] = p[i] + cos(3 * t + i);
}

/* Adam's direction by hand; m and v go on. */
static double adam(int i, int t)
{
    m[i] = 0.9 * m[i] + 0.1 * g[i];
    v[i] = 0.999 * v[i] + 0.001 * g[i] * g[i];
    return m[i] / (1 - pow(0.9, t)) / (sqrt(v[i] / (1 - pow(0.999, t))) + 1e-8);
}

static void averaged_and_lookahead(void)
{
    double h[FO_MAX_HYPERPARAMETERS];
    int rule = fo_rule_around(FO_AVERAGED, fo_rule_around(FO_LOOKAHEAD, FO_ADAM));
    static double slow[N];
    fo_rule_defaults(rule, h);
    expect(fo_rule_hyperparameters(rule) == 10 && h[6] == 6 && h[7] == 0.5 && h[8] == 1 && h[9] == 0, "defaults");
    h[0] = 0.05, h[6] = 4;
    begin(rule, h);
    memcpy(slow, p, sizeof slow);
    for (int t = 1; t <= STEPS; t++) {
        slope(t), step(rule, h, t);
        for (int i = 0; i < N; i++) {
            q[i] -= 0.05 * adam(i, t);
            if (t % 4 == 0) q[i] = slow[i] = slow[i] + 0.5 * (q[i] - slow[i]);
            beside[i] += (q[i] - beside[i]) / t;
        }
    }
    close_to(p, q, "lookahead");
    close_to(slots[3], beside, "average");
}

static void schedule_free(void)
{
    double h[FO_MAX_HYPERPARAMETERS];
    int rule = fo_rule_around(FO_SCHEDULE_FREE, FO_SGD);
    static double z[N];
    fo_rule_defaults(rule, h), h[0] = 0.2;
    begin(rule, h);
    memcpy(z, p, sizeof z);
    for (int t = 1; t <= STEPS; t++) {
        slope(t), step(rule, h, t);
        for (int i = 0; i < N; i++) {
            z[i] -= 0.2 * g[i];
            beside[i] = t == 1 ? z[i] : beside[i] + (z[i] - beside[i]) / t;
            q[i] = 0.1 * z[i] + 0.9 * beside[i];
        }
    }
    close_to(p, q, "schedule-free");
    for (int i = 0; i < N; i++) p[i] = (p[i] - (1 - h[2]) * slots[0][i]) / h[2];
    close_to(p, beside, "schedule-free's model");
}

static void cautious(void)
{
    double h[FO_MAX_HYPERPARAMETERS], u[N];
    int rule = fo_rule_around(FO_CAUTIOUS, FO_ADAMW);
    fo_rule_defaults(rule, h), h[0] = 0.05, h[4] = 0.1;
    begin(rule, h);
    for (int t = 1; t <= STEPS; t++) {
        int left = 0;
        slope(t), step(rule, h, t);
        for (int i = 0; i < N; i++) left += (u[i] = adam(i, t)) * g[i] > 0;
        for (int i = 0; i < N; i++)
            q[i] = (1 - 0.005) * q[i] - (u[i] * g[i] > 0 ? 0.05 * u[i] * N / left : 0);
    }
    close_to(p, q, "cautious");
}

static double norm(const double *x)
{
    double sum = 0;
    for (int i = 0; i < N; i++) sum += x[i] * x[i];
    return sqrt(sum);
}

/* And the average of its iterates, where `number` is the rule's with an average around it. */
static void layerwise(int rule, int number)
{
    double h[FO_MAX_HYPERPARAMETERS], u[N];
    fo_rule_defaults(number, h), h[0] = 0.1;
    begin(number, h);
    for (int t = 1; t <= STEPS; t++) {
        slope(t), step(number, h, t);
        if (rule == FO_LARS) {
            double rate = 0.001 * norm(q) / norm(g);
            for (int i = 0; i < N; i++) m[i] = 0.9 * m[i] + 0.1 * rate * g[i], q[i] -= m[i];
        } else {
            for (int i = 0; i < N; i++) {
                double root = (adam(i, t), sqrt(v[i] / (1 - pow(0.999, t))));
                u[i] = m[i] / (1 - pow(0.9, t)) / (root + 1e-6);
            }
            double ratio = norm(q) / norm(u);
            for (int i = 0; i < N; i++) q[i] -= 0.1 * ratio * u[i];
        }
        for (int i = 0; i < N; i++) beside[i] += (q[i] - beside[i]) / t;
    }
    close_to(p, q, fo_rule_name(number));
    if (number != rule) close_to(slots[fo_rule_slots(rule)], beside, "average of one with norms");
}

static void refusals(void)
{
    double k[FO_MAX_COEFFICIENTS] = {0}, h[FO_MAX_HYPERPARAMETERS] = {0}, two[FO_MAX_NORMS] = {1, 1};
    int averaged = fo_rule_around(FO_AVERAGED, FO_ADAM);
    expect(fo_rule_around(9, FO_ADAM) == -1 && fo_rule_around(FO_CAUTIOUS, FO_LAMB) == -1, "around");
    expect(fo_measure_f64(FO_ADAM, k, p, g, s, 0, 5, two) == FO_UNKNOWN_RULE, "no norms");
    expect(fo_measure_f64(-3, k, p, g, s, 0, 5, two) == FO_UNKNOWN_RULE, "no rule");
    expect(fo_measure_f64(FO_LARS, k, p, g, s, 5, 0, two) == FO_BAD_RANGE, "range");
    expect(fo_measure_f64(FO_LARS, k, 0, g, s, 0, 5, two) == FO_NULL_POINTER, "no p");
    expect(fo_measure_f64(FO_LARS, k, p, g, s, 0, 5, 0) == FO_NULL_POINTER, "no room");
    expect(fo_measure_f64(FO_LARS, 0, 0, 0, 0, 5, 5, two) == FO_OK && two[0] == 0 && two[1] == 0, "nothing to do");
    expect(fo_from_norms(FO_ADAM, h, two, 5, k) == FO_UNKNOWN_RULE, "no numbers");
    expect(fo_from_norms(FO_LAMB, h, 0, 5, k) == FO_NULL_POINTER && fo_from_norms(FO_LAMB, h, two, -1, k) == FO_BAD_SIZE, "norms");
    expect(fo_rule_start(averaged, 3, h, k) == FO_BAD_VALUE && fo_rule_start(averaged, 0, 0, k) == FO_NULL_POINTER, "start");
    double *few[3] = {slots[0], slots[1], 0};
    expect(fo_update_f64(averaged, k, p, g, few, 0, 5) == FO_NULL_POINTER, "no average");
    fo_data data = {.loss = FO_SQUARED_ERROR, .features = 1, .classes = 1, .x = p, .targets = p};
    fo_training training = {.rule = FO_LARS, .coefficients = k, .batch = 1, .rows = 4, .W = q, .W_slots = (void **)s};
    expect(fo_epoch_f64(&data, &training, 0, 4) == FO_UNKNOWN_RULE, "training with norms");
    fo_stored stored = {.p = p, .g = g, .s = {slots[0], slots[1], slots[2]}, .unit = 1, .scale = 1};
    expect(fo_update_stored(fo_rule_around(FO_CAUTIOUS, FO_ADAM), k, &stored, 0, 5) == FO_UNKNOWN_RULE, "few bits with norms");
    stored.form[2] = FO_BFLOAT16;
    expect(fo_update_stored(averaged, k, &stored, 0, 5) == FO_BAD_VALUE, "an average in few bits");
    expect(fo_eight_bits(averaged, 1) == FO_POSITIVE8 && fo_eight_bits(averaged, 2) == -1, "8 bits");
}

int main(void)
{
    averaged_and_lookahead();
    schedule_free();
    cautious();
    layerwise(FO_LARS, FO_LARS), layerwise(FO_LARS, fo_rule_around(FO_AVERAGED, FO_LARS));
    layerwise(FO_LAMB, FO_LAMB), layerwise(FO_LAMB, fo_rule_around(FO_AVERAGED, FO_LAMB));
    refusals();
    return failures != 0;
}
