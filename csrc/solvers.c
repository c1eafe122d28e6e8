/* What solvers do between passes over the rows: one serial loop each, of one instruction set (FO_SET), float64. Sums have one
 * order on every machine: eight lanes, then their halves; no fused multiply-adds. */
#include <math.h>
#include <string.h>

#include "lanes.h"
#include "sets.h"

#define PASTE(a, b) a##_##b
#define JOIN(a, b) PASTE(a, b)

enum { LANES = 8 };

static double halves(const double *sums)
{
    double four[4];
    for (int k = 0; k < 4; k++) four[k] = sums[k] + sums[k + 4];
    return (four[0] + four[2]) + (four[1] + four[3]);
}

static double dot(const double *RESTRICT a, const double *RESTRICT b, int64_t n)
{
    double sums[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        LANEWISE for (int k = 0; k < LANES; k++) sums[k] += a[i + k] * b[i + k];
    for (int k = 0; i < n; i++, k++) sums[k] += a[i] * b[i];
    return halves(sums);
}

/* Write L with L L' = A + ridge * I to A's lower triangle, (n, n) row by row; 0 where A is not positive definite. */
static int cholesky(double *A, int64_t n, double ridge)
{
    for (int64_t i = 0; i < n; i++) {
        double *own = A + i * n;
        for (int64_t j = 0; j < i; j++) own[j] = (own[j] - dot(own, A + j * n, j)) / A[j * n + j];
        double left = own[i] + ridge - dot(own, own, i);
        if (!(left > 0)) return 0;
        own[i] = sqrt(left);
    }
    return 1;
}

/* x = (L L')^-1 x. */
static void substitute(const double *RESTRICT L, int64_t n, double *RESTRICT x)
{
    for (int64_t i = 0; i < n; i++) x[i] = (x[i] - dot(L + i * n, x, i)) / L[i * n + i];
    for (int64_t i = n - 1; i >= 0; i--) {
        x[i] /= L[i * n + i];
        for (int64_t j = 0; j < i; j++) x[j] -= L[i * n + j] * x[i];
    }
}

/* ---- coordinate descent on a quadratic: solvers/quadratic.py says which ---- */

/* Where (z - t)^2/2 + limit*|z| is smallest between low and high. */
static double lowest(double t, double limit, double low, double high)
{
    double z = t > limit ? t - limit : t < -limit ? t + limit : 0;
    z = z < low ? low : z;
    return z > high ? high : z;
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

extern const fo_solver_kernels JOIN(fo_solver_kernels, FO_SET);
const fo_solver_kernels JOIN(fo_solver_kernels, FO_SET) = {cholesky, substitute, descend};
