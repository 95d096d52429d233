// Simulates a small quantum computer: a vector of 2^n amplitudes, gates, annealing, measurements.
//
// Basis state z has qubit q in bit q of z. Deterministic: sine, cosine and random numbers are
// computed here, in f64 and integers, and amplitudes are pairs of f32.
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(name)))

enum { MAX_QUBITS = 20 };
enum { H, X, Y, Z, S, T, RX, RY, RZ, PHASE, SWAP, RZZ, GATES };

typedef struct {
    float re, im;
} Complex;

typedef struct {
    int32_t kind, target, other, control;  // what a gate has not is -1
    double angle;
} Gate;

extern unsigned char __heap_base;

static int32_t qubits;
static uint32_t states;
static Complex *amplitudes;
static double *table;      // energies of basis states, or cumulated probabilities
static double *couplings;  // n x n, symmetric, zeros in the diagonal; n fields behind
static Gate *gates;
static uint32_t *samples;

static void *take(uintptr_t *at, uint64_t bytes) {
    void *here = (void *)*at;
    *at += (uintptr_t)((bytes + 15) & ~(uint64_t)15);
    return here;
}

// Puts n qubits into the state 0, with room for gates and samples; 1 if there is so much room.
EXPORT("prepare") int32_t prepare(int32_t n, uint32_t gate_count, uint32_t shots) {
    if (n < 1 || n > MAX_QUBITS || gate_count > 1u << 20 || shots > 1u << 20) {
        return 0;
    }
    qubits = n;
    states = 1u << n;
    uintptr_t at = ((uintptr_t)&__heap_base + 15) & ~(uintptr_t)15;
    amplitudes = take(&at, (uint64_t)states * sizeof(Complex));
    table = take(&at, (uint64_t)states * sizeof(double));
    couplings = take(&at, (uint64_t)(n + 1) * n * sizeof(double));
    gates = take(&at, (uint64_t)gate_count * sizeof(Gate));
    samples = take(&at, (uint64_t)shots * sizeof(uint32_t));
    uintptr_t have = __builtin_wasm_memory_size(0) << 16;
    if (at > have && __builtin_wasm_memory_grow(0, (at - have + 0xFFFF) >> 16) == (uintptr_t)-1) {
        return 0;
    }
    for (uint32_t z = 0; z < states; z++) {
        amplitudes[z] = (Complex){0, 0};
    }
    amplitudes[0].re = 1;
    return 1;
}

EXPORT("amplitudes_at") void *amplitudes_at(void) {
    return amplitudes;
}

EXPORT("couplings_at") void *couplings_at(void) {
    return couplings;
}

EXPORT("gates_at") void *gates_at(void) {
    return gates;
}

EXPORT("samples_at") void *samples_at(void) {
    return samples;
}

// Sine and cosine as fdlibm computes them, with an argument reduction for some thousand turns.
static void sine_cosine(double x, double *sine, double *cosine) {
    double n = __builtin_floor(x * 6.36619772367581382433e-01 + 0.5);
    double r = x - n * 1.57079632673412561417e+00 - n * 6.07710050630396597660e-11 -
               n * 2.02226624879595063154e-21;
    double z = r * r;
    double s = 1.58969099521155010221e-10;
    s = s * z + -2.50507602534068634195e-08;
    s = s * z + 2.75573137070700676789e-06;
    s = s * z + -1.98412698298579493134e-04;
    s = s * z + 8.33333333332248946124e-03;
    s = s * z + -1.66666666666666324348e-01;
    s = r + r * z * s;
    double c = -1.13596475577881948265e-11;
    c = c * z + 2.08757232129817482790e-09;
    c = c * z + -2.75573143513906633035e-07;
    c = c * z + 2.48015872894767294178e-05;
    c = c * z + -1.38888888888741095749e-03;
    c = c * z + 4.16666666666666019037e-02;
    c = 1.0 - 0.5 * z + z * z * c;
    int32_t quarter = (int32_t)(n - 4.0 * __builtin_floor(0.25 * n));
    *sine = quarter == 0 ? s : quarter == 1 ? c : quarter == 2 ? -s : -c;
    *cosine = quarter == 0 ? c : quarter == 1 ? -s : quarter == 2 ? -c : s;
}

// Sine (0) or cosine (1).
EXPORT("wave") double wave(int32_t which, double angle) {
    double sine, cosine;
    sine_cosine(angle, &sine, &cosine);
    return which ? cosine : sine;
}

static Complex times(Complex a, Complex b) {
    return (Complex){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

static Complex plus(Complex a, Complex b) {
    return (Complex){a.re + b.re, a.im + b.im};
}

// Applies the matrix (a b; c d) to a qubit, where all bits of `control` are set.
static void apply(int32_t target, uint32_t control, Complex a, Complex b, Complex c, Complex d) {
    uint32_t bit = 1u << target;
    for (uint32_t low = 0; low < states; low += 2 * bit) {
        for (uint32_t z = low; z < low + bit; z++) {
            if ((z & control) == control) {
                Complex zero = amplitudes[z], one = amplitudes[z | bit];
                amplitudes[z] = plus(times(a, zero), times(b, one));
                amplitudes[z | bit] = plus(times(c, zero), times(d, one));
            }
        }
    }
}

static void swap(int32_t one, int32_t other, uint32_t control) {
    for (uint32_t z = 0; z < states; z++) {
        uint32_t w = z ^ (1u << one) ^ (1u << other);
        if ((z >> one & 1) && !(z >> other & 1) && (z & control) == control) {
            Complex held = amplitudes[z];
            amplitudes[z] = amplitudes[w];
            amplitudes[w] = held;
        }
    }
}

static void turn_pair(int32_t one, int32_t other, uint32_t control, Complex equal, Complex not) {
    for (uint32_t z = 0; z < states; z++) {
        if ((z & control) == control) {
            int differ = (z >> one ^ z >> other) & 1;
            amplitudes[z] = times(amplitudes[z], differ ? not : equal);
        }
    }
}

// Applies one gate; 0 if there is no such gate, or no such qubit.
EXPORT("gate")
int32_t gate(int32_t kind, int32_t target, int32_t other, int32_t control, double angle) {
    if (kind < 0 || kind >= GATES || target < 0 || target >= qubits || control >= qubits ||
        control == target) {
        return 0;
    }
    int two = kind == SWAP || kind == RZZ;
    if (two && (other < 0 || other >= qubits || other == target || other == control)) {
        return 0;
    }
    uint32_t mask = control < 0 ? 0 : 1u << control;
    double half = 0.5 * angle;
    if (kind == S || kind == T) {
        half = kind == S ? 7.85398163397448279e-01 : 3.92699081698724139e-01;
    }
    double sine, cosine;
    sine_cosine(half, &sine, &cosine);
    float s = (float)sine, c = (float)cosine, r = 0.707106781f;
    Complex nil = {0, 0}, one = {1, 0}, minus = {-1, 0};
    // the phase twice as large as `half`
    Complex phase = {(float)(cosine * cosine - sine * sine), (float)(2.0 * sine * cosine)};
    Complex ahead = {c, s}, behind = {c, -s};
    switch (kind) {
    case H:
        apply(target, mask, (Complex){r, 0}, (Complex){r, 0}, (Complex){r, 0}, (Complex){-r, 0});
        break;
    case X:
        apply(target, mask, nil, one, one, nil);
        break;
    case Y:
        apply(target, mask, nil, (Complex){0, -1}, (Complex){0, 1}, nil);
        break;
    case Z:
        apply(target, mask, one, nil, nil, minus);
        break;
    case S:
    case T:
    case PHASE:
        apply(target, mask, one, nil, nil, phase);
        break;
    case RX:
        apply(target, mask, (Complex){c, 0}, (Complex){0, -s}, (Complex){0, -s}, (Complex){c, 0});
        break;
    case RY:
        apply(target, mask, (Complex){c, 0}, (Complex){-s, 0}, (Complex){s, 0}, (Complex){c, 0});
        break;
    case RZ:
        apply(target, mask, behind, nil, nil, ahead);
        break;
    case SWAP:
        swap(target, other, mask);
        break;
    case RZZ:
        turn_pair(target, other, mask, behind, ahead);
        break;
    }
    return 1;
}

// Applies the first gates that the host has written; how many were applied.
EXPORT("run") int32_t run(int32_t count) {
    for (int32_t g = 0; g < count; g++) {
        const Gate *one = &gates[g];
        if (!gate(one->kind, one->target, one->other, one->control, one->angle)) {
            return g;
        }
    }
    return count;
}

EXPORT("probability") double probability(uint32_t z) {
    if (z >= states) {
        return 0;
    }
    double re = amplitudes[z].re, im = amplitudes[z].im;
    return re * re + im * im;
}

// Energies of all basis states; spin q is 1 where bit q is clear, else -1.
static void tabulate(void) {
    const double *fields = couplings + qubits * qubits;
    double sum = 0;
    for (int32_t i = 0; i < qubits; i++) {
        sum += fields[i];
        for (int32_t j = 0; j < i; j++) {
            sum += couplings[i * qubits + j];
        }
    }
    table[0] = sum;
    for (int32_t q = 0; q < qubits; q++) {  // states in which q is the highest bit that is set
        const double *row = couplings + q * qubits;
        for (uint32_t z = 0; z < 1u << q; z++) {
            double pull = fields[q];
            for (int32_t j = 0; j < qubits; j++) {
                pull += z >> j & 1 ? -row[j] : row[j];
            }
            table[z | 1u << q] = table[z] - 2.0 * pull;
        }
    }
}

// Anneals the state of all spins turned sideways towards low energies of the couplings (digitised
// quantum annealing, or QAOA with a linear ramp): in each step the energies, times `pull`, weigh
// more, and turning a spin, times `turn`, weighs less. The mean energy in the end.
EXPORT("anneal") double anneal(int32_t steps, double pull, double turn) {
    tabulate();
    float even = 1;
    for (int32_t q = 0; q < qubits; q++) {
        even *= 0.707106781f;
    }
    for (uint32_t z = 0; z < states; z++) {
        amplitudes[z] = (Complex){even, 0};
    }
    for (int32_t k = 0; k < steps; k++) {
        double done = (k + 0.5) / steps, sine, cosine;
        for (uint32_t z = 0; z < states; z++) {
            sine_cosine(-pull * done * table[z], &sine, &cosine);
            amplitudes[z] = times(amplitudes[z], (Complex){(float)cosine, (float)sine});
        }
        sine_cosine(-turn * (1.0 - done), &sine, &cosine);
        Complex stay = {(float)cosine, 0}, leave = {0, (float)-sine};
        for (int32_t q = 0; q < qubits; q++) {
            apply(q, 0, stay, leave, leave, stay);
        }
    }
    double mean = 0;
    for (uint32_t z = 0; z < states; z++) {
        mean += table[z] * probability(z);
    }
    return mean;
}

// Measures all qubits so many times, from equal states; how often. Overwrites the energies.
EXPORT("measure") int32_t measure(int32_t shots, uint64_t seed) {
    double sum = 0;
    for (uint32_t z = 0; z < states; z++) {
        sum += probability(z);
        table[z] = sum;
    }
    for (int32_t shot = 0; shot < shots; shot++) {
        seed += 0x9E3779B97F4A7C15u;  // splitmix64
        uint64_t x = seed;
        x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9u;
        x = (x ^ x >> 27) * 0x94D049BB133111EBu;
        x ^= x >> 31;
        double wanted = (double)(x >> 11) * 0x1p-53 * sum;
        uint32_t low = 0, high = states - 1;
        while (low < high) {
            uint32_t middle = (low + high) / 2;
            if (table[middle] > wanted) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        samples[shot] = low;
    }
    return shots;
}
