/* A step on numbers of few bits: fastopt/storage.py says what the forms are, fastopt/rounding.py has the same bits
 * in NumPy. Blocks of 256 elements are decoded, updated by the rule's float loop and encoded in the first cache. */

enum { STORED_BLOCK = 256 };
#define WEYL 0x9E3779B1u
#define LARGEST 0x7F7FFFFFu
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

/* size + noise, but not beyond the largest finite number; inf and NaN as they are. */
static inline uint32_t cut(uint32_t size, uint32_t noise)
{
    uint32_t most = size > LARGEST ? size : LARGEST, sum = size + noise;
    return sum < most ? sum : most;
}

static inline uint16_t to_bfloat16(uint32_t bits, uint32_t noise)
{
    return (uint16_t)((cut(bits & SIZE_BITS, noise) | (bits & SIGN_BIT)) >> 16);
}

static inline uint16_t nearest_bfloat16(uint32_t bits)
{
    uint32_t size = bits & SIZE_BITS, most = size > 0x7F800000u ? size : 0x7F800000u, sum = size + 0x8000u;
    return (uint16_t)(((sum < most ? sum : most) | (bits & SIGN_BIT)) >> 16);
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
        for (int64_t i = 0; i < n; i++) out[i] = float_of((uint32_t)x[i] << 16);
}

/* Each of these answers where the float numbers of a block are: in the array itself, or in the room. */
static float *decode_parameter(const fo_stored *a, int64_t at, int64_t n, float *room)
{
    const uint16_t *p = (const uint16_t *)a->p + at;
    if (a->parameter == FO_FLOAT32) return (float *)a->p + at;
    if (a->parameter == FO_BFLOAT16) {
        const int16_t *low = (const int16_t *)a->master + at;
        for (int64_t i = 0; i < n; i++)
            room[i] = float_of(((uint32_t)p[i] << 16) + (uint32_t)(int32_t)low[i]);
    } else if (a->parameter == FO_FLOAT16) {
        const float *master = (const float *)a->master + at;
        for (int64_t i = 0; i < n; i++)
            room[i] = to_float16(bits_of(master[i])) == p[i] ? master[i] : from_float16(p[i]);
    } else {
        decode_halves(FO_BFLOAT16, p, n, room);
    }
    return room;
}

static const float *decode_gradient(const fo_stored *a, int64_t at, int64_t n, float *room)
{
    float unit = (float)a->unit, scale = (float)a->scale, most = a->most > 0 ? (float)a->most : INFINITY;
    const float *g = room;
    if (a->parameter == FO_FLOAT32) g = (const float *)a->g + at;
    else decode_halves(a->parameter, (const uint16_t *)a->g + at, n, room);
    if (unit == 1 && scale == 1 && most == INFINITY) return g;
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
        for (int64_t i = 0; i < n; i++) room[i] = float_of((code[i] + base) << 20);
    else
        for (int64_t i = 0; i < n; i++) {
            uint32_t size = code[i] & 127u, sign = (code[i] & 128u) << 24;
            room[i] = float_of((size ? (size + base) << 20 : 0) | sign);
        }
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

static void encode_eight(const fo_stored *a, int j, int64_t at, int64_t n, const float *x)
{
    int is_signed = a->form[j] == FO_SIGNED8;
    uint8_t *code = (uint8_t *)a->s[j] + at;
    uint32_t top = 0, key = a->key[j / 2], sign = is_signed ? 128 : 0;
    for (int64_t i = 0; i < n; i++) {
        uint32_t size = bits_of(x[i]) & SIZE_BITS;
        top = size > top ? size : top;
    }
    int32_t base = (int32_t)((top + 0xFFFFF) >> 20) - (is_signed ? 127 : 255);
    base = base > 0 ? base : 0;
    a->base[j][at / STORED_BLOCK] = (int16_t)base;
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits = bits_of(x[i]);
        int32_t c = (int32_t)(cut(bits & SIZE_BITS, twenty_of(word_of(at + i, key), j)) >> 20) - base;
        code[i] = (uint8_t)((uint32_t)(c > 0 ? c : 0) | (bits >> 24 & sign));
    }
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

/* Elements [begin, end); begin is a multiple of the block. */
static void update_stored(int rule, const double *k, const fo_stored *a, int64_t begin, int64_t end)
{
    float room[2 + FO_MAX_SLOTS][STORED_BLOCK], *s[FO_MAX_SLOTS] = {0};
    int slots = fo_rule_slots(rule);
    unsigned control = fo_flush_denormals();
    for (int64_t at = begin; at < end; at += STORED_BLOCK) {
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

/* Whether no number has all bits of the exponent set. */
static int finite_halves(const uint16_t *x, int64_t n, uint16_t exponent)
{
    int bad = 0;
    for (int64_t i = 0; i < n; i++) bad |= (x[i] & exponent) == exponent;
    return !bad;
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
