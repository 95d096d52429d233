"""Messages between members of a swarm: channels, broadcast, and topologies that say who may write
to whom and by which way."""

from __future__ import annotations

from .channel import BroadcastChannel, ChannelStats, MessageChannel
from .errors import (
    ChannelFullError,
    HubConfigError,
    MemberExistsError,
    NotPermittedError,
    UnknownMemberError,
    UnknownMessageError,
)
from .hub import CommunicationHub, HubStats
from .message import Message
from .topology import SwarmTopology, Topology

__all__ = [
    "BroadcastChannel",
    "ChannelFullError",
    "ChannelStats",
    "CommunicationHub",
    "HubConfigError",
    "HubStats",
    "MemberExistsError",
    "Message",
    "MessageChannel",
    "NotPermittedError",
    "SwarmTopology",
    "Topology",
    "UnknownMemberError",
    "UnknownMessageError",
]
