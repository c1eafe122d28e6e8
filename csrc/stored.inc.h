/* A step on numbers of few bits: fastopt/storage.py says what the forms are, fastopt/rounding.py has the same bits
 * in NumPy. Where all slots of a rule have few bits, a loop of its own decodes, updates and encodes in registers; else blocks
 * of 256 elements are decoded, updated by the rule's float loop and encoded in the first cache. */

enum { STORED_BLOCK = 256 };
#define WEYL 0x9E3779B1u
#define LARGEST 0x7F7FFFFF
#define SIZE_BITS 0x7FFFFFFFu
#define SIGN_BIT 0x80000000u

static inline uint32_t bits_of(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* bits + noise, which is below 2^places and carries into the bits above, but not beyond the largest finite number; inf and NaN
 * as they are. What a cut leaves of numbers that have its last code is that code with noise and without. */
static inline uint32_t noisy(uint32_t bits, uint32_t noise, int places)
{
    int32_t size = (int32_t)(bits & SIZE_BITS), last = LARGEST >> places << places;
    return bits + (size < last ? noise : 0);
}

static inline uint16_t to_bfloat16(uint32_t bits, uint32_t noise) { return (uint16_t)(noisy(bits, noise, 16) >> 16); }

/* NaN is cut. */
static inline uint16_t nearest_bfloat16(uint32_t bits)
{
    return (uint16_t)((bits + ((int32_t)(bits & SIZE_BITS) > 0x7F800000 ? 0 : 0x8000u)) >> 16);
}

static inline float from_bfloat16(uint16_t code) { return float_of((uint32_t)code << 16); }
static inline float joined(uint16_t high, int16_t low) { return float_of(((uint32_t)high << 16) + (uint32_t)(int32_t)low); }

static inline float from_eight(uint32_t code, uint32_t base, int is_signed)
{
    uint32_t size = code & 127u, sign = (code & 128u) << 24;
    return float_of(is_signed ? (size ? (size + base) << 20 : 0) | sign : (code + base) << 20);
}

static inline float from_float16(uint16_t word)
{
    uint32_t code = word, shifted = (code & 0x7FFF) << 13, power = shifted & 0x0F800000u;
    uint32_t bits = shifted + (112u << 23), special = bits + (112u << 23);
    uint32_t small = bits_of(float_of(bits + (1u << 23)) - 0x1p-14f);
    uint32_t size = power == 0x0F800000u ? special : power == 0 ? small : bits;
    return float_of(size | (code & 0x8000u) << 16);
}

static inline uint16_t to_float16(uint32_t bits)
{
    uint32_t size = bits & SIZE_BITS, small = bits_of(float_of(size) + 0.5f) - 0x3F000000u;
    uint32_t usual = (size + 0xC8000FFFu + (size >> 13 & 1)) >> 13, large = size > 0x7F800000u ? 0x7E00u : 0x7C00u;
    uint32_t code = size >= 0x47800000u ? large : size < 0x38800000u ? small : usual;
    return (uint16_t)(code | (bits >> 16 & 0x8000u));
}

/* The noise of slot 0, 1, ... : the lower and the upper half of a word in turn. */
static inline uint32_t word_of(int64_t i, uint32_t key) { return (uint32_t)i * WEYL + key; }
static inline uint32_t half_of(uint32_t word, int slot) { return slot % 2 ? word >> 16 : word & 0xFFFF; }
static inline uint32_t twenty_of(uint32_t word, int slot) { return slot % 2 ? word >> 12 : word << 4 & 0xFFFFF; }

static void decode_halves(int form, const uint16_t *x, int64_t n, float *out)
{
    if (form == FO_FLOAT16)
        for (int64_t i = 0; i < n; i++) out[i] = from_float16(x[i]);
    else
        for (int64_t i = 0; i < n; i++) out[i] = from_bfloat16(x[i]);
}

/* Each of these answers where the float numbers of a block are: in the array itself, or in the room. */
static float *decode_parameter(const fo_stored *a, int64_t at, int64_t n, float *room)
{
    const uint16_t *p = (const uint16_t *)a->p + at;
    if (a->parameter == FO_FLOAT32) return (float *)a->p + at;
    if (a->parameter == FO_BFLOAT16) {
        const int16_t *low = (const int16_t *)a->master + at;
        for (int64_t i = 0; i < n; i++) room[i] = joined(p[i], low[i]);
    } else if (a->parameter == FO_FLOAT16) {
        const float *master = (const float *)a->master + at;
        for (int64_t i = 0; i < n; i++)
            room[i] = to_float16(bits_of(master[i])) == p[i] ? master[i] : from_float16(p[i]);
    } else {
        decode_halves(FO_BFLOAT16, p, n, room);
    }
    return room;
}

/* Whether gradients are taken as they are. */
static int as_given(const fo_stored *a)
{
    return (float)a->unit == 1 && (float)a->scale == 1 && !(a->most > 0 && (float)a->most < INFINITY);
}

static const float *decode_gradient(const fo_stored *a, int64_t at, int64_t n, float *room)
{
    float unit = (float)a->unit, scale = (float)a->scale, most = a->most > 0 ? (float)a->most : INFINITY;
    const float *g = room;
    if (a->parameter == FO_FLOAT32) g = (const float *)a->g + at;
    else decode_halves(a->parameter, (const uint16_t *)a->g + at, n, room);
    if (as_given(a)) return g;
    for (int64_t i = 0; i < n; i++) room[i] = held_f32(g[i] * unit * scale, most);
    return room;
}

static float *decode_slot(const fo_stored *a, int j, int64_t at, int64_t n, float *room)
{
    int form = a->form[j];
    if (form == FO_FLOAT32) return (float *)a->s[j] + at;
    if (form == FO_BFLOAT16) {
        decode_halves(form, (const uint16_t *)a->s[j] + at, n, room);
        return room;
    }
    const uint8_t *code = (const uint8_t *)a->s[j] + at;
    uint32_t base = (uint32_t)a->base[j][at / STORED_BLOCK];
    if (form == FO_POSITIVE8)
        for (int64_t i = 0; i < n; i++) room[i] = from_eight(code[i], base, 0);
    else
        for (int64_t i = 0; i < n; i++) room[i] = from_eight(code[i], base, 1);
    return room;
}

static void encode_parameter(const fo_stored *a, int64_t at, int64_t n, const float *x)
{
    uint16_t *p = (uint16_t *)a->p + at;
    if (a->parameter == FO_BFLOAT16) {
        int16_t *low = (int16_t *)a->master + at;
        for (int64_t i = 0; i < n; i++) {
            p[i] = nearest_bfloat16(bits_of(x[i]));
            low[i] = (int16_t)bits_of(x[i]);
        }
    } else if (a->parameter == FO_FLOAT16) {
        float *master = (float *)a->master + at;
        for (int64_t i = 0; i < n; i++) {
            p[i] = to_float16(bits_of(x[i]));
            master[i] = x[i];
        }
    } else if (a->parameter == FO_ROUNDED) {
        for (int64_t i = 0; i < n; i++)
            p[i] = to_bfloat16(bits_of(x[i]), word_of(at + i, a->key[2]) >> 16);
    }
}

static inline void encode_eights(uint8_t *FO_RESTRICT code, const float *FO_RESTRICT x, int64_t n, int32_t base,
                                        uint32_t word, int odd, int is_signed)
{
    for (int64_t i = 0; i < n; i++, word += WEYL) {
        uint32_t bits = bits_of(x[i]), sum = noisy(bits, twenty_of(word, odd), 20);
        int32_t c = (int32_t)((sum & SIZE_BITS) >> 20) - base;
        code[i] = (uint8_t)((uint32_t)(c > 0 ? c : 0) | (is_signed ? bits >> 24 & 128u : 0));
    }
}

static void encode_eight(const fo_stored *a, int j, int64_t at, int64_t n, const float *x)
{
    int is_signed = a->form[j] == FO_SIGNED8;
    uint8_t *code = (uint8_t *)a->s[j] + at;
    int32_t top = 0, base;
    uint32_t word = word_of(at, a->key[j / 2]);
    for (int64_t i = 0; i < n; i++) {
        int32_t size = (int32_t)(bits_of(x[i]) & SIZE_BITS);
        top = size > top ? size : top;
    }
    base = (int32_t)(((uint32_t)top + 0xFFFFF) >> 20) - (is_signed ? 127 : 255);
    base = base > 0 ? base : 0;
    a->base[j][at / STORED_BLOCK] = (int16_t)base;
    if (is_signed) encode_eights(code, x, n, base, word, j % 2, 1);
    else encode_eights(code, x, n, base, word, j % 2, 0);
}

static void encode_slot(const fo_stored *a, int j, int64_t at, int64_t n, const float *x)
{
    if (a->form[j] == FO_BFLOAT16) {
        uint16_t *code = (uint16_t *)a->s[j] + at;
        uint32_t key = a->key[j / 2];
        for (int64_t i = 0; i < n; i++) code[i] = to_bfloat16(bits_of(x[i]), half_of(word_of(at + i, key), j));
    } else if (a->form[j] != FO_FLOAT32) {
        encode_eight(a, j, at, n, x);
    }
}

/* ---- rules all of whose slots have 16 bits, or 8: one loop ---- */

#define COUNTS(rule, slots, coefficients) SLOTS_##rule = slots, COEFFICIENTS_##rule = coefficients,
enum { FO_RULES(COUNTS) };
#undef COUNTS
#define NUMBER(rule, slots, coefficients) NUMBER_##rule,
enum { FO_RULES(NUMBER) };
#undef NUMBER

/* Those that have small_slots in stored.c. */
#define SMALL_RULES(R, P, G)                                                                               \
    R(momentum, P, G) R(classical_momentum, P, G) R(nesterov, P, G) R(lion, P, G) R(adam, P, G) R(adamw, P, G) \
    R(adamax, P, G) R(nadam, P, G) R(amsgrad, P, G)

/* n elements from `at` on: within a block if slots have 8 bits, whose new numbers go to room. G: the gradient is FO_FLOAT32
 * where it is multiplied, which a pass before does: within the loop that took a sixth of its time, needed or not. */
typedef void fused_fn(const float *k, const fo_stored *a, int64_t at, int64_t n, void *FO_RESTRICT p, int16_t *FO_RESTRICT low,
                      const void *FO_RESTRICT g, void *FO_RESTRICT s0, void *FO_RESTRICT s1, void *FO_RESTRICT s2,
                      float *FO_RESTRICT room);

#define DECODE(j, place, bits)                                                   \
    if (slots > j) {                                                             \
        if (bits == 16) s[j] = from_bfloat16(((const uint16_t *)place)[i]);      \
        else s[j] = from_eight(((const uint8_t *)place)[i], base[j], j == 0);    \
    }
#define ENCODE(j, place, bits)                                                                              \
    if (slots > j) {                                                                                        \
        if (bits == 16) ((uint16_t *)place)[i] = to_bfloat16(bits_of(s[j]), half_of(j < 2 ? word0 : word1, j)); \
        else room[STORED_BLOCK * j + i] = s[j];                                                             \
    }
#define FUSED(rule, form, P, G, bits)                                                                            \
    static void fused_##rule##_##form(const float *coefficients, const fo_stored *a, int64_t at, int64_t n,     \
                                      void *FO_RESTRICT p, int16_t *FO_RESTRICT low, const void *FO_RESTRICT g, \
                                      void *FO_RESTRICT s0, void *FO_RESTRICT s1, void *FO_RESTRICT s2,         \
                                      float *FO_RESTRICT room)                                                  \
    {                                                                                                           \
        enum { slots = SLOTS_##rule };                                                                          \
        float k[COEFFICIENTS_##rule];                                                                           \
        uint32_t word0 = word_of(at, a->key[0]), word1 = word_of(at, a->key[1]), word2 = word_of(at, a->key[2]); \
        uint32_t base[3] = {0};                                                                                 \
        memcpy(k, coefficients, sizeof k);                                                                      \
        for (int j = 0; bits == 8 && j < slots; j++) base[j] = (uint32_t)a->base[j][at / STORED_BLOCK];         \
        (void)low, (void)s1, (void)s2, (void)room, (void)base, (void)word0, (void)word1, (void)word2;           \
        for (int64_t i = 0; i < n; i++, word0 += WEYL, word1 += WEYL, word2 += WEYL) {                          \
            uint16_t *half = (uint16_t *)p + i;                                                                 \
            float s[3] = {0, 0, 0}, x, y;                                                                       \
            if (G == FO_FLOAT32) y = ((const float *)g)[i];                                                     \
            else y = from_bfloat16(((const uint16_t *)g)[i]);                                                   \
            if (P == FO_FLOAT32) x = ((float *)p)[i];                                                           \
            if (P == FO_BFLOAT16) x = joined(*half, low[i]);                                                    \
            if (P == FO_ROUNDED) x = from_bfloat16(*half);                                                      \
            DECODE(0, s0, bits)                                                                                 \
            DECODE(1, s1, bits)                                                                                 \
            DECODE(2, s2, bits)                                                                                 \
            x = rule##_f32(k, x, y, s);                                                                         \
            if (P == FO_FLOAT32) ((float *)p)[i] = x;                                                           \
            if (P == FO_BFLOAT16) *half = nearest_bfloat16(bits_of(x)), low[i] = (int16_t)bits_of(x);           \
            if (P == FO_ROUNDED) *half = to_bfloat16(bits_of(x), word2 >> 16);                                  \
            ENCODE(0, s0, bits)                                                                                 \
            ENCODE(1, s1, bits)                                                                                 \
            ENCODE(2, s2, bits)                                                                                 \
        }                                                                                                       \
    }
#define FUSED_16(rule, P, G) FUSED(rule, P##_##G##_16, P, G, 16)
#define FUSED_8(rule, P, G) FUSED(rule, P##_##G##_8, P, G, 8)
#define PAIR(P, G) SMALL_RULES(FUSED_16, P, G) SMALL_RULES(FUSED_8, P, G)
PAIR(FO_FLOAT32, FO_FLOAT32)
PAIR(FO_BFLOAT16, FO_FLOAT32)
PAIR(FO_BFLOAT16, FO_BFLOAT16)
PAIR(FO_ROUNDED, FO_FLOAT32)
PAIR(FO_ROUNDED, FO_BFLOAT16)
#undef PAIR

/* [form of the parameter][gradient is bfloat16][slots have 8 bits][rule], NULL where there is none. */
#define ENTRY_16(rule, P, G) [NUMBER_##rule] = fused_##rule##_##P##_##G##_16,
#define ENTRY_8(rule, P, G) [NUMBER_##rule] = fused_##rule##_##P##_##G##_8,
#define PAIR(P, G) {{SMALL_RULES(ENTRY_16, P, G)}, {SMALL_RULES(ENTRY_8, P, G)}}
static fused_fn *const FUSED_LOOPS[3][2][2][FO_RULE_COUNT] = {
    {PAIR(FO_FLOAT32, FO_FLOAT32)},
    {PAIR(FO_BFLOAT16, FO_FLOAT32), PAIR(FO_BFLOAT16, FO_BFLOAT16)},
    {PAIR(FO_ROUNDED, FO_FLOAT32), PAIR(FO_ROUNDED, FO_BFLOAT16)},
};
#undef PAIR

static int gradient_is_wide(const fo_stored *a) { return a->parameter == FO_FLOAT32 || !as_given(a); }

static fused_fn *fused_loop(int rule, const fo_stored *a)
{
    int slots = fo_rule_slots(rule), eights = 0;
    if (!slots || rule >= FO_RULE_COUNT || a->parameter > FO_ROUNDED) return 0;
    for (int j = 0; j < slots; j++) {
        if (a->form[j] == FO_FLOAT32) return 0;
        eights += a->form[j] != FO_BFLOAT16;
    }
    return eights % slots ? 0 : FUSED_LOOPS[a->parameter][!gradient_is_wide(a)][eights == slots][rule];
}

static void update_fused(fused_fn *loop, int rule, const double *coefficients, const fo_stored *a, int64_t begin, int64_t end)
{
    float k[FO_MAX_COEFFICIENTS], room[FO_MAX_SLOTS * STORED_BLOCK], gradient[STORED_BLOCK];
    int slots = fo_rule_slots(rule), eight = a->form[0] != FO_BFLOAT16, size = a->parameter == FO_FLOAT32 ? 4 : 2;
    int64_t step = eight || !as_given(a) ? STORED_BLOCK : end - begin;
    for (int j = 0; j < fo_rule_coefficients(rule); j++) k[j] = coefficient_f32(coefficients[j]);
    for (int64_t at = begin; at < end; at += step) {
        int64_t n = end - at < step ? end - at : step;
        const void *g = (const uint16_t *)a->g + at;
        if (gradient_is_wide(a)) g = decode_gradient(a, at, n, gradient);
        char *s[3] = {0};
        for (int j = 0; j < slots; j++) s[j] = (char *)a->s[j] + at * (eight ? 1 : 2);
        loop(k, a, at, n, (char *)a->p + at * size, (int16_t *)a->master + at, g, s[0], s[1], s[2], room);
        for (int j = 0; eight && j < slots; j++) encode_eight(a, j, at, n, room + STORED_BLOCK * j);
    }
}

/* Elements [begin, end); begin is a multiple of the block. */
static void update_stored(int rule, const double *k, const fo_stored *a, int64_t begin, int64_t end)
{
    float room[2 + FO_MAX_SLOTS][STORED_BLOCK], *s[FO_MAX_SLOTS] = {0};
    int slots = fo_rule_slots(rule);
    fused_fn *loop = fused_loop(rule, a);
    unsigned control = fo_flush_denormals();
    if (loop) update_fused(loop, rule, k, a, begin, end);
    for (int64_t at = begin; !loop && at < end; at += STORED_BLOCK) {
        int64_t n = end - at < STORED_BLOCK ? end - at : STORED_BLOCK;
        float *p = decode_parameter(a, at, n, room[0]);
        const float *g = decode_gradient(a, at, n, room[1]);
        for (int j = 0; j < slots; j++) s[j] = decode_slot(a, j, at, n, room[2 + j]);
        update_any_f32(rule, k, p, g, s, 0, n);
        encode_parameter(a, at, n, p);
        for (int j = 0; j < slots; j++) encode_slot(a, j, at, n, s[j]);
    }
    fo_restore_denormals(control);
}

static inline int16_t larger(int16_t top, uint16_t x)
{
    int16_t size = (int16_t)(x & 0x7FFF);
    return size > top ? size : top;
}

/* Whether no number has all bits of the exponent set: as all_finite_f32. */
static int finite_halves(const uint16_t *x, int64_t n, uint16_t exponent)
{
    int16_t top = 0;
    int64_t part = n / 4;
    const uint16_t *second = x + part, *third = second + part, *fourth = third + part;
    for (int64_t i = 0; i < part; i++) top = larger(larger(larger(larger(top, x[i]), second[i]), third[i]), fourth[i]);
    for (int64_t i = 4 * part; i < n; i++) top = larger(top, x[i]);
    return top < (int16_t)exponent;
}

/* squares_f32 of numbers of 16 bits. */
static double squares_halves(int form, const uint16_t *x, int64_t n, double unit)
{
    double part[PARTS] = {0};
    float room[PARTS];
    for (int64_t i = 0; i < n; i += PARTS) {
        int64_t m = n - i < PARTS ? n - i : PARTS;
        decode_halves(form, x + i, m, room);
        for (int64_t j = 0; j < m; j++) {
            double v = (double)room[j] * unit;
            part[j] += v * v;
        }
    }
    return sum_of_parts(part);
}
