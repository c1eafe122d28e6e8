/* Parameters and state of few bits: what fastopt.h offers, checked, and the noise. fastopt/storage.py says why. */
#include "checks.h"
#include "noise.h"
#include "sets.h"

/* "s" a slot with a sign, "p" one without: as `small` of the classes in fastopt/rules. */
static const char *small_slots(int rule)
{
    switch (rule) {
    case FO_MOMENTUM:
    case FO_CLASSICAL_MOMENTUM:
    case FO_NESTEROV:
    case FO_LION: return "s";
    case FO_ADAM:
    case FO_ADAMW:
    case FO_ADAMAX:
    case FO_NADAM: return "sp";
    case FO_AMSGRAD: return "spp";
    default: return "";
    }
}

int fo_eight_bits(int rule, int slot)
{
    while (rule > 0 && fo_outer(rule)) rule = fo_inner(rule); /* an average is kept in full */
    const char *slots = small_slots(rule);
    for (int j = 0; slots[j]; j++)
        if (j == slot) return slots[j] == 's' ? FO_SIGNED8 : FO_POSITIVE8;
    return -1;
}

/* 32 bits of the words: splitmix64's mixing, in turns. */
static uint32_t hash(const uint64_t *words, int n)
{
    uint64_t x = 0;
    for (int j = 0; j < n; j++) {
        x = (x ^ words[j]) + 0x9E3779B97F4A7C15u;
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
        x = (x ^ x >> 27) * 0x94D049BB133111EBu;
        x ^= x >> 31;
    }
    return (uint32_t)x;
}

void fo_noise_keys(uint64_t seed, uint64_t array, int64_t step, uint32_t *key)
{
    for (uint64_t q = 0; q < 3; q++) {
        uint64_t words[3] = {seed, array, q};
        key[q] = fo_noise_key(hash(words, 3), step);
    }
}

static int stored_status(int rule, const double *k, const fo_stored *a, int64_t begin)
{
    int slots = fo_rule_slots(rule);
    if (!k || !a || !a->p || !a->g) return FO_NULL_POINTER;
    if (a->parameter < FO_FLOAT32 || a->parameter > FO_FLOAT16 || begin % FO_BLOCK) return FO_BAD_VALUE;
    if (!a->master && (a->parameter == FO_BFLOAT16 || a->parameter == FO_FLOAT16)) return FO_NULL_POINTER;
    for (int j = 0; j < slots; j++) {
        int form = a->form[j], eight = fo_eight_bits(rule, j);
        if (form != FO_FLOAT32 && (eight < 0 || (form != FO_BFLOAT16 && form != eight))) return FO_BAD_VALUE;
        if (!a->s[j] || (form == eight && !a->base[j])) return FO_NULL_POINTER;
    }
    return FO_OK;
}

int fo_update_stored(int rule, const double *k, const fo_stored *a, int64_t begin, int64_t end)
{
    int slots = fo_rule_slots(rule), status = fo_range_status(begin, end);
    const fo_rule_kernels *kernels = fo_kernels()->rules;
    if (slots < 0 || fo_rule_norms(rule)) return FO_UNKNOWN_RULE;
    if (status || begin == end) return status;
    status = stored_status(rule, k, a, begin);
    if (status) return status;
    kernels->update_stored(rule, k, a, begin, end);
    return FO_OK;
}

int fo_all_finite_halves(int form, const uint16_t *x, int64_t n)
{
    if (form != FO_BFLOAT16 && form != FO_FLOAT16) return FO_BAD_VALUE;
    if (n <= 0) return n < 0 ? FO_BAD_SIZE : 1;
    return x ? fo_kernels()->rules->finite_halves(x, n, form == FO_FLOAT16 ? 0x7C00 : 0x7F80) : FO_NULL_POINTER;
}

double fo_squares_halves(int form, const uint16_t *x, int64_t n, double unit)
{
    if (form != FO_BFLOAT16 && form != FO_FLOAT16) return 0;
    return x && n > 0 ? fo_kernels()->rules->squares_halves(form, x, n, unit) : 0;
}
