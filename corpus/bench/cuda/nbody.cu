// Eight bodies under their gravity, as in ../nbody.c, in registers: loops over bodies are unrolled.
#include "agent.cuh"

enum { BODIES = 8 };

#ifdef __CUDACC__
#define UNROLL _Pragma("unroll")
#define square_root sqrt
AGENT uint64_t bits(double x) {
    return (uint64_t)__double_as_longlong(x);
}
#else
#define UNROLL
#define square_root __builtin_sqrt
AGENT uint64_t bits(double x) {
    uint64_t found;
    __builtin_memcpy(&found, &x, 8);
    return found;
}
#endif

typedef struct {
    double x, y, z, vx, vy, vz, mass;
} Body;

AGENT void kick(Body bodies[BODIES], double step) {
    UNROLL for (int i = 0; i < BODIES; i++) {
        Body *a = &bodies[i];
        UNROLL for (int j = i + 1; j < BODIES; j++) {
            Body *b = &bodies[j];
            double dx = b->x - a->x, dy = b->y - a->y, dz = b->z - a->z;
            double square = dx * dx + dy * dy + dz * dz + 0.01;
            double pull = step / (square * square_root(square));
            double of_a = pull * a->mass, of_b = pull * b->mass;
            a->vx += dx * of_b;
            a->vy += dy * of_b;
            a->vz += dz * of_b;
            b->vx -= dx * of_a;
            b->vy -= dy * of_a;
            b->vz -= dz * of_a;
        }
    }
}

AGENT uint64_t run(uint32_t seed, uint32_t size, uint32_t *memory) {
    uint64_t random = random_from(seed);
    Body bodies[BODIES];
    UNROLL for (int i = 0; i < BODIES; i++) {
        Body *b = &bodies[i];
        b->x = random_unit(&random) - 0.5, b->y = random_unit(&random) - 0.5;
        b->z = random_unit(&random) - 0.5, b->vx = random_unit(&random) - 0.5;
        b->vy = random_unit(&random) - 0.5, b->vz = random_unit(&random) - 0.5;
        b->mass = random_unit(&random) + 0.5;
    }
    const double step = 0.001;
    for (uint32_t n = 0; n < size; n++) {
        kick(bodies, step / 2);
        UNROLL for (int i = 0; i < BODIES; i++) {
            Body *b = &bodies[i];
            b->x += step * b->vx, b->y += step * b->vy, b->z += step * b->vz;
        }
        kick(bodies, step / 2);
    }
    uint64_t hash = 0;
    UNROLL for (int i = 0; i < BODIES; i++) {
        Body *b = &bodies[i];
        hash = mix(mix(mix(hash, bits(b->x)), bits(b->y)), bits(b->z));
        hash = mix(mix(mix(mix(hash, bits(b->vx)), bits(b->vy)), bits(b->vz)), bits(b->mass));
    }
    (void)memory;
    return hash;
}

KERNEL(0)
