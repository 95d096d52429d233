// Pure functions without libc and without imports, for `--invoke`.
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name)))

EXPORT("fib") int32_t fib(int32_t n) {
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

EXPORT("factorial") uint64_t factorial(uint32_t n) {
    uint64_t product = 1;
    for (uint32_t i = 2; i <= n; i++) {
        product *= i;
    }
    return product;
}

EXPORT("gcd") uint32_t gcd(uint32_t a, uint32_t b) {
    while (b) {
        uint32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

// Steps until n reaches 1 when odd n become 3n + 1 and even n are halved.
EXPORT("collatz") int32_t collatz(uint64_t n) {
    int32_t steps = 0;
    while (n > 1) {
        n = n & 1 ? 3 * n + 1 : n >> 1;
        steps++;
    }
    return steps;
}

EXPORT("count_primes") int32_t count_primes(int32_t below) {
    int32_t count = 0;
    for (int32_t n = 2; n < below; n++) {
        int32_t d = 2;
        while (d * d <= n && n % d) {
            d++;
        }
        count += d * d > n;
    }
    return count;
}

// A thousand rounds of a 64-bit mixer, folded to 32 bits: some work of even length.
EXPORT("work") int32_t work(int32_t seed) {
    uint64_t x = (uint32_t)seed;
    for (int i = 0; i < 1000; i++) {
        x += 0x9e3779b97f4a7c15u;
        x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
        x ^= x >> 27;
    }
    return (int32_t)(x ^ x >> 32);
}

// Work of uneven length: `rounds` turns of an empty loop that the compiler may not remove.
EXPORT("spin") int64_t spin(int64_t rounds) {
    int64_t sum = 0;
    for (int64_t i = 0; i < rounds; i++) {
        sum = (sum ^ i) * 31;
    }
    return sum;
}

EXPORT("square_root") double square_root(double x) {
    return __builtin_sqrt(x);
}

// The integral of 4 / (1 + x*x) over 0 .. 1 by the midpoint rule.
EXPORT("pi") double pi(int32_t steps) {
    double sum = 0;
    for (int32_t i = 0; i < steps; i++) {
        double x = (i + 0.5) / steps;
        sum += 4 / (1 + x * x);
    }
    return sum / steps;
}

EXPORT("average") float average(float a, float b) {
    return a + (b - a) * 0.5f;
}

static uint8_t buffer[4096];

EXPORT("buffer") uint8_t *buffer_address(void) {
    return buffer;
}

// FNV-1a over the first `size` bytes of the buffer that the host has filled.
EXPORT("hash_buffer") uint32_t hash_buffer(uint32_t size) {
    uint32_t hash = 2166136261u;
    for (uint32_t i = 0; i < size && i < sizeof buffer; i++) {
        hash = (hash ^ buffer[i]) * 16777619u;
    }
    return hash;
}

// Calls since the agent was made: state that stays from one dispatch to the next.
EXPORT("count") int32_t count(void) {
    static int32_t calls;
    return ++calls;
}
