"""Who may vote, with which key, in which role."""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from ..agents.registry import AgentRegistry
from ..agents.states import LIVING
from ..locks import OuterLock
from .errors import CoordinationError, UnknownMemberError
from .quorum import Group
from .signing import Ed25519Signer, Ed25519Verifier, Signer

#: Ids whose votes this process signs (with a signer, or None for a key of its own making), and
#: public keys of members elsewhere, which sign for themselves.
Members = AgentRegistry | Iterable[str] | Mapping[str, Signer | bytes | None]


class Role(enum.Enum):
    """What a member is to the others."""

    LEADER = "leader"  #: elected, never assigned
    FOLLOWER = "follower"  #: votes
    OBSERVER = "observer"  #: hears, and does not vote


def lock_before(members: Members) -> OuterLock:
    """A lock that is taken before that of the registry which has these members."""
    inner = members.lock if isinstance(members, AgentRegistry) else None
    return OuterLock(
        inner, "the coordinator was asked by who holds the lock of its members' registry, as what"
        " on_change calls does", hint="ask from another thread",
    )  # fmt: skip


class Membership:
    """The members; not for several threads at once, its coordinator guards it.

    Args:
        keys: folder with private keys of members here, one file each; None: keys of this process
            only.
    """

    def __init__(self, members: Members, keys: str | os.PathLike[str] | None = None) -> None:
        self._folder = None if keys is None else Path(keys)
        if self._folder is not None:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._registry = members if isinstance(members, AgentRegistry) else None
        self._added: dict[str, None] = {}
        self._removed: set[str] = set()
        self._signers: dict[str, Signer] = {}
        self._public: dict[str, bytes] = {}
        self._roles: dict[str, Role] = {}
        if isinstance(members, Mapping):
            for member, key in members.items():
                self.add(member, key)
        elif not isinstance(members, AgentRegistry):
            for member in members:
                self.add(member)

    def ids(self) -> list[str]:
        """All members, observers included. Of a registry: those that have not failed for good."""
        found = list(self._added)
        if self._registry is not None:
            living = (entry.id for entry in self._registry if entry.state in LIVING)
            found += [id for id in living if id not in self._added]
        return [id for id in found if id not in self._removed]

    def voters(self) -> dict[str, bytes]:
        """Public keys of those who may vote on what is proposed now."""
        return {
            id: self.public_key(id) for id in self.ids() if self.role(id) is not Role.OBSERVER
        }

    def alive(self, member: str) -> bool:
        """Whether a member is there; of one that no registry knows, that is taken for granted."""
        if member in self._removed:
            return False
        if self._registry is not None and member in self._registry:
            return self._registry.state(member) in LIVING
        return member in self._added

    def add(self, member: str, key: Signer | bytes | None = None) -> None:
        """Take a member in.

        Raises:
            CoordinationError: it has another key already.
        """
        Group("members", {member: b""})  # its name is checked there
        if key is not None:
            self._check_key(member, key if isinstance(key, bytes) else key.public_key)
        if isinstance(key, bytes):
            if self._public.setdefault(member, key) != key:
                raise CoordinationError(f"{member} has another key")
        elif key is not None:
            if self._public.setdefault(member, key.public_key) != key.public_key:
                raise CoordinationError(f"{member} has another key")
            self._signers[member] = key
        self._added[member] = None
        self._removed.discard(member)

    def admit(self, member: str, key: bytes | None) -> None:
        """Take a member in with the key that the others approved, whichever it had before."""
        if key is not None and self._public.get(member, key) != key:
            del self._public[member]
            self._signers.pop(member, None)
        self.add(member, key)

    def remove(self, member: str) -> None:
        """Let a member go; it does not vote on what is proposed from now on."""
        if member not in self.ids():
            raise UnknownMemberError(f"no member {member!r}")
        self._added.pop(member, None)
        self._removed.add(member)

    def public_key(self, member: str) -> bytes:
        """A member's public key."""
        known = self._public.get(member)
        return self.signer(member).public_key if known is None else known

    def signer(self, member: str) -> Signer:
        """What signs for a member here.

        Raises:
            CoordinationError: it signs for itself, elsewhere.
        """
        signer = self._signers.get(member)
        if signer is None:
            if member in self._public:
                raise CoordinationError(
                    f"{member} holds its own key", hint="hand its signed vote to cast_signed_vote"
                )
            if self._folder is None:
                signer = Ed25519Signer()
            else:
                signer = Ed25519Signer.from_file(self._folder / f"{member}.key")
            self._signers[member] = signer
            self._public[member] = signer.public_key
        return signer

    def signs_here(self, member: str) -> bool:
        """Whether this process votes for a member."""
        return member in self._signers or member not in self._public

    def role(self, member: str) -> Role:
        """A member's role, but for the leader's, which its election says."""
        return self._roles.get(member, Role.FOLLOWER)

    def assign(self, member: str, role: Role) -> None:
        """Give a member a role."""
        self._roles[member] = role

    def check_change(self, data: object) -> None:
        """Make sure that a change of members could be done.

        Raises:
            CoordinationError: it is not of the form that proposals of it have.
        """
        form = '{"add": {id: public key in hex, or None}, "remove": [id]}'
        if not isinstance(data, dict) or not data or not set(data) <= {"add", "remove"}:
            raise CoordinationError(f"a change of members has the form {form}, not {data!r}")
        added, removed = data.get("add", {}), data.get("remove", [])
        if not isinstance(added, dict) or not isinstance(removed, (list, tuple)):
            raise CoordinationError(f"a change of members has the form {form}, not {data!r}")
        for member, key in added.items():
            Group("members", {member: b""})  # its name is checked there
            if key is not None:
                try:
                    Ed25519Verifier({member: bytes.fromhex(key)})
                except (ValueError, TypeError) as error:
                    raise CoordinationError(f"{member} has no public key: {error}") from error
                self._check_key(member, bytes.fromhex(key))

    def _check_key(self, member: str, key: bytes) -> None:
        """Nobody has two votes by having two names."""
        for other, known in self._public.items():
            if known == key and other != member:
                raise CoordinationError(f"{member} has the key of {other}")
