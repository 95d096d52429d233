// Functions on arrays in linear memory, as nodes of a pipeline call them: an array comes as address
// and number of elements, and goes as an i64 with the address in its lower half, the number in its
// upper one. No libc, no imports.
#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name)))
#define PAGE 65536

extern uint8_t __heap_base;
static size_t used;

// Room for an array; nothing is freed before the instance is. 0: there is none.
EXPORT("alloc") void *alloc(size_t size) {
    if (!used) {
        used = (size_t)&__heap_base;
    }
    size_t start = (used + 15) & ~(size_t)15, room = __builtin_wasm_memory_size(0) * PAGE;
    if (size > SIZE_MAX - PAGE - start) {
        return NULL;
    }
    size_t end = start + size;
    if (end > room && __builtin_wasm_memory_grow(0, (end - room + PAGE - 1) / PAGE) == SIZE_MAX) {
        return NULL;
    }
    used = end;
    return (void *)start;
}

static uint64_t array(const void *elements, size_t count) {
    return (uint64_t)count << 32 | (size_t)elements;
}

EXPORT("scale") uint64_t scale(float *samples, size_t count, float factor) {
    for (size_t i = 0; i < count; i++) {
        samples[i] *= factor;
    }
    return array(samples, count);
}

EXPORT("mean") double mean(const float *samples, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += samples[i];
    }
    return count ? sum / (double)count : 0;
}

// Where samples are above `least` and above both neighbours.
EXPORT("peaks") uint64_t peaks(const float *samples, size_t count, float least) {
    int32_t *found = alloc(count / 2 * sizeof *found);
    size_t number = 0;
    for (size_t i = 1; found && i + 1 < count; i++) {
        if (samples[i] > least && samples[i] > samples[i - 1] && samples[i] > samples[i + 1]) {
            found[number++] = (int32_t)i;
        }
    }
    return array(found, number);
}

// Points outside of memory: what a node must not believe.
EXPORT("astray") uint64_t astray(const float *samples, size_t count) {
    return array(samples, count + 0x40000000);
}

EXPORT("forever") void forever(void) {
    for (volatile int i = 0;; i++) {
    }
}
