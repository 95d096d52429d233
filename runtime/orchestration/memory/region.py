"""A region: bytes with an owner, in the pool or evicted from it."""

from __future__ import annotations

import ctypes
import weakref

from .backing import Stored

AgentId = str | int

NEVER = float("inf")


class Region:
    """What is known of a region. Guarded by the lock of the manager that made it.

    Attributes:
        owner: None once the agent is gone.
        units: of the pool's, in a row.
        first: its first unit; -1 while it is evicted.
        stored: where its bytes are while it is evicted.
        expires: when it expires, on the manager's clock.
        pins: how many calls of ``pin`` hold it.
        shown: dead, or the object that all arrays which show its bytes keep alive.
        entered: when it came into the pool; used: when it was used last; in ticks. uses: how often.
        ticket: of its entry in the queue of victims; 0: it has none.
    """

    __slots__ = (
        "entered", "expires", "first", "id", "owner", "pins", "shown", "size", "stored", "ticket",
        "units", "used", "uses",
    )  # fmt: skip

    def __init__(
        self, number: int, owner: AgentId | None, size: int, units: int, expires: float
    ) -> None:
        self.id = number
        self.owner = owner
        self.size = size
        self.units = units
        self.expires = expires
        self.first = -1
        self.stored: Stored | None = None
        self.pins = 0
        self.shown: weakref.ref[ctypes.Array[ctypes.c_ubyte]] | None = None
        self.entered = self.used = self.uses = 0
        self.ticket = 0

    @property
    def viewed(self) -> bool:
        """Whether an array shows its bytes."""
        return self.shown is not None and self.shown() is not None

    @property
    def busy(self) -> bool:
        """Whether it must stay where it is."""
        return self.pins > 0 or (self.shown is not None and self.shown() is not None)
