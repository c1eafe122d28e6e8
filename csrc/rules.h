/* The rules' table: (name in C, slots, coefficients), numbered in the order of fastopt.rules.IN_C. */
#ifndef FO_RULES_H
#define FO_RULES_H

#include "fastopt.h"

#if defined(__GNUC__)
#define FO_RESTRICT __restrict__
#else
#define FO_RESTRICT __restrict
#endif

#define FO_RULES(R)            \
    R(sgd, 0, 2)               \
    R(momentum, 1, 4)          \
    R(classical_momentum, 1, 3) \
    R(nesterov, 1, 5)          \
    R(adagrad, 1, 6)           \
    R(rmsprop, 1, 7)           \
    R(centered_rmsprop, 2, 7)  \
    R(adam, 2, 10)             \
    R(adamw, 2, 10)            \
    R(amsgrad, 3, 10)          \
    R(adadelta, 2, 6)          \
    R(adamax, 2, 7)            \
    R(nadam, 2, 11)            \
    R(lion, 1, 6)              \
    R(sgdw, 0, 2)              \
    R(momentumw, 1, 4)         \
    R(rmsprop_momentum, 2, 8)  \
    R(centered_rmsprop_momentum, 3, 8) \
    R(amsgradw, 3, 10)         \
    R(nadamw, 2, 11)           \
    R(radam, 2, 11)            \
    R(radamw, 2, 11)           \
    R(ademamix, 3, 13)         \
    R(rprop, 2, 6)             \
    R(asgd, 1, 4)              \
    R(schedule_free_sgd, 1, 5) \
    R(schedule_free_adamw, 2, 11)

#define FO_RULE_COUNT 27

typedef void fo_update_f32_fn(const double *k, float *p, const float *g, float *s0, float *s1, float *s2,
                              int64_t begin, int64_t end);
typedef void fo_update_f64_fn(const double *k, double *p, const double *g, double *s0, double *s1,
                              double *s2, int64_t begin, int64_t end);

/* What one instruction set offers; rules.c is compiled once for each. */
typedef struct {
    fo_update_f32_fn *update_f32[FO_RULE_COUNT];
    fo_update_f64_fn *update_f64[FO_RULE_COUNT];
    int (*all_finite_f32)(const float *x, int64_t n);
    int (*all_finite_f64)(const double *x, int64_t n);
    double (*squares_f32)(const float *x, int64_t n, double unit);
    double (*squares_f64)(const double *x, int64_t n, double unit);
    void (*update_stored)(fo_update_f32_fn *update, int slots, const double *k, const fo_stored *a, int64_t begin,
                          int64_t end);
    int (*finite_halves)(const uint16_t *x, int64_t n, uint16_t exponent);
    double (*squares_halves)(int form, const uint16_t *x, int64_t n, double unit);
} fo_rule_kernels;

#endif
