// The Mandelbrot set on a grid of 64 x 64 points around a place that the seed chooses, at most
// `size` iterations a point. 32-bit floating point in loops whose trip counts all differ.
#include "bench.h"

enum { SIDE = 64 };

static uint32_t escape_time(float cx, float cy, uint32_t limit) {
    float x = 0, y = 0;
    uint32_t n = 0;
    while (n < limit) {
        float xx = x * x, yy = y * y;
        if (xx + yy > 4) {
            break;
        }
        y = 2 * x * y + cy;
        x = xx - yy + cx;
        n++;
    }
    return n;
}

// Iterations at one point, for tests.
EXPORT(escape) uint32_t escape(float cx, float cy, uint32_t limit) {
    return escape_time(cx, cy, limit);
}

EXPORT(run) uint64_t run(uint32_t seed, uint32_t size) {
    Random random = random_from(seed);
    float left = (float)(random_unit(&random) * 2 - 1.75), top = (float)(random_unit(&random) - 0.9);
    float step = (float)((0.25 + random_unit(&random)) / SIDE);
    uint64_t hash = 0;
    for (int row = 0; row < SIDE; row++) {
        for (int column = 0; column < SIDE; column++) {
            hash = mix(hash, escape_time(left + (float)column * step, top + (float)row * step, size));
        }
    }
    return hash;
}
