"""Random programs for testing what works on IR: passes, targets.

They are structured and end: loops count, and what recursion there is through the table ends with
the fuel. Fuel is charged as the frontend does it, by region. All floats that arithmetic computes
are made canonical.
"""

from __future__ import annotations

import random

from ...ir.function import Function
from ...ir.module import (
    DataSegment,
    ElemSegment,
    Export,
    FuncInit,
    Global,
    HostFunction,
    Memory,
    Module,
    Table,
)
from ...ir.ops import NUMS
from ...ir.types import EntityId, FuncType, Type
from .random_function import CONSTS, GLOBALS, HOST, MEMORY, TABLE, FunctionMaker


def make_program(seed: int) -> Module:
    """The same program for the same seed."""
    choose = random.Random(seed)
    module = Module()
    module.memories[MEMORY] = Memory(MEMORY, 1, choose.choice((None, 1, 2)))
    module.tables[TABLE] = Table(TABLE, Type.FUNCREF, 6, choose.choice((None, 6)))
    for type_, id_ in GLOBALS.items():
        module.globals[id_] = Global(id_, type_, True, choose.choice(CONSTS[type_]))
    data = choose.randbytes(0x4100)
    module.data[EntityId(0, 0)] = DataSegment(EntityId(0, 0), data, MEMORY, 0)
    log = FuncType((Type.I32,), (Type.I32,))
    module.host_functions[HOST] = HostFunction(HOST, module.intern(log), log, "test", "log")
    for index in range(1, choose.randrange(3, 6)):
        params = [choose.choice(NUMS) for _ in range(choose.randrange(1, 5))]
        results = [choose.choice(NUMS) for _ in range(choose.randrange(3))]
        sig = FuncType(tuple(params), tuple(results))
        function_id = EntityId(0, index)
        module.functions[function_id] = Function(function_id, module.intern(sig), sig,
                                                 loc=index * 10_000)
    handles: list[int | FuncInit] = [0, *map(FuncInit, module.functions)]
    items = [choose.choice(handles) for _ in range(5)]
    elem = ElemSegment(EntityId(0, 0), Type.FUNCREF, tuple(items), TABLE, 0)
    module.elems[elem.id] = elem
    module.exports = [Export(f"f{id_}", "func", id_) for id_ in module.functions]
    for id_, function in module.functions.items():
        FunctionMaker(choose, module, function, id_.index * 10_000)
    return module
