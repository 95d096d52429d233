"""Workers as processes: they run what is asked, are killed, frozen, drained, refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest

from swarmc.runtime.orchestration.router.client import CommandRejectedError
from swarmc.runtime.orchestration.router.protocol import Nothing
from swarmc.runtime.orchestration.router.protocol_tasks import TaskCancel
from swarmc.runtime.orchestration.router.protocol_workers import WorkerExclude

from .processes import LONG, Grid, grid, iterations, result, until

BRIEF, LASTING, ENDLESS = 10_000, 150_000_000, (1 << 31) - 1
PATIENT = {"interval": 100, "timeout": 15_000}  # tests under load must not miss a beat


def finished_once(grid: Grid, ids: list[str]) -> None:
    """Each was completed once, as the store has it."""
    from swarmc.runtime.orchestration.events import EventKind
    from swarmc.runtime.orchestration.store import Store

    with Store.open_readonly(grid.folder / "swarm-state.db") as store:
        for task_id in ids:
            kinds = [event.kind for event in store.events(subject=task_id)]
            assert kinds.count(EventKind.TASK_COMPLETED) == 1
            assert kinds[-1] is EventKind.TASK_COMPLETED


def test_two_workers_run_many_tasks_and_one_is_killed(tmp_path: Path) -> None:
    with grid(tmp_path, **PATIENT) as cluster:
        client = cluster.start()
        client.subscribe()
        for name in ("w1", "w2"):
            cluster.work(name, "--domain", name)
        counts = [BRIEF + number for number in range(30)]
        brief = cluster.wait(cluster.submit(*map(iterations, counts)))
        assert [result(task) for task in brief] == counts
        workers = cluster.listed()
        assert {task.agent for task in brief} == {w.worker_id for w in workers.values()}
        assert {w.domain for w in workers.values()} == {"w1", "w2"}
        assert "wasm" in workers["w1"].executors

        more = [LASTING + number for number in range(4)]
        ids = cluster.submit(*map(iterations, more))
        until(lambda: cluster.running_on("w1") == 2 and cluster.running_on("w2") == 2)
        cluster.workers["w1"].kill()
        done = cluster.wait(ids)
        assert [result(task) for task in done] == more  # the same, wherever they ran
        assert {task.agent for task in done} == {workers["w2"].worker_id}
        assert sorted(task.attempts for task in done) == [1, 1, 2, 2]
        lost = cluster.listed()["w1"]
        assert (lost.state, lost.running) == ("lost", 0)
        assert "connection was lost" in (lost.reason or "")
        finished_once(cluster, ids)

        states = [
            event.data["worker"]["state"] for event in client.events(0.5)
            if event.type == "worker_changed" and event.data["worker"]["name"] == "w1"
        ]  # fmt: skip
        assert states == ["joining", "ready", "lost"]
        cluster.workers["w1"].start()  # it may come back, and is who it was
        assert cluster.listed()["w1"].worker_id == lost.worker_id
        assert cluster.state("w1") == "ready"


def test_a_frozen_worker_is_missed_and_comes_back(tmp_path: Path) -> None:
    with grid(tmp_path, interval=100, timeout=4000) as cluster:
        cluster.start()
        frozen = cluster.work("w1")
        ids = cluster.submit(iterations(LASTING))
        until(lambda: cluster.running_on("w1") == 1)
        frozen.signal(signal.SIGSTOP)
        until(lambda: cluster.state("w1") == "lost")
        assert cluster.listed()["w1"].reason == "its heartbeat is missing"
        cluster.work("w2")
        (done,) = cluster.wait(ids)
        assert result(done) == LASTING
        assert done.attempts >= 2
        assert done.agent == cluster.listed()["w2"].worker_id
        frozen.signal(signal.SIGCONT)
        until(lambda: cluster.state("w1") == "ready")
        cluster.workers["w2"].kill()
        assert result(*cluster.wait(cluster.submit(iterations(BRIEF)))) == BRIEF
        finished_once(cluster, ids)


def test_a_drained_worker_ends_what_it_runs(tmp_path: Path) -> None:
    with grid(tmp_path, **PATIENT) as cluster:
        cluster.start()
        worker = cluster.work("w1")
        ids = cluster.submit(*[iterations(LASTING + number) for number in range(2)])
        until(lambda: cluster.running_on("w1") == 2)
        later = cluster.submit(iterations(BRIEF))
        assert worker.terminate(LONG) == 0
        assert [(result(t), t.attempts) for t in cluster.wait(ids)] == [
            (LASTING, 1), (LASTING + 1, 1),
        ]  # fmt: skip
        assert cluster.status(later)[0].state in ("queued", "completed")
        assert cluster.state("w1") is None  # it has left
        cluster.work("w2")
        assert result(*cluster.wait(later)) == BRIEF


def test_what_is_cancelled_is_interrupted_at_the_worker(tmp_path: Path) -> None:
    with grid(tmp_path, **PATIENT) as cluster:
        client = cluster.start()
        worker = cluster.work("w1")
        ids = cluster.submit(*[iterations(ENDLESS) for _ in range(2)])
        until(lambda: cluster.running_on("w1") == 2)
        client.call("task_cancel", TaskCancel(task_ids=ids))
        assert {task.state for task in cluster.wait(ids)} == {"cancelled"}
        (timed_out,) = cluster.wait(cluster.submit(iterations(ENDLESS), timeout_ms=500, retries=0))
        assert (timed_out.state, timed_out.error) == ("failed", "timed out after 0.5 s")
        assert result(*cluster.wait(cluster.submit(iterations(BRIEF)))) == BRIEF
        process = psutil.Process(worker.pid)
        until(lambda: process.cpu_percent(0.2) < 50)  # nothing goes on


def test_workers_find_a_dispatcher_that_was_killed(tmp_path: Path) -> None:
    with grid(tmp_path, **PATIENT) as cluster:
        cluster.start()
        worker = cluster.work("w1")
        ids = cluster.submit(iterations(LASTING))
        until(lambda: cluster.running_on("w1") == 1)
        authority = (tmp_path / "swarm-cluster.pem").read_bytes()
        cluster.dispatcher.kill()
        cluster.dispatcher.start()
        cluster.client = cluster.connect()
        until(lambda: cluster.state("w1") in ("ready", "busy"))
        assert [result(task) for task in cluster.wait(ids)] == [LASTING]
        finished_once(cluster, ids)
        assert (tmp_path / "swarm-cluster.pem").read_bytes() == authority
        assert worker.terminate(LONG) == 0
        assert cluster.dispatcher.terminate(LONG) == 0


def run(cluster: Grid, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "swarmc", *arguments], cwd=cluster.folder, text=True, timeout=LONG,
        capture_output=True, check=False, env={**os.environ, "SWARMC_ROUTER": cluster.url},
    )  # fmt: skip


def test_who_is_refused(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("the right one")
    (tmp_path / "wrong").write_text("another one")
    with grid(tmp_path, **PATIENT) as cluster:
        with pytest.raises(CommandRejectedError, match="needs a token"):
            cluster.start("--token-file", str(token))
        done = run(cluster, "start-worker", "swarm-config.toml", "w1", "--token-file", "wrong")
        assert (done.returncode, "needs a token, and not this one" in done.stderr) == (2, True)
        assert "--token-file" in done.stderr
        cluster.work("w1", "--token-file", str(token))
        known = ("--token-file", str(token))
        done = run(cluster, "workers", *known, "--json")
        (listed,) = json.loads(done.stdout)["workers"]
        assert (listed["name"], listed["state"]) == ("w1", "ready")
        table = run(cluster, "workers", *known).stdout
        assert listed["worker_id"] in table
        assert "0 of 2" in table
        # A name is one worker's at a time, and a key is its owner's.
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / "elsewhere" / "c.toml").write_text("[worker]\n")
        other = ("start-worker", "elsewhere/c.toml", "w1", *known)
        assert "a worker w1 of another key is here" in run(cluster, *other).stderr


def test_an_excluded_worker_does_not_come_back(tmp_path: Path) -> None:
    with grid(tmp_path, **PATIENT) as cluster:
        client = cluster.start()
        worker = cluster.work("liar")
        found = cluster.listed()["liar"]
        ids = cluster.submit(iterations(ENDLESS), timeout_ms=60_000)
        until(lambda: cluster.running_on("liar") == 1)
        which = WorkerExclude(worker_id=found.worker_id, reason="it lied")
        assert client.call("worker_exclude", which).state == "excluded"
        until(lambda: not worker.running)
        assert "worker liar is excluded: it lied" in worker.errors()
        assert cluster.status(ids)[0].state == "queued"
        cluster.dispatcher.kill()
        cluster.dispatcher.start()
        cluster.client = cluster.connect()
        (tmp_path / "swarm-keys" / "liar.key").rename(tmp_path / "swarm-keys" / "honest.key")
        for name in ("liar", "honest"):  # under its name, and by its key
            done = run(cluster, "start-worker", "swarm-config.toml", name)
            assert (done.returncode, "is excluded: it lied" in done.stderr) == (2, True)
        assert cluster.state("liar") == "excluded"
        with pytest.raises(CommandRejectedError, match="no worker"):
            cluster.client.call("worker_exclude", WorkerExclude(worker_id="nobody"))


def test_workflows_and_state_on_workers(tmp_path: Path) -> None:
    from swarmc.runtime.orchestration.router.protocol_tasks import WorkflowDeploy, WorkflowStatus

    manifest = {
        "name": "far", "version": "1.0.0",
        "symbols": [
            {"name": "count", "type": "action", "dispatch": "wasm",
             "parameters": iterations(BRIEF)},
            {"name": "keep", "type": "action", "dispatch": "internal", "dependencies": ["count"],
             "parameters": {"operation": "set_state", "key": "kept", "value": [1, b"x".hex()]}},
            {"name": "look", "type": "action", "dispatch": "internal", "dependencies": ["keep"],
             "parameters": {"operation": "get_state", "key": "kept"}},
            {"name": "pry", "type": "action", "dispatch": "internal", "dependencies": ["look"],
             "retries": 0, "parameters": {"operation": "get_state", "key": "cluster/excluded"}},
        ],
    }  # fmt: skip
    with grid(tmp_path, **PATIENT) as cluster:
        client = cluster.start()
        for name in ("w1", "w2"):
            cluster.work(name)
        deploy = WorkflowDeploy(manifest=msgspec.Raw(json.dumps(manifest).encode()))
        workflow = client.call("workflow_deploy", deploy).workflow_id
        wanted = WorkflowStatus(workflow_id=workflow)

        def over() -> bool:
            return client.call("workflow_status", wanted).state not in ("running", "rolling_back")

        until(over)
        tasks = {task.symbol: task for task in client.call("workflow_status", wanted).tasks}
        ids = {w.worker_id for w in client.call("worker_list", Nothing()).workers}
        assert {tasks[name].state for name in ("count", "keep", "look")} == {"completed"}
        assert {task.agent for task in tasks.values()} <= ids
        assert tasks["pry"].state == "failed"
        assert "cluster/excluded is the router's own" in (tasks["pry"].error or "")
        done = run(cluster, "status", "--json")
        assert done.returncode == 0 or "status" in done.stderr
