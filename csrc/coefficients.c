/* Names, sizes, defaults and once-a-step coefficients of the rules: fastopt/rules in C (around.c: of rules around others).
 *
 * Every expression repeats the order of operations of `coefficients` in Python: the same bits. */
#include <math.h>
#include <string.h>

#include "rules.h"

#define MAX_HYPERPARAMETERS 8

static void sgd(const double *h, double t, double *k)
{
    (void)t;
    k[0] = h[0], k[1] = h[1];
}

/* As limits.py: TINY, and how long a step can be. */
#define TINY 2.2250738585072014e-308

static double reach_of_mean(double beta1, double beta2)
{
    if ((beta1 * beta1 >= beta2 && beta2 > 0) || beta2 >= 1 || (beta1 > beta2 && beta2 == 0)) return INFINITY;
    double ratio = beta1 > 0 ? beta1 * beta1 / beta2 : 0;
    return 2 * (1 - beta1) / sqrt((1 - beta2) * (1 - ratio));
}

static double reach_of_long_mean(double share, double beta1, double beta2, double t)
{
    if (beta2 <= 0 || beta1 <= 0) return INFINITY;
    double grows = log(beta1) * 2 - log(beta2);
    if (grows * t > 700) return INFINITY;
    double terms = fabs(grows) > 1e-12 ? (exp(grows * t) - 1) / (exp(grows) - 1) : t;
    return 2 * share * sqrt(terms / (1 - beta2));
}

static void momentum(const double *h, double t, double *k)
{
    k[0] = h[0], k[1] = h[1], k[2] = h[4] != 0 && t == 1 ? 1 : 1 - h[2], k[3] = h[3];
}

static void momentumw(const double *h, double t, double *k)
{
    (void)t;
    k[0] = h[0], k[1] = h[1], k[2] = 1 - h[2], k[3] = 1 - h[0] * h[3];
}

static void sgdw(const double *h, double t, double *k)
{
    (void)t;
    k[0] = h[0], k[1] = 1 - h[0] * h[1];
}

static void classical_momentum(const double *h, double t, double *k)
{
    (void)t;
    k[0] = h[0], k[1] = h[1], k[2] = h[2];
}

static void nesterov(const double *h, double t, double *k)
{
    (void)t;
    k[0] = 2 * h[0], k[1] = h[1], k[2] = h[2], k[3] = 0.5, k[4] = 0.5 * h[1];
}

static void adagrad(const double *h, double t, double *k)
{
    (void)t;
    k[0] = h[0], k[1] = h[2], k[2] = h[3], k[3] = 2 * h[0], k[4] = TINY, k[5] = 3;
}

static void adadelta(const double *h, double t, double *k)
{
    (void)t;
    k[0] = h[0], k[1] = h[1], k[2] = 1 - h[1], k[3] = h[2], k[4] = h[3], k[5] = TINY;
}

static void rmsprop(const double *h, double t, double *k)
{
    adadelta(h, t, k);
    k[5] = h[0] * reach_of_mean(0, h[1]), k[6] = TINY;
}

static void centered_rmsprop(const double *h, double t, double *k)
{
    adadelta(h, t, k);
    k[5] = 0, k[6] = TINY;
}

static void rmsprop_momentum(const double *h, double t, double *k)
{
    (void)t;
    k[0] = h[0], k[1] = h[1], k[2] = 1 - h[1], k[3] = h[2], k[4] = h[3], k[5] = h[4];
    k[6] = reach_of_mean(0, h[1]), k[7] = TINY;
}

static void centered_rmsprop_momentum(const double *h, double t, double *k)
{
    rmsprop_momentum(h, t, k);
    k[6] = 0;
}

static void moments(const double *h, double *k)
{
    k[0] = h[1], k[1] = 1 - h[1], k[2] = h[2], k[3] = 1 - h[2], k[4] = h[3];
}

static void adam_at(double lr, double root, double decay, const double *h, double *k)
{
    k[0] = lr, k[1] = root;
    moments(h, k + 2);
    k[7] = decay, k[8] = lr / root * reach_of_mean(h[1], h[2]), k[9] = TINY;
}

static void amsgrad(const double *h, double t, double *k)
{
    adam_at(h[0] / (1 - pow(h[1], t)), 1 / sqrt(1 - pow(h[2], t)), h[4], h, k);
}

static void adam(const double *h, double t, double *k)
{
    if (h[5] == 0) adam_at(h[0], 1, h[4], h, k);
    else amsgrad(h, t, k);
}

static void adamw(const double *h, double t, double *k)
{
    amsgrad(h, t, k);
    k[7] = 1 - h[0] * h[4];
}

static void adamax(const double *h, double t, double *k)
{
    k[0] = h[0] / (1 - pow(h[1], t));
    k[1] = h[1], k[2] = 1 - h[1], k[3] = h[2], k[4] = h[3], k[5] = h[4], k[6] = TINY;
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
    k[9] = (k[0] * reach_of_mean(0, h[2]) + k[1] * reach_of_mean(beta1, h[2])) / k[2];
    k[10] = TINY;
}

static void nadamw(const double *h, double t, double *k)
{
    nadam(h, t, k);
    k[8] = 1 - h[0] * h[4];
}

static void lion(const double *h, double t, double *k)
{
    (void)t;
    double up = pow(2, -1 - floor(log(1 - h[1]) / log(2)));
    k[0] = h[0], k[1] = up * h[1], k[2] = up * (1 - h[1]);
    k[3] = h[2], k[4] = 1 - h[2], k[5] = 1 - h[0] * h[3];
}

static void radam(const double *h, double t, double *k)
{
    double rate = h[0] / (1 - pow(h[1], t)), left = 1 - pow(h[2], t);
    double longest = 2 / (1 - h[2]) - 1, length = longest - 2 * t * pow(h[2], t) / left;
    k[0] = rate, k[1] = 0, k[8] = 0, k[9] = TINY, k[10] = INFINITY;
    if (!(length <= 5)) {
        double r = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length);
        k[0] = 0, k[1] = rate * sqrt(r) * sqrt(left), k[8] = k[1] * reach_of_mean(h[1], h[2]), k[10] = 0;
    }
    moments(h, k + 2);
    k[7] = h[4];
}

static void radamw(const double *h, double t, double *k)
{
    radam(h, t, k);
    k[7] = 1 - h[0] * h[4];
}

static void ademamix(const double *h, double t, double *k)
{
    double lr = h[0], beta1 = h[1], beta2 = h[2], beta3 = h[3], alpha = h[4], warmup = h[7];
    double x = warmup > 0 ? t / warmup : 1;
    if (x < 1) {
        alpha = x * h[4];
        if (beta1 > 0 && h[3] > 0) {
            double fast = log(beta1), slow = log(h[3]);
            beta3 = exp(fast * slow / ((1 - x) * slow + x * fast));
            if (h[3] < beta3) beta3 = h[3];
        }
    }
    double rate = lr / (1 - pow(beta1, t)), root = 1 / sqrt(1 - pow(beta2, t));
    double first = 1 - (warmup > 0 && beta1 < h[3] ? beta1 : h[3]);
    double reach_n = reach_of_long_mean(first, h[3], beta2, t);
    k[0] = rate, k[1] = lr * alpha, k[2] = root, k[3] = beta1, k[4] = 1 - beta1, k[5] = beta3, k[6] = 1 - beta3;
    k[7] = beta2, k[8] = 1 - beta2, k[9] = h[5], k[10] = 1 - lr * h[6];
    k[11] = (rate * reach_of_mean(beta1, beta2) + lr * alpha * reach_n) / root, k[12] = TINY;
}

static void rprop(const double *h, double t, double *k)
{
    (void)t;
    k[0] = h[1], k[1] = h[2], k[2] = h[3], k[3] = h[4], k[4] = 1, k[5] = 0;
}

static void asgd(const double *h, double t, double *k)
{
    double eta = h[0] / pow(1 + h[1] * h[0] * (t - 1), h[2]), count = t - 1 - h[3];
    k[0] = 1 - h[1] * eta, k[1] = eta, k[2] = 1 / (count > 1 ? count : 1), k[3] = h[4];
}

/* lr of step t, and the share of z in y. */
static double schedule_free(double lr, double warmup, double t, double *c)
{
    if (warmup <= 0) {
        *c = 1 / t;
        return lr;
    }
    if (t <= warmup) {
        *c = 6 * t / ((t + 1) * (2 * t + 1));
        return lr * t / warmup;
    }
    double whole = trunc(warmup);
    *c = 1 / (whole * (whole + 1) * (2 * whole + 1) / (6 * warmup * warmup) + (t - whole));
    return lr;
}

static void schedule_free_sgd(const double *h, double t, double *k)
{
    double c, lr = schedule_free(h[0], h[3], t, &c);
    k[0] = lr, k[1] = 1 - c, k[2] = c, k[3] = lr * (1 - h[1] * (1 - c)), k[4] = h[2];
}

static void schedule_free_adamw(const double *h, double t, double *k)
{
    double c, lr = schedule_free(h[0], h[5], t, &c), root = 1 / sqrt(1 - pow(h[2], t));
    k[0] = lr, k[1] = 1 - c, k[2] = c, k[3] = lr * (1 - h[1] * (1 - c)), k[4] = root;
    k[5] = h[2], k[6] = 1 - h[2], k[7] = h[3], k[8] = h[4];
    k[9] = reach_of_mean(0, h[2]) / root, k[10] = TINY;
}

static void lars(const double *h, double t, double *k)
{
    (void)t;
    k[0] = h[1], k[1] = h[2];
}

static void lamb(const double *h, double t, double *k)
{
    adam_at(1 / (1 - pow(h[1], t)), 1 / sqrt(1 - pow(h[2], t)), h[4], h, k);
}

enum { COUPLED, DECOUPLED }; /* how weight_decay enters */

static const struct {
    const char *name;
    void (*coefficients)(const double *h, double t, double *k);
    int hyperparameters;
    double defaults[MAX_HYPERPARAMETERS];
    int decay, decoupled; /* where h has weight_decay, or -1 */
} RULES[FO_RULE_COUNT] = {
    {"SGD", sgd, 2, {0.01, 0}, 1, COUPLED},
    {"Momentum", momentum, 5, {0.01, 0.9, 0, 0, 0}, 3, COUPLED},
    {"ClassicalMomentum", classical_momentum, 3, {0.01, 0.9, 0}, 2, COUPLED},
    {"Nesterov", nesterov, 3, {0.01, 0.9, 0}, 2, COUPLED},
    {"AdaGrad", adagrad, 4, {0.01, 0, 1e-10, 0}, 3, COUPLED},
    {"RMSProp", rmsprop, 4, {0.01, 0.9, 1e-8, 0}, 3, COUPLED},
    {"CenteredRMSProp", centered_rmsprop, 4, {0.01, 0.9, 1e-8, 0}, 3, COUPLED},
    {"Adam", adam, 6, {1e-3, 0.9, 0.999, 1e-8, 0, 1}, 4, COUPLED},
    {"AdamW", adamw, 5, {1e-3, 0.9, 0.999, 1e-8, 0.01}, 4, DECOUPLED},
    {"AMSGrad", amsgrad, 5, {1e-3, 0.9, 0.999, 1e-8, 0}, 4, COUPLED},
    {"AdaDelta", adadelta, 4, {1.0, 0.95, 1e-6, 0}, 3, COUPLED},
    {"Adamax", adamax, 5, {2e-3, 0.9, 0.999, 1e-8, 0}, 4, COUPLED},
    {"NAdam", nadam, 6, {2e-3, 0.9, 0.999, 1e-8, 0, 4e-3}, 4, COUPLED},
    {"Lion", lion, 4, {1e-4, 0.9, 0.99, 0}, 3, DECOUPLED},
    {"SGDW", sgdw, 2, {0.01, 0.01}, 1, DECOUPLED},
    {"MomentumW", momentumw, 4, {0.01, 0.9, 0, 0.01}, 3, DECOUPLED},
    {"RMSPropMomentum", rmsprop_momentum, 5, {0.01, 0.9, 0.9, 1e-8, 0}, 4, COUPLED},
    {"CenteredRMSPropMomentum", centered_rmsprop_momentum, 5, {0.01, 0.9, 0.9, 1e-8, 0}, 4, COUPLED},
    {"AMSGradW", adamw, 5, {1e-3, 0.9, 0.999, 1e-8, 0.01}, 4, DECOUPLED},
    {"NAdamW", nadamw, 6, {2e-3, 0.9, 0.999, 1e-8, 0.01, 4e-3}, 4, DECOUPLED},
    {"RAdam", radam, 5, {1e-3, 0.9, 0.999, 1e-8, 0}, 4, COUPLED},
    {"RAdamW", radamw, 5, {1e-3, 0.9, 0.999, 1e-8, 0.01}, 4, DECOUPLED},
    {"AdEMAMix", ademamix, 8, {1e-3, 0.9, 0.999, 0.9999, 5, 1e-8, 0, 0}, 6, DECOUPLED},
    {"Rprop", rprop, 5, {0.01, 0.5, 1.2, 1e-6, 50}, -1, COUPLED},
    {"ASGD", asgd, 5, {0.01, 1e-4, 0.75, 1e6, 0}, 4, COUPLED},
    {"ScheduleFreeSGD", schedule_free_sgd, 4, {1, 0.9, 0, 0}, 2, COUPLED},
    {"ScheduleFreeAdamW", schedule_free_adamw, 6, {2.5e-3, 0.9, 0.999, 1e-8, 0, 0}, 4, COUPLED},
    {"LARS", lars, 5, {0.1, 0.9, 0, 0.001, 0}, 2, COUPLED},
    {"LAMB", lamb, 5, {1e-3, 0.9, 0.999, 1e-6, 0}, 4, COUPLED},
};

#define SLOTS(rule, slots, coefficients) slots,
#define COEFFICIENTS(rule, slots, coefficients) coefficients,
static const int RULE_SLOTS[] = {FO_RULES(SLOTS)};
static const int RULE_COEFFICIENTS[] = {FO_RULES(COEFFICIENTS)};

const char *fo_base_name(int rule) { return RULES[rule].name; }
int fo_base_slots(int rule) { return RULE_SLOTS[rule]; }
int fo_base_hyperparameters(int rule) { return RULES[rule].hyperparameters; }
int fo_base_coefficients(int rule) { return RULE_COEFFICIENTS[rule]; }
const double *fo_base_defaults(int rule) { return RULES[rule].defaults; }
void fo_base_fill(int rule, const double *h, double t, double *k) { RULES[rule].coefficients(h, t, k); }

int fo_base_decay(int rule, int *decoupled)
{
    *decoupled = RULES[rule].decoupled == DECOUPLED;
    return RULES[rule].decay;
}

int fo_rule_count(void) { return FO_RULE_COUNT; }

int fo_rule_by_name(const char *name)
{
    for (int rule = 0; name && rule < FO_RULE_COUNT; rule++)
        if (strcmp(name, RULES[rule].name) == 0) return rule;
    return -1;
}
