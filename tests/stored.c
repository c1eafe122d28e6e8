/* Parameters and state of few bits in C: AdamW on a bfloat16 parameter with each kind of state ends where float does. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fastopt.h"

enum { N = 1000, BLOCKS = (N + FO_BLOCK - 1) / FO_BLOCK, STEPS = 300 };
static int failures;

static void expect(int good, const char *what)
{
    if (!good) printf("%s\n", what), failures++;
}

static float value_of(uint16_t high, int16_t low)
{
    uint32_t bits = ((uint32_t)high << 16) + (uint32_t)(int32_t)low;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint16_t bfloat16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (uint16_t)((bits + 0x8000u) >> 16);
}

/* Down the bowls (p - i/N)^2 / 2 from 0; pieces: how many calls a step is cut into. */
static void descend(int state, int pieces, uint16_t *p, int16_t *low)
{
    double h[16], k[FO_MAX_COEFFICIENTS];
    uint16_t g[N];
    void *s[2] = {calloc(N, 4), calloc(N, 4)};
    int16_t *base[2] = {calloc(BLOCKS, 2), calloc(BLOCKS, 2)};
    fo_stored a = {.parameter = FO_BFLOAT16, .p = p, .master = low, .g = g, .unit = 1, .scale = 1};
    fo_rule_defaults(FO_ADAMW, h);
    h[0] = 0.02, h[4] = 0;
    memset(p, 0, N * sizeof *p), memset(low, 0, N * sizeof *low);
    for (int j = 0; j < 2; j++) {
        a.form[j] = state == FO_SIGNED8 ? fo_eight_bits(FO_ADAMW, j) : state;
        a.s[j] = s[j], a.base[j] = base[j];
    }
    for (int t = 1; t <= STEPS; t++) {
        for (int i = 0; i < N; i++) g[i] = bfloat16(value_of(p[i], low[i]) - (float)i / N);
        fo_coefficients(FO_ADAMW, h, t, k);
        fo_noise_keys(7, 3, t, a.key);
        for (int part = 0; part < pieces; part++) {
            int64_t begin = BLOCKS * part / pieces * FO_BLOCK, end = BLOCKS * (part + 1) / pieces * FO_BLOCK;
            expect(fo_update_stored(FO_ADAMW, k, &a, begin, end < N ? end : N) == FO_OK, "status");
        }
    }
    for (int j = 0; j < 2; j++) free(s[j]), free(base[j]);
}

static void training(int state, const char *name)
{
    static uint16_t p[N], q[N];
    static int16_t low[N], other[N];
    descend(state, 1, p, low);
    descend(state, 4, q, other);
    expect(!memcmp(p, q, sizeof p) && !memcmp(low, other, sizeof low), "a step in parts has other bits");
    double worst = 0;
    for (int i = 0; i < N; i++) worst = fmax(worst, fabs(value_of(p[i], low[i]) - (float)i / N));
    printf("%s: %.4f from the minimum\n", name, worst);
    expect(worst < 0.05, name);
}

static void refusals(void)
{
    double k[FO_MAX_COEFFICIENTS] = {0};
    static float p[N], g[N], s[N];
    static uint16_t halves[4] = {0x3F80, 0x7F80, 0x3C00, 0x7C00};
    fo_stored good = {.p = p, .g = g, .s = {s, s, s}, .unit = 1, .scale = 1}, a = good;
    expect(fo_update_stored(FO_ADAMW, k, &a, 0, 0) == FO_OK, "nothing to do");
    expect(fo_update_stored(-1, k, &a, 0, N) == FO_UNKNOWN_RULE, "unknown rule");
    expect(fo_update_stored(FO_ADAMW, k, 0, 0, N) == FO_NULL_POINTER, "no array");
    expect(fo_update_stored(FO_ADAMW, 0, &a, 0, N) == FO_NULL_POINTER, "no coefficients");
    expect(fo_update_stored(FO_ADAMW, k, &a, 1, N) == FO_BAD_VALUE, "begin amid a block");
    expect(fo_update_stored(FO_ADAMW, k, &a, 256, 0) == FO_BAD_RANGE, "a range that falls");
    a.parameter = 9, expect(fo_update_stored(FO_ADAMW, k, &a, 0, N) == FO_BAD_VALUE, "unknown form"), a = good;
    a.parameter = FO_BFLOAT16, expect(fo_update_stored(FO_ADAMW, k, &a, 0, N) == FO_NULL_POINTER, "no master"), a = good;
    a.form[0] = FO_POSITIVE8, expect(fo_update_stored(FO_ADAMW, k, &a, 0, N) == FO_BAD_VALUE, "a sign is lost"), a = good;
    a.form[0] = FO_SIGNED8, expect(fo_update_stored(FO_ADAMW, k, &a, 0, N) == FO_NULL_POINTER, "no bases"), a = good;
    a.form[0] = FO_BFLOAT16, expect(fo_update_stored(FO_ADAGRAD, k, &a, 0, N) == FO_BAD_VALUE, "not this rule"), a = good;
    a.s[1] = 0, expect(fo_update_stored(FO_ADAMW, k, &a, 0, N) == FO_NULL_POINTER, "no slot");
    expect(fo_eight_bits(FO_ADAGRAD, 0) == -1 && fo_eight_bits(FO_ADAM, 2) == -1 && fo_eight_bits(-1, 0) == -1, "no form");
    expect(fo_all_finite_halves(FO_BFLOAT16, halves, 1) == 1 && fo_all_finite_halves(FO_BFLOAT16, halves, 2) == 0, "inf");
    expect(fo_all_finite_halves(FO_FLOAT16, halves + 2, 1) == 1 && fo_all_finite_halves(FO_FLOAT16, halves, 4) == 0, "inf16");
    expect(fo_all_finite_halves(FO_FLOAT32, halves, 1) == FO_BAD_VALUE, "form");
    expect(fo_squares_halves(FO_BFLOAT16, halves, 1, 2) == 4 && fo_squares_halves(FO_FLOAT16, halves + 2, 1, 1) == 1, "squares");
}

int main(void)
{
    training(FO_FLOAT32, "float");
    training(FO_BFLOAT16, "bfloat16");
    training(FO_SIGNED8, "8 bits");
    refusals();
    return failures != 0;
}
