"""Modules of any size for measuring the compiler: the workloads' functions, again and again."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from ...compiler.wasm.decoder import decode
from ...compiler.wasm.module import Body, Export, Func, Global, Limits, MemoryType, Module
from ...compiler.wasm.opcodes import Imm
from .encoder import encode

#: A binary is a little larger than its code: the sections' heads, types, exports, data.
_NEARLY = 0.97


def module_of_size(sources: Sequence[bytes], size: int) -> bytes:
    """A valid module of about so many bytes, or as many as all of the first source."""
    modules = [decode(source) for source in sources]
    whole = Module(features=modules[0].features)
    code = 0
    for number in itertools.count():
        module = modules[number % len(modules)]
        length = sum(func.end - func.start for func in module.funcs)
        if number and code + length > size * _NEARLY:
            return encode(whole)
        code += length
        _append(whole, module, number)
    raise AssertionError


def _append(whole: Module, module: Module, number: int) -> None:
    """Put a module behind others; all use one memory, and every ``run`` is exported."""
    assert not module.imports and not module.elems  # so an empty table is all there may be
    types, funcs, globals_ = len(whole.types), len(whole.funcs), len(whole.globals)
    shifts = {Imm.FUNC: funcs, Imm.GLOBAL: globals_}
    whole.types += module.types
    whole.func_types += [types + index for index in module.func_types]
    for func in module.funcs:
        body = _shifted(func.body, shifts, types)
        whole.funcs.append(
            Func(types + func.type_index, func.locals, body, func.start, func.end))
    whole.globals += [Global(g.type, g.init, g.offset) for g in module.globals]
    pages = [memory.limits.minimum for memory in whole.memories + module.memories]
    whole.memories = [MemoryType(Limits(max(pages)))]
    if number == 0:
        whole.data += module.data
    whole.exports += [
        Export(f"{export.name}{number}", "func", funcs + export.index, 0)
        for export in module.exports
        if export.kind == "func" and export.name == "run"
    ]


def _shifted(body: Body, shifts: dict[Imm, int], types: int) -> Body:
    imms: list[Any] = []
    for op, imm in zip(body.ops, body.imms, strict=True):
        if op.imm in shifts:
            imm += shifts[op.imm]
        elif op.imm is Imm.BLOCK and isinstance(imm, int):
            imm += types
        imms.append(imm)
    return Body(body.ops, imms, body.offsets)
