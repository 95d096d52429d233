"""Check and measure swarmc on this machine's GPU, and write what was found as JSON.

    python tests/gpu/check.py                        everything, about half an hour
    python tests/gpu/check.py corpus traps scale     some stages
    python tests/gpu/check.py --target ptx --small   the same checks on the stand-in, without a GPU

Every stage runs whatever became of the others; the exit code is 1 if one failed. The record goes to
docs/results/<gpu>.json, or where ``--json`` says.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import wasmtime

from swarmc import __version__
from swarmc.errors import TargetError
from swarmc.ir.types import Trap
from swarmc.runtime import SwarmManager
from swarmc.runtime.choosing import target_named
from swarmc.runtime.tools import fuzz
from swarmc.runtime.tools.array_check import check_arrays
from swarmc.runtime.tools.bench_engines import Engine, SwarmcEngine
from swarmc.runtime.tools.bench_machine import describe_machine
from swarmc.runtime.tools.bench_wasmtime import WasmtimeEngine
from swarmc.runtime.tools.bench_workloads import Inputs, load_workloads
from swarmc.runtime.tools.corpus import load_manifest
from swarmc.runtime.tools.corpus_scripts import call_scripts, run_scripts
from swarmc.runtime.tools.differential import Tally, compare
from swarmc.runtime.tools.execution import Setup, Workload
from swarmc.runtime.tools.handwritten_check import beside_handwritten
from swarmc.runtime.tools.host_check import check_hosts
from swarmc.runtime.tools.mail_check import check_mail
from swarmc.runtime.tools.oracle import Oracle
from swarmc.runtime.tools.spec import run_suite
from swarmc.runtime.tools.target_executor import TargetExecutor
from swarmc.runtime.tools.trace_check import check_traces
from swarmc.targets.addressing import MemoryLayout
from swarmc.targets.base import Target
from swarmc.targets.cuda.device import DeviceProperties
from swarmc.targets.cuda.gpu import shared_gpu

try:
    from .programs import FILLER, SQUARE
except ImportError:  # run as a program
    from programs import FILLER, SQUARE  # type: ignore[import-not-found,no-redef]

ROOT = Path(__file__).resolve().parents[2]
CORPUS = ROOT / "corpus"
LAYOUTS = (MemoryLayout.FLAT, MemoryLayout.INTERLEAVED_4, MemoryLayout.INTERLEAVED_8,
           MemoryLayout.INTERLEAVED_16)  # fmt: skip
_FUEL = 100_000_000


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is done.

    Attributes:
        agents: of the traps' stage. slices: agents of 64 KiB. small: agents without memory.
        counts: agents that speed is measured with.
        programs: of the corpus; none: all.
        suite: folder of the specification's suite, if it is there.
    """

    target: str
    agents: int = 10_000
    slices: int = 131_072
    small: int = 1_000_000
    fuzz_seconds: float = 600.0
    seed: int = 1
    counts: tuple[int, ...] = (1024, 16_384, 131_072)
    programs: tuple[str, ...] = ()
    suite: Path | None = None

    def make(self, layout: MemoryLayout | None = None) -> Target:
        """The target that is checked."""
        return target_named(self.target, layout)


class CheckError(Exception):
    """Something is not as it must be."""


Report = dict[str, Any]
Stage = Callable[[Plan], Report]


def corpus(plan: Plan) -> Report:
    """The corpus in every layout against wasmtime: output, results, memory, fuel."""
    tally, refused, programs = Tally(), {}, 0
    for folder in (CORPUS, CORPUS / "bench"):
        for program in load_manifest(folder):
            if plan.programs and program.name not in plan.programs:
                continue
            data = program.binary.read_bytes()
            oracle = Oracle(optimise=True).load(data, Setup())
            for layout in LAYOUTS:
                executor = TargetExecutor(plan.make(layout))
                try:
                    subject = executor.load(data, Setup())
                except TargetError as error:
                    refused[f"{program.name} {layout}"] = str(error)
                    continue
                programs += 1
                for scripts in (run_scripts(program), call_scripts(program, data)):
                    if scripts:
                        work = Workload(scripts, _FUEL)
                        expected = oracle.run(work)
                        found = compare(expected, subject.run(work), work, plan.target, tally)
                        if found is not None:
                            raise CheckError(f"{program.name}, {layout}: {found}")
    return {"programs": programs, "executions": tally.executions, "refused": refused}


def traps(plan: Plan) -> Report:
    """Each way to end in a few agents among many, which are undisturbed."""
    data = (CORPUS / "traps.wasm").read_bytes()
    made = 0
    for layout in (MemoryLayout.FLAT, MemoryLayout.INTERLEAVED_8):
        with SwarmManager.from_wasm(
            data, target=plan.make(layout), max_agents=plan.agents + len(ENDS), fuel=1_000_000
        ) as swarm:
            half = plan.agents // 2
            quiet = [swarm.spawn_agents(half, "fine", [21])]
            odd = [swarm.spawn_agent(name, args=args) for name, args, _ in ENDS]
            quiet.append(swarm.spawn_agents(plan.agents - half, "fine", [21]))
            for again in (False, True):  # the device lives on
                result = swarm.dispatch()
                found = {agent: trap.code for agent, trap in result.traps.items()}
                wanted = {agent: code for agent, (_, _, code) in zip(odd, ENDS, strict=True)}
                if found != wanted:
                    raise CheckError(f"{layout}, again {again}: traps {found}, not {wanted}")
                values = result.agent_results
                if any(values[agent] != 42 for agent in np.concatenate(quiet).tolist()):
                    raise CheckError(f"{layout}: an agent beside one that trapped is disturbed")
                made += len(result)
    return {"agents": made, "kinds": len({code for _, _, code in ENDS})}


#: Exports of corpus/traps.wasm with arguments, and how they end.
ENDS: tuple[tuple[str, list[Any], Trap], ...] = (
    ("unreachable", [], Trap.UNREACHABLE),
    ("divide", [1, 0], Trap.INTEGER_DIVIDE_BY_ZERO),
    ("divide_unsigned", [1, 0], Trap.INTEGER_DIVIDE_BY_ZERO),
    ("divide_smallest", [], Trap.INTEGER_OVERFLOW),
    ("truncate", [1e30], Trap.INTEGER_OVERFLOW),
    ("truncate_not_a_number", [], Trap.INVALID_CONVERSION),
    ("load", [65_533], Trap.MEMORY_OUT_OF_BOUNDS),
    ("load_far", [-1], Trap.MEMORY_OUT_OF_BOUNDS),
    ("store", [1, 1], Trap.MEMORY_OUT_OF_BOUNDS),
    ("fill", [65_530, 7], Trap.MEMORY_OUT_OF_BOUNDS),
    ("copy", [0, 65_530, 7], Trap.MEMORY_OUT_OF_BOUNDS),
    ("init_dropped", [], Trap.MEMORY_OUT_OF_BOUNDS),
    ("table_get", [4], Trap.TABLE_OUT_OF_BOUNDS),
    ("call", [9], Trap.UNDEFINED_ELEMENT),
    ("call", [2], Trap.UNINITIALIZED_ELEMENT),
    ("call", [1], Trap.INDIRECT_CALL_TYPE_MISMATCH),
    ("descend", [0], Trap.CALL_STACK_EXHAUSTED),
    ("loop_forever", [], Trap.OUT_OF_FUEL),
)


def scale(plan: Plan) -> Report:
    """As many agents with 64 KiB each as are asked for, and many more without memory."""
    report: Report = {}
    for layout in (MemoryLayout.INTERLEAVED_8, MemoryLayout.FLAT):
        with SwarmManager.from_wasm(
            wasmtime.wat2wasm(FILLER), target=plan.make(layout), max_agents=plan.slices
        ) as swarm:
            numbers = np.arange(plan.slices)
            swarm.spawn_agents(plan.slices)
            times = [swarm.dispatch(None, "fill", numbers[:, None]).total_time_ms]
            result = swarm.dispatch(None, "sum")
            times.append(result.total_time_ms)
            sums = (numbers * 2654435761 * 16384) & 0xFFFFFFFF
            if not (result.results_array().astype(np.uint32) == sums).all():
                raise CheckError(f"{layout}: an agent's memory is not what it wrote")
            last = swarm.agent_ids[-1]
            begin = time.perf_counter()
            swarm.reset_agents()
            times.append((time.perf_counter() - begin) * 1000)
            if any(swarm.get_agent_memory(int(last), 0, 65_536)):
                raise CheckError(f"{layout}: an agent's memory is not empty after a reset")
        report[f"64 KiB, {layout}"] = {
            "agents": plan.slices, "fill_ms": times[0], "sum_ms": times[1], "reset_ms": times[2],
        }  # fmt: skip
    with SwarmManager.from_wasm(
        wasmtime.wat2wasm(SQUARE), target=plan.make(), max_agents=plan.small
    ) as swarm:
        args = np.arange(plan.small, dtype=np.int64)
        swarm.spawn_agents(plan.small, "square", args[:, None])
        result = swarm.dispatch()
        if not (result.results_array() == args * args).all():
            raise CheckError("a result of many small agents is wrong")
    report["without memory"] = {"agents": plan.small, "ms": result.total_time_ms}
    return report


def fuzzing(plan: Plan) -> Report:
    """Generated programs against wasmtime, half of the time in either layout."""
    reports = []
    with tempfile.TemporaryDirectory() as folder:
        for number, layout in enumerate((MemoryLayout.FLAT, MemoryLayout.INTERLEAVED_8)):
            report = fuzz.run(
                plan.fuzz_seconds / 2, plan.seed + number, Path(folder), target=plan.make(layout),
                minimise_seconds=20.0,
            )  # fmt: skip
            if report.saved:
                path, mismatch = report.saved[0]
                raise CheckError(f"{layout}: {mismatch}\n{path.read_text()}")
            reports.append(report)
    return {
        "seconds": plan.fuzz_seconds, "modules": sum(r.modules for r in reports),
        "executions": sum(r.tally.executions for r in reports),
        "returned": sum(r.tally.returned for r in reports),
        "trapped": sum(r.tally.trapped for r in reports),
    }  # fmt: skip


def suite(plan: Plan) -> Report:
    """The specification's suite."""
    if plan.suite is None:
        return {"skipped": "the suite is not here; --suite says where"}
    report = run_suite(plan.suite, plan.make())
    data = report.to_json()
    if report.total.passed != report.total.total:
        failed = [f"{name}: {item['not_passed'][0]}" for name, item in data["files"].items()
                  if item["not_passed"]]  # fmt: skip
        raise CheckError(f"{data['totals']}; " + "; ".join(failed[:20]))
    return {"totals": data["totals"], "groups": data["groups"]}


def speed(plan: Plan) -> Report:
    """Instructions per second of the benchmark's workloads, beside wasmtime on all cores.

    wasmtime runs few agents: its rate does not depend on how many there are.
    """
    report: Report = {}
    names = [one.name for one in load_workloads(CORPUS / "bench")]
    chosen = [name for name in names if not plan.programs or name in plan.programs]
    for workload in load_workloads(CORPUS / "bench", chosen):
        row: Report = {}
        reference = _measure(WasmtimeEngine(fuel=False), workload, 256, Inputs.CONVERGENT)
        for count in plan.counts:
            for inputs in Inputs:
                try:
                    lap = _measure(SwarmcEngine(plan.target), workload, count, inputs)
                except TargetError as error:
                    row[f"{count} {inputs.value}"] = {"refused": str(error)}
                    continue
                row[f"{count} {inputs.value}"] = lap | {
                    "times_wasmtime": reference["ms"] / 256 * count / lap["ms"]
                }  # fmt: skip
        report[workload.name] = row
    return report


def handwritten(plan: Plan) -> Report:
    """The benchmark's workloads beside handwritten CUDA C, by the kernel alone and end to end."""
    if plan.target != "cuda":
        return {"skipped": "handwritten kernels run on a GPU alone"}
    return beside_handwritten(
        CORPUS / "bench", plan.target, shared_gpu(), plan.counts, plan.programs
    )


def _measure(engine: Engine, workload: Any, count: int, inputs: Inputs) -> Report:
    session = engine.open(workload, count)
    try:
        session.settle(inputs.seeds(count))
        laps = [session.again() for _ in range(3)]
        best = min(laps, key=lambda lap: lap.ms)
        fresh = session.fresh(inputs.seeds(count)).ms
    finally:
        session.close()
    found: Report = {"ms": best.ms, "end_to_end_ms": fresh}
    if best.instructions is not None:
        found["instructions_per_second"] = best.instructions / best.ms * 1000
    return found


def sanitizer(plan: Plan) -> Report:
    """NVIDIA's compute-sanitizer over a small swarm."""
    program = [
        "compute-sanitizer", "--error-exitcode", "9", sys.executable, "-m", "swarmc", "run",
        str(CORPUS / "sha256_lib.wasm"), "--target", plan.target, "--agents", "64",
    ]  # fmt: skip
    try:
        done = subprocess.run(program, capture_output=True, text=True, timeout=300)
    except FileNotFoundError:
        return {"skipped": "there is no compute-sanitizer on PATH"}
    if done.returncode:
        raise CheckError(f"exit code {done.returncode}: {(done.stdout + done.stderr)[-2000:]}")
    return {"output": done.stdout[-200:]}


STAGES: dict[str, Stage] = {
    "corpus": corpus, "traps": traps, "hosts": lambda plan: check_hosts(plan.make, plan.agents),
    "arrays": lambda plan: check_arrays(plan.make, plan.agents), "scale": scale, "speed": speed,
    "mail": lambda plan: check_mail(plan.make, plan.agents, CORPUS / "swarm"),
    "host calls": lambda plan: check_traces(plan.make, plan.agents),
    "handwritten": handwritten, "sanitizer": sanitizer, "suite": suite, "fuzz": fuzzing,
}  # fmt: skip


def run(plan: Plan, stages: list[str], show: Callable[[str], None] = print) -> Report:
    """Run stages; what they found, with what was wrong in those that failed."""
    record: Report = {
        "target": plan.target, "device": _device(plan), "machine": describe_machine(),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "swarmc": __version__, "commit": _commit(), "packages": _packages(), "stages": {},
    }  # fmt: skip
    for name in stages:
        begin = time.monotonic()
        try:
            found: Report = {"passed": True} | STAGES[name](plan)
        except Exception as error:  # one stage that breaks must not hide the others
            where = traceback.format_exc(limit=-3)
            found = {"passed": False, "error": f"{type(error).__name__}: {error}", "where": where}
        found["seconds"] = round(time.monotonic() - begin, 1)
        record["stages"][name] = found
        state = "skipped" if "skipped" in found else "passed" if found["passed"] else "FAILED"
        detail = found.get("skipped") or found.get("error") or ""
        show(f"{name:<10} {state:<8} {found['seconds']:>7} s  {detail}")
    return record


def _device(plan: Plan) -> Report:
    if plan.target != "cuda":
        return {"name": f"none: target {plan.target}"}
    found: DeviceProperties = shared_gpu().properties
    return {name: getattr(found, name) for name in found.__slots__}


def _commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def _packages() -> dict[str, str]:
    names = ("cuda-bindings", "llvmlite", "numba", "numpy", "wasmtime")
    found = {d.metadata["Name"]: d.version for d in importlib.metadata.distributions()}
    return {name: found.get(name, "not installed") for name in names}


def main() -> int:
    """What the command does; its exit code."""
    parser = argparse.ArgumentParser(description="Check and measure swarmc on a GPU.")
    parser.add_argument("stages", nargs="*", help=f"some of: {', '.join(STAGES)}; none: all")
    parser.add_argument("--target", default="cuda", help="cuda, ptx or cpu")
    parser.add_argument("--small", action="store_true", help="few agents, a short while")
    parser.add_argument("--fuzz-seconds", type=float, default=600.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--suite", type=Path, default=ROOT.parent / "shared" / "spec")
    parser.add_argument("--json", type=Path, help="where the record goes")
    given = parser.parse_args()
    unknown = set(given.stages) - set(STAGES)
    if unknown:
        parser.error(f"no stage {', '.join(sorted(unknown))}; there are: {', '.join(STAGES)}")
    folder = given.suite if given.suite.is_dir() else None
    plan = Plan(given.target, fuzz_seconds=given.fuzz_seconds, seed=given.seed, suite=folder)
    if given.small:
        plan = small_plan(given.target)
    try:
        record = run(plan, given.stages or list(STAGES))
    except TargetError as error:
        print(f"skipped: {error}")
        return 0
    name = re.sub(r"\W+", "-", record["device"]["name"].lower()).strip("-")
    path = given.json or ROOT / "docs" / "results" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n")
    print(f"wrote {path}")
    return 0 if all(stage["passed"] for stage in record["stages"].values()) else 1


def small_plan(target: str) -> Plan:
    """A plan for the stand-in: every stage, in little time."""
    programs = ("floats", "luhn", "memory", "quicksort")
    return Plan(
        target, agents=40, slices=40, small=300, fuzz_seconds=6.0, counts=(8,), programs=programs
    )


if __name__ == "__main__":
    sys.exit(main())
