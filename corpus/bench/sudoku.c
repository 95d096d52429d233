// Solves `size` sudokus by search: always the cell with the fewest candidates, depth first, until a
// second solution or the end. Recursion, bit sets and branches that differ from puzzle to puzzle.
#include "bench.h"

enum { CELLS = 81, ALL = 0x1ff, CLUES = 32 };

static uint8_t puzzle[CELLS], solution[CELLS];  // 0: empty
static uint16_t rows[9], columns[9], boxes[9];  // digits in use, a bit each
static uint32_t visited;

static inline int box_of(int cell) {
    return cell / 27 * 3 + cell % 9 / 3;
}

static inline void flip(int cell, uint16_t bit) {
    rows[cell / 9] ^= bit;
    columns[cell % 9] ^= bit;
    boxes[box_of(cell)] ^= bit;
}

static inline uint16_t candidates(int cell) {
    return ALL & ~(rows[cell / 9] | columns[cell % 9] | boxes[box_of(cell)]);
}

// Solutions of what is on the board, at most `limit`; the last one found is kept.
static uint32_t search(uint32_t limit) {
    int best = -1, fewest = 10;
    visited++;
    for (int cell = 0; cell < CELLS && fewest > 1; cell++) {
        if (puzzle[cell] == 0) {
            int count = __builtin_popcount(candidates(cell));
            if (count < fewest) {
                fewest = count;
                best = cell;
            }
        }
    }
    if (best < 0) {
        copy_bytes(solution, puzzle, CELLS);
        return 1;
    }
    uint32_t found = 0;
    for (uint16_t left = candidates(best); left && found < limit; left &= left - 1) {
        uint16_t bit = left & (uint16_t)-left;
        puzzle[best] = (uint8_t)(__builtin_ctz(bit) + 1);
        flip(best, bit);
        found += search(limit - found);
        flip(best, bit);
    }
    puzzle[best] = 0;
    return found;
}

static void take_in_clues(void) {
    fill_bytes(rows, 0, sizeof rows);
    fill_bytes(columns, 0, sizeof columns);
    fill_bytes(boxes, 0, sizeof boxes);
    for (int cell = 0; cell < CELLS; cell++) {
        if (puzzle[cell]) {
            flip(cell, (uint16_t)(1 << (puzzle[cell] - 1)));
        }
    }
}

static void shuffle(Random *random, uint8_t *items, uint32_t count) {
    for (uint32_t i = count - 1; i > 0; i--) {
        uint32_t j = random_below(random, i + 1);
        uint8_t item = items[i];
        items[i] = items[j], items[j] = item;
    }
}

// Nine rows (or columns) in another order that keeps those of a box together.
static void shuffle_lines(Random *random, uint8_t lines[9]) {
    uint8_t bands[3] = {0, 1, 2};
    shuffle(random, bands, 3);
    for (int band = 0; band < 3; band++) {
        uint8_t within[3] = {0, 1, 2};
        shuffle(random, within, 3);
        for (int i = 0; i < 3; i++) {
            lines[band * 3 + i] = (uint8_t)(bands[band] * 3 + within[i]);
        }
    }
}

// A puzzle out of a solved board: digits renamed, lines shuffled, all but some cells emptied.
static void make_puzzle(Random *random) {
    uint8_t digits[9], down[9], across[9], order[CELLS];
    for (int i = 0; i < 9; i++) {
        digits[i] = (uint8_t)(i + 1);
    }
    for (int i = 0; i < CELLS; i++) {
        order[i] = (uint8_t)i;
    }
    shuffle(random, digits, 9);
    shuffle_lines(random, down);
    shuffle_lines(random, across);
    shuffle(random, order, CELLS);
    fill_bytes(puzzle, 0, CELLS);
    for (int i = 0; i < CLUES; i++) {
        int row = down[order[i] / 9], column = across[order[i] % 9];
        puzzle[order[i]] = digits[(row * 3 + row / 3 + column) % 9];
    }
}

EXPORT(run) uint64_t run(uint32_t seed, uint32_t size) {
    Random random = random_from(seed);
    uint64_t hash = 0;
    for (uint32_t i = 0; i < size; i++) {
        make_puzzle(&random);
        take_in_clues();
        visited = 0;
        hash = mix(hash, search(2));
        hash = mix_bytes(mix(hash, visited), solution, CELLS);
    }
    return hash;
}

// For tests: 81 bytes, 0 for an empty cell.
EXPORT(buffer) uint8_t *buffer(void) {
    return puzzle;
}

// Gives the number of solutions, at most `limit`.
EXPORT(solve) uint32_t solve(uint32_t limit) {
    take_in_clues();
    return search(limit);
}

EXPORT(solved) uint8_t *solved(void) {
    return solution;
}
