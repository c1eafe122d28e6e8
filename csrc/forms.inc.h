/* Numbers of few bits and the noise they are rounded with: fastopt/storage.py says what the forms are, fastopt/rounding.py has the same
 * bits in NumPy. */

enum { STORED_BLOCK = 256, HALF_BLOCK = STORED_BLOCK / 2 };
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
    float last = float_of(LARGEST >> places << places); /* compared as floats: AVX2 has no unsigned order */
    return bits + (fabsf(float_of(bits)) < last ? noise : 0);
}

static inline uint16_t to_bfloat16(uint32_t bits, uint32_t noise) { return (uint16_t)(noisy(bits, noise, 16) >> 16); }

/* x as bits whose upper half is the nearest bfloat16; NaN is cut. */
static inline uint32_t nearest_upper(float x) { return bits_of(x) + (x == x ? 0x8000u : 0); }

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

/* The base of a block whose largest number has the bits `top`. */
static int32_t base_of(int32_t top, int is_signed)
{
    int32_t base = (int32_t)(((uint32_t)top + 0xFFFFF) >> 20) - (is_signed ? 127 : 255);
    return base > 0 ? base : 0;
}

static int32_t largest_size(const float *x, int64_t n)
{
    int32_t top = 0;
    for (int64_t i = 0; i < n; i++) {
        int32_t size = (int32_t)(bits_of(x[i]) & SIZE_BITS);
        top = size > top ? size : top;
    }
    return top;
}

static inline uint32_t to_eight(uint32_t bits, uint32_t rounded, int32_t base, int is_signed)
{
    int32_t c = (int32_t)((rounded & SIZE_BITS) >> 20) - base;
    return (uint32_t)(c > 0 ? c : 0) | (is_signed ? bits >> 24 & 128u : 0);
}
