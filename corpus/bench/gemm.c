// Multiplies matrices of 48 x 48 numbers of 32-bit floating point, `size` times. Loops over rows that
// a compiler can vectorise.
#include "bench.h"

enum { N = 48 };

static float a[N][N], b[N][N], c[N][N];

// c = a * b
EXPORT(multiply) void multiply(void) {
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            c[i][j] = 0;
        }
        for (int k = 0; k < N; k++) {
            float factor = a[i][k];
            for (int j = 0; j < N; j++) {
                c[i][j] += factor * b[k][j];
            }
        }
    }
}

EXPORT(run) uint64_t run(uint32_t seed, uint32_t size) {
    Random random = random_from(seed);
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            a[i][j] = (float)(random_unit(&random) - 0.5) / 4;
            b[i][j] = (float)(random_unit(&random) - 0.5);
        }
    }
    for (uint32_t i = 0; i < size; i++) {
        multiply();
        for (int j = 0; j < N; j++) {  // so that every product depends on the last
            a[i % N][j] = c[i % N][j];
        }
    }
    return mix_bytes(0, (const uint8_t *)c, sizeof c);
}

// For tests: the factors and the product, 48 rows of 48 f32 each.
EXPORT(buffer) uint8_t *buffer(void) {
    return (uint8_t *)a;
}

EXPORT(second) uint8_t *second(void) {
    return (uint8_t *)b;
}

EXPORT(product) uint8_t *product(void) {
    return (uint8_t *)c;
}
