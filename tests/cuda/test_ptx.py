"""The text of compiled programs for GPUs: what must be in it, and what must never be."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import wasmtime

from swarmc.errors import TargetError
from swarmc.ir import ops
from swarmc.runtime.compile import read_module, to_program
from swarmc.targets.addressing import MemoryLayout
from swarmc.targets.cuda.arch import ARCHES
from swarmc.targets.cuda.codegen import compile_to_ptx
from swarmc.targets.executable import CompileOptions

CORPUS = Path(__file__).resolve().parents[2] / "corpus"

#: Products and sums that are rounded once.
FUSED = re.compile(r"\b(?:fma|mad)\.(?:r[nzmp]\.)?(?:sat\.)?f(?:16|32|64)")

#: Those, what leaves the assembler the choice, inexact arithmetic, and accesses that need not be
#: aligned.
FORBIDDEN = re.compile(
    FUSED.pattern + r"|\b(?:add|sub|mul)\.(?:sat\.)?f(?:16|32|64)"
    r"|\.ftz|\.approx|div\.full|\.unaligned"
)


def ptx_of(wasm: bytes | str, **options: object) -> str:
    data = bytes(wasmtime.wat2wasm(wasm)) if isinstance(wasm, str) else wasm
    chosen = CompileOptions(target="cuda", **options)  # type: ignore[arg-type]
    return compile_to_ptx(to_program(read_module(data), chosen), chosen)


ARITHMETIC = """(module (memory 1)
  (func (export "f") (param f32 f32 f32) (result f32)
    (f32.add (f32.mul (local.get 0) (local.get 1))
      (f32.div (f32.sqrt (local.get 2)) (local.get 1))))
  (func (export "d") (param f64 f64 f64) (result f64)
    (f64.sub (f64.mul (local.get 0) (local.get 1))
      (f64.div (f64.sqrt (local.get 2)) (local.get 1))))
  (func (export "v") (param v128 v128) (result v128)
    (f32x4.add (f32x4.mul (local.get 0) (local.get 1))
      (f32x4.div (f32x4.sqrt (local.get 0)) (local.get 1)))))"""


@pytest.mark.parametrize("arch", ARCHES)
def test_arithmetic_is_exact(arch: str) -> None:
    text = ptx_of(ARITHMETIC, arch=arch)
    assert f".target {arch}" in text
    assert not FORBIDDEN.search(text)
    for instruction in ("mul.rn.f32", "add.rn.f32", "div.rn.f32", "sqrt.rn.f32", "mul.rn.f64",
                        "sub.rn.f64", "div.rn.f64", "sqrt.rn.f64"):  # fmt: skip
        assert instruction in text


@pytest.mark.parametrize("text", [
    "fma.rn.f32 %f1, %f2, %f3, %f4;", "mad.f64", "add.rn.ftz.f32", "div.full.f32",
    "sqrt.approx.f32", "div.approx.ftz.f32", "add.f32", "mul.f64",
])  # fmt: skip
def test_the_check_finds_what_it_is_for(text: str) -> None:
    assert FORBIDDEN.search(text)
    assert not FORBIDDEN.search("mad.lo.s64 add.rn.f32 div.rn.f32 mul.rn.f64 fmax.s mad.wide.u32")


@pytest.mark.parametrize("layout", [MemoryLayout.FLAT, MemoryLayout.INTERLEAVED_8], ids=str)
@pytest.mark.parametrize("name", ["lib", "memory", "tables", "traps", "floats", "sha256_lib"])
def test_corpus(name: str, layout: MemoryLayout) -> None:
    text = ptx_of((CORPUS / f"{name}.wasm").read_bytes(), layout=layout)
    assert not FORBIDDEN.search(text)
    assert ".visible .entry swarm_kernel(" in text
    # LLVM takes a load of unknown alignment apart into bytes: then there would be many.
    assert len(re.findall(r"ld\S*\.b?[us]?8\b", text)) < 40


def test_accesses_that_are_not_known_to_be_aligned_are_tested() -> None:
    text = ptx_of("""(module (memory 1)
      (func (export "any") (param i32) (result i64) (i64.load (local.get 0)))
      (func (export "aligned") (param i32) (result i64)
        (i64.load (i32.shl (local.get 0) (i32.const 3)))))""")
    assert len(re.findall(r"call\.uni[^;]*swarm_load64", text)) == 1


@pytest.mark.parametrize(("target", "layout", "known"), [
    ("cpu", None, False), ("cpu", MemoryLayout.FLAT, False),
    ("cpu", MemoryLayout.INTERLEAVED_4, True), ("cuda", MemoryLayout.FLAT, True),
    ("cuda", None, True), ("ptx", MemoryLayout.INTERLEAVED_16, True),
])  # fmt: skip
def test_alignment_is_found_where_it_would_be_tested(
    target: str, layout: MemoryLayout | None, known: bool
) -> None:
    options = CompileOptions(target, layout=layout, missing_imports="trap")
    program = to_program(read_module((CORPUS / "sha256.wasm").read_bytes()), options)
    wide = [inst.attrs[-1] for function in program.functions.values() for inst in function.insts()
            if inst.op in (ops.LOAD, ops.STORE) and inst.attrs[2] > 1]
    tested = sum(align == 1 for align in wide)
    assert tested < len(wide) / 4 if known else tested == len(wide)


def test_host_functions_are_external() -> None:
    text = ptx_of((CORPUS / "hello.wasm").read_bytes(), opt_level=1)
    declared = set(re.findall(r"\.extern \.func  \(\.param \.b64 func_retval0\) (swarm_host_\d+)",
                              text))
    assert declared == set(re.findall(r"swarm_host_\d+", text))
    assert declared


def test_calls_through_references_are_direct() -> None:
    text = ptx_of((CORPUS / "tables.wasm").read_bytes(), opt_level=1)
    assert ".callprototype" not in text and "prototype_" not in text


def test_many_candidates_are_called_directly_too() -> None:
    functions = "".join(f"(func $f{n} (result i32) (i32.load (i32.const {n})))" for n in range(100))
    names = " ".join(f"$f{n}" for n in range(100))
    text = ptx_of(f"""(module (memory 1) (type $t (func (result i32))) (table 100 funcref)
      (elem (i32.const 0) {names}) {functions}
      (func (export "f") (param i32) (result i32)
        (call_indirect (type $t) (local.get 0))))""")
    assert "brx.idx" in text
    assert ".callprototype" not in text and "prototype_" not in text


def test_only_functions_that_end_with_calls_of_others_need_a_trampoline() -> None:
    plain = ptx_of((CORPUS / "lib.wasm").read_bytes(), opt_level=0)
    loop = ptx_of('(module (func $f (export "f") (return_call $f)))', opt_level=0)
    assert "swarm_trampoline" not in plain + loop and "step" not in plain + loop
    pair = ptx_of("""(module (func $f (export "f") (param i32) (return_call $g (local.get 0)))
      (func $g (param i32) (return_call $f (local.get 0))) (func $h (param i64)))""", opt_level=0)
    steps = set(re.findall(r"\bf0_\$_(\d)_\$_(step|tail)\b", pair))
    assert steps == {("0", "step"), ("1", "step"), ("0", "tail"), ("1", "tail")}
    assert set(re.findall(r"swarm_trampoline_\$_\d+", pair)) == {"swarm_trampoline_$_0"}
    assert ".callprototype" not in pair


def test_architectures_are_known_by_name() -> None:
    with pytest.raises(TargetError, match=r"no architecture 'sm_60'.*sm_75"):
        ptx_of(ARITHMETIC, arch="sm_60")
