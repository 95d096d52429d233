"""What the nodes of swarms under chaos run: an agent whose output tells what it was given."""

from __future__ import annotations

from dataclasses import dataclass

#: Reads standard input: four bytes, how often to turn (little-endian), and a text. Writes the text,
#: sixteen letters that are random, and eight that follow from all of them after so many turns.
TEXT = """
(module
  (import "wasi_snapshot_preview1" "fd_read"
    (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write"
    (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (memory (export "memory") 2)
  (func (export "_start") (local $got i32) (local $i i32) (local $x i64)
    (loop $more
      (i32.store (i32.const 0) (i32.add (i32.const 1024) (local.get $got)))
      (i32.store (i32.const 4) (i32.sub (i32.const 65536) (local.get $got)))
      (drop (call $read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 8)))
      (local.set $got (i32.add (local.get $got) (i32.load (i32.const 8))))
      (br_if $more (i32.load (i32.const 8))))
    (drop (call $random (i32.const 512) (i32.const 16)))
    (local.set $x (i64.load (i32.const 512)))
    (local.set $i (i32.load (i32.const 1024)))
    (loop $turn
      (local.set $x (i64.add (i64.const 1442695040888963407)
        (i64.mul (i64.xor (local.get $x) (i64.shr_u (local.get $x) (i64.const 29)))
          (i64.const 6364136223846793005))))
      (br_if $turn (local.tee $i (i32.sub (local.get $i) (i32.const 1)))))
    (i64.store (i32.const 528) (local.get $x))
    (loop $letter
      (i32.store8 (i32.add (i32.add (i32.const 1024) (local.get $got)) (local.get $i))
        (i32.add (i32.const 97) (i32.and (i32.const 15)
          (i32.load8_u (i32.add (i32.const 512) (local.get $i))))))
      (br_if $letter (i32.lt_u
        (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 24))))
    (i32.store (i32.const 0) (i32.const 1028))
    (i32.store (i32.const 4) (i32.add (local.get $got) (i32.const 20)))
    (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))
"""

#: How often agents turn; about a nanosecond or two each.
SPINS = (1_000, 1_000_000, 10_000_000, 40_000_000, 100_000_000)


def module() -> bytes:
    """The module. Needs wasmtime, which reads the text format."""
    import wasmtime

    return bytes(wasmtime.wat2wasm(TEXT))


def given(spin: int, text: str) -> bytes:
    """What is injected."""
    return spin.to_bytes(4, "little") + text.encode()


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What agents write if nothing happens to them: measured here, with a swarm of this process.

    Args:
        tails: what is behind the text, by node and spin, agent by agent.
    """

    tails: dict[tuple[int, int], tuple[str, ...]]

    @classmethod
    def measure(cls, nodes: int, agents: int, spins: tuple[int, ...] = SPINS) -> Undisturbed:
        """Run each node's agents with each spin once."""
        from ..manager import SwarmManager

        tails = {}
        with SwarmManager.from_wasm(module(), max_agents=agents) as swarm:
            swarm.spawn_agents(agents)
            for node in range(nodes):
                for spin in spins:
                    result = swarm.dispatch(stdin=given(spin, ""), seed=node)
                    outputs = result.agent_outputs.values()
                    tails[node, spin] = tuple(output.decode() for output in outputs)
        return cls(tails)

    def outputs(self, node: int, data: bytes) -> list[str]:
        """Of the agents of a node that were given this."""
        spin, text = int.from_bytes(data[:4], "little"), data[4:].decode()
        return [text + tail for tail in self.tails[node, spin]]
