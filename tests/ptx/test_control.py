"""Comparisons, carry chains, branches, calls and ends."""

from __future__ import annotations

import ctypes
import itertools
import struct
from collections.abc import Callable

import pytest

from swarmc.targets.ptx.code import Grant, PtxCode, PtxFaultError
from swarmc.targets.ptx.isa import TABLE
from swarmc.targets.ptx.module import PtxError
from swarmc.targets.ptx.records import Violation
from swarmc.targets.ptx.rows import Row

from . import reference as r
from .run import HEAD, HOST, Scratch, evaluate, evaluator, kernel, run_kernel
from .test_rows import edges, forms

COMPARISONS = [row for row in TABLE.rows if row.pattern.startswith("set")]


@pytest.mark.parametrize(
    "row", COMPARISONS, ids=lambda row: f"{row.pattern} {row.fields['type'][0]}"
)
def test_comparisons(row: Row) -> None:
    text, cases = HEAD, []
    for number, (opcode, fields) in enumerate(forms(row)):
        n = r.bits_of(fields["type"])
        last = ", %c" if fields["bool"] else ""
        result = 1 if row.pattern.startswith("setp") else 32
        sources = [n, n, 1] if last else [n, n]
        text += evaluator(f"k{number}", f"{opcode} %y, %a, %b{last};", sources, result)
        cases.append((number, opcode, fields, result))
    code = PtxCode(text, {})
    for number, opcode, fields, result in cases:
        lists = [edges(fields["type"])] * 2 + [[0, 1]] * bool(fields["bool"])
        rows = list(itertools.product(*lists))
        true = 1 if result == 1 else 0x3F800000 if fields["dtype"] == "f32" else 0xFFFFFFFF
        for operands, got in zip(rows, evaluate(code, f"k{number}", rows, result), strict=True):
            holds = r.compare(fields, *operands[:2])
            if fields["bool"]:
                c = operands[2]
                holds = {"and": holds & c, "or": holds | c, "xor": holds ^ c}[fields["bool"]]
            assert got == (true if holds else 0), (opcode, [hex(x) for x in operands])
    code.close()


def test_second_destination_takes_the_complement() -> None:
    # Both are combined with the third predicate: p = (a < b) | !c, q = !(a < b) | !c.
    body = """
        setp.ne.b32 %p3, 1, %r9;
        setp.lt.or.s32 %p1|%p2, 3, 4, !%p3;
        selp.b64 %w1, 1, 0, %p1; selp.b64 %w2, 1, 0, %p2;
        st.b64 [%s], %w1; st.b64 [%s+8], %w2;
    """
    assert run_kernel(kernel("mov.b32 %r9, 0;" + body))[:2] == [1, 0]
    assert run_kernel(kernel("mov.b32 %r9, 1;" + body))[:2] == [1, 1]


def test_garbage_in_registers_that_nobody_wrote() -> None:
    assert run_kernel(kernel("st.b64 [%s], %w1;"))[0] == 0xCDCDCDCDCDCDCDCD


# Carry chains: 128-bit arithmetic out of 64-bit words.

CHAINS: dict[str, tuple[str, Callable[[int, int], int]]] = {
    "add": ("add.cc.u64 %w5, %w1, %w3; addc.u64 %w6, %w2, %w4;", lambda a, b: a + b),
    "sub": ("sub.cc.u64 %w5, %w1, %w3; subc.u64 %w6, %w2, %w4;", lambda a, b: a - b),
}
M64, M128 = (1 << 64) - 1, (1 << 128) - 1
WIDE = [0, 1, M64, M64 + 1, M128, 1 << 127, 0x123456789ABCDEF0FEDCBA9876543210]


@pytest.mark.parametrize("name", CHAINS)
def test_carry_between_words(name: str) -> None:
    body, rule = CHAINS[name]
    for a, b in itertools.product(WIDE, WIDE):
        load = f"mov.b64 %w1, {a & M64}; mov.b64 %w2, {a >> 64};"
        load += f"mov.b64 %w3, {b & M64}; mov.b64 %w4, {b >> 64};"
        words = run_kernel(kernel(f"{load}{body} st.b64 [%s], %w5; st.b64 [%s+8], %w6;"))
        assert words[0] | words[1] << 64 == rule(a, b) & M128, (hex(a), hex(b))


def test_carry_through_three_words() -> None:
    body = """
        mov.b32 %r1, -1; mov.b32 %r2, 1; mov.b32 %r3, 0;
        add.cc.s32 %r4, %r1, %r2;
        addc.cc.s32 %r5, %r1, %r3;
        addc.u32 %r6, %r3, %r3;
        st.b32 [%s], %r4; st.b32 [%s+4], %r5; st.b32 [%s+8], %r6;
        sub.cc.u32 %r4, %r3, %r2;
        subc.cc.u32 %r5, %r3, %r3;
        subc.u32 %r6, %r3, %r3;
        st.v2.b32 [%s+16], {%r4, %r5}; st.b32 [%s+24], %r6;
    """
    words = run_kernel(kernel(body))
    assert words[0] == 0 and words[1] & 0xFFFFFFFF == 1
    assert words[2] == M64 and words[3] & 0xFFFFFFFF == 0xFFFFFFFF


def test_products_with_carry() -> None:
    # (2^64 - 1) * (2^64 - 1) + a number of 128 bits that carries into its high word.
    body = """
        mov.b64 %w1, -1; mov.b64 %w2, 5;
        mad.lo.cc.u64 %w3, %w1, %w1, %w1;
        madc.hi.u64 %w4, %w1, %w1, %w2;
        st.b64 [%s], %w3; st.b64 [%s+8], %w4;
        mad.hi.cc.u64 %w3, %w1, %w1, %w2;
        madc.lo.cc.u64 %w4, %w1, %w2, %w1;
        addc.u64 %w5, 0, 0;
        st.b64 [%s+16], %w3; st.b64 [%s+24], %w4; st.b64 [%s+32], %w5;
    """
    words = run_kernel(kernel(body))
    total = M64 * M64 + (5 << 64 | M64)
    assert words[0] | words[1] << 64 == total & M128
    high = (M64 * M64 >> 64) + 5
    low = (M64 * 5 & M64) + M64 + (high >> 64)
    assert words[2:5] == [high & M64, low & M64, low >> 64]


# Branches.


def test_loop_and_predicates() -> None:
    body = """
        mov.b64 %w1, 0; mov.b32 %r1, 10;
    again:
        setp.eq.b32 %p1, %r1, 3;
        @!%p1 add.s64 %w1, %w1, 1;
        add.s32 %r1, %r1, -1;
        setp.ne.b32 %p2, %r1, 0;
        @%p2 bra again;
        st.b64 [%s], %w1;
        @%p2 trap;
    """
    assert run_kernel(kernel(body))[0] == 9


def test_label_that_runs_on_and_code_that_nothing_reaches() -> None:
    body = """
        mov.b64 %w1, 1; bra.uni next;
        mov.b64 %w1, 2;
    next:
    other:
        st.b64 [%s], %w1;
    """
    assert run_kernel(kernel(body))[0] == 1


INDEXED = """
    mov.b32 %r1, %tid.x;
    mul.wide.u32 %w1, %r1, 8; add.s64 %w2, %s, %w1;
    targets: .branchtargets one, two, one;
    brx.idx.uni %r1, targets;
one: st.b64 [%w2], 1; bra end;
two: st.b64 [%w2], 2;
end:
"""


def test_indexed_branch() -> None:
    assert run_kernel(kernel(INDEXED), threads=3, block=3)[:3] == [1, 2, 1]


def test_indexed_branch_beyond_the_list_ends_the_launch() -> None:
    with pytest.raises(PtxFaultError, match="beyond the list") as caught:
        run_kernel(kernel(INDEXED), threads=4, block=4)
    assert caught.value.violation is Violation.BRANCH_INDEX
    assert (caught.value.thread, caught.value.address) == (3, 3)


@pytest.mark.parametrize("opcode", ["bra nowhere", "brx.idx %r1, nowhere", "call nowhere, ()",
                                    "call %w1, (), nowhere", "mov.b64 %w1, nowhere"])  # fmt: skip
def test_unknown_names(opcode: str) -> None:
    with pytest.raises(PtxError, match="nowhere"):
        run_kernel(kernel(f"{opcode};"))


# Ends.


def test_exit_ends_one_thread_only() -> None:
    body = """
        mov.b32 %r1, %tid.x; mul.wide.u32 %w1, %r1, 8; add.s64 %w2, %s, %w1;
        st.b64 [%w2], 1;
        setp.eq.b32 %p1, %r1, 1; @%p1 call deep, ();
        st.b64 [%w2], 2;
    """
    deep = ".func deep ()\n{\n call deeper, ();\n ret;\n}\n.func deeper ()\n{\n exit;\n}\n"
    text = ".func deep ();\n.func deeper ();\n" + deep + kernel(body)
    assert run_kernel(text, threads=3, block=3)[:3] == [2, 1, 2]


def test_trap_ends_the_launch() -> None:
    body = """
        mov.b32 %r1, %ctaid.x; mul.wide.u32 %w1, %r1, 8; add.s64 %w2, %s, %w1;
        st.b64 [%w2], 1; setp.eq.b32 %p1, %r1, 2; @%p1 trap;
    """
    code, scratch = PtxCode(HEAD + kernel(body), {}), Scratch(5)
    with pytest.raises(PtxFaultError, match="thread 2") as caught:
        code.launch("k", 5, 1, [scratch.arg()], [scratch.grant()])
    assert caught.value.violation is Violation.TRAP
    assert "@%p1 trap;" in str(caught.value)
    assert scratch.words == [1, 1, 1, 0, 0]


def test_end_of_a_function_without_ret() -> None:
    text = ".func f ()\n{\n .reg .b32 %r1;\n mov.b32 %r1, 0;\n}\n" + kernel("call f, ();")
    with pytest.raises(PtxFaultError, match="past the end of its function"):
        run_kernel(text)


# Calls.

FIB = """
.func (.param .b64 out) fib (.param .b64 in);
.func (.param .b64 out) fib (.param .b64 in)
{
    .reg .b64 %n, %a, %b;
    .reg .pred %p;
    ld.param.b64 %n, [in];
    setp.gt.u64 %p, %n, 1;
    @%p bra more;
    st.param.b64 [out], %n;
    ret;
more:
    { .param .b64 x; .param .b64 y;
      sub.s64 %n, %n, 1; st.param.b64 [x], %n;
      call.uni (y), fib, (x);
      ld.param.b64 %a, [y]; }
    { .param .b64 x; .param .b64 y;
      sub.s64 %n, %n, 1; st.param.b64 [x], %n;
      call.uni (y), fib, (x);
      ld.param.b64 %b, [y]; }
    add.s64 %a, %a, %b;
    st.param.b64 [out], %a;
    ret;
}
"""
CALL_FIB = "{ .param .b64 x; .param .b64 y; st.param.b64 [x], %w1;"


def test_recursion() -> None:
    body = f"mov.b64 %w1, 15; {CALL_FIB} call (y), fib, (x); ld.param.b64 %w2, [y]; }}"
    assert run_kernel(FIB + kernel(f"{body} st.b64 [%s], %w2;"))[0] == 610


def test_endless_recursion_is_reported() -> None:
    text = ".func f ()\n{\n call f, ();\n ret;\n}\n" + kernel("call f, ();")
    with pytest.raises(PtxFaultError, match="finds the stack used up") as caught:
        run_kernel(text)
    assert caught.value.violation is Violation.STACK_EXHAUSTED


def test_call_through_a_register() -> None:
    body = f"""
        mov.b64 %w1, 10; mov.b64 %w3, fib;
        {CALL_FIB} proto: .callprototype (.param .b64 _) _ (.param .b64 _);
        call (y), %w3, (x), proto; ld.param.b64 %w2, [y]; }}
        st.b64 [%s], %w2;
    """
    assert run_kernel(FIB + kernel(body))[0] == 55


@pytest.mark.parametrize("target", ["0", "fib+64", "fib+1", "%s"])
def test_call_of_what_is_no_function(target: str) -> None:
    name, _, offset = target.partition("+")
    body = f"""
        mov.b64 %w1, 10; mov.b64 %w3, {name}; add.s64 %w3, %w3, {offset or 0};
        {CALL_FIB} proto: .callprototype (.param .b64 _) _ (.param .b64 _);
        call (y), %w3, (x), proto; }}
    """
    with pytest.raises(PtxFaultError, match="is no function of this type") as caught:
        run_kernel(FIB + kernel(body))
    assert caught.value.violation is Violation.CALL_TARGET


def test_call_of_a_function_with_another_signature() -> None:
    body = """
        mov.b64 %w3, fib;
        proto: .callprototype _ ();
        call %w3, (), proto;
    """
    with pytest.raises(PtxFaultError, match="is no function of this type"):
        run_kernel(FIB + kernel(body))


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        ("{ .param .b32 x; .param .b64 y; call (y), fib, (x); }", "does not fit the function"),
        ("{ .param .b64 x; call fib, (x); }", "does not fit the function"),
        ("{ .param .b64 x; } { .param .b64 y; call (y), fib, (x); }", "no parameter"),
        ("{ .param .b64 x; .param .b64 y; p: .callprototype _ (); call (y), %w1, (x), p; }",
         "does not fit its prototype"),
        ("{ .param .b64 x; .param .b64 y; call (y), %w1, (x); }", "needs a prototype"),
    ],
)  # fmt: skip
def test_calls_that_do_not_fit(body: str, complaint: str) -> None:
    with pytest.raises(PtxError, match=complaint):
        run_kernel(FIB + kernel(body))


def test_structures_as_parameters_and_results() -> None:
    swap = """
.func (.param .align 16 .b8 out[16]) swap (.param .align 8 .b8 in[12], .param .b32 n)
{
    .reg .b64 %a; .reg .b32 %b, %c;
    ld.param.b64 %a, [in]; ld.param.b32 %b, [in+8]; ld.param.b32 %c, [n];
    st.param.v2.b32 [out], {%b, %c}; st.param.b64 [out+8], %a;
    ret;
}
"""
    body = """
        { .param .align 8 .b8 x[12]; .param .b32 n; .param .align 16 .b8 y[16];
          st.param.b64 [x], 0x123456789; st.param.b32 [x+8], 7; st.param.b32 [n], 9;
          call.uni (y), swap, (x, n);
          ld.param.v2.b64 {%w1, %w2}, [y]; }
        st.v2.b64 [%s], {%w1, %w2};
    """
    assert run_kernel(swap + kernel(body))[:2] == [9 << 32 | 7, 0x123456789]


def test_functions_of_the_host() -> None:
    seen = []

    def host(context: int, slots: int) -> int:
        seen.append(context)
        word = ctypes.c_uint64.from_address(slots)
        word.value += 1
        return 5

    text = HEAD + ".extern .func (.param .b64 out) swarm_host_0 (.param .b64 a, .param .b64 b);\n"
    text += kernel("""
        st.b64 [%s], 41;
        { .param .b64 a; .param .b64 b; .param .b64 c;
          st.param.b64 [a], 7; st.param.b64 [b], %s;
          call.uni (c), swarm_host_0, (a, b);
          ld.param.b64 %w1, [c]; }
        st.b64 [%s+8], %w1;
    """)
    callback = HOST(host)
    address = ctypes.cast(callback, ctypes.c_void_p).value
    assert address is not None
    code, scratch = PtxCode(text, {"swarm_host_0": address}), Scratch(2)
    code.launch("k", 1, 1, [scratch.arg()], [scratch.grant()])
    assert scratch.words == [42, 5] and seen == [7]


def test_arguments_of_kernels_are_aligned() -> None:
    text = HEAD + """
.visible .entry k(.param .u32 k_0, .param .u64 k_1, .param .u16 k_2, .param .align 8 .b8 k_3[8])
{
    .reg .b32 %a; .reg .b64 %b, %d; .reg .b16 %c;
    ld.param.b32 %a, [k_0]; ld.param.b64 %b, [k_1]; ld.param.b16 %c, [k_2];
    ld.param.b64 %d, [k_3];
    st.b32 [%b], %a; st.b16 [%b+4], %c; st.b64 [%b+8], %d;
    ret;
}
"""
    code, scratch = PtxCode(text, {}), Scratch(2)
    args = [struct.pack("<I", 0xAAAABBBB), scratch.arg(), struct.pack("<H", 0xCCCC), b"12345678"]
    grants = [scratch.grant(), Grant("nothing", 0, 0)]
    code.launch("k", 1, 1, args, grants)
    assert scratch.words[0] & 0xFFFFFFFFFFFF == 0xCCCCAAAABBBB
    assert scratch.words[1] == int.from_bytes(b"12345678", "little")
