"""Prints a module in the text format: flat, one instruction a line, the same text every time.

Indices stay numbers, except that functions have their names where these are unique identifiers.
What the text format cannot say (custom sections) becomes a comment.
"""

from __future__ import annotations

import math
import re
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from .module import (
    Body,
    Catch,
    Data,
    Elem,
    Func,
    GlobalType,
    Import,
    MemoryType,
    Module,
    TableType,
    TagType,
)
from .opcodes import BY_NAME, OPCODES, Imm, Opcode
from .type_printer import TypePrinter, limits_text
from .types import SOME_FUNCTION

_IDENTIFIER = re.compile(r"[0-9A-Za-z!#$%&'*+\-./:<=>?@\\^_`|~]+")
_MAX_INDENT = 40  # deeper blocks stay there, so that text is linear in the number of instructions

_OPEN = frozenset((BY_NAME["block"], BY_NAME["loop"], BY_NAME["if"], BY_NAME["try_table"]))
_ELSE, _END, _REF_FUNC = BY_NAME["else"], BY_NAME["end"], BY_NAME["ref.func"]
_FUNC_USERS = frozenset(row for row in OPCODES if row.imm is Imm.FUNC)


def print_wat(module: Module) -> str:
    """The text of a valid module."""
    return "\n".join(_Printer(module).lines()) + "\n"


def _quote(data: bytes) -> str:
    return '"' + "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:02x}" for byte in data
    ) + '"'


def _quote_name(name: str) -> str:
    return _quote(name.encode("utf-8"))


def _signed(bits: int) -> Callable[[int], str]:
    return lambda value: f" {value - (1 << bits) if value >> (bits - 1) else value}"


def _float(bits: int, fraction_bits: int, code: str) -> Callable[[int], str]:
    integer = {32: "<I", 64: "<Q"}[bits]

    def text(pattern: int) -> str:
        value: float = struct.unpack(code, struct.pack(integer, pattern))[0]
        sign = "-" if pattern >> (bits - 1) else ""
        if math.isnan(value):
            return f" {sign}nan:{pattern & (1 << fraction_bits) - 1:#x}"
        if math.isinf(value):
            return f" {sign}inf"
        mantissa, _, exponent = value.hex().partition("p")
        mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
        return f" {mantissa}p{exponent}" + ("" if value.is_integer() else f" (;={value:.9g};)")
    return text


def _vector(pattern: int) -> str:
    return " i32x4" + "".join(f" {pattern >> at & 0xFFFF_FFFF:#010x}" for at in (0, 32, 64, 96))


def _index(index: int) -> str:
    return f" {index}"


def _nothing(imm: object) -> str:
    return ""


def _unless_zero(index: int) -> str:
    return f" {index}" if index else ""


def _two(imm: tuple[int, int]) -> str:
    return f" {imm[0]} {imm[1]}"


def _catch(clause: Catch) -> str:
    """A clause of a ``try_table``."""
    ref = "_ref" if clause.ref else ""
    what = f"catch_all{ref}" if clause.tag is None else f"catch{ref} {clause.tag}"
    return f" ({what} {clause.label})"


#: Text of an immediate by its kind, where it takes nothing but the immediate to tell.
_IMMEDIATES: dict[Imm, Callable[[Any], str]] = {
    Imm.NONE: _nothing,
    **dict.fromkeys((Imm.LABEL, Imm.LOCAL, Imm.GLOBAL, Imm.TABLE, Imm.DATA, Imm.ELEM, Imm.TYPE,
                     Imm.TAG), _index),
    Imm.FUNC: _index,  # or its name
    Imm.MEMORY: _unless_zero,
    Imm.BR_TABLE: lambda imm: "".join(f" {label}" for label in (*imm[0], imm[1])),
    Imm.CALL_INDIRECT: lambda imm: f"{_unless_zero(imm[1])} (type {imm[0]})",
    Imm.MEMARG: _nothing,  # _memarg
    Imm.I32: _signed(32),
    Imm.I64: _signed(64),
    Imm.F32: _float(32, 23, "<f"),
    Imm.F64: _float(64, 52, "<d"),
    Imm.V128: _vector,
    Imm.LANE: _index,
    Imm.LANES: lambda lanes: "".join(f" {lane}" for lane in lanes),
    Imm.MEMARG_LANE: _nothing,  # _memarg
    Imm.MEMORY_INIT: lambda imm: f"{_unless_zero(imm[1])} {imm[0]}",
    Imm.MEMORY_COPY: lambda imm: _two(imm) if any(imm) else "",
    Imm.TABLE_INIT: lambda imm: f" {imm[1]} {imm[0]}",
    **dict.fromkeys((Imm.TABLE_COPY, Imm.FIELD, Imm.TYPE_COUNT, Imm.TYPE_DATA, Imm.TYPE_ELEM,
                     Imm.TYPE_PAIR), _two),
}
#: The same for kinds that speak of types.
_TYPE_IMMEDIATES: dict[Imm, Callable[[TypePrinter, Any], str]] = {
    Imm.BLOCK: TypePrinter.block,
    Imm.SELECT_TYPES: lambda printer, types: printer.values("result", types),
    Imm.REF_TYPE: lambda printer, type_: f" {printer.heap(type_)}",
    Imm.TRY_TABLE: lambda printer, imm: printer.block(imm[0]) + "".join(map(_catch, imm[1])),
    **dict.fromkeys((Imm.NON_NULL_TYPE, Imm.NULLABLE_TYPE),
                    lambda printer, type_: f" {printer.value(type_)}"),
    Imm.CAST: lambda printer, imm: "".join(
        f" {text}" for text in (imm[0], *map(printer.value, imm[1:]))),
}
_TEXT_OF = [_IMMEDIATES.get(row.imm) for row in OPCODES]
_MNEMONICS = [row.name.removesuffix(" t").removesuffix(" null") for row in OPCODES]


def _memarg(row: Opcode, imm: tuple[int, ...]) -> str:
    """Memory, offset and alignment, where they are not what the text format assumes; the lane."""
    align, offset, memory, *lane = imm
    return _unless_zero(memory) + (f" offset={offset}" if offset else "") + (
        f" align={1 << align}" if 1 << align != row.width else "") + "".join(map(_index, lane))


class _Printer:
    """What is printed, and the names of its functions."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self.types = TypePrinter(module.types)
        uses = Counter(module.names.values())
        self.names = {index: f"${name}" for index, name in module.names.items()
                      if uses[name] == 1 and _IDENTIFIER.fullmatch(name)}

    def lines(self) -> Iterator[str]:
        module = self.module
        yield "(module"
        yield from self.types.definitions()
        counts = dict.fromkeys(("func", "table", "memory", "global", "tag"), 0)
        for item in module.imports:
            yield self._import(item, counts[item.kind])
            counts[item.kind] += 1
        for index, table in enumerate(module.tables, counts["table"]):
            init = "" if table.init is None else f" {self._expression(table.init)}"
            yield f"  (table (;{index};) {self.types.table(table.type)}{init})"
        for index, memory in enumerate(module.memories, counts["memory"]):
            yield f"  (memory (;{index};) {limits_text(memory.limits)})"
        for index, tag in enumerate(module.tags, counts["tag"]):
            yield f"  (tag (;{index};) (type {tag.type_index}))"
        for index, global_ in enumerate(module.globals, counts["global"]):
            yield (f"  (global (;{index};) {self.types.global_(global_.type)} "
                   f"{self._expression(global_.init)})")
        for export in module.exports:
            yield f"  (export {_quote_name(export.name)} ({export.kind} {export.index}))"
        if module.start is not None:
            yield f"  (start {self._func_ref(module.start)})"
        for index, elem in enumerate(module.elems):
            yield self._elem(index, elem)
        for index, func in enumerate(module.funcs, counts["func"]):
            yield from self._func(index, func)
        for index, data in enumerate(module.data):
            yield self._data(index, data)
        for custom in module.customs:
            yield f"  ;; custom section {_quote_name(custom.name)}: {len(custom.data)} bytes"
        yield ")"

    def _func_ref(self, index: int) -> str:
        return self.names.get(index, str(index))

    def _func_id(self, index: int) -> str:
        name = self.names.get(index)
        return f"{name} (;{index};)" if name else f"(;{index};)"

    def _import(self, item: Import, index: int) -> str:
        match item.type:
            case int():
                what = f"func {self._func_id(index)} (type {item.type})"
            case TableType():
                what = f"table (;{index};) {self.types.table(item.type)}"
            case MemoryType():
                what = f"memory (;{index};) {limits_text(item.type.limits)}"
            case GlobalType():
                what = f"global (;{index};) {self.types.global_(item.type)}"
            case TagType():
                what = f"tag (;{index};) (type {item.type.type_index})"
        return f"  (import {_quote_name(item.module)} {_quote_name(item.name)} ({what}))"

    def _func(self, index: int, func: Func) -> Iterator[str]:
        type_ = self.types.func(self.module.func_type(func.type_index))
        yield f"  (func {self._func_id(index)} (type {func.type_index}){type_}"
        for count, local in func.locals:
            if count:
                yield f"    (local{f' {self.types.value(local)}' * count})"
        yield from self._instructions(func.body)
        yield "  )"

    def _instructions(self, body: Body) -> Iterator[str]:
        depth = 2
        for row, imm in zip(body.ops[:-1], body.imms, strict=False):
            if row is _END or row is _ELSE:
                depth -= 1
            yield "  " * min(depth, _MAX_INDENT) + self._instruction(row, imm)
            if row in _OPEN or row is _ELSE:
                depth += 1

    def _instruction(self, row: Opcode, imm: Any) -> str:
        if row in _FUNC_USERS:
            return f"{row.name} {self._func_ref(imm)}"
        if row.width:
            return row.name + _memarg(row, imm)
        text = _TEXT_OF[row.index]
        return _MNEMONICS[row.index] + (
            _TYPE_IMMEDIATES[row.imm](self.types, imm) if text is None else text(imm))

    def _expression(self, body: Body) -> str:
        """A constant expression on one line."""
        return " ".join(self._instruction(row, imm)
                        for row, imm in zip(body.ops[:-1], body.imms, strict=False))

    def _place(self, keyword: str, index: int, offset: Body | None) -> str:
        """Where an active segment goes."""
        where = f" ({keyword} {index})" if index else ""
        return f"{where} (offset {self._expression(offset)})" if offset is not None else ""

    def _elem(self, index: int, elem: Elem) -> str:
        mode = " declare" if elem.mode == "declarative" else ""
        place = self._place("table", elem.table, elem.init_offset)
        if elem.type is SOME_FUNCTION and all(
                len(item.ops) == 2 and item.ops[0] is _REF_FUNC for item in elem.items):
            items = "func" + "".join(f" {self._func_ref(item.imms[0])}" for item in elem.items)
        else:
            items = self.types.value(elem.type) + "".join(
                f" (item {self._expression(item)})" for item in elem.items)
        return f"  (elem (;{index};){mode}{place} {items})"

    def _data(self, index: int, data: Data) -> str:
        place = self._place("memory", data.memory, data.init_offset)
        return f"  (data (;{index};){place} {_quote(data.data)})"
