"""Nodes that depend on each other: what workflows and pipelines are before they are tasks."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from .errors import DependencyCycleError, InvalidTaskError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class GraphNode(Generic[T]):
    """One node.

    Args:
        name: unique in its graph.
        value: what it stands for, such as a symbol of a workflow.
        dependencies: names of nodes that come before it.
        priority: of nodes that could come next, the one with the highest does.
    """

    name: str
    value: T
    dependencies: tuple[str, ...] = ()
    priority: int = 0


@dataclass(frozen=True, slots=True)
class GraphProblem:
    """Something that keeps nodes from being a graph.

    Args:
        node: index of the node in the given order.
        dependency: index in its dependencies, if one of those is to blame.
        cycle: names, the first repeated at the end, if it is one.
    """

    node: int
    dependency: int | None
    message: str
    cycle: tuple[str, ...] = ()

    def error(self) -> InvalidTaskError:
        """The problem as an error to raise."""
        return DependencyCycleError(self.cycle) if self.cycle else InvalidTaskError(self.message)


def suggestion(name: str, known: Iterable[str]) -> str:
    """``: did you mean X?`` if something known looks like the name, else nothing."""
    close = difflib.get_close_matches(name, list(known), 1, 0.6)
    return f": did you mean {close[0]}?" if close else ""


def find_problems(nodes: Sequence[GraphNode[T]]) -> list[GraphProblem]:
    """All that is wrong: names twice, dependencies on nothing or oneself, each knot of cycles."""
    first: dict[str, int] = {}
    problems = []
    for index, node in enumerate(nodes):
        if first.setdefault(node.name, index) != index:
            problems.append(GraphProblem(index, None, f"there are two nodes named {node.name!r}"))
    for index, node in enumerate(nodes):
        seen = set()
        for place, other in enumerate(node.dependencies):
            message = ""
            if other == node.name:
                message = f"{node.name} depends on itself"
            elif other not in first:
                message = f"{node.name} depends on {other!r}, which is not there"
                message += suggestion(other, first)
            elif other in seen:
                message = f"{node.name} depends on {other!r} twice"
            if message:
                problems.append(GraphProblem(index, place, message))
            seen.add(other)
    edges = {
        node.name: [d for d in node.dependencies if d in first and d != node.name]
        for node in reversed(nodes)
    }
    for cycle in find_cycles({name: edges[name] for name in first}):
        place = nodes[first[cycle[0]]].dependencies.index(cycle[1])
        message = f"nodes depend on each other in a cycle: {' -> '.join(cycle)}"
        problems.append(GraphProblem(first[cycle[0]], place, message, cycle))
    return problems


def find_cycles(edges: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """One shortest cycle, its first name repeated at the end, of each knot of nodes in cycles.

    Args:
        edges: of every node, those that it depends on; not itself.
    """
    found = []
    for knot in _knots(edges):
        if len(knot) > 1:
            members = set(knot)
            start = next(name for name in edges if name in members)
            found.append(_shortest_cycle(edges, start, members))
    order = {name: place for place, name in enumerate(edges)}
    return sorted(found, key=lambda cycle: order[cycle[0]])


def _shortest_cycle(
    edges: Mapping[str, Sequence[str]], start: str, members: set[str]
) -> tuple[str, ...]:
    came_from: dict[str, str] = {}
    queue = [start]
    for name in queue:  # grows meanwhile: breadth first
        for other in edges[name]:
            if other == start:
                back = [start, name]
                while back[-1] != start:
                    back.append(came_from[back[-1]])
                return tuple(reversed(back))
            if other in members and other not in came_from:
                came_from[other] = name
                queue.append(other)
    raise AssertionError("every node of a knot lies on a cycle")


def _knots(edges: Mapping[str, Sequence[str]]) -> Iterator[list[str]]:
    """Strongly connected components (Tarjan), without recursion: graphs may be deep."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    for root in edges:
        if root in number:
            continue
        work = [(root, iter(edges[root]))]
        number[root] = low[root] = len(number)
        stack.append(root)
        on_stack.add(root)
        while work:
            name, rest = work[-1]
            other = next(rest, None)
            if other is None:
                work.pop()
                if work:
                    parent = work[-1][0]
                    low[parent] = min(low[parent], low[name])
                if low[name] == number[name]:
                    knot: list[str] = []
                    while not knot or knot[-1] != name:
                        knot.append(stack.pop())
                    on_stack.difference_update(knot)
                    yield knot
            elif other not in number:
                number[other] = low[other] = len(number)
                stack.append(other)
                on_stack.add(other)
                work.append((other, iter(edges[other])))
            elif other in on_stack:
                low[name] = min(low[name], number[other])


class TaskGraph(Generic[T]):
    """Nodes and what they depend on; never changes.

    >>> graph = TaskGraph([GraphNode("b", 2, ("a",)), GraphNode("a", 1)])
    >>> graph.order()
    ('a', 'b')

    Raises:
        DependencyCycleError: nodes depend on each other in a cycle.
        InvalidTaskError: two have one name, or a dependency is not there.
    """

    def __init__(self, nodes: Iterable[GraphNode[T]]) -> None:
        given = list(nodes)
        for problem in find_problems(given):
            raise problem.error()
        self._nodes = {node.name: node for node in given}
        dependents: dict[str, list[str]] = {name: [] for name in self._nodes}
        for node in given:
            for other in node.dependencies:
                dependents[other].append(node.name)
        self._dependents = {name: tuple(others) for name, others in dependents.items()}
        self._order = self._sorted()
        self._levels = self._in_levels()

    def __len__(self) -> int:
        return len(self._nodes)

    def __iter__(self) -> Iterator[GraphNode[T]]:
        """The nodes, as they were given."""
        return iter(self._nodes.values())

    def __contains__(self, name: object) -> bool:
        return name in self._nodes

    def __getitem__(self, name: str) -> GraphNode[T]:
        return self._nodes[name]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the nodes, as they were given."""
        return tuple(self._nodes)

    def dependencies(self, name: str) -> tuple[str, ...]:
        """Nodes that come right before this one."""
        return self._nodes[name].dependencies

    def dependents(self, name: str) -> tuple[str, ...]:
        """Nodes that depend on this one directly."""
        return self._dependents[name]

    def ancestors(self, name: str) -> frozenset[str]:
        """All that must be done before this one."""
        return self._reachable(name, self.dependencies)

    def descendants(self, name: str) -> frozenset[str]:
        """All that cannot be done without this one."""
        return self._reachable(name, self.dependents)

    def roots(self) -> tuple[str, ...]:
        """Nodes that depend on nothing."""
        return tuple(n.name for n in self if not n.dependencies)

    def leaves(self) -> tuple[str, ...]:
        """Nodes that nothing depends on."""
        return tuple(name for name in self._nodes if not self._dependents[name])

    def order(self) -> tuple[str, ...]:
        """All names, each after what it depends on; of several, the highest priority first."""
        return self._order

    def levels(self) -> tuple[tuple[str, ...], ...]:
        """Names in steps: those of a step depend only on steps before, so they can run at once."""
        return self._levels

    def _reachable(self, name: str, follow: Callable[[str], tuple[str, ...]]) -> frozenset[str]:
        found: set[str] = set()
        queue = [name]
        while queue:
            for other in follow(queue.pop()):
                if other not in found:
                    found.add(other)
                    queue.append(other)
        return frozenset(found)

    def _sorted(self) -> tuple[str, ...]:
        place = {name: index for index, name in enumerate(self._nodes)}
        missing = {node.name: len(node.dependencies) for node in self}
        ready = [(-n.priority, place[n.name], n.name) for n in self if not n.dependencies]
        heapq.heapify(ready)
        order = []
        while ready:
            name = heapq.heappop(ready)[2]
            order.append(name)
            for other in self._dependents[name]:
                missing[other] -= 1
                if not missing[other]:
                    heapq.heappush(ready, (-self[other].priority, place[other], other))
        return tuple(order)

    def _in_levels(self) -> tuple[tuple[str, ...], ...]:
        level: dict[str, int] = {}
        levels: list[list[str]] = []
        for name in self._order:
            depth = 1 + max((level[d] for d in self.dependencies(name)), default=-1)
            level[name] = depth
            if depth == len(levels):
                levels.append([])
            levels[depth].append(name)
        return tuple(tuple(names) for names in levels)


def render_plan(
    graph: TaskGraph[T], describe: Callable[[GraphNode[T]], Sequence[str]] = lambda node: ()
) -> str:
    """The steps as text, a line a node, for people.

    Args:
        describe: cells that follow a node's name, such as its executor; they are aligned.
    """
    rows = {name: (name, *describe(graph[name])) for name in graph.order()}
    columns = max((len(row) for row in rows.values()), default=0)
    widths = [
        max(len(row[column]) for row in rows.values() if column < len(row))
        for column in range(columns)
    ]
    lines = []
    for number, names in enumerate(graph.levels(), 1):
        lines.append(f"step {number}")
        for name in names:
            cells = (cell.ljust(width) for cell, width in zip(rows[name], widths, strict=False))
            lines.append(f"  {'  '.join(cells)}".rstrip())
    return "\n".join(lines)
