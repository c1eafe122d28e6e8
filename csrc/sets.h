/* The table of kernels that dispatch.c fills: one of these for each instruction set. */
#ifndef FO_SETS_H
#define FO_SETS_H

#include "rules.h"

/* linear.c is compiled once for each instruction set, like rules.c. */
typedef struct {
    /* fo_rows; positions from end up to stop will be wanted next, and are fetched meanwhile. */
    int (*rows_f32)(const fo_data *data, const float *W, const float *b, int64_t begin, int64_t end,
                    int64_t stop, float *dW, float *db, double *loss);
    int (*rows_f64)(const fo_data *data, const double *W, const double *b, int64_t begin, int64_t end,
                    int64_t stop, double *dW, double *db, double *loss);
    /* dW = dW * scale + 2 * l2 * W; the answer is sum(W^2), or 0 where l2 is. */
    double (*penalise_f32)(float *dW, const float *W, int64_t n, double scale, double l2);
    double (*penalise_f64)(double *dW, const double *W, int64_t n, double scale, double l2);
    int64_t (*scaled_f32)(const fo_data *data, fo_scaled_training *t, int64_t begin, int64_t end);
    int64_t (*scaled_f64)(const fo_data *data, fo_scaled_training *t, int64_t begin, int64_t end);
} fo_linear_kernels;

typedef struct {
    const char *name;
    const fo_rule_kernels *rules;
    const fo_linear_kernels *linear;
} fo_set;

const fo_set *fo_kernels(void);

#endif
