// A Gaussian blur of an image of 128 x 128 pixels, `size` times: seven binomial weights across, then
// seven down, edges repeated. 32-bit floating point in loops that a compiler can vectorise.
#include "image.h"

enum { SIDE = 128, RADIUS = 3, TAPS = 2 * RADIUS + 1 };

static float image[SIDE * SIDE], across[SIDE * SIDE];

static const float weights[TAPS] = {1 / 64.f, 6 / 64.f, 15 / 64.f, 20 / 64.f,
                                    15 / 64.f, 6 / 64.f, 1 / 64.f};

static inline int clamp(int i) {
    return i < 0 ? 0 : i < SIDE ? i : SIDE - 1;
}

static void blur_row(const float *row, float *out) {
    float padded[SIDE + 2 * RADIUS];
    for (int i = 0; i < RADIUS; i++) {
        padded[i] = row[0];
        padded[RADIUS + SIDE + i] = row[SIDE - 1];
    }
    copy_bytes(padded + RADIUS, row, SIDE * sizeof row[0]);
    for (int x = 0; x < SIDE; x++) {
        float sum = 0;
        for (int tap = 0; tap < TAPS; tap++) {
            sum += weights[tap] * padded[x + tap];
        }
        out[x] = sum;
    }
}

static void blur_column(int y, float *restrict out) {
    for (int x = 0; x < SIDE; x++) {
        out[x] = 0;
    }
    for (int tap = 0; tap < TAPS; tap++) {
        const float *row = across + clamp(y + tap - RADIUS) * SIDE;
        for (int x = 0; x < SIDE; x++) {
            out[x] += weights[tap] * row[x];
        }
    }
}

// Blurs the image in place.
EXPORT(blur) void blur(void) {
    for (int y = 0; y < SIDE; y++) {
        blur_row(image + y * SIDE, across + y * SIDE);
    }
    for (int y = 0; y < SIDE; y++) {
        blur_column(y, image + y * SIDE);
    }
}

EXPORT(run) uint64_t run(uint32_t seed, uint32_t size) {
    Random random = random_from(seed);
    draw(&random, image, SIDE);
    for (uint32_t i = 0; i < size; i++) {
        blur();
    }
    return mix_bytes(0, (const uint8_t *)image, sizeof image);
}

// For tests: the image, 128 rows of 128 f32.
EXPORT(buffer) uint8_t *buffer(void) {
    return (uint8_t *)image;
}
