"""Writes the functions of WASI and of ``swarm`` as LLVM IR, for :mod:`..wasi.compiled`.

    python -m swarmc.runtime.tools.wasi_code
"""

from __future__ import annotations

import gzip
import json
import sys

import llvmlite.binding as llvm

from ...targets.cpu.machine import Compilation
from ..host_code import host_text
from ..hosts import find, symbol
from ..mail import table as mail
from ..wasi import table as wasi
from ..wasi.compiled import FILE, made_from

#: One that says little, so that the result is the same wherever it is made.
_TRIPLE = "x86_64-unknown-linux-gnu"


def render() -> bytes:
    """The file's contents."""
    found: dict[str, str] = {}
    for table in (wasi, mail):
        for module, names in table.MODULES.items():
            for name in names:
                implementation = table.implementation(module, name)
                if implementation not in found:
                    found[implementation] = _text(module, name)
    content = {"made from": made_from(), "python": python_version(), "texts": found}
    return gzip.compress(json.dumps(content, sort_keys=True).encode(), mtime=0)


def python_version() -> str:
    """The version of Python, as far as Numba's code depends on it."""
    return ".".join(map(str, sys.version_info[:2]))


def _text(module: str, name: str) -> str:
    registration = find(module, name)
    assert registration is not None
    text = host_text(registration.build(), symbol(registration))
    compilation = _Plain(text)
    compilation.optimise()
    return compilation.text()


class _Plain(Compilation):
    """Optimised without vectors and unrolled loops, which are matters of a machine."""

    def __init__(self, text: str) -> None:
        llvm.initialize_all_targets()
        machine = llvm.Target.from_triple(_TRIPLE).create_target_machine(cpu="x86-64", opt=2)
        super().__init__(text, 2, machine)

    def optimise(self) -> None:
        options = llvm.create_pipeline_tuning_options(speed_level=2)
        options.loop_vectorization = options.slp_vectorization = False
        options.loop_unrolling = options.loop_interleaving = False
        builder = llvm.create_pass_builder(self._machine, options)
        builder.getModulePassManager().run(self._module, builder)


def main() -> None:
    """Write the file."""
    FILE.write_bytes(render())


if __name__ == "__main__":
    main()
