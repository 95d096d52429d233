// The check digit (ISO/IEC 7812-1, annex B) of a random number of `size` digits: so little work that
// making the agent takes longer.
#include "bench.h"

// The digit that makes the number valid when it is put behind it; its digits come last to first.
static uint32_t check_digit(Random *random, uint32_t size, uint64_t *number) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < size; i++) {
        uint32_t digit = random_below(random, 10);
        *number = *number * 10 + digit;
        if (i % 2 == 0) {
            digit = digit < 5 ? 2 * digit : 2 * digit - 9;
        }
        sum += digit;
    }
    return (10 - sum % 10) % 10;
}

// The digits, last to first, and then the check digit.
EXPORT(run) uint64_t run(uint32_t seed, uint32_t size) {
    Random random = random_from(seed);
    uint64_t number = 0;
    uint32_t check = check_digit(&random, size, &number);
    return number * 10 + check;
}
