"""From what a provider sees, look by look, to what is so: doubt ends nothing."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from .base import (
    ClusterProvider,
    Doubt,
    InvalidJobError,
    Job,
    JobSpec,
    JobState,
    JobStatus,
    ProviderUnavailableError,
    UnknownJobError,
)

TTL = 15 * 60.0
MISSES = 3
_NOT_THERE = frozenset({Doubt.NOT_FOUND, Doubt.FORGOTTEN})


@dataclass(frozen=True, slots=True)
class TrackedJob:
    """What is held to be so of a job.

    Args:
        state: the last one that was seen for sure; LOST if it has been missing for long enough.
        final: nothing more will come; it need not be looked at again.
        status: what was seen last, doubt included.
        doubt: why the last look said nothing, and since when (the tracker's clock).
        misses: looks in a row that did not find it; timeouts count neither way.
        forgotten: it was lost before it began: the caller may want to submit it again.
        cancels: how many times its end was asked for.
    """

    job: Job
    state: JobState
    final: bool
    status: JobStatus
    doubt: Doubt | None = None
    doubt_since: float | None = None
    misses: int = 0
    forgotten: bool = False
    cancels: int = 0


class JobTracker:
    """Follows one job through looks that may fail, lie or come too late.

    - A timeout, or a controller that is away, changes nothing, however long it lasts.
    - A job that is not found is given up (LOST) after ``misses`` looks in a row, the first and
      the last of them at least ``ttl`` apart.
    - A cancelled job that is seen pending or running again is cancelled again. It is final when
      it has been seen cancelled for as long as the provider's ``settling``.
    - A job that the cluster forgot before it began is reported (``forgotten``) and submitted
      again only by :meth:`resubmit`.

    Call :meth:`poll` every few seconds until it is final. Its methods may be called from several
    threads.

    Args:
        spec: what was submitted, for :meth:`resubmit`.
        clock: seconds that only go forward.
    """

    def __init__(
        self,
        provider: ClusterProvider,
        job: Job,
        *,
        spec: JobSpec | None = None,
        ttl: float = TTL,
        misses: int = MISSES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if misses < 1 or not 0 <= ttl < float("inf"):
            raise InvalidJobError(f"no job can be lost after {misses} misses and {ttl} s")
        self._provider, self._spec = provider, spec
        self._ttl, self._most_misses, self._clock = ttl, misses, clock
        self._lock = threading.Lock()  # guards all below; held while the provider is asked
        self._begin(job)

    def _begin(self, job: Job) -> None:
        self._job = job
        self._state = JobState.PENDING
        self._final = False
        self._status = JobStatus(job.id, JobState.UNKNOWN, "not looked at yet")
        self._misses, self._first_miss = 0, 0.0
        self._doubt_since: float | None = None
        self._wanted_end = False
        self._cancels = 0
        self._cancelled_since: float | None = None

    @property
    def tracked(self) -> TrackedJob:
        """What is held to be so, without another look."""
        with self._lock:
            return self._tracked()

    def _tracked(self) -> TrackedJob:
        doubt = self._status.doubt
        return TrackedJob(
            self._job, self._state, self._final, self._status, doubt, self._doubt_since,
            self._misses, doubt is Doubt.FORGOTTEN, self._cancels,
        )  # fmt: skip

    def poll(self, status: JobStatus | None = None) -> TrackedJob:
        """Look once, unless the state is final, and conclude.

        Args:
            status: what was seen just now with ``provider.statuses``, in the place of a look.
        """
        with self._lock:
            if status is not None and status.job_id != self._job.id:
                raise InvalidJobError(f"{status.job_id} is not {self._job.id}")
            if not self._final:
                self._note(status or self._look())
            return self._tracked()

    def cancel(self) -> TrackedJob:
        """Want the job's end: asked for now and, if need be, at every later look."""
        with self._lock:
            if not self._final:
                self._wanted_end = True
                self._ask_for_end()
            return self._tracked()

    def resubmit(self) -> Job:
        """Submit again what the cluster lost, and follow the new job.

        The old job is marked as cancelled first, so that it ends at once if it turns up.

        Raises:
            InvalidJobError: it is not missing, or the tracker was given no spec.
            SubmitError, SubmitUncertainError: as of ``submit``.
        """
        with self._lock:
            lost = self._state is JobState.LOST or self._status.doubt is Doubt.FORGOTTEN
            if not lost or self._spec is None:
                why = "it is not missing" if self._spec else "what was submitted is not known"
                raise InvalidJobError(f"job {self._job.id} cannot be submitted again: {why}")
            self._provider.cancel(self._job.id)
            self._begin(self._provider.submit(self._spec))
            return self._job

    def _look(self) -> JobStatus:
        try:
            return self._provider.status(self._job.id)
        except ProviderUnavailableError as error:
            return JobStatus(self._job.id, JobState.UNKNOWN, str(error), Doubt.UNREACHABLE)

    def _note(self, status: JobStatus) -> None:
        now = self._clock()
        self._status = status
        if status.state is JobState.UNKNOWN:
            if self._doubt_since is None:
                self._doubt_since = now
            if status.doubt in _NOT_THERE:
                self._miss(now)
            if self._wanted_end and self._cancels == 0:
                self._ask_for_end()
            return
        self._doubt_since, self._misses = None, 0
        self._state = status.state
        if status.state is JobState.CANCELLED:
            if self._cancelled_since is None:
                self._cancelled_since = now
            self._final = now - self._cancelled_since >= self._provider.settling
        else:
            taken_back = self._cancelled_since is not None
            self._cancelled_since = None
            self._final = status.state.final
            active = status.state in (JobState.PENDING, JobState.RUNNING)
            if active and (self._wanted_end or taken_back):
                self._wanted_end = True
                self._ask_for_end()

    def _miss(self, now: float) -> None:
        if self._misses == 0:
            self._first_miss = now
        self._misses += 1
        if self._misses >= self._most_misses and now - self._first_miss >= self._ttl:
            self._state, self._final = JobState.LOST, True

    def _ask_for_end(self) -> None:
        try:
            self._provider.cancel(self._job.id)
        except (ProviderUnavailableError, UnknownJobError):
            return  # asked again at the next look, if there is anything to end
        self._cancels += 1
