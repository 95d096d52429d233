"""From bytes to an executable, and the cache before it."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from wasmtime import wat2wasm

from swarmc.errors import ArgumentError, TargetError
from swarmc.runtime import SwarmManager
from swarmc.runtime.cache import Cache
from swarmc.runtime.choosing import target_named
from swarmc.runtime.compile import collector_paused, compile_wasm
from swarmc.targets.cpu import CpuTarget
from swarmc.targets.executable import CompileOptions, Executable

OPTIONS = CompileOptions()


class CountingTarget(CpuTarget):
    """Counts compilations."""

    def __init__(self) -> None:
        super().__init__()
        self.compiled = 0

    def compile(self, *args: Any, **options: Any) -> Executable:
        self.compiled += 1
        return super().compile(*args, **options)


def test_spans_name_functions(library: bytes) -> None:
    executable = compile_wasm(library, OPTIONS)
    assert [span.name for span in executable.spans][:3] == ["add", "double", "mix"]
    assert all(span.start < span.end <= len(library) for span in executable.spans)
    first = executable.spans[0]
    assert executable.function_at(first.start) == "add"
    assert executable.function_at(first.end - 1) == "add"
    assert executable.memory_exports == {"memory": 0}
    assert [g.name for g in executable.global_exports] == ["count", "big", "half", "answer"]


@pytest.mark.parametrize(
    ("fields", "command"),
    [
        ('(func (export "_start"))', True),
        ('(func (export "_start") (param i32))', False),
        ('(func (export "start"))', False),
        ('(global (export "_start") i32 (i32.const 0))', False),
    ],
)
def test_commands(fields: str, command: bool) -> None:
    assert compile_wasm(bytes(wat2wasm(f"(module {fields})")), OPTIONS).command is command


def test_cache_spares_the_compiler(tmp_path: Path, library: bytes) -> None:
    target, cache = CountingTarget(), Cache(tmp_path / "cache")
    first = compile_wasm(library, OPTIONS, target=target, cache=cache)
    again = compile_wasm(library, OPTIONS, target=target, cache=cache)
    assert target.compiled == 1
    assert again == first
    chosen = CompileOptions(entry_points=("tick", "add", "add"))
    compile_wasm(library, chosen, target=target, cache=cache)
    compile_wasm(
        library, CompileOptions(entry_points=("add", "tick")), target=target, cache=cache
    )
    assert target.compiled == 2
    for entry in cache.entries():
        entry.path.write_bytes(entry.path.read_bytes()[:-1])
    assert compile_wasm(library, OPTIONS, target=target, cache=cache) == first
    assert target.compiled == 3, "a damaged entry is built again"
    compile_wasm(library, OPTIONS, target=target, cache=cache)
    assert target.compiled == 3


def test_progress_names_the_stages(library: bytes) -> None:
    stages: list[str] = []
    compile_wasm(library, OPTIONS, progress=lambda stage, done: stages.append(stage))
    assert stages[:4] == ["decode", "validate", "translate", "optimise"]


def test_executables_of_elsewhere_are_refused(library: bytes) -> None:
    from dataclasses import replace

    executable = replace(compile_wasm(library, OPTIONS), fingerprint="another machine")
    swarm = SwarmManager(cache=False)
    with pytest.raises(TargetError, match="compiled for 'another machine'"):
        swarm.load_executable(executable)


def test_executables_can_be_saved(library: bytes) -> None:
    data = compile_wasm(library, OPTIONS).to_bytes()
    with SwarmManager(cache=False) as swarm:
        swarm.load_executable(Executable.from_bytes(data))
        swarm.spawn_agent("add", args=[1, 2])
        assert swarm.dispatch().agent_results == {0: 3}


def test_unknown_entry_points(library: bytes) -> None:
    with pytest.raises(ArgumentError, match="no function 'nix'; it exports add, divide"):
        compile_wasm(library, CompileOptions(entry_points=("nix",)))
    with pytest.raises(TargetError):
        target_named("nix")


WARM = """
import sys
from swarmc.runtime import SwarmManager
swarm = SwarmManager.from_wasm(open(sys.argv[1], "rb").read(), cache=sys.argv[2])
swarm.spawn_agents(8, "add", [20, 22])
assert set(swarm.dispatch().agent_results.values()) == {42}
print(sorted(name for name in sys.modules if name.startswith("swarmc.compiler.")))
"""


def test_a_second_process_compiles_nothing(tmp_path: Path, library: bytes) -> None:
    module = tmp_path / "library.wasm"
    module.write_bytes(library)
    command = [sys.executable, "-c", WARM, str(module), str(tmp_path / "cache")]
    first = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "swarmc.compiler.pipeline" in first.stdout
    second = subprocess.run(command, capture_output=True, text=True, check=True)
    assert second.stdout.strip() == "[]"


def test_importing_swarmc_is_cheap() -> None:
    code = (
        "import sys, swarmc, swarmc.runtime; "
        "print([m for m in ('numpy', 'numba', 'llvmlite') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_the_garbage_collector_comes_back() -> None:
    with collector_paused():
        assert not gc.isenabled()
        with collector_paused():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    try:
        with pytest.raises(ZeroDivisionError), collector_paused():
            raise ZeroDivisionError
        assert not gc.isenabled(), "it stays as it was"
    finally:
        gc.enable()
