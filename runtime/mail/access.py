"""What a swarm's user sees of its mail, and can change: ``SwarmManager.mail``."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import ArgumentError, CapacityError, UnknownAgentError
from ...targets.base import Int64s
from ..agents import AgentTable
from ..inputs import Data, encode_data
from .links import HasLinks, Links
from .post import HOST, Batch, MailStatistics, Mask, PostOffice


@dataclass(frozen=True, slots=True)
class Message:
    """A message that waits for its recipient.

    Args:
        sender: id of the agent that sent it; None: the host did.
    """

    recipient: int
    sender: int | None
    data: bytes


class SwarmMail:
    """Messages of one program's agents; may be used from several threads.

    It is good until another program is loaded.
    """

    def __init__(self, office: PostOffice, table: AgentTable, lock: threading.RLock) -> None:
        self._office = office
        self._table = table
        self._lock = lock  # the swarm's

    def __len__(self) -> int:
        """How many messages wait."""
        with self._lock:
            self._office.living()
            return len(self._office.waiting)

    @property
    def mailbox_size(self) -> int:
        """Bytes of a mailbox and of an outbox: of a message its own, rounded up to 8, and 8."""
        return self._office.size

    def stats(self) -> MailStatistics:
        """Numbers of messages since the program was loaded."""
        with self._lock:
            self._office.living()
            return self._office.totals

    def connect(self, graph: HasLinks | Links | None) -> None:
        """Say who may write to whom from the next dispatch on.

        Args:
            graph: a topology of agents' ids, or :class:`~.links.Links`; None: everybody may write
                to everybody. Agents that it does not have may write to nobody.
        """
        with self._lock:
            self._office.connect(graph)

    def pending(self, agent_ids: Iterable[int] | None = None) -> Int64s:
        """int64[n]: how many messages wait for each agent; None: for each living one.

        Raises:
            KeyError: an agent does not live.
        """
        with self._lock:
            ids = self._ids(agent_ids)
            recipients = self._office.waiting.recipients
            found: Int64s = np.searchsorted(recipients, ids, side="right")
            found -= np.searchsorted(recipients, ids)
            return found

    def waiting(self, agent_ids: Iterable[int] | None = None) -> list[Message]:
        """Messages that wait, by recipient and in the order in which they will be received.

        Args:
            agent_ids: for whom; None: for everybody.
        """
        with self._lock:
            some = self._office.waiting.take(np.flatnonzero(self._of(agent_ids)))
        data = some.words.tobytes()
        starts = 8 * (np.cumsum(some.word_counts) - some.word_counts)
        return [
            Message(to, None if sender == HOST else sender, data[start : start + length])
            for to, sender, length, start in zip(
                some.recipients.tolist(), some.senders.tolist(), some.lengths.tolist(),
                starts.tolist(), strict=True,
            )
        ]  # fmt: skip

    def clear(self, agent_ids: Iterable[int] | None = None) -> int:
        """Drop the messages that wait for some agents, or all; how many."""
        with self._lock:
            return self._office.drop(self._of(agent_ids))

    def post(self, agent_id: int, data: Data) -> None:
        """Send an agent a message of the host's, which is there in the next dispatch.

        Raises:
            KeyError: the agent does not live.
            CapacityError: its mailbox is full, or too small.
        """
        if not self.post_many([agent_id], [data]).all():
            raise CapacityError(
                f"there is no room for the message in the mailbox of agent {agent_id}, which has"
                f" {self.mailbox_size} bytes", hint="make the swarm with a larger mailbox_size",
            )  # fmt: skip

    def post_many(self, agent_ids: Iterable[int], data: Data | Sequence[Data]) -> Mask:
        """Send messages of the host's; an agent may get several.

        Args:
            data: of each message, or one for all.

        Returns:
            bool[n]: which of them found room.

        Raises:
            KeyError: an agent does not live.
        """
        ids = np.array([int(one) for one in agent_ids], np.int64)
        if isinstance(data, (str, bytes, bytearray, memoryview, np.ndarray)):
            data = [data] * len(ids)
        payloads = [encode_data(one, "a message") for one in data]
        if len(payloads) != len(ids):
            raise ArgumentError(f"{len(payloads)} messages for {len(ids)} agents")
        words = b"".join(one + bytes(-len(one) % 8) for one in payloads)
        lengths = np.array([len(one) for one in payloads], np.int64)
        batch = Batch(ids, np.full(len(ids), HOST), lengths, np.frombuffer(words, np.uint64))
        with self._lock:
            unknown = ids[~np.isin(ids, self._office.living()[0])]
            if len(unknown):
                raise UnknownAgentError(f"no agent {int(unknown[0])} in this swarm")
            return self._office.post(batch)

    def _ids(self, agent_ids: Iterable[int] | None) -> Int64s:
        living, _ = self._office.living()
        return living if agent_ids is None else self._table.select(agent_ids)[0]

    def _of(self, agent_ids: Iterable[int] | None) -> Any:
        """bool[m]: which messages are for some agents."""
        return np.isin(self._office.waiting.recipients, self._ids(agent_ids))
