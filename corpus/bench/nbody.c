// Eight bodies under their gravity, `size` steps of the leapfrog method (kick, drift, kick) with
// Plummer's softening. 64-bit floating point, square roots and divisions.
#include "bench.h"

enum { BODIES = 8 };

typedef struct {
    double x, y, z, vx, vy, vz, mass;
} Body;

static Body bodies[BODIES];

static const double softening = 0.01;

static void kick(double step) {
    for (int i = 0; i < BODIES; i++) {
        Body *a = &bodies[i];
        for (int j = i + 1; j < BODIES; j++) {
            Body *b = &bodies[j];
            double dx = b->x - a->x, dy = b->y - a->y, dz = b->z - a->z;
            double square = dx * dx + dy * dy + dz * dz + softening;
            double pull = step / (square * __builtin_sqrt(square));
            a->vx += dx * (pull * b->mass);
            a->vy += dy * (pull * b->mass);
            a->vz += dz * (pull * b->mass);
            b->vx -= dx * (pull * a->mass);
            b->vy -= dy * (pull * a->mass);
            b->vz -= dz * (pull * a->mass);
        }
    }
}

static void drift(double step) {
    for (int i = 0; i < BODIES; i++) {
        Body *b = &bodies[i];
        b->x += step * b->vx;
        b->y += step * b->vy;
        b->z += step * b->vz;
    }
}

// Kinetic and potential energy, which the method keeps nearly constant.
EXPORT(energy) double energy(void) {
    double sum = 0;
    for (int i = 0; i < BODIES; i++) {
        Body *a = &bodies[i];
        sum += 0.5 * a->mass * (a->vx * a->vx + a->vy * a->vy + a->vz * a->vz);
        for (int j = i + 1; j < BODIES; j++) {
            Body *b = &bodies[j];
            double dx = b->x - a->x, dy = b->y - a->y, dz = b->z - a->z;
            double square = dx * dx + dy * dy + dz * dz + softening;
            sum -= a->mass * b->mass / __builtin_sqrt(square);
        }
    }
    return sum;
}

static void scatter(Random *random) {
    for (int i = 0; i < BODIES; i++) {
        bodies[i] = (Body){
            random_unit(random) - 0.5, random_unit(random) - 0.5, random_unit(random) - 0.5,
            random_unit(random) - 0.5, random_unit(random) - 0.5, random_unit(random) - 0.5,
            random_unit(random) + 0.5,
        };
    }
}

EXPORT(run) uint64_t run(uint32_t seed, uint32_t size) {
    Random random = random_from(seed);
    scatter(&random);
    const double step = 0.001;
    for (uint32_t i = 0; i < size; i++) {
        kick(step / 2);
        drift(step);
        kick(step / 2);
    }
    return mix_bytes(0, (const uint8_t *)bodies, sizeof bodies);
}
