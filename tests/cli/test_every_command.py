"""What all commands have in common: JSON, errors in one line, exit codes, completion."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import Result

from swarmc.runtime.cli import app

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "corpus"

Swarmc = Callable[..., Result]

WORKFLOW = """\
name: w
version: 1.0.0
symbols: [{name: a, type: action, dispatch: internal, parameters: {operation: noop}}]
"""
PIPELINE = json.dumps({"version": "v1", "metadata": {"name": "p"}, "nodes": [
    {"id": "a", "node_type": "python", "function": "builtins:abs"}], "connections": []})
#: Prints one JSON value and ends with this code.
PRINTS: dict[str, tuple[str, int]] = {
    "run": ("run m.wasm --invoke nothing --json", 0),
    "compile": ("compile m.wasm -o m.swarmc --entry-point nothing --json", 0),
    "inspect": ("inspect m.wasm --json", 0),
    "doctor": ("doctor --json", 0),
    "fuzz": ("fuzz --malformed 20 --seed 1 --json -", 0),
    "spec": ("spec some.wast --json -", 0),
    "bench": (f"bench --from {ROOT}/docs/performance.json --json -", 0),
    "cache list": ("cache list --json", 0),
    "cache clear": ("cache clear --json", 0),
    "pipeline check": ("pipeline check p.json --json", 0),
    "pipeline run": ("pipeline run p.json --input items.json --json", 0),
    "deploy": ("deploy w.yaml --json", 0),
    "status": ("status --json", 0),
    "config": ("config written.toml --json", 0),
    "verify": ("verify certificate.json --json", 1),
}
#: Tests of their own look at what these print; they need a router.
ELSEWHERE = {
    "launch": "router/test_router_cli.py",
    "inject": "router/test_router_cli.py", "list": "router/test_router_cli.py",
    "terminate": "router/test_router_cli.py", "start-dispatcher": "router/test_router_cli.py",
    "web": "router/test_router_cli.py", "workers": "cluster/test_workers.py",
    "start-worker": "cluster/test_workers.py",
}  # fmt: skip
CLIENTS = ("launch", "inject", "list", "terminate", "workers")
#: Something that each command refuses, and what it says.
WRONG = {
    "run": ("run none.wasm", "cannot read none.wasm: No such file or directory"),
    "compile": ("compile none.wasm", "cannot read none.wasm: No such file or directory"),
    "inspect": ("inspect none.wasm", "cannot read none.wasm: No such file or directory"),
    "fuzz": ("fuzz --layout oblique", "oblique"),
    "spec": ("spec none", "none"),
    "bench": ("bench --from none.json", "none.json"),
    "cache list": ("cache list", "SWARMC_CACHE_DIR"),
    "cache clear": ("cache clear", "SWARMC_CACHE_DIR"),
    "pipeline check": ("pipeline check none.json", "none.json"),
    "pipeline run": ("pipeline run none.json", "none.json"),
    "deploy": ("deploy none.yaml", "none.yaml"),
    "status": ("status none.toml", "none.toml"),
    "config": ("config w.yaml", "w.yaml is there already; --force overwrites it"),
    "verify": ("verify none.json", "cannot read none.json"),
    "web": ("web --config none.json --no-open", "none.json"),
    "launch": ("launch m.wasm", "no router"), "list": ("list", "no router"),
    "inject": ("inject s --prompt x", "no router"), "terminate": ("terminate s", "no router"),
    "workers": ("workers", "no router"),
    "start-dispatcher": ("start-dispatcher none.toml", "none.toml"),
    "start-worker": ("start-worker none.toml", "none.toml"),
}


def commands(group: Any = None, before: str = "") -> Iterator[tuple[str, Any]]:
    group = typer.main.get_command(app) if group is None else group
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, f"{before}{name} ")
        else:
            yield before + name, command


COMMANDS = dict(commands())


@pytest.fixture
def folder(tmp_path: Path, wasm: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with something for every command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWARMC_ROUTER", raising=False)
    shutil.copy(wasm, "m.wasm")
    Path("w.yaml").write_text(WORKFLOW)
    Path("p.json").write_text(PIPELINE)
    Path("items.json").write_text("[-1, 2]")
    Path("some.wast").write_text('(module (func (export "f"))) (assert_return (invoke "f"))')
    Path("certificate.json").write_text("{}")
    return tmp_path


def test_these_are_all_commands() -> None:
    assert PRINTS.keys() | ELSEWHERE.keys() == COMMANDS.keys()
    assert WRONG.keys() | {"doctor"} == COMMANDS.keys()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_json_and_says_what_it_does(name: str) -> None:
    command = COMMANDS[name]
    options = {option for param in command.params for option in param.opts}
    assert "--json" in options
    assert command.help
    assert all(getattr(param, "help", "") for param in command.params if param.name != "help")


@pytest.mark.parametrize("name", PRINTS)
def test_json_is_all_there_is_on_standard_output(
    name: str, swarmc: Swarmc, folder: Path, tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if name.startswith("cache"):  # not that of the other tests
        monkeypatch.setenv("SWARMC_CACHE_DIR", str(tmp_path_factory.mktemp("own")))
    line, code = PRINTS[name]
    result = swarmc(*shlex.split(line))
    assert result.exit_code == code, result.output
    assert isinstance(json.loads(result.stdout), dict)


def test_what_they_tell(swarmc: Swarmc, folder: Path) -> None:
    def told(line: str) -> Any:
        return json.loads(swarmc(*shlex.split(line)).stdout)

    found = told("inspect m.wasm --json")
    assert (found["kind"], found["functions"], found["problem"]) == ("a library", 8, None)
    assert found["imports"][1] == {
        "module": "wasi_snapshot_preview1", "name": "proc_exit", "type": "(i32) -> ()",
        "provided": True,
    }  # fmt: skip
    assert {"name": "add", "type": "(i32, i32) -> (i32)"} in found["exports"]
    assert found["memories"] == [{"minimum": 1, "maximum": None, "wide": False}]
    assert found["agent"]["largest"] >= found["agent"]["initial"] > 65536
    assert told("compile m.wasm -o m.swarmc --json")["bytes"] == Path("m.swarmc").stat().st_size
    checks = {check["check"]: check["good"] for check in told("doctor --json")["checks"]}
    assert checks["target cpu"] is True and checks["machine"] is True
    assert told("pipeline check p.json --json") == {
        "name": "p", "connections": 0, "nodes": {"a": "python builtins:abs"}, "steps": [["a"]]
    }
    assert "[dispatcher]" in told("config - --json")["configuration"]
    assert [entry["kind"] for entry in told("cache list --json")["entries"]]


@pytest.mark.parametrize("name", WRONG)
def test_errors_are_one_line_and_the_exit_code_is_two(
    name: str, swarmc: Swarmc, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name.startswith("cache"):
        monkeypatch.delenv("SWARMC_CACHE_DIR")
        monkeypatch.delenv("HOME")
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    if name in CLIENTS:
        monkeypatch.setenv("SWARMC_ROUTER", "ws://127.0.0.1:1")  # where nobody listens
    line, message = WRONG[name]
    result = swarmc(*shlex.split(line))
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(r"swarmc: error: [^\n]+\n", result.stderr), result.stderr
    assert message in result.stderr


def test_exit_codes_are_documented() -> None:
    text = (ROOT / "docs" / "cli.md").read_text()
    assert re.findall(r"^\| (\d+) \|", text, re.MULTILINE) == ["0", "1", "2", "130"]


# Completion: by the shell itself, as it was installed


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command as pip installs it, in a folder of its own."""
    path = tmp_path_factory.mktemp("bin") / "swarmc"
    path.write_text(f"#!{sys.executable}\nimport sys\nfrom swarmc.runtime.cli import main\n"
                    "sys.exit(main())\n")  # fmt: skip
    path.chmod(0o755)
    return path


def ask(program: Path, shell: str, **environment: str) -> str:
    """What completion prints; ``source`` as the shell reads it."""
    done = subprocess.run(
        [str(program)], capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "_SWARMC_COMPLETE": shell, **environment},
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout


BASH = """
shopt -s progcomp
PATH={path}:$PATH
eval "$(_SWARMC_COMPLETE=source_bash swarmc)"
complete -p swarmc
while read -r line; do
    COMP_WORDS=($line "") COMP_CWORD=${{#COMP_WORDS[@]}} COMPREPLY=()
    [[ $line == *"|" ]] && COMP_WORDS=(${{line%|}})
    COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
    _swarmc_completion swarmc
    echo "$line: ${{COMPREPLY[*]}}"
done
"""


def test_completion_in_bash(program: Path, tmp_path: Path) -> None:
    if shutil.which("bash") is None:
        pytest.skip("there is no bash")
    lines = ["swarmc st|", "swarmc run m.wasm --inv|", "swarmc run --target", "swarmc run m|",
             "swarmc pipeline"]  # fmt: skip
    done = subprocess.run(
        ["bash", "--norc", "-c", BASH.format(path=program.parent)], text=True, timeout=120,
        input="".join(f"{line}\n" for line in lines), capture_output=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    how, *found = done.stdout.splitlines()
    assert how == "complete -o default -F _swarmc_completion swarmc"  # default: names of files
    told = dict(line.split(": ", 1) for line in found)
    assert set(told["swarmc st|"].split()) == {"status", "start-dispatcher", "start-worker"}
    assert told["swarmc run m.wasm --inv|"] == "--invoke"
    assert told["swarmc run --target"] == "cpu cuda ptx"
    assert told["swarmc pipeline"] == "run check"
    assert told["swarmc run m|"] == ""  # so that bash looks at files


def test_completion_in_zsh_and_fish(program: Path) -> None:
    assert "compdef _swarmc_completion swarmc" in ask(program, "source_zsh")
    words = ask(program, "complete_zsh", _TYPER_COMPLETE_ARGS="swarmc sta")
    assert words.startswith("_arguments") and '"start-dispatcher"' in words
    assert ask(program, "complete_zsh", _TYPER_COMPLETE_ARGS="swarmc run m") == "_files\n"
    assert ask(program, "source_fish").startswith("complete --command swarmc ")
    fish = {"_TYPER_COMPLETE_FISH_ACTION": "get-args", "_TYPER_COMPLETE_ARGS": "swarmc run --inv"}
    assert ask(program, "complete_fish", **fish).startswith("--invoke\tExported function")


def test_completion_can_be_installed(program: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [str(program), "--install-completion", "bash"], text=True, capture_output=True, timeout=60,
        env={**os.environ, "HOME": str(tmp_path),
             "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1"}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (script,) = tmp_path.glob(".bash_completions/swarmc.sh")
    assert f"source '{script}'" in (tmp_path / ".bashrc").read_text()
    assert "_swarmc_completion" in script.read_text()
