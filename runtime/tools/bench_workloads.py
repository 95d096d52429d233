"""The workloads of the benchmark: programs that export ``run(seed, size)``, and their inputs."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...errors import ArgumentError, SwarmcError
from .corpus import Bench, Build, Program, read_manifest

ENTRY = "run"

#: The seed of agents that are all alike.
_COMMON_SEED = 1

Seeds = NDArray[np.uint32]


class Inputs(enum.Enum):
    """How the inputs of agents differ."""

    CONVERGENT = "convergent"  # all agents alike
    DIVERGENT = "divergent"  # all different

    def seeds(self, count: int) -> Seeds:
        """uint32[count], the first argument of each agent's run."""
        if self is Inputs.CONVERGENT:
            return np.full(count, _COMMON_SEED, np.uint32)
        return np.arange(1, count + 1, dtype=np.uint32)


@dataclass(frozen=True, slots=True)
class Workload:
    """One program with how it is measured.

    Attributes:
        program: its entry in the manifest, whose ``bench`` is there.
        bench: that one.
        native: how its source becomes the native baseline.
        wasm: the binary.
    """

    program: Program
    bench: Bench
    native: Build
    wasm: bytes

    @property
    def name(self) -> str:
        """What the reports call it."""
        return self.program.name


def load_workloads(directory: Path, names: Sequence[str] = (), *, quick: bool = False
                   ) -> list[Workload]:
    """The workloads in a directory.

    Args:
        names: which; none: all.
        quick: of those, only the few for a quick run, unless names are given.

    Raises:
        ArgumentError: there is no workload of a name.
        SwarmcError: the directory has no manifest of workloads, or a binary is missing.
    """
    builds, programs = read_manifest(directory)
    found = {p.name: p for p in programs if p.bench is not None}
    if not found:
        raise SwarmcError(f"the manifest in {directory} lists no workloads")
    for name in names:
        if name not in found:
            raise ArgumentError(f"no workload {name!r}", hint=f"there are: {', '.join(found)}")
    chosen = [found[name] for name in names] or [
        p for p in found.values() if not quick or (p.bench and p.bench.quick)
    ]
    return [_load(program, builds) for program in chosen]


def _load(program: Program, builds: Mapping[str, Build]) -> Workload:
    assert program.bench is not None
    native = builds.get(program.bench.native)
    if native is None:
        raise SwarmcError(f"{program.name}: there is no build {program.bench.native!r}")
    path = program.binary
    try:
        wasm = path.read_bytes()
    except OSError as error:
        raise SwarmcError(f"cannot read {path}: {error.strerror}", hint="make corpus") from error
    return Workload(program, program.bench, native, wasm)
