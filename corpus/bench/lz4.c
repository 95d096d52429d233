// Compression in the LZ4 block format (its published description) of `size` short texts, which are
// decompressed again and compared. Loads at unaligned addresses, a hash table, short copies.
#include "text.h"

enum { TEXT = 4096, MAX_SHORT = 1024, TABLE_BITS = 10, MIN_MATCH = 4, LAST_LITERALS = 5,
       LAST_MATCH = 12 };

static uint8_t text[TEXT], packed[2 * TEXT], unpacked[TEXT];
static uint16_t table[1 << TABLE_BITS];  // of the hash of four bytes: where they stood last, plus 1

static inline uint32_t four_bytes(const uint8_t *p) {
    uint32_t value;
    copy_bytes(&value, p, 4);
    return value;
}

static inline uint32_t slot_of(uint32_t value) {
    return value * 2654435761u >> (32 - TABLE_BITS);
}

// A length in its four bits of the token, and what is more in the bytes that follow.
static uint8_t *put_length(uint8_t *out, uint32_t length) {
    if (length >= 15) {
        for (length -= 15; length >= 255; length -= 255) {
            *out++ = 255;
        }
        *out++ = (uint8_t)length;
    }
    return out;
}

static uint8_t *put_sequence(uint8_t *out, const uint8_t *literals, uint32_t count, uint32_t offset,
                             uint32_t match) {
    uint8_t *token = out++;
    *token = (uint8_t)((count < 15 ? count : 15) << 4);
    out = put_length(out, count);
    for (uint32_t i = 0; i < count; i++) {
        *out++ = literals[i];
    }
    if (match) {
        *out++ = (uint8_t)offset;
        *out++ = (uint8_t)(offset >> 8);
        *token |= match - MIN_MATCH < 15 ? match - MIN_MATCH : 15;
        out = put_length(out, match - MIN_MATCH);
    }
    return out;
}

static uint32_t compress_block(const uint8_t *in, uint32_t size, uint8_t *out) {
    uint8_t *start = out;
    uint32_t anchor = 0, at = 0;
    fill_bytes(table, 0, sizeof table);
    while (at + LAST_MATCH < size) {
        uint32_t value = four_bytes(in + at), slot = slot_of(value), before = table[slot];
        table[slot] = (uint16_t)(at + 1);
        if (before == 0 || four_bytes(in + before - 1) != value) {
            at++;
            continue;
        }
        uint32_t from = before - 1, match = MIN_MATCH;
        while (at + match < size - LAST_LITERALS && in[from + match] == in[at + match]) {
            match++;
        }
        out = put_sequence(out, in + anchor, at - anchor, at - from, match);
        at += match;
        anchor = at;
    }
    return (uint32_t)(put_sequence(out, in + anchor, size - anchor, 0, 0) - start);
}

static uint32_t get_length(const uint8_t **in, uint32_t length) {
    if (length == 15) {
        uint8_t more;
        do {
            more = *(*in)++;
            length += more;
        } while (more == 255);
    }
    return length;
}

static uint32_t decompress_block(const uint8_t *in, uint32_t size, uint8_t *out) {
    const uint8_t *end = in + size;
    uint8_t *start = out;
    for (;;) {
        uint8_t token = *in++;
        for (uint32_t count = get_length(&in, token >> 4); count > 0; count--) {
            *out++ = *in++;
        }
        if (in == end) {
            return (uint32_t)(out - start);
        }
        const uint8_t *from = out - (in[0] | in[1] << 8);
        in += 2;
        for (uint32_t count = get_length(&in, token & 15) + MIN_MATCH; count > 0; count--) {
            *out++ = *from++;
        }
    }
}

static void write_text(Random *random) {
    uint32_t at = 0;
    while (at < TEXT) {
        const Word *word = some_word(random);
        for (uint32_t i = 0; i < word->size && at < TEXT; i++) {
            text[at++] = word->letters[i];
        }
        if (at < TEXT) {
            text[at++] = random_below(random, 12) ? ' ' : '\n';
        }
    }
}

EXPORT(run) uint64_t run(uint32_t seed, uint32_t size) {
    Random random = random_from(seed);
    make_vocabulary(&random);
    write_text(&random);
    uint64_t hash = 0;
    for (uint32_t i = 0; i < size; i++) {
        uint32_t length = MAX_SHORT / 4 + random_below(&random, MAX_SHORT * 3 / 4);
        const uint8_t *some = text + random_below(&random, TEXT - MAX_SHORT);
        uint32_t count = compress_block(some, length, packed);
        hash = mix_bytes(mix(hash, count), packed, count);
        if (decompress_block(packed, count, unpacked) != length) {
            __builtin_trap();
        }
        for (uint32_t j = 0; j < length; j++) {
            if (unpacked[j] != some[j]) {
                __builtin_trap();
            }
        }
    }
    return hash;
}

// For tests: the text, at most 4,096 bytes.
EXPORT(buffer) uint8_t *buffer(void) {
    return text;
}

// Compresses the first `size` bytes of `buffer`; gives how many bytes that took.
EXPORT(compress) uint32_t compress(uint32_t size) {
    return compress_block(text, size, packed);
}

EXPORT(compressed) uint8_t *compressed(void) {
    return packed;
}
