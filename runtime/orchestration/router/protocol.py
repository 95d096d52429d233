"""The protocol ``codeswarm.router.v1``: what clients, workers and the router tell each other.

JSON-RPC 2.0: lines over TCP, frames over WebSocket, each a message or an array of messages. Whoever
connects says ``hello`` first, which settles the version and who it is. Requests are answered in
order of completion, by id. Events are notifications ``event`` with a sequence number that the
router counts up by one, over all swarms; after a restart it goes on behind all that were given out.

Unknown fields are ignored, so that either side may be newer within v1. Unknown methods, wrong
versions and malformed parameters are answered by name. The JSON Schema of all of it is exported by
``python -m swarmc.runtime.orchestration.router.schema`` and kept in docs/protocol/.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct, field

from .protocol_base import MAX_MESSAGE as MAX_MESSAGE
from .protocol_base import PROTOCOL as PROTOCOL
from .protocol_base import Code as Code
from .protocol_base import Failure as Failure
from .protocol_base import Id, Reason, Reference, Result
from .protocol_base import Nothing as Nothing
from .protocol_base import Params as Params
from .protocol_tasks import METHODS as TASK_METHODS
from .protocol_tasks import TaskCounts, WorkerCounts
from .protocol_workers import METHODS as WORKERS_METHODS

#: Bytes that one injection may give a node.
MAX_INPUT = 8 << 20
MAX_NODES = 1024
MAX_AGENTS = 1 << 20

NodeNumber = Annotated[int, Meta(ge=0, lt=MAX_NODES)]
Role = Literal["client", "worker", "task_worker"]
SwarmState = Literal["launching", "running", "degraded", "terminating", "terminated", "failed"]
NodeState = Literal["pending", "starting", "idle", "busy", "lost", "failed", "ended"]


# Words that results and events share


class Node(Result, kw_only=True, frozen=True):
    """One node of a swarm.

    Args:
        node: its number, from 0.
        state: pending (not there yet), starting, idle, busy (in a turn), lost (its worker is not
            heard of), failed (no other worker is started for it), ended.
        turns: how many it has run. queued: injections that wait.
        restarts: how often its worker died and another one was started.
        reason: of the last restart, or why it is lost, failed or ended.
        targets: what its worker runs agents on. host, pid: where it is.
    """

    node: int
    state: NodeState
    turns: int = 0
    queued: int = 0
    targets: list[str] = field(default_factory=list)
    host: str | None = None
    pid: int | None = None
    restarts: int = 0
    reason: str | None = None


class Swarm(Result, kw_only=True, frozen=True):
    """A swarm.

    Args:
        job_id: the provider's name for what runs its nodes.
        status: launching, running, degraded (some nodes are lost), terminating, terminated, failed.
        prompt: what its nodes are told first.
        created, ended: seconds since 1970. Those terminated are listed until their time to live
            is over.
        reason: why it ended.
    """

    swarm_id: str
    job_id: str | None
    node_count: int
    status: SwarmState
    nodes: list[Node]
    name: str = ""
    module: str = ""
    agents: int = 1
    prompt: str = ""
    created: float = 0.0
    ended: float | None = None
    reason: str | None = None


# hello


class Hello(Params, kw_only=True, frozen=True):
    """``hello``: the first request on every connection.

    Args:
        protocol: must be ``codeswarm.router.v1``.
        role: ``client``; ``worker``: of a node of a swarm; ``task_worker``: of tasks.
        token: what the router asks for, if it asks.
        swarm_id, node: of a worker: which node it is.
        pid, host, targets: of a worker: where it is, and what it can run agents on.
        instance: of a worker: made up when its process began. A turn that it ran when its
            connection was lost is asked of it again, and is the same attempt. Of a client: the same
            in all its connections, so that it is known when it comes back.
        restarts, restart_reason: of a worker: how many of the node's died before it, and how the
            last one did.
    """

    protocol: str
    role: Role = "client"
    token: str | None = None
    swarm_id: Id | None = None
    node: NodeNumber | None = None
    pid: int | None = None
    host: Annotated[str, Meta(max_length=256)] | None = None
    targets: Annotated[list[str], Meta(max_length=16)] = field(default_factory=list)
    instance: Id | None = None
    restarts: Annotated[int, Meta(ge=0)] = 0
    restart_reason: Annotated[str, Meta(max_length=1024)] = ""


class Welcome(Result, kw_only=True, frozen=True):
    """The answer to ``hello``: the router's version, the latest event, how often to beat (ms).

    Args:
        challenge: of a worker of tasks: what it signs to join, over this connection alone.
    """

    protocol: str
    server: str
    seq: int
    heartbeat_interval: int
    heartbeat_timeout: int
    challenge: str | None = None


# What clients ask


class Launch(Params, kw_only=True, frozen=True):
    """``swarm_launch``: a swarm of nodes that each run agents of one module.

    Args:
        nodes: how many.
        prompt: what every node's agents are told before the first injection, in each turn's
            environment as ``SWARM_PROMPT``.
        module: path of a WASI command on the router's machine; None: the configured one.
        agents: on each node.
        fuel: instructions that an agent may execute in a turn; None: no limit.
        name: for people.
        trace: whether events tell of agents' host calls.
    """

    nodes: Annotated[int, Meta(ge=1, le=MAX_NODES)] = 1
    prompt: Annotated[str, Meta(max_length=MAX_INPUT)] = ""
    module: Annotated[str, Meta(min_length=1, max_length=4096)] | None = None
    agents: Annotated[int, Meta(ge=1, le=MAX_AGENTS)] = 1
    fuel: Annotated[int, Meta(ge=1, le=(1 << 63) - 1)] | None = None
    name: Annotated[str, Meta(max_length=128)] = ""
    trace: bool = True
    reference: Reference | None = None


class Inject(Params, kw_only=True, frozen=True):
    """``swarm_inject``: bytes for the agents of a swarm's nodes; each node runs one turn.

    Args:
        prompt: text, or ``data``: base64 of any bytes. One of the two.
        nodes: which; None: all that have not ended.
    """

    swarm_id: Id
    prompt: Annotated[str, Meta(max_length=MAX_INPUT)] | None = None
    data: Annotated[str, Meta(max_length=MAX_INPUT * 4 // 3 + 4)] | None = None
    nodes: Annotated[list[NodeNumber], Meta(min_length=1, max_length=MAX_NODES)] | None = None
    reference: Reference | None = None


class Injected(Result, kw_only=True, frozen=True):
    """Which turns there will be: their ids, by node."""

    turns: dict[int, str]


class OfSwarm(Params, kw_only=True, frozen=True):
    """``swarm_status`` and ``swarm_terminate``: which swarm; why."""

    swarm_id: Id
    reason: Reason = ""
    reference: Reference | None = None


class SwarmList(Result, kw_only=True, frozen=True):
    """All swarms, as they were after event ``seq``."""

    seq: int
    swarms: list[Swarm]


class Subscribe(Params, kw_only=True, frozen=True):
    """``subscribe``: have events sent, from the one behind ``after`` on.

    Args:
        after: None: from now on.
        swarm_id: only those of this swarm.
    """

    after: Annotated[int, Meta(ge=0)] | None = None
    swarm_id: Id | None = None


class Subscribed(Result, kw_only=True, frozen=True):
    """Events behind ``seq`` follow. If ``complete`` is false, some that were asked for are gone:
    take the list of swarms again."""

    seq: int
    complete: bool


class Status(Result, kw_only=True, frozen=True):
    """The router's counts.

    Args:
        nodes, idle, busy: of swarms. queued, running, completed, failed: turns, since it began.
        tasks, workflows, workers, database: of its dispatcher: tasks of workflows and clients,
            runs that have not ended, workers of tasks, records by table.
    """

    nodes: int
    idle: int
    busy: int
    queued: int
    running: int
    completed: int
    failed: int
    swarms: int
    clients: int
    seq: int
    uptime: float
    tasks: TaskCounts = TaskCounts()
    workflows: int = 0
    workers: WorkerCounts = WorkerCounts()
    database: dict[str, int] = field(default_factory=dict)


# What workers tell, and are told


class TurnRun(Params, kw_only=True, frozen=True):
    """``turn_run``, from the router to a worker: run a turn, then answer with :class:`TurnDone`.

    Args:
        data: base64 of what the agents read on standard input.
        trace: whether host calls are told.
        environment: of the agents.
    """

    turn_id: str
    module: str
    agents: int
    data: str
    fuel: int | None = None
    trace: bool = True
    environment: dict[str, str] = field(default_factory=dict)


class TurnDone(Result, kw_only=True, frozen=True):
    """How a turn ended: ``completed``, or ``failed`` with an error."""

    outcome: Literal["completed", "failed"]
    error: str | None = None


class TurnEvent(Params, kw_only=True, frozen=True):
    """``turn_event``, a notification of a worker: something that an agent did.

    Args:
        data: what the kind says: ``agent`` and ``text`` of deltas; ``instructions``,
            ``milliseconds``, ``bytes``, ``agents`` of usage, and ``host_calls``, how many there
            were, and ``host_calls_told``; ``agent``, ``module``, ``name`` of commands, with
            ``args`` when they start, and ``result``, ``errno``, ``error``, ``exit_code`` after.
    """

    turn_id: Annotated[str, Meta(max_length=128)]
    type: Literal[
        "reasoning_delta", "assistant_delta", "command_started", "command_completed", "usage"
    ]  # fmt: skip
    data: dict[str, Any] = field(default_factory=dict)


EventType = Literal[
    "swarm_launched", "swarm_changed", "swarm_terminated", "swarm_removed", "node_changed",
    "turn_started", "reasoning_delta", "assistant_delta", "command_started", "command_completed",
    "usage", "turn_complete", "command_rejected", "task_changed", "workflow_changed",
    "worker_changed",
]  # fmt: skip


class Event(Struct, kw_only=True, frozen=True, omit_defaults=True):
    """``event``, a notification of the router.

    Args:
        seq: counts up by one.
        at: seconds since 1970.
        type: the seven of a turn, what happens to swarms, nodes, tasks, workflows and workers, and
            rejected commands.
        reference: of the command that led to it, if it had one.
    """

    seq: int
    at: float
    type: EventType
    swarm_id: str | None = None
    node: int | None = None
    turn_id: str | None = None
    data: dict[str, Any] = field(default_factory=dict)
    reference: str | None = None


class Drain(Params, kw_only=True, frozen=True):
    """``drain``, from the router to a worker: finish the turn that runs, then end."""

    reason: str = ""


#: What may be asked of the router: method -> (who may, parameters, result).
#: Several roles are separated by spaces.
METHODS: dict[str, tuple[str, type[Params], Any]] = {
    "hello": ("any", Hello, Welcome),
    "swarm_launch": ("client", Launch, Swarm),
    "swarm_inject": ("client", Inject, Injected),
    "swarm_status": ("client", OfSwarm, Swarm),
    "swarm_list": ("client", Nothing, SwarmList),
    "swarm_terminate": ("client", OfSwarm, Swarm),
    "subscribe": ("client", Subscribe, Subscribed),
    "status": ("client", Nothing, Status),
    "heartbeat": ("worker task_worker", Nothing, None),
    "node_drain": ("worker", Nothing, None),
    "turn_event": ("worker", TurnEvent, None),
    **TASK_METHODS,
    **WORKERS_METHODS,
}
#: What the router asks of a worker.
WORKER_METHODS: dict[str, tuple[type[Params], Any]] = {
    "turn_run": (TurnRun, TurnDone),
    "drain": (Drain, None),
}


class Message(Struct, kw_only=True, frozen=True):
    """What is read: a request (method, id), a notification (method), or an answer (id)."""

    jsonrpc: str
    id: int | str | None = None
    method: str | None = None
    params: msgspec.Raw = msgspec.Raw(b"{}")
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: Failure | None = None


class Request(Struct, kw_only=True, frozen=True):
    """What is written to ask for something."""

    id: int
    method: str
    params: Params
    jsonrpc: str = "2.0"


class Notification(Struct, kw_only=True, frozen=True):
    """What is written to tell something."""

    method: str
    params: Params | Event
    jsonrpc: str = "2.0"


class Answer(Struct, kw_only=True, frozen=True):
    """What is written to answer."""

    id: int | str
    result: Any
    jsonrpc: str = "2.0"


class Refusal(Struct, kw_only=True, frozen=True):
    """What is written to refuse."""

    id: int | str | None
    error: Failure
    jsonrpc: str = "2.0"
