/* Adafactor and PlainAdafactor of a whole array, as fastopt/rules/matrix.py: the same order of every sum. Included by rules.c once for each T.
 *
 * One pass over g and p for the sums, one over g for the size of the step, one that updates. */

/* The gradient as the step takes it: (unit, scale, most) of clipping, then the array's own unit. */
static inline T NAME(taken)(T g, const T *f) { return NAME(held)(g * f[0] * f[1], f[2]) * f[3]; }

/* Of a row of gradients, in pieces that stay in the first cache; pieces are multiples of 32, so the parts are those of the row. */
static double NAME(gradient_squares)(const T *g, int64_t n, const T *f, double *column, BITS *largest)
{
    double part[PARTS] = {0};
    T block[BLOCK];
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t m = n - i < BLOCK ? n - i : BLOCK, j = 0;
        BITS top = *largest;
        for (int64_t q = 0; q < m; q++) {
            BITS bits;
            block[q] = NAME(taken)(g[i + q], f);
            memcpy(&bits, block + q, sizeof bits);
            bits &= (BITS)-1 >> 1;
            top = bits > top ? bits : top;
        }
        *largest = top;
        double *FO_RESTRICT to = column + i;
        for (; j + PARTS <= m; j += PARTS)
            for (int q = 0; q < PARTS; q++) {
                double v = (double)block[j + q];
                v *= v;
                part[q] += v;
                to[j + q] += v;
            }
        for (int q = 0; j + q < m; q++) {
            double v = (double)block[j + q];
            v *= v;
            part[q] += v;
            to[j + q] += v;
        }
    }
    return sum_of_parts(part);
}

static T NAME(inverse_root)(T x) { return x > 0 ? 1 / SQRT(x) : 0; }

/* rows and columns of sums of squares, of all matrices; returns the largest size of a gradient. */
static T NAME(factored_sums)(const fo_whole *a, const T *g, const T *f, double *rows, double *columns)
{
    BITS largest = 0;
    T found;
    memset(columns, 0, sizeof(double) * (size_t)(a->matrices * a->width));
    for (int64_t b = 0; b < a->matrices; b++)
        for (int64_t i = b * a->height; i < (b + 1) * a->height; i++)
            rows[i] = NAME(gradient_squares)(g + i * a->width, a->width, f, columns + b * a->width, &largest);
    memcpy(&found, &largest, sizeof found);
    return found;
}

static T NAME(largest_of)(const T *g, int64_t n, const T *f)
{
    BITS top = 0;
    T found;
    for (int64_t i = 0; i < n; i++) {
        T x = NAME(taken)(g[i], f);
        BITS bits;
        memcpy(&bits, &x, sizeof bits);
        bits &= (BITS)-1 >> 1;
        top = bits > top ? bits : top;
    }
    memcpy(&found, &top, sizeof found);
    return found;
}

/* The new means r and c, and of them 1/sqrt(r/mean(r)) and 1/sqrt(c). */
static void NAME(factors)(const fo_whole *a, const T *k, const double *rows, const double *columns, T *r, T *c, T *of_row,
                          T *of_column)
{
    T beta2 = k[2], share = k[3];
    double eps1 = (double)k[4];
    for (int64_t b = 0; b < a->matrices; b++) {
        double sum = 0;
        for (int64_t i = b * a->height; i < (b + 1) * a->height; i++) {
            r[i] = beta2 * r[i] + share * (T)(rows[i] / (double)(a->width > 0 ? a->width : 1) + eps1);
            sum += (double)r[i];
        }
        T mean = (T)(sum / (double)a->height);
        for (int64_t i = b * a->height; i < (b + 1) * a->height; i++)
            of_row[i] = NAME(inverse_root)(mean > 0 ? r[i] / mean : r[i]);
    }
    for (int64_t j = 0; j < a->matrices * a->width; j++) {
        c[j] = beta2 * c[j] + share * (T)(columns[j] / (double)(a->height > 0 ? a->height : 1) + eps1);
        of_column[j] = NAME(inverse_root)(c[j]);
    }
}

/* A row of u = g/sqrt(v), n numbers from one on. */
static void NAME(row_of_u)(const T *g, const T *f, T row, const T *column, T *FO_RESTRICT u, int64_t n)
{
    for (int64_t j = 0; j < n; j++) u[j] = NAME(taken)(g[j], f) * row * column[j];
}

static double NAME(squares_of_u)(const T *g, const T *f, T row, const T *column, int64_t n)
{
    double part[PARTS] = {0};
    T u[BLOCK];
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t m = n - i < BLOCK ? n - i : BLOCK;
        NAME(row_of_u)(g + i, f, row, column + i, u, m);
        NAME(add_squares)(u, m, 1, part);
    }
    return sum_of_parts(part);
}

/* n numbers of p (and m, where there is one) by their u. */
static void NAME(move)(T *FO_RESTRICT p, T *FO_RESTRICT m, const T *u, int64_t n, T keep, T step, T beta1)
{
    if (m)
        for (int64_t j = 0; j < n; j++) {
            m[j] = beta1 * m[j] + (1 - beta1) * u[j];
            p[j] = keep * p[j] - step * m[j];
        }
    else
        for (int64_t j = 0; j < n; j++) p[j] = keep * p[j] - step * u[j];
}

static T NAME(rms)(double sum, int64_t n) { return n > 0 ? (T)sqrt(sum / (double)n) : 0; }

/* room: 2*(rows + columns) doubles, rows and columns of all matrices together (factored), else none is looked at. */
static void NAME(adafactor)(const fo_whole *a, const double *coefficients, const double *factors, T *p, const T *g, T *r, T *c,
                            T *m, double *room)
{
    T k[11], f[4] = {(T)factors[0], (T)factors[1], (T)factors[2], 1};
    for (int j = 0; j < 11; j++) k[j] = NAME(coefficient)(coefficients[j]);
    T rate = k[0], scaled = k[1], beta2 = k[2], share = k[3], eps1 = k[4], eps2 = k[5], threshold = k[6], beta1 = k[7], tiny = k[10];
    int64_t rows = a->matrices * a->height, columns = a->matrices * a->width, width = a->width, n = rows * width;
    T most = SQRT(tiny) / tiny / SQRT((T)(n > 0 ? n : 1)), *of_row = (T *)(room + rows + columns), *of_column = of_row + rows;
    unsigned control = fo_flush_denormals();
    double squares_p = 0, squares_u = 0;
    if (scaled != 0)
        for (int64_t i = 0; i < rows; i++) squares_p += NAME(squares)(p + i * width, width, 1);
    if (a->factored) {
        T largest = NAME(factored_sums)(a, g, f, room, room + rows);
        if (largest > most) {
            f[3] = most / largest;
            NAME(factored_sums)(a, g, f, room, room + rows);
        }
        NAME(factors)(a, k, room, room + rows, r, c, of_row, of_column);
        for (int64_t i = 0; i < rows; i++)
            squares_u += NAME(squares_of_u)(g + i * width, f, of_row[i], of_column + i / a->height * width, width);
    } else {
        T largest = NAME(largest_of)(g, n, f), u[BLOCK];
        if (largest > most) f[3] = most / largest;
        double part[PARTS] = {0};
        for (int64_t i = 0; i < n; i += BLOCK) {
            int64_t size = n - i < BLOCK ? n - i : BLOCK;
            for (int64_t j = 0; j < size; j++) {
                T x = NAME(taken)(g[i + j], f);
                r[i + j] = beta2 * r[i + j] + share * (x * x + eps1);
                u[j] = x * NAME(inverse_root)(r[i + j]);
            }
            NAME(add_squares)(u, size, 1, part);
        }
        squares_u = sum_of_parts(part);
    }
    T step = rate, beyond = NAME(rms)(squares_u, n) / threshold, u[BLOCK];
    if (scaled != 0) {
        T size = NAME(rms)(squares_p, n);
        step = rate * (size > eps2 ? size : eps2);
    }
    T shrink = beyond > 1 ? 1 / beyond : 1, keep = 1 - (step * k[8] + k[9]);
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < width; j += BLOCK) {
            int64_t at = i * width + j, size = width - j < BLOCK ? width - j : BLOCK;
            if (a->factored) {
                NAME(row_of_u)(g + at, f, of_row[i] * shrink, of_column + i / a->height * width + j, u, size);
            } else {
                for (int64_t q = 0; q < size; q++)
                    u[q] = NAME(taken)(g[at + q], f) * (NAME(inverse_root)(r[at + q]) * shrink);
            }
            NAME(move)(p + at, m ? m + at : 0, u, size, keep, step, beta1);
        }
    }
    fo_restore_denormals(control);
}

/* room: of rows and columns of all matrices, twice. */
static void NAME(plain_adafactor)(const fo_whole *a, const double *coefficients, const double *factors, T *p, const T *g, T *r,
                                  T *c, T *m, double *room)
{
    T k[6], f[4] = {(T)factors[0], (T)factors[1], (T)factors[2], 1};
    (void)m;
    for (int j = 0; j < 6; j++) k[j] = NAME(coefficient)(coefficients[j]);
    T lr = k[0], beta2 = k[1], share = k[2], root = k[3], eps = k[4], tiny = k[5];
    int64_t rows = a->matrices * a->height, columns = a->matrices * a->width, width = a->width, n = rows * width;
    T most = SQRT(tiny) / tiny / SQRT((T)(n > 0 ? n : 1)), *of_row = (T *)(room + rows + columns), *of_column = of_row + rows;
    unsigned control = fo_flush_denormals();
    T largest = a->factored ? NAME(factored_sums)(a, g, f, room, room + rows) : NAME(largest_of)(g, n, f);
    if (largest > most) {
        f[3] = most / largest;
        if (a->factored) NAME(factored_sums)(a, g, f, room, room + rows);
    }
    if (!a->factored) {
        for (int64_t i = 0; i < n; i++) {
            T x = NAME(taken)(g[i], f);
            r[i] = beta2 * r[i] + share * x * x;
            p[i] = p[i] - lr * x / (SQRT(r[i]) * root + eps);
        }
        fo_restore_denormals(control);
        return;
    }
    for (int64_t b = 0; b < a->matrices; b++) {
        double sum = 0;
        for (int64_t i = b * a->height; i < (b + 1) * a->height; i++) {
            r[i] = beta2 * r[i] + share * (T)room[i];
            sum += (double)r[i];
        }
        T total = (T)sum;
        for (int64_t i = b * a->height; i < (b + 1) * a->height; i++) of_row[i] = SQRT(total > 0 ? r[i] / total : r[i]);
    }
    for (int64_t j = 0; j < columns; j++) {
        c[j] = beta2 * c[j] + share * (T)room[rows + j];
        of_column[j] = SQRT(c[j]) * root;
    }
    for (int64_t i = 0; i < rows; i++) {
        const T *column = of_column + i / a->height * width, *from = g + i * width;
        T row = of_row[i], *to = p + i * width;
        for (int64_t j = 0; j < width; j++) to[j] = to[j] - lr * NAME(taken)(from[j], f) / (row * column[j] + eps);
    }
    fo_restore_denormals(control);
}
