// Percentiles of 16,384 numbers, `size` times: a histogram of 512 bins over a range that a first one
// finds, its running sum, and a straight line within a bin. f32 to integer, scattered increments.
#include "bench.h"

enum { COUNT = 16384, BINS = 512, PERCENTILES = 7 };

static float values[COUNT], found[PERCENTILES];
static uint32_t bins[BINS];

static const float wanted[PERCENTILES] = {1, 5, 25, 50, 75, 95, 99};

static void find_percentiles(const float *data, uint32_t count) {
    float low = data[0], high = data[0];
    for (uint32_t i = 1; i < count; i++) {
        low = data[i] < low ? data[i] : low;
        high = data[i] > high ? data[i] : high;
    }
    float width = (high - low) / BINS, scale = high > low ? BINS / (high - low) : 0;
    fill_bytes(bins, 0, sizeof bins);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t bin = (uint32_t)((data[i] - low) * scale);
        bins[bin < BINS ? bin : BINS - 1]++;
    }
    uint32_t below = 0, bin = 0;
    for (int i = 0; i < PERCENTILES; i++) {
        float rank = wanted[i] / 100 * (float)count;
        while (bin < BINS - 1 && (float)(below + bins[bin]) < rank) {
            below += bins[bin++];
        }
        float part = bins[bin] ? (rank - (float)below) / (float)bins[bin] : 0;
        found[i] = low + ((float)bin + part) * width;
    }
}

EXPORT(run) uint64_t run(uint32_t seed, uint32_t size) {
    Random random = random_from(seed);
    for (int i = 0; i < COUNT; i++) {  // sums of four: nearly normal
        uint64_t bits = random_bits(&random);
        uint32_t sum = (uint32_t)(bits & 0xffff) + (uint32_t)(bits >> 16 & 0xffff) +
                       (uint32_t)(bits >> 32 & 0xffff) + (uint32_t)(bits >> 48);
        values[i] = (float)sum;
    }
    uint64_t hash = 0;
    for (uint32_t i = 0; i < size; i++) {
        uint32_t skipped = i % 64;
        find_percentiles(values + skipped, COUNT - 64);
        hash = mix_bytes(hash, (const uint8_t *)found, sizeof found);
    }
    return hash;
}

// For tests: the values, at most 16,384 f32.
EXPORT(buffer) uint8_t *buffer(void) {
    return (uint8_t *)values;
}

// Gives the address of seven f32: the percentiles 1, 5, 25, 50, 75, 95, 99 of the first values.
EXPORT(percentiles) uint8_t *percentiles(uint32_t count) {
    find_percentiles(values, count);
    return (uint8_t *)found;
}
