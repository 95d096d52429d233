// Pseudo-random text for lz4.c and tokeniser.c: words of a small vocabulary, the first ones often.
#ifndef TEXT_H
#define TEXT_H

#include "bench.h"

enum { VOCABULARY = 256, MAX_WORD = 10 };

typedef struct {
    uint8_t size, letters[MAX_WORD];
} Word;

static Word vocabulary[VOCABULARY];

static void make_vocabulary(Random *random) {
    static const char letters[] = "eeeetttaaaooiinnsshhrrdlucmfwypb";
    for (int i = 0; i < VOCABULARY; i++) {
        Word *word = &vocabulary[i];
        word->size = (uint8_t)(2 + random_below(random, MAX_WORD - 1));
        for (int j = 0; j < word->size; j++) {
            word->letters[j] = (uint8_t)letters[random_below(random, 32)];
        }
    }
}

// Of two numbers the product: small ones come often, as the first words of a language do.
static const Word *some_word(Random *random) {
    uint32_t a = random_below(random, 16), b = random_below(random, 16);
    return &vocabulary[a * b + random_below(random, 16)];
}

#endif
