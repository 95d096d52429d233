// Sorts pseudo-random numbers with quicksort: `quicksort [SEED [COUNT]]`.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint32_t next_random(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*state >> 33);
}

static void insertion_sort(uint32_t *a, int n) {
    for (int i = 1; i < n; i++) {
        uint32_t value = a[i];
        int j = i;
        for (; j > 0 && a[j - 1] > value; j--) {
            a[j] = a[j - 1];
        }
        a[j] = value;
    }
}

static uint32_t median_of_three(uint32_t a, uint32_t b, uint32_t c) {
    uint32_t low = a < b ? a : b, high = a < b ? b : a;
    return c < low ? low : c > high ? high : c;
}

static void quicksort(uint32_t *a, int n) {
    while (n > 16) {
        uint32_t pivot = median_of_three(a[0], a[n / 2], a[n - 1]);
        int i = 0, j = n - 1;
        for (;;) {
            while (a[i] < pivot) i++;
            while (a[j] > pivot) j--;
            if (i >= j) break;
            uint32_t swap = a[i];
            a[i++] = a[j];
            a[j--] = swap;
        }
        // Recurse into the smaller part and loop on the larger: the stack stays logarithmic.
        int left = j + 1, right = n - left;
        if (left < right) {
            quicksort(a, left);
            a += left;
            n = right;
        } else {
            quicksort(a + left, right);
            n = left;
        }
    }
    insertion_sort(a, n);
}

// Sorts `count` numbers made from `seed` and returns a hash of the result; 0 if it is unsorted.
__attribute__((export_name("sort_hash"))) uint32_t sort_hash(uint32_t seed, int count) {
    uint32_t *a = malloc((size_t)count * sizeof *a);
    if (!a) {
        return 0;
    }
    uint64_t state = seed;
    for (int i = 0; i < count; i++) {
        a[i] = next_random(&state);
    }
    quicksort(a, count);
    uint32_t hash = 2166136261u;
    for (int i = 0; i < count; i++) {
        if (i > 0 && a[i - 1] > a[i]) {
            free(a);
            return 0;
        }
        hash = (hash ^ a[i]) * 16777619u;
    }
    free(a);
    return hash;
}

int main(int argc, char **argv) {
    uint32_t seed = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1;
    int count = argc > 2 ? atoi(argv[2]) : 1000;
    if (count < 1 || count > 10000000) {
        fputs("usage: quicksort [SEED [COUNT(1..10000000)]]\n", stderr);
        return 2;
    }
    uint32_t hash = sort_hash(seed, count);
    printf("seed %u, %d numbers, hash %08x\n", seed, count, hash);
    return hash == 0;
}
