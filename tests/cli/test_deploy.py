"""``swarmc deploy``, ``status`` and ``config`` as a user types them."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import wasmtime
from rich.console import Console
from typer.testing import CliRunner, Result

from swarmc.runtime.cli import app
from swarmc.runtime.cli_deploy_live import live_table
from swarmc.runtime.orchestration.config_file import SwarmConfig, load_config
from swarmc.runtime.orchestration.logger import Logger
from swarmc.runtime.orchestration.tasks import TaskState
from swarmc.runtime.orchestration.workflow import SymbolResult, WorkflowResult, WorkflowState

Swarmc = Callable[..., Result]
SECONDS = 180.0

GOOD = """\
name: good
description: what there is to do
symbols:
  - {name: fetch, type: query, parameters: {operation: echo, value: [1, 2]}}
  - name: keep
    type: state
    dependencies: [fetch]
    priority: 3
    parameters: {operation: set_state, key: kept}
    rollback: {name: forget, type: state, parameters: {operation: delete_state, key: kept}}
"""
BAD = GOOD.replace("good", "bad") + """\
  - {name: publish, type: action, dependencies: [keep], retries: 1,
     parameters: {operation: fail, message: no luck}}
  - {name: after, type: action, dependencies: [publish], parameters: {operation: noop}}
"""
SLOW = """\
name: slow
symbols:
  - name: wait
    type: action
    parameters: {operation: sleep, milliseconds: 60000}
    timeout: 90000
    rollback: {name: tidy, type: action, parameters: {operation: set_state, key: tidied, value: 1}}
"""


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    for name, text in (("good.yaml", GOOD), ("bad.yaml", BAD), ("slow.yaml", SLOW)):
        Path(name).write_text(text)
    yield
    Logger.reset()


def test_a_workflow_that_completes(swarmc: Swarmc) -> None:
    result = swarmc("deploy", "good.yaml")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("good 1.0.0: completed (run-")
    assert [line.split()[:3] for line in lines[1:3]] == [
        ["completed", "fetch", "internal"], ["completed", "keep", "internal"]
    ]  # fmt: skip
    assert lines[3:] == ["Completed: 2/2"]
    assert Path("swarm-state.db").exists()


def test_a_workflow_that_fails(swarmc: Swarmc) -> None:
    result = swarmc("deploy", "bad.yaml")
    assert result.exit_code == 1
    assert "bad 1.0.0: failed and rolled back" in result.stdout
    assert "2 attempts  no luck" in result.stdout
    assert "cancelled  after" in result.stdout
    assert "completed  forget (rollback of keep)" in result.stdout
    assert result.stdout.splitlines()[-2:] == ["Error: publish failed: no luck", "Completed: 2/4"]


def test_from_standard_input_as_json(swarmc: Swarmc) -> None:
    done = CliRunner().invoke(app, ["deploy", "-", "--json"], input=GOOD)
    assert done.exit_code == 0, done.output
    data = json.loads(done.stdout)
    assert (data["state"], data["completed_tasks"], data["total_tasks"]) == ("completed", 2, 2)
    assert data["symbols"][1]["result"] == {"fetch": [1, 2]}
    toml = 'name = "t"\n[[symbols]]\nname = "a"\ntype = "action"\nparameters.operation = "noop"\n'
    for options in ([], ["--format", "toml"]):
        done = CliRunner().invoke(app, ["deploy", "-", *options], input=toml)
        assert done.exit_code == 0, done.output


def test_every_mistake_is_shown(swarmc: Swarmc) -> None:
    Path("wrong.yaml").write_text("name: x\nsymbols:\n  - {nam: a, type: acton}\n")
    result = swarmc("deploy", "wrong.yaml")
    assert result.exit_code == 2
    assert result.stderr.splitlines() == [
        "swarmc: error: wrong.yaml has 3 mistakes:",
        "wrong.yaml:3:5: 'name' is missing in symbols[0]",
        "wrong.yaml:3:6: unknown key 'nam': did you mean name?",
        "wrong.yaml:3:20: symbols[0].type must be one of action, filter, state, query, transform,"
        " not 'acton': did you mean action?",
    ]
    assert not Path("swarm-state.db").exists()


def test_a_dry_run_prints_the_plan(swarmc: Swarmc) -> None:
    result = swarmc("deploy", "bad.yaml", "--dry-run")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "bad 1.0.0: 4 symbols",
        "what there is to do",
        "step 1",
        "  fetch    internal  query, generic   priority 0  timeout 30,000 ms  3 retries",
        "step 2",
        "  keep     internal  state, generic   priority 3  timeout 30,000 ms  3 retries"
        "  after fetch    rollback forget (internal)",
        "step 3",
        "  publish  internal  action, generic  priority 0  timeout 30,000 ms  1 retry  "
        "  after keep",
        "step 4",
        "  after    internal  action, generic  priority 0  timeout 30,000 ms  3 retries"
        "  after publish",
        "rollback order: keep",
    ]
    assert not Path("swarm-state.db").exists()
    plan = json.loads(swarmc("deploy", "bad.yaml", "--dry-run", "--json").stdout)
    assert plan["steps"] == [["fetch"], ["keep"], ["publish"], ["after"]]
    assert plan["rollback_order"] == ["keep"]


def test_missing_back_ends(swarmc: Swarmc) -> None:
    text = "name: x\nsymbols:\n  - {name: a, type: action, dispatch: rust_injector}\n"
    Path("rust.yaml").write_text(text)
    expected = (
        "rust_injector cannot run: there is no program ../../wp_injector/target/release/"
        "wp_injector; set backends.rust_injector.binary_path\n"
    )
    result = swarmc("deploy", "rust.yaml")
    assert (result.exit_code, result.stderr) == (2, f"swarmc: error: {expected}")
    dry = swarmc("deploy", "rust.yaml", "--dry-run")
    assert (dry.exit_code, dry.stderr) == (2, f"swarmc: {expected}")


@pytest.mark.parametrize(
    ("dispatch", "parameters", "problem"),
    [
        ("wasm", "{module: none.wasm}", "cannot read none.wasm: No such file or directory"),
        ("wasm", "{module: good.yaml}", "magic header not detected"),
        ("wasm", "{module: invalid.wasm}", "type mismatch"),
        ("wasm", "{module: lib.wasm, entry_point: ad}", "exports no function 'ad'; it exports add"),
        ("wasm", "{module: lib.wasm}", "no entry point was chosen"),
        ("wasm", "{module: needy.wasm}", "imports env.magic, which nobody provides"),
        ("wasm", "{module: lib.wasm, entry_point: add, args: [1]}", "add takes 2 arguments, not 1"),
        ("wasm", "{module: lib.wasm, entry_point: add, args: [[1, 2], [3, 4]], agents: 3}",
         "there are 2 rows of arguments for 3 agents"),
        ("wasm", "{module: lib.wasm, entrypoint: add}", "has no parameter 'entrypoint': did you"),
        ("wasm", "{module: lib.wasm, entry_point: add, fuel: 0}", "fuel of a must be positive"),
        ("wasm", "{}", "needs one of the parameters 'module'"),
        ("internal", "{}", "names no operation"),
        ("internal", "{operation: ecko}", "no internal operation 'ecko': did you mean echo?"),
        ("internal", "{operation: sleep}", "needs the parameter 'milliseconds'"),
        ("internal", "{operation: sleep, milliseconds: x}", "must be int or float, not 'x'"),
        ("internal", "{operation: get_state, key: k, defalt: 1}", "no parameter 'defalt': did you"),
    ],
)  # fmt: skip
def test_a_dry_run_looks_into_symbols(
    swarmc: Swarmc, dispatch: str, parameters: str, problem: str
) -> None:
    for name, wat in (
        ("lib", '(func (export "add") (param i32 i32) (result i32) local.get 0)'
                '(func (export "nothing"))'),
        ("needy", '(import "env" "magic" (func)) (func (export "run"))'),
    ):  # fmt: skip
        Path(f"{name}.wasm").write_bytes(wasmtime.wat2wasm(f"(module {wat})"))
    valid = wasmtime.wat2wasm('(module (func (export "f") (result i32) i32.const 7))')
    Path("invalid.wasm").write_bytes(valid.replace(b"\x41\x07", b"\x01\x01"))  # two nops instead
    symbol = f"type: action, dispatch: {dispatch}, parameters: {parameters}"
    Path("w.yaml").write_text(
        f"name: w\nsymbols:\n  - {{name: a, {symbol}}}\n"
        "  - {name: b, type: action, parameters: {operation: noop}, dependencies: [a],\n"
        f"     rollback: {{name: undo, {symbol}}}}}\n"
    )
    dry = swarmc("deploy", "w.yaml", "--dry-run")
    first, second = dry.stderr.splitlines()
    assert dry.exit_code == 2 and "step 2" in dry.stdout
    assert first.startswith("swarmc: symbol a: ") and problem in first
    assert second.startswith("swarmc: symbol b (rollback undo): ")
    told = swarmc("deploy", "w.yaml", "--dry-run", "--json")
    assert told.exit_code == 2
    assert problem in json.loads(told.stdout)["symbols"]["a"]
    assert not Path("swarm-state.db").exists()


def test_a_dry_run_of_a_module_that_is_right(swarmc: Swarmc) -> None:
    Path("lib.wasm").write_bytes(wasmtime.wat2wasm(
        '(module (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))'
        ' (func (export "add") (param i32 i32) (result i32) local.get 0))'
    ))  # fmt: skip
    parameters = "{module: lib.wasm, entry_point: add, args: [[1, 2], [3, 4]], agents: 2}"
    Path("w.yaml").write_text(
        "name: w\nsymbols:\n  - {name: a, type: action, dispatch: wasm, parameters: "
        f"{parameters}}}\n"
    )
    dry = swarmc("deploy", "w.yaml", "--dry-run")
    assert (dry.exit_code, dry.stderr) == (0, "")
    ran = swarmc("deploy", "w.yaml", "--json")  # what is said to be right, is
    assert json.loads(ran.stdout)["symbols"][0]["result"]["result"] == [1, 3]


def test_wrong_options(swarmc: Swarmc) -> None:
    assert "there is no manifest" in swarmc("deploy").stderr
    assert "--resume takes no manifest" in swarmc("deploy", "good.yaml", "c", "--resume").stderr
    missing = swarmc("deploy", "good.yaml", "none.toml")
    assert missing.stderr == (
        "swarmc: error: none.toml: cannot be read: No such file or directory\n"
    )
    nothing = swarmc("deploy", "--resume")
    assert (nothing.exit_code, nothing.stderr) == (0, "swarmc: every run has ended\n")


def test_status(swarmc: Swarmc) -> None:
    before = swarmc("status")
    assert before.exit_code == 0
    assert "  tasks: 0 records" in before.stdout
    assert "there is no state database swarm-state.db yet" in before.stderr
    swarmc("deploy", "good.yaml")
    swarmc("deploy", "bad.yaml")
    assert swarmc("status").stdout == """\
Coordinator Status:
  Active nodes: 0
    Idle: 0
    Busy: 0
  Queued tasks: 0
  Running tasks: 0
  Completed tasks: 5
  Failed tasks: 1

Active workflows: 0

State database:
  state: 0 records
  executions: 7 records
  tasks: 7 records
  nodes: 1 records
"""
    data = json.loads(swarmc("status", "--json").stdout)
    assert data["coordinator"]["completed_tasks"] == 5


def test_tasks_are_listed(swarmc: Swarmc) -> None:
    before = swarmc("status", "--tasks")
    assert (before.exit_code, before.stdout) == (0, "")
    assert "there is no state database swarm-state.db yet" in before.stderr
    swarmc("deploy", "good.yaml")
    assert swarmc("status", "--state", "failed").stdout == "no tasks that are failed\n"
    swarmc("deploy", "bad.yaml")
    data = json.loads(swarmc("status", "--tasks", "--json").stdout)
    assert (len(data["tasks"]), data["more"], data["router"]) == (7, False, None)
    (failed,) = json.loads(swarmc("status", "--state", "failed", "--json").stdout)["tasks"]
    assert failed in data["tasks"]
    assert failed["error"]
    assert failed["task_id"].startswith(failed["workflow_id"] + "/")
    told = swarmc("status", "--tasks", "--limit", "2")
    heads, *rows = told.stdout.splitlines()
    assert heads.split() == ["task", "state", "attempts", "worker", "name", "error"]
    assert [row.split()[0] for row in rows] == [task["task_id"] for task in data["tasks"][:2]]
    assert told.stderr == "swarmc: these are the latest 2; --limit shows more\n"
    assert swarmc("status", "--state", "lost").exit_code == 2


def test_config(swarmc: Swarmc) -> None:
    made = swarmc("config")
    assert (made.exit_code, made.stdout) == (0, "wrote swarm-config.toml\n")
    assert load_config().model_dump() == SwarmConfig().model_dump()
    again = swarmc("config")
    assert again.exit_code == 2
    assert "swarm-config.toml is there already; --force overwrites it" in again.stderr
    assert swarmc("config", "--force").exit_code == 0
    assert swarmc("config", "-").stdout == Path("swarm-config.toml").read_text()
    assert swarmc("config", "other/x.toml").exit_code == 2
    Path("mine.toml").write_text('[dispatcher]\nstate_db_path = "mine.db"\n')
    assert swarmc("deploy", "good.yaml", "mine.toml").exit_code == 0
    assert Path("mine.db").exists()
    assert "  tasks: 2 records" in swarmc("status", "mine.toml").stdout


def start(*args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "swarmc", *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def until_shown(swarmc: Swarmc, line: str) -> None:
    """Wait until ``swarmc status`` has a line."""
    end = time.monotonic() + SECONDS
    while line not in swarmc("status").stdout:
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_rolls_back(swarmc: Swarmc, number: int) -> None:
    process = start("deploy", "slow.yaml")
    until_shown(swarmc, "Running tasks: 1")
    assert "    Busy: 1" in swarmc("status").stdout
    refused = swarmc("deploy", "good.yaml")
    assert refused.exit_code == 2
    assert "is open for writing in process" in refused.stderr
    process.send_signal(number)
    output, errors = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, errors
    assert "interrupted: stopping and rolling back" in errors
    assert "slow 1.0.0: failed and rolled back" in output
    assert "Error: interrupted" in output


def test_killing_and_resuming(swarmc: Swarmc) -> None:
    process = start("deploy", "slow.yaml")
    until_shown(swarmc, "Running tasks: 1")
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=SECONDS)
    status = swarmc("status")
    assert "Active nodes: 0" in status.stdout
    assert "Active workflows: 1" in status.stdout
    assert "`swarmc deploy --resume` goes on" in status.stderr
    other = swarmc("deploy", "good.yaml")
    assert other.exit_code == 0
    assert "1 earlier runs have not ended" in other.stderr
    resumed = start("deploy", "--resume")
    until_shown(swarmc, "executions: 4 records")
    resumed.send_signal(signal.SIGINT)
    output, errors = resumed.communicate(timeout=SECONDS)
    assert resumed.returncode == 130, errors
    assert "slow 1.0.0: failed and rolled back" in output


def test_a_second_interrupt_leaves_it(swarmc: Swarmc) -> None:
    stuck = SLOW.replace("set_state, key: tidied, value: 1}", "sleep, milliseconds: 60000}, "
                         "timeout: 90000")  # fmt: skip
    Path("stuck.yaml").write_text(stuck)
    process = start("deploy", "stuck.yaml", "--json")
    until_shown(swarmc, "Running tasks: 1")
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert "stopping and rolling back; Ctrl-C again leaves it" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=SECONDS)
    assert (process.returncode, output) == (130, "")
    assert errors == "swarmc: left; `swarmc deploy --resume` goes on with it\n"
    assert "Active workflows: 1" in swarmc("status").stdout


def test_one_interrupt_stops_all_that_were_resumed(swarmc: Swarmc) -> None:
    for count in (1, 2):
        process = start("deploy", "slow.yaml")
        until_shown(swarmc, f"Active workflows: {count}")
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=SECONDS)
    resumed = start("deploy", "--resume")
    until_shown(swarmc, "executions: 4 records")  # two of them by this process
    resumed.send_signal(signal.SIGINT)
    output, errors = resumed.communicate(timeout=SECONDS)
    assert resumed.returncode == 130, errors
    assert output.count("slow 1.0.0: failed and rolled back") == 2
    assert errors.count("interrupted") == 1


def test_the_live_view() -> None:
    symbols = {
        "a": SymbolResult("a", "wasm", TaskState.COMPLETED, 1, 5, None, 0.25),
        "b": SymbolResult("b", "php_engine", TaskState.FAILED, 2, None, "no luck\nmore"),
    }
    rollbacks = {"a": SymbolResult("undo", "internal", TaskState.RUNNING, 1)}
    result = WorkflowResult("r", "w", "1", WorkflowState.ROLLING_BACK, None, symbols, rollbacks)
    screen = Console(file=io.StringIO(), force_terminal=True, width=100)
    with live_table(result, screen) as view:
        view.show(result)
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    for shown in ("w 1: rolling back, 1/2", "php_engine", "250", "no luck", "undo (rollback of a)"):
        assert shown in text
    assert "more" not in text
