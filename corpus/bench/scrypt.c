// scrypt (RFC 7914) with cost `size` (a power of two up to 1,024), block size 8 and no parallelism:
// a key from a password. At cost 1,024 an agent mixes one mebibyte of memory in unforeseeable order.
#include "hmac_sha256.h"

enum { MAX_COST = 1024, MAX_BLOCK = 8, MAX_PARALLEL = 16, WORDS = 32 * MAX_BLOCK };

static uint32_t table[MAX_COST * WORDS];
static uint8_t blocks[MAX_PARALLEL * 4 * WORDS];
static uint8_t io[1024];

static inline uint32_t rotate(uint32_t x, int n) {
    return x << n | x >> (32 - n);
}

static inline void quarter(uint32_t x[16], int a, int b, int c, int d) {
    x[b] ^= rotate(x[a] + x[d], 7);
    x[c] ^= rotate(x[b] + x[a], 9);
    x[d] ^= rotate(x[c] + x[b], 13);
    x[a] ^= rotate(x[d] + x[c], 18);
}

// Salsa20/8 Core, on state ^ input; the result is left in `state`.
static void salsa(uint32_t state[16], const uint32_t input[16]) {
    uint32_t x[16];
    for (int i = 0; i < 16; i++) {
        x[i] = state[i] ^= input[i];
    }
    for (int round = 0; round < 4; round++) {
        quarter(x, 0, 4, 8, 12), quarter(x, 5, 9, 13, 1);
        quarter(x, 10, 14, 2, 6), quarter(x, 15, 3, 7, 11);
        quarter(x, 0, 1, 2, 3), quarter(x, 5, 6, 7, 4);
        quarter(x, 10, 11, 8, 9), quarter(x, 15, 12, 13, 14);
    }
    for (int i = 0; i < 16; i++) {
        state[i] += x[i];
    }
}

// scryptBlockMix: 2 * r blocks of 16 words; those of even number come to lie before those of odd.
static void block_mix(const uint32_t *in, uint32_t *out, uint32_t r) {
    uint32_t x[16];
    copy_bytes(x, in + (2 * r - 1) * 16, sizeof x);
    for (uint32_t i = 0; i < 2 * r; i++) {
        salsa(x, in + i * 16);
        copy_bytes(out + (i / 2 + i % 2 * r) * 16, x, sizeof x);
    }
}

// scryptROMix. Words of memory are little-endian, as those of WebAssembly and of x86 are.
static void rom_mix(uint8_t *block, uint32_t cost, uint32_t r) {
    uint32_t x[WORDS], y[WORDS], words = 32 * r;
    copy_bytes(x, block, 4 * words);
    for (uint32_t i = 0; i < cost; i++) {
        copy_bytes(table + i * words, x, 4 * words);
        block_mix(x, y, r);
        copy_bytes(x, y, 4 * words);
    }
    for (uint32_t i = 0; i < cost; i++) {
        const uint32_t *v = table + (x[words - 16] & (cost - 1)) * words;
        for (uint32_t j = 0; j < words; j++) {
            x[j] ^= v[j];
        }
        block_mix(x, y, r);
        copy_bytes(x, y, 4 * words);
    }
    copy_bytes(block, x, 4 * words);
}

static void scrypt(const uint8_t *password, size_t password_size, const uint8_t *salt,
                   size_t salt_size, uint32_t cost, uint32_t r, uint32_t p, uint8_t *key,
                   size_t key_size) {
    size_t size = (size_t)128 * r;
    pbkdf2(password, password_size, salt, salt_size, 1, blocks, p * size);
    for (uint32_t i = 0; i < p; i++) {
        rom_mix(blocks + i * size, cost, r);
    }
    pbkdf2(password, password_size, blocks, p * size, 1, key, key_size);
}

EXPORT(run) uint64_t run(uint32_t seed, uint32_t size) {
    Random random = random_from(seed);
    uint8_t secret[32], key[32];
    for (int i = 0; i < 32; i++) {
        secret[i] = (uint8_t)random_bits(&random);
    }
    scrypt(secret, 16, secret + 16, 16, size, MAX_BLOCK, 1, key, 32);
    return mix_bytes(0, key, 32);
}

// For test vectors: the host writes password and salt to `buffer`, one after the other.
EXPORT(buffer) uint8_t *buffer(void) {
    return io;
}

// Puts `key_size` bytes, at most 256, at the start of `buffer`.
EXPORT(derive)
void derive(uint32_t password_size, uint32_t salt_size, uint32_t cost, uint32_t r, uint32_t p,
            uint32_t key_size) {
    uint8_t key[256];
    scrypt(io, password_size, io + password_size, salt_size, cost, r, p, key, key_size);
    copy_bytes(io, key, key_size);
}
