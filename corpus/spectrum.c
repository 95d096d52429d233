// Power spectrum of a real signal: a node of a pipeline, JSON in and JSON out.
//
// stdin:  {"params": {"window": "none" | "hann"}, "inputs": {"input": float32[n]}}, n a power of 2
// stdout: float32[n / 2 + 1], the squared magnitudes of the discrete Fourier transform
#include "json.h"

#include <math.h>

static int refuse(const char *message) {
    fprintf(stderr, "spectrum: %s\n", message);
    return 1;
}

// In place, for n a power of 2.
static void transform(double *re, double *im, size_t n) {
    for (size_t i = 1, j = 0; i < n; i++) {
        size_t bit = n >> 1;
        for (; j & bit; bit >>= 1) {
            j ^= bit;
        }
        j ^= bit;
        if (i < j) {
            double t = re[i];
            re[i] = re[j];
            re[j] = t;
        }
    }
    for (size_t half = 1; half < n; half *= 2) {
        for (size_t k = 0; k < half; k++) {
            double angle = -M_PI * (double)k / (double)half;
            double c = cos(angle), s = sin(angle);
            for (size_t i = k; i < n; i += 2 * half) {
                double x = re[i + half] * c - im[i + half] * s;
                double y = re[i + half] * s + im[i + half] * c;
                re[i + half] = re[i] - x;
                im[i + half] = im[i] - y;
                re[i] += x;
                im[i] += y;
            }
        }
    }
}

int main(void) {
    char *text = read_all(stdin);
    if (!text) {
        return refuse("no memory for the input");
    }
    const char *node = json_space(text), *window = json_get(json_get(node, "params"), "window");
    if (window && !json_is(window, "none") && !json_is(window, "hann")) {
        return refuse("window must be none or hann");
    }
    size_t n = 0;
    float *signal = json_array(json_get(json_get(node, "inputs"), "input"), "float32", 4, &n);
    if (!signal || !n || n & (n - 1)) {
        return refuse("input must be a float32 array of 1, 2, 4, 8... elements");
    }
    double *re = calloc(2 * n, sizeof *re);
    if (!re) {
        return refuse("no memory for the transform");
    }
    for (size_t i = 0; i < n; i++) {
        double weight = json_is(window, "hann") ? 0.5 - 0.5 * cos(2 * M_PI * (double)i / (double)n) : 1;
        re[i] = weight * signal[i];
    }
    double *im = re + n;
    transform(re, im, n);
    for (size_t i = 0; i <= n / 2; i++) {
        re[i] = re[i] * re[i] + im[i] * im[i];
    }
    float *power = (float *)text; // nobody reads the text any more, which is longer
    for (size_t i = 0; i <= n / 2; i++) {
        power[i] = (float)re[i];
    }
    json_put_array(stdout, "float32", power, 4, n / 2 + 1);
    putchar('\n');
    return 0;
}
