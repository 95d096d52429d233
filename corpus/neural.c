// Inference of a multilayer perceptron in f32. The host writes layers, parameters and an input.
//
// Nothing but additions, multiplications, divisions and roundings in a fixed order: whoever does
// the same in IEEE f32 gets the same bits. Each output starts from its bias and adds its products
// in the order of the inputs; weights are stored input by input, so that outputs are computed side
// by side.
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name)))

enum { MAX_LAYERS = 32 };
enum { IDENTITY, RELU, TANH, SIGMOID, SOFTMAX };

typedef struct {
    int32_t inputs, outputs, activation;
} Layer;

extern unsigned char __heap_base;

static Layer layers[MAX_LAYERS];
static float *parameters, *values[2];
static uint32_t widest;

// Makes room for so many parameters, and for layers of at most so many values; 1 if there is.
EXPORT("prepare") int32_t prepare(uint32_t count, uint32_t width) {
    uintptr_t base = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
    uint64_t end = base + 4 * ((uint64_t)count + 2 * (uint64_t)width);
    uint64_t have = (uint64_t)__builtin_wasm_memory_size(0) << 16;
    if (end > have) {
        uint64_t pages = (end - have + 0xFFFF) >> 16;
        if (pages > 0xFFFF || __builtin_wasm_memory_grow(0, (uintptr_t)pages) == (uintptr_t)-1) {
            return 0;
        }
    }
    parameters = (float *)base;
    values[0] = parameters + count;
    values[1] = values[0] + width;
    widest = width;
    return 1;
}

// Where the host writes: three i32 a layer, the parameters (of each layer the weights, then the
// biases), the input; and where it reads the output after so many layers.
EXPORT("layers_at") void *layers_at(void) {
    return layers;
}

EXPORT("parameters_at") void *parameters_at(void) {
    return parameters;
}

EXPORT("values_at") void *values_at(int32_t layer) {
    return values[layer & 1];
}

// A rational approximation; beyond the bounds tanh is 1 in f32.
static float tanh_of(float x) {
    if (x > 7.90531111f) {
        return 1.0f;
    }
    if (x < -7.90531111f) {
        return -1.0f;
    }
    float s = x * x;
    float p = -2.76076847742355e-16f;
    p = s * p + 2.00018790482477e-13f;
    p = s * p + -8.60467152213735e-11f;
    p = s * p + 5.12229709037114e-08f;
    p = s * p + 1.48572235717979e-05f;
    p = s * p + 6.37261928875436e-04f;
    p = s * p + 4.89352455891786e-03f;
    float q = 1.19825839466702e-06f;
    q = s * q + 1.18534705686654e-04f;
    q = s * q + 2.26843463243900e-03f;
    q = s * q + 4.89352518554385e-03f;
    return x * p / q;
}

// For x from -80 to 0: 2 to the nearest whole power, times a polynomial of what is left.
static float exp_of(float x) {
    x = x > -80.0f ? x : -80.0f;
    float n = __builtin_floorf(x * 1.44269504f + 0.5f);
    float r = x - n * 0.693359375f - n * -2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * (r * r) + r + 1.0f;
    union { uint32_t bits; float value; } power = {(uint32_t)((int32_t)n + 127) << 23};
    return p * power.value;
}

static void softmax(float *x, int32_t n) {
    float high = x[0], sum = 0;
    for (int32_t i = 1; i < n; i++) {
        high = x[i] > high ? x[i] : high;
    }
    for (int32_t i = 0; i < n; i++) {
        x[i] = exp_of(x[i] - high);
        sum += x[i];
    }
    for (int32_t i = 0; i < n; i++) {
        x[i] = x[i] / sum;
    }
}

// One of the activations that work on values one by one.
EXPORT("activate") float activate(int32_t activation, float x) {
    switch (activation) {
    case RELU:
        return x > 0 ? x : 0;
    case TANH:
        return tanh_of(x);
    case SIGMOID:
        return 0.5f * tanh_of(0.5f * x) + 0.5f;
    default:
        return x;
    }
}

static void dense(const float *w, const float *x, float *y, const Layer *layer) {
    int32_t in = layer->inputs, out = layer->outputs;
    const float *bias = w + (intptr_t)in * out;
    for (int32_t i = 0; i < out; i++) {
        y[i] = bias[i];
    }
    for (int32_t j = 0; j < in; j++, w += out) {
        for (int32_t i = 0; i < out; i++) {
            y[i] += w[i] * x[j];
        }
    }
    if (layer->activation == SOFTMAX) {
        softmax(y, out);
    } else if (layer->activation != IDENTITY) {
        for (int32_t i = 0; i < out; i++) {
            y[i] = activate(layer->activation, y[i]);
        }
    }
}

// Runs the first layers; which output is greatest, or -1 if the layers do not fit.
EXPORT("infer") int32_t infer(int32_t count) {
    if (count < 1 || count > MAX_LAYERS) {
        return -1;
    }
    const float *w = parameters;
    for (int32_t l = 0; l < count; l++) {
        const Layer *layer = &layers[l];
        if (layer->inputs < 1 || (uint32_t)layer->inputs > widest || layer->outputs < 1 ||
            (uint32_t)layer->outputs > widest) {
            return -1;
        }
        dense(w, values[l & 1], values[(l + 1) & 1], layer);
        w += (intptr_t)(layer->inputs + 1) * layer->outputs;
    }
    const float *y = values[count & 1];
    int32_t best = 0;
    for (int32_t i = 1; i < layers[count - 1].outputs; i++) {
        best = y[i] > y[best] ? i : best;
    }
    return best;
}
