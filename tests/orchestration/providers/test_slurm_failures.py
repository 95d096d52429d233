"""What a real Slurm says when its parts are killed, and what is concluded from that: no ends."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from swarmc.runtime.orchestration.providers import (
    Doubt,
    InvalidJobError,
    Job,
    JobSpec,
    JobState,
    JobTracker,
    SlurmOptions,
    SlurmProvider,
    SubmitUncertainError,
)

from .contract import DRAINS, WAITS, ended, go, living, said, shell, there, until
from .slurm_cluster import SlurmCluster, processes_of, slurm_cluster

QUICK = 3.0  # seconds that a command may take here


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    with slurm_cluster(tmp_path_factory.mktemp("cluster")) as started:
        yield started


@pytest.fixture
def provider(
    cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SlurmProvider]:
    monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
    yield SlurmProvider(str(tmp_path / "runs"), SlurmOptions(timeout=QUICK))
    cluster.heal()


def finished(tracker: JobTracker) -> JobState:
    """The state that it ends in."""
    until(lambda: tracker.poll().final, "it ends")
    return tracker.tracked.state


def later(provider: SlurmProvider) -> SlurmProvider:
    """The same, for jobs that wait until they are cancelled."""
    options = SlurmOptions(timeout=QUICK, extra=("--begin=now+1hour",))
    return SlurmProvider(provider.root, options)


def known(cluster: SlurmCluster, job: Job) -> bool:
    return cluster.ask("squeue", "-h", "--states=all", "-j", job.id) != ""


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_finished_job_that_slurm_has_forgotten(
    provider: SlurmProvider, cluster: SlurmCluster
) -> None:
    """Finished over MinJobAge ago: "Invalid job id", though it completed."""
    good, bad = provider.submit(shell("exit 0")), provider.submit(shell("exit 3"))
    cut = provider.submit(shell("exit 0"))
    for job in (good, bad, cut):
        ended(provider, job)
    until(lambda: not any(known(cluster, job) for job in (good, bad, cut)), "Slurm forgets")
    assert provider.status(good.id).state is JobState.COMPLETED
    assert (provider.status(bad.id).state, provider.status(bad.id).exit_code) == (
        JobState.FAILED, 3,
    )  # fmt: skip
    # One that left no record is in doubt, and not given up before three misses over the TTL.
    Path(cut.workspace, "exit.json").unlink()
    Path(cut.node_workspace(0), "exit.json").unlink()
    clock = Clock()
    tracker = JobTracker(provider, cut, clock=clock)
    for minute in (0, 5, 10, 14):
        clock.now = minute * 60.0
        seen = tracker.poll()
        assert (seen.final, seen.doubt) == (False, Doubt.NOT_FOUND)
    clock.now = 15 * 60.0
    assert tracker.poll().state is JobState.LOST


def test_a_controller_that_is_killed(provider: SlurmProvider, cluster: SlurmCluster) -> None:
    """squeue blocks, then fails; the job runs on; then RUNNING with the same id."""
    job = provider.submit(shell(WAITS, nodes=2, swarm="steady"))
    quick = provider.submit(shell(WAITS, swarm="quick"))
    there(job)
    there(quick)
    tracker = JobTracker(provider, job, ttl=0.0, misses=1)
    assert tracker.poll().state is JobState.RUNNING
    cluster.wait_saved()
    cluster.kill("slurmctld")
    began = time.monotonic()
    seen = tracker.poll()
    assert time.monotonic() - began < 17  # sooner than squeue gives up
    assert (seen.state, seen.final, seen.misses) == (JobState.RUNNING, False, 0)
    assert seen.status.state is JobState.UNKNOWN
    assert seen.doubt in (Doubt.TIMEOUT, Doubt.UNREACHABLE)
    assert living(f"--jobs={job.id}") == []  # the squeue that hung is gone
    with pytest.raises(SubmitUncertainError, match="not known"):
        provider.submit(shell("exit 0", swarm="doubtful"))
    assert provider.adopt("steady") == job
    go(quick)  # what ends meanwhile says so itself
    until(lambda: provider.status(quick.id).state is JobState.COMPLETED, "its record is read")
    cluster.start_controller()
    until(lambda: not tracker.poll().doubt, "Slurm answers")
    assert tracker.tracked.state is JobState.RUNNING
    go(job)
    assert finished(tracker) is JobState.COMPLETED
    assert [said(job, node) for node in (0, 1)] == ["there\nfinished\n"] * 2


def test_a_controller_that_hangs(provider: SlurmProvider, cluster: SlurmCluster) -> None:
    job = provider.submit(shell(DRAINS))
    there(job)
    with cluster.frozen("slurmctld"):
        status = provider.status(job.id)
        assert (status.state, status.doubt) == (JobState.UNKNOWN, Doubt.TIMEOUT)
    assert provider.status(job.id).state is JobState.RUNNING


def test_a_job_that_a_crash_made_forgotten(provider: SlurmProvider, cluster: SlurmCluster) -> None:
    """Killed within 5 s of a submit: the job is found missing, by its comment and its id."""
    cluster.wait_saved()
    spec = shell("echo ran", nodes=2, swarm="lost", secrets={"TOKEN": "secret"})
    waiting = later(provider)
    job = waiting.submit(spec)
    cluster.kill("slurmctld")
    cluster.start_controller()
    assert not known(cluster, job)
    clock = Clock()
    tracker = JobTracker(provider, job, spec=spec, clock=clock)
    seen = tracker.poll()
    assert (seen.forgotten, seen.final, seen.doubt) == (True, False, Doubt.FORGOTTEN)
    assert f"neither job {job.id} nor swarmc:lost" in seen.status.reason
    assert "lost" not in cluster.ask("squeue", "-h", "-o", "%k")  # nobody submitted it again
    again = tracker.resubmit()
    assert again.submission != job.submission
    assert finished(tracker) is JobState.COMPLETED
    assert said(again) == "ran\n"
    with pytest.raises(InvalidJobError, match="it is not missing"):
        tracker.resubmit()


def test_a_cancelled_job_that_is_pending_again(
    provider: SlurmProvider, cluster: SlurmCluster
) -> None:
    """Killed within 5 s of a cancel: it is cancelled again, without being asked."""
    job = later(provider).submit(shell("echo ran"))
    cluster.wait_saved()
    tracker = JobTracker(provider, job)
    assert tracker.poll().state is JobState.PENDING
    seen = tracker.cancel()
    seen = tracker.poll()
    assert (seen.state, seen.final) == (JobState.CANCELLED, False)  # not settled yet
    cluster.kill("slurmctld")
    cluster.start_controller()
    assert provider.status(job.id).state is JobState.PENDING
    assert tracker.poll().cancels == 2
    until(lambda: tracker.poll().state is JobState.CANCELLED, "it is cancelled again")
    # Were it begun all the same, it would see that it was cancelled.
    assert Path(job.workspace, "cancelled").exists()


@pytest.mark.parametrize("number", [1, 3])
def test_a_node_whose_daemon_is_killed(
    provider: SlurmProvider, cluster: SlurmCluster, number: int
) -> None:
    """The node is down* after a while, yet the job finishes: its script runs on node 1, too."""
    job = provider.submit(shell(WAITS, nodes=4))
    there(job)
    tracker = JobTracker(provider, job)
    cluster.kill(f"n{number}")
    machine = []

    def down() -> bool:
        status = tracker.poll().status
        assert status.state is JobState.RUNNING, status
        machine.append(status.nodes[number - 1].machine)
        return machine[-1] == "down*"

    until(down, "Slurm takes notice")
    assert machine[0] == "mixed"
    status = provider.status(job.id)
    machines = [node.machine for node in status.nodes]
    assert (machines.pop(number - 1), machines) == ("down*", ["mixed"] * 3)
    go(job)
    assert finished(tracker) is JobState.COMPLETED
    assert [said(job, node) for node in range(4)] == ["there\nfinished\n"] * 4


def test_a_munged_that_is_killed(provider: SlurmProvider, cluster: SlurmCluster) -> None:
    """Slurm's commands fail; that says nothing of the job."""
    job = provider.submit(shell(WAITS))
    there(job)
    cluster.kill("munged")
    status = provider.status(job.id)
    assert status.state is JobState.UNKNOWN
    assert status.doubt in (Doubt.TIMEOUT, Doubt.UNREACHABLE)
    cluster.start_munge()
    until(lambda: provider.status(job.id).state is JobState.RUNNING, "Slurm answers")
    go(job)
    assert ended(provider, job).state is JobState.COMPLETED


def test_no_answer_to_a_submission_that_was_taken(
    provider: SlurmProvider, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """sbatch did its work and then hung: the job is found by its name."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "sbatch").write_text("#!/bin/sh\n/usr/bin/sbatch \"$@\" >&2\nsleep 60\n")
    (programs / "sbatch").chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        hung = SlurmProvider(provider.root, provider.options)
        job = hung.submit(JobSpec("taken", 1, ("echo", "ran")))
    assert provider.adopt("taken") == job
    assert ended(provider, job).state is JobState.COMPLETED
    assert said(job) == "ran\n"


def test_nothing_is_left(tmp_path: Path) -> None:
    """The cluster's processes end with it, jobs included."""
    with slurm_cluster(tmp_path) as own:
        own.ask("sbatch", "-N4", "-o", "/dev/null", "--wrap=srun sleep 1000")
        until(lambda: "R" in own.ask("squeue", "-h", "-o", "%t"), "it runs")
        assert len(list(processes_of(own.folder))) > 6
    assert list(processes_of(own.folder)) == []
