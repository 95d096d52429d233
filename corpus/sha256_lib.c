// SHA-256 as a library (a WASI reactor): the host writes into the agent's memory and calls.
//
//   p = alloc(n); write n bytes at p; d = sha256(p, n); read 32 bytes at d
// or, in pieces:
//   s = start(); update(s, p, n) ...; d = finish(s)
#include "sha256.h"

#include <stdlib.h>

#define EXPORT(name) __attribute__((export_name(name)))

EXPORT("alloc") void *alloc(size_t size) {
    return malloc(size);
}

EXPORT("release") void release(void *p) {
    free(p);
}

EXPORT("start") Sha256 *start(void) {
    Sha256 *s = malloc(sizeof *s);
    if (s) {
        sha256_init(s);
    }
    return s;
}

EXPORT("update") void update(Sha256 *s, const uint8_t *data, size_t size) {
    sha256_update(s, data, size);
}

// Writes the digest over the state, which the caller releases, and returns its address.
EXPORT("finish") uint8_t *finish(Sha256 *s) {
    uint8_t digest[32];
    sha256_final(s, digest);
    return memcpy(s, digest, sizeof digest);
}

EXPORT("sha256") uint8_t *sha256(const uint8_t *data, size_t size) {
    static uint8_t digest[32];
    Sha256 s;
    sha256_init(&s);
    sha256_update(&s, data, size);
    sha256_final(&s, digest);
    return digest;
}

// First four bytes of the SHA-256 of the decimal digits of `seed`: a pure function to sweep.
EXPORT("digest_of_number") uint32_t digest_of_number(uint32_t seed) {
    uint8_t text[10];
    size_t at = sizeof text;
    do {
        text[--at] = (uint8_t)('0' + seed % 10);
        seed /= 10;
    } while (seed);
    const uint8_t *d = sha256(text + at, sizeof text - at);
    return (uint32_t)d[0] << 24 | (uint32_t)d[1] << 16 | (uint32_t)d[2] << 8 | d[3];
}
