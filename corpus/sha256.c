// Prints the SHA-256 of stdin, or of each argument, as sha256sum does.
#include "sha256.h"

#include <stdio.h>

static void print_digest(Sha256 *s, const char *name) {
    uint8_t digest[32];
    sha256_final(s, digest);
    for (int i = 0; i < 32; i++) {
        printf("%02x", digest[i]);
    }
    printf("  %s\n", name);
}

int main(int argc, char **argv) {
    Sha256 s;
    for (int i = 1; i < argc; i++) {
        sha256_init(&s);
        sha256_update(&s, (const uint8_t *)argv[i], strlen(argv[i]));
        print_digest(&s, argv[i]);
    }
    if (argc < 2) {
        uint8_t buffer[1024];
        size_t got;
        sha256_init(&s);
        while ((got = fread(buffer, 1, sizeof buffer, stdin)) > 0) {
            sha256_update(&s, buffer, got);
        }
        print_digest(&s, "-");
    }
    return 0;
}
