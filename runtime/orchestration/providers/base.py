"""What a cluster provider is asked for, and what it says: jobs, their states, and its doubts."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Protocol, Self

from ..errors import OrchestrationError

MOST_NODES = 4096
_SWARM_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHORT_SECRET = 4  # characters: what is shorter stands in most texts by chance

#: Set for every worker, besides ``NAME_FILE`` for each secret.
WORKER_VARIABLES = (
    "SWARMC_SWARM_ID", "SWARMC_JOB_ID", "SWARMC_NODE", "SWARMC_NODES", "SWARMC_WORKSPACE",
    "SWARMC_EVENTS", "SWARMC_RESTARTS", "SWARMC_RESTART_REASON",
)  # fmt: skip
#: Exit code of a worker that says that another one in its place would fare no better.
NO_USE = 78


class InvalidJobError(OrchestrationError, ValueError):
    """A job that no provider, or not this one, can run as it is described."""


class SubmitError(OrchestrationError):
    """The job was refused, or could not be started. Nothing of it runs."""


class ProviderUnavailableError(OrchestrationError):
    """The cluster could not be asked: a timeout, a controller that is away, a network.

    It says nothing of the jobs there.
    """


class SubmitUncertainError(ProviderUnavailableError):
    """The cluster did not answer whether it took the job. It may run, now or later.

    Look for it with ``adopt(swarm_id)`` before it is submitted again.
    """


class UnknownJobError(OrchestrationError, KeyError):
    """No job of ours has this id."""

    __str__ = OrchestrationError.__str__  # KeyError's shows the repr


class JobState(enum.Enum):
    """Where a job, or one of its nodes, is in its life."""

    PENDING = "pending"
    RUNNING = "running"
    COMPLETING = "completing"  #: it is being ended, or tidied up
    COMPLETED = "completed"  #: every node's worker exited with 0
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"  #: given up by a :class:`JobTracker`; a provider never says it
    UNKNOWN = "unknown"  #: the provider cannot tell now: no reason to end anything

    @property
    def final(self) -> bool:
        """Whether nothing more will happen to it."""
        return self in _FINAL


_FINAL = frozenset({JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED, JobState.LOST})


class Doubt(enum.Enum):
    """Why a state is unknown."""

    TIMEOUT = "timeout"  #: no answer in time
    UNREACHABLE = "unreachable"  #: the controller, or the machine that it is asked from, is away
    UNREADABLE = "unreadable"  #: an answer that makes no sense
    NOT_FOUND = "not_found"  #: the controller knows no such job, and the job left no word itself
    FORGOTTEN = "forgotten"  #: the same, and it never began: lost soon after it was submitted


@dataclass(frozen=True, slots=True)
class Resources:
    """What each node is given. None: what the cluster gives by default.

    Args:
        cpus: for the node's worker.
        gpus: for the node's worker.
        memory_mib: of the node.
        time_limit: seconds until its worker is ended.
    """

    cpus: int | None = None
    gpus: int | None = None
    memory_mib: int | None = None
    time_limit: float | None = None

    def __post_init__(self) -> None:
        for name in ("cpus", "memory_mib", "time_limit"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise InvalidJobError(f"{name} must be positive and finite, not {value!r}")
        if self.gpus is not None and self.gpus < 0:
            raise InvalidJobError(f"gpus must not be negative: {self.gpus}")


@dataclass(frozen=True, slots=True)
class Restarts:
    """How a node's worker that died is started again, on its machine and in its folder.

    Not started again is a worker that exited with 0 (drained), 78 (it says that it is of no use),
    126 or 127 (its command cannot be run), or that was asked to end.

    Args:
        limit: how often in a row; 0: not at all.
        first: seconds before the first time; each further one waits twice as long.
        longest: seconds, at most.
        steady: seconds that a worker must have run for the row to begin anew.
    """

    limit: int = 0
    first: float = 0.5
    longest: float = 30.0
    steady: float = 60.0

    def __post_init__(self) -> None:
        if self.limit < 0:
            raise InvalidJobError(f"a worker cannot be restarted {self.limit} times")
        for name in ("first", "longest", "steady"):
            value = getattr(self, name)
            if not 0 <= value < float("inf"):
                raise InvalidJobError(f"restarts: {name} must be finite, not {value!r}")


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One swarm's job: the same command on each of some nodes.

    Args:
        swarm_id: letters, digits, ``.``, ``_`` and ``-``.
        nodes: how many.
        command: program and arguments of each node's worker. It is told which node it is by
            the variables in ``WORKER_VARIABLES``.
        environment: added to what the provider gives every worker.
        secrets: each goes into a file that only its owner may read; the worker finds the path
            of ``TOKEN`` in ``TOKEN_FILE``. A secret's text is refused in command and environment.
        resources: what each node is given.
        grace: seconds between SIGTERM and SIGKILL when a worker is to end.
        restarts: what becomes of a worker that died.
    """

    swarm_id: str
    nodes: int
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    resources: Resources = Resources()
    grace: float = 10.0
    restarts: Restarts = Restarts()

    def __post_init__(self) -> None:
        if not _SWARM_ID.fullmatch(self.swarm_id):
            raise InvalidJobError(
                f"{self.swarm_id!r} cannot be the id of a swarm",
                hint="up to 128 letters, digits, '.', '_' and '-', the first one no punctuation",
            )
        if not 1 <= self.nodes <= MOST_NODES:
            raise InvalidJobError(f"a job has 1 to {MOST_NODES} nodes, not {self.nodes}")
        if not self.command or not self.command[0]:
            raise InvalidJobError("a job needs a command")
        if not 0 <= self.grace < float("inf"):
            raise InvalidJobError(f"grace must be finite and not negative, not {self.grace!r}")
        self._check_environment()
        self._check_secrets()

    def _check_environment(self) -> None:
        taken = {*WORKER_VARIABLES, *(f"{name}_FILE" for name in self.secrets)}
        for name in (*self.environment, *self.secrets):
            if not _NAME.fullmatch(name):
                raise InvalidJobError(f"{name!r} cannot be the name of a variable")
            if name in taken:
                raise InvalidJobError(f"{name} is set by the provider itself")
        for text in (*self.command, *self.environment.values()):
            if "\0" in text:
                raise InvalidJobError("neither command nor environment may have a NUL in it")

    def _check_secrets(self) -> None:
        for name, secret in self.secrets.items():
            if len(secret) < _SHORT_SECRET:
                continue
            if any(secret in part for part in self.command):
                raise InvalidJobError(
                    f"the secret {name} stands in the command, where every user can read it",
                    hint=f"let the worker read the file that {name}_FILE names",
                )
            if any(secret in value for value in self.environment.values()):
                raise InvalidJobError(
                    f"the secret {name} stands in the environment",
                    hint=f"let the worker read the file that {name}_FILE names",
                )


@dataclass(frozen=True, slots=True)
class Job:
    """A job that a provider took.

    Args:
        id: the provider's name for it.
        workspace: its folder, ``runs/<job_id>``, as the nodes see it.
        provider: ``local`` or ``slurm``.
        submission: made up for each submission: tells jobs apart whose id a cluster used twice.
        submitted: seconds since 1970.
    """

    id: str
    swarm_id: str
    nodes: int
    workspace: str
    provider: str
    submission: str
    submitted: float

    def node_workspace(self, node: int) -> str:
        """The folder of a node, ``runs/<job_id>/node_XX``."""
        if not 0 <= node < self.nodes:
            raise InvalidJobError(f"job {self.id} has no node {node}: it has {self.nodes}")
        return str(PurePosixPath(self.workspace) / node_folder(node))

    def to_data(self) -> dict[str, Any]:
        """As a value of :mod:`..codec`."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> Self:
        """The job of what :meth:`to_data` gave."""
        return cls(**data)


def node_folder(node: int) -> str:
    """``node_00``, ``node_01``..."""
    return f"node_{node:02d}"


@dataclass(frozen=True, slots=True)
class NodeStatus:
    """What is known of one node of a job.

    Args:
        node: its number, from 0.
        host: machine that its worker runs or ran on.
        exit_code: of its worker; negative: number of the signal that ended it.
        machine: what the cluster says of the machine, such as ``down*``.
        restarts: how often its worker was started again; the reason of a running node is that
            of the last time.
    """

    node: int
    state: JobState
    reason: str = ""
    host: str | None = None
    exit_code: int | None = None
    machine: str | None = None
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class JobStatus:
    """What a provider saw when it looked at a job once.

    Args:
        doubt: why the state is unknown; None if it is known.
        nodes: those of which anything is known, in order.
        exit_code: the first one that is not 0, of a failed job; 0 of a completed one.
    """

    job_id: str
    state: JobState
    reason: str = ""
    doubt: Doubt | None = None
    nodes: tuple[NodeStatus, ...] = ()
    exit_code: int | None = None


class ClusterProvider(Protocol):
    """A place where jobs run. May be called from several threads at once.

    Jobs outlive the provider and the process that it is in: :meth:`adopt` finds them again.
    """

    @property
    def name(self) -> str:
        """As configurations name it."""

    @property
    def settling(self) -> float:
        """Seconds for which a cluster may forget what it said, should its controller crash."""

    def submit(self, spec: JobSpec) -> Job:
        """Have a swarm's nodes started.

        Raises:
            InvalidJobError: this provider cannot give what it asks for.
            SubmitError: it was refused; nothing of it runs.
            SubmitUncertainError: nobody knows whether it was taken.
        """

    def status(self, job_id: str) -> JobStatus:
        """Look at a job once.

        It does not raise for a cluster that cannot be asked: the state is UNKNOWN then. A single
        look is no verdict: a :class:`JobTracker` makes states of many.
        """

    def statuses(self, job_ids: Iterable[str]) -> dict[str, JobStatus]:
        """Look at many jobs once; for a cluster, that costs hardly more than one."""

    def cancel(self, job_id: str) -> None:
        """Have a job ended: SIGTERM, and SIGKILL after its grace. Does not wait for it.

        What has ended stays as it is. A job that has not begun yet never will.

        Raises:
            UnknownJobError: it is no job of ours.
            ProviderUnavailableError: it could not be asked for; ask again.
        """

    def adopt(self, swarm_id: str) -> Job | None:
        """The youngest job of a swarm, running or ended, by whichever process submitted.

        Raises:
            ProviderUnavailableError: no job is known, but the cluster could not be asked.
        """

    def jobs(self) -> Sequence[Job]:
        """All jobs of ours that are still known, ended ones included, oldest first.

        Raises:
            ProviderUnavailableError: the cluster could not be asked.
        """

    def close(self) -> None:
        """Free what the provider itself holds; jobs run on. May be called more than once."""
