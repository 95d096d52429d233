"""IR as text, the same for the same IR; :mod:`~.parser` reads it back. See docs/ir.md."""

from __future__ import annotations

from collections.abc import Iterator

from .function import Block, Function, Inst, Value
from .module import (
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
from .text import format_attr, format_const, quote, quote_bytes
from .types import FuncType, Type


def print_module(module: Module) -> str:
    """The whole program: entities, then functions."""
    header = "".join(f"{line}\n" for line in _header_lines(module))
    functions = [print_function(function) for function in module.functions.values()]
    return "\n".join([header, *functions] if header else functions)


def print_function(function: Function) -> str:
    """One function, with a newline at the end."""
    names = Names(function)
    lines = [_function_head(function)]
    for block in function.blocks:
        lines.append(_block_head(block, names))
        lines += [f"    {print_inst(inst, names)}" for inst in block.insts]
    lines.append("}\n")
    return "\n".join(lines)


class Names:
    """Names of a function's values and blocks: numbers in order of appearance."""

    __slots__ = ("blocks", "values")

    def __init__(self, function: Function) -> None:
        self.blocks = {block: f"block{i}" for i, block in enumerate(function.blocks)}
        self.values: dict[Value, str] = {}
        values = self.values
        for block in function.blocks:
            for value in block.params:
                values[value] = f"%{len(values)}"
            for inst in block.insts:
                for value in inst.results:
                    values[value] = f"%{len(values)}"

    def value(self, value: Value) -> str:
        """A value's name; ``%?`` for one that the function does not define."""
        return self.values.get(value, "%?")

    def block(self, block: Block) -> str:
        """A block's name; ``block?`` for one that is not in the function."""
        return self.blocks.get(block, "block?")


def print_inst(inst: Inst, names: Names) -> str:
    """One instruction, on one line."""
    op, type_ = inst.op, inst.type
    text = op.name if type_ is None else f"{op.name}.{type_.value}"
    if inst.results:
        text = f"{', '.join([names.value(v) for v in inst.results])} = {text}"
    for kind, value in zip(op.attrs, inst.attrs, strict=False):
        text += f" {kind.value}={format_attr(kind, value, type_)}"
    operands = [names.value(value) for value in inst.args]
    for edge in inst.edges:
        args = ", ".join([names.value(value) for value in edge.args])
        name = names.block(edge.block)
        operands.append(f"{name}({args})" if args else name)
    if operands:
        text += " " + ", ".join(operands)
    if inst.prepaid:
        text += f" !prepaid={inst.prepaid}"
    if inst.region:
        text += f" !region={inst.region}"
    return text + _location(inst.loc)


def _location(loc: int) -> str:
    return f" @0x{loc:x}" if loc >= 0 else ""


def _block_head(block: Block, names: Names) -> str:
    params = ", ".join([f"{names.value(p)}: {p.type.value}" for p in block.params])
    return f"{names.block(block)}({params}):" if params else f"{names.block(block)}:"


def _function_head(function: Function) -> str:
    text = f"function {function.id} {_signature(function.sig, function.type)}"
    if function.units != 1:
        text += f" units={function.units}"
    if function.name:
        text += f" {quote(function.name)}"
    return f"{text}{_location(function.loc)} {{"


def _signature(sig: int, type_: FuncType) -> str:
    return f"sig={sig} {type_}"


def _header_lines(module: Module) -> Iterator[str]:
    for index, type_ in enumerate(module.types):
        above = module.supertypes.get(index)
        yield f"type {index} = {type_}" + ("" if above is None else f" sub {above}")
    for index, above in enumerate(module.objects):
        yield f"object {index}" + ("" if above is None else f" sub {above}")
    yield from map(_memory, module.memories.values())
    yield from map(_global, module.globals.values())
    yield from map(_table, module.tables.values())
    yield from map(_data, module.data.values())
    yield from map(_elem, module.elems.values())
    yield from map(_host, module.host_functions.values())
    for id_, sig in module.removed.items():
        yield f"removed {id_} {_signature(sig, module.types[sig])}"
    for tag in module.tags.values():
        yield f"tag {tag.id} sig={tag.sig}"
    yield from map(_export, module.exports)
    for id_ in module.starts:
        yield f"start {id_}"


def _limits(minimum: int, maximum: int | None, index_type: Type) -> str:
    text = f"min={minimum}"
    if maximum is not None:
        text += f" max={maximum}"
    return text + (f" index={index_type.value}" if index_type is not Type.I32 else "")


def _memory(memory: Memory) -> str:
    return f"memory {memory.id} {_limits(memory.minimum, memory.maximum, memory.index_type)}"


def _init(type_: Type, init: int | FuncInit) -> str:
    return f"func {init.id}" if isinstance(init, FuncInit) else format_const(type_, init)


def _global(item: Global) -> str:
    mutable = "mut " if item.mutable else ""
    return f"global {item.id} {mutable}{item.type.value} = {_init(item.type, item.init)}"


def _table(table: Table) -> str:
    limits = _limits(table.minimum, table.maximum, table.index_type)
    text = f"table {table.id} {table.type.value} {limits}"
    return text + (f" = {_init(table.type, table.init)}" if table.init != 0 else "")


def _data(segment: DataSegment) -> str:
    place = ""
    if segment.memory is not None:
        place = f" active {segment.memory} offset={segment.offset}"
    references = "".join(f" {at}=func {id_}" for at, id_ in segment.references)
    return f"data {segment.id}{place} {quote_bytes(segment.data)}{references}"


def _elem(segment: ElemSegment) -> str:
    place = " declarative" if segment.declarative else ""
    if segment.table is not None:
        place = f" active {segment.table} offset={segment.offset}"
    items = ", ".join([_init(segment.type, item) for item in segment.items])
    return f"elem {segment.id}{place} {segment.type.value} [{items}]"


def _host(function: HostFunction) -> str:
    missing = " missing" if function.missing else ""
    signature = _signature(function.sig, function.type)
    names = f"{quote(function.module)} {quote(function.name)}"
    return f"host {function.id}{missing} {signature} {names}"


def _export(export: Export) -> str:
    nonnull = "".join(f" {place}" for place in export.nonnull)
    text = f"export {quote(export.name)} {export.kind} {export.id}"
    return text + (f" nonnull{nonnull}" if nonnull else "")
