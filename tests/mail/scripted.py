"""A module whose agents do what a script in their memory says, and a model of the mail they get."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from wasmtime import wat2wasm

from swarmc.runtime import SwarmManager, SwarmResult

SCRIPT, BYTES, BUFFER, LOG, END = 0, 8192, 16384, 24576, 65536

#: Commands, four words each: op, and up to three operands.
STOP, SEND, RECV, PENDING, LENGTH, SENDER, UNDELIVERED, PEERS, PEER, TRAP, ID = range(11)

_WAT = f"""
(module
  (import "swarm" "send" (func $send (param i32 i32 i32) (result i32)))
  (import "swarm" "recv" (func $recv (param i32 i32) (result i32)))
  (import "swarm" "pending" (func $pending (result i32)))
  (import "swarm" "length" (func $length (result i32)))
  (import "swarm" "sender" (func $sender (result i32)))
  (import "swarm" "undelivered" (func $undelivered (result i32)))
  (import "swarm" "peers" (func $peers (result i32)))
  (import "swarm" "peer" (func $peer (param i32) (result i32)))
  (import "swarm" "id" (func $id (result i32)))
  (memory (export "memory") 1)
  (func (export "run") (result i32)
    (local $at i32) (local $log i32) (local $op i32) (local $a i32) (local $b i32) (local $r i32)
    (local.set $log (i32.const {LOG}))
    (block $end (loop $next
      (local.set $op (i32.load (local.get $at)))
      (local.set $a (i32.load offset=4 (local.get $at)))
      (local.set $b (i32.load offset=8 (local.get $at)))
      (br_if $end (i32.eqz (local.get $op)))
      (if (i32.eq (local.get $op) (i32.const {SEND})) (then
        (memory.fill (i32.const {BYTES}) (i32.load offset=12 (local.get $at)) (i32.const 256))
        (local.set $r (call $send (local.get $a) (i32.const {BYTES + 1}) (local.get $b)))))
      (if (i32.eq (local.get $op) (i32.const {RECV}))
        (then (local.set $r (call $recv (i32.const {BUFFER + 3}) (local.get $a)))))
      (if (i32.eq (local.get $op) (i32.const {PENDING})) (then (local.set $r (call $pending))))
      (if (i32.eq (local.get $op) (i32.const {LENGTH})) (then (local.set $r (call $length))))
      (if (i32.eq (local.get $op) (i32.const {SENDER})) (then (local.set $r (call $sender))))
      (if (i32.eq (local.get $op) (i32.const {UNDELIVERED}))
        (then (local.set $r (call $undelivered))))
      (if (i32.eq (local.get $op) (i32.const {PEERS})) (then (local.set $r (call $peers))))
      (if (i32.eq (local.get $op) (i32.const {PEER}))
        (then (local.set $r (call $peer (local.get $a)))))
      (if (i32.eq (local.get $op) (i32.const {ID})) (then (local.set $r (call $id))))
      (if (i32.eq (local.get $op) (i32.const {TRAP})) (then unreachable))
      (i32.store (local.get $log) (local.get $r))
      (local.set $log (i32.add (local.get $log) (i32.const 4)))
      (if (i32.and (i32.eq (local.get $op) (i32.const {RECV}))
                   (i32.ge_s (local.get $r) (i32.const 0))) (then
        (memory.copy (local.get $log) (i32.const {BUFFER + 3}) (local.get $r))
        (local.set $log (i32.add (local.get $log) (local.get $r)))
        (local.set $log (i32.and (i32.add (local.get $log) (i32.const 3)) (i32.const -4)))))
      (local.set $at (i32.add (local.get $at) (i32.const 16)))
      (br $next)))
    (i32.store (local.get $log) (i32.const 0x7fffffff))
    (local.get $log)))
"""

WASM = bytes(wat2wasm(_WAT))

Command = tuple[int, ...]


def write_script(swarm: SwarmManager, agent: int, commands: Iterable[Command]) -> None:
    """Say what an agent is to do in its next dispatch."""
    words = [word for row in commands for word in (*row, *[0] * (4 - len(row)))]
    data = struct.pack(f"<{len(words) + 4}I", *(w & 0xFFFF_FFFF for w in words), 0, 0, 0, 0)
    swarm.set_agent_memory(agent, data, SCRIPT)
    swarm.set_agent_memory(agent, bytes(END - LOG), LOG)


def read_log(swarm: SwarmManager, agent: int) -> bytes:
    """What the calls of its last dispatch gave."""
    return swarm.get_agent_memory(agent, LOG)


@dataclass
class Model:
    """Mail as it is meant: lists in dictionaries."""

    size: int
    links: Mapping[int, set[int]] | None = None
    boxes: dict[int, list[tuple[int, bytes]]] = field(default_factory=dict)
    failed: Counter[int] = field(default_factory=Counter)
    counts: Counter[str] = field(default_factory=Counter)

    def peers(self, agent: int) -> list[int]:
        """Whom an agent may write to."""
        if self.links is None:
            return sorted(self.boxes)
        if agent not in self.links:
            return []
        return sorted((self.links[agent] | {agent}) & set(self.boxes))

    def dispatch(self, scripts: Mapping[int, Sequence[Command]]) -> dict[int, bytes]:
        """Run agents; what they log."""
        logs, sent = {}, []
        for agent in sorted(scripts):
            run = _Run(self, agent)
            logs[agent] = run.all(scripts[agent])
            self.boxes[agent] = self.boxes[agent][run.received :]
            self.failed[agent] = 0
            sent += [(to, agent, data) for to, data in run.sent]
        self.counts["sent"] += len(sent)
        refused: set[int] = set()
        for to, agent, data in sent:
            self.deliver(to, agent, data, refused)
        return logs

    def deliver(self, to: int, sender: int, data: bytes, refused: set[int]) -> bool:
        """Put a message into a mailbox, unless it or one before it of this round had no room."""
        filled = sum(size_of(one) for _, one in self.boxes[to])
        if to in refused or filled + size_of(data) > self.size:
            refused.add(to)
            self.failed[sender] += 1
            self.counts["mailbox_full"] += 1
            return False
        self.boxes[to].append((sender, data))
        self.counts["delivered"] += 1
        return True

    def kill(self, agent: int) -> None:
        """Remove an agent and its mail."""
        self.counts["dropped"] += len(self.boxes.pop(agent))


class _Run:
    """One agent in one dispatch."""

    def __init__(self, model: Model, agent: int) -> None:
        self.model, self.agent = model, agent
        self.box = model.boxes[agent]
        self.received, self.sender = 0, -1
        self.sent: list[tuple[int, bytes]] = []

    def all(self, commands: Sequence[Command]) -> bytes:
        log = b""
        for op, *operands in commands:
            if op == TRAP:
                return log
            result, data = self.one(op, operands)
            log += struct.pack("<i", result) + data
            log += bytes(-len(log) % 4)
        return log + struct.pack("<i", 0x7FFF_FFFF)

    def one(self, op: int, operands: list[int]) -> tuple[int, bytes]:
        left = self.box[self.received :]
        peers = self.model.peers(self.agent)
        if op == SEND:
            return self.send(*operands), b""
        if op == RECV:
            return self.recv(left, operands[0])
        if op == PEER:
            return (peers[operands[0]] if operands[0] < len(peers) else -1), b""
        return {
            PENDING: len(left), LENGTH: len(left[0][1]) if left else -1, SENDER: self.sender,
            UNDELIVERED: self.model.failed[self.agent], PEERS: len(peers), ID: self.agent,
        }[op], b""  # fmt: skip

    def send(self, to: int, length: int, byte: int) -> int:
        counts, data = self.model.counts, bytes([byte]) * length
        if size_of(data) > self.model.size:
            counts["too_long"] += 1
            return -2
        if to not in self.model.peers(self.agent):
            counts["no_such_agent"] += 1
            return -4
        if sum(size_of(one) for _, one in self.sent) + size_of(data) > self.model.size:
            counts["outbox_full"] += 1
            return -3
        self.sent.append((to, data))
        return 0

    def recv(self, left: list[tuple[int, bytes]], capacity: int) -> tuple[int, bytes]:
        if not left:
            return -1, b""
        sender, data = left[0]
        if len(data) > capacity:
            return -2, b""
        self.received, self.sender = self.received + 1, sender
        self.model.counts["received"] += 1
        return len(data), data


def size_of(data: bytes) -> int:
    """Bytes that a message takes."""
    return 8 + -(-len(data) // 8) * 8


def play(
    swarm: SwarmManager, model: Model, scripts: Mapping[int, Sequence[Command]]
) -> SwarmResult:
    """Run the same in the swarm and in the model, and compare."""
    for agent, commands in scripts.items():
        write_script(swarm, agent, commands)
    result = swarm.dispatch(list(scripts))
    logs = model.dispatch(scripts)
    for agent, expected in logs.items():
        assert read_log(swarm, agent)[: len(expected)] == expected, (agent, scripts[agent])
    compare(swarm, model)
    return result


def compare(swarm: SwarmManager, model: Model) -> None:
    """What waits, and the numbers, are the same."""
    waiting: dict[int, list[tuple[int, bytes]]] = {agent: [] for agent in model.boxes}
    for one in swarm.mail.waiting():
        waiting[one.recipient].append((-1 if one.sender is None else one.sender, one.data))
    assert waiting == model.boxes
    stats = swarm.mail.stats()
    assert {name: getattr(stats, name) for name in stats.__slots__} == {
        name: model.counts[name] for name in stats.__slots__
    }
    assert stats.sent + stats.posted == stats.delivered + stats.mailbox_full
    assert stats.delivered == stats.received + stats.dropped + len(swarm.mail)
    living = np.array(sorted(model.boxes))
    assert swarm.mail.pending().tolist() == [len(model.boxes[one]) for one in living]
