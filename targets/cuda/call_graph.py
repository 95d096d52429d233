"""How much stack a thread may need: frames of the assembler, summed up along the call graph.

Recursion is bounded, because every WebAssembly function takes units of call depth of which an
agent has so many. What LLVM has inlined takes its units too, but they are not counted here: the
figure is an upper bound. Calls through references are switches, whose candidates are all counted.
If LLVM puts candidates in place of their calls, the switch may call itself: a circle of functions
of ours that take no units has such code, and each time round takes the least that any does.
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
_PROGRAM_FUNCTION = re.compile(r"(f\d+_\$_\d+)(?:_\$_(step|tail))?")
#: What makes the next call for a function that steps.
_NEXT = re.compile(r"swarm_trampoline_.*|f\d+_\$_\d+_\$_(?:step|tail)")
#: Functions in place of whose calls a WebAssembly function may be.
_OURS = re.compile(r"f\d+_\$_\d+.*|swarm_(?:call|trampoline)_.*")


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
        its step to take units. Where that was inlined, what follows it may run without its units.
        """
        found = {}
        for name, callees in self.callees.items():
            match = _PROGRAM_FUNCTION.fullmatch(name)
            own, part = match.groups() if match else ("", "")
            free = {
                "step": False,
                "tail": f"{own}_$_step" in callees,
                None: any(map(_NEXT.fullmatch, callees)),
            }.get(part, True)
            found[name] = 0 if free else units.get(own, 0)
        return found

    def stack(
        self, frames: Mapping[str, int], units: Mapping[str, int], depth: int
    ) -> int | None:
        """Bytes of stack that a thread may need at most; None: there is no limit.

        Args:
            frames: bytes of the frame of each function. units: what WebAssembly functions take of
                the call depth; others take none. If functions of the host call each other in a
                circle, there is no limit.
            depth: units that an agent has.
        """
        names = [name for name in self.callees if name in self.reached()]
        place = {name: n for n, name in enumerate(names)}
        edges = [[place[c] for c in self.callees[name] if c in place] for name in names]
        followed = min(depth, _FOLLOWED)
        costs = self.costs(units)
        cost = [min(costs[name], followed + 1) for name in names]
        free = _callees_first([n for n in range(len(names)) if not cost[n]], edges)
        ours = [_OURS.fullmatch(name) is not None for name in names]
        if any(part.circle and not all(ours[n] for n in part.members) for part in free):
            return None
        least = min([count for count in units.values() if count], default=1)
        # A place of its own, after the others, for the callee of those that call nothing.
        frame = np.array([frames.get(name, 0) for name in names] + [0], np.int64)
        trap = sum(frames.get(name, 0) for name in _TRAP)
        need = _needs(edges, cost, free, frame, trap, followed, min(least, followed + 1))
        # A longer way is one of so many units after another, each from whatever function.
        whole = max(followed - max([least, *cost]), 1)
        return int(need[place[KERNEL]] + -(-(depth - followed) // whole) * need.max())


def _needs(
    edges: list[list[int]], cost: list[int], free: list[_Part], frame: NDArray[np.int64],
    trap: int, depth: int, least: int,
) -> NDArray[np.int64]:  # fmt: skip
    """For each function, bytes of stack from it on.

    Args:
        edges: callees of each. cost: units that it takes. free: those that take none, callees
            first. frame: bytes of each, and 0 at the end. trap: bytes to report a trap.
            least: units that a circle of those takes.
    """
    groups = [
        _Group(c, [n for n in range(len(cost)) if cost[n] == c], edges)
        for c in sorted(set(cost) - {0})
    ]
    # By the units that are left before a function takes its own; no more rows than the dearest
    # function looks back.
    period = max([least, *cost]) + 1
    need = np.zeros((period, len(frame)), np.int64)
    # What only others that take none can reach from the kernel matters at the full depth alone.
    circles = [n for part in free if part.circle for n in part.members]
    inner = _reached([*circles, *(n for n in range(len(cost)) if cost[n])], edges)
    repeated = [part for part in free if not inner.isdisjoint(part.members)]
    for left in range(depth + 1):
        row = need[left % period]
        for group in groups:
            after = left - group.cost
            # A call that is too deep has its frame all the same when it finds out.
            deeper = group.most(need[after % period]) if after >= 0 else trap
            row[group.members] = frame[group.members] + deeper
        again = need[(left - least) % period] if left >= least else None
        for part in free if left == depth else repeated:
            row[part.members] = part.most(row, frame, again)
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


class _Part:
    """Functions that take no units: one, or several that call each other in circles."""

    def __init__(self, members: list[int], edges: list[list[int]]) -> None:
        inside = set(members)
        self.members = members
        self.circle = len(members) > 1 or members[0] in edges[members[0]]
        self._leaving = [c for n in members for c in edges[n] if c not in inside]

    def most(
        self, need: NDArray[np.int64], frame: NDArray[np.int64], again: NDArray[np.int64] | None
    ) -> int:
        """The most that one of them needs.

        Args:
            need: by function, for as many units as are left. again: for as many as are left when
                a circle is closed, None if there are too few to close one.
        """
        deeper = int(need[self._leaving].max(initial=0))
        if self.circle and again is not None:
            deeper = max(deeper, int(again[self.members[0]]))
        return int(frame[self.members].sum()) + deeper


def _callees_first(nodes: list[int], edges: list[list[int]]) -> list[_Part]:
    """The parts that nodes form, each after those that it calls (Tarjan's algorithm)."""
    inside = set(nodes)
    number: dict[int, int] = {}
    low: dict[int, int] = {}
    open_, parts = list[int](), list[_Part]()
    for root in nodes:
        path = [(root, iter(edges[root]))] if root not in number else []
        while path:
            node, rest = path[-1]
            if node not in number:
                number[node] = low[node] = len(number)
                open_.append(node)
            for callee in rest:
                if callee in inside and callee not in number:
                    path.append((callee, iter(edges[callee])))
                    break
                if callee in low:
                    low[node] = min(low[node], low[callee])
            else:
                path.pop()
                if path:
                    low[path[-1][0]] = min(low[path[-1][0]], low[node])
                if low[node] == number[node]:
                    members = open_[open_.index(node) :]
                    del open_[-len(members) :]
                    for member in members:
                        del low[member]
                    parts.append(_Part(members, edges))
    return parts
