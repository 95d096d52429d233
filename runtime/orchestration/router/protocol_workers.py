"""The protocol's messages about workers of tasks, and about modules; a part of :mod:`.protocol`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, field

from .protocol_base import MAX_MESSAGE, Id, Nothing, Params, Reason, Reference, Result, Value

#: Bytes of a module at most, and of its base64.
MAX_MODULE = 11 << 20
_MAX_BASE64 = MAX_MODULE * 4 // 3 + 4
assert _MAX_BASE64 < MAX_MESSAGE - 4096

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Names = Annotated[list[Name], Meta(max_length=256)]
Host = Annotated[str, Meta(max_length=256)]
Amounts = Annotated[dict[Name, Annotated[float, Meta(ge=0)]], Meta(max_length=64)]
# In Python a $ is also before a newline at the end.
Digest = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$(?!\n)")]
Signature = Annotated[str, Meta(pattern=r"^[0-9a-f]{128}$(?!\n)")]
Pem = Annotated[str, Meta(max_length=16384)]
Key = Annotated[str, Meta(min_length=1, max_length=512)]
WorkerState = Literal["joining", "ready", "busy", "suspect", "draining", "lost", "excluded"]


# What workers say


class WorkerJoin(Params, kw_only=True, frozen=True):
    """``worker_join``: run tasks for this dispatcher.

    Args:
        name: for people, and what it comes back under; no two at a time have the same.
        targets: what it runs agents of WebAssembly on.
        executors: what it runs tasks by; capabilities of it, too.
        capabilities: others that tasks may require.
        resources: what tasks may occupy of it, such as ``gpu`` or ``memory_mib``.
        capacity: tasks at a time.
        domain: what fails together with it; None: its host.
        public_key: Ed25519, in hex: whose signatures under what it computes are its own.
        certificate_request: PEM, for its place in the engine. Its private key stays with it.
        proof: of a worker with a public_key: its signature, in hex, under five lines with a line
            feed between each two, which are ``codeswarm.router.v1 worker_join``, the ``challenge``
            that welcomed this connection, name, public_key, and the SHA-256 of
            certificate_request in hex.
    """

    name: Id
    host: Host = ""
    pid: int | None = None
    targets: Names = field(default_factory=list)
    executors: Names = field(default_factory=list)
    capabilities: Names = field(default_factory=list)
    resources: Amounts = field(default_factory=dict)
    capacity: Annotated[int, Meta(ge=1, le=1024)] = 1
    domain: Host | None = None
    public_key: Digest | None = None
    certificate_request: Pem | None = None
    proof: Signature | None = None


class WorkerJoined(Result, kw_only=True, frozen=True):
    """Where the engine is, and what lets the worker in there.

    Args:
        engine: ``tls://HOST:PORT``.
        place: under which the engine knows it this time.
        certificate, authority: PEM: its own, and that of who signed all of them.
    """

    worker_id: str
    engine: str
    place: str
    certificate: str
    authority: str


class ModuleGet(Params, kw_only=True, frozen=True):
    """``module_get``: the bytes of a module that a client gave."""

    digest: Digest


class ModuleData(Result, kw_only=True, frozen=True):
    """A module in base64."""

    data: str


class StateGet(Params, kw_only=True, frozen=True):
    """``state_get``: a value that a task set, in the dispatcher's state."""

    key: Key


class StateSet(Params, kw_only=True, frozen=True):
    """``state_set``: set it."""

    key: Key
    value: Value = UNSET


class StateDelete(Params, kw_only=True, frozen=True):
    """``state_delete``: forget it."""

    key: Key


class StateFound(Result, kw_only=True, frozen=True):
    """The value, if there is one."""

    found: bool
    value: Value = UNSET


# What clients say


class Worker(Result, kw_only=True, frozen=True):
    """A worker of tasks in a process of its own.

    Args:
        state: joining (not in the engine yet), ready, busy (runs something), suspect (not heard of
            for a while: gets nothing new), draining, lost, excluded.
        running: attempts that it runs. completed: those that it has ended since it joined.
        heard_ms: since it last said that it is there; None: it is not.
        reason: why it is lost, excluded, suspect.
    """

    worker_id: str
    name: str
    state: WorkerState
    host: str = ""
    pid: int | None = None
    domain: str = ""
    targets: list[str] = field(default_factory=list)
    executors: list[str] = field(default_factory=list)
    capabilities: list[str] = field(default_factory=list)
    resources: dict[str, float] = field(default_factory=dict)
    capacity: int = 1
    running: int = 0
    completed: int = 0
    public_key: str | None = None
    heard_ms: int | None = None
    reason: str | None = None


class WorkerList(Result, kw_only=True, frozen=True):
    """All workers, as they were after event ``seq``."""

    seq: int
    workers: list[Worker]


class WorkerExclude(Params, kw_only=True, frozen=True):
    """``worker_exclude``: give it nothing more, ever, under this name or this key.

    Args:
        evidence: a certificate that shows that it lied; one that does not is rejected. Kept for
            those who ask later. Without it, it is the client's word.
    """

    worker_id: Id
    reason: Reason = ""
    evidence: Any = None
    reference: Reference | None = None


class ModulePut(Params, kw_only=True, frozen=True):
    """``module_put``: have a module kept for workers. ``data``: base64 of at most 11 MiB."""

    data: Annotated[str, Meta(max_length=_MAX_BASE64)]


class ModuleKept(Result, kw_only=True, frozen=True):
    """SHA-256 of its bytes, in hex, by which it is asked for."""

    digest: str


#: What may be asked: method -> (who may, parameters, result).
METHODS: dict[str, tuple[str, type[Params], Any]] = {
    "worker_join": ("task_worker", WorkerJoin, WorkerJoined),
    "worker_ready": ("task_worker", Nothing, None),
    "worker_drain": ("task_worker", Nothing, None),
    "module_get": ("task_worker", ModuleGet, ModuleData),
    "state_get": ("task_worker", StateGet, StateFound),
    "state_set": ("task_worker", StateSet, None),
    "state_delete": ("task_worker", StateDelete, None),
    "worker_list": ("client", Nothing, WorkerList),
    "worker_exclude": ("client", WorkerExclude, Worker),
    "module_put": ("client", ModulePut, ModuleKept),
}
