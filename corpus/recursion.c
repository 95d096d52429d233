// Deep and branching recursion: `recursion [ackermann M N | hanoi DISKS | queens SIZE]`.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT(name) __attribute__((export_name(name)))

EXPORT("ackermann") unsigned ackermann(unsigned m, unsigned n) {
    if (m == 0) {
        return n + 1;
    }
    return ackermann(m - 1, n == 0 ? 1 : ackermann(m, n - 1));
}

static unsigned long long move(int disks, int from, int to, unsigned char *height) {
    if (disks == 0) {
        return 0;
    }
    int spare = 3 - from - to;
    unsigned long long moves = move(disks - 1, from, spare, height);
    height[from]--;
    height[to]++;
    return moves + 1 + move(disks - 1, spare, to, height);
}

// Number of moves that carry a tower of `disks` from the first peg to the third; 0 if it fails.
EXPORT("hanoi") unsigned long long hanoi(int disks) {
    unsigned char height[3] = {(unsigned char)disks, 0, 0};
    unsigned long long moves = move(disks, 0, 2, height);
    return height[2] == disks ? moves : 0;
}

static int place(unsigned columns, unsigned left, unsigned right, unsigned full) {
    if (columns == full) {
        return 1;
    }
    int found = 0;
    for (unsigned free = full & ~(columns | left | right); free; free &= free - 1) {
        unsigned bit = free & -free;
        found += place(columns | bit, (left | bit) << 1, (right | bit) >> 1, full);
    }
    return found;
}

// Number of ways to place `size` queens on a board so that none attacks another.
EXPORT("queens") int queens(int size) {
    return size < 1 || size > 31 ? 0 : place(0, 0, 0, (1u << size) - 1);
}

// True if n is even, by two functions that call each other: depth n.
EXPORT("is_even") int is_even(unsigned n);

__attribute__((noinline)) static int is_odd(unsigned n) {
    volatile unsigned kept = n;  // used after the call, so it is no tail call and no loop
    return n == 0 ? 0 : is_even(n - 1) && kept;
}

__attribute__((noinline)) int is_even(unsigned n) {
    volatile unsigned kept = n + 1;
    return n == 0 ? 1 : is_odd(n - 1) && kept;
}

int main(int argc, char **argv) {
    if (argc == 4 && !strcmp(argv[1], "ackermann")) {
        printf("%u\n", ackermann((unsigned)atoi(argv[2]), (unsigned)atoi(argv[3])));
    } else if (argc == 3 && !strcmp(argv[1], "hanoi")) {
        printf("%llu\n", hanoi(atoi(argv[2])));
    } else if (argc == 3 && !strcmp(argv[1], "queens")) {
        printf("%d\n", queens(atoi(argv[2])));
    } else if (argc == 1) {
        printf("ackermann(2, 9) = %u\n", ackermann(2, 9));
        printf("hanoi(12) = %llu\n", hanoi(12));
        printf("queens(7) = %d\n", queens(7));
        printf("is_even(200) = %d\n", is_even(200));
    } else {
        fputs("usage: recursion [ackermann M N | hanoi DISKS | queens SIZE]\n", stderr);
        return 2;
    }
    return 0;
}
