// BLAKE3 (O'Connor, Aumasson, Neves, Wilcox-O'Hearn: BLAKE3, 2020) of `size` bytes, at most 262,144,
// one block after the other. 32-bit integer arithmetic; the chaining values of a tree on a stack.
#include "bench.h"

enum { BLOCK = 64, CHUNK = 1024, MAX_SIZE = 262144, MAX_DEPTH = 16 };
enum { CHUNK_START = 1, CHUNK_END = 2, PARENT = 4, ROOT = 8 };

static uint8_t data[MAX_SIZE];
static uint8_t digest[32];

static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                  0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
static const uint8_t permutation[16] = {2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8};

static inline uint32_t rotate_right(uint32_t x, int n) {
    return x >> n | x << (32 - n);
}

static inline void g(uint32_t v[16], int a, int b, int c, int d, uint32_t x, uint32_t y) {
    v[a] += v[b] + x;
    v[d] = rotate_right(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = rotate_right(v[b] ^ v[c], 12);
    v[a] += v[b] + y;
    v[d] = rotate_right(v[d] ^ v[a], 8);
    v[c] += v[d];
    v[b] = rotate_right(v[b] ^ v[c], 7);
}

// The compression function; the first half of its output becomes the chaining value.
static void compress(uint32_t chain[8], const uint32_t block[16], uint64_t counter, uint32_t size,
                     uint32_t flags) {
    uint32_t v[16], m[16], next[16];
    copy_bytes(v, chain, 32);
    copy_bytes(v + 8, start, 16);
    v[12] = (uint32_t)counter, v[13] = (uint32_t)(counter >> 32), v[14] = size, v[15] = flags;
    copy_bytes(m, block, 64);
    for (int round = 0; round < 7; round++) {
        g(v, 0, 4, 8, 12, m[0], m[1]), g(v, 1, 5, 9, 13, m[2], m[3]);
        g(v, 2, 6, 10, 14, m[4], m[5]), g(v, 3, 7, 11, 15, m[6], m[7]);
        g(v, 0, 5, 10, 15, m[8], m[9]), g(v, 1, 6, 11, 12, m[10], m[11]);
        g(v, 2, 7, 8, 13, m[12], m[13]), g(v, 3, 4, 9, 14, m[14], m[15]);
        for (int i = 0; i < 16; i++) {
            next[i] = m[permutation[i]];
        }
        copy_bytes(m, next, 64);
    }
    for (int i = 0; i < 8; i++) {
        chain[i] = v[i] ^ v[i + 8];
    }
}

static void hash_chunk(uint32_t chain[8], const uint8_t *bytes, size_t size, uint64_t number,
                       uint32_t flags) {
    copy_bytes(chain, start, 32);
    uint32_t first = CHUNK_START;
    do {
        uint32_t block[16];
        size_t take = size < BLOCK ? size : BLOCK;
        fill_bytes(block, 0, BLOCK);
        copy_bytes(block, bytes, take);
        bytes += take;
        size -= take;
        compress(chain, block, number, (uint32_t)take, first | (size ? 0 : CHUNK_END | flags));
        first = 0;
    } while (size);
}

static void hash_parent(uint32_t left[8], const uint32_t right[8], uint32_t flags) {
    uint32_t block[16];
    copy_bytes(block, left, 32);
    copy_bytes(block + 8, right, 32);
    copy_bytes(left, start, 32);
    compress(left, block, 0, BLOCK, PARENT | flags);
}

// The stack holds a subtree for each one in the binary representation of the number of chunks.
static void hash_tree(uint32_t root[8], const uint8_t *bytes, size_t size) {
    uint32_t stack[MAX_DEPTH][8];
    uint32_t depth = 0, last = size ? (uint32_t)((size - 1) / CHUNK) : 0;
    for (uint32_t number = 0; number < last; number++) {
        hash_chunk(stack[depth++], bytes + (size_t)number * CHUNK, CHUNK, number, 0);
        for (uint32_t n = number + 1; n % 2 == 0; n /= 2) {
            depth--;
            hash_parent(stack[depth - 1], stack[depth], 0);
        }
    }
    hash_chunk(root, bytes + (size_t)last * CHUNK, size - (size_t)last * CHUNK, last,
               depth ? 0 : ROOT);
    while (depth > 0) {
        uint32_t right[8];
        copy_bytes(right, root, 32);
        copy_bytes(root, stack[--depth], 32);
        hash_parent(root, right, depth ? 0 : ROOT);
    }
}

EXPORT(run) uint64_t run(uint32_t seed, uint32_t size) {
    Random random = random_from(seed);
    for (uint32_t i = 0; i < size; i += 8) {
        uint64_t word = random_bits(&random);
        copy_bytes(data + i, &word, 8);
    }
    uint32_t root[8];
    hash_tree(root, data, size);
    return mix_bytes(0, (const uint8_t *)root, 32);
}

// For test vectors: the host writes its bytes here.
EXPORT(buffer) uint8_t *buffer(void) {
    return data;
}

// Hashes the first `size` bytes of `buffer`; gives the address of the 32 bytes of the hash.
EXPORT(hash) uint8_t *hash(uint32_t size) {
    uint32_t root[8];
    hash_tree(root, data, size);
    copy_bytes(digest, root, 32);
    return digest;
}
