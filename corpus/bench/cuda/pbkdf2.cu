// PBKDF2 with HMAC-SHA-256, as in ../pbkdf2.c: a block of 16 words and the state in registers. Key, salt
// and digest have lengths that are known, so that padding is constants.
#include "agent.cuh"

CONSTANT uint32_t constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

#ifdef __CUDACC__
#define UNROLL _Pragma("unroll")
#else
#define UNROLL
#endif

typedef struct {
    uint32_t h[8];
} State;

AGENT uint32_t rotate(uint32_t x, int n) {
    return x >> n | x << (32 - n);
}

AGENT State start(void) {
    State s = {{0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab,
                0x5be0cd19}};
    return s;
}

// The state after a block, of which `w` is used up.
AGENT State compress(State s, uint32_t w[16]) {
    uint32_t a = s.h[0], b = s.h[1], c = s.h[2], d = s.h[3];
    uint32_t e = s.h[4], f = s.h[5], g = s.h[6], h = s.h[7];
    UNROLL for (int i = 0; i < 64; i++) {
        if (i >= 16) {
            uint32_t x = w[(i + 1) % 16], y = w[(i + 14) % 16];
            w[i % 16] += w[(i + 9) % 16] + (rotate(x, 7) ^ rotate(x, 18) ^ x >> 3) +
                         (rotate(y, 17) ^ rotate(y, 19) ^ y >> 10);
        }
        uint32_t t1 = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) +
                      constants[i] + w[i % 16];
        uint32_t t2 = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
        h = g, g = f, f = e, e = d + t1;
        d = c, c = b, b = a, a = t1 + t2;
    }
    s.h[0] += a, s.h[1] += b, s.h[2] += c, s.h[3] += d;
    s.h[4] += e, s.h[5] += f, s.h[6] += g, s.h[7] += h;
    return s;
}

// The state after the block that pads a key of four words.
AGENT State padded(const uint32_t key[4], uint32_t pad) {
    uint32_t w[16];
    UNROLL for (int i = 0; i < 16; i++) {
        w[i] = (i < 4 ? key[i] : 0) ^ pad;
    }
    return compress(start(), w);
}

// The state after a digest, which ends a message of 96 bytes.
AGENT State last(State s, State digest) {
    uint32_t w[16];
    UNROLL for (int i = 0; i < 16; i++) {
        w[i] = i < 8 ? digest.h[i] : 0;
    }
    w[8] = 0x80000000, w[15] = 96 * 8;
    return compress(s, w);
}

AGENT uint32_t swapped(uint32_t x) {
    return x << 24 | (x << 8 & 0xff0000) | (x >> 8 & 0xff00) | x >> 24;
}

AGENT uint64_t run(uint32_t seed, uint32_t size, uint32_t *memory) {
    uint64_t random = random_from(seed);
    uint32_t secret[8];
    UNROLL for (int i = 0; i < 8; i++) {
        secret[i] = 0;
        UNROLL for (int j = 0; j < 4; j++) {
            secret[i] = secret[i] << 8 | (uint32_t)(random_bits(&random) & 255);
        }
    }
    State inner = padded(secret, 0x36363636), outer = padded(secret, 0x5c5c5c5c);
    uint32_t first[16] = {secret[4], secret[5], secret[6], secret[7], 1, 0x80000000};
    first[15] = (64 + 20) * 8;
    State u = last(outer, compress(inner, first)), sum = u;
    for (uint32_t n = 1; n < size; n++) {
        u = last(outer, last(inner, u));
        UNROLL for (int i = 0; i < 8; i++) {
            sum.h[i] ^= u.h[i];
        }
    }
    uint64_t hash = 0;
    UNROLL for (int i = 0; i < 8; i += 2) {
        hash = mix(hash, swapped(sum.h[i]) | (uint64_t)swapped(sum.h[i + 1]) << 32);
    }
    (void)memory;
    return hash;
}

KERNEL(0)
