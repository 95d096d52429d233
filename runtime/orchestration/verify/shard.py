"""A shard: some agents of one program with their inputs, and what becomes of them, as hashes."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..codec import dumps

if TYPE_CHECKING:
    from ...manager import SwarmManager
    from ...results import SwarmResult

#: What the hashes of an agent are of, in order.
PARTS = ("result", "memory", "output", "instructions")


@dataclass(frozen=True, slots=True)
class Shard:
    """What is to be run: all that its outcome depends on.

    Args:
        module: bytes of the WebAssembly module.
        agents: how many.
        entry_point: exported function; None: the module's own.
        args: one row of arguments for all agents, or one row an agent.
        memory: what is written to the beginning of every agent's memory first; or one an agent.
        stdin, argv, env: of WASI commands.
        fuel: instructions that an agent may execute.
        seed, clock: what agents' random numbers and clocks begin with.
        max_memory: bytes that an agent's memory may grow to; None: as the module says.
        output_size: bytes kept of what an agent writes to a stream.
    """

    module: bytes
    agents: int = 1
    entry_point: str | None = None
    args: Sequence[Any] | None = None
    memory: bytes | Sequence[bytes] | None = None
    stdin: bytes = b""
    argv: Sequence[str] = ("module.wasm",)
    env: dict[str, str] | None = None
    fuel: int = 10**10
    seed: int = 0
    clock: int = 0
    max_memory: int | None = None
    output_size: int = 4096

    @property
    def module_digest(self) -> str:
        """SHA-256 of the module."""
        return hashlib.sha256(self.module).hexdigest()

    @property
    def inputs_digest(self) -> str:
        """SHA-256 over everything else.

        Raises:
            ValueEncodingError: an argument has no JSON form.
        """
        args = None if self.args is None else list(self.args)
        memory = self.memory
        if memory is not None and not isinstance(memory, bytes):
            memory = list(memory)
        text = dumps([
            self.agents, self.entry_point, args, memory, self.stdin, list(self.argv),
            sorted((self.env or {}).items()), self.fuel, self.seed, self.clock, self.max_memory,
            self.output_size,
        ])  # fmt: skip
        return hashlib.sha256(text.encode()).hexdigest()

    def manager(self, target: str | None = None) -> SwarmManager:
        """A swarm that can run it, and nothing else has run in."""
        from ...manager import SwarmManager

        return SwarmManager.from_wasm(
            self.module, target=target, max_agents=max(self.agents, 1),
            max_memory=self.max_memory, output_size=self.output_size,
        )  # fmt: skip

    def run(self, swarm: SwarmManager) -> SwarmResult:
        """Run it; the agents are there afterwards, to be looked at."""
        memory = self.memory
        if memory is not None and not isinstance(memory, bytes):
            memory = list(memory)
        swarm.spawn_agents(
            self.agents, self.entry_point, self.args, memory,
            stdin=self.stdin, argv=list(self.argv), env=self.env or {},
        )  # fmt: skip
        return swarm.dispatch(fuel=self.fuel, seed=self.seed, clock=self.clock)


Hashes = tuple[bytes, bytes, bytes, bytes]


def hash_agents(shard: Shard, swarm: SwarmManager, result: SwarmResult) -> list[Hashes]:
    """Of each agent, in order: hashes of :data:`PARTS`, which together are its leaf."""
    entry = swarm.executable.entry(shard.entry_point or swarm.default_entry_point or "")
    columns = [
        [row.tobytes() for row in result.results_array(index)]
        for index in range(0 if entry is None else len(entry.type.results))
    ]
    memories = swarm.executable.layout.visible_memories
    found: list[Hashes] = []
    for place, id_ in enumerate(result.ids.tolist()):
        trap = result.traps.get(id_)
        ending = [
            result.endings[id_], result.exit_codes.get(id_),
            None if trap is None else [trap.code.value, trap.offset, trap.host_code],
        ]  # fmt: skip
        values = b"".join(column[place] for column in columns)
        memory = hashlib.sha256()
        for number in range(len(memories)):
            data = swarm.get_agent_memory(id_, memory=number)
            memory.update(struct.pack("<Q", len(data)) + data)
        for export in swarm.executable.global_exports:
            value = swarm.get_agent_global(id_, export.name)
            memory.update(f"{export.name}={_bits(value)};".encode())
        output, errors = result.agent_outputs[id_], result.agent_errors[id_]
        written = struct.pack("<QQ", len(output), len(errors)) + output + errors
        found.append((
            hashlib.sha256(json.dumps(ending).encode() + b"\n" + values).digest(),
            memory.digest(),
            hashlib.sha256(written).digest(),
            struct.pack("<Q", int(result.counts_array[place])).rjust(32, b"\0"),
        ))  # fmt: skip
    return found


def _bits(value: object) -> str:
    """A global's value, so that different bits are different text."""
    return struct.pack("<d", value).hex() if isinstance(value, float) else repr(value)
