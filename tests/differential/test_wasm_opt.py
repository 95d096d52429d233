"""The second generator, with a program in Binaryen's place, and its logging functions."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest
from wasmtime import wat2wasm

from swarmc.errors import TargetError
from swarmc.runtime.tools import fuzz, fuzz_imports
from swarmc.runtime.tools.choices import Choices, RandomSource
from swarmc.runtime.tools.differential import check
from swarmc.runtime.tools.execution import Call, Script, Setup, Workload
from swarmc.runtime.tools.executors import InterpreterExecutor
from swarmc.runtime.tools.oracle import Oracle
from swarmc.runtime.tools.target_executor import TargetExecutor
from swarmc.runtime.tools.wasm_opt import WasmOpt, from_binary
from swarmc.targets.cpu import CpuTarget

LOGS = "".join(
    f'(import "fuzzing-support" "log-{t}" (func $log_{t} (param {t})))'
    for t in ("i32", "i64", "f32", "f64", "v128"))
BODY = """
  (import "fuzzing-support" "call-export" (func $call_export (param i32 i32)))
  (import "__fuzz_import" "extern$" (global externref))
  (memory 1) (table 2 funcref) (global $g (mut i32) (i32.const 0))
  (func (export "values") (param i32 i64 f32 f64)
    (call $log_i32 (local.get 0)) (call $log_i64 (local.get 1)) (call $log_f32 (local.get 2))
    (call $log_f64 (local.get 3)) (call $log_v128 (i64x2.splat (local.get 1))))
  (func (export "state") (param i32) (result i32)
    (global.set $g (local.get 0)) (i32.store (i32.const 8) (local.get 0)) (local.get 0))
  (func (export "many") (loop (call $log_i64 (i64.const -2)) (br 0)))
  (func (export "back") (call $log_i32 (i32.const 3)) (call $call_export (i32.const 0)
    (i32.const 0)))"""
MODULE = f"(module {LOGS} {BODY})"
STARTED = MODULE[:-1] + "(start $s) (func $s (call $log_i32 (i32.const 9))))"

FAKE = """#!{python}
import sys
if "--help" in sys.argv:
    print("  --enable-simd  --enable-bulk-memory  --enable-sign-ext --enable-threads")
    raise SystemExit
assert "-ttf" in sys.argv and "--mvp-features" in sys.argv and "--enable-simd" in sys.argv
assert "--enable-threads" not in sys.argv and "--enable-reference-types" not in sys.argv
seed = open(sys.argv[sys.argv.index("-ttf") + 1], "rb").read()
assert len(seed) >= 200
open(sys.argv[sys.argv.index("-o") + 1], "wb").write(bytes.fromhex("{module}"))
"""


def fake(folder: Path, text: str = MODULE) -> Path:
    program = folder / "wasm-opt"
    data = bytes(wat2wasm(text))
    program.write_text(FAKE.format(python=sys.executable, module=data.hex()))
    program.chmod(0o755)
    return program


def args(n: int) -> tuple[int, ...]:
    return (n, 1 << 63 | n, 0x7F800001 + n, 0xFFF0000000000001 + n)


@pytest.mark.parametrize("text", [MODULE, STARTED], ids=["", "with a start function"])
@pytest.mark.parametrize("which", ["interpreter", "cpu"])
def test_logs_agree(which: str, text: str) -> None:
    fuzz_imports.install()
    data = from_binary(bytes(wat2wasm(text))).data
    executor = (InterpreterExecutor() if which == "interpreter"
                else TargetExecutor(CpuTarget(), opt_level=0))
    scripts = tuple(
        Script((Call("values", args(n)), Call("state", (n,)), Call("values", args(n + 50)),
                Call("back"), Call("many"))) for n in range(5))
    found = check(Oracle(), executor, data, Setup(missing_imports="trap"),
                  Workload(scripts, 100_000))
    assert found is None, str(found)


def test_what_is_logged() -> None:
    fuzz_imports.install()
    data = from_binary(bytes(wat2wasm(MODULE))).data
    workload = Workload((Script((Call("values", args(1)), Call("many"))),), 1_000_000)
    setup = Setup(missing_imports="trap")
    expected = (b"\0\x01\0\0\0" b"\x01\x01\0\0\0\0\0\0\x80" b"\x02\x02\0\x80\x7f"
                b"\x03\x02\0\0\0\0\0\xf0\xff" b"\x04" + b"\x01\0\0\0\0\0\0\x80" * 2)
    endless = (b"\x01\xfe" + b"\xff" * 7) * 8000
    for executor in (Oracle(), TargetExecutor(CpuTarget(), opt_level=0)):
        (run,) = executor.load(data, setup).run(workload)
        assert run.state.stdout == expected + endless[:fuzz_imports.LOG_SIZE]


def test_everything_is_exported(tmp_path: Path) -> None:
    generated = WasmOpt(str(fake(tmp_path))).generate(Choices(RandomSource(1)))
    assert [name for name, _ in generated.entries] == ["values", "state", "many", "back"]
    assert generated.pages == 1 and not generated.main
    names = [(item.kind, item.index) for item in generated.module.exports]
    assert {("memory", 0), ("table", 0), ("global", 0), ("global", 1)} <= set(names)


def test_fuzzing_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    report = fuzz.run(1000.0, 1, tmp_path / "out", modules=3, agents=2, generator="wasm-opt")
    assert report.generators == {"wasm-opt": 3}
    assert report.tally.returned >= 3 and not report.saved, str(report)
    both = fuzz.run(1000.0, 1, tmp_path / "out", modules=8, agents=2, generator="both",
                    executors=[InterpreterExecutor()])
    assert both.generators["wasm-opt"] and both.generators["ours"]
    assert not both.saved, str(both)


def test_what_swarmc_cannot_decode_is_a_mismatch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = fake(tmp_path)
    module = bytes(wat2wasm("(module)")) + b"\0\x01\x05"  # a custom section without its name
    program.write_text(FAKE.format(python=sys.executable, module=module.hex()))
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    report = fuzz.run(1000.0, 1, tmp_path / "out", modules=1, agents=2, generator="wasm-opt",
                      executors=[InterpreterExecutor()])
    assert report.refused == 1 and not report.saved  # wasmtime refuses it, too


@pytest.mark.parametrize(("text", "message"), [
    ("import sys; print('oh no', file=sys.stderr); sys.exit(3)", "failed with 3: oh no"),
    ("import sys; sys.exit(1)", "failed with 1: without a word"),
])
def test_a_program_that_fails(tmp_path: Path, text: str, message: str) -> None:
    program = tmp_path / "wasm-opt"
    program.write_text(f"#!{sys.executable}\n{text}\n")
    program.chmod(0o755)
    with pytest.raises(TargetError, match=message):
        WasmOpt(str(program))


def test_there_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TargetError, match="no wasm-opt on PATH"):
        fuzz.run(1.0, 1, tmp_path, generator="wasm-opt")


@pytest.mark.skipif(shutil.which("wasm-opt") is None, reason="wasm-opt is not on PATH")
def test_binaryen(tmp_path: Path) -> None:
    report = fuzz.run(1000.0, 5, tmp_path, modules=3, agents=4, generator="wasm-opt")
    assert report.tally.executions > 10
    assert not report.saved, str(report)
