// Perceptual hashes of `size` images of 64 x 64 pixels: halve the image, take the lowest 8 x 8
// frequencies of its cosine transform, and say of each whether it is above their mean. f32 products.
#include "image.h"

enum { SIDE = 64, HALF = 32, LOW = 8 };

static float image[SIDE * SIDE], small[HALF * HALF];
static float cosines[LOW][HALF];  // cos(pi * (2 * x + 1) * u / 64)

// By Chebyshev's recurrence: cos((k + 1) a) = 2 cos(a) cos(k a) - cos((k - 1) a).
static void make_cosines(void) {
    const double step = 0.99879545620517239271;  // cos(pi / 64)
    double whole[2 * HALF * 2];
    whole[0] = 1, whole[1] = step;
    for (int k = 1; k < 2 * HALF * 2 - 1; k++) {
        whole[k + 1] = 2 * step * whole[k] - whole[k - 1];
    }
    for (int u = 0; u < LOW; u++) {
        for (int x = 0; x < HALF; x++) {
            cosines[u][x] = (float)whole[(2 * x + 1) * u % (4 * HALF)];
        }
    }
}

static uint64_t hash_image(void) {
    float rows[LOW][HALF], low[LOW * LOW], sum = 0;
    for (int y = 0; y < HALF; y++) {
        for (int x = 0; x < HALF; x++) {
            const float *at = image + 2 * y * SIDE + 2 * x;
            small[y * HALF + x] = (at[0] + at[1] + at[SIDE] + at[SIDE + 1]) * 0.25f;
        }
    }
    for (int v = 0; v < LOW; v++) {
        for (int x = 0; x < HALF; x++) {
            rows[v][x] = 0;
        }
        for (int y = 0; y < HALF; y++) {
            for (int x = 0; x < HALF; x++) {
                rows[v][x] += cosines[v][y] * small[y * HALF + x];
            }
        }
        for (int u = 0; u < LOW; u++) {
            float value = 0;
            for (int x = 0; x < HALF; x++) {
                value += cosines[u][x] * rows[v][x];
            }
            low[v * LOW + u] = value;
        }
    }
    for (int i = 1; i < LOW * LOW; i++) {  // the first is the brightness
        sum += low[i];
    }
    uint64_t bits = 0;
    for (int i = 0; i < LOW * LOW; i++) {
        bits = bits << 1 | (low[i] > sum / (LOW * LOW - 1));
    }
    return bits;
}

EXPORT(run) uint64_t run(uint32_t seed, uint32_t size) {
    Random random = random_from(seed);
    uint64_t hash = 0;
    make_cosines();
    for (uint32_t i = 0; i < size; i++) {
        draw(&random, image, SIDE);
        hash = mix(hash, hash_image());
    }
    return hash;
}

// For tests: the image, 64 rows of 64 f32.
EXPORT(buffer) uint8_t *buffer(void) {
    return (uint8_t *)image;
}

EXPORT(image_hash) uint64_t image_hash(void) {
    make_cosines();
    return hash_image();
}
