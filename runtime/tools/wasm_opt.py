"""A second generator of modules that nobody here wrote: Binaryen's ``wasm-opt -ttf``.

It turns random bytes into a valid module. Everything that its modules hold is exported besides, so
that it can be compared.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...compiler.wasm import features
from ...compiler.wasm.decoder import decode
from ...compiler.wasm.module import Export, MemoryType, Module
from ...errors import SwarmcError, TargetError
from .choices import Choices
from .encoder import encode
from .generator import Generated
from .oracle import function_type

#: Binaryen's names of proposals. Those that swarmc lacks are switched off.
_FEATURES: dict[str, tuple[str, ...]] = {
    features.MUTABLE_GLOBALS: ("mutable-globals",),
    features.SIGN_EXTENSION: ("sign-ext",),
    features.SATURATING: ("nontrapping-float-to-int",),
    features.MULTI_VALUE: ("multivalue",),
    features.BULK_MEMORY: ("bulk-memory", "bulk-memory-opt"),
    features.REFERENCE_TYPES: ("reference-types",),
    features.SIMD: ("simd",),
    features.EXTENDED_CONST: ("extended-const",),
    features.TAIL_CALL: ("tail-call",),
    features.EXCEPTIONS: ("exception-handling",),
    features.MULTI_MEMORY: ("multimemory",),
    features.MEMORY64: ("memory64",),
}
_SIZES = (4000, 1000, 200, 10_000, 20_000, 40_000)
_OPTIMISATIONS: tuple[tuple[str, ...], ...] = ((), (), ("-O1",), ("-O3",), ("--fuzz-passes",))
_TIMEOUT = 120.0
_KINDS = ("memory", "global", "table")


class WasmOpt:
    """``wasm-opt`` of this machine.

    Args:
        program: None: the one on PATH.

    Raises:
        TargetError: there is none.
    """

    def __init__(self, program: str | None = None) -> None:
        found = program or shutil.which("wasm-opt")
        if found is None:
            raise TargetError("there is no wasm-opt on PATH",
                              hint="it is part of Binaryen: the package is called binaryen")
        self._program = found
        text = self._run(["--help"])
        known = set(re.findall(r"--enable-([a-z0-9-]+)", text))
        self._flags = ["--mvp-features"]
        if "--emit-exnref" in text:  # exceptions as the specification has them, not as before it
            self._flags.append("--emit-exnref")
        else:
            known.discard("exception-handling")
        for proposal, names in _FEATURES.items():
            if proposal in features.SUPPORTED:
                self._flags += [f"--enable-{name}" for name in names if name in known]

    def _run(self, args: Sequence[str]) -> str:
        try:
            done = subprocess.run([self._program, *args], capture_output=True, text=True,
                                  timeout=_TIMEOUT, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise TargetError(f"{self._program} failed: {error}") from error
        if done.returncode:
            lines = done.stderr.strip().splitlines() or ["without a word"]
            raise TargetError(f"{self._program} failed with {done.returncode}: {lines[-1]}")
        return done.stdout

    def generate(self, choices: Choices) -> Generated:
        """A module; one that swarmc cannot decode has no entries.

        Raises:
            TargetError: ``wasm-opt`` failed.
        """
        size = choices.pick(_SIZES)
        seed = b"".join(choices.below(1 << 32).to_bytes(4, "little") for _ in range(size // 4))
        optimisation = choices.pick(_OPTIMISATIONS)
        with tempfile.TemporaryDirectory(prefix="swarmc-wasm-opt-") as folder:
            source, made = Path(folder) / "in", Path(folder) / "out.wasm"
            source.write_bytes(seed)
            self._run(["-ttf", str(source), "-o", str(made), *self._flags, *optimisation])
            data = made.read_bytes()
        return from_binary(data)


def from_binary(data: bytes) -> Generated:
    """A module that came as a binary, with everything in it exported."""
    try:
        module = decode(data)
    except SwarmcError:
        return Generated(Module(), data, main=False)
    module.exports = [*module.exports, *_more_exports(module)]
    data = encode(replace(module, customs=[]))
    entries = [(item.name, function_type(module, item.index)) for item in module.exports
               if item.kind == "func"]
    memories = [item.type for item in module.imported("memory")] + list(module.memories)
    pages = 0
    if memories and isinstance(memories[0], MemoryType):
        pages = memories[0].limits.minimum
    return Generated(module, data, entries, pages, main=False)


def _more_exports(module: Module) -> list[Export]:
    """Exports of what is not exported yet, functions aside."""
    there = {(item.kind, item.index) for item in module.exports}
    counts = {"memory": len(module.memories), "global": len(module.globals),
              "table": len(module.tables)}
    return [
        Export(f"the {kind} {index}", kind, index, 0)
        for kind in _KINDS
        for index in range(len(module.imported(kind)) + counts[kind])
        if (kind, index) not in there
    ]
