"""The state of the validation algorithm: operand types, open blocks, and what a body refers to.

The operand stack is a plain list of types. Each open block has put a mark below its own
operands: ``BARRIER``, or ``POLYMORPHIC`` once its rest is unreachable, from where any number of
operands of unknown type can be popped. So a type test on the top of the stack is also the test
for underflow, and the common instructions need nothing else.
"""

from __future__ import annotations

import enum
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final, TypeAlias

from ...errors import ValidationError
from ...ir.types import Type
from .features import GC, FeatureSet
from .module import GlobalType, TableType
from .opcodes import BY_NAME, Opcode
from .types import DefType, FuncType, ValueType, is_defaultable, matches

#: Operands at most; only calls of functions with very many results get there.
MAX_OPERANDS = 1_000_000

#: Locals up to here have their types listed; of more than these only the runs are kept, as a
#: function of a few bytes may declare 50,000.
LISTED_LOCALS = 1024


class Mark(enum.Enum):
    """What the operand stack holds besides types."""

    BARRIER = "an empty stack"
    POLYMORPHIC = "any operands"
    UNKNOWN = "any operand"  # came out of unreachable code
    REFERENCE = "any reference"  # the same, once an instruction has looked at it


BARRIER: Final = Mark.BARRIER
POLYMORPHIC: Final = Mark.POLYMORPHIC
UNKNOWN: Final = Mark.UNKNOWN
REFERENCE: Final = Mark.REFERENCE

Entry: TypeAlias = ValueType | Mark
Types: TypeAlias = tuple[ValueType, ...]
#: Types of parameters and locals, as (count, type).
LocalRuns: TypeAlias = Sequence[tuple[int, ValueType]]
#: An open block: its opcode, parameter and result types, and the place of its mark.
Block: TypeAlias = tuple[Opcode, Types, Types, int]

_BLOCK, _LOOP = BY_NAME["block"], BY_NAME["loop"]


@dataclass(slots=True)
class Context:
    """The module's index spaces, as bodies see them.

    Attributes:
        features: what the module may use.
        memories: types of their addresses. data: how many segments there are.
        references: functions that ``ref.func`` may name.
        tags: what exceptions with each tag carry.
        visible_globals: how many globals there are for the expression at hand.
    """

    features: FeatureSet
    types: list[DefType]
    funcs: list[DefType]
    tables: list[TableType]
    memories: list[Type]
    globals: list[GlobalType]
    elems: list[ValueType]
    data: int
    references: set[int]
    visible_globals: int
    tags: list[Types]


def mismatch(expected: str, found: Entry) -> ValidationError:
    """The error for an operand of another type."""
    return ValidationError(f"type mismatch: expected {expected}, found {found.value}")


def unknown(what: str, index: int) -> ValidationError:
    """The error for an index outside its index space."""
    return ValidationError(f"unknown {what} {index}")


def fits(entry: Entry, expected: ValueType) -> bool:
    """Whether an operand may stand where one of a type is expected."""
    if isinstance(entry, Mark):
        return entry is UNKNOWN or (entry is REFERENCE and expected.is_ref)
    return matches(entry, expected)


class Operands:
    """The operand stack and the open blocks of one body.

    Attributes:
        unset: locals without a default value that have not been set yet; None: there are none
            of that kind.
    """

    __slots__ = ("_set", "_set_before", "blocks", "context", "locals", "run_ends", "runs", "stack",
                 "unset")

    def __init__(self, context: Context, runs: LocalRuns, params: int, results: Types) -> None:
        self.context = context
        self.runs = runs
        self.run_ends: list[int] = []
        self.unset = _without_default(runs, params)
        self._set: list[int] = []  # in the order in which they were set
        self._set_before: list[int] = []  # for each open block but the first, how many
        self.locals: list[ValueType] = []
        for count, type_ in runs:
            self.locals += [type_] * min(count, LISTED_LOCALS - len(self.locals))
        self.stack: list[Entry] = [BARRIER]
        self.blocks: list[Block] = [(_BLOCK, (), results, 0)]

    def pop(self, expected: ValueType) -> None:
        """Pop an operand of a type."""
        top = self.stack[-1]
        if top is expected or top is UNKNOWN:
            self.stack.pop()
        elif top is not POLYMORPHIC:
            if not fits(top, expected):
                raise mismatch(expected.value, top)
            self.stack.pop()

    def pop_any(self) -> Entry:
        """Pop an operand: its type, or unknown."""
        top = self.stack[-1]
        if top is POLYMORPHIC:
            return UNKNOWN
        if top is BARRIER:
            raise mismatch("an operand", top)
        return self.stack.pop()

    def pop_all(self, types: Types) -> None:
        """Pop operands of all these types, the last one first."""
        stack = self.stack
        count = len(types)
        if tuple(stack[len(stack) - count:]) == types:
            del stack[len(stack) - count:]
            return
        for type_ in reversed(types):
            if stack[-1] is POLYMORPHIC:
                return
            self.pop(type_)

    def push_all(self, types: Types) -> None:
        """Push results of these types."""
        self.stack += types
        if len(self.stack) > MAX_OPERANDS:
            raise ValidationError(f"more than {MAX_OPERANDS} operands on the stack")

    def check_top(self, types: Types) -> None:
        """Operands of these types are on top of the stack, where they stay."""
        for depth, type_ in enumerate(reversed(types), 1):
            entry = self.stack[-depth]
            if entry is POLYMORPHIC:
                return
            if entry is not type_ and not fits(entry, type_):
                raise mismatch(type_.value, entry)

    def enter(self, row: Opcode, params: Types, results: Types) -> None:
        """Open a block whose parameters have been popped."""
        self.blocks.append((row, params, results, len(self.stack)))
        if self.unset is not None:
            self._set_before.append(len(self._set))
        self.stack.append(BARRIER)
        self.push_all(params)

    def leave(self) -> Block:
        """Close the innermost block. Its results are popped and not yet pushed."""
        block = self.blocks[-1]
        self.pop_all(block[2])
        top = self.stack[-1]
        if top is not BARRIER and top is not POLYMORPHIC:
            raise mismatch(BARRIER.value, top)
        self.stack.pop()
        if self._set_before:
            self._forget()
        return self.blocks.pop()

    def _forget(self) -> None:
        """What was set in the block that closes may not have been, for all that follows."""
        assert self.unset is not None
        before = self._set_before.pop()
        self.unset.update(self._set[before:])
        del self._set[before:]

    def set_unreachable(self) -> None:
        """The rest of the innermost block is unreachable."""
        height = self.blocks[-1][3]
        del self.stack[height + 1:]
        self.stack[height] = POLYMORPHIC

    def label_types(self, depth: int) -> Types:
        """Types of the operands that a branch takes along."""
        if depth >= len(self.blocks):
            raise unknown("label", depth)
        row, params, results, _ = self.blocks[-1 - depth]
        return params if row is _LOOP else results

    def set_local(self, index: int) -> None:
        """A local has a value from now on, to the end of the block."""
        if self.unset is not None and index in self.unset:
            self.unset.remove(index)
            self._set.append(index)

    def local(self, index: int) -> ValueType:
        """Type of a parameter or local."""
        if index < len(self.locals):
            return self.locals[index]
        self.run_ends = self.run_ends or list(accumulate(count for count, _ in self.runs))
        run = bisect_right(self.run_ends, index)
        if run == len(self.runs):
            raise unknown("local", index)
        return self.runs[run][1]

    def type_at(self, index: int) -> FuncType:
        """A function type by its index."""
        type_ = self.defined(index).composite
        if not isinstance(type_, FuncType):
            raise ValidationError(f"type mismatch: type {index} is no function type")
        return type_

    def defined(self, index: int) -> DefType:
        """A defined type by its index."""
        if index >= len(self.context.types):
            raise unknown("type", index)
        return self.context.types[index]

    def memory(self, index: int) -> Type:
        """Type of a memory's addresses."""
        if index >= len(self.context.memories):
            raise unknown("memory", index)
        return self.context.memories[index]

    def table_index(self, index: int) -> Type:
        """Type of the indices of a table that is known to be there."""
        return self.context.tables[index].limits.index_type

    def table(self, index: int) -> ValueType:
        """Element type of a table."""
        if index >= len(self.context.tables):
            raise unknown("table", index)
        return self.context.tables[index].element

    def global_(self, index: int) -> GlobalType:
        """Type of a global."""
        globals_ = self.context.globals
        if index >= self.context.visible_globals:
            if index < len(globals_) and not globals_[index].mutable:
                self.context.features.require(
                    GC, f"unknown global {index}: constant expressions may name imported globals "
                    "only", None)
            raise unknown("global", index)
        return globals_[index]

    def elem(self, index: int) -> ValueType:
        """Type of an element segment."""
        if index >= len(self.context.elems):
            raise unknown("elem segment", index)
        return self.context.elems[index]

    def tag(self, index: int) -> Types:
        """What exceptions with a tag carry."""
        if index >= len(self.context.tags):
            raise unknown("tag", index)
        return self.context.tags[index]

    def func(self, index: int) -> DefType:
        """Type of a function."""
        if index >= len(self.context.funcs):
            raise unknown("function", index)
        return self.context.funcs[index]

    def func_type(self, index: int) -> FuncType:
        """Parameter and result types of a function."""
        type_ = self.func(index).composite
        assert isinstance(type_, FuncType), "the validator has checked the function's type"
        return type_


def _without_default(runs: LocalRuns, params: int) -> set[int] | None:
    """Locals that are neither parameters nor of a type with a default value."""
    if all(is_defaultable(type_) for _, type_ in runs[params:]):
        return None
    found: set[int] = set()
    index = 0
    for number, (count, type_) in enumerate(runs):
        if number >= params and not is_defaultable(type_):
            found.update(range(index, index + count))
        index += count
    return found
