/* The tables that the loops of a linear model take, field by field as fastopt/kernels/tables.py declares and explains
 * them: eight bytes each, an int64, an address or a double. A test compares the two. */
#ifndef FO_TABLES_H
#define FO_TABLES_H

#include <stdint.h>

/* The address in a field, as a pointer. */
#define AT(type, field) ((type *)(intptr_t)(field))

typedef struct {
    int64_t W, b, X, x_stride, x_kind, y, y_kind, y_shift, shares, weights, order, classes, features, numbers, block_rows;
    int64_t add_rows, scores, loss, gradient, indices, indptr, width, unchecked, bad, half, w_stride, jump;
    int64_t pass_kind, kept, out, line;
} fo_problem;

typedef struct {
    int64_t batch, n, group_rows, first, first_bias, partials, losses, sources, scratch;
} fo_worker;

typedef struct {
    int64_t which, first, last, mine, other, block_bytes, shared, number, ticket, lost, patience;
} fo_side;

typedef struct {
    double l2, loss, norm, scale, alpha, squares;
} fo_numbers;

typedef struct {
    int64_t W, b;
} fo_parameters;

typedef struct {
    int64_t s, K, k_count, crew, patience, update, update_by_row, blocks;
    fo_parameters *p, *g;
    fo_worker *worker, *others;
    fo_side *side;
    fo_numbers *numbers;
} fo_run;

typedef struct {
    double one_over_l2, one_over_rho, margin, high, low, worst;
} fo_ascent_numbers;

typedef struct {
    int64_t values, indices, indptr, features, rows, w, b, order, active, seed;
    fo_ascent_numbers *numbers;
} fo_ascent;

/* fastopt/kernels/gradient/division.py and block.py. */
enum { FO_MOST_GROUPS = 32, FO_ROWS = 32 };

/* What a solver's pass does: see passes.inc.h. */
enum { FO_SCORED = 1, FO_LOST = 2, FO_CURVED = 4, FO_SUMMED = 8, FO_LINE = 16 };

#endif
