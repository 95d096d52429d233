// Draws the Mandelbrot set in characters: `mandelbrot [FRAME [COLUMNS ROWS]]`.
//
// Frame 0 shows the whole set, each later one a region 10 % narrower, so that every agent of a
// swarm can draw its own frame of one zoom; after 200 frames it starts again. Without arguments
// the frame is read from stdin. The last line is the sum of all iteration counts.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static const char shades[] = " .:-=+*#%@";
static const int most = 360, frames = 200;

// Iterations until the orbit of 0 under z*z + c leaves the circle of radius 2, at most `limit`.
__attribute__((export_name("escape_time"))) int escape_time(double re, double im, int limit) {
    double x = 0, y = 0;
    int n = 0;
    while (n < limit && x * x + y * y <= 4) {
        double next = x * x - y * y + re;
        y = 2 * x * y + im;
        x = next;
        n++;
    }
    return n;
}

static uint64_t draw(int frame, int columns, int rows) {
    double width = 3.2;
    for (int i = 0; i < frame % frames; i++) {
        width *= 0.9;
    }
    // The centre moves from the whole set's middle to a point on its rim.
    double blend = width / 3.2;
    double re = -0.743643887 + blend * (-0.65 + 0.743643887);
    double im = 0.131825904 * (1 - blend);
    double height = width * 2 * rows / columns;  // a character is twice as high as wide
    uint64_t sum = 0;
    for (int row = 0; row < rows; row++) {
        for (int column = 0; column < columns; column++) {
            int n = escape_time(re + width * ((column + 0.5) / columns - 0.5),
                                im + height * ((row + 0.5) / rows - 0.5), most);
            sum += (uint64_t)n;
            putchar(n == most ? ' ' : shades[1 + n % 9]);
        }
        putchar('\n');
    }
    return sum;
}

int main(int argc, char **argv) {
    int frame = 0, columns = 64, rows = 24;
    if (argc > 1) {
        frame = atoi(argv[1]);
    } else if (scanf("%d", &frame) != 1) {
        frame = 0;
    }
    if (argc > 3) {
        columns = atoi(argv[2]);
        rows = atoi(argv[3]);
    }
    if (frame < 0 || columns < 1 || columns > 4096 || rows < 1 || rows > 4096) {
        fputs("usage: mandelbrot [FRAME [COLUMNS ROWS]]\n", stderr);
        return 2;
    }
    uint64_t sum = draw(frame, columns, rows);
    printf("frame %d, iterations %llu\n", frame, (unsigned long long)sum);
    return 0;
}
