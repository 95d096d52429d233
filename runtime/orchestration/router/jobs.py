"""The jobs of swarms: submitted, watched, ended, and found again after a restart.

Everything here may wait for a cluster: the router calls it in threads.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from typing import Protocol

from ..providers import ClusterProvider, Job, JobSpec, JobState, JobTracker, TrackedJob


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
        self._lock = threading.Lock()  # guards the dictionary
        self._trackers: dict[str, JobTracker] = {}

    def submit(self, swarm_id: str, nodes: int, command: Sequence[str], token: str) -> Job:
        """Start a swarm's nodes.

        Raises:
            SubmitError, InvalidJobError: it was refused. SubmitUncertainError: nobody knows.
        """
        spec = self._cluster.job_spec(swarm_id, nodes, command, secrets={"SWARMC_TOKEN": token})
        job = self._provider.submit(spec)
        self._follow(swarm_id, job, spec)
        return job

    def adopt(self, swarm_id: str) -> Job | None:
        """Find the job of a swarm again. Raises ProviderUnavailableError."""
        job = self._provider.adopt(swarm_id)
        if job is not None:
            self._follow(swarm_id, job, None)
        return job

    def _follow(self, swarm_id: str, job: Job, spec: JobSpec | None) -> None:
        tracker = self._cluster.make_tracker(self._provider, job, spec)
        with self._lock:
            self._trackers[swarm_id] = tracker

    def poll(self, swarm_id: str) -> TrackedJob | None:
        """Look at a swarm's job; None if none is known."""
        with self._lock:
            tracker = self._trackers.get(swarm_id)
        return tracker.poll() if tracker is not None else None

    def cancel(self, swarm_id: str) -> None:
        """Have a swarm's job ended, now or at a later :meth:`poll`."""
        with self._lock:
            tracker = self._trackers.get(swarm_id)
        if tracker is not None:
            tracker.cancel()

    def forget(self, swarm_id: str) -> None:
        """The swarm is gone."""
        with self._lock:
            self._trackers.pop(swarm_id, None)

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
