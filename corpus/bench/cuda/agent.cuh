// What the handwritten kernels share. Each does what the workload of the same name does, the same bits,
// as one would write it for a GPU: one thread an agent, data in registers where it fits, else in global
// memory, where the 32 agents of a warp have every 32nd word.
//
// The same file is C, with a loop over the agents in place of the kernel: that is how results are
// checked where there is no GPU.
#ifndef AGENT_CUH
#define AGENT_CUH

#ifdef __CUDACC__
typedef unsigned int uint32_t;
typedef unsigned long long uint64_t;
typedef long long int64_t;
#define AGENT static __device__ __forceinline__
#define CONSTANT static __constant__
#define LANES 32
#else
#include <stdint.h>
#define AGENT static inline
#define CONSTANT static const
#define LANES 1
#endif

// A word of the agent's in global memory.
#define WORD(memory, i) ((memory)[(i) * LANES])

// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
AGENT uint64_t scramble(uint64_t z) {
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

AGENT uint64_t random_from(uint32_t seed) {
    return scramble(seed + 0x9e3779b97f4a7c15u);
}

AGENT uint64_t random_bits(uint64_t *random) {
    return scramble(*random += 0x9e3779b97f4a7c15u);
}

// A number from 0 up to 1, exactly representable.
AGENT double random_unit(uint64_t *random) {
    return (double)(int64_t)(random_bits(random) >> 11) * 0x1p-53;
}

AGENT uint64_t mix(uint64_t hash, uint64_t value) {
    return (hash ^ value) * 0x9e3779b97f4a7c15u ^ hash >> 29;
}

// What a launch is given.
typedef struct {
    const uint32_t *seeds;
    uint64_t size, count;
    uint64_t *results;
    uint32_t *memory;  // as many words an agent as KERNEL says
} Job;

#ifdef __CUDACC__
#define KERNEL(words)                                                                              \
    extern "C" __global__ void __launch_bounds__(128) agents(const Job *job) {                     \
        uint32_t i = blockIdx.x * blockDim.x + threadIdx.x;                                        \
        if (i < job->count) {                                                                      \
            uint32_t *memory = job->memory + (uint64_t)(i / LANES) * LANES * (words) + i % LANES;  \
            job->results[i] = run(job->seeds[i], (uint32_t)job->size, memory);                     \
        }                                                                                          \
    }                                                                                              \
    extern "C" __device__ const uint32_t agent_words = words;
#else
#define KERNEL(words)                                                                              \
    __attribute__((visibility("default"))) void agents(const Job *job) {                           \
        for (uint64_t i = 0; i < job->count; i++) {                                                \
            job->results[i] = run(job->seeds[i], (uint32_t)job->size, job->memory);                \
        }                                                                                          \
    }                                                                                              \
    __attribute__((visibility("default"))) const uint32_t agent_words = words;
#endif

#endif
