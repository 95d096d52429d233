"""Passes change no outcome of the corpus' programs, whose imports trap when they are called."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from swarmc.compiler.frontend.translate import translate
from swarmc.compiler.pipeline import optimise
from swarmc.compiler.wasm.decoder import decode
from swarmc.ir import ops as o
from swarmc.ir.interpreter import Interpreter
from swarmc.ir.module import Module
from swarmc.runtime.tools.random_function import CONSTS

CORPUS = Path(__file__).parents[2] / "corpus"
NULL = (0,) * 8
NAMES = sorted(
    path.relative_to(CORPUS).with_suffix("").as_posix() for path in CORPUS.rglob("*.wasm")
)


def program(name: str) -> Module:
    wasm = decode((CORPUS / f"{name}.wasm").read_bytes())
    return translate(wasm, missing_imports="trap", known_host=lambda module, field, type_: False)


@functools.cache
def optimised(name: str) -> Module:
    module = program(name)
    optimise(module, verify=True)
    return module


def behaviour(module: Module) -> list[object]:
    """Calls of every export with several arguments, all on one agent."""
    agent = Interpreter(module)
    seen: list[object] = [agent.start(10_000)]
    for export in module.function_exports():
        params = module.types[module.sig_of(export.id)].params
        for number in range(3):
            args = [CONSTS.get(type_, NULL)[(number + place) * 3 % 8]
                    for place, type_ in enumerate(params)]
            seen.append((export.name, agent.invoke(export.id, args, 10_000)))
    state = agent.state
    memories = {id_: bytes(memory) for id_, memory in state.memories.items()}
    return [*seen, state.globals, state.tables, memories]


@pytest.mark.parametrize("name", NAMES)
def test_the_outcome_is_the_same(name: str) -> None:
    assert behaviour(optimised(name)) == behaviour(program(name))


def count(module: Module, op: o.Op) -> int:
    return sum(inst.op is op for function in module.functions.values() for inst in function.insts())


@pytest.mark.parametrize("name", ["sha256", "tokeniser"])
def test_the_passes_are_worth_it(name: str) -> None:
    before, after = program(name), optimised(name)
    assert count(after, o.BOUNDS_CHECK) < 0.7 * count(before, o.BOUNDS_CHECK)
    assert count(after, o.CHARGE) < 0.9 * count(before, o.CHARGE)
