/* fastopt: update rules, gradients of linear models and training loops, for C programs.
 *
 * Functions come in pairs, _f32 for float and _f64 for double. None of them starts threads, allocates
 * more than a small working space, prints, or keeps state; work is cut by ranges [begin, end), so the
 * caller may spread it. Arrays that are written must not overlap any other argument.
 */
#ifndef FASTOPT_H
#define FASTOPT_H

#include <stdint.h>

#if defined(FO_STATIC)
#define FO_API
#elif defined(_WIN32) && defined(FO_BUILD)
#define FO_API __declspec(dllexport)
#elif defined(_WIN32)
#define FO_API __declspec(dllimport)
#else
#define FO_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- instruction sets ---- */

/* The set in use: "plain", "avx2" or "avx512". Chosen on first use from what the CPU and the system
 * offer, less the names in the environment variable FASTOPT_DISABLE_CPU_FEATURES ("avx512,avx2"). */
FO_API const char *fo_features(void);

/* Choose anew without the sets named in `disabled` (may be NULL). Not while other calls run. */
FO_API const char *fo_select_features(const char *disabled);

/* ---- update rules ---- */

enum {
    FO_SGD, FO_MOMENTUM, FO_CLASSICAL_MOMENTUM, FO_NESTEROV, FO_ADAGRAD, FO_RMSPROP,
    FO_CENTERED_RMSPROP, FO_ADAM, FO_ADAMW, FO_AMSGRAD, FO_ADADELTA, FO_ADAMAX, FO_NADAM, FO_LION
};

#define FO_MAX_COEFFICIENTS 16

FO_API int fo_rule_count(void);
FO_API const char *fo_rule_name(int rule);             /* "Adam", or NULL */
FO_API int fo_rule_by_name(const char *name);          /* or -1 */
FO_API int fo_rule_slots(int rule);                    /* state arrays, each of the parameter's size */
FO_API int fo_rule_hyperparameters(int rule);          /* length of h */
FO_API int fo_rule_coefficients(int rule);             /* length of k, at most FO_MAX_COEFFICIENTS */
FO_API void fo_rule_defaults(int rule, double *h);     /* hyperparameters, in the order of the fields */

/* Once a step: the coefficients k of step t (1, 2, ...) from the hyperparameters h. */
FO_API void fo_coefficients(int rule, const double *h, double t, double *k);

/* Once an element: p and the slots' arrays s[0..], elements [begin, end). */
FO_API void fo_update_f32(int rule, const double *k, float *p, const float *g, float *const *s,
                          int64_t begin, int64_t end);
FO_API void fo_update_f64(int rule, const double *k, double *p, const double *g, double *const *s,
                          int64_t begin, int64_t end);

/* The same over tables of `arrays` arrays: p[a], g[a], s[slot * arrays + a]. A chunk is three integers
 * (array, first, last); the chunks [begin, end) are worked on. */
FO_API void fo_step_f32(int rule, const double *k, float *const *p, const float *const *g,
                        float *const *s, int64_t arrays, const int64_t *chunks, int64_t begin,
                        int64_t end);
FO_API void fo_step_f64(int rule, const double *k, double *const *p, const double *const *g,
                        double *const *s, int64_t arrays, const int64_t *chunks, int64_t begin,
                        int64_t end);

/* 1 if no element is infinite or NaN, else 0. */
FO_API int fo_all_finite_f32(const float *x, int64_t n);
FO_API int fo_all_finite_f64(const double *x, int64_t n);

/* The first array of a table x[0..] with such an element in one of the chunks [begin, end), or -1. */
FO_API int64_t fo_first_nonfinite_f32(const float *const *x, const int64_t *chunks, int64_t begin,
                                      int64_t end);
FO_API int64_t fo_first_nonfinite_f64(const double *const *x, const int64_t *chunks, int64_t begin,
                                      int64_t end);

/* ---- linear models: scores = X W^T + b ---- */

enum { FO_SOFTMAX, FO_MULTICLASS_HINGE, FO_SQUARED_ERROR, FO_LOGISTIC, FO_HINGE };
enum { FO_DENSE, FO_UINT8, FO_CSR32, FO_CSR64 };
enum { FO_OK = 0, FO_NO_MEMORY = -1 };

/* Rows of data and the loss on them. Values are float in the functions _f32, double in _f64. */
typedef struct fo_data {
    int loss;
    int storage;
    const double *h;       /* the loss's hyperparameters: (margin, squared) of the multiclass hinge */
    int64_t features;
    int64_t classes;       /* rows of W */
    const void *x;         /* row-major: values, or uint8; CSR: the stored values */
    const void *indptr;    /* CSR: int32 or int64, as the indices */
    const void *indices;
    double scale;          /* uint8: a feature is x * scale */
    const int64_t *y;      /* labels in [0, classes), or {0, 1} where W has one row */
    const void *targets;   /* squared error with a one-row W: real targets in the place of y */
    const void *weight;    /* of each row, or NULL */
    const int64_t *order;  /* position -> row, or NULL */
} fo_data;

/* Positions [begin, end): adds sum_i w_i L_i to *loss, its gradients to dW (classes x features) and db. */
FO_API int fo_rows_f32(const fo_data *data, const float *W, const float *b, int64_t begin, int64_t end,
                       float *dW, float *db, double *loss);
FO_API int fo_rows_f64(const fo_data *data, const double *W, const double *b, int64_t begin, int64_t end,
                       double *dW, double *db, double *loss);

/* Training: step i takes the positions [i * batch, min((i+1) * batch, rows)), the weighted mean of the
 * loss plus l2 * sum(W^2), and the rule with the row of coefficients of that step. */
typedef struct fo_training {
    int rule;
    const double *coefficients;  /* one row a step, from the first step of the call on */
    int64_t batch;
    int64_t rows;
    double l2;
    void *W;                     /* classes x features */
    void *b;                     /* or NULL */
    void *const *W_slots;
    void *const *b_slots;
    double loss;                 /* out: the sum of the batches' values is added here */
    double gradient_norm;        /* out: 2-norm of the last batch's gradient */
    /* 0, or, for SGD on CSR rows, lazily scaled weights: W is then (features x classes), times alpha,
     * and a row of coefficients is (decay of W, decay of b, what the mean gradient is multiplied with). */
    double alpha;
    double squares;              /* with alpha and l2: the sum of the squares of W as it stands; kept up */
} fo_training;

/* Steps [begin, end). Returns end, or the first step whose value is not finite: that step is not taken;
 * or FO_NO_MEMORY. */
FO_API int64_t fo_epoch_f32(const fo_data *data, fo_training *training, int64_t begin, int64_t end);
FO_API int64_t fo_epoch_f64(const fo_data *data, fo_training *training, int64_t begin, int64_t end);

#ifdef __cplusplus
}
#endif
#endif
