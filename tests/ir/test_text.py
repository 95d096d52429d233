"""Printing and parsing are inverse, on random IR of every op and type."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmc.errors import IRError
from swarmc.ir.analysis.dominators import DominatorTree
from swarmc.ir.builder import BY_SIGNATURE, Builder
from swarmc.ir.function import Block, Edge, Function, Value
from swarmc.ir.module import (
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
from swarmc.ir.ops import (
    BR_IF,
    BR_TABLE,
    JUMP,
    OPERAND_CLASSES,
    OPS,
    REFS,
    RETURN,
    RETURN_CALL,
    RETURN_CALL_REF,
    THROW,
    TRAP,
    TRY_CALL,
    TRY_CALL_REF,
    Attr,
    Effect,
    Op,
)
from swarmc.ir.parser import parse_function, parse_module
from swarmc.ir.printer import print_function, print_module
from swarmc.ir.text import Cursor, quote, quote_bytes
from swarmc.ir.types import EntityId, FuncType, Trap, Type
from swarmc.ir.verifier import verify
from swarmc.runtime.tools.random_program import make_program

TYPES = list(Type)
DETERMINISTIC = settings(derandomize=True, deadline=None)
INSTS = [op for op in OPS.values() if not op.is_terminator]


class RandomIR:
    """A random program that verifies (and would be undefined if it ran): all entities, all ops."""

    def __init__(self, seed: int) -> None:
        self.choose = random.Random(seed)
        self.module = Module()
        for _ in range(self.choose.randrange(1, 5)):
            self.module.intern(FuncType(self.some_types(), self.some_types()))
        for above, type_ in enumerate(list(self.module.types)):
            if self.choose.random() < 0.3:
                self.module.supertypes[len(self.module.types)] = above
                self.module.types.append(type_)
        for number in range(self.choose.randrange(1, 5)):
            self.module.objects.append(self.choose.choice([None, *range(number)]))
        self.entities()
        for index in range(self.choose.randrange(1, 4)):
            self.function(EntityId(1, index))

    def some_types(self) -> tuple[Type, ...]:
        return tuple(self.choose.choices(TYPES, k=self.choose.randrange(4)))

    def bits(self, type_: Type) -> int:
        n = type_.bits
        return self.choose.choice([0, 1, (1 << n) - 1, self.choose.getrandbits(n)])

    def name(self) -> str:
        alphabet = 'ab "\\%;{}\n\té\0\u2192\U0001f41d\ud800'
        return "".join(self.choose.choices(alphabet, k=self.choose.randrange(5)))

    def limits(self) -> tuple[int, int | None, Type]:
        minimum = self.choose.randrange(3)
        maximum = self.choose.choice([None, minimum, minimum + 5])
        return minimum, maximum, self.choose.choice([Type.I32, Type.I64])

    def init(self, type_: Type) -> int | FuncInit:
        if type_ is Type.FUNCREF and self.choose.random() < 0.5:
            return FuncInit(self.choose.choice(list(self.module.host_functions)))
        return self.bits(type_)

    def entities(self) -> None:
        module, choose = self.module, self.choose
        ids = [EntityId(0, 0), EntityId(0, 7), EntityId(2, 0)]
        for id_ in ids:
            sig = choose.randrange(len(module.types))
            module.host_functions[id_] = HostFunction(
                id_, sig, module.types[sig], self.name(), self.name(), choose.random() < 0.5)
            module.removed[EntityId(id_.instance, 9)] = sig
        for id_ in ids:
            module.memories[id_] = Memory(id_, *self.limits())
            element = Type.FUNCREF if id_ is ids[0] else choose.choice(REFS)
            module.tables[id_] = Table(id_, element, *self.limits(), self.init(element))
            data = choose.randbytes(choose.randrange(9))
            place = choose.choice([None, ids[0]])
            reference = ((0, id_),) if len(data) == 8 else ()
            module.data[id_] = DataSegment(id_, data, place, choose.randrange(9) if place else 0,
                                           reference)
            items = tuple([self.init(element) for _ in range(choose.randrange(4))])
            place = choose.choice([None, id_])
            module.elems[id_] = ElemSegment(id_, element, items, place, 3 if place else 0,
                                            place is None and choose.random() < 0.5)
            for kind in ("func", "memory", "table"):
                module.exports.append(Export(self.name(), kind, id_))
        for index, type_ in enumerate(TYPES):
            id_ = EntityId(0, index)
            module.globals[id_] = Global(id_, type_, True, self.init(type_))
            module.exports.append(Export(self.name(), "global", id_))

    # Functions.

    def function(self, id_: EntityId) -> None:
        module, choose = self.module, self.choose
        sig = choose.randrange(len(module.types))
        self.current = function = Function(
            id_, sig, module.types[sig], units=choose.randrange(1, 4), name=self.name(),
            loc=choose.choice([-1, 0, 99]))
        module.functions[id_] = function
        self.builder = Builder(function, module)
        self.builder.entry()
        for _ in range(choose.randrange(6)):
            handler = (Type.EXNREF,) if choose.random() < 0.5 else ()
            self.builder.block(*self.some_types(), *handler)
        kinds = self.shape()
        tree = DominatorTree(function)
        for block in function.blocks:
            block.insts.clear()
        self.pools: dict[Block, dict[Type, list[Value]]] = {}
        for block in [*tree.preorder(), *(b for b in function.blocks if not tree.reachable(b))]:
            above = tree.idom.get(block)
            inherited = self.pools[above] if above is not None else {}
            self.pools[block] = {type_: [*inherited.get(type_, ())] for type_ in TYPES}
            for param in block.params:
                self.pools[block][param.type].append(param)
            self.fill(block, *kinds[block])

    def shape(self) -> dict[Block, tuple[Op, list[Block]]]:
        """A terminator for every block, put there without operands to give the control flow."""
        kinds: dict[Block, tuple[Op, list[Block]]] = {}
        targets = self.current.blocks[1:]
        for block in self.current.blocks:
            op = self.choose.choice([JUMP, BR_IF, BR_TABLE, RETURN, TRAP, THROW, TRY_CALL,
                                     TRY_CALL_REF, RETURN_CALL, RETURN_CALL_REF])
            if op.edges and not targets:
                op = RETURN
            count = op.edges if op.edges >= 0 else self.choose.randrange(1, 4)
            kinds[block] = op, self.choose.choices(targets, k=count) if count else []
            self.builder.position_at(block)
            self.builder.inst(RETURN, edges=[Edge(target) for target in kinds[block][1]])
        return kinds

    def fill(self, block: Block, op: Op, targets: list[Block]) -> None:
        self.block = block
        self.builder.position_at(block)
        for _ in range(self.choose.randrange(12)):
            self.inst(self.choose.choice(INSTS))
        self.terminate(op, targets)

    def value(self, type_: Type) -> Value:
        pool = self.pools[self.block][type_]
        if not pool or self.choose.random() < 0.1:
            pool.append(self.builder.value(OPS["const"], type_, (), self.bits(type_)))
        return self.choose.choice(pool)

    def values(self, types: tuple[Type, ...]) -> list[Value]:
        return [self.value(type_) for type_ in types]

    def place(self, op: Op) -> None:
        self.builder.loc = self.choose.choice([-1, 0, 1, 0x1234])
        prepaid = 0 if op.effect & Effect.CALL else self.choose.choice([0, 0, 7])
        self.builder.prepaid = prepaid

    def inst(self, op: Op) -> None:
        type_ = self.choose.choice(op.types) if op.types else None
        attrs: dict[Attr, Any] = {
            kind: self.attr(kind, type_) for kind in op.attrs if kind is not Attr.SHAPE}
        if op.shapes:
            shape = self.choose.choice(op.shapes)
            attrs = {Attr.SHAPE: shape, **attrs}
            type_ = shape.lane if op.types else None
            if Attr.LANE in attrs:
                attrs[Attr.LANE] %= shape.lanes
            if Attr.SIGNED in attrs:
                attrs[Attr.SIGNED] &= shape.bits < 32
        types = self.fit(op, type_, attrs)
        if types is None:
            return
        type_, operand_types = types
        args = self.values(operand_types)
        self.place(op)
        inst = self.builder.inst(op, type_, args, *attrs.values())
        if op.name in ("load", "store"):
            inst.region = self.choose.choice([0, 0, 3])
        for result in inst.results:
            self.pools[self.block][result.type].append(result)

    def attr(self, kind: Attr, type_: Type | None) -> Any:
        choose, module = self.choose, self.module
        spaces: dict[Attr, Any] = {
            Attr.MEMORY: module.memories, Attr.SRC_MEMORY: module.memories,
            Attr.TABLE: module.tables, Attr.SRC_TABLE: module.tables, Attr.GLOBAL: module.globals,
            Attr.DATA: module.data, Attr.ELEM: module.elems,
            Attr.FUNC: {**module.functions, **module.host_functions},
        }
        if kind in spaces:
            return choose.choice(list(spaces[kind]))
        if kind is Attr.CONST:
            assert type_ is not None
            return self.bits(type_)
        simple: dict[Attr, Any] = {
            Attr.OFFSET: choose.choice([0, 8, 0xFFFFFFFF]), Attr.WIDTH: 1 << choose.randrange(5),
            Attr.SIGNED: choose.random() < 0.5, Attr.ALIGN: 1 << choose.randrange(5),
            Attr.OBJECT: choose.randrange(len(module.objects)),
            Attr.SIG: choose.randrange(len(module.types)), Attr.TRAP: choose.choice(list(Trap)),
            Attr.AMOUNT: choose.randrange(1000), Attr.LANE: choose.randrange(16),
            Attr.LANES: bytes(choose.choices(range(32), k=16)), Attr.HIGH: choose.random() < 0.5,
            Attr.REGION: choose.randrange(1, 9), Attr.COUNT: choose.randrange(1, 5),
        }
        return simple[kind]

    def fit(
        self, op: Op, type_: Type | None, attrs: dict[Attr, Any]
    ) -> tuple[Type | None, tuple[Type, ...]] | None:
        """Controlling type and operand types that suit the immediates; None if nothing does."""
        module = self.module
        if op in BY_SIGNATURE:
            return None, self.call_types(op, attrs)
        index, element, source = None, None, None
        if Attr.MEMORY in attrs:
            index = module.memories[attrs[Attr.MEMORY]].index_type
        if Attr.TABLE in attrs:
            index = module.tables[attrs[Attr.TABLE]].index_type
            element = module.tables[attrs[Attr.TABLE]].type
        if Attr.SRC_MEMORY in attrs:
            source = module.memories[attrs[Attr.SRC_MEMORY]].index_type
        if Attr.SRC_TABLE in attrs:
            source = module.tables[attrs[Attr.SRC_TABLE]].index_type
            if module.tables[attrs[Attr.SRC_TABLE]].type is not element:
                return None
        if Attr.ELEM in attrs and element is not None:
            if module.elems[attrs[Attr.ELEM]].type is not element:
                return None
        if Attr.GLOBAL in attrs:
            type_ = module.globals[attrs[Attr.GLOBAL]].type
        if type_ is not None and op.name in ("load", "store"):
            attrs[Attr.WIDTH] = size = type_.bits // 8
            if type_.is_int:
                attrs[Attr.WIDTH] = self.choose.choice([w for w in (1, 2, 4, 8) if w <= size])
            if not type_.is_int and Attr.SIGNED in attrs:
                attrs[Attr.SIGNED] = False
        elif op.name in ("table_get", "table_set"):
            type_ = element
        elif index is not None and type_ is not None:
            type_ = Type.I32 if Type.I32 in (index, source) else index
        places = iter([place for place in (index, source) if place is not None])
        types = [self.operand(op, spelled, type_, places, element) for spelled in op.operands]
        return type_, tuple(types)

    def operand(self, op: Op, spelled: str, type_: Type | None, places: Any,
                element: Type | None) -> Type:
        if op.name == "bitcast":
            assert type_ is not None
            scalars = OPERAND_CLASSES["scalar"]
            return self.choose.choice([t for t in scalars if t.bits == type_.bits])
        if spelled == "T":
            assert type_ is not None
            return type_
        if spelled == "int":
            found: Type | None = next(places, None)
            return found or self.choose.choice(OPERAND_CLASSES["int"])
        if spelled == "ref" and element is not None:
            return element
        return self.choose.choice(OPERAND_CLASSES.get(spelled) or (Type(spelled),))

    def call_types(self, op: Op, attrs: dict[Attr, Any]) -> tuple[Type, ...]:
        module = self.module
        sig = module.sig_of(attrs[Attr.FUNC]) if Attr.FUNC in attrs else attrs[Attr.SIG]
        fixed = (Type.FUNCREF,) if op.operands[0] == "funcref" else ()
        return fixed + module.types[sig].params

    def terminate(self, op: Op, targets: list[Block]) -> None:
        module = self.module
        attrs = {kind: self.attr(kind, None) for kind in op.attrs}
        appended: tuple[Type, ...] = ()
        types: tuple[Type, ...] = tuple(
            [self.operand(op, spelled, None, iter(()), None)
             for spelled in op.operands if spelled != "..."])
        if op.effect & Effect.CALL:
            types = self.call_types(op, attrs)
            sig = module.sig_of(attrs[Attr.FUNC]) if Attr.FUNC in attrs else attrs[Attr.SIG]
            appended = module.types[sig].results
            first = tuple(param.type for param in targets[0].params) if targets else ()
            tail_ok = not targets and appended == self.current.type.results
            split = len(first) - len(appended)
            try_ok = bool(targets) and split >= 0 and first[split:] == appended and bool(
                targets[1].params) and targets[1].params[-1].type is Type.EXNREF
            if not (tail_ok or try_ok):
                op, targets, types, attrs = TRAP, [], (), {Attr.TRAP: Trap.HOST}
        if op is RETURN:
            types = self.current.type.results
        args = self.values(types)
        edges = []
        for number, target in enumerate(targets):
            wanted = tuple(param.type for param in target.params)
            if op in (TRY_CALL, TRY_CALL_REF):
                wanted = wanted[: len(wanted) - (len(appended) if number == 0 else 1)]
            edges.append(Edge(target, self.values(wanted)))
        self.place(op)
        self.builder.inst(op, None, args, *attrs.values(), edges=edges)


@DETERMINISTIC
@given(st.integers(0, 2**32))
def test_random_ir_round_trips(seed: int) -> None:
    module = RandomIR(seed).module
    verify(module)
    text = print_module(module)
    again = parse_module(text)
    assert print_module(again) == text
    verify(again)
    for name in ("types", "host_functions", "removed", "memories", "globals", "tables", "data",
                 "elems", "exports", "starts"):
        assert getattr(again, name) == getattr(module, name)
    for before, after in zip(module.functions.values(), again.functions.values(), strict=True):
        assert_same(before, after)


def assert_same(before: Function, after: Function) -> None:
    """Two functions agree in everything, values being the same where they stand in one place."""
    for name in ("id", "sig", "type", "units", "name", "loc"):
        assert getattr(before, name) == getattr(after, name)
    same: dict[object, object] = {}

    def match(a: object, b: object) -> None:
        assert same.setdefault(a, b) is b

    for block, other in zip(before.blocks, after.blocks, strict=True):
        match(block, other)
        for param, param_ in zip(block.params, other.params, strict=True):
            match(param, param_)
            assert (param.type, param_.definition) == (param_.type, other)
        for inst, inst_ in zip(block.insts, other.insts, strict=True):
            for name in ("op", "type", "attrs", "loc", "prepaid", "region"):
                assert getattr(inst, name) == getattr(inst_, name)
            for value, value_ in zip(inst.args, inst_.args, strict=True):
                match(value, value_)
            for value, value_ in zip(inst.results, inst_.results, strict=True):
                match(value, value_)
                assert (value.type, value_.definition) == (value_.type, inst_)
            for edge, edge_ in zip(inst.edges, inst_.edges, strict=True):
                match(edge.block, edge_.block)
                for value, value_ in zip(edge.args, edge_.args, strict=True):
                    match(value, value_)


def test_random_ir_has_every_op_and_type() -> None:
    seen: set[tuple[Op, Type | None]] = set()
    for seed in range(400):
        for function in RandomIR(seed).module.functions.values():
            seen |= {(inst.op, inst.type) for inst in function.insts()}
    wanted = {(op, type_) for op in OPS.values() for type_ in op.types or (None,)}
    assert seen == wanted


@pytest.mark.parametrize("seed", range(10))
def test_random_programs_round_trip(seed: int) -> None:
    text = print_module(make_program(seed))
    assert print_module(parse_module(text)) == text


@DETERMINISTIC
@given(st.text(), st.binary())
def test_literals_round_trip(text: str, data: bytes) -> None:
    cursor = Cursor(f"{quote(text)} {quote_bytes(data)} {quote(text)}", 1)
    assert cursor.string() == text
    assert cursor.bytes() == data
    assert cursor.bytes() == text.encode("utf-8")
    cursor.end()


@DETERMINISTIC
@given(st.text(alphabet='%0b."[]{}(),:=-> @!;\\\n01x_typefunctionblockmemory'))
def test_no_text_crashes_the_parser(text: str) -> None:
    try:
        module = parse_module(text)
    except IRError:
        return
    assert print_module(parse_module(print_module(module))) == print_module(module)


def test_one_function_is_parsed_in_the_context_of_a_module() -> None:
    module = parse_module("memory 0.0 min=1\ntype 0 = () -> (i32)\n")
    function = parse_function("""
        function 0.0 sig=0 {
        block0:
            %0 = memory_size.i32 mem=0.0
            return %0
        }""", module)
    verify(module)
    assert module.functions == {EntityId(0, 0): function}
    assert print_function(function).startswith("function 0.0 sig=0 () -> (i32) {\nblock0:\n")
    with pytest.raises(IRError, match="expected one function, found 0"):
        parse_function("memory 0.0 min=1")
