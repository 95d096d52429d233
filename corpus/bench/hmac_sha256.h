// SHA-256 (FIPS 180-4), HMAC (RFC 2104) and PBKDF2 (RFC 8018), for pbkdf2.c and scrypt.c.
#ifndef HMAC_SHA256_H
#define HMAC_SHA256_H

#include "bench.h"

typedef struct {
    uint32_t state[8];
    uint64_t length;  // bytes taken in so far
    uint8_t block[64];
} Sha256;

// The states after the first block of the inner and of the outer hash: they depend on the key alone.
typedef struct {
    Sha256 inner, outer;
} Hmac;

static const uint32_t sha256_start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};

static const uint32_t sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

static inline uint32_t rotate_right(uint32_t x, int n) {
    return x >> n | x << (32 - n);
}

static inline uint32_t load_big(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static inline void store_big(uint8_t *p, uint32_t x) {
    for (int i = 0; i < 4; i++) {
        p[i] = (uint8_t)(x >> (24 - 8 * i));
    }
}

static void sha256_block(uint32_t state[8], const uint8_t *p) {
    uint32_t w[64];
    for (int i = 0; i < 16; i++) {
        w[i] = load_big(p + 4 * i);
    }
    for (int i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (rotate_right(a, 7) ^ rotate_right(a, 18) ^ a >> 3) +
               (rotate_right(b, 17) ^ rotate_right(b, 19) ^ b >> 10);
    }
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int i = 0; i < 64; i++) {
        uint32_t t1 = h + (rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25)) +
                      ((e & f) ^ (~e & g)) + sha256_k[i] + w[i];
        uint32_t t2 = (rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22)) +
                      ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + t1;
        d = c, c = b, b = a, a = t1 + t2;
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

static void sha256_init(Sha256 *s) {
    copy_bytes(s->state, sha256_start, sizeof sha256_start);
    s->length = 0;
}

static void sha256_update(Sha256 *s, const uint8_t *data, size_t size) {
    while (size > 0) {
        size_t have = s->length % 64, take = 64 - have < size ? 64 - have : size;
        copy_bytes(s->block + have, data, take);
        s->length += take;
        data += take;
        size -= take;
        if (have + take == 64) {
            sha256_block(s->state, s->block);
        }
    }
}

static void sha256_final(Sha256 *s, uint8_t digest[32]) {
    size_t have = s->length % 64;
    s->block[have++] = 0x80;
    if (have > 56) {
        fill_bytes(s->block + have, 0, 64 - have);
        sha256_block(s->state, s->block);
        have = 0;
    }
    fill_bytes(s->block + have, 0, 56 - have);
    store_big(s->block + 56, (uint32_t)(s->length >> 29));
    store_big(s->block + 60, (uint32_t)(s->length << 3));
    sha256_block(s->state, s->block);
    for (int i = 0; i < 8; i++) {
        store_big(digest + 4 * i, s->state[i]);
    }
}

static void hmac_init(Hmac *mac, const uint8_t *key, size_t size) {
    uint8_t block[64];
    fill_bytes(block, 0, sizeof block);
    if (size > 64) {
        sha256_init(&mac->inner);
        sha256_update(&mac->inner, key, size);
        sha256_final(&mac->inner, block);
    } else {
        copy_bytes(block, key, size);
    }
    for (int i = 0; i < 64; i++) {
        block[i] ^= 0x36;
    }
    sha256_init(&mac->inner);
    sha256_update(&mac->inner, block, 64);
    for (int i = 0; i < 64; i++) {
        block[i] ^= 0x36 ^ 0x5c;
    }
    sha256_init(&mac->outer);
    sha256_update(&mac->outer, block, 64);
}

// The MAC of a message that `inner` has taken in, after what `mac` holds.
static void hmac_final(const Hmac *mac, Sha256 *inner, uint8_t digest[32]) {
    sha256_final(inner, digest);
    Sha256 outer = mac->outer;
    sha256_update(&outer, digest, 32);
    sha256_final(&outer, digest);
}

static void pbkdf2(const uint8_t *password, size_t password_size, const uint8_t *salt,
                   size_t salt_size, uint32_t iterations, uint8_t *key, size_t key_size) {
    Hmac mac;
    hmac_init(&mac, password, password_size);
    for (uint32_t number = 1; key_size > 0; number++) {
        uint8_t counter[4], u[32], sum[32];
        store_big(counter, number);
        Sha256 hash = mac.inner;
        sha256_update(&hash, salt, salt_size);
        sha256_update(&hash, counter, 4);
        hmac_final(&mac, &hash, u);
        copy_bytes(sum, u, 32);
        for (uint32_t i = 1; i < iterations; i++) {
            hash = mac.inner;
            sha256_update(&hash, u, 32);
            hmac_final(&mac, &hash, u);
            for (int j = 0; j < 32; j++) {
                sum[j] ^= u[j];
            }
        }
        size_t take = key_size < 32 ? key_size : 32;
        copy_bytes(key, sum, take);
        key += take;
        key_size -= take;
    }
}

#endif
