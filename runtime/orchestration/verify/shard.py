"""A shard: some agents of one program with their inputs, and what becomes of them, as hashes."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...values import Slots
from ..codec import dumps

if TYPE_CHECKING:
    from ....ir.types import Type
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
        args: as ``SwarmManager.spawn_agents`` takes them: one row of arguments for all agents, or
            one row an agent.
        memory: what is written to the beginning of every agent's memory first; or one an agent.
        stdin, argv, env: of WASI commands; or a list, one an agent.
        fuel: instructions that an agent may execute.
        seed, clock: what agents' random numbers and clocks begin with.
        max_memory: bytes that an agent's memory may grow to; None: as the module says.
        output_size: bytes kept of what an agent writes to a stream.
        first: number of the first agent, from which its random numbers are made, too.
        heap, call_depth, missing_imports: as of ``SwarmManager``.
    """

    module: bytes
    agents: int = 1
    entry_point: str | None = None
    args: Any = None
    memory: bytes | Sequence[bytes] | None = None
    stdin: bytes | Sequence[bytes] = b""
    argv: Sequence[str] | Sequence[Sequence[str]] = ("module.wasm",)
    env: Mapping[str, str] | Sequence[Mapping[str, str]] | None = None
    fuel: int = 10**10
    seed: int = 0
    clock: int = 0
    max_memory: int | None = None
    output_size: int = 4096
    first: int = 0
    heap: int | None = None
    call_depth: int | None = None
    missing_imports: str = "error"

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
        more = {name: getattr(self, name) for name, usual in _LATER if getattr(self, name) != usual}
        text = dumps([
            self.agents, self.entry_point, _plain_args(self.args), _listed(self.memory),
            _listed(self.stdin), _listed(self.argv), self._sorted_env(), self.fuel, self.seed,
            self.clock, self.max_memory, self.output_size, *([more] if more else []),
        ])  # fmt: skip
        return hashlib.sha256(text.encode()).hexdigest()

    def _sorted_env(self) -> list[Any]:
        if self.env is None or isinstance(self.env, Mapping):
            return sorted((self.env or {}).items())
        return [sorted(one.items()) for one in self.env]

    def options(self) -> dict[str, Any]:
        """Of a swarm that can run it."""
        return {
            "max_agents": max(self.agents, 1), "max_memory": self.max_memory,
            "output_size": self.output_size, "heap": self.heap, "call_depth": self.call_depth,
            "missing_imports": self.missing_imports,
        }  # fmt: skip

    def manager(self, target: str | None = None) -> SwarmManager:
        """A swarm that can run it, and nothing else has run in."""
        from ...manager import SwarmManager

        return SwarmManager.from_wasm(self.module, target=target, **self.options())

    def run(self, swarm: SwarmManager) -> SwarmResult:
        """Run it; the agents are there afterwards, to be looked at."""
        swarm.number_agents_from(self.first)
        swarm.spawn_agents(
            self.agents, self.entry_point, self.args, _listed(self.memory),
            stdin=_listed(self.stdin), argv=_listed(self.argv), env=self.env or {},
        )  # fmt: skip
        return swarm.dispatch(fuel=self.fuel, seed=self.seed, clock=self.clock)


#: What the digest of the inputs has only where it is not as it always was.
_LATER = (("first", 0), ("heap", None), ("call_depth", None), ("missing_imports", "error"))


def _listed(given: Any) -> Any:
    return given if given is None or isinstance(given, bytes) else list(given)


def _plain_args(args: Any) -> Any:
    """Arguments as a value of the codec."""
    if isinstance(args, Slots):
        return args.rows
    return args if args is None or isinstance(args, np.ndarray) else list(args)


Hashes = tuple[bytes, bytes, bytes, bytes]


def hash_agents(shard: Shard, swarm: SwarmManager, result: SwarmResult) -> list[Hashes]:
    """Of each agent, in order: hashes of :data:`PARTS`, which together are its leaf."""
    entry = swarm.executable.entry(shard.entry_point or swarm.default_entry_point or "")
    types = () if entry is None else entry.type.results
    memories = [memory_hash(swarm, id_) for id_ in result.ids.tolist()]
    shown = zip(shown_hashes(result, types), memories, strict=True)
    return [(ending, memory, output, count) for (ending, output, count), memory in shown]


def memory_hash(swarm: SwarmManager, id_: int) -> bytes:
    """Of an agent's memories and exported globals."""
    memory = hashlib.sha256()
    for number in range(len(swarm.executable.layout.visible_memories)):
        data = swarm.get_agent_memory(id_, memory=number)
        memory.update(struct.pack("<Q", len(data)) + data)
    for export in swarm.executable.global_exports:
        value = swarm.get_agent_global(id_, export.name)
        memory.update(f"{export.name}={_bits(value)};".encode())
    return memory.digest()


def shown_hashes(
    result: SwarmResult, types: Sequence[Type]
) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Of each agent, in order: hashes of all that a result says of it, which is not its memory.

    Args:
        types: of the entry point's results.
    """
    columns = [
        [row.tobytes() for row in result.results_array(index)] for index in range(len(types))
    ]
    for place, id_ in enumerate(result.ids.tolist()):
        trap = result.traps.get(id_)
        ending = [
            result.endings[id_], result.exit_codes.get(id_),
            None if trap is None else [trap.code.value, trap.offset, trap.host_code],
        ]  # fmt: skip
        values = b"".join(column[place] for column in columns)
        output, errors = result.agent_outputs[id_], result.agent_errors[id_]
        written = struct.pack("<QQ", len(output), len(errors)) + output + errors
        if result.truncated_array[place]:
            written += b"and more"
        yield (
            hashlib.sha256(json.dumps(ending).encode() + b"\n" + values).digest(),
            hashlib.sha256(written).digest(),
            struct.pack("<Q", int(result.counts_array[place])).rjust(32, b"\0"),
        )


def _bits(value: object) -> str:
    """A global's value, so that different bits are different text."""
    return struct.pack("<d", value).hex() if isinstance(value, float) else repr(value)
