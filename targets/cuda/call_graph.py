"""How much stack a thread may need: frames of the assembler, summed up along the call graph.

Recursion is bounded, because every WebAssembly function takes units of call depth of which an
agent has so many. What LLVM has inlined takes its units too, but they are not counted here: the
figure is an upper bound. Calls through references are switches, whose candidates are all counted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import TargetError
from .prelude import KERNEL

#: Units of call depth that are followed one by one; beyond, the need is estimated from above.
_FOLLOWED = 8192

_FUNCTION = re.compile(
    r"^(?:\.visible |\.weak )?\.(?:func|entry)\s+(?:\([^)]*\)\s*)?([\w$]+)", re.MULTILINE
)
_CALL = re.compile(r"^\s*call(?:\.uni)?\s+(?:\([^)]*\),\s*)?([\w$%]+)", re.MULTILINE)
#: What a function runs that has no units left.
_TRAP = ("swarm_trap", "swarm_report")

#: A WebAssembly function: its instance and index, and which part of it (PTX knows no dots).
_PROGRAM_FUNCTION = re.compile(r"(f\d+_\$_\d+)(?:_\$_.*)?")


@dataclass(frozen=True, slots=True)
class CallGraph:
    """Which functions of a PTX module call which, in the order of the text."""

    callees: Mapping[str, frozenset[str]]

    @staticmethod
    def of(ptx: str) -> CallGraph:
        """The call graph of a module.

        Raises:
            TargetError: a call goes through a register, which we never write.
        """
        found: dict[str, frozenset[str]] = {}
        starts = list(_FUNCTION.finditer(ptx))
        ends = [match.start() for match in starts[1:]] + [len(ptx)]
        for match, end in zip(starts, ends, strict=True):
            names = frozenset(_CALL.findall(ptx, match.end(), end))
            if any(name.startswith("%") for name in names):
                raise TargetError(f"{match[1]} calls nobody knows whom")
            found[match[1]] = found.get(match[1], frozenset()) | names
        return CallGraph(found)

    def reached(self) -> frozenset[str]:
        """The kernel and all that it may call."""
        found, new = set[str](), [KERNEL]
        while new:
            name = new.pop()
            if name not in found:
                found.add(name)
                new += self.callees.get(name, ())
        return frozenset(found)

    def costs(self, units: Mapping[str, int]) -> dict[str, int]:
        """Units of call depth that each function takes, by those of WebAssembly functions.

        Such a function may be several: one that steps (:mod:`~..llvm.trampolines`) leaves it to
        its step to take units, unless that was inlined.
        """
        found = {}
        for name, callees in self.callees.items():
            match = _PROGRAM_FUNCTION.fullmatch(name)
            own = match[1] if match else ""
            found[name] = 0 if f"{own}_$_step" in callees else units.get(own, 0)
        return found

    def stack(
        self, frames: Mapping[str, int], units: Mapping[str, int], depth: int
    ) -> int | None:
        """Bytes of stack that a thread may need at most; None: there is no limit.

        Args:
            frames: bytes of the frame of each function. units: what WebAssembly functions take of
                the call depth; others take none. If those call each other in a circle, which
                functions of the host may, there is no limit.
            depth: units that an agent has.
        """
        names = [name for name in self.callees if name in self.reached()]
        place = {name: n for n, name in enumerate(names)}
        edges = [[place[c] for c in self.callees[name] if c in place] for name in names]
        followed = min(depth, _FOLLOWED)
        costs = self.costs(units)
        cost = [min(costs[name], followed + 1) for name in names]
        free = _callees_first([n for n in range(len(names)) if not cost[n]], edges)
        if free is None:
            return None
        # A place of its own, after the others, for the callee of those that call nothing.
        frame = np.array([frames.get(name, 0) for name in names] + [0], np.int64)
        trap = sum(frames.get(name, 0) for name in _TRAP)
        need = _needs(edges, cost, free, frame, trap, followed)
        # A longer way is one of so many units after another, each from whatever function.
        whole = max(followed - max(cost, default=0), 1)
        return int(need[place[KERNEL]] + -(-(depth - followed) // whole) * need.max())

def _needs(
    edges: list[list[int]], cost: list[int], free: list[int], frame: NDArray[np.int64],
    trap: int, depth: int,
) -> NDArray[np.int64]:  # fmt: skip
    """For each function, bytes of stack from it on.

    Args:
        edges: callees of each. cost: units that it takes. free: those that take none, callees
            first. frame: bytes of each, and 0 at the end. trap: bytes to report a trap.
    """
    groups = [
        _Group(c, [n for n in range(len(cost)) if cost[n] == c], edges)
        for c in sorted(set(cost) - {0})
    ]
    # By the units that are left before a function takes its own; no more rows than the dearest
    # function looks back.
    period = max(cost) + 1
    need = np.zeros((period, len(frame)), np.int64)
    # What only others that take none can reach from the kernel matters at the full depth alone.
    inner = _reached([n for n in range(len(cost)) if cost[n]], edges)
    repeated = [n for n in free if n in inner]
    for left in range(depth + 1):
        row = need[left % period]
        for group in groups:
            after = left - group.cost
            # A call that is too deep has its frame all the same when it finds out.
            deeper = group.most(need[after % period]) if after >= 0 else trap
            row[group.members] = frame[group.members] + deeper
        for n in free if left == depth else repeated:
            row[n] = frame[n] + row[edges[n]].max(initial=0)
    last: NDArray[np.int64] = need[depth % period]
    return last


def _reached(nodes: list[int], edges: list[list[int]]) -> set[int]:
    found, new = set[int](), list(nodes)
    while new:
        node = new.pop()
        if node not in found:
            found.add(node)
            new += edges[node]
    return found


class _Group:
    """Functions that take the same units, and their callees one after another."""

    def __init__(self, cost: int, members: list[int], edges: list[list[int]]) -> None:
        self.cost = cost
        self.members = np.array(members, np.int64)
        called = [edges[n] or [-1] for n in members]
        self._callees = np.array([c for some in called for c in some], np.int64)
        lengths = np.array([len(some) for some in called], np.int64)
        self._starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])

    def most(self, need: NDArray[np.int64]) -> NDArray[np.int64]:
        """For each function, the most that one of its callees needs."""
        most: NDArray[np.int64] = np.maximum.reduceat(need[self._callees], self._starts)
        return most


def _callees_first(nodes: list[int], edges: list[list[int]]) -> list[int] | None:
    """The nodes, callees among them before their callers; None: some call in a circle."""
    inside, order, seen = set(nodes), [], set[int]()
    for root in nodes:
        stack = [(root, False)]
        while stack:
            node, done = stack.pop()
            if done:
                order.append(node)
            elif node not in seen:
                seen.add(node)
                stack.append((node, True))
                stack += [(n, False) for n in edges[node] if n in inside and n not in seen]
    place = {node: n for n, node in enumerate(order)}
    circle = any(place[n] >= place[node] for node in nodes for n in edges[node] if n in inside)
    return None if circle else order
