/* What a rule is, also one around another: sizes, coefficients, starts, and numbers from norms. */
#include <math.h>
#include <string.h>

#include "rules.h"

static const int OWN_HYPERPARAMETERS[] = {0, 2, 2, 1, 0}, OWN_COEFFICIENTS[] = {0, 2, 3, 3, 4};
static const double OWN_DEFAULTS[][2] = {{0}, {1, 0}, {6, 0.5}, {0.9}, {0}};

int fo_with_norms(int rule)
{
    while (fo_outer(rule) && fo_outer(rule) != FO_CAUTIOUS) rule = fo_inner(rule);
    return rule;
}

int fo_rule_numbers(int rule)
{
    rule = fo_with_norms(rule);
    return rule == FO_LARS ? 2 : rule == FO_LAMB || fo_outer(rule) == FO_CAUTIOUS;
}

static int has_copies(int rule)
{
    return rule == FO_SCHEDULE_FREE_SGD || rule == FO_SCHEDULE_FREE_ADAMW || fo_outer(rule) > 0;
}

static int has_z(int rule)
{
    while (fo_outer(rule) && fo_outer(rule) != FO_SCHEDULE_FREE) rule = fo_inner(rule);
    return fo_outer(rule) == FO_SCHEDULE_FREE || rule == FO_SCHEDULE_FREE_SGD || rule == FO_SCHEDULE_FREE_ADAMW;
}

static int known(int rule)
{
    if (rule < 0 || rule >> (FO_FIRST_WRAPPER + FO_MOST_WRAPPERS * FO_WRAPPER_BITS)) return 0;
    return fo_outer(rule) ? fo_rule_around(fo_outer(rule), fo_inner(rule)) == rule : rule < FO_RULE_COUNT;
}

int fo_rule_around(int wrapper, int rule)
{
    if (wrapper < FO_AVERAGED || wrapper > FO_CAUTIOUS || !known(rule)) return -1;
    if (wrapper == FO_CAUTIOUS && (has_copies(rule) || fo_rule_numbers(rule))) return -1;
    if (wrapper == FO_SCHEDULE_FREE && has_z(rule)) return -1;
    int place = fo_wrapper_place(rule) + (fo_outer(rule) ? FO_WRAPPER_BITS : 0);
    int most = FO_FIRST_WRAPPER + (FO_MOST_WRAPPERS - 1) * FO_WRAPPER_BITS;
    return place <= most ? rule | wrapper << place : -1;
}

static int slots_of(int rule)
{
    int wrapper = fo_outer(rule);
    return wrapper ? slots_of(fo_inner(rule)) + (wrapper != FO_CAUTIOUS) : fo_base_slots(rule);
}

static int hyperparameters_of(int rule)
{
    int wrapper = fo_outer(rule);
    return wrapper ? hyperparameters_of(fo_inner(rule)) + OWN_HYPERPARAMETERS[wrapper] : fo_base_hyperparameters(rule);
}

static int coefficients_of(int rule)
{
    int wrapper = fo_outer(rule);
    return wrapper ? coefficients_of(fo_inner(rule)) + OWN_COEFFICIENTS[wrapper] : fo_base_coefficients(rule);
}

static int base_of(int rule)
{
    while (fo_outer(rule)) rule = fo_inner(rule);
    return rule;
}

const char *fo_rule_name(int rule) { return known(rule) ? fo_base_name(base_of(rule)) : 0; }
int fo_rule_slots(int rule) { return known(rule) ? slots_of(rule) : -1; }
int fo_rule_hyperparameters(int rule) { return known(rule) ? hyperparameters_of(rule) : -1; }
int fo_rule_coefficients(int rule) { return known(rule) ? coefficients_of(rule) : -1; }

int fo_rule_norms(int rule)
{
    if (!known(rule)) return -1;
    return !fo_rule_numbers(rule) ? 0 : fo_outer(fo_with_norms(rule)) ? 1 : 2;
}

static void defaults_of(int rule, double *h)
{
    int wrapper = fo_outer(rule), before = wrapper ? hyperparameters_of(fo_inner(rule)) : 0;
    if (wrapper) defaults_of(fo_inner(rule), h);
    const double *own = wrapper ? OWN_DEFAULTS[wrapper] : fo_base_defaults(rule);
    memcpy(h + before, own, sizeof(double) * (size_t)(hyperparameters_of(rule) - before));
}

int fo_rule_defaults(int rule, double *h)
{
    if (!known(rule)) return FO_UNKNOWN_RULE;
    if (!h) return FO_NULL_POINTER;
    defaults_of(rule, h);
    return FO_OK;
}

int fo_rule_start(int rule, int slot, const double *h, double *start)
{
    if (!known(rule)) return FO_UNKNOWN_RULE;
    if (!h || !start) return FO_NULL_POINTER;
    if (slot < 0 || slot >= slots_of(rule)) return FO_BAD_VALUE;
    while (fo_outer(rule)) {
        if (slot == slots_of(rule) - 1 && fo_outer(rule) != FO_CAUTIOUS) return 1;
        rule = fo_inner(rule);
    }
    *start = rule == FO_ADAGRAD ? h[1] : rule == FO_RPROP && slot == 1 ? h[0] : 0;
    return slot == 0 && has_copies(rule);
}

/* ---- once a step ---- */

static void cautious(int rule, const double *h, double t, double *k)
{
    double plain[FO_MAX_HYPERPARAMETERS], *e = k + fo_base_coefficients(rule);
    int decoupled, place = fo_base_decay(rule, &decoupled);
    double decay = place < 0 ? 0 : h[place];
    memcpy(plain, h, sizeof(double) * (size_t)fo_base_hyperparameters(rule));
    if (place >= 0) plain[place] = 0;
    fo_base_fill(rule, plain, t, k);
    e[0] = decoupled ? 0 : decay, e[1] = decoupled ? 1 - h[0] * decay : 1, e[2] = 0;
}

static void fill(int rule, const double *h, double t, double *k)
{
    int wrapper = fo_outer(rule), inner = fo_inner(rule);
    if (!wrapper) {
        fo_base_fill(rule, h, t, k);
        return;
    }
    if (wrapper == FO_CAUTIOUS) {
        cautious(inner, h, t, k);
        return;
    }
    const double *own = h + hyperparameters_of(inner);
    double *e = k + coefficients_of(inner) - fo_rule_numbers(inner);
    fill(inner, h, t, k);
    if (wrapper == FO_AVERAGED) {
        double share = 1, least = 1 - own[0];
        if (t > own[1]) share = 1 / (t - own[1]);
        if (share < least) share = least;
        e[0] = 1 - share, e[1] = share;
    } else if (wrapper == FO_LOOKAHEAD) {
        double meet = fmod(t, own[0]) == 0 ? 1 : 0;
        e[0] = own[1], e[1] = 1 - meet, e[2] = meet;
    } else {
        e[0] = 1 - 1 / t, e[1] = 1 - own[0], e[2] = 1 - own[0] + own[0] / t;
    }
}

int fo_coefficients(int rule, const double *h, double t, double *k)
{
    if (!known(rule)) return FO_UNKNOWN_RULE;
    if (!h || !k) return FO_NULL_POINTER;
    fill(rule, h, t, k);
    return FO_OK;
}

/* ---- once an array ---- */

static void from_lars(const double *h, const double *norms, double *k)
{
    double of_p = norms[0], of_g = norms[1], below = of_g + h[2] * of_p + h[4], unit = 1;
    double rate = h[0] * (of_p > 0 && of_g > 0 ? h[3] * of_p / below : 1.0);
    if (of_g > 1e19 || (0 < of_g && of_g < 1e-19)) {
        double power = isinf(of_g) ? -120 : -1 - floor(log(of_g) / log(2));
        unit = pow(2, power > 120 ? 120 : power < -120 ? -120 : power);
    }
    k[0] = rate / unit, k[1] = unit;
}

int fo_from_norms(int rule, const double *h, const double *norms, int64_t size, double *k)
{
    if (!known(rule) || !fo_rule_numbers(rule)) return FO_UNKNOWN_RULE;
    if (!h || !norms || !k) return FO_NULL_POINTER;
    if (size < 0) return FO_BAD_SIZE;
    k += coefficients_of(rule) - fo_rule_numbers(rule);
    rule = fo_with_norms(rule);
    if (rule == FO_LARS) {
        from_lars(h, norms, k);
    } else if (rule == FO_LAMB) {
        k[0] = h[0] * (norms[0] > 0 && norms[1] > 0 ? norms[0] / norms[1] : 1.0);
    } else {
        double share = pow(norms[0], 2) / (double)(size > 1 ? size : 1);
        k[0] = 1 / (share > 1e-3 ? share : 1e-3);
    }
    return FO_OK;
}
