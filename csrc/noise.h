/* The key of an array's noise at a step (fastopt/storage.py): hashed, so that a step's noise tells nothing of the next. */
#ifndef FO_NOISE_H
#define FO_NOISE_H

#include <stdint.h>

static inline uint32_t fo_noise_key(uint32_t base, int64_t step)
{
    uint32_t x = base + (uint32_t)step * 0xC2B2AE35u;
    x = (x ^ x >> 16) * 0x21F0AAADu;
    x = (x ^ x >> 15) * 0xD35A2D97u;
    return x ^ x >> 15;
}

#endif
