"""Bodies of random functions: structured control, guarded ops, fuel charged by region."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable

from ...ir import ops as o
from ...ir.builder import Builder
from ...ir.function import Block, Edge, Function, Inst, Value
from ...ir.module import Module
from ...ir.ops import NUMS, OPS, Effect, Op
from ...ir.semantics import EVALUABLE
from ...ir.types import EntityId, Trap, Type
from ...ir.vector_semantics import VECTOR_OPS
from .random_vectors import VECTORS, canonical_form, vector_form

I32, I64, F32, F64 = NUMS
V128 = Type.V128
MEMORY, TABLE, HOST = EntityId(0, 0), EntityId(0, 0), EntityId(0, 0)
GLOBALS = {type_: EntityId(0, i) for i, type_ in enumerate(NUMS)}
#: Ops that need a guard, so that they are treated one by one.
GUARDED = {o.IDIV_S, o.IDIV_U, o.IREM_S, o.IREM_U, o.TRUNC_S, o.TRUNC_U}
PURE = sorted(EVALUABLE - GUARDED - VECTOR_OPS - {o.REF_IS_NULL}, key=lambda op: op.name)
COMMON = [o.IADD, o.ISUB, o.IAND, o.IEQZ, o.IXOR, o.SELECT, o.FADD, o.FCOPYSIGN, o.FNEG, o.ISHL]
#: Ops that may leave a NaN with any bits.
NAN_ANY = frozenset(op for op in OPS.values() if "NaN any" in op.doc)
OFFSETS = (0, 0, 0, 1, 2, 4, 4, 8) * 8 + (16, 65528, 0xFFFFFFFF)
#: Values that something is special about, by type.
CONSTS = {
    I32: (0, 1, 2, 3, 4, 8, 31, 32, 255, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0xFFFFFFF8, 65532),
    I64: (0, 1, 2, 63, 64, 0x7FFFFFFF, 1 << 63, (1 << 64) - 1, (1 << 64) - 4),
    F32: (0, 0x80000000, 0x3F800000, 0xBFC00000, 0x7F800000, 0x7FC00000, 0x7F800001, 0xFFC01234),
    F64: (0, 1 << 63, 0x3FF0000000000000, 0x4008000000000000, 0x7FF0000000000000,
          0x7FF8000000000000, 0x7FF0000000000001, 0xFFF8000000001234),
    V128: (0, (1 << 128) - 1, 0x0F0E0D0C0B0A09080706050403020100, 1 << 127 | 1,
           0x7FFF8000FFFF00017F80FF01807F0080, 0x7F8000013F800000FFC01234BFC00000,
           0x7FF00000000000013FF0000000000000, 0x80000000_7FFFFFFF_4F000000_CF000001),
}


class FunctionMaker:
    """Makes the body of one random function."""

    def __init__(self, choose: random.Random, module: Module, function: Function, loc: int) -> None:
        self.choose = choose
        self.module = module
        self.function = function
        self.builder = Builder(function, module)
        self.builder.loc = loc
        self.pool: list[Value] = []
        self.addresses: list[Value] = []
        self.place = 0x4000 + 0x1000 * function.id.index
        self.budget = choose.randrange(20, 120)
        entry = self.builder.entry()
        self.pool += entry.params
        self.inst(o.FUEL_CHECK)
        self.begin_region(1)
        for type_ in NUMS:  # so that few values are constant
            self.value(o.GLOBAL_GET, type_, attrs=(GLOBALS[type_],))
        self.statements(3)
        if self.alive:
            self.give_back()

    # Fuel, as the frontend charges it.

    def begin_region(self, cost: int = 0) -> None:
        self.alive = True
        self.cost = cost
        self.traps: list[tuple[Inst, int]] = []
        self.charge = self.inst(o.CHARGE, None, [], 0)

    def end_region(self) -> None:
        self.charge.attrs = (self.cost,)
        for inst, cost in self.traps:
            inst.prepaid = self.cost - cost

    def inst(self, op: Op, type_: Type | None = None, args: Iterable[Value] = (),
             *attrs: object, edges: tuple[Edge, ...] = ()) -> Inst:
        self.builder.loc += 1
        inst = self.builder.inst(op, type_, list(args), *attrs, edges=edges)
        if op.effect & Effect.TRAP and op is not o.FUEL_CHECK:
            self.traps.append((inst, self.cost))
        return inst

    def value(self, op: Op, type_: Type | None, *args: Value, attrs: tuple[object, ...] = (),
              keep: bool = True) -> Value:
        value = self.inst(op, type_, args, *attrs).result
        if op in NAN_ANY:
            canon, form, canon_attrs = canonical_form(op, value.type, attrs)
            value = self.inst(canon, form, [value], *canon_attrs).result
        if keep:
            self.pool.append(value)
        return value

    def const(self, type_: Type, bits: int) -> Value:
        return self.value(o.CONST, type_, attrs=(bits,), keep=False)

    def jump(self, block: Block, args: list[Value]) -> None:
        self.end_region()
        self.inst(o.JUMP, edges=(Edge(block, args),))

    def give_back(self) -> None:
        self.show()
        self.end_region()
        self.inst(o.RETURN, None, [self.pick(type_) for type_ in self.function.type.results])
        self.alive = False

    # Values.

    def pick(self, type_: Type) -> Value:
        """A value of the type, rather a young one."""
        values = [value for value in self.pool if value.type is type_]
        if not values or self.choose.random() < 0.1:
            return self.const(type_, self.choose.choice(CONSTS[type_]))
        return values[-1 - min(self.choose.randrange(len(values)) for _ in range(3))]

    def some(self) -> Value:
        return self.pick(self.choose.choice(NUMS))

    def pure(self) -> None:
        op = self.choose.choice(COMMON if self.choose.random() < 0.6 else PURE)
        type_ = self.choose.choice([t for t in op.types if t in NUMS]) if op.types else None
        args = [self.pick(self.operand(op, spelled, type_)) for spelled in op.operands]
        self.value(op, type_, *args)

    def vector(self) -> None:
        op = self.choose.choice(VECTORS)
        type_, attrs = vector_form(self.choose, op)
        args = [self.pick(self.operand(op, spelled, type_)) for spelled in op.operands]
        self.value(op, type_, *args, attrs=attrs)

    def operand(self, op: Op, spelled: str, type_: Type | None) -> Type:
        if op is o.BITCAST:
            return {I32: F32, F32: I32, I64: F64, F64: I64}[type_ or I32]
        if spelled == "T":
            return type_ or I32
        classes = {"int": (I32, I64), "float": (F32, F64)}
        return self.choose.choice(classes.get(spelled) or (Type(spelled),))

    def trap_if(self, condition: Value, trap: Trap) -> None:
        self.inst(o.TRAP_IF, None, [condition], trap)

    def divide(self) -> None:
        op = self.choose.choice((o.IDIV_S, o.IDIV_U, o.IREM_S, o.IREM_U))
        type_ = self.choose.choice((I32, I64))
        a, b = self.pick(type_), self.pick(type_)
        if self.choose.random() < 0.7:
            b = self.value(o.IOR, type_, b, self.const(type_, 2))
        zero = self.value(o.IEQZ, type_, b, keep=False)
        self.trap_if(zero, Trap.INTEGER_DIVIDE_BY_ZERO)
        if op is o.IDIV_S:
            low = self.const(type_, 1 << (type_.bits - 1))
            ones = self.const(type_, (1 << type_.bits) - 1)
            low_a = self.value(o.IEQ, type_, a, low, keep=False)
            ones_b = self.value(o.IEQ, type_, b, ones, keep=False)
            both = self.value(o.IAND, I32, low_a, ones_b, keep=False)
            self.trap_if(both, Trap.INTEGER_OVERFLOW)
        self.value(op, type_, a, b)

    def truncate(self) -> None:
        """With a range that suits every type."""
        signed = self.choose.random() < 0.5
        source = self.choose.choice((F32, F64))
        a = self.pick(source)
        if self.choose.random() < 0.85:
            a = self.value(o.CONVERT_U, source, self.value(o.IAND, I32, self.pick(I32),
                                                           self.const(I32, 0xFFFF)))
        low = {F32: (0xBF800000, 0xCF000000), F64: (0xBFF << 52, 0xC1E << 52)}[source][signed]
        high = {F32: 0x4F000000, F64: 0x41E << 52}[source]
        above = self.value(o.FGT, source, a, self.const(source, low), keep=False)
        below = self.value(o.FLT, source, a, self.const(source, high), keep=False)
        inside = self.value(o.IAND, I32, above, below, keep=False)
        outside = self.value(o.IEQZ, I32, inside, keep=False)
        self.trap_if(outside, Trap.INVALID_CONVERSION)
        op = o.TRUNC_S if signed else o.TRUNC_U
        self.value(op, self.choose.choice((I32, I64)), a)

    # State.

    def address(self) -> Value:
        """One that was used before, or one that is rather in bounds, or just around the end."""
        if self.addresses and self.choose.random() < 0.5:
            address = self.choose.choice(self.addresses[-3:])
            if self.choose.random() < 0.5:
                return address
        else:
            address = self.pick(I32)
            kind = self.choose.random()
            if kind < 0.85:
                address = self.value(o.IAND, I32, address, self.const(I32, 0x3FF8))
                address = self.value(o.IOR, I32, address, self.const(I32, 32))
            elif kind < 0.98:
                address = self.value(o.IAND, I32, address, self.const(I32, 0x1F))
                address = self.value(o.IADD, I32, address, self.const(I32, 0xFFE0))
        if self.choose.random() < 0.4:
            step = self.const(I32, self.choose.choice((4, 8, 12, 16, 24, 0xFFFFFFF8)))
            address = self.value(o.IADD, I32, address, step)
        self.addresses.append(address)
        return address

    def access(self) -> None:
        address = self.address()
        type_ = self.choose.choice((*NUMS, V128))
        width = type_.bits // 8
        if type_.is_int:
            width = self.choose.choice([w for w in (1, 2, 4, 8) if w <= width])
        offset = self.choose.choice(OFFSETS)
        self.inst(o.BOUNDS_CHECK, None, [address], MEMORY, offset, width)
        if self.choose.random() < 0.5:
            self.value(o.LOAD, type_, address, attrs=(MEMORY, offset, width, False, 1))
        else:
            self.inst(o.STORE, type_, [address, self.pick(type_)], MEMORY, offset, width, 1)

    def show(self) -> None:
        """Write young values to memory, so that they are seen; floats seldom, as NaNs are."""
        place = self.const(I32, self.place)
        self.place += 64
        for i, value in enumerate(self.pool[-8:]):
            if value.type.is_int or self.choose.random() < 0.3:
                self.inst(o.STORE, value.type, [place, value], MEMORY, 8 * i,
                          value.type.bits // 8, 1)

    def global_access(self) -> None:
        type_ = self.choose.choice(NUMS)
        if self.choose.random() < 0.6:
            self.value(o.GLOBAL_GET, type_, attrs=(GLOBALS[type_],))
        else:
            self.inst(o.GLOBAL_SET, type_, [self.pick(type_)], GLOBALS[type_])

    def call(self) -> None:
        later = [id_ for id_ in self.module.functions if id_ > self.function.id]
        id_ = self.choose.choice([*later, HOST])
        type_ = self.module.types[self.module.sig_of(id_)]
        args = [self.pick(param) for param in type_.params]
        self.cost += 1
        self.end_region()
        self.pool += self.inst(o.CALL, None, args, id_).results
        self.begin_region()

    def call_indirect(self) -> None:
        """Often not what the table holds, so rather seldom. May recurse; fuel ends that."""
        if self.choose.random() < 0.8:
            return self.call()
        index = self.value(o.IAND, I32, self.pick(I32), self.const(I32, 7))
        size = self.value(o.TABLE_SIZE, I32, attrs=(TABLE,), keep=False)
        self.trap_if(self.value(o.IGE_U, I32, index, size), Trap.UNDEFINED_ELEMENT)
        target = self.value(o.TABLE_GET, Type.FUNCREF, index, attrs=(TABLE,), keep=False)
        self.trap_if(self.value(o.REF_IS_NULL, None, target), Trap.UNINITIALIZED_ELEMENT)
        sig = self.choose.randrange(len(self.module.types))
        wrong = self.value(o.IEQZ, I32, self.value(o.HAS_TYPE, None, target, attrs=(sig,)))
        self.trap_if(wrong, Trap.INDIRECT_CALL_TYPE_MISMATCH)
        args = [self.pick(param) for param in self.module.types[sig].params]
        self.cost += 1
        self.end_region()
        self.pool += self.inst(o.CALL_REF, None, [target, *args], sig).results
        self.begin_region()

    def bulk(self) -> None:
        self.cost += 1
        if self.choose.random() < 0.3:
            delta = self.const(I32, self.choose.choice((0, 1)))
            old = self.value(o.MEMORY_GROW, I32, delta, attrs=(MEMORY,))
            failed = self.value(o.IEQ, I32, old, self.const(I32, 0xFFFFFFFF))
            count = self.value(o.SELECT, I32, failed, self.const(I32, 0), delta)
        else:
            to, count = self.address(), self.const(I32, self.choose.choice((0, 3, 100)))
            self.inst(o.MEMORY_FILL, I32, [to, self.pick(I32), count], MEMORY)
        self.end_region()
        self.inst(o.CHARGE_BY, I32, [count])
        self.inst(o.FUEL_CHECK)
        self.begin_region()

    def check(self) -> None:
        """One that seldom fires."""
        value = self.value(o.IADD, I32, self.pick(I32), self.pick(I32))
        rare = self.const(I32, self.choose.choice(CONSTS[I32]))
        condition = self.value(o.IEQ, I32, value, rare, keep=self.choose.random() < 0.5)
        self.trap_if(condition, self.choose.choice((Trap.UNREACHABLE, Trap.HOST)))

    def fuel(self) -> None:
        """What it answers is not for a program to see."""
        value = self.pick(I32)
        total = self.const(I64, self.choose.choice(CONSTS[I64]))
        covered = self.value(o.FUEL_COVERS, None, total, keep=False)
        self.value(o.SELECT, I32, covered, value, value)

    def condition(self) -> Value:
        kind = self.choose.random()
        if kind < 0.1:
            return self.pick(I32)
        type_ = self.choose.choice((I32, I64))
        if kind < 0.6:
            bit = self.const(I32, 1 << self.choose.randrange(8))
            return self.value(o.IAND, I32, self.pick(I32), bit)
        args = [self.pick(type_), self.const(type_, self.choose.choice(CONSTS[type_]))]
        op = self.choose.choice((o.IEQ, o.INE, o.ILT_S, o.IGT_U, o.ILE_S, o.IGE_U))
        return self.value(op, type_, *args)

    # Control.

    def statements(self, depth: int) -> None:
        simple: list[Callable[[], None]] = [
            *[self.pure] * 10, *[self.vector] * 2, *[self.access] * 4, *[self.global_access] * 3,
            *[self.call] * 2, self.divide, self.truncate, self.call_indirect, self.bulk,
            self.check, self.show, self.fuel,
        ]
        for _ in range(self.choose.randrange(2, 10 + 5 * depth)):
            if not self.alive or self.budget <= 0:
                break
            self.budget -= 1
            self.cost += self.choose.choice((0, 1, 1, 1))
            if depth and self.choose.random() < 0.12:
                self.choose.choice((self.branches, self.branches, self.loop))(depth - 1)
            else:
                self.choose.choice(simple)()
        if self.alive:
            self.show()

    def arm(self, block: Block, depth: int, join: Block, scope: int) -> None:
        """One arm of a branch, which ends in the join, a return or a trap."""
        self.builder.position_at(block)
        self.begin_region()
        if self.choose.random() < 0.7:
            self.statements(depth)
        if self.alive:
            end = self.choose.random()
            if end < 0.05:
                self.give_back()
            elif end < 0.1:
                self.end_region()
                self.inst(o.TRAP, None, [], Trap.UNREACHABLE)
            else:
                self.cost += self.choose.choice((0, 1))
                self.jump(join, [self.pick(param.type) for param in join.params])
        self.leave(scope)

    def leave(self, scope: int) -> None:
        """Forget the values that the code to come cannot use."""
        del self.pool[scope:]
        pool = set(self.pool)
        self.addresses = [value for value in self.addresses if value in pool]

    def branches(self, depth: int) -> None:
        """An if with or without else, or a br_table; or an edge straight to the join."""
        builder = self.builder
        types = [self.choose.choice(NUMS) for _ in range(self.choose.randrange(3))]
        join = builder.block(*types)
        count = self.choose.choice((2, 2, 2, 3))
        scope = len(self.pool)
        self.cost += 1
        condition = self.condition() if count == 2 else self.pick(I32)
        arms = [builder.block() for _ in range(count)]
        edges = [Edge(arm) for arm in arms]
        if self.choose.random() < 0.4:
            edges[-1] = Edge(join, [self.pick(type_) for type_ in types])
            self.function.blocks.remove(arms.pop())
        self.end_region()
        self.inst(o.BR_IF if count == 2 else o.BR_TABLE, None, [condition], edges=tuple(edges))
        for arm in arms:
            self.arm(arm, depth, join, scope)
        builder.position_at(join)
        self.pool += join.params
        self.begin_region()

    def loop(self, depth: int) -> None:
        builder = self.builder
        types = [I32, *(self.choose.choice(NUMS) for _ in range(self.choose.randrange(3)))]
        header, after = builder.block(*types), builder.block()
        start = [self.const(I32, 0), *(self.pick(type_) for type_ in types[1:])]
        scope = len(self.pool)
        self.jump(header, start)
        builder.position_at(header)
        self.inst(o.FUEL_CHECK)
        self.begin_region()
        self.pool += header.params
        self.statements(depth)
        if self.alive:
            self.cost += 3
            one, end = self.const(I32, 1), self.const(I32, self.choose.randrange(1, 4))
            counter = self.value(o.IADD, I32, header.params[0], one)
            again = self.value(o.ILT_U, I32, counter, end, keep=False)
            carried = [counter, *(self.pick(type_) for type_ in types[1:])]
            carried = [self.choose.choice((value, param)) if i else value for i, (value, param)
                       in enumerate(zip(carried, header.params, strict=True))]
            self.end_region()
            self.inst(o.BR_IF, None, [again], edges=(Edge(header, carried), Edge(after)))
        self.leave(scope)
        builder.position_at(after)
        self.begin_region()
