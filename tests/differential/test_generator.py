"""The generator: everything it makes is valid, and it makes everything."""

from __future__ import annotations

import random

import pytest
from wasmtime import wat2wasm

from swarmc.compiler.frontend.translate import translate
from swarmc.compiler.wasm.decoder import decode
from swarmc.compiler.wasm.opcodes import BY_NAME
from swarmc.compiler.wasm.printer import print_wat
from swarmc.compiler.wasm.validator import validate
from swarmc.ir.function import Block
from swarmc.ir.interpreter import Interpreter
from swarmc.ir.types import FuncType
from swarmc.runtime.tools.choices import ByteSource, Choices, RandomSource, ReplaySource
from swarmc.runtime.tools.encoder import encode
from swarmc.runtime.tools.generator import (
    Generated,
    GeneratorOptions,
    generate,
    generate_scripts,
)
from swarmc.runtime.tools.oracle import Oracle

SEEDS = range(60)

#: Instructions that leave nothing in the IR of their own, or only where they are used.
STRUCTURE = {
    "nop", "block", "loop", "if", "else", "end", "try_table", "br", "return", "drop", "local.get",
    "local.set", "local.tee", "i32.const", "i64.const", "f32.const", "f64.const", "v128.const",
    "ref.null",
}


def made(seed: int) -> Generated:
    return generate(Choices(RandomSource(seed)))


@pytest.fixture(scope="module")
def modules() -> list[Generated]:
    return [made(seed) for seed in SEEDS]


def test_modules_are_valid(modules: list[Generated]) -> None:
    oracle = Oracle()
    for generated in modules:
        assert oracle.rejects(generated.data) is None
        validate(decode(generated.data))


def test_every_instruction_is_generated(modules: list[Generated]) -> None:
    missing = BY_NAME.keys() - set().union(*(generated.opcodes() for generated in modules))
    for seed in range(len(SEEDS), 3 * len(SEEDS)):
        if not missing:
            return
        missing = missing - made(seed).opcodes()
    assert not missing


class Covering(Interpreter):
    """Remembers the blocks that ran."""

    seen: set[Block]

    def steps(self, block: Block):  # type: ignore[no-untyped-def]
        self.seen.add(block)
        return super().steps(block)


def executed(generated: Generated, seed: int) -> set[str]:
    """Names of the instructions in blocks that ran."""
    module = decode(generated.data)
    at = {offset: row.name for func in module.funcs
          for row, offset in zip(func.body.ops, func.body.offsets, strict=True)}
    program = translate(module, missing_imports="trap", known_host=_no_host)
    agent = Covering(program)
    agent.seen = set()
    entries = {export.name: export.id for export in program.function_exports()}
    scripts = generate_scripts(Choices(RandomSource(seed)), generated, 2, 1)
    for script in scripts:
        for call in script.calls:
            agent.instantiate()
            agent.start(2000)
            agent.invoke(entries[call.entry], call.args, 2000)
    return {at[inst.loc] for block in agent.seen for inst in block.insts if inst.loc in at}


def _no_host(module: str, name: str, type_: FuncType) -> bool:
    return False


def test_every_instruction_is_executed() -> None:
    missing = BY_NAME.keys() - STRUCTURE
    for seed in range(600):
        missing = missing - executed(made(seed), seed)
        if not missing:
            return
    assert not missing


def test_same_choices_give_the_same_bytes(modules: list[Generated]) -> None:
    for seed in range(5):
        choices = Choices(RandomSource(seed))
        generated = generate(choices)
        assert generated.data == modules[seed].data
        assert generate(Choices(ReplaySource(choices.record))).data == generated.data


def test_no_choices_give_a_small_module() -> None:
    generated = generate(Choices(ReplaySource([])))
    assert Oracle().rejects(generated.data) is None
    assert len(generated.data) < 200


@pytest.mark.parametrize("seed", range(10))
def test_damaged_choices_give_valid_modules(seed: int) -> None:
    choices = Choices(RandomSource(seed))
    generate(choices)
    damage = random.Random(seed)
    record = list(choices.record)
    for _ in range(20):
        del record[damage.randrange(len(record))]
        record[damage.randrange(len(record))] = damage.randrange(1 << 32)
    assert Oracle().rejects(generate(Choices(ReplaySource(record))).data) is None


@pytest.mark.parametrize("seed", range(10))
def test_bytes_are_choices(seed: int) -> None:
    data = random.Random(seed).randbytes(600)
    generated = generate(Choices(ByteSource(data)), GeneratorOptions(functions=3, size=80))
    assert Oracle().rejects(generated.data) is None


def test_encoder_is_the_inverse_of_the_decoder(modules: list[Generated]) -> None:
    for generated in modules:
        assert encode(decode(generated.data)) == generated.data


def test_printed_modules_assemble_to_the_same_bodies(modules: list[Generated]) -> None:
    for generated in modules:
        module = decode(generated.data)
        again = decode(bytes(wat2wasm(print_wat(module))))
        assert [func.body.ops for func in again.funcs] == [func.body.ops for func in module.funcs]
