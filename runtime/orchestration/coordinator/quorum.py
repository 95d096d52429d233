"""Who takes part in agreement, how many of them may be faulty, and how many make a quorum."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from .errors import GroupError

_NAME = re.compile(r"[A-Za-z0-9_.:@-]{1,128}")


def faults(members: int) -> int:
    """How many of so many members may lie: strictly fewer than a third."""
    if members < 1:
        raise GroupError("a group needs a member")
    return (members - 1) // 3


def quorum(members: int, faulty: int | None = None) -> int:
    """How many votes decide: any two quorums share a member that is not faulty.

    That is 2f + 1 where there are exactly 3f + 1 members. With 3f + 2 or 3f + 3 it is one more:
    of five members with one faulty, two sets of three could share only the faulty one.
    """
    faulty = faults(members) if faulty is None else faulty
    if not 0 <= faulty <= faults(members):
        raise GroupError(
            f"{members} members cannot bear {faulty} faulty ones",
            hint=f"{3 * faulty + 1} members can",
        )
    return (members + faulty) // 2 + 1


@dataclass(frozen=True, slots=True, eq=False)
class Group:
    """The replicas that agree with each other.

    Args:
        name: keeps votes of one group from counting in another one with the same keys.
        keys: each replica's public key, by its id. The order does not matter.

    Raises:
        GroupError: there is none, or an id is not 1 to 128 of letters, digits and ``_.:@-``, or
            two have one key.
    """

    name: str
    keys: Mapping[str, bytes]
    #: Ids in order; they propose in turns.
    members: tuple[str, ...] = field(init=False)
    #: How many may be faulty in any way.
    faulty: int = field(init=False)
    #: How many votes make a certificate.
    quorum: int = field(init=False)
    #: SHA-256 over name and keys, in what is signed.
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        for name in (self.name, *self.keys):
            if _NAME.fullmatch(name) is None:
                raise GroupError(f"not a name for a group or a member: {name!r}")
        if len(set(self.keys.values())) < len(self.keys):
            raise GroupError("two members have one key: they would be one with two votes")
        members = tuple(sorted(self.keys))
        object.__setattr__(self, "members", members)
        object.__setattr__(self, "faulty", faults(len(members)))
        object.__setattr__(self, "quorum", quorum(len(members)))
        lines = [self.name, *(f"{member}={self.keys[member].hex()}" for member in members)]
        object.__setattr__(self, "digest", hashlib.sha256("\n".join(lines).encode()).hexdigest())

    def proposer(self, height: int, round: int) -> str:
        """Whose turn it is to propose."""
        return self.members[(height + round) % len(self.members)]
