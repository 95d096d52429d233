"""Who may write to whom, as arrays: a part of one list of ids for each agent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, Self

import numpy as np

from ...errors import ArgumentError
from ...targets.base import Int64s


@dataclass(frozen=True, slots=True, eq=False)
class Links:
    """A directed graph of agents. Agents that it does not have may write to nobody.

    Attributes:
        members: int64[n], ids, ascending.
        spans: int64[n, 2]: where in ``peers`` those begin whom a member may write to, and how many
            there are. Members may share a part.
        peers: int64[k], ids, ascending in each part; a member is in its own.
    """

    members: Int64s
    spans: Int64s
    peers: Int64s

    @classmethod
    def complete(cls, members: Any) -> Self:
        """Everybody may write to everybody."""
        ids = np.unique(_ids(members, 1))
        spans = np.tile(np.array([0, len(ids)], np.int64), (len(ids), 1))
        return cls(ids, spans, ids)

    @classmethod
    def of_edges(cls, edges: Any, members: Any = ()) -> Self:
        """For each row (a, b) of an int64[m, 2] array, a may write to b.

        Args:
            members: more agents, who may write to themselves.

        Raises:
            ArgumentError: the edges are no such array.
        """
        pairs = _ids(edges, 2).reshape(-1, 2)
        ids = np.unique(np.concatenate([pairs.ravel(), _ids(members, 1)]))
        pairs = np.unique(np.concatenate([pairs, np.stack([ids, ids], axis=1)]), axis=0)
        first = np.searchsorted(pairs[:, 0], ids)
        last = np.searchsorted(pairs[:, 0], ids, side="right")
        return cls(ids, np.stack([first, last - first], axis=1), pairs[:, 1].copy())

    def among(self, living: Int64s) -> Self:
        """The same without the agents that do not live; ``living`` is ascending."""
        alive = np.isin(self.peers, living)
        before = np.concatenate([[0], np.cumsum(alive)])
        first = before[self.spans[:, 0]]
        count = before[self.spans.sum(axis=1)] - first
        return type(self)(self.members, np.stack([first, count], axis=1), self.peers[alive])

    def spans_of(self, ids: Int64s) -> Int64s:
        """int64[n, 2]: the spans of agents; nobody for those that are no members."""
        found = np.zeros((len(ids), 2), np.int64)
        if len(self.members):
            rows = np.minimum(np.searchsorted(self.members, ids), len(self.members) - 1)
            known = self.members[rows] == ids
            found[known] = self.spans[rows[known]]
        return found


class HasLinks(Protocol):
    """What says who may write to whom, such as a topology."""

    def links(self) -> Links: ...


def _ids(values: Any, dimensions: int) -> Int64s:
    array = np.asarray(values)
    if not array.size:
        return np.zeros(0, np.int64)
    if array.dtype.kind not in "iu" or array.ndim != dimensions or (
        dimensions == 2 and array.shape[1] != 2
    ):
        what = "a sequence of agents' ids" if dimensions == 1 else "an array of pairs of ids"
        raise ArgumentError(f"links are made of {what}, not of {values!r}")
    return array.astype(np.int64)
