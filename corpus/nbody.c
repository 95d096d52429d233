// Moves the sun and four planets for a number of steps and prints the system's energy before and
// after: `nbody [STEPS [DAYS_PER_STEP]]`. Units: astronomical units, days, solar masses.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    double position[3], velocity[3], mass;
} Body;

enum { BODIES = 5 };

static const double gravity = 0.00029591220828559104;

// The sun, Jupiter, Saturn, Uranus, Neptune, near the epoch J2000 (rounded).
static Body bodies[BODIES] = {
    {{0, 0, 0}, {0, 0, 0}, 1},
    {{3.9964, 2.7307, -0.1007}, {-0.004558, 0.006421, 0.000075}, 9.5479e-4},
    {{6.4014, 6.1704, -0.3629}, {-0.004286, 0.003887, 0.000103}, 2.8588e-4},
    {{14.4248, -12.5095, -0.2334}, {0.002684, 0.002665, -0.000025}, 4.3662e-5},
    {{16.8049, -22.9829, 0.0859}, {0.002585, 0.001769, -0.000096}, 5.1513e-5},
};

static void stop_drift(void) {
    for (int k = 0; k < 3; k++) {
        double momentum = 0;
        for (int i = 1; i < BODIES; i++) {
            momentum += bodies[i].velocity[k] * bodies[i].mass;
        }
        bodies[0].velocity[k] = -momentum / bodies[0].mass;
    }
}

static void accelerate(double dt) {
    for (int i = 0; i < BODIES; i++) {
        for (int j = i + 1; j < BODIES; j++) {
            double d[3], square = 0;
            for (int k = 0; k < 3; k++) {
                d[k] = bodies[i].position[k] - bodies[j].position[k];
                square += d[k] * d[k];
            }
            double pull = gravity * dt / (square * sqrt(square));
            for (int k = 0; k < 3; k++) {
                bodies[i].velocity[k] -= d[k] * bodies[j].mass * pull;
                bodies[j].velocity[k] += d[k] * bodies[i].mass * pull;
            }
        }
    }
}

static double energy(void) {
    double sum = 0;
    for (int i = 0; i < BODIES; i++) {
        const Body *a = &bodies[i];
        for (int k = 0; k < 3; k++) {
            sum += 0.5 * a->mass * a->velocity[k] * a->velocity[k];
        }
        for (int j = i + 1; j < BODIES; j++) {
            double square = 0;
            for (int k = 0; k < 3; k++) {
                double d = a->position[k] - bodies[j].position[k];
                square += d * d;
            }
            sum -= gravity * a->mass * bodies[j].mass / sqrt(square);
        }
    }
    return sum;
}

// Advances by `steps` of `dt` days and returns the energy; the bodies stay where they are.
__attribute__((export_name("advance"))) double advance(int steps, double dt) {
    for (int s = 0; s < steps; s++) {
        accelerate(dt);
        for (int i = 0; i < BODIES; i++) {
            for (int k = 0; k < 3; k++) {
                bodies[i].position[k] += dt * bodies[i].velocity[k];
            }
        }
    }
    return energy();
}

int main(int argc, char **argv) {
    int steps = argc > 1 ? atoi(argv[1]) : 1000;
    double dt = argc > 2 ? strtod(argv[2], NULL) : 1;
    stop_drift();
    printf("%.12e\n", energy());
    printf("%.12e\n", advance(steps, dt));
    return 0;
}
