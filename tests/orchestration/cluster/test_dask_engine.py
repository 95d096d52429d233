"""The engine that reaches workers elsewhere: results, errors, cancellation, loss, and strangers."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import psutil
import pytest

from swarmc.runtime.orchestration import Task, TaskState
from swarmc.runtime.orchestration.cluster.agent import RemoteAgent
from swarmc.runtime.orchestration.cluster.authority import Authority, Credentials, KeyPair
from swarmc.runtime.orchestration.cluster.errors import ClusterMissingError
from swarmc.runtime.orchestration.cluster.runner import Runner
from swarmc.runtime.orchestration.engine import LocalEngine
from swarmc.runtime.orchestration.engine.dask import DaskEngine
from swarmc.runtime.orchestration.errors import TaskError
from swarmc.runtime.orchestration.executors.calls import Call
from swarmc.runtime.orchestration.executors.internal import InternalExecutor
from swarmc.runtime.orchestration.worker import Worker

from .joining import LONG, Waiting, ask, echo, fleet, until


def hopeless(call: Call) -> None:
    raise TaskError("no use", retry=False, hint="do not try")


def broken(call: Call) -> None:
    raise ValueError("boom")


def unsayable(call: Call) -> Any:
    return object()


OPERATIONS = {"echo": echo, "hopeless": hopeless, "broken": broken, "unsayable": unsayable}


def test_values_and_errors_come_back_as_they_are() -> None:
    with fleet() as cluster:
        cluster.join("w1", OPERATIONS)
        array = np.arange(12, dtype=np.float32).reshape(3, 4)
        value = {"array": array, "bytes": b"\0\xff", "none": None, "big": float("inf")}
        record = cluster.run("echo", value=value)
        assert (record.state, record.agent, record.attempts) == (TaskState.COMPLETED, "w1", 1)
        assert record.result["bytes"] == b"\0\xff"
        np.testing.assert_array_equal(record.result["array"], array)
        large = cluster.run("echo", value=bytes(range(256)) * 40_000)  # in several pieces
        assert large.result == bytes(range(256)) * 40_000

        failed = cluster.run("hopeless", retries=3)
        assert (failed.state, failed.attempts) == (TaskState.FAILED, 1)
        assert failed.error == "no use; do not try"
        failed = cluster.run("broken", retries=1)
        assert (failed.error, failed.attempts) == ("ValueError: boom", 2)
        failed = cluster.run("unsayable", retries=1)
        assert failed.attempts == 1
        assert "its result cannot travel" in failed.error
        failed = cluster.run("echo", value=object(), retries=1)
        assert "its payload cannot travel" in failed.error


def test_inputs_travel_and_many_tasks_run_on_both_workers() -> None:
    def add(call: Call) -> Any:
        return call.parameters["value"] + sum(call.inputs.values())

    with fleet() as cluster:
        for name in ("w1", "w2"):
            cluster.join(name, {"add": add})
        ones = [Task("one", {"operation": "add", "value": 1}, "internal") for _ in range(60)]
        ids = tuple(task.id for task in ones)
        total = Task("sum", {"operation": "add", "value": 40}, "internal", dependencies=ids)
        records = cluster.scheduler.wait(cluster.scheduler.submit_many([*ones, total]), LONG)
        assert records[-1].result == 100
        assert {record.agent for record in records[:-1]} == {"w1", "w2"}


def test_agents_of_this_process_run_here() -> None:
    with fleet() as cluster:
        here = Worker("here", [InternalExecutor({"thread": lambda call: threading.get_ident()})])
        cluster.registry.register(here)
        assert isinstance(cluster.run("thread").result, int)


@pytest.mark.parametrize("how", ["cancelled", "timed out"])
def test_a_worker_is_told_when_nobody_waits_any_more(how: str) -> None:
    waiting = Waiting()
    with fleet() as cluster:
        runner = cluster.join("w1", {"wait": waiting, "echo": echo}, capacity=1)
        task_id = cluster.submit("wait", timeout=LONG if how == "cancelled" else 0.5)
        assert waiting.begun.wait(LONG)
        if how == "cancelled":
            cluster.scheduler.cancel(task_id)
        assert waiting.stopped.wait(LONG)
        (record,) = cluster.scheduler.wait([task_id], LONG)
        assert record.state is not TaskState.COMPLETED
        assert cluster.run("echo", value=1).result == 1  # its place is free again
        assert runner.running == 0


def test_what_a_lost_worker_ran_runs_elsewhere() -> None:
    waiting = Waiting()
    with fleet() as cluster:
        lost = cluster.join("w1", {"go": waiting})
        task_id = cluster.submit("go")
        assert waiting.begun.wait(LONG)
        cluster.join("w2", {"go": lambda call: "done"})
        lost.close()
        (record,) = cluster.scheduler.wait([task_id], LONG)
        assert (record.result, record.agent, record.attempts) == ("done", "w2", 2)
        assert waiting.stopped.wait(LONG)
        assert cluster.scheduler.stats().failovers == 1


def test_without_a_registry_that_hears_of_it_a_lost_worker_is_an_error() -> None:
    waiting = Waiting()
    with fleet(fail_lost=False) as cluster:
        lost = cluster.join("w1", {"go": waiting})
        task_id = cluster.submit("go")
        assert waiting.begun.wait(LONG)
        lost.close()
        (record,) = cluster.scheduler.wait([task_id], LONG)
        assert record.error == "the worker that ran it is gone"


def test_a_worker_that_is_dropped_is_cut_off_and_cannot_come_back() -> None:
    with fleet() as cluster:
        runner = cluster.join("w1", OPERATIONS)
        gone = threading.Event()
        runner._gone = gone.set
        agent = cluster.agents["w1"]
        cluster.engine.drop(agent)
        assert gone.wait(LONG)
        until(lambda: cluster.registry.state("w1").value == "failed")
        with pytest.raises(OSError):
            ask(cluster.address, cluster.credentials(agent.place), op="identity")


def speaks(address: str, context: ssl.SSLContext | None) -> bool:
    """Whether the engine's port says anything to somebody who connects."""
    where = urlsplit(address)
    try:
        with socket.create_connection((where.hostname, where.port), LONG) as plain:
            plain.settimeout(LONG)
            stream = plain if context is None else context.wrap_socket(plain)
            if context is None:
                stream.sendall(bytes(64))  # no client's hello of TLS
            return stream.recv(64) not in (b"", ALERT)
    except (ssl.SSLError, ConnectionError):
        return False


ALERT = b"\x15\x03\x01\x00\x02\x02\x46"  # of TLS: not a version of the protocol


def context_of(credentials: Credentials | None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if credentials is not None:
        with tempfile.NamedTemporaryFile("w") as file:
            file.write(credentials.certificate + credentials.key)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def test_strangers_are_refused_by_the_engines_port() -> None:
    with fleet() as cluster:
        cluster.join("w1", OPERATIONS)
        mine = cluster.credentials(cluster.agents["w1"].place)
        assert not speaks(cluster.address, None)  # plaintext
        assert not speaks(cluster.address, context_of(None))
        theirs = Authority.create().credentials("dispatcher")
        assert not speaks(cluster.address, context_of(theirs))
        assert speaks(cluster.address, context_of(mine))
        with pytest.raises(OSError):
            ask(cluster.address, cluster.credentials("somebody"), op="identity")
        assert "id" in ask(cluster.address, mine, op="identity")
        assert cluster.run("echo", value=1).result == 1


def test_a_result_that_is_too_large_is_said_where_it_was_made(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    from swarmc.runtime.orchestration.cluster import parcel

    monkeypatch.setattr(parcel, "MAX_OUTCOME", 3 << 20)
    with fleet() as cluster:
        cluster.join("w1", OPERATIONS)
        record = cluster.run("echo", value="x" * (5 << 20), retries=3)
        assert (record.state, record.attempts) == (TaskState.FAILED, 1)
        assert record.error == "its result has 5 MiB, and at most 3 travel"


def test_nothing_listens_but_the_engine_and_its_workers() -> None:
    before = listening()
    with fleet() as cluster:
        cluster.join("w1", OPERATIONS)
        found = listening() - before
        assert len(found) == 2
        assert {host for host, _ in found} == {"127.0.0.1"}
    assert listening() == before


def listening() -> set[tuple[str, int]]:
    connections = psutil.Process().net_connections("tcp")
    return {(c.laddr.ip, c.laddr.port) for c in connections if c.status == psutil.CONN_LISTEN}


def test_what_is_missing_is_said_with_what_to_install() -> None:
    code = (
        "import sys; sys.modules['distributed'] = None\n"
        "from swarmc.runtime.orchestration.engine import LocalEngine\n"
        "from swarmc.runtime.orchestration.engine.dask import DaskEngine\n"
        "from swarmc.runtime.orchestration.cluster.authority import Authority\n"
        "from swarmc.runtime.orchestration.cluster.errors import ClusterMissingError\n"
        "try: DaskEngine(LocalEngine()).start('127.0.0.1', Authority.create().credentials('x'))\n"
        "except ClusterMissingError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "task workers need distributed, which is not installed; pip install 'swarmc[cluster]'\n"
    )
    assert issubclass(ClusterMissingError, Exception)


def test_dask_is_loaded_only_when_a_worker_is_to_join() -> None:
    code = (
        "import sys, swarmc.runtime.orchestration.engine.dask as engine\n"
        "from swarmc.runtime.orchestration.engine import LocalEngine\n"
        "made = engine.DaskEngine(LocalEngine()); made.open(print, print); made.close(1)\n"
        "print(sorted(name for name in sys.modules if name in ('dask', 'distributed')))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_an_engine_that_is_closed_takes_nothing() -> None:
    engine = DaskEngine(LocalEngine())
    ended: list[BaseException | None] = []
    engine.open(lambda attempt: None, lambda attempt, result, error: ended.append(error))
    assert engine.close(1)
    from swarmc.runtime.orchestration.engine import Attempt
    from swarmc.runtime.orchestration.tasks import TaskContext

    agent = RemoteAgent("w", "w", [], 1)
    engine.launch(Attempt(Task("t"), agent, TaskContext()))
    assert "closed" in str(ended[0])
    assert engine.address is None


def test_a_port_that_cannot_be_had(tmp_path: Path) -> None:
    from swarmc.runtime.orchestration.cluster.errors import ClusterError

    engine = DaskEngine(LocalEngine())
    engine.open(lambda attempt: None, lambda attempt, result, error: None)
    with pytest.raises(ClusterError, match=r"cannot listen on 192\.0\.2\.1"):
        engine.start("192.0.2.1", Authority.create().credentials("dispatcher"))
    assert engine.close(1)


def test_who_is_not_wanted_any_more_does_not_wait_for_the_engine() -> None:
    authority = Authority.create()
    pair = KeyPair("w")
    credentials = pair.credentials(authority.issue(pair.request, "w"), authority.certificate)
    looks = iter((True, True, False))
    worker = Worker("w", [InternalExecutor({})])
    with socket.create_server(("127.0.0.1", 0)) as silent:
        engine = f"tls://127.0.0.1:{silent.getsockname()[1]}"
        begun = time.monotonic()
        with pytest.raises(ConnectionError, match="router was lost"):
            Runner(engine, "w", "127.0.0.1", credentials, worker, wanted=lambda: next(looks))
        assert time.monotonic() - begun < LONG / 2  # asked for longer by Dask itself
