// As much JSON as a node of a pipeline needs: find values in text that is known to be JSON, and
// arrays as {"dtype": ..., "shape": [...], "data": base64}.
#ifndef JSON_H
#define JSON_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// All functions take and give pointers to the start of a value; NULL stands for no value.

static inline const char *json_space(const char *p) {
    return p + strspn(p, " \t\r\n");
}

// Behind the string that begins at p; NULL if it has no end.
static inline const char *json_string_end(const char *p) {
    for (p++; *p != '"'; p++) {
        if (!*p || (*p == '\\' && !*++p)) {
            return NULL;
        }
    }
    return p + 1;
}

// Behind the value that begins at p; NULL if it has no end.
static inline const char *json_end(const char *p) {
    int depth = 0;
    do {
        p = json_space(p);
        if (*p == '"') {
            p = json_string_end(p);
            if (!p) {
                return NULL;
            }
        } else if (*p == '{' || *p == '[') {
            depth++;
            p++;
        } else if (*p == '}' || *p == ']') {
            depth--;
            p++;
        } else if (*p == ',' || *p == ':') {
            p++;
        } else {
            size_t length = strcspn(p, ",:]}[{\" \t\r\n");
            if (!length) {
                return NULL;
            }
            p += length;
        }
    } while (depth > 0);
    return p;
}

// The value of a key, written without escapes, of the object at p.
static inline const char *json_get(const char *p, const char *key) {
    if (!p || *p != '{') {
        return NULL;
    }
    size_t length = strlen(key);
    for (p = json_space(p + 1); p && *p == '"'; p = json_space(p + (*p == ','))) {
        const char *name = p + 1, *end = json_string_end(p);
        if (!end) {
            return NULL;
        }
        p = json_space(end);
        if (*p != ':') {
            return NULL;
        }
        p = json_space(p + 1);
        if ((size_t)(end - 1 - name) == length && !memcmp(name, key, length)) {
            return p;
        }
        p = json_end(p);
        if (!p) {
            return NULL;
        }
        p = json_space(p);
    }
    return NULL;
}

// Whether the value at p is this string, which has no escapes.
static inline int json_is(const char *p, const char *text) {
    size_t length = strlen(text);
    return p && *p == '"' && !strncmp(p + 1, text, length) && p[1 + length] == '"';
}

// The number at p, or another where there is none.
static inline double json_number(const char *p, double otherwise) {
    return p && (*p == '-' || (*p >= '0' && *p <= '9')) ? strtod(p, NULL) : otherwise;
}

static const char BASE64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

// The elements of a one-dimensional array of a dtype, in memory of their own; NULL if it is none.
static inline void *json_array(const char *p, const char *dtype, size_t width, size_t *count) {
    const char *shape = json_get(p, "shape"), *data = json_get(p, "data");
    if (!json_is(json_get(p, "dtype"), dtype) || !shape || *shape != '[' || !data || *data != '"') {
        return NULL;
    }
    const char *last = json_string_end(data);
    char *end;
    unsigned long long wanted = strtoull(shape + 1, &end, 10);
    if (!last || end == shape + 1 || *json_space(end) != ']' || wanted > (SIZE_MAX - 4) / width) {
        return NULL;
    }
    uint8_t digits[256]; // the value of each, 64 for what is none
    memset(digits, 64, sizeof digits);
    for (uint8_t i = 0; i < 64; i++) {
        digits[(uint8_t)BASE64[i]] = i;
    }
    uint8_t *bytes = malloc(wanted * width + 4);
    size_t length = 0;
    uint32_t bits = 0;
    int have = 0;
    for (const char *c = data + 1; bytes && c < last - 1 && *c != '='; c++) {
        uint8_t digit = digits[(uint8_t)*c];
        if (digit == 64 || length > wanted * width) {
            free(bytes);
            return NULL;
        }
        bits = bits << 6 | digit;
        have += 6;
        if (have >= 8) {
            have -= 8;
            bytes[length++] = (uint8_t)(bits >> have);
        }
    }
    if (!bytes || length != wanted * width) {
        free(bytes);
        return NULL;
    }
    *count = wanted;
    return bytes;
}

static inline void json_put_array(FILE *out, const char *dtype, const void *elements, size_t width,
                                  size_t count) {
    const uint8_t *bytes = elements;
    size_t length = count * width;
    fprintf(out, "{\"dtype\":\"%s\",\"shape\":[%zu],\"data\":\"", dtype, count);
    char text[1024];
    size_t used = 0;
    for (size_t i = 0; i < length; i += 3) {
        size_t have = length - i;
        uint32_t bits = (uint32_t)bytes[i] << 16 | (have > 1 ? (uint32_t)bytes[i + 1] << 8 : 0) |
                        (have > 2 ? bytes[i + 2] : 0);
        text[used++] = BASE64[bits >> 18];
        text[used++] = BASE64[bits >> 12 & 63];
        text[used++] = have > 1 ? BASE64[bits >> 6 & 63] : '=';
        text[used++] = have > 2 ? BASE64[bits & 63] : '=';
        if (used == sizeof text) {
            fwrite(text, 1, used, out);
            used = 0;
        }
    }
    fwrite(text, 1, used, out);
    fputs("\"}", out);
}

// Everything of a stream as text in memory of its own; NULL if there is no memory.
static inline char *read_all(FILE *in) {
    size_t size = 4096, length = 0;
    char *text = malloc(size);
    while (text) {
        length += fread(text + length, 1, size - length - 1, in);
        if (length + 1 < size) {
            text[length] = 0;
            return text;
        }
        char *longer = realloc(text, size *= 2);
        if (!longer) {
            free(text);
        }
        text = longer;
    }
    return NULL;
}

#endif
