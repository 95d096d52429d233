// Conway's game of life on a torus, as a library: the board stays between the calls.
//
//   seed(n); live = step(100); live = step(100) ...
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name)))

enum { SIZE = 64 };

static uint8_t boards[2][SIZE][SIZE];  // the one that `generation % 2` names is the present
static uint32_t generation;

EXPORT("board") uint8_t *board_address(void) {
    return &boards[generation % 2][0][0];
}

EXPORT("generation") uint32_t generations(void) {
    return generation;
}

// Fills the board at random, about a third of the cells alive; returns how many are.
EXPORT("seed") int32_t seed(uint32_t number) {
    uint64_t state = number;
    int32_t live = 0;
    for (int i = 0; i < SIZE * SIZE; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        boards[0][i / SIZE][i % SIZE] = (state >> 33) % 3 == 0;
        live += boards[0][i / SIZE][i % SIZE];
    }
    generation = 0;
    return live;
}

static int neighbours(uint8_t board[SIZE][SIZE], int row, int column) {
    int up = (row + SIZE - 1) % SIZE, down = (row + 1) % SIZE;
    int left = (column + SIZE - 1) % SIZE, right = (column + 1) % SIZE;
    return board[up][left] + board[up][column] + board[up][right] + board[row][left] +
           board[row][right] + board[down][left] + board[down][column] + board[down][right];
}

// Lets `count` generations pass and returns the number of living cells.
EXPORT("step") int32_t step(int32_t count) {
    int32_t live = 0;
    for (int32_t g = 0; g < count; g++, generation++) {
        uint8_t(*board)[SIZE] = boards[generation % 2], (*next)[SIZE] = boards[1 - generation % 2];
        live = 0;
        for (int row = 0; row < SIZE; row++) {
            for (int column = 0; column < SIZE; column++) {
                int n = neighbours(board, row, column);
                next[row][column] = n == 3 || (n == 2 && board[row][column]);
                live += next[row][column];
            }
        }
    }
    return live;
}
