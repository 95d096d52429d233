"""How much stack a thread may need: frames of the assembler, summed up along the call graph.

Recursion is bounded, because every WebAssembly function takes units of call depth of which an
agent has so many. What LLVM has inlined takes its units too, but they are not counted here: the
figure is an upper bound.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .prelude import KERNEL

#: Units of call depth that are followed one by one; beyond, the need is estimated from above.
_FOLLOWED = 8192

_FUNCTION = re.compile(
    r"^(?:\.visible |\.weak )?\.(?:func|entry)\s+(?:\([^)]*\)\s*)?([\w$]+)", re.MULTILINE
)
_CALL = re.compile(r"^\s*call(?:\.uni)?\s+(?:\([^)]*\),\s*)?([\w$%]+)", re.MULTILINE)
#: What a function runs that has no units left.
_TRAP = ("swarm_trap", "swarm_report")
_TABLE = re.compile(r"^\.global [^\n]*swarm_functions\[\d+\] = \{([^}]*)\}", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class CallGraph:
    """Which functions of a PTX module call which, in the order of the text."""

    callees: Mapping[str, frozenset[str]]

    @staticmethod
    def of(ptx: str) -> CallGraph:
        """The call graph of a module; a call through a register reaches all of the table."""
        table = _TABLE.search(ptx)
        tabled = frozenset(re.findall(r"[a-zA-Z_][\w$]*", table[1])) if table else frozenset()
        found: dict[str, frozenset[str]] = {}
        starts = list(_FUNCTION.finditer(ptx))
        ends = [match.start() for match in starts[1:]] + [len(ptx)]
        for match, end in zip(starts, ends, strict=True):
            names = set(_CALL.findall(ptx, match.end(), end))
            direct = frozenset(name for name in names if not name.startswith("%"))
            calls = direct | tabled if len(direct) < len(names) else direct
            found[match[1]] = found.get(match[1], frozenset()) | calls
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

    def stack(self, frames: Mapping[str, int], units: Mapping[str, int], depth: int) -> int:
        """Bytes of stack that a thread may need at most.

        Args:
            frames: bytes of the frame of each function. units: what it takes of the call depth;
                those that are missing take none, and must not call each other in a circle.
            depth: units that an agent has.
        """
        names = list(self.callees)
        place = {name: n for n, name in enumerate(names)}
        need = self._needs(frames, units, min(depth, _FOLLOWED))
        # A longer way is one of so many units after another, each from whatever function.
        whole = _FOLLOWED - max(units.values(), default=0)
        more = -(-max(depth - _FOLLOWED, 0) // max(whole, 1))
        return int(need[place[KERNEL]] + more * need.max(initial=0))

    def _needs(
        self, frames: Mapping[str, int], units: Mapping[str, int], depth: int
    ) -> NDArray[np.int64]:
        """For each function, bytes of stack from it on."""
        names = list(self.callees)
        place = {name: n for n, name in enumerate(names)}
        edges = [[place[c] for c in self.callees[name] if c in place] for name in names]
        cost = [units.get(name, 0) for name in names]
        # A place of its own, after the others, for the callee of those that call nothing.
        frame = np.array([frames.get(name, 0) for name in names] + [0], np.int64)
        free = _callees_first([n for n in range(len(names)) if not cost[n]], edges)
        groups = [
            _Group(c, [n for n in range(len(names)) if cost[n] == c], edges)
            for c in sorted(set(cost) - {0})
        ]
        trap = sum(frames.get(name, 0) for name in _TRAP)
        # The most stack from each function on, by the units that are left before it takes its
        # own; no more rows than the dearest function looks back.
        period = max(cost, default=0) + 1
        need = np.zeros((period, len(names) + 1), np.int64)
        for left in range(depth + 1):
            row = need[left % period]
            for group in groups:
                after = left - group.cost
                # A call that is too deep has its frame all the same when it finds out.
                deeper = group.most(need[after % period]) if after >= 0 else trap
                row[group.members] = frame[group.members] + deeper
            for n in free:
                row[n] = frame[n] + row[edges[n]].max(initial=0)
        row: NDArray[np.int64] = need[depth % period]
        return row


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


def _callees_first(nodes: list[int], edges: list[list[int]]) -> list[int]:
    """The nodes in an order in which callees among them come before their callers."""
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
    return order
