"""Tasks that are ready, in the order in which they should run.

*Aging*: a task gains one step of priority for every ``aging`` seconds that it waits, so that none
waits for ever. As all of them age at the same pace, their order never changes while they wait:
it is that of ``since - aging * priority``, a number that a heap can hold.

Tasks that need the same of an agent form a *class*. Whether an agent can run a task is asked once
a class, and a task that no agent can run holds up nobody but its own class.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from ..tasks import Task

T = TypeVar("T")
_SPARE = 64  # rows of a heap that may be of removed tasks before anybody looks


@dataclass(frozen=True, slots=True)
class Needs:
    """What a task needs of an agent.

    Args:
        capabilities: those that it requires, and its executor.
        executor: the one that it names.
        resources: sorted pairs of name and amount.
    """

    capabilities: frozenset[str]
    executor: str | None = None
    resources: tuple[tuple[str, float], ...] = ()

    @classmethod
    def of(cls, task: Task) -> Needs:
        """What a task needs."""
        capabilities = task.requires | {task.executor} if task.executor else task.requires
        resources = tuple(sorted(task.resources.items())) if task.resources else ()
        return cls(capabilities, task.executor, resources)


@dataclass(eq=False, slots=True)
class TaskClass(Generic[T]):
    """Ready tasks with equal needs.

    What was removed stays in the heap until its turn, or until most of the heap is such.
    """

    needs: Needs
    resources: Mapping[str, float]
    heap: list[tuple[float, int, str]] = field(default_factory=list)
    items: dict[str, T] = field(default_factory=dict)

    def head(self) -> tuple[float, int] | None:
        """The key of the first; None if there is none."""
        heap, items = self.heap, self.items
        while heap:
            key, number, name = heap[0]
            if name in items:
                return key, number
            heapq.heappop(heap)
        return None

    def peek(self) -> T:
        """The first, which stays; there must be one."""
        head = self.head()
        assert head is not None
        return self.items[self.heap[0][2]]

    def pop(self) -> T:
        """Take the first; there must be one."""
        while True:
            item = self.items.pop(heapq.heappop(self.heap)[2], None)
            if item is not None:
                return item


class ReadyQueue(Generic[T]):
    """Ready tasks by class and age. The scheduler's lock guards it.

    Args:
        aging: seconds of waiting that weigh as much as one step of priority.
    """

    def __init__(self, aging: float) -> None:
        self._aging = aging
        self._number = 0
        self.classes: dict[Needs, TaskClass[T]] = {}
        self._length = 0
        #: A heap with a row for the head of each class, and rows of what was a head once. It is
        #: not kept while there is one class only, as in most schedulers.
        self._heads: list[tuple[float, int, TaskClass[T]]] = []
        self._kept = False

    def __len__(self) -> int:
        return self._length

    def push(self, needs: Needs, name: str, item: T, priority: int, since: float) -> TaskClass[T]:
        """Add a task that has been waiting since then; give its class."""
        group = self.classes.get(needs)
        if group is None:
            group = self.classes[needs] = TaskClass(needs, dict(needs.resources))
        self._number += 1
        group.items[name] = item
        heapq.heappush(group.heap, (since - self._aging * priority, self._number, name))
        self._length += 1
        if not self._kept and len(self.classes) > 1:
            self._find_heads()
        elif group.heap[0][1] == self._number:
            self._note_head(group)
        return group

    def pop(self, group: TaskClass[T]) -> T:
        """Take the first of a class, which must have one."""
        self._length -= 1
        item = group.pop()
        self._after_removal(group)
        return item

    def remove(self, needs: Needs, name: str) -> T | None:
        """Take out one; None if it is not there."""
        group = self.classes.get(needs)
        item = group.items.pop(name, None) if group is not None else None
        if group is not None and item is not None:
            self._length -= 1
            if len(group.heap) > 2 * len(group.items) + _SPARE:
                group.heap = [row for row in group.heap if row[2] in group.items]
                heapq.heapify(group.heap)
            self._after_removal(group)
        return item

    def in_order(self) -> Iterator[TaskClass[T]]:
        """Classes that have tasks, the one with the oldest head first.

        Whoever iterates may :meth:`pop` from the class that it was given, which then comes again
        when it is the turn of its next task.
        """
        if len(self.classes) == 1:
            (group,) = self.classes.values()
            self._kept = False
            self._heads.clear()
            before = None
            while (head := group.head()) is not None and head != before:
                before = head
                yield group
            return
        heads = self._heads
        looked_at: list[tuple[float, int, TaskClass[T]]] = []
        last = 0
        try:
            while heads:
                row = heapq.heappop(heads)
                key, number, group = row
                if number == last or group.head() != (key, number):
                    continue
                last = number
                looked_at.append(row)
                yield group
        finally:
            for row in looked_at:
                if row[2].head() == row[:2]:
                    heapq.heappush(heads, row)

    def _after_removal(self, group: TaskClass[T]) -> None:
        if group.items:
            self._note_head(group)
        else:
            del self.classes[group.needs]

    def _note_head(self, group: TaskClass[T]) -> None:
        head = group.head()
        if len(self._heads) > 2 * len(self.classes) + _SPARE:
            self._find_heads()
        elif head is not None and self._kept:
            heapq.heappush(self._heads, (*head, group))

    def _find_heads(self) -> None:
        self._kept = True
        rows = ((head, group) for group in self.classes.values() if (head := group.head()))
        self._heads[:] = [(*head, group) for head, group in rows]
        heapq.heapify(self._heads)
