/* The table of kernels that dispatch.c fills: one of these for each instruction set. */
#ifndef FO_SETS_H
#define FO_SETS_H

#include "rules.h"
#include "tables.h"

/* linear.c is compiled once for each instruction set, like rules.c. What Python calls, for each of float and double: */
typedef struct {
    void (*take_groups)(fo_problem *p, const fo_worker *worker, int64_t *counter);
    double (*finish_gradient)(fo_problem *p, const fo_worker *worker, int64_t *counter, double scale, double l2);
    int64_t (*steps)(fo_problem *p, fo_run *run, int64_t begin, int64_t end);
    void (*help_crew)(fo_problem *p, const fo_worker *worker, int64_t *crew);
    void (*help_pair)(fo_problem *p, fo_run *run, int64_t begin, int64_t end);
    int64_t (*scaled_steps)(fo_problem *p, fo_run *run, int64_t begin, int64_t end);
    int64_t (*single_row_steps)(fo_problem *p, fo_run *run, int64_t begin, int64_t end);
    void (*gram)(const fo_problem *p, int64_t diagonal, int64_t begin, int64_t end, int64_t first_feature,
                 int64_t last_feature, int64_t target, int64_t stride, int64_t scratch);
    int (*row_scores)(const fo_problem *p, int64_t begin, int64_t end, int64_t out);
} fo_loops;

typedef struct {
    fo_loops f32, f64;
    /* see blocks.inc.h */
    double (*add_rows_f32)(fo_problem *p, int64_t begin, int64_t end, int64_t coming, int64_t stop, int64_t dw, int fresh,
                           float *db, int64_t scratch, fo_side *side);
    double (*add_rows_f64)(fo_problem *p, int64_t begin, int64_t end, int64_t coming, int64_t stop, int64_t dw, int fresh,
                           double *db, int64_t scratch, fo_side *side);
} fo_linear_kernels;

/* solvers.c likewise. A quadratic of n coordinates: H (n, n), n numbers each of q, z, l1, low, high, and room for n. */
typedef struct {
    int64_t n;
    const double *H;
    double *q, *z;
    const double *l1, *low, *high;
    int64_t *used;
} fo_quadratic;

/* Columns of CSC, and the numbers of one of them in solvers/columns.py; the slope is that at `start`. */
typedef struct {
    double *values;
    int32_t *rows;
    int64_t *ends;
} fo_columns;

typedef struct {
    double z, slope, start, bend, l1, l2, low, high;
} fo_column;

/* A row's numbers in dual ascent, a cache line. z: -1 or 1, or the target; bend: 1 / (2 C) with squares of the hinge, else 0, or
 * of a target the least alpha; inverse_q: of how the slope grows with alpha. */
typedef struct {
    double z, most, bend, inverse_q, alpha, unused[3];
} fo_ascent_row;

/* Of several classes; room for 3 numbers a class. alpha: (n, classes). */
typedef struct {
    int64_t classes, one_of_a_row;
    const int64_t *y;
    const double *most, *bend, *squares;
    double *alpha, *room;
} fo_ascent_classes;

typedef struct {
    void (*ascent_pass)(fo_ascent *a);
    void (*target_pass)(fo_ascent *a);
    void (*multiclass_pass)(fo_ascent *a, const fo_ascent_classes *of);
    void (*row_squares)(const fo_ascent *a, int64_t n, double *squares);
} fo_ascents;

typedef struct {
    int (*cholesky)(double *A, int64_t n, double ridge);
    void (*substitute)(const double *L, int64_t n, double *x);
    int64_t (*descend)(const fo_quadratic *p, double tol, int64_t most);
    void (*pack_columns)(const fo_columns *from, int64_t columns, const double *root, int64_t rows, const int64_t *which,
                         const fo_columns *to, int64_t count, double *bends);
    int64_t (*descend_columns)(const fo_columns *p, double *r, fo_column *own, int64_t *used, int64_t count, double tol,
                               int64_t most);
    void (*times_columns)(const fo_columns *p, const double *r, double *products, int64_t begin, int64_t end);
    fo_ascents f32, f64;
} fo_solver_kernels;

typedef struct {
    const char *name;
    const fo_rule_kernels *rules;
    const fo_linear_kernels *linear;
    const fo_solver_kernels *solvers;
} fo_set;

const fo_set *fo_kernels(void);

#endif
