// Splits stdin into words, numbers and signs, counts the words in a hash table and prints the
// most frequent: `tokeniser [TOP]`, 8 by default.
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    char *word;
    unsigned hash, count;
} Entry;

typedef struct {
    Entry *entries;
    size_t capacity, used;  // capacity is a power of two
} Table;

static void *allocate(size_t count, size_t size) {
    void *p = calloc(count, size);
    if (!p) {
        fputs("out of memory\n", stderr);
        exit(1);
    }
    return p;
}

static unsigned hash_of(const char *text, size_t length) {
    unsigned hash = 2166136261u;
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    }
    return hash;
}

static Entry *find(Table *t, const char *text, size_t length, unsigned hash) {
    size_t at = hash & (t->capacity - 1);
    while (t->entries[at].word) {
        Entry *e = &t->entries[at];
        if (e->hash == hash && strlen(e->word) == length && !memcmp(e->word, text, length)) {
            break;
        }
        at = (at + 1) & (t->capacity - 1);
    }
    return &t->entries[at];
}

static void grow(Table *t) {
    Table bigger = {allocate(t->capacity * 2, sizeof(Entry)), t->capacity * 2, t->used};
    for (size_t i = 0; i < t->capacity; i++) {
        Entry *e = &t->entries[i];
        if (e->word) {
            *find(&bigger, e->word, strlen(e->word), e->hash) = *e;
        }
    }
    free(t->entries);
    *t = bigger;
}

static void count_word(Table *t, const char *text, size_t length) {
    unsigned hash = hash_of(text, length);
    Entry *e = find(t, text, length, hash);
    if (!e->word) {
        e->word = allocate(length + 1, 1);
        memcpy(e->word, text, length);
        e->hash = hash;
        t->used++;
    }
    e->count++;
    if (t->used * 4 > t->capacity * 3) {
        grow(t);
    }
}

static int more_frequent(const void *a, const void *b) {
    const Entry *x = a, *y = b;
    if (x->count != y->count) {
        return x->count < y->count ? 1 : -1;
    }
    return x->word && y->word ? strcmp(x->word, y->word) : 0;
}

static char *read_all(size_t *length) {
    size_t capacity = 256;
    char *text = malloc(capacity);
    *length = 0;
    while (text) {
        size_t got = fread(text + *length, 1, capacity - *length - 1, stdin);
        if (got == 0) {
            text[*length] = 0;
            return text;
        }
        *length += got;
        if (*length + 1 == capacity) {
            text = realloc(text, capacity *= 2);
        }
    }
    fputs("out of memory\n", stderr);
    exit(1);
}

int main(int argc, char **argv) {
    size_t length, top = argc > 1 ? strtoul(argv[1], NULL, 10) : 8;
    const char *text = read_all(&length), *end = text + length;
    Table table = {allocate(16, sizeof(Entry)), 16, 0};
    unsigned words = 0, numbers = 0, signs = 0, lines = 0;
    double sum = 0;
    for (const char *p = text; p < end;) {
        if (isalpha((unsigned char)*p) || *p == '_') {
            const char *start = p;
            while (p < end && (isalnum((unsigned char)*p) || *p == '_')) p++;
            count_word(&table, start, (size_t)(p - start));
            words++;
        } else if (isdigit((unsigned char)*p)) {
            char *after;
            sum += strtod(p, &after);
            p = after;
            numbers++;
        } else {
            lines += *p == '\n';
            signs += ispunct((unsigned char)*p) != 0;
            p++;
        }
    }
    printf("lines %u, words %u, distinct %zu, numbers %u, sum %g, signs %u\n", lines, words,
           table.used, numbers, sum, signs);
    qsort(table.entries, table.capacity, sizeof(Entry), more_frequent);
    for (size_t i = 0; i < top && i < table.used; i++) {
        printf("%6u %s\n", table.entries[i].count, table.entries[i].word);
    }
    return 0;
}
