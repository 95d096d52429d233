"""The corpus: binaries match their sources, and wasmtime gets what the manifest promises."""

from __future__ import annotations

import hashlib
import math
import struct
from pathlib import Path

import pytest
import wasmtime

from swarmc.errors import SwarmcError, TargetError
from swarmc.ir.types import Trap
from swarmc.runtime.tools import corpus as tool
from swarmc.runtime.tools.corpus import Program, Run

CORPUS = Path(__file__).resolve().parents[2] / "corpus"
#: The corpus' folders, with what lies there besides programs.
FOLDERS = {
    CORPUS: {"bench", "json.h", "pipeline", "sha256.h", "swarm"},
    CORPUS / "bench": {"bench.h", "cuda", "hmac_sha256.h", "image.h", "native.c", "text.h"},
    CORPUS / "swarm": {"swarm.h"},
}
PROGRAMS = [program for folder in FOLDERS for program in tool.load_manifest(folder)]
FUEL = 100_000_000

#: What wasmtime calls the traps that can occur in the corpus.
TRAP_CODES = {
    Trap.UNREACHABLE: wasmtime.TrapCode.UNREACHABLE,
    Trap.MEMORY_OUT_OF_BOUNDS: wasmtime.TrapCode.MEMORY_OUT_OF_BOUNDS,
    Trap.TABLE_OUT_OF_BOUNDS: wasmtime.TrapCode.TABLE_OUT_OF_BOUNDS,
    Trap.UNDEFINED_ELEMENT: wasmtime.TrapCode.TABLE_OUT_OF_BOUNDS,
    Trap.UNINITIALIZED_ELEMENT: wasmtime.TrapCode.INDIRECT_CALL_TO_NULL,
    Trap.INDIRECT_CALL_TYPE_MISMATCH: wasmtime.TrapCode.BAD_SIGNATURE,
    Trap.INTEGER_OVERFLOW: wasmtime.TrapCode.INTEGER_OVERFLOW,
    Trap.INTEGER_DIVIDE_BY_ZERO: wasmtime.TrapCode.INTEGER_DIVISION_BY_ZERO,
    Trap.INVALID_CONVERSION: wasmtime.TrapCode.BAD_CONVERSION_TO_INTEGER,
    Trap.CALL_STACK_EXHAUSTED: wasmtime.TrapCode.STACK_OVERFLOW,
    Trap.OUT_OF_FUEL: wasmtime.TrapCode.OUT_OF_FUEL,
}

#: A manifest of two programs, for tests that change sources.
SMALL_MANIFEST = """
[build.c]
package = "ziglang"
version = "0.17.0"
flags = ["--target=wasm32-freestanding", "-mcpu=mvp", "-nostdlib", "-Wl,--no-entry", "-O2", "-s"]
[build.wat]
package = "wasmtime"
version = "50.0.1"
flags = []
[program.two]
source = "two.c"
build = "c"
kind = "library"
description = "Returns 2."
[program.empty]
source = "empty.wat"
build = "wat"
kind = "library"
description = "Has nothing in it."
"""


class Instance:
    """A fresh instance of a program under wasmtime, with deterministic NaNs and finite fuel."""

    def __init__(self, program: Program, run: Run, scratch: Path) -> None:
        config = wasmtime.Config()
        config.cranelift_nan_canonicalization = True
        config.consume_fuel = True
        engine = wasmtime.Engine(config)
        self.store = wasmtime.Store(engine)
        self.store.set_fuel(FUEL)
        (scratch / "stdin").write_text(run.stdin, encoding="utf-8")
        self._stdout = scratch / "stdout"
        wasi = wasmtime.WasiConfig()
        wasi.argv = [program.name, *run.args]
        wasi.env = list((run.env or {}).items())
        wasi.stdin_file = str(scratch / "stdin")
        wasi.stdout_file = str(self._stdout)
        wasi.stderr_file = str(scratch / "stderr")
        self.store.set_wasi(wasi)
        linker = wasmtime.Linker(engine)
        linker.define_wasi()
        module = wasmtime.Module.from_file(engine, str(program.binary))
        self.exports = linker.instantiate(self.store, module).exports(self.store)
        if (initialise := self.exports.get("_initialize")) is not None:
            assert isinstance(initialise, wasmtime.Func)
            initialise(self.store)

    def call(self, name: str, *args: int | float) -> tuple[int | float, ...]:
        """Call an export; results as a tuple. Traps come out as `wasmtime.Trap`."""
        function = self.exports[name]
        assert isinstance(function, wasmtime.Func)
        result = function(self.store, *args)
        if result is None:
            return ()
        return tuple(result) if isinstance(result, list) else (result,)

    def stdout(self) -> str:
        """What the program has printed; it cannot run on after this."""
        self.store.close()
        return self._stdout.read_text(encoding="utf-8")


def bits(value: int | float) -> int | bytes:
    """Make -0.0 differ from 0.0, and every NaN equal."""
    if isinstance(value, int):
        return value
    return b"nan" if math.isnan(value) else struct.pack("<d", value)


def expect_trap(instance: Instance, slug: str, export: str, *args: int | float) -> None:
    with pytest.raises(wasmtime.Trap) as caught:
        instance.call(export, *args)
    trap = next(t for t in Trap if t.slug == slug)
    assert caught.value.trap_code == TRAP_CODES[trap], (export, args)


def name_of(program: Program) -> str:
    return program.binary.relative_to(CORPUS).with_suffix("").as_posix()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_manifest_lists_every_file(folder: Path) -> None:
    programs = [p for p in PROGRAMS if p.directory == folder]
    assert len(programs) >= 3
    listed = {p.source for p in programs} | {p.binary.name for p in programs}
    present = {p.name for p in folder.iterdir()}
    assert present - listed == {"manifest.toml", *FOLDERS[folder]}
    assert listed <= present


@pytest.mark.parametrize("program", PROGRAMS, ids=name_of)
def test_kind(program: Program) -> None:
    engine = wasmtime.Engine()
    module = wasmtime.Module.from_file(engine, str(program.binary))
    exports = {e.name for e in module.exports}
    assert program.kind == ("command" if "_start" in exports else "library")
    imports = {i.module for i in module.imports}
    if program.directory.name == "swarm":  # tests/mail runs them
        assert "swarm" in imports
        imports.remove("swarm")
    else:
        assert program.runs or program.calls
    assert imports <= {"wasi_snapshot_preview1"}
    assert all(call.export in exports for call in program.calls)


@pytest.mark.parametrize(
    ("program", "run"),
    [pytest.param(p, r, id=f"{name_of(p)}-{i}") for p in PROGRAMS for i, r in enumerate(p.runs)],
)
def test_run(program: Program, run: Run, tmp_path: Path) -> None:
    instance = Instance(program, run, tmp_path)
    if run.trap is not None:
        expect_trap(instance, run.trap, "_start")
        assert instance.stdout() == run.stdout
        return
    exit_code = 0
    try:
        instance.call("_start")
    except wasmtime.ExitTrap as leave:
        exit_code = leave.code
    assert (exit_code, instance.stdout()) == (run.exit_code, run.stdout)


@pytest.mark.parametrize(
    "program", [pytest.param(p, id=name_of(p)) for p in PROGRAMS if p.calls]
)
def test_calls(program: Program, tmp_path: Path) -> None:
    instance = Instance(program, Run(), tmp_path)
    for call in program.calls:
        where = f"{call.export}{call.args}"
        if call.trap is None:
            results = instance.call(call.export, *call.args)
            assert [bits(r) for r in results] == [bits(r) for r in call.results], where
        else:
            expect_trap(instance, call.trap, call.export, *call.args)
            instance = Instance(program, Run(), tmp_path)


def test_sha256_library_in_pieces(tmp_path: Path) -> None:
    program = next(p for p in PROGRAMS if p.name == "sha256_lib")
    instance = Instance(program, Run(), tmp_path)
    memory = instance.exports["memory"]
    assert isinstance(memory, wasmtime.Memory)
    text = bytes(range(256)) * 3
    (buffer,) = instance.call("alloc", len(text))
    memory.write(instance.store, text, int(buffer))
    (state,) = instance.call("start")
    for begin, end in ((0, 1), (1, 64), (64, 300), (300, len(text))):
        instance.call("update", state, int(buffer) + begin, end - begin)
    (digest,) = instance.call("finish", state)
    found = memory.read(instance.store, int(digest), int(digest) + 32).hex()
    assert found == hashlib.sha256(text).hexdigest()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_binaries_come_from_the_sources(folder: Path) -> None:
    before = sorted(p.name for p in folder.iterdir())
    assert tool.check(folder) == []
    assert sorted(p.name for p in folder.iterdir()) == before


def test_check_finds_a_changed_source(tmp_path: Path) -> None:
    (tmp_path / "manifest.toml").write_text(SMALL_MANIFEST, encoding="utf-8")
    source = '__attribute__((export_name("two"))) int two(void) { return 2; }'
    (tmp_path / "two.c").write_text(source, encoding="utf-8")
    (tmp_path / "empty.wat").write_text("(module)", encoding="utf-8")
    assert tool.check(tmp_path) == ["two", "empty"]
    assert tool.build(tmp_path) == ["two", "empty"]
    assert tool.main(["check", "--corpus", str(tmp_path)]) == 0

    (tmp_path / "two.c").write_text(source.replace("return 2", "return 3"), encoding="utf-8")
    assert tool.check(tmp_path) == ["two"]
    assert tool.main(["check", "--corpus", str(tmp_path)]) == 1
    assert tool.main(["build", "--corpus", str(tmp_path)]) == 0
    assert tool.check(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("two.c", "int two(void) { return", r"two\.c does not compile"),
        ("empty.wat", "(module (func $broken", r"empty\.wat does not assemble"),
    ],
)
def test_broken_source_is_an_error(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / "manifest.toml").write_text(SMALL_MANIFEST, encoding="utf-8")
    (tmp_path / "two.c").write_text("int unused;", encoding="utf-8")
    (tmp_path / "empty.wat").write_text("(module)", encoding="utf-8")
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(TargetError, match=message):
        tool.check(tmp_path)


def test_wrong_compiler_version_is_refused(tmp_path: Path) -> None:
    manifest = (CORPUS / "manifest.toml").read_text(encoding="utf-8")
    changed = manifest.replace('version = "0.17.0"', 'version = "0.1.0"')
    (tmp_path / "manifest.toml").write_text(changed, encoding="utf-8")
    with pytest.raises(TargetError, match=r"built with ziglang 0\.1\.0, found 0\.17\.0"):
        tool.check(tmp_path)


@pytest.mark.parametrize(
    "text", ["[[", "", '[build]\n[program.a]\nsource = "a.c"', "[build.c]\nflags = 3\n[program]"]
)
def test_bad_manifest_is_an_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.toml").write_text(text, encoding="utf-8")
    with pytest.raises(SwarmcError, match="is not a corpus manifest"):
        tool.load_manifest(tmp_path)


def test_missing_manifest_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SwarmcError, match="cannot read"):
        tool.load_manifest(tmp_path)
