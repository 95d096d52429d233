// Pseudo-random images for blur.c and phash.c: soft waves with some noise.
#ifndef IMAGE_H
#define IMAGE_H

#include "bench.h"

// Fills a square image with values from 0 to 255.
static void draw(Random *random, float *image, int side) {
    float slope_x = (float)random_unit(random), slope_y = (float)random_unit(random);
    float period = (float)(8 + random_below(random, 24));
    for (int y = 0; y < side; y++) {
        for (int x = 0; x < side; x++) {
            // a triangle wave across the slope
            float along = ((float)x * slope_x + (float)y * slope_y) / period;
            float phase = along - (float)(int)along;
            float wave = phase < 0.5f ? phase : 1 - phase;
            image[y * side + x] = wave * 400 + (float)random_below(random, 56);
        }
    }
}

#endif
