// One WASI call a subcommand: `wasi args|env|cat|exit|stderr|random|clock|abort|flood|open [...]`.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static int cat(void) {
    char buffer[97];  // an odd size, so that reads end in the middle of lines
    ssize_t got;
    while ((got = read(0, buffer, sizeof buffer)) > 0) {
        if (write(1, buffer, (size_t)got) != got) {
            return 1;
        }
    }
    return got < 0;
}

static int print_random(int count) {
    for (int i = 0; i < count; i++) {
        unsigned char byte;
        if (getentropy(&byte, 1) != 0) {
            return 1;
        }
        printf("%02x", byte);
    }
    putchar('\n');
    return 0;
}

static int print_clocks(void) {
    struct timespec wall, steady, later;
    clock_gettime(CLOCK_REALTIME, &wall);
    clock_gettime(CLOCK_MONOTONIC, &steady);
    clock_gettime(CLOCK_MONOTONIC, &later);
    int forward = later.tv_sec > steady.tv_sec ||
                  (later.tv_sec == steady.tv_sec && later.tv_nsec >= steady.tv_nsec);
    printf("realtime %lld.%09ld, monotonic %s\n", (long long)wall.tv_sec, wall.tv_nsec,
           forward ? "never runs back" : "ran back");
    return !forward;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "args";
    int number = argc > 2 ? atoi(argv[2]) : 0;
    if (!strcmp(what, "args")) {
        for (int i = 1; i < argc; i++) {
            printf("%d %s\n", i, argv[i]);
        }
        printf("%d arguments\n", argc - 1);
    } else if (!strcmp(what, "env")) {
        for (char **e = environ; *e; e++) {
            puts(*e);
        }
    } else if (!strcmp(what, "cat")) {
        return cat();
    } else if (!strcmp(what, "exit")) {
        exit(number);
    } else if (!strcmp(what, "stderr")) {
        fputs("to stderr\n", stderr);
        puts("to stdout");
    } else if (!strcmp(what, "random")) {
        return print_random(number ? number : 16);
    } else if (!strcmp(what, "clock")) {
        return print_clocks();
    } else if (!strcmp(what, "abort")) {
        abort();
    } else if (!strcmp(what, "flood")) {
        for (int i = 0; i < number; i++) {
            printf("line %d\n", i);
        }
    } else if (!strcmp(what, "open")) {
        FILE *f = fopen("/file", "r");
        puts(f ? "opened" : "no file to open");
    } else {
        fputs("usage: wasi args|env|cat|exit|stderr|random|clock|abort|flood|open [...]\n", stderr);
        return 2;
    }
    return 0;
}
