"""What is concluded from what a provider says, with a clock and a provider of the test's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmc.runtime.orchestration.providers import (
    ClusterProvider,
    Doubt,
    InvalidJobError,
    Job,
    JobSpec,
    JobState,
    JobStatus,
    JobTracker,
    ProviderUnavailableError,
    TrackedJob,
)

Word = JobState | Doubt | type[ProviderUnavailableError]
SPEC = JobSpec("s", 1, ("worker",))


class Script:
    """A provider that says what it is told to, and counts what is asked of it."""

    name = "script"

    def __init__(self, *, settling: float = 0.0) -> None:
        self.settling = settling
        self.word: Word = JobState.PENDING
        self.cancels: list[str] = []
        self.cannot_cancel = False
        self.submitted = 0

    def submit(self, spec: JobSpec) -> Job:
        self.submitted += 1
        job_id = str(self.submitted)
        return Job(job_id, spec.swarm_id, spec.nodes, f"/runs/{job_id}", self.name, job_id, 0.0)

    def status(self, job_id: str) -> JobStatus:
        if isinstance(self.word, JobState):
            return JobStatus(job_id, self.word)
        if isinstance(self.word, Doubt):
            return JobStatus(job_id, JobState.UNKNOWN, "?", self.word)
        raise self.word("away")

    def statuses(self, job_ids: Iterable[str]) -> dict[str, JobStatus]:
        return {job_id: self.status(job_id) for job_id in job_ids}

    def cancel(self, job_id: str) -> None:
        if self.cannot_cancel:
            raise ProviderUnavailableError("away")
        self.cancels.append(job_id)

    def adopt(self, swarm_id: str) -> Job | None:
        return None

    def jobs(self) -> Sequence[Job]:
        return []

    def close(self) -> None:
        pass


class Bench:
    """A tracker, its provider, and a clock."""

    def __init__(self, *, settling: float = 0.0, ttl: float = 900.0, misses: int = 3) -> None:
        self.now = 0.0
        self.script = Script(settling=settling)
        provider: ClusterProvider = self.script
        self.tracker = JobTracker(
            provider, provider.submit(SPEC), spec=SPEC, ttl=ttl, misses=misses,
            clock=lambda: self.now,
        )  # fmt: skip

    def see(self, word: Word, at: float | None = None) -> TrackedJob:
        self.now = self.now if at is None else at
        self.script.word = word
        return self.tracker.poll()


@pytest.mark.parametrize("doubt", [Doubt.TIMEOUT, Doubt.UNREACHABLE, Doubt.UNREADABLE])
def test_no_timeout_ends_a_swarm_however_long(doubt: Doubt) -> None:
    bench = Bench()
    bench.see(JobState.RUNNING)
    for hour in range(1, 100):
        seen = bench.see(doubt, hour * 3600.0)
    assert (seen.state, seen.final, seen.misses) == (JobState.RUNNING, False, 0)
    assert (seen.doubt, seen.doubt_since) == (doubt, 3600.0)
    seen = bench.see(JobState.RUNNING)
    assert (seen.doubt, seen.doubt_since) == (None, None)


def test_a_provider_that_raises_is_away() -> None:
    bench = Bench(ttl=0.0, misses=1)
    bench.see(JobState.RUNNING)
    seen = bench.see(ProviderUnavailableError)
    assert (seen.state, seen.doubt) == (JobState.RUNNING, Doubt.UNREACHABLE)


def test_three_misses_over_the_ttl_are_a_loss() -> None:
    bench = Bench()
    bench.see(JobState.RUNNING)
    assert not bench.see(Doubt.NOT_FOUND, 100).final
    assert not bench.see(Doubt.NOT_FOUND, 999).final  # two only
    assert not bench.see(Doubt.NOT_FOUND, 999.5).final  # not over the TTL
    seen = bench.see(Doubt.NOT_FOUND, 1000)
    assert (seen.state, seen.final, seen.misses) == (JobState.LOST, True, 4)
    assert bench.see(JobState.RUNNING).state is JobState.LOST  # nobody looks any more


def test_two_misses_are_no_loss_however_far_apart() -> None:
    bench = Bench()
    bench.see(Doubt.NOT_FOUND, 0)
    assert not bench.see(Doubt.NOT_FOUND, 1e6).final
    assert bench.see(Doubt.NOT_FOUND, 1e6 + 1).state is JobState.LOST


def test_a_job_that_is_seen_again_starts_over() -> None:
    bench = Bench()
    for at in (0, 500, 800):
        bench.see(Doubt.NOT_FOUND, at)
    assert bench.see(JobState.RUNNING, 850).misses == 0
    for at in (1000, 1500, 1899):
        assert not bench.see(Doubt.NOT_FOUND, at).final
    assert bench.see(Doubt.NOT_FOUND, 1900).state is JobState.LOST


def test_timeouts_between_misses_count_neither_way() -> None:
    bench = Bench()
    for at in range(0, 2000, 100):
        seen = bench.see(Doubt.NOT_FOUND if at in (0, 700) else Doubt.TIMEOUT, at)
        assert not seen.final
    assert bench.see(Doubt.NOT_FOUND, 2000).state is JobState.LOST


@pytest.mark.parametrize("state", [JobState.COMPLETED, JobState.FAILED])
def test_an_end_is_final_at_once(state: JobState) -> None:
    bench = Bench(settling=10)
    assert bench.see(state).final
    assert bench.see(JobState.RUNNING).state is state


def test_a_cancelled_job_settles() -> None:
    bench = Bench(settling=10)
    bench.see(JobState.RUNNING)
    assert bench.tracker.cancel().cancels == 1
    seen = bench.see(JobState.CANCELLED, 1)
    assert (seen.state, seen.final) == (JobState.CANCELLED, False)
    assert not bench.see(Doubt.TIMEOUT, 20).final
    assert bench.see(JobState.CANCELLED, 21).final
    assert bench.script.cancels == ["1"]


@pytest.mark.parametrize("back", [JobState.PENDING, JobState.RUNNING])
def test_a_cancelled_job_that_is_back_is_cancelled_again(back: JobState) -> None:
    bench = Bench(settling=10)
    bench.tracker.cancel()
    bench.see(JobState.CANCELLED, 1)
    seen = bench.see(back, 5)
    assert (seen.state, seen.cancels, seen.final) == (back, 2, False)
    assert not bench.see(JobState.CANCELLED, 12).final  # it settles from now on
    assert bench.see(JobState.CANCELLED, 22).final


def test_also_if_somebody_else_cancelled_it() -> None:
    bench = Bench(settling=10)
    bench.see(JobState.CANCELLED, 1)
    assert bench.see(JobState.PENDING, 5).cancels == 1


def test_what_is_ending_is_not_cancelled_again() -> None:
    bench = Bench()
    bench.tracker.cancel()
    assert bench.see(JobState.COMPLETING, 1).cancels == 1


def test_a_cancel_that_nobody_heard_is_repeated() -> None:
    bench = Bench()
    bench.script.cannot_cancel = True
    assert bench.tracker.cancel().cancels == 0
    assert bench.see(Doubt.UNREACHABLE, 1).cancels == 0
    bench.script.cannot_cancel = False
    assert bench.see(JobState.RUNNING, 2).cancels == 1
    assert bench.see(JobState.CANCELLED, 3).final


def test_what_was_seen_elsewhere_counts_like_a_look() -> None:
    bench = Bench()
    bench.script.word = JobState.FAILED
    seen = bench.tracker.poll(JobStatus("1", JobState.RUNNING))
    assert (seen.state, seen.final) == (JobState.RUNNING, False)
    with pytest.raises(InvalidJobError, match="2 is not 1"):
        bench.tracker.poll(JobStatus("2", JobState.COMPLETED))
    assert bench.tracker.poll().final


def test_nothing_is_submitted_again_by_itself() -> None:
    bench = Bench()
    for at in range(0, 1200, 100):
        seen = bench.see(Doubt.FORGOTTEN, at)
        assert seen.forgotten
    assert seen.state is JobState.LOST
    assert bench.script.submitted == 1


@pytest.mark.parametrize("lost", [False, True])
def test_it_is_submitted_again_when_the_caller_says_so(lost: bool) -> None:
    bench = Bench()
    for at in (0, 450, 900) if lost else (0,):
        seen = bench.see(Doubt.FORGOTTEN, at)
    assert (seen.state is JobState.LOST) == lost
    again = bench.tracker.resubmit()
    assert (again.id, bench.script.cancels) == ("2", ["1"])
    seen = bench.see(JobState.RUNNING)
    assert (seen.job, seen.state, seen.misses, seen.cancels) == (again, JobState.RUNNING, 0, 0)


@pytest.mark.parametrize("word", [JobState.RUNNING, Doubt.NOT_FOUND, Doubt.TIMEOUT])
def test_what_may_still_be_there_is_not_submitted_again(word: Word) -> None:
    bench = Bench()
    bench.see(JobState.PENDING)
    bench.see(word)
    with pytest.raises(InvalidJobError, match="it is not missing"):
        bench.tracker.resubmit()


def test_what_is_not_known_cannot_be_submitted_again() -> None:
    script = Script()
    tracker = JobTracker(script, script.submit(SPEC))
    script.word = Doubt.FORGOTTEN
    tracker.poll()
    with pytest.raises(InvalidJobError, match="what was submitted is not known"):
        tracker.resubmit()


@pytest.mark.parametrize(("ttl", "misses"), [(-1.0, 3), (float("inf"), 3), (900.0, 0)])
def test_impossible_limits(ttl: float, misses: int) -> None:
    with pytest.raises(InvalidJobError, match="no job can be lost"):
        Bench(ttl=ttl, misses=misses)


WORDS: list[Word] = [
    JobState.PENDING, JobState.RUNNING, JobState.COMPLETING, *Doubt, ProviderUnavailableError,
]  # fmt: skip


@settings(derandomize=True, database=None, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(WORDS), st.floats(0, 600)), max_size=40))
def test_only_enough_misses_ever_end_what_did_not_end(words: list[tuple[Word, float]]) -> None:
    """Against a model: the times of the misses since the job was last seen."""
    bench = Bench()
    missed: list[float] = []
    last = JobState.PENDING
    for word, pause in words:
        seen = bench.see(word, bench.now + pause)
        if isinstance(word, JobState):
            missed, last = [], word
        elif word in (Doubt.NOT_FOUND, Doubt.FORGOTTEN):
            missed.append(bench.now)
        if len(missed) >= 3 and missed[-1] - missed[0] >= 900:
            assert (seen.state, seen.final) == (JobState.LOST, True)
            return
        assert (seen.state, seen.final) == (last, False)
