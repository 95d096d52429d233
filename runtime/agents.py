"""The agent table: which ids live, which slot each has, and what each is to run.

Ids only grow and are never used again, unless they are counted anew while nobody lives. Rows are in
id order and hold (id, slot); everything else is held by slot, in arrays as long as the swarm's
capacity, whose untouched pages cost nothing.
"""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ArgumentError, CapacityError, UnknownAgentError
from .checks import to_list
from .inputs import InputColumn

Int64s = NDArray[np.int64]

NO_ENTRY = -1
_SPARE_ROWS = 64


class Stage(enum.IntEnum):
    """How far a slot has come."""

    VACANT = 0  # no agent has it; its slice is all zeros
    FRESH = 1  # has an agent; its slice is all zeros still
    READY = 2  # has its initial memory and globals
    RAN = 3


_FRESH = int(Stage.FRESH)


class AgentTable:
    """Living agents of one swarm.

    Attributes:
        entry: int32[capacity], number of each slot's entry point, -1: none.
        stage: uint8[capacity], see :class:`Stage`.
        has_args: bool[capacity]. args: uint64[capacity, k], as wide as any agent's so far.
        stdin, argv, env, memory_init: what each slot was given.
    """

    def __init__(self, capacity: int, first_id: int, stdin: bytes, argv: bytes,
                 env: bytes) -> None:
        self.capacity = capacity
        self.next_id = first_id
        self.entry = np.zeros(capacity, np.int32)
        self.stage = np.zeros(capacity, np.uint8)
        self.has_args = np.zeros(capacity, np.bool_)
        self.args = np.zeros((capacity, 0), np.uint64)
        self.stdin = InputColumn(capacity, stdin)
        self.argv = InputColumn(capacity, argv)
        self.env = InputColumn(capacity, env)
        self.memory_init = InputColumn(capacity)
        self._ids = np.zeros(_SPARE_ROWS, np.int64)
        self._slots = np.zeros(_SPARE_ROWS, np.int32)  # of a dead row: -1
        self._rows = 0
        self._dead = 0
        self._freed = np.zeros(capacity, np.int32)  # a stack
        self._freed_count = 0
        self._unused = 0  # slots from here on were never given out

    def __len__(self) -> int:
        return self._rows - self._dead

    def spawn(self) -> tuple[int, int]:
        """Id and slot of a new agent.

        Raises:
            CapacityError: no slot is free.
        """
        row = self._rows
        if row == len(self._ids) or row - self._dead == self.capacity:
            self._make_room(1)
            row = self._rows
        if self._freed_count:
            self._freed_count -= 1
            slot = int(self._freed[self._freed_count])
        else:
            slot = self._unused
            self._unused += 1
        self.stage[slot] = _FRESH
        id_ = self.next_id
        self._ids[row] = id_
        self._slots[row] = slot
        self._rows = row + 1
        self.next_id = id_ + 1
        return id_, slot

    def spawn_many(self, count: int) -> tuple[Int64s, Int64s]:
        """Ids and slots of ``count`` new agents.

        Raises:
            CapacityError: too few slots are free.
        """
        self._make_room(count)
        reused = min(count, self._freed_count)
        self._freed_count -= reused
        slots = np.empty(count, np.int64)
        slots[:reused] = self._freed[self._freed_count : self._freed_count + reused]
        slots[reused:] = np.arange(self._unused, self._unused + count - reused)
        self._unused += count - reused
        self.stage[slots] = _FRESH
        ids = np.arange(self.next_id, self.next_id + count, dtype=np.int64)
        self.next_id += count
        end = self._rows + count
        self._ids[self._rows : end] = ids
        self._slots[self._rows : end] = slots
        self._rows = end
        return ids, slots

    def _make_room(self, count: int) -> None:
        if len(self) + count > self.capacity:
            wanted = "" if count == 1 else f" {count} more agents were asked for."
            raise CapacityError(
                f"the swarm holds {len(self)} of at most {self.capacity} agents"
                f" (max_agents={self.capacity}).{wanted}",
                hint="kill agents, or make the swarm with a larger max_agents",
            )
        if self._rows + count <= len(self._ids):
            return
        if self._dead > self._rows // 2:
            self._compact()
        wanted_rows = self._rows + count
        if wanted_rows > len(self._ids):
            size = max(wanted_rows, 2 * len(self._ids))
            self._ids = _extended(self._ids, size)
            self._slots = _extended(self._slots, size)

    def _compact(self) -> None:
        """Drop the rows of the dead."""
        alive = self._slots[: self._rows] >= 0
        count = int(alive.sum())
        self._ids[:count] = self._ids[: self._rows][alive]
        self._slots[:count] = self._slots[: self._rows][alive]
        self._rows = count
        self._dead = 0

    def number_from(self, first_id: int) -> None:
        """Give the next agents the ids from ``first_id`` on, which others may have had before.

        Raises:
            CapacityError: an agent lives, whose id might be given twice.
        """
        if len(self):
            raise CapacityError(f"{len(self)} agents live: ids go on behind theirs")
        self._rows = self._dead = 0
        self.next_id = first_id

    def slot(self, id_: int) -> int:
        """Slot of a living agent.

        Raises:
            UnknownAgentError: no living agent has this id.
        """
        return int(self._slots[self._row(id_)])

    def _row(self, id_: int) -> int:
        if isinstance(id_, int | np.integer) and 0 <= id_ < self.next_id:
            row = int(self._ids[: self._rows].searchsorted(id_))
            if row < self._rows and self._ids[row] == id_ and self._slots[row] >= 0:
                return row
        raise UnknownAgentError(f"no agent {id_!r} in this swarm")

    def living(self) -> tuple[Int64s, Int64s]:
        """Ids, ascending, and slots of all living agents."""
        ids, slots = self._ids[: self._rows], self._slots[: self._rows]
        if self._dead:
            alive = slots >= 0
            return ids[alive], slots[alive].astype(np.int64)
        return ids.copy(), slots.astype(np.int64)

    def select(self, agent_ids: Any) -> tuple[Int64s, Int64s]:
        """Ids and slots of chosen agents, in the order given.

        Raises:
            UnknownAgentError: one of them does not live.
            ArgumentError: one is named twice.
        """
        ids, rows = self._find(agent_ids)
        return ids, self._slots[rows].astype(np.int64)

    def _find(self, agent_ids: Any) -> tuple[Int64s, Int64s]:
        if not isinstance(agent_ids, np.ndarray):
            agent_ids = to_list(agent_ids, "agent_ids", "integers")
        try:
            array = np.asarray(agent_ids)
        except ValueError:  # sequences of different lengths
            raise ArgumentError(
                f"agent_ids must be a sequence of integers, not {agent_ids!r}"
            ) from None
        if array.size == 0:
            array = array.astype(np.int64)
        if array.dtype.kind not in "iu" or array.ndim != 1:
            raise UnknownAgentError(f"agent ids must be integers, not {agent_ids!r}")
        ids = array.astype(np.int64)
        first = int(self._ids[: self._rows].searchsorted(ids[0])) if len(ids) else 0
        span = slice(first, first + len(ids))
        if np.array_equal(self._ids[: self._rows][span], ids) and (self._slots[span] >= 0).all():
            return ids, np.arange(span.start, span.stop)  # neighbours, as in most cases
        rows = np.searchsorted(self._ids[: self._rows], ids)
        found = rows < self._rows
        found[found] = self._ids[rows[found]] == ids[found]
        found[found] = self._slots[rows[found]] >= 0
        if not found.all():
            raise UnknownAgentError(f"no agent {int(ids[~found][0])} in this swarm")
        if not (ids[1:] > ids[:-1]).all():
            unique, counts = np.unique(ids, return_counts=True)
            if len(unique) < len(ids):
                raise ArgumentError(f"agent {int(unique[counts > 1][0])} is given twice")
        return ids, rows

    def set_args(self, slots: Any, row: Any, width: int) -> None:
        """Store argument slots: ``row`` is one for one slot, or a table for many."""
        if width > self.args.shape[1]:
            wider = np.zeros((self.capacity, width), np.uint64)
            wider[: self._unused, : self.args.shape[1]] = self.args[: self._unused]
            self.args = wider
        self.args[slots, :width] = row
        self.has_args[slots] = True

    def remove(self, id_: int) -> int:
        """Forget an agent; returns its slot, which :meth:`free` takes when it is scrubbed.

        Raises:
            UnknownAgentError: no living agent has this id.
        """
        row = self._row(id_)
        slot = int(self._slots[row])
        self._slots[row] = -1
        self._dead += 1
        for column in (self.stdin, self.argv, self.env, self.memory_init):
            column.clear_one(slot)
        self.has_args[slot] = False
        return slot

    def remove_many(self, agent_ids: Any) -> Int64s:
        """Forget agents; returns their slots, as :meth:`remove` does."""
        _, rows = self._find(agent_ids)
        slots = self._slots[rows].astype(np.int64)
        self._slots[rows] = -1
        self._dead += len(rows)
        for column in (self.stdin, self.argv, self.env, self.memory_init):
            column.clear(slots)
        self.has_args[slots] = False
        return slots

    def free(self, slots: Int64s) -> None:
        """Make slots of removed agents available, whose slices have been scrubbed."""
        assert (self.stage[slots] == Stage.FRESH).all(), "a slot is freed that is not scrubbed"
        self.stage[slots] = Stage.VACANT
        self._freed[self._freed_count : self._freed_count + len(slots)] = slots
        self._freed_count += len(slots)

    @property
    def available(self) -> int:
        """Slots that are free."""
        return self._freed_count + self.capacity - self._unused


def _extended(array: NDArray[Any], size: int) -> NDArray[Any]:
    longer = np.zeros(size, array.dtype)
    longer[: len(array)] = array
    return longer
