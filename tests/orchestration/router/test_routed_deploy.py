"""``swarmc deploy`` and ``swarmc status`` through a router: the same words as without one."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from typer.testing import CliRunner

from swarmc.runtime.cli import app
from swarmc.runtime.orchestration import create_dispatcher
from swarmc.runtime.orchestration.errors import OrchestrationError
from swarmc.runtime.orchestration.events import EventKind
from swarmc.runtime.orchestration.logger import Logger
from swarmc.runtime.orchestration.router.client import RouterClient
from swarmc.runtime.orchestration.router.protocol_tasks import (
    TaskSpec,
    TaskStatus,
    TaskSubmit,
    WorkflowDeploy,
)
from swarmc.runtime.orchestration.router.runs import RoutedRuns
from swarmc.runtime.orchestration.router.wire import Connection
from swarmc.runtime.orchestration.router_place import (
    RouterPlace,
    announce,
    announce_soon,
    find_router,
)
from swarmc.runtime.orchestration.store import Store
from swarmc.runtime.orchestration.workflow.manifest import load_manifest, manifest_of

from ..ports import free_port
from .routing import Holding, RunningDispatcher
from .shell import LONG, Shell, shell_in

WELL = """\
name: publish
symbols:
  - {name: fetch, type: query, parameters: {operation: echo, value: [3, .inf]}}
  - {name: show, type: action, dependencies: [fetch], parameters: {operation: inputs}}
"""
BADLY = """\
name: publish
version: 2.1.0
symbols:
  - name: reserve
    type: action
    parameters: {operation: noop}
    rollback: {name: release, type: action, parameters: {operation: noop}}
  - {name: announce, type: action, dependencies: [reserve], retries: 0,
     parameters: {operation: fail, message: nobody listens}}
"""
#: One more program of one's own: waits for the file ``go`` and notes when it begins and ends.
HOLD = """\
import sys, os, time
with open("log", "a") as log:
    print("begun", file=log, flush=True)
    while not os.path.exists("go"):
        time.sleep(0.01)
    print("done", file=log, flush=True)
print(5)
"""


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWARMC_ROUTER", raising=False)
    Path("well.yaml").write_text(WELL)
    Path("badly.yaml").write_text(BADLY)
    Path("swarm-config.toml").write_text('[dispatcher]\nstate_db_path = "here.db"\n')
    yield
    Logger.reset()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[RunningDispatcher]:
    with RunningDispatcher(tmp_path) as host:
        yield host


def swarmc(*args: str, **env: str) -> Any:
    return CliRunner().invoke(app, list(args), env=env)


def alike(text: str) -> str:
    """Without ids of runs and times, however wide these are."""
    text = re.sub(r"run-[0-9a-f]+", "RUN", text)
    return re.sub(r" +", " ", re.sub(r'\d[\d,]* ms|"duration_ms":[\d.]+', "TIME", text))


@pytest.mark.parametrize("options", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize("file", ["well.yaml", "badly.yaml"])
def test_the_same_words_and_exit_codes(
    host: RunningDispatcher, file: str, options: tuple[str, ...]
) -> None:
    here = swarmc("deploy", file, *options)
    there = swarmc("deploy", file, *options, "--router", host.url)
    assert here.exit_code == there.exit_code == (0 if file == "well.yaml" else 1)
    assert alike(there.stdout) == alike(here.stdout)
    assert "publish" in there.stdout and there.stderr == here.stderr
    assert len(list(host.dispatcher.store.workflows())) == 1


def test_the_live_table(host: RunningDispatcher) -> None:
    done = swarmc("deploy", "well.yaml", "--live", SWARMC_ROUTER=host.url)
    assert (done.exit_code, "Completed: 2/2" in done.stdout) == (0, True)


def test_mistakes(host: RunningDispatcher) -> None:
    Path("wrong.yaml").write_text("name: w\nsymbols:\n  - {name: a, type: acton}\n")
    done = swarmc("deploy", "wrong.yaml", "--router", host.url)
    assert (done.exit_code, "wrong.yaml:3:21" in done.stderr) == (2, True)
    Path("other.yaml").write_text("name: w\nsymbols: [{name: a, type: action, dispatch: ours}]\n")
    done = swarmc("deploy", "other.yaml", "--router", host.url)
    assert (done.exit_code, "there is no executor 'ours'" in done.stderr) == (2, True)
    done = swarmc("deploy", "well.yaml", "--router", f"ws://127.0.0.1:{free_port()}")
    assert (done.exit_code, "no router answers at" in done.stderr) == (2, True)
    assert not list(host.dispatcher.store.workflows())


@pytest.mark.parametrize("accepted", [True, False], ids=["accepted", "not accepted"])
def test_a_connection_that_is_lost_before_the_answer(
    host: RunningDispatcher, accepted: bool
) -> None:
    handlers = host.router._handlers
    deploy = handlers["workflow_deploy"]
    asked: list[str | None] = []

    async def cut(connection: Connection, wanted: WorkflowDeploy) -> Any:
        asked.append(wanted.workflow_id)
        done = await deploy(connection, wanted) if accepted or len(asked) > 1 else None
        if len(asked) == 1:
            connection.cut()
        return done

    handlers["workflow_deploy"] = cut
    done = swarmc("deploy", "well.yaml", "--json", "--router", host.url)
    assert done.exit_code == 0, done.stderr
    assert [json.loads(done.stdout)["id"]] * 2 == asked
    assert [run.id for run in host.dispatcher.store.workflows()] == asked[:1]


def test_a_router_that_stays_away_while_it_is_asked(host: RunningDispatcher) -> None:
    async def never(connection: Connection, wanted: WorkflowDeploy) -> None:
        connection.cut()

    host.router._handlers["workflow_deploy"] = never
    with RoutedRuns(host.client, patience=0.2) as routed:
        with pytest.raises(OrchestrationError, match="connection to the router was lost") as error:
            routed.deploy(load_manifest(Path("well.yaml")))
    assert re.match(r"if run run-[0-9a-f]+ was accepted, it goes on", error.value.hint or "")


def test_results_that_are_too_large_together(host: RunningDispatcher) -> None:
    large = {"operation": "echo", "value": "x" * 6_000_000}
    symbols = [{"name": name, "type": "query", "parameters": large} for name in "abc"]
    with RoutedRuns(host.client) as runs:
        run_ids = [
            runs.deploy(manifest_of({"name": "large", "symbols": symbols[:2]})),
            host.dispatcher.deploy(manifest_of({"name": "larger", "symbols": symbols})),
        ]
        for run_id, count in zip(run_ids, (2, 3), strict=True):
            result = runs.wait(run_id, LONG)
            assert [len(value) for value in result.results.values()] == [6_000_000] * count


def test_runs_that_go_on_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    holding = Holding()
    wait = RoutedRuns.wait

    def wait_and_let_go(runs: RoutedRuns, run_id: str, timeout: float) -> Any:
        holding.go.set()
        return wait(runs, run_id, timeout)

    monkeypatch.setattr(RoutedRuns, "wait", wait_and_let_go)
    with RunningDispatcher(tmp_path, holding.table()) as host:
        done = swarmc("deploy", "--resume", "--router", host.url)
        assert (done.exit_code, "every run has ended" in done.stderr) == (0, True)
        symbols = [{"name": "a", "type": "action", "parameters": {"operation": "hold"}}]
        run_ids = [
            host.dispatcher.deploy(host.dispatcher.parse({"name": name, "symbols": symbols}))
            for name in ("one", "two")
        ]
        done = swarmc("deploy", "--resume", "--json", "--router", host.url)
        assert done.exit_code == 0
        assert [run["id"] for run in json.loads(done.stdout)] == run_ids


# Status


def test_status_of_a_router(host: RunningDispatcher) -> None:
    assert swarmc("deploy", "badly.yaml", "--router", host.url).exit_code == 1
    done = swarmc("status", "--router", host.url)
    assert done.exit_code == 0
    records = host.dispatcher.status().records
    assert done.stdout.splitlines() == [
        "Coordinator Status:", "  Active nodes: 1", "    Idle: 1", "    Busy: 0",
        "  Queued tasks: 0", "  Running tasks: 0", "  Completed tasks: 2", "  Failed tasks: 1",
        "", "Active workflows: 0", "", "State database:",
        *(f"  {table}: {records[table]} records"
          for table in ("state", "executions", "tasks", "nodes")),
    ]  # fmt: skip
    told = json.loads(swarmc("status", "--json", "--router", host.url).stdout)
    assert (told["router"], told["alive"]) == (host.url, True)
    assert told["coordinator"]["completed_tasks"] == 2
    tasks = swarmc("status", "--tasks", "--json", "--router", host.url)
    told = json.loads(tasks.stdout)
    assert (told["router"], told["more"]) == (host.url, False)
    assert sorted(task["state"] for task in told["tasks"]) == ["completed", "completed", "failed"]
    offline = json.loads(swarmc("status", "--state", "failed", "--json").stdout)
    failed = swarmc("status", "--state", "failed", "--json", "--router", host.url)
    assert json.loads(failed.stdout)["tasks"] == [t for t in told["tasks"] if t["error"]]
    assert offline["tasks"] == []  # its database is another


def test_status_by_the_configured_endpoint(host: RunningDispatcher) -> None:
    section = f'[dispatcher]\nstate_db_path = "here.db"\ncoordinator_endpoint = "{host.url}"\n'
    Path("c.toml").write_text(section)
    assert json.loads(swarmc("status", "c.toml", "--json").stdout)["router"] == host.url
    host.stop()  # nobody is there: the database alone is asked
    told = json.loads(swarmc("status", "c.toml", "--json").stdout)
    assert (told["router"], told["coordinator"]["active_nodes"]) == (None, 0)
    host.start_again()
    done = swarmc("status", "--router", f"ws://127.0.0.1:{free_port()}")
    assert (done.exit_code, "no router answers" in done.stderr) == (2, True)


def test_status_where_a_token_is_needed(tmp_path: Path) -> None:
    with RunningDispatcher(tmp_path, token="secret") as host:
        announce(host.dispatcher.store, RouterPlace(host.url))
        Path("c.toml").write_text('[dispatcher]\nstate_db_path = "swarm-state.db"\n')
        done = swarmc("status", "c.toml")
        assert (done.exit_code, "needs a token; name the file" in done.stderr) == (0, True)
        assert "--token-file" in done.stderr and "SWARMC_ROUTER_TOKEN_FILE" in done.stderr
        assert "Active nodes: 1" in done.stdout  # as the database has it
        Path("token").write_text("secret\n")
        told = swarmc("status", "c.toml", "--json", "--token-file", "token")
        assert json.loads(told.stdout)["router"] == host.url


# Which router


def test_a_router_is_found_by_its_database(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    assert find_router(path) is None
    with Store(path) as store:
        assert find_router(path) is None  # in use, but by no router
        announce(store, RouterPlace("wss://h:1", Path("c.pem")))
        assert find_router(path) == RouterPlace("wss://h:1", tmp_path / "c.pem")
        store.set_state("router/address", {"url": "ws://old", "certificate": None, "pid": 1})
        assert find_router(path) is None  # of a process before


def test_a_router_that_begins_is_waited_for(tmp_path: Path) -> None:
    with Store(tmp_path / "s.db") as store:
        announce_soon(store)
        assert find_router(tmp_path / "s.db", 0.0) is None
        later = threading.Timer(0.2, announce, (store, RouterPlace("ws://h:1")))
        later.start()
        assert find_router(tmp_path / "s.db", LONG) == RouterPlace("ws://h:1")
        later.join()


def test_an_attached_router_does_the_same() -> None:
    """``create_dispatcher(enable_websocket=True)``: found and used as start-dispatcher is."""
    dispatcher = create_dispatcher(
        {"enable_websocket": True, "state_db_path": "here.db", "websocket_port": free_port()}
    )
    asyncio.run(dispatcher.start())
    try:
        done = swarmc("deploy", "well.yaml")
        assert (done.exit_code, "Completed: 2/2" in done.stdout) == (0, True)
        assert len(list(dispatcher.store.workflows())) == 1
    finally:
        asyncio.run(dispatcher.stop())
    assert find_router(Path("here.db")) is None


# Processes


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Shell]:
    (tmp_path / "hold.py").write_text(HOLD)
    (tmp_path / "swarm-config.toml").write_text(f"""\
[dispatcher]
state_db_path = "here.db"
[backends.hold]
command = ["{sys.executable}", "-S", "hold.py"]
""")
    (tmp_path / "long.yaml").write_text("""\
name: long
symbols:
  - name: first
    type: action
    dispatch: hold
    rollback: {name: undo, type: action, parameters: {operation: noop}}
  - {name: second, type: query, dependencies: [first], parameters: {operation: inputs}}
""")
    (tmp_path / "slow.yaml").write_text("""\
name: slow
symbols:
  - name: first
    type: action
    dispatch: hold
    rollback: {name: undo, type: action, dispatch: hold}
""")
    with shell_in(tmp_path) as shell:
        yield shell
        (tmp_path / "go").touch()


def until_log(shell: Shell, lines: int) -> list[str]:
    end = time.monotonic() + LONG
    while True:
        log = shell.folder / "log"
        found = log.read_text().splitlines() if log.exists() else []
        if len(found) >= lines:
            return found
        assert time.monotonic() < end, found
        time.sleep(0.02)


def test_a_deployment_outlives_its_router(shell: Shell) -> None:
    """kill -9 of the router while a symbol runs: whoever waits is told the end all the same."""
    shell.start()
    waiting = shell.begin("deploy", "long.yaml", "--json", named=False)
    until_log(shell, 1)
    sleep = msgspec.Raw(b'{"parameters": {"operation": "sleep", "milliseconds": 100}}')
    spec = TaskSpec(name="nap", executor="internal", payload=sleep)
    with RouterClient(shell.facts["router"]) as client:
        task_ids = client.call("task_submit", TaskSubmit(tasks=[spec] * 30)).task_ids
        wanted = TaskStatus(task_ids=task_ids[:1], wait_ms=LONG * 1000)
        assert client.call("task_status", wanted).tasks[0].state == "completed"
    shell.stop(signal.SIGKILL)
    shell.start()
    assert shell.facts["resumed"] == 1
    until_log(shell, 2)
    (shell.folder / "go").touch()
    out, err = waiting.communicate(timeout=LONG)
    assert waiting.returncode == 0, err
    result = json.loads(out)
    assert (result["state"], result["completed_tasks"]) == ("completed", 2)
    assert [symbol["attempts"] for symbol in result["symbols"]] == [2, 1]
    assert result["symbols"][1]["result"] == {"first": 5}
    with RouterClient(shell.facts["router"]) as client:
        wanted = TaskStatus(task_ids=task_ids, wait_ms=LONG * 1000)
        assert {t.state for t in client.call("task_status", wanted).tasks} == {"completed"}
    assert shell.run("status", named=False).stdout.splitlines()[6] == "  Completed tasks: 32"
    assert shell.stop() == 0
    ended = [EventKind.TASK_COMPLETED]
    with Store.open_readonly(shell.folder / "here.db") as store:
        for name in ("first", "second"):
            task_ids.append(f"{result['id']}/{name}")
        told = [event.subject for event in store.events(kinds=ended)]
        assert sorted(told) == sorted(task_ids)  # each of them once


def test_ctrl_c_rolls_back_at_the_router(shell: Shell) -> None:
    shell.start()
    left = shell.begin("deploy", "slow.yaml", named=False)
    until_log(shell, 1)
    left.send_signal(signal.SIGINT)
    assert left.stderr is not None
    assert "stopping and rolling back" in left.stderr.readline()
    until_log(shell, 2)  # the rollback
    left.send_signal(signal.SIGINT)
    _, err = left.communicate(timeout=LONG)
    assert (left.returncode, err) == (130, "swarmc: left; the router goes on with it\n")
    (shell.folder / "log").unlink()
    waiting = shell.begin("deploy", "long.yaml", named=False)
    until_log(shell, 1)
    waiting.send_signal(signal.SIGINT)
    out, err = waiting.communicate(timeout=LONG)
    assert waiting.returncode == 130, err
    assert "long 1.0.0: failed and rolled back" in out
    assert "undo (rollback of first)" in out and "Error: interrupted" in out
    assert "interrupted: stopping and rolling back" in err
