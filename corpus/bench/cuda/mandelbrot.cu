// The Mandelbrot set, as in ../mandelbrot.c; nothing of an agent is in memory.
#include "agent.cuh"

enum { SIDE = 64 };

AGENT uint32_t escape_time(float cx, float cy, uint32_t limit) {
    float x = 0, y = 0, xx = 0, yy = 0;
    uint32_t n = 0;
    while (n < limit && !(xx + yy > 4)) {
        y = 2 * x * y + cy;
        x = xx - yy + cx;
        xx = x * x;
        yy = y * y;
        n++;
    }
    return n;
}

AGENT uint64_t run(uint32_t seed, uint32_t size, uint32_t *memory) {
    uint64_t random = random_from(seed);
    float left = (float)(random_unit(&random) * 2 - 1.75);
    float top = (float)(random_unit(&random) - 0.9);
    float step = (float)((0.25 + random_unit(&random)) / SIDE);
    uint64_t hash = 0;
    for (int row = 0; row < SIDE; row++) {
        for (int column = 0; column < SIDE; column++) {
            float cx = left + (float)column * step, cy = top + (float)row * step;
            hash = mix(hash, escape_time(cx, cy, size));
        }
    }
    (void)memory;
    return hash;
}

KERNEL(0)
