/* Vectors of the instruction set this file is compiled for: parts of a vector, and sums of its lanes.
 *
 * vec_* are the compiler's own vector extension; a compiler without it has vectors of one lane. */
#ifndef FO_LANES_H
#define FO_LANES_H

#include <stdint.h>
#include <string.h>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
#define VECTOR_BYTES 64
#elif defined(__AVX2__)
#define VECTOR_BYTES 32
#else
#define VECTOR_BYTES 16
#endif

#if defined(__GNUC__)
#define ALWAYS_INLINE inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")
#define PREFETCH(p) __builtin_prefetch(p)
#define PREFETCH_LATER(p) __builtin_prefetch(p, 0, 2) /* for the second-level cache */
#define LANES_OF(T) ((int)(VECTOR_BYTES / sizeof(T)))
typedef float vec_f32 __attribute__((vector_size(VECTOR_BYTES)));
typedef double vec_f64 __attribute__((vector_size(VECTOR_BYTES)));
typedef float loose_f32 __attribute__((vector_size(VECTOR_BYTES), aligned(4), may_alias));
typedef double loose_f64 __attribute__((vector_size(VECTOR_BYTES), aligned(8), may_alias));
#else
#define ALWAYS_INLINE __forceinline
#define UNROLL
#define PREFETCH(p) ((void)(p))
#define PREFETCH_LATER(p) ((void)(p))
#define LANES_OF(T) 1
typedef float vec_f32, loose_f32;
typedef double vec_f64, loose_f64;
#endif

#define LOADS(T, F)                                                                    \
    static inline vec_##F load_##F(const T *p) { return *(const loose_##F *)p; }       \
    static inline void store_##F(T *p, vec_##F v) { *(loose_##F *)p = v; }
LOADS(float, f32)
LOADS(double, f64)
#undef LOADS

/* load_part: the first n lanes from memory, 0 in the others. store_part: the first n lanes to memory.
 * sum4: out[j] = the sum of the lanes of v[j], j < 4. */
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
static inline __m256 halves_f32(vec_f32 v)
{
    return _mm256_add_ps(_mm512_castps512_ps256((__m512)v), _mm512_extractf32x8_ps((__m512)v, 1));
}
static inline __m256d halves_f64(vec_f64 v)
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
static inline __m256 halves_f32(vec_f32 v) { return (__m256)v; }
static inline __m256d halves_f64(vec_f64 v) { return (__m256d)v; }

#else

#define PARTS(T, F)                                                 \
    static inline vec_##F load_part_##F(const T *p, int n)          \
    {                                                               \
        union { T x[LANES_OF(T)]; vec_##F v; } u = {{0}};           \
        for (int i = 0; i < n; i++) u.x[i] = p[i];                  \
        return u.v;                                                 \
    }                                                               \
    static inline void store_part_##F(T *p, vec_##F v, int n)       \
    {                                                               \
        union { T x[LANES_OF(T)]; vec_##F v; } u;                   \
        u.v = v;                                                    \
        for (int i = 0; i < n; i++) p[i] = u.x[i];                  \
    }                                                               \
    static inline void sum4_##F(const vec_##F *v, T *out)           \
    {                                                               \
        for (int j = 0; j < 4; j++) {                               \
            union { T x[LANES_OF(T)]; vec_##F v; } u;               \
            u.v = v[j];                                             \
            out[j] = u.x[0];                                        \
            for (int i = 1; i < LANES_OF(T); i++) out[j] += u.x[i]; \
        }                                                           \
    }
PARTS(float, f32)
PARTS(double, f64)
#undef PARTS

#endif

#if defined(__AVX2__)
static inline void sum4_f32(const vec_f32 *v, float *out)
{
    __m256 ab = _mm256_hadd_ps(halves_f32(v[0]), halves_f32(v[1]));
    __m256 cd = _mm256_hadd_ps(halves_f32(v[2]), halves_f32(v[3]));
    __m256 all = _mm256_hadd_ps(ab, cd);
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(all), _mm256_extractf128_ps(all, 1)));
}
static inline void sum4_f64(const vec_f64 *v, double *out)
{
    __m256d ab = _mm256_hadd_pd(halves_f64(v[0]), halves_f64(v[1]));
    __m256d cd = _mm256_hadd_pd(halves_f64(v[2]), halves_f64(v[3]));
    _mm256_storeu_pd(out, _mm256_add_pd(_mm256_permute2f128_pd(ab, cd, 0x20),
                                        _mm256_permute2f128_pd(ab, cd, 0x31)));
}
#endif

#endif
