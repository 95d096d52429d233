"""Checks that IR is well-formed: what every pass may rely on, and must leave so.

Verifying is linear in the size of the function, but for the dominator tree (n log n).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from ..errors import IRError
from .analysis.dominators import DominatorTree
from .function import Block, Function, Inst, Value
from .module import Export, FuncInit, Module
from .ops import TRY_CALL, TRY_CALL_REF
from .printer import Names, print_inst
from .types import EntityId, FuncType, Type
from .verify_inst import RuleError, callee_type, check_inst


def verify(module: Module) -> None:
    """Check the entities of a program, and all functions.

    Raises:
        IRError: what is wrong with which entity or function.
    """
    _verify_entities(module)
    for function in module.functions.values():
        verify_function(function, module)


def verify_function(function: Function, module: Module) -> None:
    """Check one function.

    Raises:
        IRError: what is wrong; it names the function, the block and the instruction.
    """
    _FunctionVerifier(function, module).run()


class _FunctionVerifier:
    def __init__(self, function: Function, module: Module) -> None:
        self.function = function
        self.module = module
        # Where each value is defined: block, and place in it (parameters: -1).
        self.places: dict[Value, tuple[Block, int]] = {}

    def fail(self, message: str, block: Block | None = None, inst: Inst | None = None) -> NoReturn:
        names = Names(self.function)
        if inst is not None:
            message = f"{print_inst(inst, names)}: {message}"
        if block is not None:
            message = f"{names.block(block)}: {message}"
        function = self.function
        name = f"{function.id} {function.name}" if function.name else str(function.id)
        raise IRError(message, function=name)

    def run(self) -> None:
        self.check_head()
        self.check_blocks()
        for block in self.function.blocks:
            self.define(block)
        for block in self.function.blocks:
            for inst in block.insts:
                try:
                    check_inst(inst, self.function, self.module)
                except RuleError as error:
                    self.fail(str(error), block, inst)
            self.check_edges(block)
        self.check_uses()

    def check_head(self) -> None:
        function, types = self.function, self.module.types
        if not 0 <= function.sig < len(types):
            self.fail(f"there is no type {function.sig}")
        if types[function.sig] != function.type:
            self.fail(f"its type is {function.type}, but type {function.sig} is "
                      f"{types[function.sig]}")
        if function.units < 1:
            self.fail(f"it costs {function.units} units of call depth")
        if not function.blocks:
            self.fail("it has no blocks")
        params = tuple(value.type for value in function.blocks[0].params)
        if params != function.type.params:
            self.fail(f"the entry's parameters are {_types(params)}, not those of "
                      f"{function.type}", function.blocks[0])

    def check_blocks(self) -> None:
        """One terminator a block, at its end; edges lead to blocks, but not to the entry."""
        blocks = set(self.function.blocks)
        if len(blocks) != len(self.function.blocks):
            self.fail("a block stands twice in the function")
        entry = self.function.blocks[0]
        for block in self.function.blocks:
            if not block.insts:
                self.fail("the block is empty", block)
            last = block.insts[-1]
            if not last.op.is_terminator:
                self.fail("the block does not end with a terminator", block, last)
            for inst in block.insts:
                if inst.op.is_terminator and inst is not last:
                    self.fail("a terminator stands before the end of the block", block, inst)
                if not inst.op.is_terminator and inst.edges:
                    self.fail("only terminators have edges", block, inst)
            if last.op.edges != len(last.edges) and not (last.op.edges < 0 and last.edges):
                wanted = "at least 1" if last.op.edges < 0 else last.op.edges
                self.fail(f"it has {len(last.edges)} edges, not {wanted}", block, last)
            for edge in last.edges:
                if edge.block not in blocks:
                    self.fail("an edge leads out of the function", block, last)
                if edge.block is entry:
                    self.fail("an edge leads to the entry", block, last)

    def define(self, block: Block) -> None:
        """Note where values are defined; each is defined once, and knows where."""
        places = self.places
        for value in block.params:
            if value in places or value.definition is not block:
                self.fail("a parameter is defined elsewhere, too", block)
            places[value] = block, -1
        for index, inst in enumerate(block.insts):
            for value in inst.results:
                if value in places or value.definition is not inst:
                    self.fail("a result is defined elsewhere, too", block, inst)
                places[value] = block, index

    def check_edges(self, block: Block) -> None:
        inst = block.insts[-1]
        appended: tuple[tuple[Type, ...], ...] = ()
        if inst.op is TRY_CALL or inst.op is TRY_CALL_REF:
            appended = callee_type(inst, self.module).results, (Type.EXNREF,)
        for number, edge in enumerate(inst.edges):
            passed = tuple([value.type for value in edge.args])
            if appended:
                passed += appended[number]
            wanted = tuple([value.type for value in edge.block.params])
            if passed != wanted:
                self.fail(f"edge {number} passes {_types(passed)} where the block takes "
                          f"{_types(wanted)}", block, inst)

    def check_uses(self) -> None:
        """Definitions dominate uses.

        A block that cannot be reached may use any value, but its own only after its definition.
        """
        places = self.places
        tree = DominatorTree(self.function)
        for block in self.function.blocks:
            reachable = tree.reachable(block)
            for index, inst in enumerate(block.insts):
                for value in _operands(inst):
                    if value not in places:
                        self.fail("an operand is not defined in the function", block, inst)
                    where, place = places[value]
                    if where is block:
                        dominates = place < index
                    elif reachable:
                        dominates = tree.reachable(where) and tree.dominates(where, block)
                    else:
                        dominates = True
                    if not dominates:
                        name = Names(self.function).value(value)
                        self.fail(f"{name} is not defined on every way here", block, inst)


def _operands(inst: Inst) -> list[Value]:
    """Operands of an instruction and its edges."""
    if not inst.edges:
        return inst.args
    return [*inst.args, *(value for edge in inst.edges for value in edge.args)]


def _types(types: tuple[Type, ...]) -> str:
    return f"({', '.join(type_.value for type_ in types)})"


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise IRError(message)


def _verify_entities(module: Module) -> None:
    for below, above in module.supertypes.items():
        _check(0 <= above < below < len(module.types), f"type {below} is below type {above}")
        _check(module.types[below] == module.types[above],
               f"type {below} cannot be called as type {above}")
    _check(list(module.supertypes) == sorted(module.supertypes), "supertypes are not in order")
    for index, number in enumerate(module.objects):
        _check(number is None or number < index, f"object {index} is below object {number}")
    for what, entities in _entity_kinds(module):
        ids = list(entities)
        _check(ids == sorted(ids), f"{what} are not in the order of their ids")
        for id_, entity in entities.items():
            _check(entity.id == id_, f"{what}: {entity.id} is filed under {id_}")
    for host in module.host_functions.values():
        _check(host.id not in module.functions, f"function {host.id} is a host function, too")
        _check(0 <= host.sig < len(module.types) and module.types[host.sig] == host.type,
               f"host function {host.id} has the wrong type")
    for id_, sig in module.removed.items():
        _check(not _is_function(module, id_), f"function {id_} is removed, but there")
        _check(0 <= sig < len(module.types), f"removed function {id_} has no type")
    for memory in module.memories.values():
        _check_limits(f"memory {memory.id}", memory.minimum, memory.maximum, memory.index_type)
    for table in module.tables.values():
        _check_limits(f"table {table.id}", table.minimum, table.maximum, table.index_type)
        _check(table.type.is_ref, f"table {table.id} holds {table.type.value}")
        _check_init(module, f"table {table.id}", table.type, table.init)
    for item in module.globals.values():
        _check_init(module, f"global {item.id}", item.type, item.init)
    _verify_segments(module)
    for number, tag in enumerate(module.tags.values()):
        _check(0 <= tag.sig < len(module.types) and not module.types[tag.sig].results,
               f"tag {tag.id} has no type, or one with results")
        _check(tag.number == number, f"tag {tag.id} has the number {tag.number}, not {number}")
    for export in module.exports:
        _check(_is_entity(module, export.kind, export.id),
               f"export {export.name!r}: there is no {export.kind} {export.id}")
        if export.nonnull:
            types = _exported_types(module, export)
            _check(max(export.nonnull) < len(types)
                   and all(types[place].is_ref for place in export.nonnull),
                   f"export {export.name!r}: what is not null is no reference")
    for id_ in module.starts:
        _check(_is_function(module, id_), f"start: there is no function {id_}")
        _check(module.types[module.sig_of(id_)] == FuncType((), ()),
               f"start function {id_} has parameters or results")


def _exported_types(module: Module, export: Export) -> tuple[Type, ...]:
    """Types of what the outside gives to an export."""
    if export.kind == "func":
        return module.types[module.sig_of(export.id)].params
    return (module.globals[export.id].type,) if export.kind == "global" else ()


def _verify_segments(module: Module) -> None:
    for data in module.data.values():
        _check(data.memory is None or data.memory in module.memories,
               f"data segment {data.id}: there is no memory {data.memory}")
        _check(data.offset >= 0, f"data segment {data.id} has a negative offset")
        for place, function in data.references:
            _check(0 <= place <= len(data.data) - 8,
                   f"data segment {data.id} has no room for a reference at {place}")
            _check(_is_function(module, function) or function in module.removed,
                   f"data segment {data.id}: there is no function {function}")
    for elem in module.elems.values():
        name = f"element segment {elem.id}"
        if elem.table is not None:
            _check(elem.table in module.tables, f"{name}: there is no table {elem.table}")
            _check(module.tables[elem.table].type is elem.type and not elem.declarative,
                   f"{name} does not suit table {elem.table}")
        _check(elem.offset >= 0, f"{name} has a negative offset")
        for item in elem.items:
            _check_init(module, name, elem.type, item)


def _entity_kinds(module: Module) -> tuple[tuple[str, Mapping[EntityId, Any]], ...]:
    return (
        ("functions", module.functions), ("host functions", module.host_functions),
        ("memories", module.memories), ("globals", module.globals), ("tables", module.tables),
        ("data segments", module.data), ("element segments", module.elems),
        ("tags", module.tags),
    )


def _is_entity(module: Module, kind: str, id_: EntityId) -> bool:
    match kind:
        case "func":
            return _is_function(module, id_)
        case "memory":
            return id_ in module.memories
        case "table":
            return id_ in module.tables
        case "global":
            return id_ in module.globals
        case "tag":
            return id_ in module.tags
        case _:
            return False


def _is_function(module: Module, id_: EntityId) -> bool:
    return id_ in module.functions or id_ in module.host_functions


def _check_limits(name: str, minimum: int, maximum: int | None, index_type: Type) -> None:
    _check(index_type.is_int, f"{name} is indexed by {index_type.value}")
    _check(0 <= minimum and (maximum is None or minimum <= maximum),
           f"{name} has limits {minimum} to {maximum}")


def _check_init(module: Module, name: str, type_: Type, init: int | FuncInit) -> None:
    if isinstance(init, FuncInit):
        _check(type_ is Type.FUNCREF, f"{name}: a function is no {type_.value}")
        _check(_is_function(module, init.id) or init.id in module.removed,
               f"{name}: there is no function {init.id}")
    else:
        _check(0 <= init < 1 << type_.bits, f"{name}: {init} is no bit pattern of {type_.value}")
