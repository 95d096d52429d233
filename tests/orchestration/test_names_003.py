"""Every name that the document of the WordPress swarm shows: commands, keys, values, defaults.

What belongs to the router, which connects several processes, is listed as not there yet.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
import json
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from swarmc.runtime import orchestration
from swarmc.runtime.cli import app
from swarmc.runtime.orchestration.config_file import SwarmConfig, load_config
from swarmc.runtime.orchestration.dispatcher import (
    Dispatcher,
    create_dispatcher,
    create_worker,
)
from swarmc.runtime.orchestration.executors import (
    InternalExecutor,
    ProcessExecutor,
    php_engine,
    powershell_engine,
    rust_injector,
)
from swarmc.runtime.orchestration.logger import Logger
from swarmc.runtime.orchestration.router.client import RouterClient, RouterUnavailableError
from swarmc.runtime.orchestration.router.protocol import Nothing, Status
from swarmc.runtime.orchestration.scheduler import Scheduler
from swarmc.runtime.orchestration.state_manager import StateManager
from swarmc.runtime.orchestration.worker import Worker
from swarmc.runtime.orchestration.workflow import (
    Rollback,
    Symbol,
    SymbolContext,
    SymbolType,
    WorkflowManifest,
    WorkflowResult,
    load_manifest,
)
from swarmc.runtime.orchestration.workflow.schema import Dispatch

from .ports import free_port
from .workflow_document import TOML, YAML

PORT = free_port()  # the document's is 8080
COMMANDS = ("deploy", "status", "config", "start-dispatcher", "start-worker")


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    yield
    Logger.reset()


def swarmc(*args: str, input: str | None = None) -> Any:
    return CliRunner().invoke(app, list(args), input=input)


#: The document's configuration: heartbeats are slower than ours.
CONFIG = """\
[dispatcher]
coordinator_endpoint = "ws://localhost:8080"
state_db_path = "./swarm-state.db"
enable_websocket = true
websocket_port = 8080

[coordinator]
max_workers = 100
heartbeat_interval = 5000
heartbeat_timeout = 15000
task_retry_limit = 3
enable_load_balancing = true
priority_queue_enabled = true

[worker]
node_name = "worker-node-1"
dispatcher_url = "ws://localhost:8080"
heartbeat_interval = 5000
max_concurrent_tasks = 4

[worker.capabilities]
rust = true
php = true
powershell = true

[backends.rust_injector]
enabled = true
binary_path = "../../wp_injector/target/release/wp_injector"
timeout = 30000

[backends.php_engine]
enabled = true
script_path = "../../engine/php/symbolic-engine.php"
php_binary = "php"
timeout = 30000

[backends.powershell_engine]
enabled = true
script_path = "../../SymbolicEngine/core/symbolic.ps1"
pwsh_binary = "pwsh"
timeout = 30000
"""
OUR_HEARTBEATS = {
    ("coordinator", "heartbeat_interval"): 100, ("coordinator", "heartbeat_timeout"): 1500,
    ("worker", "heartbeat_interval"): 100,
}  # fmt: skip
TUNING = [
    "[coordinator]\nmax_workers = 200\nenable_load_balancing = true\n"
    "priority_queue_enabled = true\n[worker]\nmax_concurrent_tasks = 8\n",
    "[coordinator]\nheartbeat_interval = 2000\nheartbeat_timeout = 6000\n"
    "[worker]\nmax_concurrent_tasks = 2\n",
    "[coordinator]\ntask_retry_limit = 5\nheartbeat_timeout = 30000\n"
    "[backends.rust_injector]\ntimeout = 60000\n",
]


# Manifests


def test_the_manifests() -> None:
    Path("my-workflow.yaml").write_text(YAML)
    Path("sample-workflow.toml").write_text(TOML)
    manifest = load_manifest("./my-workflow.yaml")
    assert (manifest.name, manifest.version, manifest.description) == (
        "example-workflow", "1.0.0", "Example symbolic workflow"
    )  # fmt: skip
    assert load_manifest("sample-workflow.toml").symbols == manifest.symbols[:2]
    rollback = manifest.symbols[2].rollback
    assert rollback is not None
    assert (rollback.name, rollback.parameters) == ("rollback_finalize", {"operation": "restore"})


def test_fields_of_symbols() -> None:
    assert list(Symbol.model_fields) == [
        "name", "type", "context", "dispatch", "parameters", "dependencies", "priority",
        "timeout", "retries", "rollback",
    ]  # fmt: skip
    required = [name for name, field in Symbol.model_fields.items() if field.is_required()]
    assert required == ["name", "type"]
    assert set(WorkflowManifest.model_fields) == {"name", "version", "description", "symbols"}
    assert set(Rollback.model_fields) <= set(Symbol.model_fields)


def test_values_of_enums() -> None:
    assert [member.value for member in SymbolType] == [
        "action", "filter", "state", "query", "transform"
    ]  # fmt: skip
    assert [member.value for member in SymbolContext] == [
        "wordpress", "filesystem", "database", "network", "generic"
    ]  # fmt: skip
    documented = {"rust_injector", "php_engine", "powershell_engine", "internal"}
    assert {member.value for member in Dispatch} - documented == {"wasm", "process"}
    for name in documented:
        symbol = Symbol(name="a", type=SymbolType.ACTION, dispatch=name)
        assert symbol.dispatch == name


def test_defaults_of_symbols() -> None:
    symbol = Symbol(name="a", type=SymbolType.ACTION)
    assert (symbol.priority, symbol.timeout, symbol.retries, symbol.rollback) == (0, 30000, 3, None)
    assert (symbol.parameters, symbol.dependencies) == ({}, [])


# Configuration


def test_the_configuration() -> None:
    Path("swarm-config.toml").write_text(CONFIG)
    config = load_config().model_dump(mode="json")
    defaults = SwarmConfig().model_dump(mode="json")
    for section, keys in tomllib.loads(CONFIG).items():
        for key, value in keys.items():
            read, default = config[section][key], defaults[section][key]
            if isinstance(value, dict):
                assert read == default == value, (section, key)
            else:
                assert read == value
                assert default == OUR_HEARTBEATS.get((section, key), value)
    for section in ("dispatcher", "coordinator", "worker"):
        added = {  # ours
            "dispatcher": {"retention", "module_storage_mib"}, "worker": {"module_storage_mib"}
        }.get(section, set[str]())
        assert set(defaults[section]) - added == set(tomllib.loads(CONFIG)[section])


@pytest.mark.parametrize("text", TUNING)
def test_tuning(text: str) -> None:
    Path("c.toml").write_text(text)
    config = load_config("c.toml").model_dump()
    for section, keys in tomllib.loads(text).items():
        for key, value in keys.items():
            if isinstance(value, dict):
                assert value.items() <= config[section][key].items()
            else:
                assert config[section][key] == value


# Commands


def test_commands() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    assert set(COMMANDS) <= set(commands)
    arguments = {
        name: [p.name for p in commands[name].params if p.param_type_name == "argument"]
        for name in COMMANDS
    }
    assert arguments == {
        "deploy": ["manifest", "config"], "status": ["config"], "config": ["output"],
        "start-dispatcher": ["config"], "start-worker": ["config", "name"],
    }  # fmt: skip


def test_generate_configuration() -> None:
    result = swarmc("config", "./production-config.toml")
    assert result.exit_code == 0
    text = Path("production-config.toml").read_text()
    for section in re.findall(r"^\[(.*)\]$", CONFIG, re.MULTILINE):
        assert f"\n[{section}]\n" in text
    for key in re.findall(r"^(\w+) = ", CONFIG, re.MULTILINE):
        assert f"\n{key} = " in text
    swarmc("config")
    assert Path("swarm-config.toml").exists()


def stub(name: str, code: str) -> str:
    path = Path(name)
    path.write_text(f"#!{sys.executable} -S\nimport json, sys\ntask = json.load(sys.stdin)\n{code}")
    path.chmod(0o755)
    return f"./{name}"


def test_deploy_the_example() -> None:
    answer = 'print(json.dumps({task["name"]: task["context"], "given": task["parameters"]}))\n'
    Path("my-config.toml").write_text(
        CONFIG.replace("../../wp_injector/target/release/wp_injector", stub("injector", answer))
        .replace('"php"', f'"{stub("php", answer)}"')
        .replace("../../engine/php/symbolic-engine.php", stub("engine.php", ""))
    )
    Path("my-workflow.yaml").write_text(YAML)
    result = swarmc("deploy", "./my-workflow.yaml", "./my-config.toml")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == "Completed: 3/3"
    piped = swarmc("deploy", "-", "./my-config.toml", "--json", input=YAML)
    symbols = {s["name"]: s["result"] for s in json.loads(piped.stdout)["symbols"]}
    assert symbols["process_data"] == {
        "process_data": "database",
        "given": {"table": "wp_posts", "filter": "status = 'publish'"},
    }
    assert Path("swarm-state.db").exists()


STATUS = """\
Coordinator Status:
  Active nodes: 3
    Idle: 2
    Busy: 1
  Queued tasks: 5
  Running tasks: 3
  Completed tasks: 42
  Failed tasks: 1

Active workflows: 2

State database:
  state: 156 records
  executions: 45 records
  tasks: 48 records
  nodes: 3 records
"""


def test_status_has_these_lines() -> None:
    def without_numbers(text: str) -> str:
        return re.sub(r"\d+", "N", text)

    result = swarmc("status")
    assert result.exit_code == 0
    assert without_numbers(result.stdout) == without_numbers(STATUS)


# From Python


def test_programmatic_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """The document's program, in snake_case."""
    Path("workflow.yaml").write_text(
        "name: w\nsymbols: [{name: a, type: action, parameters: {operation: noop}}]"
    )

    async def program() -> None:
        Logger.configure(level="info", console=True, format="json")
        dispatcher = create_dispatcher({
            "coordinator_endpoint": "ws://localhost:8080",
            "state_db_path": "./swarm.db",
            "enable_websocket": True,
            "websocket_port": PORT,
        })  # fmt: skip
        await dispatcher.start()
        result = await dispatcher.dispatch_from_file("./workflow.yaml")
        print(f"Completed: {result.completed_tasks}/{result.total_tasks}")
        await dispatcher.stop()

    asyncio.run(program())
    assert capsys.readouterr().out == "Completed: 1/1\n"


def test_the_server_answers_clients() -> None:
    async def program() -> Status:
        async with create_dispatcher({
            "enable_websocket": True, "state_db_path": "./swarm.db", "websocket_port": PORT
        }):  # fmt: skip
            return await asyncio.to_thread(ask)

    def ask() -> Status:
        with RouterClient(f"ws://127.0.0.1:{PORT}") as client:
            found: Status = client.call("status", Nothing())
            return found

    status = asyncio.run(program())
    assert (status.swarms, status.clients) == (0, 1)
    with pytest.raises(RouterUnavailableError):
        ask()


def test_names_in_python() -> None:
    for name in ("create_dispatcher", "create_worker", "StateManager", "load_manifest"):
        assert callable(getattr(orchestration, name))
    assert orchestration.Logger is Logger
    for name in ("start", "dispatch_from_file", "stop"):
        assert inspect.iscoroutinefunction(getattr(Dispatcher, name))
    assert isinstance(create_dispatcher(), Dispatcher)
    worker = create_worker(node_name="worker-prod-1")
    assert isinstance(worker, Worker)
    assert worker.name == "worker-prod-1"
    assert list(inspect.signature(Logger.configure).parameters) == ["level", "console", "format"]
    fields = {field.name for field in dataclasses.fields(WorkflowResult)}
    assert {"completed_tasks", "total_tasks"} <= fields | set(dir(WorkflowResult))


def test_back_ends_have_their_names() -> None:
    made = [rust_injector("x"), php_engine("x"), powershell_engine("x")]
    assert [executor.name for executor in made] == [
        "rust_injector", "php_engine", "powershell_engine"
    ]  # fmt: skip
    assert all(isinstance(executor, ProcessExecutor) for executor in made)
    assert [executor.command[0] for executor in made] == ["x", "php", "pwsh"]
    assert InternalExecutor().name == "internal"


def test_state_is_cleaned_up() -> None:
    Path("w.yaml").write_text(
        "name: w\nsymbols: [{name: a, type: action, parameters: {operation: noop}}]"
    )
    with create_dispatcher(state_db_path="./s.db") as dispatcher:
        assert dispatcher.run_file("w.yaml", 30).success
        state_manager = StateManager(dispatcher.store)
        state_manager.set("kept", 1)
        assert state_manager.cleanup(3_600_000).tasks == 0
        cleaned = state_manager.cleanup(older_than_ms=0)
        assert (cleaned.tasks, cleaned.workflows) == (1, 1)
        assert state_manager.get("kept") == 1


def test_retries_and_graceful_shutdown_belong_to_the_scheduler() -> None:
    assert {"cancel", "close", "recover", "wait"} <= set(dir(Scheduler))
