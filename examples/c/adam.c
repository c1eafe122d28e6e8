/* Softmax regression with Adam, without Python: three clouds of points, classified. */
#include <fastopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 3000, FEATURES = 8, CLASSES = 3, STEPS = 200 };

static float X[ROWS][FEATURES];
static int64_t y[ROWS];

/* Around a centre of its own for each class, a sum of four uniform numbers. */
static void make_clouds(void)
{
    uint32_t state = 1;
    for (int i = 0; i < ROWS; i++) {
        y[i] = i % CLASSES;
        for (int f = 0; f < FEATURES; f++) {
            X[i][f] = f % CLASSES == y[i] ? 1.0f : 0.0f;
            for (int j = 0; j < 4; j++) {
                state = state * 1664525u + 1013904223u;
                X[i][f] += (float)(state >> 8) / 16777216.0f - 0.5f;
            }
        }
    }
}

static double accuracy(const float W[CLASSES][FEATURES], const float b[CLASSES])
{
    int right = 0;
    for (int i = 0; i < ROWS; i++) {
        float best = -1e30f;
        int answer = 0;
        for (int c = 0; c < CLASSES; c++) {
            float score = b[c];
            for (int f = 0; f < FEATURES; f++) score += W[c][f] * X[i][f];
            if (score > best) best = score, answer = c;
        }
        right += answer == y[i];
    }
    return (double)right / ROWS;
}

int main(void)
{
    static float W[CLASSES][FEATURES], b[CLASSES];
    static float mW[CLASSES * FEATURES], vW[CLASSES * FEATURES], mb[CLASSES], vb[CLASSES];
    float *W_slots[] = {mW, vW}, *b_slots[] = {mb, vb};
    double h[8], k[FO_MAX_COEFFICIENTS], loss = 0;
    int adam = fo_rule_by_name("Adam");

    make_clouds();
    fo_rule_defaults(adam, h);
    h[0] = 0.05; /* lr is the first field */
    fo_data data = {.loss = FO_SOFTMAX, .storage = FO_DENSE, .features = FEATURES, .classes = CLASSES, .x = X, .y = y};

    printf("instruction set: %s\n", fo_features());
    for (int t = 1; t <= STEPS; t++) {
        float dW[CLASSES * FEATURES] = {0}, db[CLASSES] = {0};
        loss = 0;
        if (fo_rows_f32(&data, &W[0][0], b, 0, ROWS, dW, db, &loss) != FO_OK) return 1;
        for (int j = 0; j < CLASSES * FEATURES; j++) dW[j] /= ROWS;
        for (int j = 0; j < CLASSES; j++) db[j] /= ROWS;
        fo_coefficients(adam, h, t, k);
        fo_update_f32(adam, k, &W[0][0], dW, W_slots, 0, CLASSES * FEATURES);
        fo_update_f32(adam, k, b, db, b_slots, 0, CLASSES);
        if (t == 1 || t % 50 == 0) printf("step %3d: loss %.4f\n", t, loss / ROWS);
    }
    printf("accuracy %.3f\n", accuracy(W, b));
    return accuracy(W, b) > 0.9 && loss / ROWS < 0.3 ? 0 : 1;
}
