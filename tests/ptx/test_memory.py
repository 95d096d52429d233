"""Loads, stores, moves, and what the stand-in refuses of them."""

from __future__ import annotations

import numpy as np
import pytest

from swarmc.targets.ptx.buffer import GUARD, Buffer
from swarmc.targets.ptx.code import Grant, PtxCode, PtxFaultError
from swarmc.targets.ptx.module import PtxError
from swarmc.targets.ptx.records import Rights, Rule, Violation

from .run import HEAD, Scratch, kernel, run_kernel

LOCAL = ".local .align 16 .b8 depot[32];"


def fault(body: str, registers: str = "", **options: int) -> PtxFaultError:
    with pytest.raises(PtxFaultError) as caught:
        run_kernel(kernel(body, registers), **options)
    return caught.value


# Values.


@pytest.mark.parametrize(
    ("load", "expected"),
    [
        ("ld.b8 %w1", 0xF0), ("ld.u8 %w1", 0xF0), ("ld.s8 %w1", 0xFFFFFFFFFFFFFFF0),
        ("ld.b16 %w1", 0x9AF0), ("ld.s16 %w1", 0xFFFFFFFFFFFF9AF0), ("ld.u32 %w1", 0xD6789AF0),
        ("ld.s32 %w1", 0xFFFFFFFFD6789AF0), ("ld.b64 %w1", 0x12345678D6789AF0),
        ("ld.f64 %w1", 0x12345678D6789AF0), ("ld.weak.b64 %w1", 0x12345678D6789AF0),
        ("ld.relaxed.sys.b64 %w1", 0x12345678D6789AF0), ("ld.volatile.u8 %w1", 0xF0),
        ("ld.acquire.gpu.global.b32 %w1", 0xD6789AF0), ("ld.global.s8 %w1", 0xFFFFFFFFFFFFFFF0),
    ],
)  # fmt: skip
def test_loads_extend_as_the_type_says(load: str, expected: int) -> None:
    body = f"mov.b64 %w2, 0x12345678D6789AF0; st.b64 [%s], %w2; {load}, [%s]; st.b64 [%s+8], %w1;"
    assert run_kernel(kernel(body))[1] == expected


@pytest.mark.parametrize(
    ("store", "bits"),
    [("st.b8", 8), ("st.u16", 16), ("st.b32", 32), ("st.f32", 32), ("st.global.b64", 64),
     ("st.weak.s64", 64), ("st.relaxed.sys.b32", 32), ("st.volatile.b8", 8),
     ("st.release.gpu.global.b16", 16)],
)  # fmt: skip
def test_stores_take_the_low_bits(store: str, bits: int) -> None:
    body = f"mov.b64 %w1, 0x123456789ABCDEF0; st.b64 [%s], -1; {store} [%s], %w1;"
    mask = (1 << bits) - 1
    expected = 0x123456789ABCDEF0 & mask | ~mask & 0xFFFFFFFFFFFFFFFF
    assert run_kernel(kernel(body))[0] == expected


def test_vectors() -> None:
    body = """
        st.v4.b32 [%s], {%r1, 2, %r1, 4};
        ld.v2.b64 {%w1, %w2}, [%s];
        st.v2.b64 [%s+16], {%w2, %w1};
        ld.v4.b16 {_, %r2, _, %r3}, [%s];
        st.v2.b32 [%s+32], {%r2, %r3};
    """
    words = run_kernel(kernel("mov.b32 %r1, 0x10003;" + body))
    assert words[:5] == [2 << 32 | 0x10003, 4 << 32 | 0x10003, words[1], words[0], 1]


def test_moves_of_vectors_and_wide_registers() -> None:
    body = """
        mov.b64 %w1, 0x1122334455667788;
        mov.b64 {%r1, %r2}, %w1;
        mov.b64 %w2, {%r2, %r1};
        st.b64 [%s], %w2;
        mov.b128 %q, {%w1, %w2};
        st.b128 [%s+16], %q;
        ld.b128 %q, [%s+16];
        mov.b128 {_, %w3}, %q;
        st.b64 [%s+8], %w3;
        mov.b32 {%h, _}, %r1;
        st.b16 [%s+32], %h;
    """
    words = run_kernel(kernel(body, ".reg .b128 %q; .reg .b16 %h;"))
    swapped = 0x5566778811223344
    assert words[:4] == [swapped, swapped, 0x1122334455667788, swapped]
    assert words[4] == 0x7788


def test_constants_and_special_registers() -> None:
    body = """
        mov.f32 %r1, 0f3FC00000; mov.f64 %w1, 0d7FF8000000000001; mov.b32 %r2, -2;
        mov.pred %p1, -1; selp.b32 %r3, 0x10U, 0, %p1;
        st.b32 [%s], %r1; st.b32 [%s+4], %r2; st.b64 [%s+8], %w1; st.b32 [%s+16], %r3;
        mov.u32 %r1, %ntid.x; st.b32 [%s+24], %r1;
        mov.u32 %r1, %nctaid.x; st.b32 [%s+28], %r1;
        mov.u32 %r1, %ctaid.y; mov.u32 %r2, %nctaid.z; st.v2.b32 [%s+32], {%r1, %r2};
        mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; st.v2.b32 [%s+40], {%r1, %r2};
    """
    words = run_kernel(kernel(body), threads=6, block=2)
    assert words[:3] == [0xFFFFFFFE3FC00000, 0x7FF8000000000001, 16]
    assert words[3:6] == [3 << 32 | 2, 1 << 32, 2 << 32 | 1]


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("mov.b32 %r1, %w1;", "%w1 has 64 bits, .b32 needs 32"),
        ("add.s64 %r1, %w1, %w2;", "%r1 has 32 bits, not 64"),
        ("add.s32 %r1, %r2, 4294967296;", "4294967296 does not fit .s32"),
        ("add.s32 %r1, %r2, -2147483649;", "does not fit .s32"),
        ("add.rn.f32 %r1, %r2, 1;", "an integer as .f32"),
        ("add.rn.f32 %r1, %r2, 0d3FF0000000000000;", "a constant of 64 bits as .f32"),
        ("mov.b32 %r1, %clock;", "%clock"),
        ("mov.b32 %r1, %laneid.x;", "unknown special register"),
        ("mov.b32 %r10, 1;", "not declared"),
        ("mov.b32 %tid.x, %r1;", "the destination must be a register"),
        ("ld.b32 %r1, %r2;", "an address must stand here"),
        ("ld.v2.b32 %r1, [%s];", "a vector of 2 must stand here"),
        ("ld.b32 %r1, [%r2];", "%r2 has 32 bits"),
        ("mov.b64 {%r1, %r2, %r3}, %w1;", "vectors like this cannot be moved"),
        ("add.s32 %r1, %r2;", "2 operands instead of 3"),
        ("selp.b32 %r1, %r2, %r3, %r4;", "%r4 has 32 bits, .pred needs 1"),
        ("lop3.b32 %r1, %r2, %r3, %r4, %r5;", "must be a constant"),
    ],
)  # fmt: skip
def test_operands_that_do_not_fit(body: str, complaint: str) -> None:
    with pytest.raises(PtxError) as caught:
        run_kernel(kernel(body))
    assert complaint in str(caught.value)
    assert caught.value.line == 11 and body.rstrip(";") in str(caught.value)


# Local memory.


def test_local_and_generic_addresses() -> None:
    body = """
        mov.b64 %w1, depot;
        cvta.local.u64 %w2, %w1;
        st.local.b64 [%w1+8], 7;
        ld.b64 %w3, [%w2+8];
        st.b64 [%w2+16], 9;
        ld.local.b64 %w4, [depot+16];
        st.b64 [%s], %w3; st.b64 [%s+8], %w4;
        cvta.to.local.u64 %w5, %w2; sub.s64 %w5, %w5, %w1; st.b64 [%s+16], %w5;
        cvta.to.global.u64 %w6, %s; cvta.global.u64 %w6, %w6; st.global.b64 [%w6+24], 5;
        ld.local.b64 %w7, [depot]; st.b64 [%s+32], %w7;
    """
    words = run_kernel(kernel(body, LOCAL))
    assert words[:5] == [7, 9, 0, 5, 0xCDCDCDCDCDCDCDCD]


@pytest.mark.parametrize(
    "access",
    ["ld.local.b64 %w3, [%w1+32]", "ld.b64 %w3, [%w2+32]", "st.local.b8 [%w1+-1], 0",
     "st.b8 [%w2+-1], 0", "ld.local.b64 %w3, [%s]", "ld.local.b8 %w3, [%w9]"],
)  # fmt: skip
def test_local_memory_where_no_array_lies(access: str) -> None:
    body = f"mov.b64 %w9, 0; mov.b64 %w1, depot; cvta.local.u64 %w2, %w1; {access};"
    assert fault(body, LOCAL).violation is Violation.DEAD_LOCAL


def test_array_of_a_function_that_has_returned() -> None:
    f = f"""
.func (.param .b64 out) f ()
{{
    {LOCAL} .reg .b64 %a;
    mov.b64 %a, depot; cvta.local.u64 %a, %a; st.b64 [%a], 1;
    st.param.b64 [out], %a;
    ret;
}}
"""
    call = "{ .param .b64 x; call (x), f, (); ld.param.b64 %w1, [x]; }"
    with pytest.raises(PtxFaultError, match="where no array lies"):
        run_kernel(f + kernel(f"{call} ld.b64 %w2, [%w1];"))


def test_local_memory_of_a_thread_that_exits_is_free_again() -> None:
    body = "mov.b64 %w1, depot; st.local.b64 [%w1], 1; st.b64 [%s], %w1; exit;"
    once, often = (run_kernel(kernel(body, LOCAL), threads=n)[0] for n in (1, 100))
    assert once == often


def test_local_memory_ends() -> None:
    f = f".func f ()\n{{\n{LOCAL}\ncall f, ();\nret;\n}}\n"
    with pytest.raises(PtxFaultError, match="used up"):
        run_kernel(f + kernel("call f, ();"))


def test_local_address_where_a_global_one_must_stand() -> None:
    body = "mov.b64 %w1, depot; cvta.local.u64 %w1, %w1; ld.global.b64 %w2, [%w1];"
    assert fault(body, LOCAL).violation is Violation.WRONG_SPACE


PICK = """
.func (.param .b64 out) pick (.param .align 8 .b8 in[24], .param .b32 n)
{
    .reg .b64 %a, %b; .reg .b32 %c;
    ld.param.b32 %c, [n];
    mul.wide.u32 %a, %c, 8;
    mov.b64 %b, in;
    add.s64 %a, %b, %a;
    ld.param.b64 %a, [%a];
    st.param.b64 [out], %a;
    ret;
}
"""
CALL_PICK = """
    {{ .param .align 8 .b8 x[24]; .param .b32 n; .param .b64 y;
      st.param.b64 [x], 5; st.param.b64 [x+8], 6; st.param.b64 [x+16], 7;
      st.param.b32 [n], {n};
      call (y), pick, (x, n); ld.param.b64 %w1, [y]; }}
    st.b64 [%s], %w1;
"""


def test_parameter_whose_address_is_taken() -> None:
    for n in range(3):
        assert run_kernel(PICK + kernel(CALL_PICK.format(n=n)))[0] == 5 + n
    with pytest.raises(PtxFaultError, match="in pick"):
        run_kernel(PICK + kernel(CALL_PICK.format(n=3)))


def test_parameter_of_a_kernel_whose_address_is_taken() -> None:
    with pytest.raises(PtxError, match="nothing has this name, k_0"):
        run_kernel(kernel("mov.b64 %w1, k_0;"))


# Variables.

VARIABLES = """
.visible .global .align 8 .u64 table[3] = {f, generic(number), 7};
.global .align 4 .u32 number = 42;
.const .align 4 .b8 bytes[4] = {1, 2, 3, 4};
.global .align 8 .b8 zeros[16];
.func f ()
{
    ret;
}
"""


def test_variables() -> None:
    body = """
        ld.global.b32 %r1, [number]; ld.global.b64 %w1, [table+8]; ld.global.b32 %r2, [%w1];
        st.v2.b32 [%s], {%r1, %r2};
        ld.global.b64 %w2, [table+16]; st.b64 [%s+8], %w2;
        ld.const.b32 %r3, [bytes]; st.b32 [%s+16], %r3;
        ld.global.b64 %w3, [zeros+8]; st.b64 [%s+24], %w3;
        mov.b64 %w4, f; ld.global.b64 %w5, [table]; sub.s64 %w4, %w4, %w5; st.b64 [%s+32], %w4;
        mov.b64 %w6, number; st.b32 [%w6], 43; ld.global.b32 %r1, [number]; st.b32 [%s+40], %r1;
    """
    words = run_kernel(VARIABLES + kernel(body))
    assert words[:6] == [42 << 32 | 42, 7, 0x04030201, 0, 0, 43]


def test_variables_are_known_to_the_host() -> None:
    code = PtxCode(HEAD + VARIABLES, {})
    assert code.variable("number").read(0, 4) == b"\x2a\0\0\0"
    code.variable("zeros").write(8, b"12345678")
    assert code.variable("zeros").read(0, 16) == bytes(8) + b"12345678"
    code.close()


def test_constant_variables_cannot_be_written() -> None:
    with pytest.raises(PtxFaultError, match="must not be written"):
        run_kernel(VARIABLES + kernel("mov.b64 %w1, bytes; st.b8 [%w1], 1;"))


@pytest.mark.parametrize(
    ("body", "good"),
    [
        ("ld.global.nc.b32 %r1, [number]; ld.global.b32 %r2, [number];", True),
        ("ld.global.b32 %r2, [number]; st.global.b32 [number], 1;", True),
        ("ld.global.nc.b32 %r1, [number]; st.global.b32 [number], 1;", False),
        ("st.global.b32 [number], 1; ld.global.nc.b32 %r1, [number];", False),
    ],
)
def test_variables_read_as_constant_are_not_written(body: str, good: bool) -> None:
    if good:
        run_kernel(VARIABLES + kernel(body))
        return
    with pytest.raises(PtxFaultError, match="of variable number") as caught:
        run_kernel(VARIABLES + kernel(body))
    assert caught.value.violation is Violation.NOT_CONSTANT


@pytest.mark.parametrize("body", ["ld.local.b32 %r1, [number]", "ld.b32 %r1, [depot]"])
def test_names_in_another_space(body: str) -> None:
    with pytest.raises(PtxError, match="another space"):
        run_kernel(VARIABLES + kernel(f"{body};", LOCAL))


# Addresses.


@pytest.mark.parametrize(
    ("access", "violation"),
    [
        ("ld.b64 %w1, [%s+4]", Violation.MISALIGNED),
        ("ld.v2.b32 %w1, [%s+4]", Violation.MISALIGNED),
        ("st.v4.b32 [%s+8], {1, 2, 3, 4}", Violation.MISALIGNED),
        ("ld.b8 %w1, [%s+64]", Violation.OUTSIDE),
        ("ld.b8 %w1, [%s+-1]", Violation.OUTSIDE),
        ("st.b32 [%w9], 0", Violation.OUTSIDE),
        ("ld.global.nc.b64 %w1, [%s]", Violation.NOT_CONSTANT),
        ("ld.const.b64 %w1, [%s]", Violation.NOT_CONSTANT),
    ],
)
def test_addresses_that_are_refused(access: str, violation: Violation) -> None:
    vector = "{%r1, %r2}" if "ld.v2" in access else "%w1"
    found = fault(f"mov.b64 %w9, 0; {access.replace('%w1', vector)};")
    assert found.violation is violation
    assert "PTX line 11 in k, thread 0" in str(found)


def test_an_access_that_crosses_the_end() -> None:
    code, scratch = PtxCode(HEAD + kernel("ld.b64 %w1, [%s+8];"), {}), Scratch(2)
    short = Grant("short", scratch.buffer.address, 12)
    with pytest.raises(PtxFaultError, match="outside all buffers"):
        code.launch("k", 1, 1, [scratch.arg()], [short])


@pytest.mark.parametrize("access", ["ld.global.nc.b64 %w1, [%s]", "ld.b64 %w1, [%s]"])
def test_memory_that_is_only_read(access: str) -> None:
    code, scratch = PtxCode(HEAD + kernel(f"{access};"), {}), Scratch(1)
    fixed = Grant("fixed", scratch.buffer.address, 8, Rights.READ)
    code.launch("k", 1, 1, [scratch.arg()], [fixed])
    code = PtxCode(HEAD + kernel("st.b64 [%s], 1;"), {})
    with pytest.raises(PtxFaultError, match="byte 0x0 of fixed, must not be written"):
        code.launch("k", 1, 1, [scratch.arg()], [fixed])


TOUCH = """
    mov.b32 %r1, %tid.x; mul.wide.u32 %w1, %r1, 8; add.s64 %w1, %s, %w1;
    st.b64 [%w1], 1;
"""


def test_rows_of_threads() -> None:
    code, scratch = PtxCode(HEAD + kernel(TOUCH), {}), Scratch(4)
    rows = Grant("rows", scratch.buffer.address, 32, rule=Rule.INDEX_ROW, stride=8)
    code.launch("k", 1, 4, [scratch.arg()], [rows])
    assert scratch.words == [1] * 4
    wrong = Grant("rows", scratch.buffer.address, 32, rule=Rule.INDEX_ROW, stride=16)
    with pytest.raises(PtxFaultError, match=r"byte 0x8 of rows, belongs to another") as caught:
        code.launch("k", 1, 2, [scratch.arg()], [wrong])
    assert (caught.value.violation, caught.value.thread) == (Violation.FOREIGN, 1)


def test_slices_of_agents() -> None:
    code, scratch = PtxCode(HEAD + kernel(TOUCH), {}), Scratch(4)
    rows = Grant("slices", scratch.buffer.address, 32, rule=Rule.SLOT_ROW, stride=8)
    code.launch("k", 1, 3, [scratch.arg()], [rows], np.array([0, 1, 2]))
    with pytest.raises(PtxFaultError, match="thread 1"):
        code.launch("k", 1, 3, [scratch.arg()], [rows], np.array([0, 2, 1]))
    with pytest.raises(PtxFaultError, match="thread 2"):  # which runs no agent
        code.launch("k", 1, 3, [scratch.arg()], [rows], np.array([0, 1]))


CELLS = """
    mov.b32 %r1, %tid.x; mul.wide.u32 %w1, %r1, 8;
    ld.b64 %w2, [%s];
    add.s64 %w2, %w2, %w1; add.s64 %w1, %s, %w2;
    {access};
"""


@pytest.mark.parametrize(
    ("start", "access", "good"),
    [
        (0, "st.b64 [%w1], 1", True),  # the first cell of slots 0, 1, …
        (8 * 32, "st.b64 [%w1], 1", True),  # the second
        (8 * 32 + 4, "ld.b32 %r2, [%w1]", True),
        (8 * 33, "st.b64 [%w1], 1", False),  # the neighbour's
        (8 * 64, "st.b64 [%w1], 1", False),  # of another group of 32 slots
        (0, "ld.v2.b64 {%w3, %w4}, [%w1]", False),  # more than a cell
    ],
)
def test_interleaved_cells(start: int, access: str, good: bool) -> None:
    code = PtxCode(HEAD + kernel(CELLS.replace("{access}", access)), {})
    region = Buffer(2 * 8 * 64, "cells")
    word = Buffer(8, "start")
    word.write(0, start.to_bytes(8, "little"))
    code = PtxCode(HEAD + kernel(CELLS.replace("{access}", access)
                                 .replace("ld.b64 %w2, [%s]", f"mov.b64 %w2, {start}")), {})
    cells = Grant("cells", region.address, region.size, rule=Rule.SLOT_CELLS, stride=8 * 64,
                  cell=8)
    slots = np.arange(32)
    args = [region.address.to_bytes(8, "little")]
    if good:
        code.launch("k", 1, 32, args, [cells], slots)
    else:
        with pytest.raises(PtxFaultError, match="belongs to another agent") as caught:
            code.launch("k", 1, 32, args, [cells], slots)
        assert caught.value.violation is Violation.FOREIGN


def test_buffers_are_zero_and_far_from_each_other() -> None:
    buffers = [Buffer(100, "one"), Buffer(5000, "two")]
    for buffer in buffers:
        assert buffer.read(0, buffer.size) == bytes(buffer.size)
        buffer.array()[:] = 7
        assert buffer.read(buffer.size - 1, 1) == b"\x07"
    first, second = sorted(buffers, key=lambda b: b.address)
    assert second.address - (first.address + first.size) >= GUARD
    for buffer in buffers:
        buffer.close()
