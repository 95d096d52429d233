// A rumour that spreads: in each dispatch an agent tells everything that it knows to some others.
//
// What an agent knows is a set of numbers below 1,024, at first only its own. `step` takes what
// came, tells it to `fanout` agents that it picks by a generator of its own, and returns how many
// numbers it knows.
#include "swarm.h"

enum { NUMBERS = 1024, LARGEST = NUMBERS * 2 };

static uint8_t knows[NUMBERS];
static uint16_t message[NUMBERS];
static int32_t known;
static uint32_t state;

static void learn(uint32_t number) {
    if (number < NUMBERS && !knows[number]) {
        knows[number] = 1;
        known++;
    }
}

static int32_t pick(void) {
    state = state * 1664525 + 1013904223;
    return swarm_peer((int32_t)((state >> 8) % (uint32_t)swarm_peers()));
}

__attribute__((export_name("step"))) int32_t step(int32_t fanout) {
    if (known == 0) {
        state = (uint32_t)swarm_id();
        learn(state % NUMBERS);
    }
    int32_t length;
    while ((length = swarm_recv(message, LARGEST)) >= 0) {
        for (int32_t i = 0; i < length / 2; i++) {
            learn(message[i]);
        }
    }
    int32_t count = 0;
    for (uint32_t number = 0; number < NUMBERS; number++) {
        if (knows[number]) {
            message[count++] = (uint16_t)number;
        }
    }
    for (int32_t i = 0; i < fanout; i++) {
        swarm_send(pick(), message, 2 * count);
    }
    return known;
}
