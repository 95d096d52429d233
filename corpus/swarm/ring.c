// Tokens that go round a ring of agents, one place in each dispatch.
//
// The ring has all agents in the order of their ids. `step` returns how many tokens came, and
// `digest` is of all that have come, in their order.
#include "swarm.h"

typedef struct {
    int32_t origin;
    uint32_t value;
} Token;

static int32_t next = -1;
static uint32_t seen = 1;

static int32_t find_next(void) {
    int32_t self = swarm_id(), count = swarm_peers(), low = 0, high = count;
    while (low < high) {
        int32_t middle = (low + high) / 2;
        if (swarm_peer(middle) < self) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return swarm_peer((low + 1) % count);
}

__attribute__((export_name("step"))) int32_t step(int32_t tokens) {
    Token token;
    int32_t received = 0;
    if (next < 0) {
        next = find_next();
        for (int32_t i = 0; i < tokens; i++) {
            token = (Token){swarm_id(), (uint32_t)i};
            if (swarm_send(next, &token, sizeof token) != 0) {
                __builtin_trap();
            }
        }
    }
    while (swarm_recv(&token, sizeof token) == (int32_t)sizeof token) {
        received++;
        token.value = token.value * 31 + (uint32_t)swarm_id();
        seen = seen * 1000003 + ((uint32_t)token.origin ^ token.value);
        if (swarm_send(next, &token, sizeof token) != 0) {
            __builtin_trap();
        }
    }
    return received;
}

__attribute__((export_name("digest"))) uint32_t digest(void) {
    return seen;
}
