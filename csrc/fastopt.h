/* fastopt: update rules, gradients of linear models and training loops, for C programs.
 *
 * Functions come in pairs, _f32 for float and _f64 for double. None of them starts threads, allocates
 * more than a small working space, prints, or keeps state; work is cut by ranges [begin, end), so the
 * caller may spread it. Arrays that are written must not overlap any other argument.
 *
 * Promises of every function that returns an int or an int64_t as a status:
 * - FO_OK is 0, errors are negative; on an error nothing has been written, but for FO_NO_MEMORY of an
 *   epoch, which may come after some of its steps;
 * - an unknown rule, loss or storage is an error, never computed as another one;
 * - NULL where a pointer is needed, a negative size, begin > end, and steps that the rows do not have
 *   are errors;
 * - with nothing to do (n = 0, begin == end) no pointer is looked at: each may be NULL;
 * - the values of y, order, indptr and indices are believed, because looking at them costs a pass over
 *   memory at every call: `fo_check_data` looks at them once, for data that may be damaged.
 */
#ifndef FASTOPT_H
#define FASTOPT_H

#include <stdint.h>

/* Of this header. Versions with the same major and minor number have the same ABI. */
#define FO_VERSION_MAJOR 0
#define FO_VERSION_MINOR 1
#define FO_VERSION_PATCH 0
#define FO_VERSION_STRING "0.1.0"

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

/* The version of the library that runs, "0.1.0": it may differ from FO_VERSION_STRING, with which the
 * program was compiled. */
FO_API const char *fo_version(void);

/* ---- status ---- */

enum {
    FO_OK = 0,
    FO_NO_MEMORY = -1,
    FO_UNKNOWN_LOSS = -2,
    FO_UNKNOWN_STORAGE = -3,  /* also: a storage that the function does not take */
    FO_UNKNOWN_RULE = -4,
    FO_NULL_POINTER = -5,
    FO_BAD_SIZE = -6,         /* a negative or impossible size */
    FO_BAD_RANGE = -7,        /* begin > end, a negative begin, or steps beyond the last */
    FO_BAD_VALUE = -8         /* a label, row, column or factor out of its range */
};

/* "no memory", "unknown loss" and so on; never NULL. */
FO_API const char *fo_message(int64_t status);

/* ---- instruction sets ---- */

/* The set in use: "plain", "avx2" or "avx512". Chosen on first use from what the CPU and the system
 * offer, less the names in the environment variable FASTOPT_DISABLE_CPU_FEATURES ("avx512,avx2"). */
FO_API const char *fo_features(void);

/* Choose anew without the sets named in `disabled` (may be NULL). Not while other calls run. */
FO_API const char *fo_select_features(const char *disabled);

/* ---- update rules ---- */

enum {
    FO_SGD, FO_MOMENTUM, FO_CLASSICAL_MOMENTUM, FO_NESTEROV, FO_ADAGRAD, FO_RMSPROP,
    FO_CENTERED_RMSPROP, FO_ADAM, FO_ADAMW, FO_AMSGRAD, FO_ADADELTA, FO_ADAMAX, FO_NADAM, FO_LION,
    FO_SGDW, FO_MOMENTUMW, FO_RMSPROP_MOMENTUM, FO_CENTERED_RMSPROP_MOMENTUM, FO_AMSGRADW, FO_NADAMW,
    FO_RADAM, FO_RADAMW, FO_ADEMAMIX, FO_RPROP, FO_ASGD,
    FO_SCHEDULE_FREE_SGD, FO_SCHEDULE_FREE_ADAMW, FO_LARS, FO_LAMB
};

#define FO_MAX_HYPERPARAMETERS 16
#define FO_MAX_COEFFICIENTS 32
#define FO_MAX_SLOTS 6
#define FO_MAX_NORMS 2

/* Rules around others, with one more slot behind the base's (FO_CAUTIOUS has none) and their own hyperparameters
 * behind the base's. The formulas are those of fastopt/rules/wrappers.py:
 *   FO_AVERAGED       (decay, begin) the average of the iterates: the last slot
 *   FO_LOOKAHEAD      (every, alpha) slow weights: the last slot
 *   FO_SCHEDULE_FREE  (momentum) p is where gradients are taken, z the last slot, the model (p - (1-momentum)*z)/momentum
 *   FO_CAUTIOUS       () the base's step where it goes against the gradient; it takes norms, see fo_measure */
enum { FO_AVERAGED = 1, FO_LOOKAHEAD, FO_SCHEDULE_FREE, FO_CAUTIOUS };

/* The number of the rule around another, or -1 where there is none such: an unknown rule, FO_CAUTIOUS
 * around rules with norms or that keep a copy of the parameter, FO_SCHEDULE_FREE around one with a slot z, more than three in all. */
FO_API int fo_rule_around(int wrapper, int rule);

FO_API int fo_rule_count(void);                        /* without those around others */
FO_API const char *fo_rule_name(int rule);             /* "Adam", the innermost's of rules around others, or NULL */
FO_API int fo_rule_by_name(const char *name);          /* or -1; -1 for NULL too */
/* Of a rule; -1 for an unknown one: */
FO_API int fo_rule_slots(int rule);                    /* state arrays, each of the parameter's size */
FO_API int fo_rule_hyperparameters(int rule);          /* length of h */
FO_API int fo_rule_coefficients(int rule);             /* length of k, with the numbers of fo_from_norms at its end */
FO_API int fo_rule_norms(int rule);                    /* how many norms of the array a step takes; 0 of most rules */
FO_API int fo_rule_defaults(int rule, double *h);      /* hyperparameters, in the order of the fields */

/* Where a slot begins: 1 as a copy of the parameter; FO_OK with *start in all elements; FO_BAD_VALUE for a slot that
 * the rule does not have. */
FO_API int fo_rule_start(int rule, int slot, const double *h, double *start);

/* Once a step: the coefficients k of step t (1, 2, ...) from the hyperparameters h. */
FO_API int fo_coefficients(int rule, const double *h, double t, double *k);

/* Rules with norms (FO_LARS, FO_LAMB, those of FO_CAUTIOUS, any around these), once a step and array, between fo_coefficients and fo_update:
 * fo_measure adds nothing up between calls: squares[0 .. fo_rule_norms) are the sums over elements [begin, end), in an
 * order that is the same for every instruction set. From the roots of the array's sums fo_from_norms writes the last
 * numbers of k. FO_UNKNOWN_RULE for a rule without norms. */
FO_API int fo_measure_f32(int rule, const double *k, const float *p, const float *g, float *const *s, int64_t begin,
                          int64_t end, double *squares);
FO_API int fo_measure_f64(int rule, const double *k, const double *p, const double *g, double *const *s, int64_t begin,
                          int64_t end, double *squares);
FO_API int fo_from_norms(int rule, const double *h, const double *norms, int64_t size, double *k);

/* Once an element: p and the slots' arrays s[0..], elements [begin, end). s may be NULL where the rule
 * has no slots. */
FO_API int fo_update_f32(int rule, const double *k, float *p, const float *g, float *const *s,
                         int64_t begin, int64_t end);
FO_API int fo_update_f64(int rule, const double *k, double *p, const double *g, double *const *s,
                         int64_t begin, int64_t end);

/* The same over tables of `arrays` arrays: p[a], g[a], s[slot * arrays + a]. A chunk is three integers
 * (array, first, last); the chunks [begin, end) are worked on. The tables' entries are believed. */
FO_API int fo_step_f32(int rule, const double *k, float *const *p, const float *const *g,
                       float *const *s, int64_t arrays, const int64_t *chunks, int64_t begin,
                       int64_t end);
FO_API int fo_step_f64(int rule, const double *k, double *const *p, const double *const *g,
                       double *const *s, int64_t arrays, const int64_t *chunks, int64_t begin,
                       int64_t end);

/* ---- parameters and state of few bits ----
 *
 * Arithmetic is float's; numbers are decoded, updated and encoded in one pass. Forms of numbers:
 *   FO_FLOAT32    float
 *   FO_BFLOAT16   uint16_t, the upper half of a float. A slot is rounded without bias. A parameter is rounded to
 *                 nearest, and `master` is an int16_t array of what its float has more; set it to 0 at first
 *   FO_ROUNDED    a bfloat16 parameter without a master, rounded without bias
 *   FO_FLOAT16    a parameter of IEEE's 16 bits; `master` is a float array, its exact value. Where another number
 *                 has been written to p since, that one counts
 *   FO_SIGNED8, FO_POSITIVE8
 *                 a slot of uint8_t with 3 bits after the point: bits of the float = (code + base) << 20, base an
 *                 int16_t for each block of 256 elements, rounded without bias. State begins with zeros
 * A gradient has the form of its parameter; bfloat16 for FO_ROUNDED. Rounding makes no infinity of a number in a
 * slot. Noise is a function of (seed, array, step, element): the same bits on every machine and any ranges. */
enum { FO_FLOAT32, FO_BFLOAT16, FO_ROUNDED, FO_FLOAT16, FO_SIGNED8, FO_POSITIVE8 };
enum { FO_BLOCK = 256 };

typedef struct fo_stored {
    int parameter;      /* one of the first four forms */
    int form[FO_MAX_SLOTS]; /* of each slot: FO_FLOAT32, FO_BFLOAT16, or what fo_eight_bits says */
    void *p;
    void *master;       /* of FO_BFLOAT16 and FO_FLOAT16 */
    const void *g;
    void *s[FO_MAX_SLOTS];
    int16_t *base[FO_MAX_SLOTS];   /* of slots of 8 bits: (n + 255) / 256 numbers */
    uint32_t key[3];    /* of this step: fo_noise_keys */
    double unit, scale; /* gradients are multiplied by both: 1 as a rule */
    double most;        /* and held within [-most, most]; 0: as they are */
} fo_stored;

/* FO_SIGNED8 or FO_POSITIVE8, the form of 8 bits of a slot that may be kept in few bits; else -1. */
FO_API int fo_eight_bits(int rule, int slot);

/* The keys of an array's noise at step 1, 2, ...; array: any number that is its own. */
FO_API void fo_noise_keys(uint64_t seed, uint64_t array, int64_t step, uint32_t *key);

/* fo_update_f32 on such arrays. begin is a multiple of 256; end too, or the arrays' length. An unknown form, one
 * that the slot cannot have, or another begin is FO_BAD_VALUE; a rule with norms is FO_UNKNOWN_RULE. */
FO_API int fo_update_stored(int rule, const double *k, const fo_stored *a, int64_t begin, int64_t end);

/* fo_all_finite_f32 and fo_squares_f32 of numbers of FO_BFLOAT16 or FO_FLOAT16; FO_BAD_VALUE, and 0, for other forms. */
FO_API int fo_all_finite_halves(int form, const uint16_t *x, int64_t n);
FO_API double fo_squares_halves(int form, const uint16_t *x, int64_t n, double unit);

/* 1 if no element is infinite or NaN, else 0; 1 for n = 0, FO_BAD_SIZE or FO_NULL_POINTER. */
FO_API int fo_all_finite_f32(const float *x, int64_t n);
FO_API int fo_all_finite_f64(const double *x, int64_t n);

/* The sum of (x * unit)^2 in double, in an order that is the same for every instruction set. unit: a power of
 * two that keeps the squares of very large or small numbers inside the range; 1 as a rule. 0 where x is NULL or n is not above 0. */
FO_API double fo_squares_f32(const float *x, int64_t n, double unit);
FO_API double fo_squares_f64(const double *x, int64_t n, double unit);

/* The first array of a table x[0..] with such an element in one of the chunks [begin, end), or -1: also
 * where there is nothing to look at. */
FO_API int64_t fo_first_nonfinite_f32(const float *const *x, const int64_t *chunks, int64_t begin,
                                      int64_t end);
FO_API int64_t fo_first_nonfinite_f64(const double *const *x, const int64_t *chunks, int64_t begin,
                                      int64_t end);

/* ---- linear models: scores = X W^T + b ---- */

enum {
    FO_SOFTMAX, FO_MULTICLASS_HINGE, FO_SQUARED_ERROR, FO_LOGISTIC, FO_HINGE, FO_SQUARED_HINGE,
    FO_MODIFIED_HUBER, FO_HUBER, FO_EPSILON_INSENSITIVE, FO_QUANTILE, FO_POISSON,
    FO_SOFTMAX_OF_SHARES, FO_LOGISTIC_OF_SHARES
};
enum { FO_DENSE, FO_UINT8, FO_CSR32, FO_CSR64 };

/* Rows of data and the loss on them. Values are float in the functions _f32, double in _f64. */
typedef struct fo_data {
    int loss;
    int storage;
    const double *h;       /* the loss's hyperparameters: (margin, squared) of the multiclass hinge, (delta) of
                              Huber's, (epsilon, squared), (quantile) */
    int64_t features;      /* 0 or more */
    int64_t classes;       /* rows of W, 1 or more */
    const void *x;         /* row-major: values, or uint8; CSR: the stored values */
    const void *indptr;    /* CSR: int32 or int64, as the indices */
    const void *indices;   /* not NULL, as x, even if no value is stored */
    double scale;          /* uint8: a feature is x * scale */
    const int64_t *y;      /* labels in [0, classes); {0, 1} where W has one row and the loss is logistic,
                              a hinge, modified Huber or one of the residual */
    const void *targets;   /* losses of the residual (squared error, Huber, ..., Poisson) with a one-row W:
                              real targets in the place of y, which may then be NULL; losses of shares:
                              (rows x classes), the probability of each class */
    const void *weight;    /* of each row, or NULL */
    const int64_t *order;  /* position -> row, or NULL */
} fo_data;

/* FO_OK if the description and every label, order, indptr and index of positions [0, positions) are good:
 * then no call with these positions reads or writes out of place. `rows`: how many rows x has, `entries`:
 * how many stored values a CSR x has (not looked at for the others). */
FO_API int fo_check_data(const fo_data *data, int64_t positions, int64_t rows, int64_t entries);

/* Positions [begin, end): adds sum_i w_i L_i to *loss, its gradients to dW (classes x features) and db. */
FO_API int fo_rows_f32(const fo_data *data, const float *W, const float *b, int64_t begin, int64_t end,
                       float *dW, float *db, double *loss);
FO_API int fo_rows_f64(const fo_data *data, const double *W, const double *b, int64_t begin, int64_t end,
                       double *dW, double *db, double *loss);

/* Training: step i takes the positions [i * batch, min((i+1) * batch, rows)), sum_i w_i L_i by the rows
 * of the batch, plus l2 * sum(W^2), and the rule with the row of coefficients of that step. */
typedef struct fo_training {
    int rule;                    /* one without norms */
    const double *coefficients;  /* one row a step, from the first step of the call on */
    int64_t batch;               /* 1 or more */
    int64_t rows;                /* positions: of `order` where there is one, else of x */
    double l2;
    void *W;                     /* classes x features */
    void *b;                     /* or NULL */
    void *const *W_slots;        /* both may be NULL where the rule has no slots */
    void *const *b_slots;
    double loss;                 /* out: the sum of the batches' values is added here */
    double gradient_norm;        /* out: 2-norm of the last batch's gradient */
} fo_training;

/* Steps [begin, end). Returns end, or the first step whose value is not finite: that step is not taken;
 * or an error. */
FO_API int64_t fo_epoch_f32(const fo_data *data, fo_training *training, int64_t begin, int64_t end);
FO_API int64_t fo_epoch_f64(const fo_data *data, fo_training *training, int64_t begin, int64_t end);

/* The same by SGD on CSR rows with W kept as alpha * V: a penalty changes alpha alone, and a step touches
 * the features of its rows only. Any other storage is FO_UNKNOWN_STORAGE. */
typedef struct fo_scaled_training {
    const double *coefficients;  /* (decay of W, decay of b, what the mean gradient is multiplied with) a step */
    int64_t batch;
    int64_t rows;
    double l2;
    void *V;                     /* features x classes */
    void *b;                     /* or NULL */
    double alpha;                /* in and out: finite and not 0; 1 where V is W */
    double squares;              /* in and out: the sum of the squares of V, for the penalty's value */
    double loss;                 /* as of fo_training */
    double gradient_norm;
} fo_scaled_training;

FO_API int64_t fo_scaled_epoch_f32(const fo_data *data, fo_scaled_training *training, int64_t begin,
                                   int64_t end);
FO_API int64_t fo_scaled_epoch_f64(const fo_data *data, fo_scaled_training *training, int64_t begin,
                                   int64_t end);

#ifdef __cplusplus
}
#endif
#endif
