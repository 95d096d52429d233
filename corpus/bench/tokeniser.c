// Splits a program text of 8,192 bytes into words, numbers, strings and signs, `size` times, and
// counts each in a hash table with linear probing. Bytes, comparisons and branches.
#include "text.h"

enum { TEXT = 8192, SLOTS = 2048 };

typedef struct {
    uint32_t hash, start, size, count;  // count 0: the slot is free
} Slot;

static uint8_t text[TEXT];
static Slot slots[SLOTS];

static inline int is_letter(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static inline int is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

// The slot of a token: its own, or the free one where it would be.
static Slot *find(uint32_t start, uint32_t size, uint32_t hash) {
    for (uint32_t place = hash % SLOTS;; place = (place + 1) % SLOTS) {
        Slot *slot = &slots[place];
        if (slot->count == 0) {
            return slot;
        }
        if (slot->hash == hash && slot->size == size) {
            uint32_t i = 0;
            while (i < size && text[slot->start + i] == text[start + i]) {
                i++;
            }
            if (i == size) {
                return slot;
            }
        }
    }
}

// FNV-1a.
static uint32_t hash_token(uint32_t start, uint32_t size) {
    uint32_t hash = 2166136261u;
    for (uint32_t i = start; i < start + size; i++) {
        hash = (hash ^ text[i]) * 16777619u;
    }
    return hash;
}

// The end of the token that begins at `at`.
static uint32_t token_end(uint32_t at, uint32_t size) {
    uint8_t first = text[at++];
    if (is_letter(first)) {
        while (at < size && (is_letter(text[at]) || is_digit(text[at]))) {
            at++;
        }
    } else if (is_digit(first)) {
        while (at < size && (is_digit(text[at]) || text[at] == '.')) {
            at++;
        }
    } else if (first == '"') {
        while (at < size && text[at] != '"') {
            at++;
        }
        at += at < size;
    } else if (at < size && text[at] == '=') {  // == <= += and so on
        at++;
    }
    return at;
}

// Gives the number of tokens, at most 2,047 different ones.
EXPORT(tokenise) uint32_t tokenise(uint32_t size) {
    uint32_t count = 0, at = 0;
    fill_bytes(slots, 0, sizeof slots);
    while (at < size) {
        if (text[at] <= ' ') {
            at++;
            continue;
        }
        uint32_t end = token_end(at, size), hash = hash_token(at, end - at);
        Slot *slot = find(at, end - at, hash);
        if (slot->count == 0) {
            *slot = (Slot){hash, at, end - at, 0};
        }
        slot->count++;
        count++;
        at = end;
    }
    return count;
}

static uint32_t put(uint32_t at, const uint8_t *bytes, uint32_t size) {
    for (uint32_t i = 0; i < size && at < TEXT; i++) {
        text[at++] = bytes[i];
    }
    return at;
}

static void write_text(Random *random) {
    static const uint8_t signs[] = "(){}[];,.+-*/<>=&|!:";
    for (uint32_t at = 0; at < TEXT;) {
        uint32_t kind = random_below(random, 16);
        const Word *word = some_word(random);
        if (kind < 8) {
            at = put(at, word->letters, word->size);
        } else if (kind < 10) {
            uint8_t digits[4];
            for (int i = 0; i < 4; i++) {
                digits[i] = (uint8_t)('0' + random_below(random, 10));
            }
            at = put(at, digits, 1 + random_below(random, 4));
        } else if (kind == 10) {
            at = put(put(put(at, (const uint8_t *)"\"", 1), word->letters, word->size),
                     (const uint8_t *)"\"", 1);
        } else {
            at = put(at, signs + random_below(random, sizeof signs - 1), 1);
        }
        at = put(at, (const uint8_t *)(random_below(random, 9) ? " " : "\n"), 1);
    }
}

EXPORT(run) uint64_t run(uint32_t seed, uint32_t size) {
    Random random = random_from(seed);
    make_vocabulary(&random);
    write_text(&random);
    uint64_t hash = 0;
    for (uint32_t i = 0; i < size; i++) {
        hash = mix(hash, tokenise(TEXT - i % 64));
    }
    for (int i = 0; i < SLOTS; i++) {
        hash = mix(hash, (uint64_t)slots[i].count << 32 | slots[i].hash);
    }
    return hash;
}

// For tests: the text, at most 8,192 bytes.
EXPORT(buffer) uint8_t *buffer(void) {
    return text;
}

// How often the token that begins at `start` has been counted.
EXPORT(count_at) uint32_t count_at(uint32_t start, uint32_t size) {
    return find(start, size, hash_token(start, size))->count;
}
