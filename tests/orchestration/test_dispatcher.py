"""The dispatcher: configured back ends, files in, results out, and going on after a stop."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from swarmc.runtime.orchestration.backends import ExecutorsMissingError
from swarmc.runtime.orchestration.config_file import load_config
from swarmc.runtime.orchestration.dispatcher import (
    Dispatcher,
    ServerMissingError,
    create_dispatcher,
    create_worker,
)
from swarmc.runtime.orchestration.dispatcher_status import DispatcherStatus, read_status
from swarmc.runtime.orchestration.documents.document import DocumentError
from swarmc.runtime.orchestration.errors import ClosedError, OrchestrationError
from swarmc.runtime.orchestration.executors import Call, InternalExecutor
from swarmc.runtime.orchestration.logger import Logger
from swarmc.runtime.orchestration.router.server import ServerError
from swarmc.runtime.orchestration.store import Store
from swarmc.runtime.orchestration.workflow import WorkflowState, parse_manifest

SECONDS = 60.0
ENGINE = """\
import json, sys
task = json.load(sys.stdin)
print(json.dumps({"did": task["parameters"]["operation"], "for": sys.argv[1:]}))
"""
WORKFLOW = """\
name: example
version: 2.1.0
symbols:
  - {name: a, type: action, parameters: {operation: echo, value: 5}}
  - {name: b, type: state, parameters: {operation: set_state, key: k}, dependencies: [a]}
"""


def manifest(**symbols: dict[str, Any]) -> str:
    listed = [{"name": name, "type": "action", **more} for name, more in symbols.items()]
    return json.dumps({"name": "w", "symbols": listed})


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    path = tmp_path / "workflow.yaml"
    path.write_text(WORKFLOW)
    return path


def test_as_the_document_uses_it(tmp_path: Path, workflow: Path) -> None:
    async def use() -> None:
        dispatcher = create_dispatcher({
            "coordinator_endpoint": "ws://localhost:8080",
            "state_db_path": str(tmp_path / "swarm.db"),
            "enable_websocket": False,
            "websocket_port": 8080,
        })  # fmt: skip
        await dispatcher.start()
        result = await dispatcher.dispatch_from_file(workflow)
        assert f"Completed: {result.completed_tasks}/{result.total_tasks}" == "Completed: 2/2"
        assert result.results == {"a": 5, "b": {"a": 5}}
        assert dispatcher.store.get_state("k") == {"a": 5}
        await dispatcher.stop()
        await dispatcher.stop()

    asyncio.run(use())


def test_what_the_server_needs_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("server", "attached"):
        module = f"swarmc.runtime.orchestration.router.{name}"
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    dispatcher = create_dispatcher(enable_websocket=True, state_db_path=":memory:")
    with pytest.raises(ServerMissingError, match=r"needs uvicorn.*pip install 'swarmc\[web\]'"):
        asyncio.run(dispatcher.start())


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        dispatcher = create_dispatcher(
            enable_websocket=True, state_db_path=":memory:",
            websocket_port=taken.getsockname()[1],
        )  # fmt: skip
        with pytest.raises(ServerError, match="cannot listen on 127"):
            asyncio.run(dispatcher.start())
        asyncio.run(dispatcher.stop())


def test_a_server_can_be_attached() -> None:
    class Server:
        told: list[str] = []  # noqa: RUF012

        def start(self, dispatcher: Dispatcher) -> None:
            self.told.append(f"start {dispatcher.status().active}")

        def stop(self) -> None:
            self.told.append("stop")

    server = Server()

    async def use() -> None:
        given: dict[str, Any] = {"enable_websocket": True, "state_db_path": ":memory:"}
        async with create_dispatcher(given, server=server):
            assert server.told == ["start 1"]

    asyncio.run(use())
    assert server.told == ["start 1", "stop"]


@pytest.fixture
def dispatcher(tmp_path: Path) -> Iterator[Dispatcher]:
    made = create_dispatcher(state_db_path=str(tmp_path / "s.db"))
    with made:
        yield made


def test_it_must_be_started() -> None:
    dispatcher = create_dispatcher(state_db_path=":memory:")
    with pytest.raises(ClosedError, match=r"not started; call start\(\) or open\(\) first"):
        dispatcher.run(parse_manifest(WORKFLOW))
    dispatcher.close()


def test_configured_back_ends(tmp_path: Path) -> None:
    (tmp_path / "engine.py").write_text(ENGINE)
    injector = tmp_path / "injector"
    injector.write_text(f"#!{sys.executable} -S\n{ENGINE}")
    injector.chmod(0o755)
    (tmp_path / "c.toml").write_text(f"""
[dispatcher]
state_db_path = ":memory:"
[backends.rust_injector]
binary_path = "./injector"
[backends.php_engine]
php_binary = "{sys.executable}"
script_path = "engine.py"
[backends.powershell_engine]
pwsh_binary = "./pwsh"
script_path = "engine.py"
[backends.mine]
command = ["./injector", "-x"]
[backends.internal]
operations = {{ here = "os:getcwd" }}
[backends.process]
enabled = true
""")
    pwsh = tmp_path / "pwsh"
    pwsh.write_text(f"#!/bin/sh\nexec {sys.executable} engine.py \"$@\"\n")
    pwsh.chmod(0o755)
    config = load_config(tmp_path / "c.toml")
    parameters = {"parameters": {"operation": "x"}}
    text = manifest(
        rust={"dispatch": "rust_injector", **parameters},
        php={"dispatch": "php_engine", **parameters},
        mine={"dispatch": "mine", **parameters},
        any={"dispatch": "process", "parameters": {
            "operation": "y", "command": ["./injector"]
        }},
    )  # fmt: skip
    path = tmp_path / "w.json"
    path.write_text(text)
    with Dispatcher(config) as dispatcher:
        result = dispatcher.run_file(path, SECONDS)
        assert "here" in dispatcher.executors["internal"].operations  # type: ignore[attr-defined]
    assert result.error is None
    assert result.results == {
        "rust": {"did": "x", "for": []}, "php": {"did": "x", "for": []},
        "mine": {"did": "x", "for": ["-x"]}, "any": {"did": "y", "for": []},
    }  # fmt: skip


@pytest.mark.skipif(shutil.which("php") is None, reason="needs php-cli")
def test_real_php(tmp_path: Path) -> None:
    (tmp_path / "symbolic-engine.php").write_text(
        '<?php $t = json_decode(file_get_contents("php://stdin"), true);'
        ' echo json_encode(["ran" => $t["parameters"]["operation"]]);'
    )
    settings = {
        "state_db_path": ":memory:",
        "backends": {"php_engine": {"script_path": str(tmp_path / "symbolic-engine.php")}},
    }
    text = manifest(a={"dispatch": "php_engine", "parameters": {"operation": "init"}})
    with create_dispatcher(settings) as dispatcher:
        assert dispatcher.run(parse_manifest(text), SECONDS).results == {"a": {"ran": "init"}}


def test_missing_back_ends_are_told_with_their_settings(tmp_path: Path) -> None:
    settings = {
        "state_db_path": ":memory:",
        "worker": {"capabilities": {"php": False}},
        "backends": {"rust_injector": {"binary_path": "/nowhere/wp_injector"},
                     "wasm": {"enabled": False}},
    }  # fmt: skip
    text = manifest(
        a={"dispatch": "rust_injector"}, b={"dispatch": "php_engine"}, c={"dispatch": "wasm"},
        d={"dispatch": "process", "rollback": {"name": "r", "type": "action", "dispatch":
                                               "powershell_engine"}},
    )  # fmt: skip
    with create_dispatcher(settings) as dispatcher:
        with pytest.raises(ExecutorsMissingError) as raised:
            dispatcher.deploy(parse_manifest(text))
        assert str(raised.value).splitlines() == [
            "the workflow needs 5 executors that cannot work here:",
            "executor php_engine is not enabled; set worker.capabilities.php = true",
            "powershell_engine cannot run: there is no program pwsh;"
            " set backends.powershell_engine.pwsh_binary",
            "executor process is not enabled; set backends.process.enabled = true",
            "rust_injector cannot run: there is no program /nowhere/wp_injector;"
            " set backends.rust_injector.binary_path",
            "executor wasm is not enabled; set backends.wasm.enabled = true",
        ]
        assert list(dispatcher.store.workflows()) == []


def test_own_executors_and_operations(tmp_path: Path) -> None:
    mine = InternalExecutor({"six": lambda call: 6}, name="mine")
    settings = {"state_db_path": ":memory:"}
    with create_dispatcher(
        settings, executors=[mine], operations={"seven": lambda call: 7}
    ) as dispatcher:
        path = tmp_path / "w.yaml"
        path.write_text(manifest(
            a={"dispatch": "mine", "parameters": {"operation": "six"}},
            b={"parameters": {"operation": "seven"}},
        ))  # fmt: skip
        assert dispatcher.run_file(path, SECONDS).results == {"a": 6, "b": 7}


def test_workers_can_be_added(dispatcher: Dispatcher) -> None:
    worker = create_worker(node_name="worker-2", max_concurrent_tasks=2)
    assert (worker.name, worker.capacity) == ("worker-2", 2)
    assert {"rust", "php", "powershell", "internal", "wasm", "php_engine"} <= worker.capabilities
    dispatcher.register(worker)
    assert dispatcher.status().active == 2
    settings = {"worker": {"capabilities": {"rust": False}}}
    few = create_worker(settings, operations={"f": "os:getcwd"})
    assert "rust_injector" not in few.capabilities
    assert "rust" not in few.capabilities


def test_settings_are_given_once() -> None:
    with pytest.raises(OrchestrationError, match="settings are given twice: websocket_port"):
        create_dispatcher(load_config(), websocket_port=1)
    with pytest.raises(DocumentError, match="unknown key 'max_concurrent_task': did you mean"):
        create_worker(max_concurrent_task=5)


def test_a_coroutine_that_is_cancelled_cancels_its_run(dispatcher: Dispatcher) -> None:
    begun = threading.Event()

    def wait(call: Call) -> None:
        begun.set()
        while not call.task_context.cancelled.wait(0.01):
            pass
        call.task_context.check()

    dispatcher.executors["internal"].register("wait", wait)  # type: ignore[attr-defined]

    async def use() -> None:
        text = manifest(a={"parameters": {"operation": "wait"}})
        waiting = asyncio.create_task(dispatcher.dispatch(parse_manifest(text)))
        await asyncio.to_thread(begun.wait, SECONDS)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(use())
    (record,) = dispatcher.store.workflows()
    assert dispatcher.runner.wait(record.id, SECONDS).state is WorkflowState.FAILED


def test_settings_reach_the_tasks(tmp_path: Path) -> None:
    settings = {
        "state_db_path": ":memory:", "coordinator": {"task_retry_limit": 1},
        "backends": {"internal": {"timeout": 1234}},
    }  # fmt: skip
    text = manifest(a={"parameters": {"operation": "fail"}}, b={
        "parameters": {"operation": "noop"}, "timeout": 30_000, "retries": 3, "priority": 5})
    with create_dispatcher(settings) as dispatcher:
        result = dispatcher.run(parse_manifest(text), SECONDS)
        assert result.symbols["a"].attempts == 2
        a, b = (dispatcher.scheduler.record(f"{result.id}/{name}").task for name in "ab")
        assert (a.timeout, a.retries) == (1.234, 1)
        assert (b.timeout, b.retries, b.priority) == (30.0, 3, 5)


def test_going_on_after_a_stop(tmp_path: Path, workflow: Path) -> None:
    path = tmp_path / "s.db"
    settings = {"state_db_path": str(path)}
    with create_dispatcher(settings) as first:
        first.scheduler.pause()
        run_id = first.deploy(first.load(workflow))
    with create_dispatcher(settings) as second:
        assert second.unfinished() == [run_id]
        assert second.status().queued == 2
        assert second.resume() == [run_id]
        assert second.unfinished() == []
        assert second.runner.wait(run_id, SECONDS).success


def test_status(tmp_path: Path, workflow: Path) -> None:
    path = tmp_path / "s.db"
    assert read_status(path) == (DispatcherStatus(), False)
    with create_dispatcher(state_db_path=str(path)) as dispatcher:
        dispatcher.run_file(workflow, SECONDS)
        status = dispatcher.status()
        assert read_status(path) == (status, True)
        assert (status.active, status.idle, status.busy) == (1, 1, 0)
        assert (status.completed, status.failed, status.workflows) == (2, 0, 0)
        assert status.records == {"state": 1, "executions": 2, "tasks": 2, "nodes": 1}
        assert status.to_data()["coordinator"]["completed_tasks"] == 2
    later, alive = read_status(path)
    assert later.active == 0
    assert alive  # this process; it has closed the store since


def test_workers_of_a_process_that_died_are_gone(tmp_path: Path) -> None:
    from swarmc.runtime.orchestration.events import Event, EventKind

    path = tmp_path / "s.db"
    with Store(path) as store:
        store.append([
            Event(EventKind.AGENT_REGISTERED, "old", {
                "name": "old", "kind": "worker", "capabilities": []
            }),
            Event(EventKind.AGENT_STATE, "old", {"state": "ready", "reason": ""}),
        ])  # fmt: skip
    assert read_status(path)[0].active == 1  # as far as it is known
    with create_dispatcher(state_db_path=str(path)) as dispatcher:
        assert dispatcher.status().active == 1  # its own


def test_logger(capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("swarmc.runtime.orchestration.x")
    try:
        Logger.configure(level="info", console=True, format="json")
        log.info("hello %s", "you", extra={"run": 1})
        log.debug("not this")
        Logger.get("dispatcher", run="r").info("deployed", symbols=3)
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        assert [line["event"] for line in lines] == ["hello you", "deployed"]
        assert (lines[0]["run"], lines[0]["level"]) == (1, "info")
        assert (lines[1]["symbols"], lines[1]["logger"]) == (3, "swarmc.dispatcher")
        Logger.configure(level="debug")
        log.debug("plain")
        assert "plain" in capsys.readouterr().err
        Logger.configure(level="error", console=False)
        log.error("nobody listens")
        assert capsys.readouterr().err == ""
        for wrong in ({"level": "loud"}, {"format": "xml"}):
            with pytest.raises(OrchestrationError, match="there is no log"):
                Logger.configure(**wrong)  # type: ignore[arg-type]
    finally:
        Logger.reset()
