/* Names, sizes, defaults and once-a-step coefficients of the rules: fastopt/rules in C.
 *
 * Every expression repeats the order of operations of `coefficients` in Python: the same bits. */
#include <math.h>
#include <string.h>

#include "rules.h"

#define MAX_HYPERPARAMETERS 6

static void sgd(const double *h, double t, double *k)
{
    (void)t;
    k[0] = h[0], k[1] = h[1];
}

static void momentum(const double *h, double t, double *k)
{
    (void)t;
    k[0] = h[0], k[1] = h[1], k[2] = 1 - h[2], k[3] = h[3];
}

static void velocity(const double *h, double t, double *k)
{
    (void)t;
    k[0] = h[0], k[1] = h[1], k[2] = h[2];
}

static void adagrad(const double *h, double t, double *k)
{
    (void)t;
    k[0] = h[0], k[1] = h[2], k[2] = h[3];
}

static void rmsprop(const double *h, double t, double *k)
{
    (void)t;
    k[0] = h[0], k[1] = h[1], k[2] = 1 - h[1], k[3] = h[2], k[4] = h[3];
}

static void centered_rmsprop(const double *h, double t, double *k)
{
    rmsprop(h, t, k);
    k[5] = 0;
}

static void moments(const double *h, double *k)
{
    k[0] = h[1], k[1] = 1 - h[1], k[2] = h[2], k[3] = 1 - h[2], k[4] = h[3];
}

static void amsgrad(const double *h, double t, double *k)
{
    k[0] = h[0] / (1 - pow(h[1], t));
    k[1] = 1 / sqrt(1 - pow(h[2], t));
    moments(h, k + 2);
    k[7] = h[4];
}

static void adam(const double *h, double t, double *k)
{
    amsgrad(h, t, k);
    if (h[5] == 0) k[0] = h[0], k[1] = 1;
}

static void adamw(const double *h, double t, double *k)
{
    amsgrad(h, t, k);
    k[7] = 1 - h[0] * h[4];
}

static void adamax(const double *h, double t, double *k)
{
    k[0] = h[0] / (1 - pow(h[1], t));
    k[1] = h[1], k[2] = 1 - h[1], k[3] = h[2], k[4] = h[3], k[5] = h[4];
}

static void nadam(const double *h, double t, double *k)
{
    double beta1 = h[1], decay = h[5];
    double mu = beta1 * (1 - 0.5 * pow(0.96, t * decay));
    double mu_next = beta1 * (1 - 0.5 * pow(0.96, (t + 1) * decay));
    double product = 0;
    if (pow(beta1, t) > 1e-20) {
        product = 1;
        for (double i = 1; i <= t && product > 1e-20; i += 1)
            product *= beta1 * (1 - 0.5 * pow(0.96, i * decay));
    }
    k[0] = h[0] * (1 - mu) / (1 - product);
    k[1] = h[0] * mu_next / (1 - product * mu_next);
    k[2] = 1 / sqrt(1 - pow(h[2], t));
    moments(h, k + 3);
    k[8] = h[4];
}

static void lion(const double *h, double t, double *k)
{
    (void)t;
    k[0] = h[0], k[1] = h[1], k[2] = 1 - h[1], k[3] = h[2], k[4] = 1 - h[2], k[5] = 1 - h[0] * h[3];
}

static const struct {
    const char *name;
    void (*coefficients)(const double *h, double t, double *k);
    int hyperparameters;
    double defaults[MAX_HYPERPARAMETERS];
} RULES[FO_RULE_COUNT] = {
    {"SGD", sgd, 2, {0.01, 0}},
    {"Momentum", momentum, 4, {0.01, 0.9, 0, 0}},
    {"ClassicalMomentum", velocity, 3, {0.01, 0.9, 0}},
    {"Nesterov", velocity, 3, {0.01, 0.9, 0}},
    {"AdaGrad", adagrad, 4, {0.01, 0, 1e-10, 0}},
    {"RMSProp", rmsprop, 4, {0.01, 0.9, 1e-8, 0}},
    {"CenteredRMSProp", centered_rmsprop, 4, {0.01, 0.9, 1e-8, 0}},
    {"Adam", adam, 6, {1e-3, 0.9, 0.999, 1e-8, 0, 1}},
    {"AdamW", adamw, 5, {1e-3, 0.9, 0.999, 1e-8, 0.01}},
    {"AMSGrad", amsgrad, 5, {1e-3, 0.9, 0.999, 1e-8, 0}},
    {"AdaDelta", rmsprop, 4, {1.0, 0.95, 1e-6, 0}},
    {"Adamax", adamax, 5, {2e-3, 0.9, 0.999, 1e-8, 0}},
    {"NAdam", nadam, 6, {2e-3, 0.9, 0.999, 1e-8, 0, 4e-3}},
    {"Lion", lion, 4, {1e-4, 0.9, 0.99, 0}},
};

#define SLOTS(rule, slots, coefficients) slots,
#define COEFFICIENTS(rule, slots, coefficients) coefficients,
static const int RULE_SLOTS[] = {FO_RULES(SLOTS)};
static const int RULE_COEFFICIENTS[] = {FO_RULES(COEFFICIENTS)};

static int known(int rule) { return rule >= 0 && rule < FO_RULE_COUNT; }

int fo_rule_count(void) { return FO_RULE_COUNT; }
const char *fo_rule_name(int rule) { return known(rule) ? RULES[rule].name : 0; }
int fo_rule_slots(int rule) { return known(rule) ? RULE_SLOTS[rule] : -1; }
int fo_rule_hyperparameters(int rule) { return known(rule) ? RULES[rule].hyperparameters : -1; }
int fo_rule_coefficients(int rule) { return known(rule) ? RULE_COEFFICIENTS[rule] : -1; }

int fo_rule_by_name(const char *name)
{
    for (int rule = 0; name && rule < FO_RULE_COUNT; rule++)
        if (strcmp(name, RULES[rule].name) == 0) return rule;
    return -1;
}

int fo_rule_defaults(int rule, double *h)
{
    if (!known(rule)) return FO_UNKNOWN_RULE;
    if (!h) return FO_NULL_POINTER;
    memcpy(h, RULES[rule].defaults, sizeof(double) * (size_t)RULES[rule].hyperparameters);
    return FO_OK;
}

int fo_coefficients(int rule, const double *h, double t, double *k)
{
    if (!known(rule)) return FO_UNKNOWN_RULE;
    if (!h || !k) return FO_NULL_POINTER;
    RULES[rule].coefficients(h, t, k);
    return FO_OK;
}
