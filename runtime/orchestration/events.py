"""What is written down: every change of a task, an agent, a workflow or a message is an event.

The store appends events and keeps *projections*, tables with what is so now, in the same
transaction. Projections can be made again from the events.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


class EventKind(enum.Enum):
    """Kinds of events; the part before the dot says what :attr:`Event.subject` names."""

    TASK_ACCEPTED = "task.accepted"  #: data: the task (``Task.to_data()``)
    TASK_STARTED = "task.started"  #: agent (id), attempt (from 1)
    #: error (text), attempt (that failed), delay (seconds); failover, if its agent failed, not it
    TASK_RETRIED = "task.retried"
    TASK_COMPLETED = "task.completed"  #: result (a value)
    TASK_FAILED = "task.failed"  #: error (text)
    TASK_CANCELLED = "task.cancelled"  #: reason (text)
    AGENT_REGISTERED = "agent.registered"  #: name, kind, capabilities
    AGENT_STATE = "agent.state"  #: state (``AgentState`` value), reason
    WORKFLOW_STARTED = "workflow.started"  #: name, version, manifest (a value)
    WORKFLOW_ROLLING_BACK = "workflow.rolling_back"  #: error, compensations (list of task ids)
    WORKFLOW_FINISHED = "workflow.finished"  #: state (``completed``, ``failed``, ``rolled_back``)
    MESSAGE_SENT = "message.sent"  #: channel, sender, recipient, payload
    MESSAGE_DELIVERED = "message.delivered"  #: recipient
    #: The subject of these is a proposal, of ``role`` a member. No projection is kept of them.
    COORDINATION_PROPOSED = "coordination.proposed"  #: the motion, opened, expires
    COORDINATION_VOTED = "coordination.voted"  #: the signed vote
    COORDINATION_EQUIVOCATED = "coordination.equivocated"  #: the signed vote that does not count
    COORDINATION_CLOSED = "coordination.closed"  #: state, reason, certificate
    COORDINATION_ROLE = "coordination.role"  #: role, reason


@dataclass(frozen=True, slots=True)
class Event:
    """One change.

    Args:
        kind: what changed.
        subject: id of the task, agent, workflow or message.
        data: what :class:`EventKind` says of the kind; values as :mod:`.codec` takes them.
        at: seconds since 1970, UTC.
        seq: place in the store's order, from 1; 0 before it is stored.
    """

    kind: EventKind
    subject: str
    data: Mapping[str, Any] = field(default_factory=dict)
    at: float = field(default_factory=time.time)
    seq: int = 0
