// What the workloads share: exports, pseudo-random inputs, and the checksum they return.
//
// A workload is one C file that exports `uint64_t run(uint32_t seed, uint32_t size)`: it makes its
// input from the seed, does work that grows with the size, and returns a checksum of everything it
// computed. It sets all the memory that it reads, so one instance can run again and again. The same
// file is compiled to WebAssembly and, for comparison, to a native library.
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __wasm__
#define EXPORT(name) __attribute__((export_name(#name)))
#else
#define EXPORT(name) __attribute__((visibility("default")))
#endif

#define copy_bytes __builtin_memcpy
#define fill_bytes __builtin_memset

// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
typedef struct {
    uint64_t state;
} Random;

static inline uint64_t scramble(uint64_t z) {
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static inline Random random_from(uint32_t seed) {
    return (Random){scramble(seed + UINT64_C(0x9e3779b97f4a7c15))};
}

static inline uint64_t random_bits(Random *r) {
    return scramble(r->state += 0x9e3779b97f4a7c15u);
}

// A number from 0 to `bound` - 1.
static inline uint32_t random_below(Random *r, uint32_t bound) {
    return (uint32_t)((random_bits(r) >> 32) * bound >> 32);
}

// A number from 0 up to 1, exactly representable.
static inline double random_unit(Random *r) {
    return (double)(int64_t)(random_bits(r) >> 11) * 0x1p-53;
}

static inline uint64_t mix(uint64_t hash, uint64_t value) {
    return (hash ^ value) * 0x9e3779b97f4a7c15u ^ hash >> 29;
}

// The checksum of `size` bytes, eight at a time.
static inline uint64_t mix_bytes(uint64_t hash, const uint8_t *data, size_t size) {
    for (; size >= 8; size -= 8, data += 8) {
        uint64_t word;
        copy_bytes(&word, data, 8);
        hash = mix(hash, word);
    }
    while (size-- > 0) {
        hash = mix(hash, *data++);
    }
    return hash;
}

#endif
