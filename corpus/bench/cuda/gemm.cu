// Products of matrices of 48 x 48, as in ../gemm.c: the matrices in global memory, a tile of 4 x 4 of the
// product in registers. Sums are in the same order, so they are the same bits.
#include "agent.cuh"

enum { N = 48, TILE = 4, CELLS = N * N };

#ifdef __CUDACC__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif

AGENT void multiply(const float *a, const float *b, float *c) {
    for (int i = 0; i < N; i += TILE) {
        for (int j = 0; j < N; j += TILE) {
            float sum[TILE][TILE] = {{0}};
            for (int k = 0; k < N; k++) {
                float row[TILE], column[TILE];
                UNROLL for (int n = 0; n < TILE; n++) {
                    row[n] = WORD(a, (i + n) * N + k);
                    column[n] = WORD(b, k * N + j + n);
                }
                UNROLL for (int y = 0; y < TILE; y++) {
                    UNROLL for (int x = 0; x < TILE; x++) {
                        sum[y][x] += row[y] * column[x];
                    }
                }
            }
            UNROLL for (int y = 0; y < TILE; y++) {
                UNROLL for (int x = 0; x < TILE; x++) {
                    WORD(c, (i + y) * N + j + x) = sum[y][x];
                }
            }
        }
    }
}

AGENT uint64_t run(uint32_t seed, uint32_t size, uint32_t *memory) {
    float *a = (float *)memory, *b = a + CELLS * LANES, *c = b + CELLS * LANES;
    uint64_t random = random_from(seed);
    for (int i = 0; i < CELLS; i++) {
        WORD(a, i) = (float)(random_unit(&random) - 0.5) / 4;
        WORD(b, i) = (float)(random_unit(&random) - 0.5);
    }
    for (uint32_t n = 0; n < size; n++) {
        multiply(a, b, c);
        for (int j = 0; j < N; j++) {
            WORD(a, n % N * N + j) = WORD(c, n % N * N + j);
        }
    }
    const uint32_t *words = memory + 2 * CELLS * LANES;
    uint64_t hash = 0;
    for (int i = 0; i < CELLS; i += 2) {
        hash = mix(hash, WORD(words, i) | (uint64_t)WORD(words, i + 1) << 32);
    }
    return hash;
}

KERNEL(3 * CELLS)
