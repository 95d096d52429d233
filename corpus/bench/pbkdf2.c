// PBKDF2 with HMAC-SHA-256 (RFC 8018): a key from a password, in `size` iterations. 32-bit integer
// arithmetic in registers.
#include "hmac_sha256.h"

static uint8_t io[1024];

EXPORT(run) uint64_t run(uint32_t seed, uint32_t size) {
    Random random = random_from(seed);
    uint8_t secret[32], key[32];
    for (int i = 0; i < 32; i++) {
        secret[i] = (uint8_t)random_bits(&random);
    }
    pbkdf2(secret, 16, secret + 16, 16, size, key, 32);
    return mix_bytes(0, key, 32);
}

// For test vectors: the host writes password and salt to `buffer`, one after the other.
EXPORT(buffer) uint8_t *buffer(void) {
    return io;
}

// Puts `key_size` bytes at the start of `buffer`; everything together at most 1,024 bytes.
EXPORT(derive)
void derive(uint32_t password_size, uint32_t salt_size, uint32_t iterations, uint32_t key_size) {
    uint8_t key[256];
    pbkdf2(io, password_size, io + password_size, salt_size, iterations, key, key_size);
    copy_bytes(io, key, key_size);
}
