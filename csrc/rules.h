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
    R(schedule_free_adamw, 2, 11) \
    R(lars, 1, 4)              \
    R(lamb, 2, 11)

#define FO_RULE_COUNT 29

/* A rule around another has the base's number and three bits for each wrapper above it, the innermost lowest. */
enum { FO_FIRST_WRAPPER = 8, FO_WRAPPER_BITS = 3, FO_MOST_WRAPPERS = 3 };

static inline int fo_wrapper_place(int rule)
{
    int place = FO_FIRST_WRAPPER;
    while (rule >> (place + FO_WRAPPER_BITS)) place += FO_WRAPPER_BITS;
    return place;
}

/* The outermost wrapper, 0 where there is none; and the rule within. */
static inline int fo_outer(int rule) { return rule >> fo_wrapper_place(rule); }
static inline int fo_inner(int rule) { return rule & ((1 << fo_wrapper_place(rule)) - 1); }

/* around.c: the rule within that takes norms, if one does; how many numbers come from them, at the end of k. */
int fo_with_norms(int rule);
int fo_rule_numbers(int rule);

/* coefficients.c: of rules of the table. */
const char *fo_base_name(int rule);
int fo_base_slots(int rule);
int fo_base_hyperparameters(int rule);
int fo_base_coefficients(int rule);
const double *fo_base_defaults(int rule);
void fo_base_fill(int rule, const double *h, double t, double *k);
int fo_base_decay(int rule, int *decoupled); /* where h has weight_decay, or -1 */

/* An array of so many matrices; one of a single axis or none is a row that is not factored. */
typedef struct {
    int64_t matrices, height, width, factored;
} fo_whole;

typedef void fo_update_f32_fn(const double *k, float *p, const float *g, float *s0, float *s1, float *s2,
                              int64_t begin, int64_t end);
typedef void fo_update_f64_fn(const double *k, double *p, const double *g, double *s0, double *s1,
                              double *s2, int64_t begin, int64_t end);

typedef void fo_whole_f32_fn(const fo_whole *a, const double *k, const double *factors, float *p, const float *g, float *r,
                             float *c, float *m, double *room);
typedef void fo_whole_f64_fn(const fo_whole *a, const double *k, const double *factors, double *p, const double *g,
                             double *r, double *c, double *m, double *room);

/* What one instruction set offers; rules.c is compiled once for each. */
typedef struct {
    fo_update_f32_fn *update_f32[FO_RULE_COUNT];
    fo_update_f64_fn *update_f64[FO_RULE_COUNT];
    /* of any rule, also one around another; s: its slots */
    void (*update_any_f32)(int rule, const double *k, float *p, const float *g, float *const *s, int64_t begin, int64_t end);
    void (*update_any_f64)(int rule, const double *k, double *p, const double *g, double *const *s, int64_t begin,
                           int64_t end);
    /* see around.inc.h */
    void (*measure_f32)(int rule, const double *k, const float *p, const float *g, float *const *s, const double *factors,
                        int64_t begin, int64_t end, double *out);
    void (*measure_f64)(int rule, const double *k, const double *p, const double *g, double *const *s,
                        const double *factors, int64_t begin, int64_t end, double *out);
    fo_whole_f32_fn *whole_f32[2]; /* Adafactor, PlainAdafactor: adafactor.inc.h */
    fo_whole_f64_fn *whole_f64[2];
    int (*all_finite_f32)(const float *x, int64_t n);
    int (*all_finite_f64)(const double *x, int64_t n);
    double (*squares_f32)(const float *x, int64_t n, double unit);
    double (*squares_f64)(const double *x, int64_t n, double unit);
    void (*update_stored)(int rule, const double *k, const fo_stored *a, int64_t begin, int64_t end);
    int (*finite_halves)(const uint16_t *x, int64_t n, uint16_t exponent);
    double (*squares_halves)(int form, const uint16_t *x, int64_t n, double unit);
} fo_rule_kernels;

#endif
