// Forward pass of a multilayer perceptron in f32: `mlp [SEED]`, or 16 numbers on stdin.
//
// 16 inputs, two hidden layers of 32 with ReLU and tanh, 10 outputs with softmax. The weights are
// pseudo-random and the same in every agent; the input comes from the seed or from stdin.
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { INPUTS = 16, HIDDEN = 32, OUTPUTS = 10 };

static float weights1[HIDDEN][INPUTS + 1], weights2[HIDDEN][HIDDEN + 1];
static float weights3[OUTPUTS][HIDDEN + 1];  // the last column is the bias
static float input[INPUTS], hidden1[HIDDEN], hidden2[HIDDEN], output[OUTPUTS];

// Uniform in -1 .. 1, 24 bits.
static float next_random(uint32_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return (float)(int32_t)(*state >> 8) * (1.0f / 8388608.0f) - 1.0f;
}

static void make_weights(void) {
    uint32_t state = 20240229;
    float *const layer[3] = {&weights1[0][0], &weights2[0][0], &weights3[0][0]};
    const int size[3] = {HIDDEN * (INPUTS + 1), HIDDEN * (HIDDEN + 1), OUTPUTS * (HIDDEN + 1)};
    for (int l = 0; l < 3; l++) {
        for (int i = 0; i < size[l]; i++) {
            layer[l][i] = 0.4f * next_random(&state);
        }
    }
}

static float relu(float x) {
    return x > 0 ? x : 0;
}

static float same(float x) {
    return x;
}

static void dense(const float *w, const float *x, int in, float *y, int out, float (*f)(float)) {
    for (int i = 0; i < out; i++, w += in + 1) {
        float sum = w[in];
        for (int j = 0; j < in; j++) {
            sum += w[j] * x[j];
        }
        y[i] = f(sum);
    }
}

static void softmax(float *x, int n) {
    float high = x[0], sum = 0;
    for (int i = 1; i < n; i++) {
        high = fmaxf(high, x[i]);
    }
    for (int i = 0; i < n; i++) {
        x[i] = expf(x[i] - high);
        sum += x[i];
    }
    for (int i = 0; i < n; i++) {
        x[i] /= sum;
    }
}

static int forward(void) {
    make_weights();
    dense(&weights1[0][0], input, INPUTS, hidden1, HIDDEN, relu);
    dense(&weights2[0][0], hidden1, HIDDEN, hidden2, HIDDEN, tanhf);
    dense(&weights3[0][0], hidden2, HIDDEN, output, OUTPUTS, same);
    softmax(output, OUTPUTS);
    int best = 0;
    for (int i = 1; i < OUTPUTS; i++) {
        best = output[i] > output[best] ? i : best;
    }
    return best;
}

// Class of the input that `seed` makes.
__attribute__((export_name("classify"))) int classify(uint32_t seed) {
    uint32_t state = seed * 2654435761u + 1;
    for (int i = 0; i < INPUTS; i++) {
        input[i] = next_random(&state);
    }
    return forward();
}

// Probability of a class, after a call of classify.
__attribute__((export_name("probability"))) float probability(int class) {
    return class >= 0 && class < OUTPUTS ? output[class] : 0;
}

int main(int argc, char **argv) {
    int best, got = 0;
    if (argc < 2) {
        while (got < INPUTS && scanf("%f", &input[got]) == 1) {
            got++;
        }
    }
    if (got == INPUTS) {
        best = forward();
    } else {
        best = classify(argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0);
    }
    printf("class %d\n", best);
    for (int i = 0; i < OUTPUTS; i++) {
        printf("%d %.7f\n", i, (double)output[i]);
    }
    return 0;
}
