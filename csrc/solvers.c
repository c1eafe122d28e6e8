/* What solvers do between passes over the rows: one serial loop each, of one instruction set (FO_SET), float64. Sums have one
 * order on every machine: lanes, then their halves; no fused multiply-adds. */
#include <math.h>
#include <string.h>

#include "lanes.h"
#include "sets.h"

#define PASTE(a, b) a##_##b
#define JOIN(a, b) PASTE(a, b)

enum { LANES = 16 };

static double tree(double *sums)
{
    for (int half = LANES / 2; half; half /= 2)
        for (int k = 0; k < half; k++) sums[k] += sums[k + half];
    return sums[0];
}

static double dot(const double *RESTRICT a, const double *RESTRICT b, int64_t n)
{
    double sums[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        LANEWISE for (int k = 0; k < LANES; k++) sums[k] += a[i + k] * b[i + k];
    for (int k = 0; i < n; i++, k++) sums[k] += a[i] * b[i];
    return tree(sums);
}

static int64_t whole_lanes(int64_t n) { return (n + LANES - 1) / LANES * LANES; }

/* Write L with L L' = A + ridge * I to A; 0 where A is not positive definite. n + 1 rows of whole_lanes(n) numbers: A's, 0
 * beyond n, then room for L's diagonal. In L's rows that is 0, as all behind it: a dot product takes whole lanes, with the bits
 * of one that ends at its number. Column by column: along a row each number waits for the one before. */
static int cholesky(double *A, int64_t n, double ridge)
{
    const int64_t stride = whole_lanes(n);
    double *diagonal = A + n * stride;
    for (int64_t j = 0; j < n; j++) {
        double *own = A + j * stride, left = own[j] + ridge;
        for (int64_t k = j; k < n; k++) own[k] = 0;
        left -= dot(own, own, whole_lanes(j));
        if (!(left > 0)) return 0;
        left = diagonal[j] = sqrt(left);
        for (int64_t i = j + 1; i < n; i++) {
            double *other = A + i * stride;
            other[j] = (other[j] - dot(other, own, whole_lanes(j))) / left;
        }
    }
    return 1;
}

/* x = (L L')^-1 x, of whole_lanes(n) numbers. */
static void substitute(const double *RESTRICT L, int64_t n, double *RESTRICT x)
{
    const int64_t stride = whole_lanes(n);
    const double *diagonal = L + n * stride;
    for (int64_t i = 0; i < n; i++) x[i] = (x[i] - dot(L + i * stride, x, whole_lanes(i))) / diagonal[i];
    for (int64_t i = n - 1; i >= 0; i--) {
        x[i] /= diagonal[i];
        for (int64_t j = 0; j < i; j++) x[j] -= L[i * stride + j] * x[i];
    }
}

/* ---- coordinate descent on a quadratic: solvers/quadratic.py says which ---- */

static double within(double z, double low, double high)
{
    z = z < low ? low : z;
    return z > high ? high : z;
}

/* Where (z - t)^2/2 + limit*|z| is smallest between low and high. */
static double lowest(double t, double limit, double low, double high)
{
    return within(t > limit ? t - limit : t < -limit ? t + limit : 0, low, high);
}

/* Minimize over z_j; returns how far the slope was from none. */
static double descend_one(const fo_quadratic *p, int64_t j)
{
    const double *row = p->H + j * p->n, bend = row[j];
    if (!(bend > 0)) return 0;
    double z = lowest(p->z[j] - p->q[j] / bend, p->l1[j] / bend, p->low[j], p->high[j]), move = z - p->z[j];
    if (move == 0) return 0;
    double *RESTRICT q = p->q;
    p->z[j] = z;
    for (int64_t i = 0; i < p->n; i++) q[i] += move * row[i];
    return fabs(move) * bend;
}

/* Passes over all coordinates, and between them over those that are not 0, until none moves by more than tol, `most` at
 * most; returns how many they were. */
static int64_t descend(const fo_quadratic *p, double tol, int64_t most)
{
    int64_t done = 0;
    while (done < most) {
        double worst = 0, moved;
        int64_t count = 0;
        for (int64_t j = 0; j < p->n; j++) worst = (moved = descend_one(p, j)) > worst ? moved : worst;
        done++;
        if (worst <= tol) break;
        for (int64_t j = 0; j < p->n; j++)
            if (p->z[j] != 0) p->used[count++] = j;
        for (double inner = worst; inner > 0.3 * tol && done < most; done++) {
            inner = 0;
            for (int64_t i = 0; i < count; i++) inner = (moved = descend_one(p, p->used[i])) > inner ? moved : inner;
        }
    }
    return done;
}

/* ---- dual coordinate ascent ---- */

enum { AHEAD = 4, FETCHED = 8 }; /* rows between the one at hand and the one that is fetched; lines of it */
/* Of the last pass's largest slopes, how far a row at a bound must be from leaving it to be put aside: 1 in liblinear, with which
 * passes over a9a (C = 1) look at half as many rows again. */
static const double NARROW = 0.3;

/* A new order of the rows in use; the generator is xorshift32. */
static void shuffle(fo_ascent *a)
{
    int32_t *order = AT(int32_t, a->order);
    uint32_t x = (uint32_t)a->seed;
    for (int64_t i = a->active - 1; i > 0; i--) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        int64_t j = (int64_t)((uint64_t)x * (uint64_t)(i + 1) >> 32);
        int32_t own = order[i];
        order[i] = order[j], order[j] = own;
    }
    a->seed = x;
}

/* Weston-Watkins: alpha_c in [0, most] for c != own, one after the other, until they agree. */
static double all_of_a_row(const fo_ascent_classes *of, int64_t i, double margin, double q)
{
    const int64_t classes = of->classes, own = of->y[i];
    const double most = of->most[i], bend = of->bend[i];
    double *scores = of->room, *moves = scores + classes, *alpha = of->alpha + i * classes, worst = 0;
    for (int round = 0; round < 20; round++) {
        double largest = 0;
        for (int64_t c = 0; c < classes; c++) {
            if (c == own) continue;
            double slope = scores[own] - scores[c] - margin + alpha[c] * bend, z = slope < 0 ? most : 0;
            if (2 * q + bend > 0) z = within(alpha[c] - slope / (2 * q + bend), 0, most);
            /* else a row of zeros, without b: nothing but the bound holds it */
            double move = z - alpha[c];
            if (move == 0) continue;
            alpha[c] = z;
            moves[own] += move, moves[c] -= move;
            scores[own] += move * q, scores[c] -= move * q;
            largest = fabs(move) * 2 * q > largest ? fabs(move) * 2 * q : largest;
        }
        worst = largest > worst ? largest : worst;
        if (largest <= 0.1 * worst || largest == 0) break;
    }
    return worst;
}

/* Crammer-Singer: all alpha_c of a row at once, sum_{c != own} alpha_c <= most. Here alpha_own is the sum of the others and
 * w_c falls with alpha_c. Source: Keerthi et al. 2008, as in liblinear; instead of sorting, what is below beta leaves
 * (Michelot 1986): two or three looks at the classes. */
static double one_of_a_row(const fo_ascent_classes *of, int64_t i, double margin, double q)
{
    const int64_t classes = of->classes, own = of->y[i];
    const double most = of->most[i];
    double *scores = of->room, *moves = scores + classes, *levels = moves + classes;
    double *alpha = of->alpha + i * classes, worst = 0, total = 0;
    if (!(q > 0)) { /* a row of zeros, without b: all of one class's, whichever that is */
        alpha[own] = alpha[own == 0 ? 1 : 0] = most;
        return 0;
    }
    for (int64_t c = 0; c < classes; c++) { /* what scores would be without this row, plus the margin */
        levels[c] = c != own ? scores[c] + q * alpha[c] + margin : scores[c] + q * (most - alpha[c]);
        total += levels[c];
    }
    /* beta: sum_c max(0, level - beta) = q most. It only rises, but by rounding, with which there may be one more above it. */
    int64_t count = classes;
    double beta = (total - q * most) / (double)count;
    for (;;) {
        int64_t above = 0;
        total = 0;
        for (int64_t c = 0; c < classes; c++)
            if (levels[c] > beta) above++, total += levels[c];
        if (above == 0 || above >= count) break;
        count = above;
        beta = (total - q * most) / (double)count;
    }
    total = 0;
    for (int64_t c = 0; c < classes; c++) {
        if (c == own) continue;
        double z = (levels[c] - beta) / q, move;
        z = z > 0 ? z : 0;
        move = z - alpha[c];
        alpha[c] = z;
        moves[c] -= move;
        total += move;
        worst = fabs(move) * q > worst ? fabs(move) * q : worst;
    }
    alpha[own] += total;
    moves[own] += total;
    return worst;
}

#define NAME(x) JOIN(x, SUFFIX)
#define T float
#define SUFFIX f32
#include "ascent.inc.h"
#undef T
#undef SUFFIX
#define T double
#define SUFFIX f64
#include "ascent.inc.h"

/* ---- coordinate descent on a quadratic by columns: solvers/columns.py says which ---- */

/* Columns `which` of CSC, each entry times its row's root, and their sums of squares; one past the last is of ones. */
static void pack_columns(const fo_columns *from, int64_t columns, const double *root, int64_t rows, const int64_t *which,
                         const fo_columns *to, int64_t count, double *bends)
{
    int64_t at = 0;
    for (int64_t i = 0; i < count; i++) {
        const int64_t j = which[i];
        double total = 0;
        to->ends[i] = at;
        for (int64_t k = j < columns ? from->ends[j] : 0; k < (j < columns ? from->ends[j + 1] : rows); k++, at++) {
            const int32_t row = j < columns ? from->rows[k] : (int32_t)k;
            const double value = j < columns ? from->values[k] * root[row] : root[row];
            to->values[at] = value, to->rows[at] = row;
            total += value * value;
        }
        bends[i] = total;
    }
    to->ends[count] = at;
}

/* Minimize over z_j; returns how far the slope was from none. */
static double descend_column(const fo_columns *p, double *r, fo_column *own, int64_t j)
{
    if (!(own->bend > 0)) return 0;
    const int64_t begin = p->ends[j], end = p->ends[j + 1];
    const double slope = own->slope + own->l2 * (own->z - own->start) + sparse_dot_f64(p->values, p->rows, begin, end, r);
    const double z = lowest(own->z - slope / own->bend, own->l1 / own->bend, own->low, own->high), move = z - own->z;
    if (move == 0) return 0;
    own->z = z;
    sparse_add_f64(p->values, p->rows, begin, end, r, move);
    return fabs(move) * own->bend;
}

/* As `descend`, and between two passes over all coordinates those in use: not 0, or without an l1. */
static int64_t descend_columns(const fo_columns *p, double *r, fo_column *own, int64_t *used, int64_t count, double tol,
                               int64_t most)
{
    int64_t done = 0;
    while (done < most) {
        double worst = 0, moved;
        int64_t kept = 0;
        for (int64_t j = 0; j < count; j++) {
            worst = (moved = descend_column(p, r, own + j, j)) > worst ? moved : worst;
            if (own[j].z != 0 || own[j].l1 == 0) used[kept++] = j;
        }
        done++;
        if (worst <= tol) break;
        for (double inner = worst; inner > 0.3 * tol && done < most; done++) {
            inner = 0;
            for (int64_t i = 0; i < kept; i++)
                inner = (moved = descend_column(p, r, own + used[i], used[i])) > inner ? moved : inner;
        }
    }
    return done;
}

/* X'r of the columns from begin to end. */
static void times_columns(const fo_columns *p, const double *r, double *products, int64_t begin, int64_t end)
{
    for (int64_t j = begin; j < end; j++) products[j] = sparse_dot_f64(p->values, p->rows, p->ends[j], p->ends[j + 1], r);
}

#define OF_ROWS(F) {ascent_pass_##F, target_pass_##F, multiclass_pass_##F, row_squares_##F}

extern const fo_solver_kernels JOIN(fo_solver_kernels, FO_SET);
const fo_solver_kernels JOIN(fo_solver_kernels, FO_SET) = {
    cholesky, substitute, descend, pack_columns, descend_columns, times_columns, OF_ROWS(f32), OF_ROWS(f64),
};
