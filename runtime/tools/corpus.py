"""Build the programs in ``corpus/`` and ``corpus/bench/`` from source, or check what is there.

``python -m swarmc.runtime.tools.corpus build`` compiles every program that their ``manifest.toml``
list; ``check`` compiles into a temporary directory and compares byte for byte. The manifests pin
the compilers, their versions and their flags, so both give the same bytes on every machine.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import SwarmcError, TargetError

MANIFEST = "manifest.toml"
DIRECTORIES = (Path("corpus"), Path("corpus/bench"), Path("corpus/swarm"))


@dataclass(frozen=True, slots=True)
class Build:
    """One way of making a .wasm from a source.

    Args:
        package: the PyPI package that has the compiler, ``ziglang`` (C) or ``wasmtime`` (WAT).
        version: the only version of it that gives the committed bytes.
        flags: the compiler's arguments, except for source and output.
    """

    package: str
    version: str
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """A run of a WASI command and what it must give.

    Args:
        args: ``argv[1:]``.
        stdin: what the program reads.
        env: environment variables.
        stdout: what it must print.
        exit_code: what it must exit with.
        trap: instead of an exit code, the slug of the ``swarmc.ir.types.Trap`` it must end with.
    """

    args: tuple[str, ...] = ()
    stdin: str = ""
    env: Mapping[str, str] | None = None
    stdout: str = ""
    exit_code: int = 0
    trap: str | None = None


@dataclass(frozen=True, slots=True)
class Call:
    """A call of an exported function and what it must give.

    Args:
        export: the function's name.
        args: numbers, integers signed or unsigned.
        results: its results, integers signed.
        trap: instead of results, the slug of the ``swarmc.ir.types.Trap`` it must end with.
    """

    export: str
    args: tuple[int | float, ...] = ()
    results: tuple[int | float, ...] = ()
    trap: str | None = None


@dataclass(frozen=True, slots=True)
class Bench:
    """How a program is measured, of which ``run(seed, size)`` is an export.

    Args:
        size: the second argument: how much work an agent has.
        agents: how many agents are measured at once.
        quick: whether it is among the few that ``swarmc bench --quick`` measures.
        group: what it is averaged with.
        native: name of the build that makes the native baseline of it.
    """

    size: int
    agents: int
    quick: bool = False
    group: str = "throughput"
    native: str = "native"


@dataclass(frozen=True, slots=True)
class Program:
    """A program of the corpus.

    Args:
        name: ``NAME.wasm`` is the binary.
        directory: where the manifest, the source and the binary are.
        source: name of the file.
        kind: ``command`` (WASI, has ``_start``) or ``library``.
        build: how the binary is made.
        description: one sentence.
        runs: expectations, each on a fresh instance.
        calls: expectations, all in this order on one instance; after a trap, on a fresh one.
        bench: how it is measured, if it is a workload of the benchmark.
    """

    name: str
    directory: Path
    source: str
    kind: str
    build: Build
    description: str
    runs: tuple[Run, ...]
    calls: tuple[Call, ...]
    bench: Bench | None = None

    @property
    def binary(self) -> Path:
        """Where the .wasm is."""
        return self.directory / f"{self.name}.wasm"


def load_manifest(corpus: Path) -> tuple[Program, ...]:
    """The programs that the manifest in a corpus directory lists.

    Raises:
        SwarmcError: the manifest is missing, or an entry in it is wrong.
    """
    return read_manifest(corpus)[1]


def read_manifest(corpus: Path) -> tuple[dict[str, Build], tuple[Program, ...]]:
    """The builds, by name, and the programs of a corpus directory.

    Raises:
        SwarmcError: the manifest is missing, or an entry in it is wrong.
    """
    path = corpus / MANIFEST
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        builds = {
            name: Build(b["package"], b["version"], tuple(b["flags"]))
            for name, b in table["build"].items()
        }
        return builds, tuple(
            _program(name, corpus, p, builds) for name, p in table["program"].items()
        )
    except OSError as error:
        raise SwarmcError(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, AttributeError, KeyError, TypeError) as error:
        raise SwarmcError(f"{path} is not a corpus manifest: {error!r}") from error


def _program(
    name: str, directory: Path, entry: Mapping[str, Any], builds: Mapping[str, Build]
) -> Program:
    return Program(
        name=name,
        directory=directory,
        source=entry["source"],
        kind=entry["kind"],
        build=builds[entry["build"]],
        description=entry["description"],
        runs=tuple(Run(**_tuples(run)) for run in entry.get("run", ())),
        calls=tuple(Call(**_tuples(call)) for call in entry.get("call", ())),
        bench=Bench(**entry["bench"]) if "bench" in entry else None,
    )


def _tuples(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}


def compile_program(program: Program, scratch: Path) -> bytes:
    """Compile one program and return the WebAssembly binary.

    Args:
        scratch: directory for what the compiler leaves behind.

    Raises:
        TargetError: the pinned compiler is not installed, or it refuses the source.
    """
    require_compiler(program.build)
    match program.build.package:
        case "ziglang":
            output = scratch / f"{program.name}.wasm"
            compile_c(program.build, (program.source,), program.directory, output)
            return output.read_bytes()
        case "wasmtime":
            return _assemble(program)
        case other:
            raise SwarmcError(f"{program.name}: no compiler named {other}")


def require_compiler(build: Build) -> None:
    """Make sure that a build's compiler is the one that is pinned.

    Raises:
        TargetError: it is not installed, or another version.
    """
    try:
        found = importlib.metadata.version(build.package)
    except importlib.metadata.PackageNotFoundError:
        found = "none"
    if found != build.version:
        raise TargetError(
            f"the corpus is built with {build.package} {build.version}, found {found}",
            hint="install swarmc[test]",
        )


def compile_c(build: Build, sources: Sequence[str], directory: Path, output: Path) -> None:
    """Compile C with ziglang.

    Args:
        sources: relative to ``directory``, so that no path of this machine gets into the binary.
        output: the file to write; the compiler leaves other things beside it.

    Raises:
        TargetError: the compiler refuses the source.
    """
    scratch = output.parent
    command = [sys.executable, "-m", "ziglang", "cc", *build.flags]
    done = subprocess.run(
        [*command, *sources, "-o", str(output)],
        cwd=directory,
        env={**os.environ, "ZIG_LOCAL_CACHE_DIR": str(scratch / "zig")},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise TargetError(f"{sources[0]} does not compile:\n{done.stderr.strip()}")


def _assemble(program: Program) -> bytes:
    import wasmtime

    text = (program.directory / program.source).read_text(encoding="utf-8")
    try:
        return bytes(wasmtime.wat2wasm(text))
    except wasmtime.WasmtimeError as error:
        raise TargetError(f"{program.source} does not assemble:\n{error}") from error


def build(corpus: Path) -> list[str]:
    """Compile every program into the corpus directory; return the names of those that changed."""
    return _each(corpus, write=True)


def check(corpus: Path) -> list[str]:
    """Return the names of the programs whose binary is not what the source gives."""
    return _each(corpus, write=False)


def _each(corpus: Path, *, write: bool) -> list[str]:
    changed = []
    with tempfile.TemporaryDirectory(prefix="swarmc-corpus-") as scratch:
        for program in load_manifest(corpus):
            binary = compile_program(program, Path(scratch))
            path = program.binary
            if not path.exists() or path.read_bytes() != binary:
                changed.append(program.name)
                if write:
                    path.write_bytes(binary)
    return changed


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m swarmc.runtime.tools.corpus")
    parser.add_argument("action", choices=("build", "check"))
    parser.add_argument("--corpus", type=Path, action="append", metavar="DIRECTORY")
    options = parser.parse_args(arguments)
    act = build if options.action == "build" else check
    try:
        changed = [name for folder in options.corpus or DIRECTORIES for name in act(folder)]
    except SwarmcError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for name in changed:
        print(f"{name}.wasm: {'written' if options.action == 'build' else 'differs'}")
    if not changed:
        print("every program is up to date")
    return 1 if changed and options.action == "check" else 0


if __name__ == "__main__":
    sys.exit(main())
