"""Loads, stores, moves and address conversions."""

from __future__ import annotations

from collections.abc import Sequence

from .body import BodyWriter
from .module import (
    WIDTHS,
    Address,
    Immediate,
    Instruction,
    Operand,
    Register,
    Space,
    Symbol,
    Vector,
)
from .records import CONSTANT, GLOBAL, WRITE, Launch
from .writer import Fields

_VECTORS = {"": 1, "v2": 2, "v4": 4}


def _space(f: Fields) -> Space | None:
    return Space(f["space"]) if f.get("space") else None


def _access(w: BodyWriter, f: Fields, where: Operand, size: int, write: bool) -> str:
    """Check an access of ``size`` bytes in all; pointer to its first byte."""
    if not isinstance(where, Address):
        raise w.error("an address must stand here")
    space = _space(f)
    if space is Space.PARAM and isinstance(where.base, Symbol):
        parameter, pointer = w.parameter_at(where, size)
        if write and not parameter.writable:
            raise w.error("this parameter can only be read")
        return pointer
    address = w.address(where, space)
    place = f"i64 {size}, i64 {w.line_number}"
    if space is Space.LOCAL or space is Space.PARAM:
        if write and space is Space.PARAM:
            raise w.error("parameters are only written by their names")
        return w.assign(f"call ptr @ptx_local(ptr %thread, i64 {address}, {place})")
    flags = WRITE if write else 0
    if f.get("nc") or space is Space.CONST:
        flags |= CONSTANT
    if space is not None:
        flags |= GLOBAL
    w.line(f"call void @ptx_access(ptr %thread, i64 {address}, {place}, i64 {flags})")
    return w.assign(f"inttoptr i64 {address} to ptr")


def _items(w: BodyWriter, f: Fields, operand: Operand) -> Sequence[Operand | None]:
    count = _VECTORS[f["vec"]]
    if count == 1:
        return (operand,)
    if not isinstance(operand, Vector) or len(operand.items) != count:
        raise w.error(f"a vector of {count} must stand here")
    return operand.items


def load(w: BodyWriter, f: Fields, inst: Instruction) -> None:
    """``ld``: a register wider than the type gets the value extended as the type says."""
    destination, where = inst.operands
    type_ = f["type"]
    items = _items(w, f, destination)
    size = WIDTHS[type_] // 8
    pointer = _access(w, f, where, size * len(items), write=False)
    volatile = "volatile " if f.get("strong") else ""
    for n, item in enumerate(items):
        if item is not None:
            part = w.assign(f"getelementptr i8, ptr {pointer}, i64 {n * size}")
            value = w.assign(f"load {volatile}i{8 * size}, ptr {part}, align 1")
            w.set(item, value, type_, wider=True)


def store(w: BodyWriter, f: Fields, inst: Instruction) -> None:
    """``st``: of a register wider than the type, the low bits."""
    where, source = inst.operands
    type_ = f["type"]
    items = _items(w, f, source)
    size = WIDTHS[type_] // 8
    pointer = _access(w, f, where, size * len(items), write=True)
    volatile = "volatile " if f.get("strong") else ""
    for n, item in enumerate(items):
        if item is None:
            raise w.error("nothing to store")
        value = w.source(item, type_, wider=True)
        part = w.assign(f"getelementptr i8, ptr {pointer}, i64 {n * size}")
        w.line(f"store {volatile}i{8 * size} {value}, ptr {part}, align 1")


def move(w: BodyWriter, f: Fields, inst: Instruction) -> None:
    """``mov``: also of addresses and special registers, and taking vectors apart or together."""
    destination, source = inst.operands
    type_ = f["type"]
    width = WIDTHS[type_]
    if isinstance(source, Vector):
        part = _part(w, source, width)
        whole = "0"
        for n, item in enumerate(source.items):
            assert item is not None
            value = w.resize(w.source(item, f"b{part}"), part, width)
            whole = w.assign(
                f"or i{width} {whole}, {w.assign(f'shl i{width} {value}, {n * part}')}"
            )
        w.set(destination, whole, type_)
    elif isinstance(destination, Vector):
        part = _part(w, destination, width)
        value = w.source(source, type_)
        for n, item in enumerate(destination.items):
            if isinstance(item, Register):
                shifted = w.assign(f"lshr i{width} {value}, {n * part}")
                w.set(item, w.resize(shifted, width, part), f"b{part}")
    else:
        w.set(destination, w.source(source, type_), type_)


def _part(w: BodyWriter, vector: Vector, width: int) -> int:
    """Width of the parts of a vector, which is packed into ``width`` bits."""
    part = width // len(vector.items)
    fits = len(vector.items) in (2, 4) and part in (8, 16, 32, 64)
    if not fits or any(isinstance(item, Immediate) for item in vector.items):
        raise w.error("vectors like this cannot be moved")
    return part


def convert_address(w: BodyWriter, f: Fields, inst: Instruction) -> None:
    """``cvta``: between generic addresses and those of a space; only local ones differ."""
    destination, source = inst.operands
    value = w.source(source, "u64")
    if f["space"] == "local":
        base = w.launch_field(Launch.LOCAL)
        value = w.assign(f"{'sub' if f['to'] else 'add'} i64 {value}, {base}")
    w.set(destination, value, "u64")
