"""Large tables: what they may ask for, and what they cost."""

from __future__ import annotations

import time

import pytest

from swarmc.errors import TargetError
from swarmc.ir.module import Module, Table
from swarmc.ir.types import EntityId, Type
from swarmc.targets.executable import CompileOptions, Executable
from swarmc.targets.image import initial_state
from swarmc.targets.layout import MAX_TABLE_ELEMENTS, plan_layout


def tables(*sizes: int) -> Module:
    module = Module()
    for number, size in enumerate(sizes):
        id_ = EntityId(0, number)
        module.tables[id_] = Table(id_, Type.FUNCREF, size, None)
    return module


@pytest.mark.parametrize("sizes", [(200_000_000,), (MAX_TABLE_ELEMENTS, 1)])
def test_too_many_elements_are_refused(sizes: tuple[int, ...]) -> None:
    with pytest.raises(TargetError, match="more than the implementation limit of 10,000,000"):
        plan_layout(tables(*sizes))


def test_as_many_elements_as_allowed_are_quick() -> None:
    started = time.perf_counter()
    module = tables(MAX_TABLE_ELEMENTS)
    layout = plan_layout(module)
    state = initial_state(module, layout)
    assert state.tables == (bytes(8 * MAX_TABLE_ELEMENTS),)
    executable = Executable(
        target="cpu", fingerprint="here", objects=(), layout=layout, entries=(), hosts=(),
        global_exports=(), spans=(), signatures=(), template=state.template, runs=state.runs,
        data=state.data, elems=state.elems, tables=state.tables,
        call_depth=CompileOptions().call_depth, command=False,
    )  # fmt: skip
    data = executable.to_bytes()
    assert len(data) < 8 * MAX_TABLE_ELEMENTS + 2000
    assert Executable.from_bytes(data) == executable
    assert time.perf_counter() - started < 5
