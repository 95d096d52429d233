// Moves 256 KiB from one array to another, `size` times: now as a block, now word by word with a
// little arithmetic. Nothing but the bandwidth of memory.
#include "bench.h"

enum { WORDS = 32768 };

static uint64_t from[WORDS], to[WORDS];

// Twice the first array plus the second, into the second.
static void add_up(void) {
    for (int i = 0; i < WORDS; i++) {
        to[i] += 2 * from[i];
    }
}

EXPORT(run) uint64_t run(uint32_t seed, uint32_t size) {
    Random random = random_from(seed);
    for (int i = 0; i < WORDS; i++) {
        from[i] = random.state += 0x9e3779b97f4a7c15u;
    }
    for (uint32_t i = 0; i < size; i++) {
        copy_bytes(to, from, sizeof to);
        from[i % WORDS] += to[(i * 37 + 1) % WORDS];
        add_up();
        copy_bytes(from, to, sizeof from);
    }
    uint64_t hash = 0;
    for (int i = 0; i < WORDS; i += 8) {
        hash = mix(hash, to[i]);
    }
    return hash;
}

// For tests: the first array, of 32,768 words of 64 bits.
EXPORT(buffer) uint8_t *buffer(void) {
    return (uint8_t *)from;
}
