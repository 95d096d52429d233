"""What every cluster provider promises; each provider's tests inherit them."""

from __future__ import annotations

import json
import os
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from swarmc.runtime.orchestration import codec
from swarmc.runtime.orchestration.providers import (
    ClusterProvider,
    Doubt,
    Job,
    JobSpec,
    JobState,
    JobStatus,
    JobTracker,
    Resources,
    Restarts,
    UnknownJobError,
)

ENOUGH = 60.0  # seconds; only a broken test waits for so long
#: Says that it is there, and on SIGTERM that it goes.
DRAINS = 'trap "echo drained; exit 0" TERM; echo there; while :; do sleep 0.05; done'
STUBBORN = 'trap "echo no" TERM; echo there; while :; do sleep 0.05; done'

#: Waits for a file in its folder, and ends well.
WAITS = "echo there; while [ ! -e go ]; do sleep 0.05; done; echo finished"


def shell(script: str, *, nodes: int = 1, swarm: str = "s", **options: Any) -> JobSpec:
    """A job whose workers run a shell's script; they end by themselves if the tests are killed."""
    options.setdefault("resources", Resources(time_limit=300))
    return JobSpec(swarm, nodes, ("/bin/sh", "-c", script), **options)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + ENOUGH
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.03)


def ended(provider: ClusterProvider, job: Job) -> JobStatus:
    """The final status of a job."""
    deadline = time.monotonic() + ENOUGH
    while not (status := provider.status(job.id)).state.final:
        assert time.monotonic() < deadline, status
        time.sleep(0.03)
    return status


def said(job: Job, node: int = 0, name: str = "stdout.log") -> str:
    """What a worker wrote."""
    path = Path(job.node_workspace(node)) / name
    return path.read_text() if path.exists() else ""


def there(job: Job) -> None:
    """Wait until all workers have said that they are."""
    nodes = range(job.nodes)
    until(lambda: all("there" in said(job, node) for node in nodes), "the workers started")


def go(job: Job) -> None:
    """Let workers that wait end, those as well that have not begun yet."""
    for node in range(job.nodes):
        workspace = Path(job.node_workspace(node))
        until(workspace.is_dir, f"{workspace} is made")
        (workspace / "go").touch()


def living(needle: str) -> list[int]:
    """Processes that have a text in their command."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                if needle.encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


class ProviderContract:
    """Inherited by a class that has the fixtures ``provider`` and ``again``."""

    def test_nodes_run_in_their_workspaces(self, provider: ClusterProvider, tmp_path: Path) -> None:
        job = provider.submit(
            shell('echo "$SWARMC_NODE of $SWARMC_NODES in $PWD"; echo oops >&2', nodes=4)
        )
        assert job.workspace == str(tmp_path / "runs" / job.id)
        status = ended(provider, job)
        assert (status.state, status.exit_code, status.doubt) == (JobState.COMPLETED, 0, None)
        assert [node.node for node in status.nodes] == [0, 1, 2, 3]
        assert {node.state for node in status.nodes} == {JobState.COMPLETED}
        for node in range(4):
            folder = f"{job.workspace}/node_{node:02d}"
            assert job.node_workspace(node) == folder
            assert said(job, node) == f"{node} of 4 in {folder}\n"
            assert said(job, node, "stderr.log") == "oops\n"
            events = [json.loads(line) for line in said(job, node, "events.jsonl").splitlines()]
            assert [event["kind"] for event in events] == ["node.started", "node.ended"]

    def test_workers_are_told_who_they_are(self, provider: ClusterProvider) -> None:
        spec = shell(
            'echo "$SWARMC_SWARM_ID|$SWARMC_JOB_ID|$SWARMC_WORKSPACE|$COLOUR"\n'
            'echo x >>"$SWARMC_EVENTS"',
            swarm="sea-1.x", environment={"COLOUR": "deep blue; $(no)\n'\"ü"},
        )  # fmt: skip
        job = provider.submit(spec)
        ended(provider, job)
        folder = job.node_workspace(0)
        assert said(job) == f"sea-1.x|{job.id}|{folder}|deep blue; $(no)\n'\"ü\n"
        assert "\nx\n" in said(job, name="events.jsonl")

    def test_arguments_arrive_as_they_are(self, provider: ClusterProvider) -> None:
        odd = ["", "a b", "'", '"', "$HOME", "$(id)", "`id`", "\n", "\\", "*", "-n", "ä", "#"]
        script = "import sys; print(sys.argv[1:])"
        job = provider.submit(JobSpec("s", 1, ("python3", "-c", script, *odd)))
        assert ended(provider, job).state is JobState.COMPLETED
        assert said(job) == f"{odd}\n"

    def test_states_go_forward(self, provider: ClusterProvider) -> None:
        job = provider.submit(shell(WAITS, nodes=2))
        order = [JobState.PENDING, JobState.RUNNING, JobState.COMPLETING, JobState.COMPLETED]
        seen: list[JobState] = []

        def look(last: JobState) -> bool:
            seen.append(provider.status(job.id).state)
            return seen[-1] is last

        until(lambda: look(JobState.RUNNING), "it runs")
        there(job)
        go(job)
        until(lambda: look(JobState.COMPLETED), "it completes")
        assert seen == sorted(seen, key=order.index)

    def test_a_failing_node_fails_the_job_and_no_other_node(
        self, provider: ClusterProvider
    ) -> None:
        job = provider.submit(shell('[ "$SWARMC_NODE" = 1 ] && exit 3; ' + WAITS, nodes=3))
        until(lambda: bool(said(job, 1, "exit.json")), "node 1 failed")
        status = provider.status(job.id)
        assert status.state is JobState.RUNNING
        assert status.nodes[1].state is JobState.FAILED
        go(job)
        status = ended(provider, job)
        assert status.state is JobState.FAILED
        assert (status.reason, status.exit_code) == ("node_01: exited with 3", 3)
        assert [node.exit_code for node in status.nodes] == [0, 3, 0]
        assert said(job, 0) == said(job, 2) == "there\nfinished\n"

    def test_a_worker_that_a_signal_ended(self, provider: ClusterProvider) -> None:
        status = ended(provider, provider.submit(shell("kill -SEGV $$")))
        assert (status.state, status.exit_code) == (JobState.FAILED, -11)
        assert status.reason == "node_00: was killed by signal 11"

    def test_a_command_that_is_not_there(self, provider: ClusterProvider) -> None:
        status = ended(provider, provider.submit(JobSpec("s", 1, ("no-such-worker", "x"))))
        assert (status.state, status.exit_code) == (JobState.FAILED, 127)
        assert "no-such-worker cannot be run: No such file or directory" in status.reason

    def test_cancelled_workers_may_drain(self, provider: ClusterProvider) -> None:
        job = provider.submit(shell(DRAINS, nodes=2))
        there(job)
        provider.cancel(job.id)
        status = ended(provider, job)
        assert (status.state, status.exit_code) == (JobState.CANCELLED, None)
        assert {node.state for node in status.nodes} == {JobState.CANCELLED}
        assert [said(job, node) for node in (0, 1)] == ["there\ndrained\n"] * 2

    def test_stubborn_workers_are_killed_after_their_grace(self, provider: ClusterProvider) -> None:
        job = provider.submit(shell(STUBBORN, grace=0.7))
        there(job)
        began = time.monotonic()
        provider.cancel(job.id)
        status = ended(provider, job)
        assert time.monotonic() - began >= 0.7
        assert (status.state, status.nodes[0].exit_code) == (JobState.CANCELLED, -9)
        assert said(job) == "there\nno\n"

    def test_what_has_ended_cannot_be_cancelled(self, provider: ClusterProvider) -> None:
        done = provider.submit(shell("exit 0"))
        ended(provider, done)
        provider.cancel(done.id)
        assert provider.status(done.id).state is JobState.COMPLETED
        going = provider.submit(shell(DRAINS))
        there(going)
        for _ in range(3):
            provider.cancel(going.id)
        assert ended(provider, going).state is JobState.CANCELLED
        provider.cancel(going.id)
        assert said(going) == "there\ndrained\n"

    @pytest.mark.parametrize("job_id", ["999999", "local-0123456789ab", "../../etc", "", "-1"])
    def test_a_job_that_nobody_knows(self, provider: ClusterProvider, job_id: str) -> None:
        status = provider.status(job_id)
        assert (status.state, status.doubt) == (JobState.UNKNOWN, Doubt.NOT_FOUND)
        with pytest.raises(UnknownJobError):
            provider.cancel(job_id)

    def test_a_time_limit_ends_the_worker(self, provider: ClusterProvider) -> None:
        job = provider.submit(shell(DRAINS, resources=Resources(time_limit=1.5)))
        status = ended(provider, job)
        assert status.state is JobState.FAILED
        assert status.reason == "node_00: time limit of 1.5 s"
        assert said(job) == "there\ndrained\n"

    def test_nothing_of_a_worker_outlives_it(self, provider: ClusterProvider) -> None:
        left = f"98{time.monotonic_ns() % 10**9}"
        job = provider.submit(shell(f"sleep {left} & sleep {left} & echo $!"))
        assert ended(provider, job).state is JobState.COMPLETED
        until(lambda: not living(left), "what the worker left is killed")

    def test_jobs_are_found_again(
        self, provider: ClusterProvider, again: Callable[[], ClusterProvider]
    ) -> None:
        first = provider.submit(shell(DRAINS, swarm="first", nodes=2))
        other = provider.submit(shell("exit 4", swarm="other"))
        there(first)
        ended(provider, other)
        provider.close()
        later = again()
        assert later.adopt("first") == first
        assert later.adopt("other") == other
        assert later.adopt("fir") is None
        assert later.jobs() == [first, other]
        assert later.status(first.id).state is JobState.RUNNING
        assert later.status(other.id).exit_code == 4
        later.cancel(first.id)
        assert ended(later, first).state is JobState.CANCELLED
        assert said(first) == "there\ndrained\n"
        assert later.adopt("first") == first  # ended ones, too

    def test_of_two_jobs_of_a_swarm_the_younger_is_found(self, provider: ClusterProvider) -> None:
        old, young = (provider.submit(shell("exit 0", swarm="twice")) for _ in range(2))
        assert provider.adopt("twice") == young
        assert provider.jobs() == [old, young]
        for job in (old, young):
            ended(provider, job)

    def test_secrets_are_files_for_their_owner_only(self, provider: ClusterProvider) -> None:
        secret = "correct-horse-battery"
        job = provider.submit(
            shell('ls -l "$TOKEN_FILE" | cut -c1-10; cat "$TOKEN_FILE"; env; ' + DRAINS,
                  secrets={"TOKEN": secret})
        )  # fmt: skip
        there(job)
        mode, rest = said(job).split("\n", 1)
        assert mode == "-rw-------"
        assert rest.startswith(secret)
        assert rest.count(secret) == 1  # nothing of it in the environment
        assert living(secret) == []
        for path in Path(job.workspace).rglob("*"):
            assert not stat.S_IMODE(path.lstat().st_mode) & 0o077, path
            if path.is_file() and path.parent.name != "secrets" and path.name != "stdout.log":
                assert secret not in path.read_text(), path
        provider.cancel(job.id)
        ended(provider, job)
        until(lambda: not Path(job.workspace, "secrets").exists(), "the secret is forgotten")

    def test_many_jobs_at_once(self, provider: ClusterProvider) -> None:
        jobs = [
            provider.submit(shell(f"exit {n % 3}", swarm=f"m{n}", nodes=1 + n % 2))
            for n in range(10)
        ]
        assert len({job.id for job in jobs}) == 10
        codes = [ended(provider, job).exit_code for job in jobs]
        assert codes == [n % 3 for n in range(10)]
        assert [job.swarm_id for job in provider.jobs()] == [f"m{n}" for n in range(10)]

    def test_many_are_looked_at_together(self, provider: ClusterProvider) -> None:
        done = [provider.submit(shell(f"exit {n}", swarm=f"d{n}")) for n in range(3)]
        going = provider.submit(shell(DRAINS, swarm="g", nodes=2))
        for job in done:
            ended(provider, job)
        there(going)
        ids = [*(job.id for job in done), going.id, "999999", "../x"]
        together = provider.statuses(ids)
        assert together == {job_id: provider.status(job_id) for job_id in ids}
        assert [together[job.id].exit_code for job in done] == [0, 1, 2]
        assert together[going.id].state is JobState.RUNNING
        assert together["999999"].doubt is together["../x"].doubt is Doubt.NOT_FOUND
        assert provider.statuses([]) == {}

    def test_a_tracker_follows_it(self, provider: ClusterProvider) -> None:
        job = provider.submit(shell("sleep 0.3; exit 7"))
        tracker = JobTracker(provider, job)
        until(lambda: tracker.poll().final, "it ends")
        assert (tracker.tracked.state, tracker.tracked.status.exit_code) == (JobState.FAILED, 7)

    def test_a_job_can_be_written_down(self, provider: ClusterProvider) -> None:
        job = provider.submit(shell("exit 0"))
        assert Job.from_data(codec.loads(codec.dumps(job.to_data()))) == job
        assert re.fullmatch(r"[0-9a-f]{16}", job.submission)
        ended(provider, job)

    # -- restarts ----------------------------------------------------------------------------

    def test_a_worker_that_died_is_started_again(self, provider: ClusterProvider) -> None:
        script = (
            'echo "$SWARMC_RESTARTS: $SWARMC_RESTART_REASON"; echo mine >>"$SWARMC_EVENTS"\n'
            'case $SWARMC_RESTARTS in 0) kill -9 $$;; 1) exit 3;; esac'
        )
        job = provider.submit(shell(script, restarts=Restarts(5, first=0.05)))
        status = ended(provider, job)
        assert (status.state, status.nodes[0].restarts) == (JobState.COMPLETED, 2)
        assert said(job) == "0: \n1: was killed by signal 9\n2: exited with 3\n"
        lines = said(job, name="events.jsonl").splitlines()
        kinds = [json.loads(line)["kind"] if line != "mine" else line for line in lines]
        again = ["node.started", "mine", "node.restarting"]
        assert kinds == [*again, *again, "node.started", "mine", "node.ended"]
        earlier = [json.loads(said(job, name=f"exit.{run}.json")) for run in (0, 1)]
        assert [record["code"] for record in earlier] == [-9, 3]

    def test_a_worker_that_dies_too_often(self, provider: ClusterProvider) -> None:
        script = 'echo run; [ "$SWARMC_NODE" = 0 ] && exit 3; ' + WAITS
        job = provider.submit(shell(script, nodes=2, restarts=Restarts(2, first=0.05)))
        until(lambda: bool(said(job, 0, "exit.json")), "node 0 failed")
        status = provider.status(job.id)
        assert status.state is JobState.RUNNING
        lost = status.nodes[0]
        assert (lost.state, lost.restarts, lost.exit_code) == (JobState.FAILED, 2, 3)
        assert lost.reason == "exited with 3, after 2 restarts in a row"
        assert said(job, 0) == "run\n" * 3
        go(job)
        assert ended(provider, job).reason == f"node_00: {lost.reason}"
        assert said(job, 1) == "run\nthere\nfinished\n"

    def test_a_steady_worker_begins_the_row_anew(self, provider: ClusterProvider) -> None:
        script = 'sleep 0.3; [ "$SWARMC_RESTARTS" = 3 ] || kill -9 $$'
        job = provider.submit(shell(script, restarts=Restarts(1, first=0.01, steady=0.2)))
        status = ended(provider, job)
        assert (status.state, status.nodes[0].restarts) == (JobState.COMPLETED, 3)

    @pytest.mark.parametrize("code", [0, 78, 127])
    def test_some_ends_are_final(self, provider: ClusterProvider, code: int) -> None:
        restarts = Restarts(5, first=0.0)
        job = provider.submit(shell(f"echo run; exit {code}", restarts=restarts))
        status = ended(provider, job)
        assert (status.exit_code, status.nodes[0].restarts, said(job)) == (code, 0, "run\n")

    def test_nothing_is_started_again_after_a_cancel(self, provider: ClusterProvider) -> None:
        spec = shell("echo run; kill -9 $$", restarts=Restarts(5, first=60.0, longest=60.0))
        job = provider.submit(spec)
        until(lambda: any(n.restarts for n in provider.status(job.id).nodes), "it waits")
        (waiting,) = provider.status(job.id).nodes
        assert (waiting.state, waiting.reason) == (JobState.RUNNING, "was killed by signal 9")
        provider.cancel(job.id)
        assert ended(provider, job).state is JobState.CANCELLED
        assert said(job) == "run\n"
