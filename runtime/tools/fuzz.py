"""``swarmc fuzz``: generates modules for a while and compares every run with the oracle's.

Modules follow from the seed alone, in order; the time only says how many there are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from ...targets.base import Target
from . import fuzz_imports
from .choices import Choices, RandomSource
from .differential import Mismatch, check, compare, unexpected
from .execution import AgentRun, Executor, Rejected, Setup, Workload
from .executors import pass_executors
from .fuzz_report import FuzzReport
from .generator import Generated, GeneratorOptions, generate, generate_scripts
from .minimise import Case, minimise, save
from .oracle import Oracle
from .target_executor import TargetExecutor
from .wasm_opt import WasmOpt

DEFAULT_FUEL = 20_000
_CALLS = 2

_WASM_OPT = "wasm-opt"

#: Who makes the modules.
GeneratorName = Literal["ours", "wasm-opt", "both"]

_Reference = tuple[Workload, Sequence[AgentRun] | Rejected]


#: Called after every module with the report so far.
Progress = Callable[[FuzzReport], None]


def run(
    seconds: float,
    seed: int,
    out_dir: Path,
    *,
    target: Target | None = None,
    agents: int = 16,
    modules: int | None = None,
    options: GeneratorOptions | None = None,
    executors: Sequence[Executor] | None = None,
    generator: GeneratorName = "ours",
    passes: bool = False,
    minimise_seconds: float = 60.0,
    progress: Progress | None = None,
) -> FuzzReport:
    """Fuzz.

    Args:
        seconds: begin no module after this time.
        seed: what modules and inputs follow from.
        out_dir: where mismatches are saved.
        target: what is tested; None: the CPU.
        agents: agents of a swarm, most of the time.
        modules: most modules, None: as many as there is time for.
        executors: what is tested in place of the target.
        generator: who makes the modules; ``both``: a quarter are Binaryen's.
        passes: test the IR interpreter before and after each pass, too: the first that is wrong
            is named.
        minimise_seconds: time spent on making one mismatch smaller; not counted in ``seconds``.

    Raises:
        TargetError: the pinned wasmtime is not installed, or no ``wasm-opt`` that is asked for.
    """
    fuzzer = _Fuzzer(seed, out_dir, agents, options, minimise_seconds, generator)
    if executors is not None:
        fuzzer.executors = list(executors)
    else:
        fuzzer.executors = list(pass_executors()) if passes else []
        fuzzer.use_target(target)
    fuzzer.report.tested = fuzzer.names()
    started = time.monotonic()
    while fuzzer.spent(started) < seconds and (modules is None or fuzzer.report.modules < modules):
        fuzzer.step()
        fuzzer.report.seconds = fuzzer.spent(started)
        if progress is not None:
            progress(fuzzer.report)
    return fuzzer.report


class _Fuzzer:
    """The state of a run."""

    def __init__(self, seed: int, out_dir: Path, agents: int, options: GeneratorOptions | None,
                 minimise_seconds: float, generator: GeneratorName) -> None:
        self.report = FuzzReport(seed)
        self.oracle = Oracle()
        self.executors: list[Executor] = []
        self._levels: list[Executor] = []
        self._out_dir, self._agents, self._options = out_dir, agents, options
        self._minimise_seconds = minimise_seconds
        self._minimising = 0.0
        self._generator = generator
        self._wasm_opt: WasmOpt | None = None
        if generator != "ours":
            self._wasm_opt = WasmOpt()
            fuzz_imports.install()

    def names(self) -> list[str]:
        """What is tested."""
        return list(dict.fromkeys(one.name for one in (*self.executors, *self._levels)))

    def use_target(self, target: Target | None) -> None:
        """Test a target, at one of its optimisation levels for each module."""
        if target is None:
            from ...targets.cpu import CpuTarget

            target = CpuTarget()
        self._levels = [TargetExecutor(target, opt_level=level) for level in (2, 1, 0, 3, None)]

    def spent(self, started: float) -> float:
        """Seconds since then, those spent on minimising left out."""
        return time.monotonic() - started - self._minimising

    def step(self) -> None:
        """Generate one module and compare it."""
        report = self.report
        choices = Choices(RandomSource(f"{report.seed}:{report.modules}"))
        report.modules += 1
        generated, record = self._generate(choices)
        setup = _setup(choices, generated)
        agents = choices.pick((self._agents, self._agents, self._agents, 1, 2, self._agents * 2))
        scripts = generate_scripts(choices, generated, agents, _CALLS)
        executors = [*self.executors, *([choices.pick(self._levels)] if self._levels else [])]
        workload = Workload(scripts, self._fuel(choices))
        runs = self._reference(choices, generated, setup, workload)
        report.coverage.add(generated.data, generated.opcodes(), setup, workload)
        for executor in executors:
            found = self._compare(executor, generated.data, setup, runs)
            if found is not None:
                self._save(Case(generated.data, setup, *found, record, self._options), executor)
                break

    def _generate(self, choices: Choices) -> tuple[Generated, tuple[int, ...] | None]:
        """A module, and the choices that it follows from if it can be generated from others."""
        foreign = self._generator != "ours" and (
            self._generator == _WASM_OPT or choices.chance(1, 4))
        self.report.generators[_WASM_OPT if foreign else "ours"] += 1
        if foreign:
            assert self._wasm_opt is not None
            return self._wasm_opt.generate(choices), None
        generated = generate(choices, self._options)
        return generated, tuple(choices.record)

    def _fuel(self, choices: Choices) -> int:
        """A budget: at times a large one, if something fast is tested."""
        large = choices.chance(1, 8) and not self.executors
        return 50 * DEFAULT_FUEL if large else DEFAULT_FUEL

    def _reference(self, choices: Choices, generated: Generated, setup: Setup,
                   workload: Workload) -> list[_Reference]:
        """What the oracle makes of the workload, and of one with little fuel."""
        try:
            loaded = self.oracle.load(generated.data, setup)
            expected = loaded.run(workload)
        except Rejected as rejected:
            ours = self._generator == "ours"
            assert not ours or rejected.stage == "instantiate", f"invalid module: {rejected}"
            self.report.refused += 1
            return [(workload, rejected)]
        self.report.traps.update(
            outcome.trap.slug for agent in expected for outcome in agent.outcomes if outcome.trap)
        runs: list[_Reference] = [(workload, expected)]
        if generated.module.start is None:  # which has all the fuel it wants in the oracle
            tight = Workload(workload.scripts, _tight_fuel(choices, expected))
            runs.append((tight, loaded.run(tight)))
        return runs

    def _compare(self, executor: Executor, data: bytes, setup: Setup,
                 runs: Sequence[_Reference]) -> tuple[Workload, Mismatch] | None:
        workload = runs[0][0]
        try:
            loaded = executor.load(data, setup)
            for workload, expected in runs:
                found = compare(expected, loaded.run(workload), workload, executor.name,
                                self.report.tally)
                if found is not None:
                    return workload, found
        except Rejected as rejected:
            found = compare(runs[0][1], rejected, workload, executor.name)
            return None if found is None else (workload, found)
        except Exception as error:
            return workload, unexpected(error, executor.name)
        return None

    def _save(self, case: Case, executor: Executor) -> None:
        started = time.monotonic()
        name = f"seed-{self.report.seed}-module-{self.report.modules - 1}"
        save(case, self._out_dir, f"{name}-whole")
        smaller = minimise(
            case, lambda data, setup, workload: check(self.oracle, executor, data, setup, workload),
            seconds=self._minimise_seconds)
        self.report.saved.append((save(smaller, self._out_dir, name), smaller.mismatch))
        self._minimising += time.monotonic() - started


def _setup(choices: Choices, generated: Generated) -> Setup:
    """How to load a module: growth limit and entry points vary."""
    limit = choices.pick((None, None, None, 0, 1 << 17, 3 << 16, (4 << 16) + 1))
    names = tuple(name for name, _ in generated.entries)
    return Setup(limit, names if choices.chance(1, 4) else None, "trap")


def _tight_fuel(choices: Choices, runs: Sequence[AgentRun]) -> int:
    """A budget that runs out in some of the runs: near what one of them used."""
    used = [outcome.fuel for agent in runs for outcome in agent.outcomes if outcome.fuel]
    fuel = choices.pick(used) if used else 100
    return max(1, choices.pick((fuel, fuel - 1, fuel + 1, fuel // 2, fuel // 3)))
