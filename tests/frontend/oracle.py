"""Runs a module in wasmtime and, translated, in the IR interpreter, and compares what can be seen.

Compared are results, trap and its place, fuel (of calls that return), memories and globals.
"""

from __future__ import annotations

import struct
from typing import Any

import wasmtime

from swarmc.compiler.frontend.translate import translate
from swarmc.compiler.wasm.decoder import decode
from swarmc.compiler.wasm.validator import validate
from swarmc.ir.function import Function
from swarmc.ir.interpreter import Interpreter
from swarmc.ir.machine import Outcome
from swarmc.ir.module import Module
from swarmc.ir.types import EntityId, Trap, Type
from swarmc.ir.verifier import verify

FUEL = 1_000_000

#: wasmtime's trap codes; both kinds of access outside a table share one.
TRAPS = {
    Trap.UNREACHABLE: wasmtime.TrapCode.UNREACHABLE,
    Trap.MEMORY_OUT_OF_BOUNDS: wasmtime.TrapCode.MEMORY_OUT_OF_BOUNDS,
    Trap.TABLE_OUT_OF_BOUNDS: wasmtime.TrapCode.TABLE_OUT_OF_BOUNDS,
    Trap.UNDEFINED_ELEMENT: wasmtime.TrapCode.TABLE_OUT_OF_BOUNDS,
    Trap.UNINITIALIZED_ELEMENT: wasmtime.TrapCode.INDIRECT_CALL_TO_NULL,
    Trap.INDIRECT_CALL_TYPE_MISMATCH: wasmtime.TrapCode.BAD_SIGNATURE,
    Trap.INTEGER_OVERFLOW: wasmtime.TrapCode.INTEGER_OVERFLOW,
    Trap.INTEGER_DIVIDE_BY_ZERO: wasmtime.TrapCode.INTEGER_DIVISION_BY_ZERO,
    Trap.INVALID_CONVERSION: wasmtime.TrapCode.BAD_CONVERSION_TO_INTEGER,
    Trap.OUT_OF_FUEL: wasmtime.TrapCode.OUT_OF_FUEL,
    **dict.fromkeys((Trap.NULL_REFERENCE, Trap.NULL_FUNCTION_REFERENCE,
                     Trap.NULL_STRUCTURE_REFERENCE, Trap.NULL_ARRAY_REFERENCE,
                     Trap.NULL_I31_REFERENCE), wasmtime.TrapCode.NULL_REFERENCE),
    Trap.CAST_FAILURE: wasmtime.TrapCode.CAST_FAILURE,
    Trap.ARRAY_OUT_OF_BOUNDS: wasmtime.TrapCode.ARRAY_OUT_OF_BOUNDS,
}


def _engine() -> wasmtime.Engine:
    config = wasmtime.Config()
    config.consume_fuel = True
    config.cranelift_nan_canonicalization = True
    config.wasm_relaxed_simd_deterministic = True
    return wasmtime.Engine(config)


ENGINE = _engine()


def ir_of(wat: str) -> Module:
    """Text format to verified IR."""
    module = decode(bytes(wasmtime.wat2wasm(wat)))
    validate(module)
    program = translate(module, known_host=lambda *_: False)
    verify(program)
    return program


def function_of(wat: str, index: int = 0) -> Function:
    """IR of one function."""
    return ir_of(wat).functions[EntityId(0, index)]


def bits(type_: Type, value: Any) -> int:
    """The bit pattern of a value from wasmtime's interface."""
    match type_:
        case Type.F32:
            pattern: int = struct.unpack("<I", struct.pack("<f", value))[0]
            return pattern
        case Type.F64:
            pattern = struct.unpack("<Q", struct.pack("<d", value))[0]
            return pattern
        case Type.I32 | Type.I64:
            return int(value) & ((1 << type_.bits) - 1)
        case _:
            return 0 if value is None else 1


class Pair:
    """One instance in each of the two engines.

    Args:
        wat: the module's text; it may import nothing.
    """

    def __init__(self, wat: str) -> None:
        self.binary = bytes(wasmtime.wat2wasm(wat))
        module = decode(self.binary)
        validate(module)
        # At a function's entry wasmtime is still at the last group of locals: two bytes here.
        self._entries = {func.body.offsets[0]: func.body.offsets[0] - (2 if func.locals else 1)
                         for func in module.funcs}
        self.program = translate(module, known_host=lambda *_: False)
        verify(self.program)
        self.exports = {export.name: export for export in self.program.exports}
        self.store = wasmtime.Store(ENGINE)
        self.store.set_fuel(FUEL)
        compiled = wasmtime.Module(ENGINE, self.binary)
        self.theirs = wasmtime.Instance(self.store, compiled, []).exports(self.store)
        self.ours = Interpreter(self.program)
        assert self.ours.start().results == ()
        self.compare_state()

    def call(self, name: str, *args: int, fuel: int = FUEL) -> Outcome:
        """Call an export with integers (unsigned bit patterns) in both; they must agree."""
        id_ = self.exports[name].id
        outcome = self.ours.invoke(id_, args, fuel)
        type_ = self.program.functions[id_].type
        signed = [value - (1 << t.bits) if value >> (t.bits - 1) else value
                  for value, t in zip(args, type_.params, strict=True)]
        self.store.set_fuel(fuel)
        try:
            function = self.theirs[name]
            assert isinstance(function, wasmtime.Func)
            returned = function(self.store, *signed)
        except wasmtime.Trap as trap:
            assert outcome.trap is not None, (trap, outcome)
            assert TRAPS[outcome.trap] == trap.trap_code
            assert trap.frames[0].module_offset in self._places(outcome), (trap, outcome)
        else:
            values = returned if isinstance(returned, list) else [returned]
            expected = tuple(bits(t, v) for t, v in zip(type_.results, values, strict=False))
            assert outcome.results == expected, (outcome, expected)
            assert min(outcome.fuel_used, fuel) == fuel - self.store.get_fuel()
        self.compare_state()
        return outcome

    def _places(self, outcome: Outcome) -> tuple[int, ...]:
        """Where wasmtime may report a trap. (A first instruction may be a loop, which checks.)"""
        if outcome.trap is Trap.OUT_OF_FUEL and outcome.loc in self._entries:
            return outcome.loc, self._entries[outcome.loc]
        return (outcome.loc,)

    def sweep(self, name: str, *args: int) -> None:
        """Call with every budget up to a little more than the call needs."""
        needed = self.call(name, *args).fuel_used
        for fuel in range(needed + 3):
            self.call(name, *args, fuel=fuel)

    def compare_state(self) -> None:
        """All exported memories and globals are equal."""
        for export in self.exports.values():
            theirs = self.theirs[export.name]
            if isinstance(theirs, wasmtime.Memory):
                memory = self.ours.state.memories[export.id]
                assert theirs.read(self.store) == memory
            elif isinstance(theirs, wasmtime.Global):
                type_ = self.program.globals[export.id].type
                if not type_.is_ref:
                    value = bits(type_, theirs.value(self.store))
                    assert value == self.ours.state.globals[export.id]

    def write(self, address: int, data: bytes) -> None:
        """Put bytes into the exported memory ``m``."""
        memory = self.theirs["m"]
        assert isinstance(memory, wasmtime.Memory)
        memory.write(self.store, data, address)
        self.ours.state.memories[self.exports["m"].id][address:address + len(data)] = data
