"""The commands as a user types them."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from swarmc import __version__
from swarmc.runtime import SwarmManager
from swarmc.runtime.wasi.table import PREVIEW1
from swarmc.targets.executable import MAGIC

Swarmc = Callable[..., Result]

CORPUS = Path(__file__).resolve().parents[2] / "corpus"


def text_of(result: Result) -> str:
    """Output without the frames of tables."""
    return " ".join(result.output.split())


def test_rounds_carry_messages(swarmc: Swarmc) -> None:
    election = str(CORPUS / "swarm" / "election.wasm")
    done = swarmc("run", election, "--agents", "3", "--rounds", "5", "--mailbox-size", "1KiB")
    assert done.exit_code == 0, done.output
    shown = text_of(done)
    assert "election.wasm: _start (round 1 of 5)" in shown and "0 is a candidate" in shown
    assert shown.count("messages 6 sent, 0 received") == 1
    last = shown[shown.index("round 5 of 5") :]
    assert last.count("2 is the leader") == 2 and "messages 4 sent, 4 received" in last
    done = swarmc("run", election, "--agents", "3", "--rounds", "2", "--json")
    lines = [json.loads(line) for line in done.output.splitlines()]
    assert [(line["round"], line["mail"]["received"]) for line in lines] == [(1, 0), (2, 6)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--rounds", "0"), "--rounds takes a number from 1, not 0"),
        (("--rounds", "2", "--csv", "x"), "--rounds and --csv exclude each other"),
        (("--rounds", "2", "--at-a-time", "1"), "--rounds and --at-a-time exclude each other"),
        (("--at-a-time", "1", "--agents", "2"), "exchange messages cannot run in waves"),
        (("--mailbox-size", "1"), "mailbox_size must be an integer from 8"),
    ],
)
def test_rounds_that_cannot_be(swarmc: Swarmc, options: tuple[str, ...], message: str) -> None:
    done = swarmc("run", str(CORPUS / "swarm" / "election.wasm"), *options)
    assert (done.exit_code, message in text_of(done)) == (2, True), done.output


def test_host_calls_are_shown(swarmc: Swarmc) -> None:
    hello = str(CORPUS / "hello.wasm")
    done = swarmc("run", hello, "--agents", "2", "--trace-host-calls", "4")
    shown = text_of(done)
    assert done.exit_code == 0 and "host calls of agent 0" in shown and "… 1 more" in shown
    assert "fd_write(1, 65472, 2, 65468) = success" in shown and "host calls 10" in shown
    done = swarmc("run", hello, "--json", "--trace-host-calls", "2")
    (agent,) = json.loads(done.output)["agents"]
    assert agent["host_call_count"] == 5
    assert [call["name"] for call in agent["host_calls"]] == ["args_sizes_get", "args_get"]
    done = swarmc("run", str(CORPUS / "lib.wasm"), "--invoke", "count", "--trace-host-calls", "2")
    assert "host calls of agent 0" in done.output and "host calls 0" in text_of(done)
    done = swarmc("run", hello, "--trace-host-calls", "some")
    assert done.exit_code == 2 and "--trace-host-calls" in done.output


def test_help_needs_no_compiler() -> None:
    script = (
        "import sys\n"
        "from swarmc.runtime.cli import main\n"
        "sys.argv = ['swarmc', '--help']\n"
        "code = main()\n"
        "print([m for m in ('numba', 'llvmlite', 'numpy') if m in sys.modules])\n"
        "sys.exit(code)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith("[]")
    assert "swarm of isolated agents" in done.stdout


def test_version(swarmc: Swarmc) -> None:
    assert swarmc("--version").output == f"swarmc {__version__}\n"


def test_table(swarmc: Swarmc, wasm: Path) -> None:
    result = swarmc("run", wasm, "--invoke", "add", "--args", "{id*10} 1", "-n", 12)
    text = text_of(result)
    assert result.exit_code == 0, result.output
    assert "module.wasm: add" in text
    assert "result (i32)" in text
    assert "9 returned 91 4" in text
    assert "… 2 more" in text
    assert "12: 12 returned" in text


def test_waves(swarmc: Swarmc, wasm: Path) -> None:
    outputs = []
    for option in ((), ("--at-a-time", 7), ("--at-a-time", "1e3")):
        result = swarmc(
            "run", wasm, "--invoke", "divide", "--args", "100 {id%10}", "-n", 40, "--json", *option
        )
        assert result.exit_code == 1, result.output
        outputs.append(json.loads(result.output)["agents"])
    assert len(outputs[0]) == 40 and outputs[0] == outputs[1] == outputs[2]


def test_json(swarmc: Swarmc, wasm: Path) -> None:
    result = swarmc("run", wasm, "--invoke", "swap", "--args", "-1,{id}", "-n", 3, "--json")
    found = json.loads(result.output)
    assert found["entry_point"] == "swap"
    assert found["summary"]["returned"] == 3
    assert [agent["result"] for agent in found["agents"]] == [[0, -1], [1, -1], [2, -1]]


def test_csv(swarmc: Swarmc, wasm: Path) -> None:
    result = swarmc("run", wasm, "--invoke", "divide", "--args", "6,{id}", "-n", 3, "--csv", "-")
    assert result.exit_code == 1
    rows = list(csv.DictReader(io.StringIO(result.output)))
    assert [row["ended"] for row in rows] == ["trapped", "returned", "returned"]
    assert [row["result"] for row in rows] == ["", "6", "3"]
    assert [row["trap"] for row in rows] == ["integer_divide_by_zero", "", ""]
    assert [row["function"] for row in rows] == ["divide", "", ""]


def test_floats_are_printed_as_short_as_they_can_be(swarmc: Swarmc, wasm: Path) -> None:
    result = swarmc("run", wasm, "--invoke", "half", "--args", "1")
    assert "0.33333334" in result.output


def test_args_file(swarmc: Swarmc, wasm: Path, tmp_path: Path) -> None:
    rows = tmp_path / "rows.csv"
    rows.write_text("left,right\n1,2\n3,0x10\n-5,5\n")
    result = swarmc("run", wasm, "--invoke", "add", "--args-file", rows, "--json")
    assert [agent["result"] for agent in json.loads(result.output)["agents"]] == [3, 19, 0]
    fewer = swarmc("run", wasm, "--invoke", "add", "--args-file", rows, "--json", "-n", 2)
    assert len(json.loads(fewer.output)["agents"]) == 2
    more = swarmc("run", wasm, "--invoke", "add", "--args-file", rows, "-n", 4)
    assert more.exit_code == 2
    assert "--args-file: 3 for 4 agents" in more.output


def test_traps_are_counted_by_kind(swarmc: Swarmc, wasm: Path) -> None:
    result = swarmc("run", wasm, "--invoke", "divide", "--args", "1,{id%2}", "-n", 10)
    assert result.exit_code == 1
    assert "5 integer divide by zero (in function divide, at byte 0x" in text_of(result)
    assert "10: 5 returned, 5 trapped" in text_of(result)


def test_exit_codes_of_agents(swarmc: Swarmc, wasm: Path) -> None:
    assert swarmc("run", wasm, "--invoke", "exit", "--args", "0").exit_code == 0
    failed = swarmc("run", wasm, "--invoke", "exit", "--args", "{id}", "-n", 3)
    assert failed.exit_code == 1
    assert "3: 3 exited (2 with another code than 0)" in text_of(failed)


def test_all_reports_agree_on_how_agents_ended(swarmc: Swarmc, tmp_path: Path) -> None:
    wat = tmp_path / "command.wat"
    wat.write_text('(module (func (export "_start")))')
    found = json.loads(swarmc("run", wat, "-n", 2, "--json").output)
    assert (found["summary"]["exited"], found["summary"]["returned"]) == (2, 0)
    assert [(a["status"], a["exit_code"]) for a in found["agents"]] == [("exited", 0)] * 2
    rows = csv.DictReader(io.StringIO(swarmc("run", wat, "-n", 2, "--csv", "-").output))
    assert [(row["ended"], row["exit_code"]) for row in rows] == [("exited", "0")] * 2
    assert "2: 2 exited with 0" in text_of(swarmc("run", wat, "-n", 2))


def test_fuel(swarmc: Swarmc, wasm: Path) -> None:
    result = swarmc("run", wasm, "--invoke", "forever", "--fuel", "1e4")
    assert result.exit_code == 1
    assert "trap: out of fuel" in text_of(result)


def test_programs_cannot_write_to_the_terminal(swarmc: Swarmc, wasm: Path) -> None:
    result = swarmc("run", wasm, "--invoke", "escape")
    assert result.exit_code == 0
    assert "\\x10\\x1b[2Jevil" in result.output
    assert "\x1b" not in result.output


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--invoke", "nope"], "no function 'nope'; it exports add,"),
        ([], "not exactly one exported function; give --invoke, one of: add,"),
        (["--invoke", "add"], "add takes 2 arguments (i32, i32), got 0; --args"),
        (["--invoke", "add", "--args", "1"], "add takes 2 arguments (i32, i32), got 1; --args"),
        (["--invoke", "add", "--args", "1,x"], "argument 1 of add is i32: 'x' is not an integer"),
        (["--invoke", "add", "--args", "1,4294967296"], "out of the range of i32"),
        (["--invoke", "nothing", "--args", "1"], "nothing takes no arguments, got 1"),
        (["--invoke", "nothing", "--env", "A"], "--env takes KEY=VALUE"),
        (["--invoke", "nothing", "-n", "0"], "--agents takes a number from 1"),
        (["--invoke", "nothing", "--stdin", "a", "--stdin-lines", "b"], "exclude each other"),
        (["--invoke", "nothing", "--stdin", "/nowhere/x"], "cannot read /nowhere/x"),
        (["--invoke", "nothing", "--csv", "/nowhere/x"], "cannot write /nowhere/x"),
        (["--invoke", "nothing", "--output-size", "big"], "--output-size takes a size"),
        (["--invoke", "nothing", "--", "word"], "takes no arguments from its command line"),
        (["--bogus"], "No such option"),
    ],
)
def test_mistakes(
    swarmc: Swarmc, wasm: Path, args: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "--csv" not in args:  # all but this is found before anything is compiled
        monkeypatch.delattr(SwarmManager, "load_bytecode")
    result = swarmc("run", wasm, *args)
    assert result.exit_code == 2
    assert message in text_of(result)
    assert "Traceback" not in result.output


def test_files_that_are_no_programs(swarmc: Swarmc, tmp_path: Path) -> None:
    assert "cannot read" in swarmc("run", tmp_path / "none.wasm").output
    wrong = tmp_path / "wrong.wasm"
    wrong.write_bytes(b"hello")
    result = swarmc("run", wrong)
    assert result.exit_code == 2
    assert f"{wrong}: magic header not detected" in result.output
    wrong = tmp_path / "wrong.wat"
    wrong.write_text("(module (func")
    assert swarmc("run", wrong).exit_code == 2
    wrong = tmp_path / "wrong.swarmc"
    wrong.write_bytes(MAGIC + bytes(100))
    result = swarmc("run", wrong)
    assert result.exit_code == 2
    assert "damaged" in result.output


def test_missing_imports(swarmc: Swarmc, tmp_path: Path) -> None:
    wat = tmp_path / "imports.wat"
    wat.write_text(
        '(module (import "env" "draw" (func (param i32))) (import "env" "log" (func $log))'
        ' (func (export "quiet")) (func (export "loud") call $log))'
    )
    refused = swarmc("run", wat, "--invoke", "quiet")
    assert refused.exit_code == 2
    assert "draw" in refused.output and "log" in refused.output
    assert "--missing-imports trap" in refused.output
    assert swarmc("run", wat, "--invoke", "quiet", "--missing-imports", "trap").exit_code == 0
    loud = swarmc("run", wat, "--invoke", "loud", "--missing-imports", "trap")
    assert loud.exit_code == 1
    assert "missing import called" in text_of(loud)
    inspected = text_of(swarmc("inspect", wat))
    assert "env.draw (i32) -> () no" in inspected


def test_wat_and_compiled_programs_run(swarmc: Swarmc, wat: Path, tmp_path: Path) -> None:
    compiled = tmp_path / "module.swarmc"
    done = swarmc("compile", wat, "-o", compiled)
    assert done.exit_code == 0, done.output
    for file in (wat, compiled):
        result = swarmc("run", file, "--invoke", "add", "--args", "40 2", "--json")
        assert json.loads(result.output)["agents"][0]["result"] == 42
    assert swarmc("inspect", compiled).exit_code == 2


def test_compiled_programs_refuse_options_of_compilation(
    swarmc: Swarmc, wat: Path, tmp_path: Path
) -> None:
    compiled = tmp_path / "module.swarmc"
    assert swarmc("compile", wat, "-o", compiled, "--call-depth", 5).exit_code == 0
    run = ("run", compiled, "--invoke", "nothing")
    assert swarmc(*run).exit_code == 0
    for option, value in (
        ("--call-depth", 2048), ("--opt-level", 0), ("--max-memory", "1MiB"),
        ("--missing-imports", "error"),
    ):  # fmt: skip
        result = swarmc(*run, option, value)
        assert result.exit_code == 2
        assert f"is compiled already: {option} would change nothing" in text_of(result)


@pytest.mark.parametrize(
    ("stage", "expected"),
    [("wat", "(module"), ("ir", "iadd"), ("llvm", "define"), ("asm", "swarm_worker")],
)
def test_stages(
    swarmc: Swarmc, wasm: Path, tmp_path: Path, stage: str, expected: str
) -> None:
    printed = swarmc("compile", wasm, "--emit", stage)
    assert printed.exit_code == 0, printed.output
    assert expected in printed.output
    swarmc("compile", wasm, "--emit", stage, "-o", tmp_path / "text")
    assert (tmp_path / "text").read_text() == printed.output


def test_text_of_an_invalid_module(swarmc: Swarmc, tmp_path: Path) -> None:
    invalid = tmp_path / "invalid.wasm"  # its only function has a type that there is not
    invalid.write_bytes(b"\0asm\1\0\0\0\3\2\1\5\x0a\4\1\2\0\x0b")
    for stage in ("wat", "ir"):
        result = swarmc("compile", invalid, "--emit", stage)
        assert result.exit_code == 2
        assert f"{invalid}: unknown type" in result.output


def test_inspect(swarmc: Swarmc, wasm: Path) -> None:
    text = text_of(swarmc("inspect", wasm))
    for expected in (
        "a library", "multi-value", "1 pages (64.0 KiB), grows without limit",
        f"{PREVIEW1}.proc_exit (i32) -> () yes", "swap (i32, i64) -> (i64, i32)",
        "level global mut i32", "fit in the",
    ):  # fmt: skip
        assert expected in text


def test_cache(swarmc: Swarmc, wasm: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SWARMC_CACHE_DIR", str(tmp_path / "cache"))
    assert "0 entries" in swarmc("cache", "list").output
    swarmc("run", wasm, "--invoke", "nothing", "--no-cache")
    assert "0 entries" in swarmc("cache", "list").output
    swarmc("run", wasm, "--invoke", "nothing")
    listed = swarmc("cache", "list").output
    assert "program" in listed
    assert "removed" in swarmc("cache", "clear").output
    assert "0 entries" in swarmc("cache", "list").output


def test_doctor(swarmc: Swarmc) -> None:
    result = swarmc("doctor")
    assert result.exit_code == 0, result.output
    assert "ran 1000 agents" in result.output
    assert "gpu" in result.output
    assert "ptxas" in result.output and "nvdisasm" in result.output


def test_many_inputs(swarmc: Swarmc, tmp_path: Path) -> None:
    corpus = Path(__file__).resolve().parents[2] / "corpus"
    lines = tmp_path / "lines"
    lines.write_text("".join(f"word {n}\n" for n in range(300)))
    out = tmp_path / "out"
    result = swarmc("run", corpus / "wasi.wasm", "--stdin-lines", lines, "--save-stdout", out,
                    "--show", 2, "--", "cat")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert out.read_bytes() == lines.read_bytes()
    assert "300: 300 exited with 0" in text_of(result)
    argvs = tmp_path / "argvs"
    argvs.write_text("args 'a b'\nenv\n")
    result = swarmc("run", corpus / "wasi.wasm", "--argv-lines", argvs, "--env", "N={id}", "--json")
    outputs = [agent["stdout"] for agent in json.loads(result.output)["agents"]]
    assert outputs == ["1 args\n2 a b\n2 arguments\n", "N=1\n"]
