// Messages between the agents of a swarm. What is sent in one dispatch is received in the next.
//
// The bytes that a call names must lie in memory, even if nothing comes of the call; otherwise the
// agent ends with the trap "out of bounds memory access".
#ifndef SWARM_H
#define SWARM_H

#include <stdint.h>

#define SWARM_IMPORT(name) __attribute__((import_module("swarm"), import_name(#name)))

enum {
    SWARM_NO_MESSAGE = -1,     // nothing waits
    SWARM_TOO_LONG = -2,       // for the buffer, and still waits; or for any mailbox
    SWARM_FULL = -3,           // the outbox has no room for it in this dispatch
    SWARM_NO_SUCH_AGENT = -4,  // or not one that this agent may write to
};

// This agent's id.
SWARM_IMPORT(id) int32_t swarm_id(void);

// How many agents this one may write to, itself among them; and their ids, ascending. -1: there are
// not so many.
SWARM_IMPORT(peers) int32_t swarm_peers(void);
SWARM_IMPORT(peer) int32_t swarm_peer(int32_t number);

// Sends a message: 0, or SWARM_TOO_LONG, SWARM_NO_SUCH_AGENT, SWARM_FULL.
SWARM_IMPORT(send) int32_t swarm_send(int32_t to, const void *data, int32_t length);

// Takes the next message: its length, or SWARM_NO_MESSAGE, SWARM_TOO_LONG. They come by the id of
// the sender, and of each in the order of sending; what waited already comes first.
SWARM_IMPORT(recv) int32_t swarm_recv(void *buffer, int32_t capacity);

// Who sent the message that was received last in this dispatch; -1: nobody, or the host.
SWARM_IMPORT(sender) int32_t swarm_sender(void);

// How many messages wait, and the length of the next one or SWARM_NO_MESSAGE.
SWARM_IMPORT(pending) int32_t swarm_pending(void);
SWARM_IMPORT(length) int32_t swarm_length(void);

// How many of the messages that this agent sent when it ran last found their mailbox full.
SWARM_IMPORT(undelivered) int32_t swarm_undelivered(void);

#endif
