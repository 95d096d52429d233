"""What the benchmark measures in processes of its own: starting, compiling, and memory.

A request is one JSON object on the command line; the answer is one line of JSON, written as soon as
there is a result, so that whoever waits for it knows when that was.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...targets.base import Target

_FUEL = 10**12
_EMPTY = b"\0asm\1\0\0\0"

Request = dict[str, Any]


def main() -> None:
    """Run the task that the request names."""
    request: Request = json.loads(sys.argv[1])
    task: Callable[[Request], dict[str, Any]] = _TASKS[request["task"]]
    print(json.dumps(task(request)), flush=True)


def _first_result(request: Request) -> dict[str, Any]:
    """Load a program and run agents of it."""
    from ..manager import SwarmManager

    start = time.perf_counter()
    count, entry = request["agents"], request["entry"]
    swarm = SwarmManager(
        _numba_target() if request.get("numba") else "cpu",
        max_agents=count, entry_points=(entry,), cache=request["cache"], fuel=_FUEL,
    )  # fmt: skip
    swarm.load_bytecode(Path(request["wasm"]).read_bytes())
    load_ms = (time.perf_counter() - start) * 1000
    swarm.spawn_agents(count, entry, request["args"])
    result = swarm.dispatch()
    return {"load_ms": load_ms, "instructions": int(result.counts_array[0])}


def _numba_target() -> Target:
    """Agents run in Numba's threads."""
    from ...targets.cpu import CpuTarget, dispatcher

    return CpuTarget(run_workers=dispatcher.launch)


def _first_result_of_wasmtime(request: Request) -> dict[str, Any]:
    import wasmtime

    start = time.perf_counter()
    engine = wasmtime.Engine()
    module = wasmtime.Module(engine, Path(request["wasm"]).read_bytes())
    load_ms = (time.perf_counter() - start) * 1000
    store, linker = wasmtime.Store(engine), wasmtime.Linker(engine)
    store.set_wasi(wasmtime.WasiConfig())
    linker.define_wasi()
    function: Any = linker.instantiate(store, module).exports(store)[request["entry"]]
    function(store, *request["args"])
    return {"load_ms": load_ms}


def _compile(request: Request) -> dict[str, Any]:
    """Compile a module without a cache: milliseconds of each stage."""
    from ...compiler.wasm.decoder import decode
    from ...targets.executable import CompileOptions
    from ..compile import compile_wasm

    wasm = Path(request["wasm"]).read_bytes()
    options = CompileOptions(patient=request["patient"])
    compile_wasm(_EMPTY, options)  # imports the compiler
    marks: list[Mark] = []
    executable = compile_wasm(
        wasm, options,
        progress=lambda stage, share: marks.append(Mark(stage, share, time.perf_counter())),
    )  # fmt: skip
    stages = stage_times(marks, time.perf_counter())
    instructions = sum(len(func.body.ops) for func in decode(wasm).funcs)
    return {"stages_ms": stages, "instructions": instructions,
            "provisional": executable.provisional}


@dataclass(frozen=True, slots=True)
class Mark:
    """A report of progress: how much of a stage was done, and when, in seconds."""

    stage: str
    share: float
    time: float


def stage_times(marks: Sequence[Mark], end: float) -> dict[str, float]:
    """Milliseconds of each stage; what follows the end of one belongs to the next."""
    stages: dict[str, float] = {}
    for mark, following in zip(marks, [*marks[1:], None], strict=True):
        stage, until = mark.stage, end
        if following is not None:
            stage, until = following.stage if mark.share >= 1.0 else stage, following.time
        stages[stage] = stages.get(stage, 0.0) + (until - mark.time) * 1000
    return {stage: round(ms, 3) for stage, ms in stages.items()}


def _footprint(request: Request) -> dict[str, Any]:
    """Memory of this process with more and more agents that have run."""
    from ..manager import SwarmManager

    counts: list[int] = request["counts"]
    swarm = SwarmManager("cpu", max_agents=counts[-1], entry_points=("run",),
                         cache=request["cache"], fuel=_FUEL)
    swarm.load_bytecode(Path(request["wasm"]).read_bytes())
    resident, living = [], 0
    for count in counts:
        ids = swarm.spawn_agents(count - living, "run", [1, request["size"]])
        swarm.dispatch(ids)
        swarm.last_result = None
        living = count
        resident.append(status_bytes("VmRSS"))
    return {"resident": resident, "peak": status_bytes("VmHWM"),
            "state": swarm.executable.layout.state_size}


def _footprint_of_wasmtime(request: Request) -> dict[str, Any]:
    import wasmtime

    engine = wasmtime.Engine()
    module = wasmtime.Module(engine, Path(request["wasm"]).read_bytes())
    linker = wasmtime.Linker(engine)
    resident: list[int] = []
    living: list[tuple[Any, Any]] = []
    for count in request["counts"]:
        while len(living) < count:
            store = wasmtime.Store(engine)
            function: Any = linker.instantiate(store, module).exports(store)["run"]
            function(store, 1, request["size"])
            living.append((store, function))
        resident.append(status_bytes("VmRSS"))
    return {"resident": resident, "peak": status_bytes("VmHWM"), "state": 0}


def status_bytes(field: str, pid: int | str = "self") -> int:
    """A size from what Linux says of a process, in bytes; 0 if there is no such process."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return 0
    for line in lines.splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) * 1024
    return 0


_TASKS: dict[str, Callable[[Request], dict[str, Any]]] = {
    "first result": _first_result,
    "first result of wasmtime": _first_result_of_wasmtime,
    "compile": _compile,
    "footprint": _footprint,
    "footprint of wasmtime": _footprint_of_wasmtime,
}
