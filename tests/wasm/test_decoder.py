"""The decoder: what it reads, and what it says of bytes that are no module."""

from __future__ import annotations

import time
import tracemalloc

import pytest
import wasmtime

from swarmc.compiler.wasm.decoder import decode
from swarmc.compiler.wasm.features import V2
from swarmc.compiler.wasm.interface import decode_interface
from swarmc.compiler.wasm.items import FunctionItems
from swarmc.compiler.wasm.module import (
    Catch,
    Elem,
    GlobalType,
    Limits,
    MemoryType,
    Module,
    Table,
    TableType,
)
from swarmc.compiler.wasm.opcodes import OPCODES, Imm, Opcode
from swarmc.compiler.wasm.reader import read_signed, read_unsigned
from swarmc.compiler.wasm.types import SOME_FUNCTION, FuncType, Heap, ValueType, ref_type
from swarmc.compiler.wasm.validator import validate
from swarmc.errors import DecodeError, UnsupportedFeatureError, ValidationError
from swarmc.ir.types import Type

HEADER = b"\0asm\1\0\0\0"
NO_TYPE = b"\x60\0\0"


def leb(value: int) -> bytes:
    """Unsigned LEB128."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def section(id_: int, payload: bytes) -> bytes:
    return bytes([id_]) + leb(len(payload)) + payload


def vector(items: list[bytes]) -> bytes:
    return leb(len(items)) + b"".join(items)


def code(body: bytes, locals_: bytes = b"\0") -> bytes:
    entry = locals_ + body + b"\x0b"
    return leb(len(entry)) + entry


def module(*bodies: bytes, types: tuple[bytes, ...] = (NO_TYPE,), extra: bytes = b"") -> bytes:
    """A module of functions of type 0; ``extra`` sections come before the code."""
    return (HEADER + section(1, vector(list(types))) + section(3, vector([b"\0"] * len(bodies)))
            + extra + section(10, vector(list(bodies))))


def from_wat(text: str) -> Module:
    decoded = decode(bytes(wasmtime.wat2wasm(text)))
    validate(decoded)
    return decoded


def test_sections() -> None:
    decoded = from_wat("""(module
        (type (func (param i32 f64) (result i64)))
        (import "env" "f" (func (type 0)))
        (import "env" "m" (memory 1 2))
        (import "env" "g" (global (mut i32)))
        (table 3 9 funcref)
        (global f32 (f32.const 1.5))
        (func (export "go") (type 0) (local i32 i32 f32) i64.const -1)
        (start 2)
        (func)
        (elem (i32.const 1) 0 1)
        (elem declare func 2)
        (elem externref (ref.null extern))
        (data (i32.const 5) "abc")
        (data "passive"))""")
    assert [type_.composite for type_ in decoded.types] == [
        FuncType((Type.I32, Type.F64), (Type.I64,)), FuncType((), ())]
    assert [(item.module, item.name, item.kind, item.type) for item in decoded.imports] == [
        ("env", "f", "func", 0), ("env", "m", "memory", MemoryType(Limits(1, 2))),
        ("env", "g", "global", GlobalType(Type.I32, True))]
    assert decoded.func_types == [0, 1]
    assert decoded.tables == [Table(TableType(Type.FUNCREF, Limits(3, 9)))]
    (global_,) = decoded.globals
    assert global_.type == GlobalType(Type.F32, False)
    assert global_.init.imms == [0x3FC00000, None]
    assert [(export.name, export.kind, export.index) for export in decoded.exports] == [
        ("go", "func", 1)]
    assert decoded.start == 2
    assert [_summary(elem) for elem in decoded.elems] == [
        ("active", SOME_FUNCTION, [[0, None], [1, None]]),
        ("declarative", SOME_FUNCTION, [[2, None]]),
        ("passive", Type.EXTERNREF, [[Type.EXTERNREF, None]])]
    assert [(data.mode, data.data) for data in decoded.data] == [
        ("active", b"abc"), ("passive", b"passive")]
    assert decoded.funcs[0].locals == ((2, Type.I32), (1, Type.F32))
    assert decoded.funcs[0].body.imms == [2**64 - 1, None]


def _summary(elem: Elem) -> tuple[str, ValueType, list[list[object]]]:
    return elem.mode, elem.type, [item.imms for item in elem.items]


def test_the_interface_is_what_the_whole_module_says() -> None:
    data = bytes(wasmtime.wat2wasm("""(module
        (type (func (param i32) (result i64)))
        (import "env" "f" (func (type 0)))
        (memory (export "memory") 1)
        (func (export "g") (result i32) i32.const 1)
        (export "h" (func 0))
        (data (i32.const 0) "data"))"""))
    found, whole = decode_interface(data), decode(data)
    for part in ("types", "imports", "func_types", "exports"):
        assert getattr(found, part) == getattr(whole, part) != []
    assert (found.funcs, found.data) == ([], [])


def test_the_interface_of_what_is_no_module() -> None:
    for data, message in (
        (b"hello", "magic header not detected"),
        (HEADER + section(1, b"\1\x40"), "malformed type"),
        (HEADER + b"\x0a\x7f", "length out of bounds"),
    ):
        with pytest.raises(DecodeError, match=message):
            decode_interface(data)


def test_offsets_point_at_the_instructions() -> None:
    data = module(code(b"\x41\x80\x01\x1a\x01"))
    (func,) = decode(data).funcs
    assert [data[offset] for offset in func.body.offsets] == [0x41, 0x1A, 0x01, 0x0B]
    assert [row.name for row in func.body.ops] == ["i32.const", "drop", "nop", "end"]
    assert data[func.start:func.end] == b"\0\x41\x80\x01\x1a\x01\x0b"


_IMMEDIATES = {
    Imm.NONE: (b"", None), Imm.BLOCK: (b"\x7f\x0b", FuncType((), (Type.I32,))),
    **{kind: (b"\x85\x01", 133) for kind in (Imm.LABEL, Imm.FUNC, Imm.LOCAL, Imm.GLOBAL,
                                              Imm.TABLE, Imm.DATA, Imm.ELEM, Imm.TYPE,
                                              Imm.TAG)},
    Imm.TRY_TABLE: (b"\x7f\3\0\x85\1\2\2\1\3\7\x0b", (
        FuncType((), (Type.I32,)),
        (Catch(133, False, 2), Catch(None, False, 1), Catch(None, True, 7)))),
    Imm.MEMORY: (b"\0", 0), Imm.BR_TABLE: (b"\2\1\x80\1\3", ((1, 128), 3)),
    Imm.CALL_INDIRECT: (b"\x81\1\2", (129, 2)), Imm.MEMARG: (b"\2\x80\2", (2, 256, 0)),
    Imm.I32: (b"\x7f", 2**32 - 1), Imm.I64: (b"\x80\x7f", 2**64 - 128),
    Imm.F32: (b"\1\2\3\4", 0x04030201), Imm.F64: (b"\1\2\3\4\5\6\7\x88", 0x8807060504030201),
    Imm.SELECT_TYPES: (b"\2\x7e\x70", (Type.I64, Type.FUNCREF)),
    Imm.REF_TYPE: (b"\x6f", Type.EXTERNREF), Imm.MEMORY_INIT: (b"\3\0", (3, 0)),
    Imm.MEMORY_COPY: (b"\0\0", (0, 0)), Imm.TABLE_INIT: (b"\3\4", (3, 4)),
    **{kind: (b"\3\x84\1", (3, 132)) for kind in (
        Imm.TABLE_COPY, Imm.FIELD, Imm.TYPE_COUNT, Imm.TYPE_DATA, Imm.TYPE_ELEM, Imm.TYPE_PAIR)},
    Imm.NON_NULL_TYPE: (b"\x70", SOME_FUNCTION), Imm.NULLABLE_TYPE: (b"\x6e", Type.ANYREF),
    Imm.CAST: (b"\1\x83\1\x6e\x6c", (131, Type.ANYREF, ref_type(False, Heap.I31))),
    Imm.V128: (bytes(range(15)) + b"\x80", 0x800e0d0c0b0a09080706050403020100),
    Imm.LANE: (b"\xff", 255), Imm.LANES: (bytes(range(240, 256)), bytes(range(240, 256))),
    Imm.MEMARG_LANE: (b"\2\x80\2\x80", (2, 256, 0, 128)),
}


@pytest.mark.parametrize("row", [row for row in OPCODES if row.name not in ("else", "end")],
                         ids=lambda row: row.name)
def test_every_instruction_with_its_immediates(row: Opcode) -> None:
    spelled = bytes([row.code]) if row.prefix is None else bytes([row.prefix]) + leb(row.code)
    raw, value = _IMMEDIATES[row.imm]
    decoded = decode(module(code(spelled + raw), extra=section(12, b"\0")))
    body = decoded.funcs[0].body
    assert body.ops[0] is row
    assert body.imms[0] == value
    assert body.ops[-1].name == "end"


@pytest.mark.parametrize("raw, bits, value", [
    (b"\0", 32, 0), (b"\x80\0", 32, 0), (b"\xff\xff\xff\xff\x0f", 32, 2**32 - 1),
    (b"\x80\x80\x80\x80\0", 32, 0), (b"\xe5\x8e\x26", 32, 624485),
])
def test_unsigned_leb128(raw: bytes, bits: int, value: int) -> None:
    assert read_unsigned(raw, 0, bits) == (value, len(raw))


@pytest.mark.parametrize("raw, bits, value", [
    (b"\x7f", 32, -1), (b"\x40", 32, -64), (b"\x3f", 32, 63), (b"\xc0\0", 32, 64),
    (b"\x80\x80\x80\x80\x78", 32, -2**31), (b"\xff\xff\xff\xff\x07", 32, 2**31 - 1),
    (b"\x80" * 9 + b"\x7f", 64, -2**63), (b"\xff" * 9 + b"\0", 64, 2**63 - 1),
    (b"\xff\xff\xff\xff\x0f", 33, 2**32 - 1),
])
def test_signed_leb128(raw: bytes, bits: int, value: int) -> None:
    assert read_signed(raw, 0, bits) == (value, len(raw))


@pytest.mark.parametrize("raw, message, offset", [
    (b"\xff\xff\xff\xff\x1f", "integer too large", 4),
    (b"\x80\x80\x80\x80\x80\0", "integer representation too long", 5),
])
def test_refuses_unsigned_leb128(raw: bytes, message: str, offset: int) -> None:
    with pytest.raises(DecodeError, match=message) as caught:
        read_unsigned(raw, 0, 32)
    assert caught.value.offset == offset


@pytest.mark.parametrize("raw", [b"\xff\xff\xff\xff\x0f", b"\x80\x80\x80\x80\x70"])
def test_refuses_signed_leb128_with_wrong_unused_bits(raw: bytes) -> None:
    with pytest.raises(DecodeError, match="integer too large"):
        read_signed(raw, 0, 32)


@pytest.mark.parametrize("data, message, offset", [
    (b"", "unexpected end", 0),
    (b"\0asx\1\0\0\0", "magic header not detected", 0),
    (b"\0asm\2\0\0\0", "unknown binary version", 4),
    (HEADER + b"\x0e\0", "malformed section id", 8),
    (HEADER + b"\1\5\0", "length out of bounds", 9),
    (HEADER + section(1, b"\1\x61"), "malformed type", 11),
    (HEADER + section(1, b"\1\x60\1\x41\0"), "malformed value type", 13),
    (HEADER + section(1, b"\0\0"), "section size mismatch", 12),
    (HEADER + section(3, b"\0") + section(1, b"\0"), "unexpected content", 11),
    (HEADER + section(2, b"\1\1\xff\0\0\0"), "malformed UTF-8 encoding", 12),
    (HEADER + section(6, b"\1\x7f\2"), "malformed mutability", 12),
    (HEADER + section(7, b"\1\0\5\0"), "malformed export kind", 12),
    (HEADER + section(9, b"\1\x08"), "malformed elements segment kind", 11),
    (HEADER + section(11, b"\1\3"), "malformed data segment kind", 11),
    (module(code(b"\xff")), "illegal opcode ff", 23),
    (module(code(b"\xfc\x20")), "illegal opcode fc 20", 23),
    (module(code(b"\xfb\x1f")), "illegal opcode fb 1f", 23),
    (module(code(b"\xfd\x9a\x01")), "illegal opcode fd 9a", 23),
    (module(code(b"\x05")), "END opcode expected", 23),
    (module(code(b"\x02\x41")), "malformed block type", 24),
    (module(code(b"\x28\x80\1\0\0")), "malformed memop flags", 24),
    (module(code(b"\x28\2" + b"\xff" * 9 + b"\2")), "integer too large", 34),
    (HEADER + section(5, b"\1\x10\0"), "malformed limits flags", 11),
    (HEADER + section(5, b"\1\4" + b"\xff" * 9 + b"\2"), "integer too large", 21),
    (HEADER + section(4, b"\1\x70\x08\0"), "malformed limits flags", 12),
    (module(code(b"\xd0\x7f")), "malformed reference type", 24),
    (module(code(b"\xfc\x09\0")), "data count section required", 23),
    (module(code(b"\x43\0\0")), "unexpected end of section or function", 27),
])
def test_malformed(data: bytes, message: str, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(data)
    assert caught.value.message.startswith(message)
    assert caught.value.offset == offset


def test_error_in_a_body_names_the_function() -> None:
    data = module(code(b""), code(b"\xff"), extra=section(7, b"\1\3bad\0\1"))
    with pytest.raises(DecodeError) as caught:
        decode(data)
    assert str(caught.value) == "illegal opcode ff (in function bad, at byte 0x24)"


@pytest.mark.parametrize("data, feature, offset", [
    (b"\0asm\x0d\0\1\0", "component-model", 4),
    (module(code(b"\xfe\x03\0")), "threads", 23),
    (module(code(b"\x06\x40\x0b")), "legacy-exception-handling", 23),
    (module(code(b"\x19")), "legacy-exception-handling", 23),
    (module(code(b"\xfc\x13")), "wide-arithmetic", 23),
    (HEADER + section(1, b"\1\x5d\0"), "stack-switching", 11),
    (HEADER + section(5, b"\1\3\1\1"), "threads", 11),
    (HEADER + section(5, b"\1\x08\1\0"), "custom-page-sizes", 11),
])
def test_names_unsupported_proposals(data: bytes, feature: str, offset: int) -> None:
    with pytest.raises(UnsupportedFeatureError) as caught:
        decode(data)
    assert (caught.value.feature, caught.value.offset) == (feature, offset)
    assert feature in str(caught.value)


@pytest.mark.parametrize("data, feature, offset", [
    (module(code(b"\x28\x40\0\0")), "multi-memory", 24),
    (module(code(b"\xfd\x80\x02")), "relaxed-simd", 23),
    (HEADER + section(5, b"\2\0\1\0\1"), "multi-memory", 13),
    (HEADER + section(2, b"\2\0\0\2\0\1\0\0\2\0\1"), "multi-memory", 16),
    (HEADER + section(5, b"\1\4\1"), "memory64", 11),
    (HEADER + section(4, b"\1\x70\5\1\1"), "memory64", 12),
])
def test_names_proposals_that_a_version_lacks(data: bytes, feature: str, offset: int) -> None:
    with pytest.raises(UnsupportedFeatureError) as caught:
        decode(data, V2)
    assert (caught.value.feature, caught.value.offset) == (feature, offset)


@pytest.mark.parametrize("body, message, offset", [
    (b"\x28\x20\0", "malformed memop flags", 24),
    (b"\x28\x60\0\0", "malformed memop flags", 24),
    (b"\x28\2\xff\xff\xff\xff\x1f", "integer too large", 29),
    (b"\x3f\1", "zero byte expected", 24),
    (b"\x3f\x80\0", "zero byte expected", 24),
])
def test_malformed_in_version_2(body: bytes, message: str, offset: int) -> None:
    with pytest.raises(DecodeError) as caught:
        decode(module(code(body)), V2)
    assert caught.value.message.startswith(message)
    assert caught.value.offset == offset


@pytest.mark.parametrize("body, imm", [
    (b"\x28\x02\x07", (2, 7, 0)),
    (b"\x28\x42\x81\1\x07", (2, 7, 129)),
    (b"\x28\x82\x80\0\x07", (2, 7, 0)),
    (b"\x28\x3f\x07", (63, 7, 0)),
    (b"\x28\2" + b"\xff" * 9 + b"\1", (2, 2**64 - 1, 0)),
    (b"\x3f\x83\0", 3),
    (b"\xfc\x0a\1\2", (1, 2)),
    (b"\xfd\x54\x41\5\6\7", (1, 6, 5, 7)),
])
def test_immediates_that_name_a_memory(body: bytes, imm: object) -> None:
    assert decode(module(code(body))).funcs[0].body.imms[0] == imm


@pytest.mark.parametrize("flags, limits", [
    (b"\0\3", Limits(3)), (b"\1\3\4", Limits(3, 4)), (b"\4\3", Limits(3, None, Type.I64)),
    (b"\5\3" + b"\xff" * 9 + b"\1", Limits(3, 2**64 - 1, Type.I64)),
    (b"\0" + b"\xff" * 9 + b"\1", Limits(2**64 - 1)),
])
def test_limits(flags: bytes, limits: Limits) -> None:
    assert decode(HEADER + section(5, b"\1" + flags)).memories[0].limits == limits
    assert decode(HEADER + section(4, b"\1\x70" + flags)).table_types()[0].limits == limits


def test_names_come_from_the_name_section_then_from_exports() -> None:
    decoded = from_wat('(module (func $one) (func (export "two")) (func))')
    assert [decoded.function_name(index) for index in range(3)] == ["one", "two", "func[2]"]


@pytest.mark.parametrize("names", [
    b"\1\xff", b"\1\5\1\0\1", b"\1\4\1\0\1\xff", b"\1\x07\1\0\xff\xff\xff\xff\x0f", b"\xff\xff\xff",
    b"\1\6\xff\xff\xff\xff\x0f\0",
])
def test_malformed_name_section_is_no_error(names: bytes) -> None:
    data = HEADER + section(0, b"\4name" + names)
    decoded = decode(data)
    assert decoded.names == {}
    assert [(custom.name, custom.data) for custom in decoded.customs] == [("name", names)]


@pytest.mark.parametrize("id_", [1, 2, 3, 4, 5, 6, 7, 9, 10, 11])
def test_declared_counts_allocate_nothing(id_: int) -> None:
    tracemalloc.start()
    with pytest.raises(DecodeError):
        decode(HEADER + section(id_, leb(2**32 - 1) + bytes(20)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000


def test_locals_stay_runs() -> None:
    many = leb(2**32 - 1)
    decoded = decode(module(code(b"", b"\1" + many + b"\x7e")))
    assert decoded.funcs[0].locals == ((2**32 - 1, Type.I64),)
    with pytest.raises(ValidationError, match="too many locals"):
        validate(decoded)
    with pytest.raises(DecodeError, match="too many locals"):
        decode(module(code(b"", b"\2" + many + b"\x7e\1\x7f")))


def test_depth_of_nesting_is_not_limited() -> None:
    depth = 50_000
    decoded = decode(module(code(b"\x02\x40" * depth + b"\x0b" * depth)))
    validate(decoded)
    assert len(decoded.funcs[0].body.ops) == 2 * depth + 1


@pytest.mark.parametrize("data", [
    HEADER + b"\1" + b"\xff" * 300_000,
    HEADER + section(1, b"\x80" * 300_000),
    module(code(b"\x41" + b"\xff" * 300_000)),
    module(code(b"\x02\x40" * 150_000)),
])
def test_hostile_bytes_take_no_time(data: bytes) -> None:
    start = time.perf_counter()
    with pytest.raises(DecodeError):
        decode(data)
    assert time.perf_counter() - start < 5


#: What engines limit alike: sections with one more, how many, and what there is too much of.
OVER = [
    (section(1, leb(1_000_001) + b"\x60\0\0" * 1_000_001), "1,000,001", "types"),
    (section(4, leb(101) + b"\x70\0\0" * 101), "101", "tables"),
    (section(5, leb(101) + b"\0\0" * 101), "101", "memories"),
    (section(2, leb(101) + b"\0\0\1\x70\0\0" * 101), "101", "tables"),
    (section(2, leb(60) + b"\0\0\2\0\0" * 60) + section(5, leb(41) + b"\0\0" * 41), "101",
     "memories"),
    (section(9, leb(100_001) + b"\1\0\0" * 100_001), "100,001", "element segments"),
    (section(11, leb(100_001) + b"\1\0" * 100_001), "100,001", "data segments"),
    (section(0, leb(100_001) + b"n" * 100_001), "100,001", "bytes in a name"),
    (section(1, b"\1\x60" + leb(1001) + b"\x7f" * 1001 + b"\0"), "1,001", "parameters"),
    (section(1, b"\1\x60\0" + leb(1001) + b"\x7f" * 1001), "1,001", "results"),
]


@pytest.mark.parametrize("sections, count, what", OVER)
def test_limits_are_those_of_wasmtime(sections: bytes, count: str, what: str) -> None:
    with pytest.raises(ValidationError) as caught:
        validate(decode(HEADER + sections))
    assert caught.value.message.startswith(f"too many {what}: {count}, of which at most")
    with pytest.raises(wasmtime.WasmtimeError):
        wasmtime.Module.validate(wasmtime.Engine(), HEADER + sections)


def test_bodies_are_limited() -> None:
    most = 7_654_321
    with pytest.raises(ValidationError, match="too many bytes in the body: 7,654,322"):
        decode(module(code(b"\1" * (most - 1))))
    assert len(decode(module(code(b"\1" * (most - 2)))).funcs[0].body.ops) == most - 1


def test_bare_function_indices_are_kept_as_numbers() -> None:
    data = module(code(b""), extra=section(9, b"\1\1\0\3\0\x80\0\0"))
    items = decode(data).elems[0].items
    assert isinstance(items, FunctionItems)
    assert list(items.indices) == [0, 0, 0]
    assert [body.imms for body in items] == [[0, None]] * 3
    assert [data[body.offsets[0]] for body in items] == [0, 0x80, 0]
    assert isinstance(items[1:], FunctionItems) and len(items[1:]) == 2
    assert items[-1].offsets == [items.offsets[2]] * 2
