/* Count subnormal numbers as zero in this thread, and put back what was: arithmetic on them is a
 * hundred times slower on x86. 64-bit Arm does so too, for the same bits; other CPUs are left alone. */
#ifndef FO_DENORMALS_H
#define FO_DENORMALS_H

#include <stdint.h>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>

static inline unsigned fo_denormals_control(void) { return _mm_getcsr(); }

/* A word that says so already is not written again: two writes take 14 ns, and calls are nested. */
static inline unsigned fo_flush_denormals(void)
{
    unsigned control = _mm_getcsr(), flushed = control | 0x8040; /* results (FTZ) and operands (DAZ) */
    if (control != flushed) _mm_setcsr(flushed);
    return control;
}

static inline void fo_restore_denormals(unsigned control)
{
    if (control != (control | 0x8040)) _mm_setcsr(control);
}
#elif defined(__aarch64__) && defined(__GNUC__)

static inline unsigned fo_denormals_control(void)
{
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    return (unsigned)control;
}

static inline void fo_restore_denormals(unsigned control)
{
    __asm__ volatile("msr fpcr, %0" : : "r"((uint64_t)control) : "memory");
}

static inline unsigned fo_flush_denormals(void)
{
    unsigned control = fo_denormals_control();
    fo_restore_denormals(control | 1u << 24); /* FZ: results and operands */
    return control;
}
#else
static inline unsigned fo_denormals_control(void) { return 0; }
static inline unsigned fo_flush_denormals(void) { return 0; }
static inline void fo_restore_denormals(unsigned control) { (void)control; }
#endif

#endif
