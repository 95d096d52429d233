"""The jobs of swarms: submitted, watched, ended, and found again after a restart.

Everything here may wait for a cluster: the router calls it in threads.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Collection, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

from ....errors import SwarmcError
from ...entry_points import check_starts_alone
from ..errors import OrchestrationError
from ..providers import (
    ClusterProvider,
    Job,
    JobSpec,
    JobState,
    JobTracker,
    LocalProvider,
    NodeStatus,
    TrackedJob,
)
from .book import NodeEntry

_LOG = logging.getLogger(__name__)


@lru_cache(maxsize=64)
def _problem_of(module: str, changed: int, size: int) -> str | None:
    """What keeps nodes from running a file, as it was when it was changed last."""
    from ....compiler.wasm.decoder import decode

    with open(module, "rb") as file:
        data = file.read()
    if not data.startswith(b"\0asm"):
        return f"{module} is no WebAssembly module"
    try:
        check_starts_alone(decode(data))
    except SwarmcError as error:
        return f"{module}: {error}"
    return None


class Cluster(Protocol):
    """What a cluster's configuration gives: ``providers.ClusterConfig`` does."""

    def make_provider(self) -> ClusterProvider:
        """Where jobs run."""

    def job_spec(
        self, swarm_id: str, nodes: int, command: Sequence[str], *,
        environment: Mapping[str, str] | None = None, secrets: Mapping[str, str] | None = None,
    ) -> JobSpec:  # fmt: skip
        """A job with what it says of all jobs."""

    def make_tracker(
        self, provider: ClusterProvider, job: Job, spec: JobSpec | None = None
    ) -> JobTracker:
        """What follows a job."""


class Jobs:
    """The jobs of a router's swarms, by swarm."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._provider = cluster.make_provider()
        self._lock = threading.Lock()  # guards both
        self._trackers: dict[str, JobTracker] = {}
        self._unwanted: set[str] = set()  # swarms whose job is to be found and ended

    def submit(self, swarm_id: str, nodes: int, command: Sequence[str], token: str) -> Job:
        """Start a swarm's nodes.

        Raises:
            SubmitError, InvalidJobError: it was refused. SubmitUncertainError: nobody knows.
        """
        spec = self._cluster.job_spec(swarm_id, nodes, command, secrets={"SWARMC_TOKEN": token})
        job = self._provider.submit(spec)
        self._follow(swarm_id, job, spec)
        return job

    def module_problem(self, module: str) -> str | None:
        """Why nodes could not run a module; None where only they can tell. It reads the file."""
        if not isinstance(self._provider, LocalProvider):
            return None
        try:
            seen = os.stat(module)
            return _problem_of(module, seen.st_mtime_ns, seen.st_size)
        except OSError as error:
            return f"cannot read {module}: {error.strerror}"

    def adopt(self, swarm_ids: Collection[str]) -> dict[str, Job]:
        """Find the jobs of swarms again, with one question. Raises ProviderUnavailableError.

        Those whose end was wanted meanwhile are ended.
        """
        with self._lock:
            unwanted = {*self._unwanted}
        wanted = {*swarm_ids, *unwanted}
        if len(wanted) == 1:
            (swarm_id,) = wanted
            job = self._provider.adopt(swarm_id)
            found = {swarm_id: job} if job is not None else {}
        elif wanted:
            found = {job.swarm_id: job for job in self._provider.jobs() if job.swarm_id in wanted}
        else:
            found = {}
        for swarm_id, job in found.items():
            tracker = self._follow(swarm_id, job, None)
            if swarm_id in unwanted:
                tracker.cancel()
                with self._lock:
                    self._unwanted.discard(swarm_id)
        return found

    def _follow(self, swarm_id: str, job: Job, spec: JobSpec | None) -> JobTracker:
        tracker = self._cluster.make_tracker(self._provider, job, spec)
        with self._lock:
            self._trackers[swarm_id] = tracker
        return tracker

    def poll(self) -> dict[str, TrackedJob]:
        """Look at the jobs of all swarms, with one question to the cluster."""
        with self._lock:
            trackers = dict(self._trackers)
        tracked = {swarm_id: tracker.tracked for swarm_id, tracker in trackers.items()}
        going = {swarm_id: one.job.id for swarm_id, one in tracked.items() if not one.final}
        seen = self._provider.statuses(going.values()) if going else {}
        for swarm_id, job_id in going.items():
            tracked[swarm_id] = trackers[swarm_id].poll(seen[job_id])
        return tracked

    def cancel(self, swarm_id: str) -> None:
        """Have a swarm's job ended: now, or as soon as it is found and the cluster hears it."""
        with self._lock:
            tracker = self._trackers.get(swarm_id)
            if tracker is None:
                self._unwanted.add(swarm_id)
        if tracker is not None:
            tracker.cancel()
            return
        try:
            self.adopt(())
        except OrchestrationError as error:
            _LOG.warning("the job of swarm %s: %s; it is looked for again", swarm_id, error)

    @property
    def some_unwanted(self) -> bool:
        """Whether jobs are still to be found, only to be ended."""
        with self._lock:
            return bool(self._unwanted)

    def forget(self, swarm_id: str) -> None:
        """The swarm is gone."""
        with self._lock:
            self._trackers.pop(swarm_id, None)
            self._unwanted.discard(swarm_id)

    def close(self) -> None:
        """Jobs run on."""
        self._provider.close()


def ended(tracked: TrackedJob) -> tuple[str, str] | None:
    """State and reason of a swarm whose job is over; None if it is not."""
    if not tracked.final:
        return None
    state = "terminated" if tracked.state is JobState.COMPLETED else "failed"
    reason = f": {tracked.status.reason}" if tracked.status.reason else ""
    return state, f"its job {tracked.job.id} {tracked.state.value}{reason}"


def heed(node: NodeEntry, seen: NodeStatus) -> bool:
    """Have a node be what its provider says of it; whether that is something new.

    While its worker is connected, the worker's word counts: what was seen may be older.
    """
    before = (node.state, node.reason, node.restarts)
    node.restarts = max(node.restarts, seen.restarts)
    if node.connection is None and node.state != "failed":
        if seen.state is JobState.COMPLETED:
            node.state, node.reason = "ended", "its worker was drained"
        elif seen.state in (JobState.FAILED, JobState.CANCELLED):
            node.state, node.reason = "failed", seen.reason or seen.state.value
        elif node.state == "lost" and _is_down(seen.machine):
            node.reason = (
                f"its machine {seen.host} is {seen.machine}: no other worker can be started for it"
                " within its job"
            )
        elif before[2] != node.restarts:
            node.reason = f"its worker {seen.reason}"
    return before != (node.state, node.reason, node.restarts)


def _is_down(machine: str | None) -> bool:
    """Whether the cluster has lost sight of a machine."""
    return machine is not None and (machine.startswith("down") or machine.endswith("*"))


class ProviderCluster:
    """A provider with the defaults of everything else."""

    def __init__(self, provider: ClusterProvider) -> None:
        self._provider = provider

    def make_provider(self) -> ClusterProvider:
        """The provider."""
        return self._provider

    def job_spec(
        self, swarm_id: str, nodes: int, command: Sequence[str], *,
        environment: Mapping[str, str] | None = None, secrets: Mapping[str, str] | None = None,
    ) -> JobSpec:  # fmt: skip
        """A job with nothing else."""
        return JobSpec(swarm_id, nodes, tuple(command), environment or {}, secrets or {})

    def make_tracker(
        self, provider: ClusterProvider, job: Job, spec: JobSpec | None = None
    ) -> JobTracker:
        """A tracker with the defaults."""
        return JobTracker(provider, job, spec=spec)
