"""What a swarm's user can see and change of living agents."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import SwarmStateError, UnknownAgentError
from ..targets.base import Int64s
from ..targets.device_array import DeviceArray
from . import inputs, memories
from .checks import check_integer, to_integer
from .inputs import Data
from .program import AgentSnapshot, Program


class AgentAccess:
    """The part of :class:`~.manager.SwarmManager` that looks at agents one by one."""

    _program: Program | None
    _lock: threading.RLock

    def _loaded(self, before: str) -> Program:
        if self._program is None:
            raise SwarmStateError(f"Must call load_bytecode() before {before}")
        return self._program

    def _slot(self, agent_id: int) -> tuple[Program, int]:
        if self._program is None:
            raise UnknownAgentError(f"no agent {agent_id!r}: no program is loaded")
        return self._program, self._program.table.slot(agent_id)

    def memory_size(self, agent_id: int, *, memory: int | str = 0) -> int:
        """Bytes of an agent's memory at the moment."""
        with self._lock:
            program, slot = self._slot(agent_id)
            return program.memory_size(slot, _memory_number(program, memory))

    def get_agent_memory(
        self, agent_id: int, offset: int = 0, length: int | None = None, *, memory: int | str = 0
    ) -> bytes:
        """Bytes of an agent's memory; ``length`` None: from ``offset`` to the end.

        Raises:
            KeyError: the agent does not live.
            ArgumentError: the range is not in the memory, or there is no such memory.
        """
        with self._lock:
            program, slot = self._slot(agent_id)
            offset = to_integer("offset", offset)
            length = None if length is None else to_integer("length", length)
            return program.read_memory(slot, offset, length, _memory_number(program, memory))

    def set_agent_memory(
        self, agent_id: int, data: Data, offset: int = 0, *, memory: int | str = 0
    ) -> None:
        """Overwrite bytes of an agent's memory; the errors are ``get_agent_memory``'s."""
        with self._lock:
            program, slot = self._slot(agent_id)
            offset, number = to_integer("offset", offset), _memory_number(program, memory)
            program.write_memory(slot, offset, inputs.encode_data(data, "data"), number)

    def get_agent_memories(
        self, agent_ids: Iterable[int] | None = None, offset: int = 0, count: int | None = None,
        dtype: DTypeLike = np.uint8, *, memory: int | str = 0,
    ) -> NDArray[Any]:  # fmt: skip
        """The same part of many agents' memories, copied: dtype[agents, count].

        Args:
            agent_ids: whose; None: every living agent's.
            offset: in bytes. count: elements of ``dtype``; None: as many as there are.

        Raises:
            KeyError: an agent does not live.
            ArgumentError: the part is not in every memory, or there is no such memory or dtype.
        """
        with self._lock:
            where = self._memories(agent_ids, offset, memory)
            return memories.read(*where[:4], _count(count), dtype, where[4])

    def view_agent_memories(
        self, agent_ids: Iterable[int] | None = None, offset: int = 0, count: int | None = None,
        dtype: DTypeLike = np.uint8, *, memory: int | str = 0,
    ) -> NDArray[Any] | DeviceArray:  # fmt: skip
        """As ``get_agent_memories``, but the bytes themselves: writing to the array writes there.

        On a GPU that is an array on the GPU, which CuPy, PyTorch and Numba take. Only in the layout
        ``flat``, and for agents that were spawned one after another.
        What an agent's memory is while it runs, or after it was reset or killed, nobody says.

        Raises:
            ArgumentError: the memories do not lie so.
        """
        with self._lock:
            where = self._memories(agent_ids, offset, memory)
            return memories.view(*where[:4], _count(count), dtype, where[4])

    def set_agent_memories(
        self, data: Any, agent_ids: Iterable[int] | None = None, offset: int = 0, *,
        memory: int | str = 0,
    ) -> None:  # fmt: skip
        """Overwrite the same part of many agents' memories.

        Args:
            data: an array with a row for each agent, or one row for all, of NumPy or of a library
                that knows DLPack; or bytes for all.
        """
        with self._lock:
            program, ids, slots, offset, number = self._memories(agent_ids, offset, memory)
            memories.write(program, ids, slots, offset, data, number)

    def _memories(
        self, agent_ids: Iterable[int] | None, offset: int, memory: int | str
    ) -> tuple[Program, Int64s, Int64s, int, int]:
        program = self._loaded("looking at memories")
        table = program.table
        ids, slots = table.living() if agent_ids is None else table.select(agent_ids)
        return program, ids, slots, to_integer("offset", offset), _memory_number(program, memory)

    def get_agent_global(self, agent_id: int, name: str) -> Any:
        """Value of an exported global."""
        with self._lock:
            program, slot = self._slot(agent_id)
            return program.read_global(slot, name)

    def set_agent_global(self, agent_id: int, name: str, value: Any) -> None:
        """Set an exported, mutable global."""
        with self._lock:
            program, slot = self._slot(agent_id)
            program.write_global(slot, name, value)

    def reset_agent(self, agent_id: int) -> None:
        """Put an agent back to how it was spawned."""
        with self._lock:
            program, slot = self._slot(agent_id)
            program.scrub(np.array([slot]))

    def reset_agents(self, agent_ids: Iterable[int] | None = None) -> None:
        """Put agents, or all, back to how they were spawned."""
        with self._lock:
            program = self._loaded("resetting agents")
            table = program.table
            program.scrub((table.living() if agent_ids is None else table.select(agent_ids))[1])

    def snapshot(self, agent_id: int) -> AgentSnapshot:
        """Memory, globals and tables of an agent, for ``restore``."""
        with self._lock:
            program, slot = self._slot(agent_id)
            return program.snapshot(slot)

    def restore(self, agent_id: int, snapshot: AgentSnapshot) -> None:
        """Put an agent into the state of a snapshot, which may be another agent's."""
        with self._lock:
            program, slot = self._slot(agent_id)
            program.restore(slot, snapshot)

    def kill_agent(self, agent_id: int) -> None:
        """Remove an agent and free its slot."""
        with self._lock:
            program = self._program
            if program is None:
                program, _ = self._slot(agent_id)
            program.bury(np.array([program.table.remove(agent_id)], np.int64))

    def kill_agents(self, agent_ids: Iterable[int] | None = None) -> None:
        """Remove agents, or all of them, and free their slots."""
        with self._lock:
            if agent_ids is None and self._program is None:
                return
            program = self._loaded("killing agents")
            ids = program.table.living()[0] if agent_ids is None else agent_ids
            program.bury(program.table.remove_many(ids))

    def number_agents_from(self, first_id: int) -> None:
        """Count the ids of agents anew, from ``first_id`` on; none may live.

        What agents do depends on their ids: random numbers are made from them. So a swarm can run
        some of the agents of a larger one, which are numbered as they are there.

        Raises:
            SwarmStateError: agents live, or no program is loaded.
        """
        with self._lock:
            program = self._loaded("numbering agents")
            table = program.table
            first_id = check_integer("first_id", first_id, 0, 1 << 62)
            if len(table):
                raise SwarmStateError(
                    f"{len(table)} agents live, whose ids might be given twice",
                    hint="kill_agents() first",
                )
            table.number_from(first_id)
            if program.mail is not None:
                program.mail.forget()


def _count(count: int | None) -> int | None:
    return None if count is None else to_integer("count", count)


def _memory_number(program: Program, memory: int | str) -> int:
    if not isinstance(memory, str):
        memory = to_integer("memory", memory)
    return program.memory_number(memory)
