"""What can go wrong with messages."""

from __future__ import annotations

from ..errors import OrchestrationError


class HubConfigError(OrchestrationError, ValueError):
    """Options of channels, hubs or topologies that cannot be."""


class ChannelFullError(OrchestrationError):
    """A channel holds as many messages as it may, and did so until the time was up.

    Args:
        channels: names of those that are full.
    """

    def __init__(self, channels: tuple[str, ...], capacity: int) -> None:
        super().__init__(
            f"{', '.join(channels)}: {capacity} messages wait already",
            hint="receive some, send less, or wait: timeout=",
        )
        self.channels = channels


class UnknownMemberError(OrchestrationError, KeyError):
    """Nobody of this name has joined, or not any more."""

    __str__ = OrchestrationError.__str__  # KeyError's shows the repr


class MemberExistsError(OrchestrationError):
    """Somebody of this name has joined already."""


class NotPermittedError(OrchestrationError):
    """The topology lets one member not write to another."""


class UnknownMessageError(OrchestrationError, KeyError):
    """No message with this id waits to be acknowledged."""

    __str__ = OrchestrationError.__str__
