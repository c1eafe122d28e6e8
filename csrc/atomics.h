/* Numbers that several threads read and write: int64. */
#ifndef FO_ATOMICS_H
#define FO_ATOMICS_H

#include <stdint.h>

#if defined(_MSC_VER)
#include <intrin.h>
#define LOAD(x) _InterlockedOr64(x, 0)
#define STORE(x, value) ((void)_InterlockedExchange64(x, value))
#define ADD(x, value) _InterlockedExchangeAdd64(x, value)
#define REPLACE(x, old, value) (_InterlockedCompareExchange64(x, value, old) == (old))
#else
#define LOAD(x) __atomic_load_n(x, __ATOMIC_ACQUIRE)
#define STORE(x, value) __atomic_store_n(x, value, __ATOMIC_RELEASE)
#define ADD(x, value) __atomic_fetch_add(x, value, __ATOMIC_SEQ_CST)
#define REPLACE(x, old, value) \
    __atomic_compare_exchange_n(x, &(int64_t){old}, value, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
#endif

/* A moment's rest in a loop that waits for another thread. */
#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#define SPIN() _mm_pause()
#else
#define SPIN() ((void)0)
#endif

#endif
