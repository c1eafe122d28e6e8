/* ---- rules all of whose slots have 16 bits, or 8: one loop over pairs of neighbours ----
 *
 * Two numbers of 16 bits are read as one word, of which each is made the upper half: no lane changes its place, where a vector that is
 * widened and narrowed again is cut in two and put together (AdamW, split, AVX2: 1.32 ns an element that way, 0.92 this way). Where
 * parameters and gradients are float32, it is they that would be taken apart: there the loop goes over single numbers. */

/* Pair i of 16 bits, or of 8; the first number is in the lower half of the word. */
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define IN_ORDER(word, bits) ((word) << (bits) | (word) >> (bits))
#else
#define IN_ORDER(word, bits) (word)
#endif

static inline uint32_t pair_at(const void *x, int64_t i)
{
    uint32_t word;
    memcpy(&word, (const char *)x + 4 * i, sizeof word);
    return IN_ORDER(word, 16);
}

static inline uint32_t bytes_at(const void *x, int64_t i)
{
    uint16_t word;
    memcpy(&word, (const char *)x + 2 * i, sizeof word);
    return (uint16_t)IN_ORDER(word, 8);
}

static inline void put_pair(void *x, int64_t i, uint32_t word)
{
    word = IN_ORDER(word, 16);
    memcpy((char *)x + 4 * i, &word, sizeof word);
}

static inline void put_bytes(void *x, int64_t i, uint32_t bytes)
{
    uint16_t word = (uint16_t)IN_ORDER(bytes, 8);
    memcpy((char *)x + 2 * i, &word, sizeof word);
}

/* Of the numbers that are taken together (2, or 1), the h-th of turn i. */
static inline uint32_t byte_at(const void *x, int64_t i, int h, int together)
{
    return together == 2 ? bytes_at(x, i) >> 8 * h & 255 : ((const uint8_t *)x)[i];
}

static inline uint32_t upper(uint32_t word, int second) { return second ? word & 0xFFFF0000u : word << 16; }
static inline uint32_t uppers(uint32_t first, uint32_t second) { return first >> 16 | (second & 0xFFFF0000u); }
static inline uint32_t lowers(uint32_t first, uint32_t second) { return (first & 0xFFFF) | second << 16; }

static inline uint32_t upper_at(const void *x, int64_t i, int h, int together)
{
    return together == 2 ? upper(pair_at(x, i), h) : (uint32_t)((const uint16_t *)x)[i] << 16;
}

/* The number whose bits are that half of `high` and, with its sign, of `low`. */
static inline float joined_half(uint32_t high, uint32_t low, int second)
{
    int32_t rest = (int32_t)(second ? low : low << 16) >> 16;
    return float_of(upper(high, second) + (uint32_t)rest);
}

static inline uint32_t rounded_eight(float x, uint32_t noise, int32_t base, int is_signed, int careful)
{
    uint32_t bits = bits_of(x);
    return to_eight(bits, careful ? noisy(bits, noise, 20) : bits + noise, base, is_signed);
}

static inline void encode_eights(uint8_t *FO_RESTRICT code, const float *FO_RESTRICT x, int64_t turns, int32_t base, uint32_t word,
                                 int odd, int is_signed, int careful, int together)
{
    for (int64_t i = 0; i < turns; i++, word += (uint32_t)together * WEYL) {
        uint32_t first = rounded_eight(x[i], twenty_of(word, odd), base, is_signed, careful);
        if (together == 2) {
            uint32_t noise = twenty_of(word + WEYL, odd);
            put_bytes(code, i, first | rounded_eight(x[HALF_BLOCK + i], noise, base, is_signed, careful) << 8);
        } else {
            code[i] = (uint8_t)first;
        }
    }
}

/* A block, or what there is of it; where two are taken together, the halves of x are the firsts and the seconds of pairs.
 * Only where the block has a number near the largest can noise be too much (careful). */
static inline void encode_eight(const fo_stored *a, int j, int64_t at, int64_t n, const float *x, int together)
{
    int is_signed = a->form[j] == FO_SIGNED8;
    uint8_t *code = (uint8_t *)a->s[j] + at;
    int64_t turns = n / together;
    int32_t top = largest_size(x, turns), other = together == 2 ? largest_size(x + HALF_BLOCK, turns) : 0, base;
    uint32_t word = word_of(at, a->key[j / 2]);
    top = other > top ? other : top;
    base = base_of(top, is_signed);
    a->base[j][at / STORED_BLOCK] = (int16_t)base;
    if (top >= LARGEST >> 20 << 20) encode_eights(code, x, turns, base, word, j % 2, is_signed, 1, together);
    else if (is_signed) encode_eights(code, x, turns, base, word, j % 2, 1, 0, together);
    else encode_eights(code, x, turns, base, word, j % 2, 0, 0, together);
}

#define COUNTS(rule, slots, coefficients) SLOTS_##rule = slots, COEFFICIENTS_##rule = coefficients,
enum { FO_RULES(COUNTS) };
#undef COUNTS
#define NUMBER(rule, slots, coefficients) NUMBER_##rule,
enum { FO_RULES(NUMBER) };
#undef NUMBER

/* Those that have small_slots in stored.c. */
#define SMALL_RULES(R, P, G)                                                                                    \
    R(momentum, P, G) R(classical_momentum, P, G) R(nesterov, P, G) R(lion, P, G) R(adam, P, G) R(adamw, P, G)  \
    R(adamax, P, G) R(nadam, P, G) R(amsgrad, P, G)

/* n numbers from `at` on, n even: within a block if slots have 8 bits, whose new numbers go to room, those that are second in a pair
 * behind the first ones. G: the gradient is FO_FLOAT32 where it is multiplied, which a pass before does: within the loop that
 * took a sixth of its time, needed or not. */
typedef void fused_fn(const float *k, const fo_stored *a, int64_t at, int64_t n, void *FO_RESTRICT p, int16_t *FO_RESTRICT low,
                      const void *FO_RESTRICT g, void *FO_RESTRICT s0, void *FO_RESTRICT s1, void *FO_RESTRICT s2,
                      float *FO_RESTRICT room);

#define DECODE(j, place, h, bits)                                                                               \
    if (slots > j) {                                                                                            \
        if (bits == 16) s[h][j] = float_of(upper_at(place, i, h, together));                                    \
        else s[h][j] = from_eight(byte_at(place, i, h, together), base[j], j == 0);                             \
    }
#define NOISY(j, h) noisy(bits_of(s[h][j]), half_of((j < 2 ? word0 : word1) + h * WEYL, j), 16)
#define ENCODE(j, place, bits)                                                                                  \
    if (slots > j) {                                                                                            \
        if (bits == 16 && together == 2) put_pair(place, i, uppers(NOISY(j, 0), NOISY(j, 1)));                  \
        else if (bits == 16) ((uint16_t *)place)[i] = (uint16_t)(NOISY(j, 0) >> 16);                            \
        else room[STORED_BLOCK * j + i] = s[0][j];                                                              \
        if (bits == 8 && together == 2) room[STORED_BLOCK * j + HALF_BLOCK + i] = s[1][j];                      \
    }
/* The first (h = 0) or the second of turn i. */
#define UPDATE_HALF(rule, P, G, bits, h)                                                                        \
    if (G == FO_FLOAT32) y = ((const float *)g)[together * i + h];                                              \
    else y = float_of(upper(pair_at(g, i), h));                                                                 \
    if (P == FO_FLOAT32) x[h] = ((const float *)p)[i];                                                          \
    if (P == FO_BFLOAT16) x[h] = joined_half(pair_at(p, i), pair_at(low, i), h);                                \
    if (P == FO_ROUNDED) x[h] = float_of(upper(pair_at(p, i), h));                                              \
    DECODE(0, s0, h, bits)                                                                                      \
    DECODE(1, s1, h, bits)                                                                                      \
    DECODE(2, s2, h, bits)                                                                                      \
    x[h] = rule##_f32(k, x[h], y, s[h]);
#define FUSED(rule, form, P, G, bits)                                                                           \
    static void fused_##rule##_##form(const float *coefficients, const fo_stored *a, int64_t at, int64_t n,     \
                                      void *FO_RESTRICT p, int16_t *FO_RESTRICT low, const void *FO_RESTRICT g, \
                                      void *FO_RESTRICT s0, void *FO_RESTRICT s1, void *FO_RESTRICT s2,         \
                                      float *FO_RESTRICT room)                                                  \
    {                                                                                                           \
        enum { slots = SLOTS_##rule, together = P == FO_FLOAT32 ? 1 : 2 };                                      \
        float k[COEFFICIENTS_##rule];                                                                           \
        uint32_t word0 = word_of(at, a->key[0]), word1 = word_of(at, a->key[1]), word2 = word_of(at, a->key[2]); \
        uint32_t base[3] = {0}, step = together * WEYL;                                                         \
        int64_t turns = n / together;                                                                           \
        memcpy(k, coefficients, sizeof k);                                                                      \
        for (int j = 0; bits == 8 && j < slots; j++) base[j] = (uint32_t)a->base[j][at / STORED_BLOCK];         \
        (void)low, (void)s1, (void)s2, (void)room, (void)base, (void)word0, (void)word1, (void)word2;           \
        for (int64_t i = 0; i < turns; i++, word0 += step, word1 += step, word2 += step) {                      \
            float s[2][3] = {{0}}, x[2], y;                                                                     \
            UPDATE_HALF(rule, P, G, bits, 0)                                                                    \
            if (together == 2) {                                                                                \
                UPDATE_HALF(rule, P, G, bits, 1)                                                                \
            }                                                                                                   \
            if (P == FO_FLOAT32) ((float *)p)[i] = x[0];                                                        \
            if (P == FO_BFLOAT16) {                                                                             \
                put_pair(p, i, uppers(nearest_upper(x[0]), nearest_upper(x[1])));                               \
                put_pair(low, i, lowers(bits_of(x[0]), bits_of(x[1])));                                         \
            }                                                                                                   \
            if (P == FO_ROUNDED)                                                                                \
                put_pair(p, i, uppers(noisy(bits_of(x[0]), word2 >> 16, 16),                                    \
                                      noisy(bits_of(x[1]), (word2 + WEYL) >> 16, 16)));                         \
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
