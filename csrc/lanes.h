/* A vector has 64 bytes of lanes on every machine, so that sums over lanes have one order. The instruction set that
 * this file is compiled for has them in one register or in several, of REGISTER_LANES each, which the tiles take one after
 * the other (kernels/language/vectors.py does so too).
 *
 * vec_* are the compiler's own vector extension; a compiler without it has registers of one lane. */
#ifndef FO_LANES_H
#define FO_LANES_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#if defined(__GNUC__)
#if defined(__AVX512F__)
#define REGISTER_BYTES 64
#elif defined(__AVX2__)
#define REGISTER_BYTES 32
#else
#define REGISTER_BYTES 16
#endif
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 32")
#define LANEWISE _Pragma("GCC unroll 1") /* a loop over lanes, for the vectoriser: unrolled before, it is not seen any more */
#define RESTRICT __restrict__
#define PREFETCH(p) __builtin_prefetch((const void *)(intptr_t)(p))
#define PREFETCH_LATER(p) __builtin_prefetch((const void *)(intptr_t)(p), 0, 2) /* for the second-level cache */
#define REGISTER_LANES_OF(T) ((int)(REGISTER_BYTES / sizeof(T)))
typedef float vec_f32 __attribute__((vector_size(REGISTER_BYTES)));
typedef double vec_f64 __attribute__((vector_size(REGISTER_BYTES)));
typedef float loose_f32 __attribute__((vector_size(REGISTER_BYTES), aligned(4), may_alias));
typedef double loose_f64 __attribute__((vector_size(REGISTER_BYTES), aligned(8), may_alias));
#else
#define ALWAYS_INLINE __forceinline
#define UNROLL
#define LANEWISE
#define RESTRICT __restrict
#define PREFETCH(p) ((void)(p))
#define PREFETCH_LATER(p) ((void)(p))
#define REGISTER_LANES_OF(T) 1
typedef float vec_f32, loose_f32;
typedef double vec_f64, loose_f64;
#endif

#define LANES_OF(T) ((int)(64 / sizeof(T)))

#define LOADS(T, F)                                                                    \
    static inline vec_##F load_##F(const T *p) { return *(const loose_##F *)p; }       \
    static inline void store_##F(T *p, vec_##F v) { *(loose_##F *)p = v; }
LOADS(float, f32)
LOADS(double, f64)
#undef LOADS

/* load_part: the first n lanes from memory, 0 in the others. store_part: the first n lanes to memory.
 * times_plus: a * b + c, rounded once. quarter: the 16 bytes that are left when halves have been added.  */
#if defined(__AVX512F__)

static inline vec_f32 load_part_f32(const float *p, int n)
{
    return (vec_f32)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
static inline vec_f64 load_part_f64(const double *p, int n)
{
    return (vec_f64)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
}
static inline void store_part_f32(float *p, vec_f32 v, int n)
{
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
}
static inline void store_part_f64(double *p, vec_f64 v, int n)
{
    _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v);
}
static inline vec_f32 times_plus_f32(vec_f32 a, vec_f32 b, vec_f32 c)
{
    return (vec_f32)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
static inline vec_f64 times_plus_f64(vec_f64 a, vec_f64 b, vec_f64 c)
{
    return (vec_f64)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
}
static inline __m256 half_f32(vec_f32 v)
{
    return _mm256_add_ps(_mm512_castps512_ps256((__m512)v), _mm512_extractf32x8_ps((__m512)v, 1));
}
static inline __m256d half_f64(vec_f64 v)
{
    return _mm256_add_pd(_mm512_castpd512_pd256((__m512d)v), _mm512_extractf64x4_pd((__m512d)v, 1));
}

#elif defined(__AVX2__)

static const int32_t MASKS[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
#define MASK(n) _mm256_loadu_si256((const __m256i *)(MASKS + 8 - (n)))

static inline vec_f32 load_part_f32(const float *p, int n) { return (vec_f32)_mm256_maskload_ps(p, MASK(n)); }
static inline vec_f64 load_part_f64(const double *p, int n)
{
    return (vec_f64)_mm256_maskload_pd(p, MASK(2 * n));
}
static inline void store_part_f32(float *p, vec_f32 v, int n) { _mm256_maskstore_ps(p, MASK(n), (__m256)v); }
static inline void store_part_f64(double *p, vec_f64 v, int n)
{
    _mm256_maskstore_pd(p, MASK(2 * n), (__m256d)v);
}
static inline vec_f32 times_plus_f32(vec_f32 a, vec_f32 b, vec_f32 c)
{
    return (vec_f32)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
static inline vec_f64 times_plus_f64(vec_f64 a, vec_f64 b, vec_f64 c)
{
    return (vec_f64)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
}
static inline __m256 half_f32(vec_f32 v) { return (__m256)v; }
static inline __m256d half_f64(vec_f64 v) { return (__m256d)v; }

#else

#define PARTS(T, F)                                                 \
    static inline vec_##F load_part_##F(const T *p, int n)          \
    {                                                               \
        union { T x[REGISTER_LANES_OF(T)]; vec_##F v; } u = {{0}};  \
        for (int i = 0; i < n; i++) u.x[i] = p[i];                  \
        return u.v;                                                 \
    }                                                               \
    static inline void store_part_##F(T *p, vec_##F v, int n)       \
    {                                                               \
        union { T x[REGISTER_LANES_OF(T)]; vec_##F v; } u;          \
        u.v = v;                                                    \
        for (int i = 0; i < n; i++) p[i] = u.x[i];                  \
    }
PARTS(float, f32)
PARTS(double, f64)
#undef PARTS

#if defined(__ARM_NEON) && defined(__aarch64__)
static inline vec_f32 times_plus_f32(vec_f32 a, vec_f32 b, vec_f32 c)
{
    return (vec_f32)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b);
}
static inline vec_f64 times_plus_f64(vec_f64 a, vec_f64 b, vec_f64 c)
{
    return (vec_f64)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b);
}
#else
/* By the C library's fma: where the CPU has no such instruction, right and slow. */
#define FUSED(T, F, FMA)                                                    \
    static inline vec_##F times_plus_##F(vec_##F a, vec_##F b, vec_##F c)   \
    {                                                                       \
        union { T x[REGISTER_LANES_OF(T)]; vec_##F v; } u, v, w;            \
        u.v = a, v.v = b, w.v = c;                                          \
        for (int i = 0; i < REGISTER_LANES_OF(T); i++) w.x[i] = FMA(u.x[i], v.x[i], w.x[i]); \
        return w.v;                                                         \
    }
FUSED(float, f32, fmaf)
FUSED(double, f64, fma)
#undef FUSED
#endif

#endif

/* sum4: out[j] = the sum of the lanes of v[j], j < 4: halves are added until one lane is left. */
#if defined(__AVX2__)
static inline __m128 quarter_f32(vec_f32 v)
{
    __m256 half = half_f32(v);
    return _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
}
static inline __m128d quarter_f64(vec_f64 v)
{
    __m256d half = half_f64(v);
    return _mm_add_pd(_mm256_castpd256_pd128(half), _mm256_extractf128_pd(half, 1));
}
static inline void sum4_f32(const vec_f32 *v, float *out)
{
    __m128 a = quarter_f32(v[0]), b = quarter_f32(v[1]), c = quarter_f32(v[2]), d = quarter_f32(v[3]);
    __m128 ab = _mm_add_ps(_mm_movelh_ps(a, b), _mm_movehl_ps(b, a));
    __m128 cd = _mm_add_ps(_mm_movelh_ps(c, d), _mm_movehl_ps(d, c));
    _mm_storeu_ps(out, _mm_add_ps(_mm_shuffle_ps(ab, cd, 0x88), _mm_shuffle_ps(ab, cd, 0xdd)));
}
static inline void sum4_f64(const vec_f64 *v, double *out)
{
    for (int j = 0; j < 4; j += 2) {
        __m128d a = quarter_f64(v[j]), b = quarter_f64(v[j + 1]);
        _mm_storeu_pd(out + j, _mm_add_pd(_mm_unpacklo_pd(a, b), _mm_unpackhi_pd(a, b)));
    }
}
#else
#define SUMS(T, F)                                                                        \
    static inline void sum4_##F(const vec_##F *v, T *out)                                 \
    {                                                                                     \
        for (int j = 0; j < 4; j++) {                                                     \
            union { T x[REGISTER_LANES_OF(T)]; vec_##F v; } u;                            \
            u.v = v[j];                                                                   \
            for (int half = REGISTER_LANES_OF(T) / 2; half; half /= 2)                    \
                for (int i = 0; i < half; i++) u.x[i] += u.x[i + half];                   \
            out[j] = u.x[0];                                                              \
        }                                                                                 \
    }
SUMS(float, f32)
SUMS(double, f64)
#undef SUMS
#endif

#endif
