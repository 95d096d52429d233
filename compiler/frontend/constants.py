"""Values of constant expressions. Objects that they make lie on the heap from the beginning."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...ir import semantics
from ...ir.module import FuncInit
from ...ir.types import EntityId
from ..wasm.module import Body
from ..wasm.opcodes import BY_NAME, Imm, Opcode
from ..wasm.types import lower_types
from .emitter import Environment
from .objects import LENGTH, ObjectLayout, Slot

#: A value: a bit pattern or handle, or a function.
Constant = int | FuncInit

_CONSTANTS = frozenset((Imm.I32, Imm.I64, Imm.F32, Imm.F64, Imm.V128))
_END, _GLOBAL_GET = BY_NAME["end"], BY_NAME["global.get"]
_REF_NULL, _REF_FUNC = BY_NAME["ref.null"], BY_NAME["ref.func"]
_MASK_31 = (1 << 31) - 1
_OUTSIDE = 1 << 63  # see casts.py


def evaluate(env: Environment, body: Body) -> Constant:
    """Value of a constant expression; globals that it reads are known already."""
    stack: list[Constant] = []
    for row, imm in zip(body.ops, body.imms, strict=True):
        if row is _END:
            break
        if row.imm in _CONSTANTS:
            stack.append(imm)
        elif row is _REF_NULL:
            stack.append(0)
        elif row is _REF_FUNC:
            stack.append(FuncInit(env.functions[imm]))
        elif row is _GLOBAL_GET:
            stack.append(env.globals[imm].init)
        elif row in _OBJECTS:
            _OBJECTS[row](env, stack, imm)
        else:
            _compute(row, stack)
    (value,) = stack
    return value


def _compute(row: Opcode, stack: list[Constant]) -> None:
    assert row.ir in semantics.EVALUABLE and row.params is not None, row
    bits = [_bits(item) for item in _pop(stack, len(row.params))]
    stack.append(semantics.evaluate(row.ir, row.type, lower_types(row.params), *bits))


def _pop(stack: list[Constant], count: int) -> list[Constant]:
    values = stack[len(stack) - count:]
    del stack[len(stack) - count:]
    return values


def _bits(value: Constant) -> int:
    assert isinstance(value, int), "the validator lets only numbers through"
    return value


# Objects.


def encode(values: Sequence[tuple[Slot, Constant]], size: int
           ) -> tuple[bytearray, list[tuple[int, EntityId]]]:
    """Bytes that hold values, and the functions that they refer to."""
    content = bytearray(size)
    references = []
    for slot, value in values:
        if isinstance(value, FuncInit):
            references.append((slot.offset, value.id))
            continue
        low = value & ((1 << 8 * slot.width) - 1)
        content[slot.offset : slot.offset + slot.width] = low.to_bytes(slot.width, "little")
    return content, references


def _place(env: Environment, type_index: int, values: Sequence[tuple[Slot, Constant]], size: int,
           length: int = 0) -> int:
    content, references = encode(values, size)
    content[:LENGTH] = env.objects[type_index].to_bytes(4, "little")
    content[LENGTH : LENGTH + 4] = length.to_bytes(4, "little")
    return env.heap.place(bytes(content), references)


def _struct(env: Environment, stack: list[Constant], imm: int) -> None:
    slots, size = env.layouts[imm]
    values = _pop(stack, len(slots))
    stack.append(_place(env, imm, list(zip(slots, values, strict=True)), size))


def _struct_default(env: Environment, stack: list[Constant], imm: int) -> None:
    stack.append(_place(env, imm, [], env.layouts[imm].size))


def elements(layout: ObjectLayout, values: Sequence[Constant]) -> list[tuple[Slot, Constant]]:
    """The elements of an array, with their places."""
    (slot,) = layout.slots
    return [(slot._replace(offset=slot.offset + number * slot.width), value)
            for number, value in enumerate(values)]


def _array(env: Environment, stack: list[Constant], type_index: int,
           values: Sequence[Constant]) -> None:
    layout = env.layouts[type_index]
    (slot,) = layout.slots
    size = slot.offset + len(values) * slot.width
    stack.append(_place(env, type_index, elements(layout, values), size, len(values)))


def _array_new(env: Environment, stack: list[Constant], imm: int) -> None:
    value, length = _pop(stack, 2)
    _repeated(env, stack, imm, value, _bits(length))


def _array_default(env: Environment, stack: list[Constant], imm: int) -> None:
    (length,) = _pop(stack, 1)
    _repeated(env, stack, imm, 0, _bits(length))


def _repeated(env: Environment, stack: list[Constant], type_index: int, value: Constant,
              length: int) -> None:
    (slot,), _ = env.layouts[type_index]
    env.heap.require(slot.offset + length * slot.width)  # before anything of that size is made
    _array(env, stack, type_index, [value] * length)


def _array_fixed(env: Environment, stack: list[Constant], imm: tuple[int, int]) -> None:
    _array(env, stack, imm[0], _pop(stack, imm[1]))


def _integer(env: Environment, stack: list[Constant], imm: None) -> None:
    stack.append((_bits(stack.pop()) & _MASK_31) << 1 | 1)


def _convert(env: Environment, stack: list[Constant], imm: None) -> None:
    bits = _bits(stack.pop())
    stack.append(bits ^ _OUTSIDE if bits else 0)


_OBJECTS: dict[Opcode, Callable[..., None]] = {
    BY_NAME["struct.new"]: _struct, BY_NAME["struct.new_default"]: _struct_default,
    BY_NAME["array.new"]: _array_new, BY_NAME["array.new_default"]: _array_default,
    BY_NAME["array.new_fixed"]: _array_fixed, BY_NAME["ref.i31"]: _integer,
    BY_NAME["any.convert_extern"]: _convert, BY_NAME["extern.convert_any"]: _convert,
}
