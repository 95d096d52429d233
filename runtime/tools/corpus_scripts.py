"""The corpus' runs and calls as scripts for a differential run."""

from __future__ import annotations

import struct

from ...compiler.wasm.decoder import decode
from ...ir.types import Type
from .corpus import Program
from .execution import Call, Script
from .oracle import function_type

_COPIES = 3


def run_scripts(program: Program) -> tuple[Script, ...]:
    """The manifest's runs, each several times with inputs that differ."""
    scripts = []
    for run in program.runs:
        for copy in range(_COPIES):
            stdin = run.stdin.encode() + b"extra %d\n" % copy * (copy > 0)
            args = (program.name, *run.args, *(["more"] * (copy > 1)))
            scripts.append(Script((Call("_start"),), stdin=stdin, argv=args,
                                  environ=tuple((run.env or {}).items())))
    return tuple(scripts)


def call_scripts(program: Program, data: bytes) -> tuple[Script, ...]:
    """The manifest's calls, from the first on and from later ones on."""
    module = decode(data)
    types = {e.name: function_type(module, e.index).params for e in module.exports
             if e.kind == "func"}
    made = [
        Call(call.export, tuple(map(_bits, types[call.export], call.args)))
        for call in program.calls
    ]
    return tuple(Script(tuple(made[start:] + made[:start])) for start in range(len(made)))


def _bits(type_: Type, value: int | float) -> int:
    match type_:
        case Type.F32:
            return int.from_bytes(struct.pack("<f", value), "little")
        case Type.F64:
            return int.from_bytes(struct.pack("<d", value), "little")
        case _:
            return int(value) & ((1 << type_.bits) - 1)
