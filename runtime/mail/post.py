"""Carries what agents sent to whom it is for, between dispatches; arrays only, no Python per agent.

Mail belongs to an agent's id: resetting the agent, or a command that begins afresh, leaves it
where it is. What is in the mailbox of an agent that is killed is dropped, as soon as anybody looks.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import SwarmStateError
from ...targets.base import Dispatch, Int64s, Mail, Outcome, Slices, Uint64s
from ...targets.layout import MailRow
from ..agents import AgentTable
from .links import HasLinks, Links

#: What is a sender's id for the host; as an i32 it is -1.
HOST = 0xFFFF_FFFF

_ENTRY_BYTES = 8
_LOW = 0xFFFF_FFFF
_MAX_ID = (1 << 31) - 1
_WORDS_AT_A_TIME = 1 << 20

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class MailStatistics:
    """Numbers of messages.

    ``sent + posted == delivered + mailbox_full``, and of those delivered some still wait:
    ``delivered == received + dropped + waiting``.

    Args:
        sent: that ``swarm.send`` took. posted: that the host wrote.
        delivered: that found room in a mailbox. mailbox_full: that did not.
        received: that agents took.
        dropped: that were in the mailbox of an agent when it was killed, or were cleared.
        too_long, outbox_full, no_such_agent: that ``swarm.send`` refused.
    """

    sent: int = 0
    posted: int = 0
    delivered: int = 0
    mailbox_full: int = 0
    received: int = 0
    dropped: int = 0
    too_long: int = 0
    outbox_full: int = 0
    no_such_agent: int = 0

    def __add__(self, other: MailStatistics) -> MailStatistics:
        return MailStatistics(
            *(getattr(self, name) + getattr(other, name) for name in self.__slots__)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Messages: recipients, senders, lengths, and their bytes, each from a word on."""

    recipients: Int64s
    senders: Int64s
    lengths: Int64s
    words: Uint64s

    @property
    def word_counts(self) -> Int64s:
        """int64[m]: words of each."""
        counts: Int64s = (self.lengths + 7) >> 3
        return counts

    @property
    def sizes(self) -> Int64s:
        """int64[m]: bytes that each takes of a mailbox."""
        return 8 * self.word_counts + _ENTRY_BYTES

    def take(self, which: Int64s) -> Batch:
        """Some of them, in the order given."""
        counts = self.word_counts
        starts = np.cumsum(counts) - counts
        return Batch(
            self.recipients[which], self.senders[which], self.lengths[which],
            _pieces(self.words, starts[which], counts[which]),
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.recipients)


def empty_batch() -> Batch:
    """No messages."""
    none = np.zeros(0, np.int64)
    return Batch(none, none, none, np.zeros(0, np.uint64))


def _pieces(words: Uint64s, starts: Int64s, counts: Int64s) -> Uint64s:
    """Pieces of an array, joined."""
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    found = np.empty(total, np.uint64)
    shifts = starts - (ends - counts)
    for first in range(0, total, _WORDS_AT_A_TIME):
        places = np.arange(first, min(first + _WORDS_AT_A_TIME, total))
        low, high = np.searchsorted(ends, [places[0], places[-1]], side="right")
        some = slice(int(low), int(high) + 1)
        inside = np.minimum(ends[some], places[-1] + 1) - np.maximum(
            ends[some] - counts[some], first
        )
        found[first : first + len(places)] = words[places + np.repeat(shifts[some], inside)]
    return found


class PostOffice:
    """The mail of one swarm.

    Args:
        size: bytes of an outbox and of a mailbox.

    Attributes:
        waiting: messages in mailboxes, ascending by recipient, and for each in the order in which
            they are received.
        totals: of all that happened so far.
    """

    def __init__(self, table: AgentTable, slices: Slices, size: int) -> None:
        self.size = size
        self.waiting = empty_batch()
        self.totals = MailStatistics()
        self._table = table
        self._slices = slices
        self._graph: Links | None = None
        self._living: tuple[tuple[int, int], Int64s, Links] | None = None
        self._failed: tuple[Int64s, Int64s] = (np.zeros(0, np.int64), np.zeros(0, np.int64))

    def connect(self, graph: HasLinks | Links | None) -> None:
        """Say who may write to whom from the next dispatch on; None: everybody to everybody."""
        self._graph = graph.links() if graph is not None and not isinstance(graph, Links) else graph
        self._living = None

    def living(self) -> tuple[Int64s, Links]:
        """Ids of living agents, ascending, and who of them may write to whom."""
        # Ids only grow, so these two are the same only if nobody has come or gone.
        state = (self._table.next_id, len(self._table))
        if self._living is None or self._living[0] != state:
            ids = self._table.living()[0]
            if len(ids) and int(ids[-1]) > _MAX_ID:
                raise SwarmStateError(f"agent {int(ids[-1])} cannot exchange messages: ids of"
                                      f" those who can end at {_MAX_ID}")  # fmt: skip
            graph = Links.complete(ids) if self._graph is None else self._graph.among(ids)
            self._living = state, ids, graph
            self._bury(ids)
        return self._living[1], self._living[2]

    def _bury(self, living: Int64s) -> None:
        """Drop the mail of those who live no more."""
        if len(self.waiting):
            gone = ~np.isin(self.waiting.recipients, living)
            if gone.any():
                self.drop(gone)
        self._failed = _of(self._failed, np.isin(self._failed[0], living))

    def drop(self, which: Mask) -> int:
        """Drop some of the messages that wait; how many."""
        dropped = int(which.sum())
        self.waiting = self.waiting.take(np.flatnonzero(~which))
        self.totals += MailStatistics(dropped=dropped)
        return dropped

    def forget(self) -> None:
        """Drop all messages: ids will mean other agents."""
        self.drop(np.ones(len(self.waiting), np.bool_))
        self._failed = _of(self._failed, np.zeros(len(self._failed[0]), np.bool_))
        self._living = None

    def load(self, request: Dispatch) -> None:
        """Give the agents of a dispatch their mail."""
        _, graph = self.living()
        ids, waiting = request.agent_ids, self.waiting
        rows = np.zeros((len(ids), int(MailRow.END) // 8), np.int64)

        def put(field: MailRow, values: Int64s | int) -> None:
            rows[:, int(field) // 8] = values

        first = np.searchsorted(waiting.recipients, ids)
        counts = waiting.word_counts
        put(MailRow.FIRST, first)
        put(MailRow.COUNT, np.searchsorted(waiting.recipients, ids, side="right") - first)
        put(MailRow.PLACE, np.concatenate([[0], np.cumsum(counts)])[first])
        spans = graph.spans_of(ids)
        put(MailRow.PEERS, spans[:, 0])
        put(MailRow.PEER_COUNT, spans[:, 1])
        put(MailRow.UNDELIVERED, _looked_up(self._failed, ids))
        put(MailRow.SENDER, -1)
        request.mail = Mail(rows, waiting.senders | waiting.lengths << 32, waiting.words,
                            graph.peers)  # fmt: skip

    def collect(self, request: Dispatch, outcome: Outcome) -> MailStatistics:
        """Take from mailboxes what agents have received, and deliver what they sent."""
        rows = outcome.mail
        assert rows is not None

        def get(field: MailRow) -> Int64s:
            column: Int64s = rows[:, int(field) // 8]
            return column

        received = get(MailRow.RECEIVED)
        self._take(get(MailRow.FIRST), received)
        self._failed = _of(self._failed, ~np.isin(self._failed[0], request.agent_ids))
        sent = self._sent(request, get(MailRow.SENT), get(MailRow.SENT_BYTES))
        accepted = self._deliver(sent)
        self._failed = _sum_of(self._failed, sent.senders[~accepted])
        delivered = int(accepted.sum())
        found = MailStatistics(
            sent=len(sent), delivered=delivered, mailbox_full=len(sent) - delivered,
            received=int(received.sum()), too_long=int(get(MailRow.TOO_LONG).sum()),
            outbox_full=int(get(MailRow.FULL).sum()),
            no_such_agent=int(get(MailRow.UNKNOWN).sum()),
        )  # fmt: skip
        self.totals += found
        return found

    def post(self, batch: Batch) -> Mask:
        """Deliver messages of the host; whose mailboxes had room."""
        self.living()
        accepted = self._deliver(batch)
        delivered = int(accepted.sum())
        self.totals += MailStatistics(posted=len(batch), delivered=delivered,
                                      mailbox_full=len(batch) - delivered)  # fmt: skip
        return accepted

    def _take(self, first: Int64s, received: Int64s) -> None:
        """Take the first messages of some agents away."""
        some = received > 0
        if not some.any():
            return
        change = np.zeros(len(self.waiting) + 1, np.int64)
        change[first[some]] += 1  # each number at most once, here
        change[(first + received)[some]] -= 1  # and here
        self.waiting = self.waiting.take(np.flatnonzero(np.cumsum(change)[:-1] == 0))

    def _sent(self, request: Dispatch, counts: Int64s, lengths: Int64s) -> Batch:
        """What lies in outboxes, by sender and in the order of sending."""
        senders = np.flatnonzero(counts)
        if not len(senders):
            return empty_batch()
        senders = senders[np.argsort(request.agent_ids[senders], kind="stable")]
        entries, data = self._slices.outboxes(
            request.slots[senders], counts[senders], lengths[senders]
        )
        ids = np.repeat(request.agent_ids[senders], counts[senders])
        return Batch(entries & _LOW, ids, entries >> 32, data.view(np.uint64))

    def _deliver(self, batch: Batch) -> Mask:
        """Put messages behind those that wait; for which there was room."""
        if not len(batch):
            return np.zeros(0, np.bool_)
        order = np.argsort(batch.recipients, kind="stable")
        to = batch.recipients[order]
        ends = np.cumsum(batch.sizes[order])
        begins = np.searchsorted(to, to)  # the first for the same recipient
        before = np.concatenate([[0], ends])[begins]
        waiting = self.waiting
        filled = np.concatenate([[0], np.cumsum(waiting.sizes)])
        used = (
            filled[np.searchsorted(waiting.recipients, to, side="right")]
            - filled[np.searchsorted(waiting.recipients, to)]
        )
        fits = used + ends - before <= self.size  # from the first that does not on, none does
        accepted = np.zeros(len(batch), np.bool_)
        accepted[order] = fits
        new = batch.take(order[fits])
        joined = Batch(*(
            np.concatenate([getattr(waiting, name), getattr(new, name)])
            for name in ("recipients", "senders", "lengths", "words")
        ))  # fmt: skip
        if len(waiting):
            joined = joined.take(np.argsort(joined.recipients, kind="stable"))
        self.waiting = joined
        return accepted


def _of(table: tuple[Int64s, Int64s], which: Mask) -> tuple[Int64s, Int64s]:
    return table[0][which], table[1][which]


def _looked_up(table: tuple[Int64s, Int64s], ids: Int64s) -> Int64s:
    """A number for each id, 0 for those that are not in a table of ascending ids."""
    found = np.zeros(len(ids), np.int64)
    known, numbers = table
    if len(known):
        rows = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        there = known[rows] == ids
        found[there] = numbers[rows[there]]
    return found


def _sum_of(table: tuple[Int64s, Int64s], more: Int64s) -> tuple[Int64s, Int64s]:
    """A table of how often each id occurs, with some more of them."""
    if not len(more):
        return table
    ids, places = np.unique(np.concatenate([table[0], more]), return_inverse=True)
    numbers = np.concatenate([table[1], np.ones(len(more), np.int64)])
    return ids, np.bincount(places, numbers, len(ids)).astype(np.int64)
