// Leader election in a ring, as Chang and Roberts have it: each agent sends its id to the next one,
// which passes on ids that are greater than its own. Whose id comes back is the leader, and tells
// the others.
//
// A WASI command begins afresh in each dispatch. What it has to remember, it writes to itself.
#include <stdio.h>

#include "swarm.h"

typedef struct {
    int32_t kind;
    int32_t id;
} Message;

enum { CANDIDATE, LEADER, NOTE };

static int32_t next_of(int32_t self) {
    for (int32_t i = 0; i < swarm_peers(); i++) {
        if (swarm_peer(i) > self) {
            return swarm_peer(i);
        }
    }
    return swarm_peer(0);
}

static void tell(int32_t to, int32_t kind, int32_t id) {
    Message message = {kind, id};
    if (swarm_send(to, &message, sizeof message) != 0) {
        fprintf(stderr, "cannot send to %d\n", to);
    }
}

int main(void) {
    int32_t self = swarm_id(), next = next_of(self), leader = -1;
    Message message;
    if (swarm_pending() == 0) {
        printf("%d is a candidate\n", self);
        tell(next, CANDIDATE, self);
    }
    while (swarm_recv(&message, sizeof message) == (int32_t)sizeof message) {
        if (message.kind == NOTE) {
            if (message.id >= 0) {
                leader = message.id;
            }
        } else if (message.kind == LEADER) {
            leader = message.id;
            if (leader != self) {
                tell(next, LEADER, leader);
            }
        } else if (message.id == self) {
            leader = self;
            tell(next, LEADER, self);
        } else if (message.id > self) {
            tell(next, CANDIDATE, message.id);
        }
    }
    if (leader >= 0) {
        printf("%d is the leader\n", leader);
    }
    tell(self, NOTE, leader);
    return 0;
}
