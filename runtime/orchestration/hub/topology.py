"""Who may write to whom, and along which links: graphs that stay connected when members go.

Of all kinds, whoever joined first of those who are there is the *hub*: the coordinator, the middle
of a star, the root of a tree. When it goes, the next one takes its place, the same everywhere.
"""

from __future__ import annotations

import enum
from collections.abc import Hashable, Iterable
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...mail.links import Links
from .errors import HubConfigError, MemberExistsError, NotPermittedError, UnknownMemberError

M = TypeVar("M", bound=Hashable)


class SwarmTopology(enum.Enum):
    """Kinds of topologies; links go both ways."""

    #: One coordinator, linked with everybody. Members write to it, and it writes to them; they may
    #: not write to each other.
    CENTRALIZED = "centralized"
    #: Everybody is linked with everybody.
    MESH = "mesh"
    #: A tree in which a member has up to ``fanout`` children. Everybody may write to everybody:
    #: messages go up to where both branches meet, and down.
    HIERARCHICAL = "hierarchical"
    #: A circle in the order of joining. Everybody may write to everybody: messages go the shorter
    #: way round, and forwards if both are as long.
    RING = "ring"
    #: The same links as CENTRALIZED, but the hub passes messages on: everybody may write to
    #: everybody, over at most two links.
    STAR = "star"


class Topology(Generic[M]):
    """Members and their links. Not for several threads at once; a hub guards its own.

    Args:
        members: names or numbers, in the order in which they join.
        fanout: most children of a member of a tree.
    """

    def __init__(self, kind: SwarmTopology, members: Iterable[M] = (), *, fanout: int = 2) -> None:
        if not isinstance(kind, SwarmTopology):
            raise HubConfigError(f"the kind of a topology is a SwarmTopology, not {kind!r}")
        if fanout < 1:
            raise HubConfigError(f"fanout must be 1 at least, not {fanout!r}")
        self.kind = kind
        self.fanout = fanout
        self._order: list[M] = []  # of a tree: by levels, so that children follow from places
        self._place: dict[M, int] = {}
        for member in members:
            self.join(member)

    def __len__(self) -> int:
        return len(self._order)

    def __contains__(self, member: object) -> bool:
        return member in self._place

    def __repr__(self) -> str:
        return f"<Topology: {self.kind.value} of {len(self)}>"

    @property
    def members(self) -> tuple[M, ...]:
        """All members: in the order of joining; of a tree, level by level."""
        return tuple(self._order)

    @property
    def hub(self) -> M | None:
        """Coordinator, middle or root; None of a mesh, a ring, or of nobody."""
        if self.kind in (SwarmTopology.MESH, SwarmTopology.RING) or not self._order:
            return None
        return self._order[0]

    # -- who is there ------------------------------------------------------------------------

    def join(self, member: M) -> None:
        """Add a member, behind all others.

        Raises:
            MemberExistsError: it is there already.
        """
        if member in self._place:
            raise MemberExistsError(f"{member!r} has joined already")
        self._place[member] = len(self._order)
        self._order.append(member)

    def leave(self, member: M) -> None:
        """Remove a member, whether it went or failed; the others stay connected.

        A ring closes. In a tree, the first child takes the place of one that goes, its first child
        the child's, and so on; the last member of all fills what is left open at the end.

        Raises:
            UnknownMemberError: it is not there.
        """
        place = self._at(member)
        del self._place[member]
        if self.kind is SwarmTopology.HIERARCHICAL:
            self._promote(place)
            return
        self._order.pop(place)
        for behind in range(place, len(self._order)):
            self._place[self._order[behind]] = behind

    def _promote(self, place: int) -> None:
        order, last = self._order, len(self._order) - 1
        while (child := place * self.fanout + 1) <= last:
            order[place] = order[child]
            self._place[order[place]] = place
            place = child
        moved = order.pop()
        if place != last:
            order[place] = moved
            self._place[moved] = place

    def _at(self, member: M) -> int:
        place = self._place.get(member)
        if place is None:
            raise UnknownMemberError(f"{member!r} is no member of the {self.kind.value} topology")
        return place

    # -- links and routes --------------------------------------------------------------------

    def neighbours(self, member: M) -> tuple[M, ...]:
        """Whom a member is linked with.

        Raises:
            UnknownMemberError: it is not there.
        """
        order, count, place = self._order, len(self._order), self._at(member)
        match self.kind:
            case SwarmTopology.MESH:
                return (*order[:place], *order[place + 1 :])
            case SwarmTopology.RING:
                around = dict.fromkeys((order[place - 1], order[(place + 1) % count]))
                return tuple(one for one in around if one != member)
            case SwarmTopology.HIERARCHICAL:
                first = place * self.fanout + 1
                above = order[(place - 1) // self.fanout : (place - 1) // self.fanout + 1]
                return (*(above if place else ()), *order[first : first + self.fanout])
            case SwarmTopology.CENTRALIZED | SwarmTopology.STAR:
                return tuple(order[1:]) if place == 0 else (order[0],)

    def may_send(self, sender: M, recipient: M) -> bool:
        """Whether one may write to another; everybody may write to itself."""
        if sender not in self._place or recipient not in self._place:
            return False
        if self.kind is not SwarmTopology.CENTRALIZED:
            return True
        return sender == recipient or 0 in (self._place[sender], self._place[recipient])

    def permitted(self, senders: Any, recipients: Any) -> NDArray[np.bool_]:
        """:meth:`may_send` for arrays of members, element by element."""
        senders, recipients = np.asarray(senders), np.asarray(recipients)
        members = np.array(self._order)
        if not len(members):
            return np.zeros(np.broadcast(senders, recipients).shape, np.bool_)
        there: NDArray[np.bool_] = np.isin(senders, members) & np.isin(recipients, members)
        if self.kind is SwarmTopology.CENTRALIZED:
            hub = members[0]
            there &= (senders == recipients) | (senders == hub) | (recipients == hub)
        return there

    def route(self, sender: M, recipient: M) -> tuple[M, ...]:
        """Whom a message reaches one after another, the recipient last; nobody if to oneself.

        Raises:
            UnknownMemberError: one of them is not there.
            NotPermittedError: the one may not write to the other.
        """
        start, end = self._at(sender), self._at(recipient)
        if start == end:
            return ()
        if not self.may_send(sender, recipient):
            raise NotPermittedError(
                f"{sender!r} may not write to {recipient!r}: in a centralized topology everybody"
                f" writes to the coordinator, {self._order[0]!r}, and it to them"
            )
        match self.kind:
            case SwarmTopology.RING:
                places = self._around(start, end)
            case SwarmTopology.HIERARCHICAL:
                places = self._through_tree(start, end)
            case SwarmTopology.STAR if start and end:
                places = [0, end]
            case _:
                places = [end]
        return tuple(self._order[place] for place in places)

    def _around(self, start: int, end: int) -> list[int]:
        count = len(self._order)
        forwards = (end - start) % count
        step, hops = (1, forwards) if 2 * forwards <= count else (-1, count - forwards)
        return [(start + step * hop) % count for hop in range(1, hops + 1)]

    def _through_tree(self, start: int, end: int) -> list[int]:
        up, down = [], []
        while start != end:
            if start > end:  # the deeper one, or of two as deep the one further right
                start = (start - 1) // self.fanout
                up.append(start)
            else:
                down.append(end)
                end = (end - 1) // self.fanout
        return up + down[::-1]

    # -- for swarms --------------------------------------------------------------------------

    def edges(self) -> NDArray[Any]:
        """[k, 2], the links, each in both directions; members are numbers or strings."""
        count = len(self._order)
        places = np.arange(count)
        match self.kind:
            case SwarmTopology.MESH:
                ends = np.stack(np.divmod(np.arange(count * count), max(count, 1)), axis=1)
            case SwarmTopology.RING:
                ends = np.stack([places, np.roll(places, -1)], axis=1)
            case SwarmTopology.HIERARCHICAL:
                ends = np.stack([places[1:], (places[1:] - 1) // self.fanout], axis=1)
            case SwarmTopology.CENTRALIZED | SwarmTopology.STAR:
                ends = np.stack([places[1:], np.zeros_like(places[1:])], axis=1)
        ends = ends[ends[:, 0] != ends[:, 1]]
        both = np.unique(np.concatenate([ends, ends[:, ::-1]]), axis=0)
        found: NDArray[Any] = np.array(self._order)[both] if count else np.zeros((0, 2), np.int64)
        return found

    def links(self) -> Links:
        """The links of a topology of agents' ids, for ``SwarmManager.mail.connect``.

        Agents of a swarm write to those whom they are linked with. Nobody carries a message on for
        them: a hub's own program does that, one link in each dispatch.

        Raises:
            ArgumentError: members are no integers.
        """
        if self.kind is SwarmTopology.MESH:
            return Links.complete(self._order)
        return Links.of_edges(self.edges(), self._order)
