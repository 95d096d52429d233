"""Tail calls take no stack and no call depth, whatever they call, and assemble for both CPUs."""

from __future__ import annotations

import struct

import llvmlite.binding as llvm
import pytest
from wasmtime import wat2wasm

from swarmc.errors import TargetError
from swarmc.ir.types import Trap
from swarmc.runtime import SwarmManager
from swarmc.runtime.compile import read_module, to_program
from swarmc.runtime.tools import fuzz_imports
from swarmc.runtime.tools.differential import compare
from swarmc.runtime.tools.execution import Call, Executor, Script, Setup, Workload
from swarmc.runtime.tools.executors import InterpreterExecutor
from swarmc.runtime.tools.oracle import Oracle
from swarmc.runtime.tools.target_executor import TargetExecutor
from swarmc.targets.addressing import MemoryLayout
from swarmc.targets.cpu import CpuTarget
from swarmc.targets.cpu.abi import CpuAbi
from swarmc.targets.cuda.arch import find_arch
from swarmc.targets.cuda.codegen import compile_to_ptx
from swarmc.targets.cuda.resources import measure
from swarmc.targets.cuda.toolchain import find_tool
from swarmc.targets.executable import CompileOptions
from swarmc.targets.layout import plan_layout
from swarmc.targets.llvm.program import Lowering, lower
from swarmc.targets.ptx import PtxTarget, code

MILLION = 1_000_000
#: Bytes of stack that the stand-in for a GPU has: less than a million return addresses take.
STACK = 1 << 20

TARGETS = (CpuTarget(), PtxTarget(MemoryLayout.FLAT), PtxTarget(MemoryLayout.INTERLEAVED_8))


def _params(count: int) -> str:
    kinds = ("i32", "i64", "f32", "f64", "v128")
    return " ".join(kinds[n % len(kinds)] for n in range(count))


def _zeros(count: int) -> str:
    zeros = ("(i32.const 1)", "(i64.const 2)", "(f32.const 3)", "(f64.const 4)",
             "(v128.const i64x2 5 6)")
    return " ".join(zeros[n % len(zeros)] for n in range(count))


#: Two functions that call each other in turn, with 1 and 40 parameters, and 1 result.
UNEVEN = f"""
  (func $narrow (export "uneven") (param i32) (result i64)
    (if (i32.eqz (local.get 0)) (then (return (i64.const 77))))
    (return_call $wide (i32.sub (local.get 0) (i32.const 1)) {_zeros(40)}))
  (func $wide (param i32 {_params(40)}) (result i64)
    (if (i32.eqz (local.get 0)) (then (return (i64.extend_i32_s (local.get 36)))))
    (return_call $narrow (i32.sub (local.get 0) (i32.const 1))))"""
#: The same with 12 results, most of them in memory.
RESULTS = f"""
  (func $a (export "results") (param i32) (result {_params(12)})
    (if (i32.eqz (local.get 0)) (then (return {_zeros(12)})))
    (return_call $b (i64.const 5) (i32.sub (local.get 0) (i32.const 1))))
  (func $b (param i64 i32) (result {_params(12)})
    (if (i32.eqz (local.get 1)) (then (return {_zeros(12)})))
    (return_call $a (i32.sub (local.get 1) (i32.const 1))))"""
INDIRECT = """
  (type $t (func (param i32 i64) (result i32)))
  (table 3 funcref) (elem (i32.const 0) $even $odd $other)
  (func $even (export "indirect") (param i32 i64) (result i32)
    (if (i32.eqz (local.get 0)) (then (return (i32.const 44))))
    (return_call_indirect (type $t) (i32.sub (local.get 0) (i32.const 1)) (local.get 1)
      (i32.const 1)))
  (func $odd (param i32 i64) (result i32)
    (if (i32.eqz (local.get 0)) (then (return (i32.const 99))))
    (return_call_indirect (type $t) (i32.sub (local.get 0) (i32.const 1)) (local.get 1)
      (i32.wrap_i64 (i64.and (local.get 1) (i64.const 3)))))
  (func $other (param i32) (result i32) (i32.const 0))"""
PROGRAM = f"(module {UNEVEN} {RESULTS} {INDIRECT})"


@pytest.mark.parametrize("level", [0, 1, 2, 3])
@pytest.mark.parametrize("target", ["cpu", "ptx"])
def test_a_million_tail_calls(
    target: str, level: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(code, "STACK_SIZE", STACK + code.STACK_MARGIN)
    wasm = bytes(wat2wasm(PROGRAM))
    with SwarmManager.from_wasm(
        wasm, cache=False, opt_level=level, call_depth=20, target=target
    ) as swarm:
        uneven = [swarm.spawn_agent("uneven", args=[MILLION + n]) for n in range(2)]
        results = [swarm.spawn_agent("results", args=[MILLION + n]) for n in range(2)]
        indirect = [swarm.spawn_agent("indirect", args=[MILLION + n, 0]) for n in range(2)]
        wrong = [swarm.spawn_agent("indirect", args=[10, n]) for n in (2, 3)]
        done = swarm.dispatch()
    assert [done.agent_results[agent] for agent in uneven] == [77, 1]
    for agent in results:
        assert done.agent_results[agent][:2] == (1, 2)
    assert [done.agent_results[agent] for agent in indirect] == [44, 99]
    assert [done.traps[agent].code for agent in wrong] == [
        Trap.INDIRECT_CALL_TYPE_MISMATCH, Trap.UNDEFINED_ELEMENT]


#: Every kind of callee, and what comes before and after it.
CALLEES = {
    "with another depth": """
      (func $big (param i64 i64 i64 i64 i64 i64 i64 i64 i64) (result i32) (i32.const 3))
      (func (export "f") (param i32) (result i32) (return_call $big (i64.const 0) (i64.const 0)
        (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0) (i64.const 0)
        (i64.const 0)))""",
    "nothing": '(func (export "f") (param i32) (return_call $g)) (func $g)',
    "an import": '(import "a" "b" (func $b (param i32) (result i32)))'
                 '(func (export "f") (param i32) (result i32) (return_call $b (local.get 0)))',
    "a host function": '(import "fuzzing-support" "log-i32" (func $log (param i32)))'
                       '(func (export "f") (param i32) (return_call $log (local.get 0)))',
    "a host function in a table": """
      (import "fuzzing-support" "log-i32" (func $log (param i32)))
      (table 1 funcref) (elem (i32.const 0) $log)
      (func (export "f") (param i32) (return_call_indirect (param i32) (i32.const 8)
        (i32.and (local.get 0) (i32.const 1))))""",
    "in a block": """
      (func $g (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
      (func (export "f") (param i32) (result i32)
        (block (result i32) (loop (result i32)
          (if (local.get 0) (then (return_call $g (local.get 0)) (nop) (drop)))
          (i32.const 4))))""",
    "in a callee": """
      (func $g (param i32) (result i32) (return_call $h (local.get 0) (i64.const 3)))
      (func $h (param i32 i64) (result i32) (i32.div_u (i32.const 100) (local.get 0)))
      (func (export "f") (param i32) (result i32)
        (i32.add (call $g (local.get 0)) (call $g (i32.const 2))))""",
    "a trap": """
      (func $h (param i32) (result i32) unreachable)
      (func (export "f") (param i32) (result i32) (return_call $h (local.get 0)))""",
    "null in a table": """
      (table 2 funcref)
      (func (export "f") (param i32) (return_call_indirect (local.get 0)))""",
    "in a function that calls itself": """
      (type $t (func (param i32) (result i32))) (table 2 funcref) (elem (i32.const 0) $f $g)
      (func $f (export "f") (type $t) (if (result i32) (local.get 0)
        (then (call $g (i32.add (local.get 0) (call $f (i32.sub (local.get 0) (i32.const 1))))))
        (else (i32.const 7))))
      (func $g (type $t) (return_call_indirect (type $t)
        (i32.rotr (local.get 0) (i32.const 1)) (i32.lt_s (local.get 0) (i32.const 9))))""",
    "one of many": """
      (type $t (func (param i32) (result i64))) (table 300 funcref)
      (elem (i32.const 0) """ + " ".join(f"$f{n % 100}" for n in range(300)) + ")" + "".join(
        f"""(func $f{n} (type $t) (if (i32.eqz (local.get 0)) (then (return (i64.const {n}))))
        (return_call_indirect (type $t) (i32.sub (local.get 0) (i32.const 1))
          (i32.mul (local.get 0) (i32.const 59))))""" for n in range(100)) + """
      (func (export "f") (param i32) (result i64) (return_call_indirect (type $t)
        (local.get 0) (i32.const 99)))""",
    "itself and others": """
      (func $f (export "f") (param i32) (result i32)
        (if (i32.eqz (local.get 0)) (then (return (i32.const 5))))
        (if (i32.eq (local.get 0) (i32.const 5)) (then (return_call $g (i64.const 4))))
        (return_call $f (i32.sub (local.get 0) (i32.const 1))))
      (func $g (param i64) (result i32) (local i32)
        (local.set 1 (i32.add (local.get 1) (i32.const 1)))
        (if (i64.eqz (local.get 0)) (then (return_call $f (local.get 1))))
        (return_call $g (i64.sub (local.get 0) (i64.const 1))))""",
    "swapped arguments": """
      (func $f (param i32 i32 f64) (result i32)
        (if (i32.gt_u (local.get 0) (i32.const 8)) (then (return (local.get 1))))
        (return_call $f (i32.add (local.get 1) (i32.const 3)) (local.get 0)
          (f64.add (local.get 2) (f64.const 1))))
      (func (export "f") (param i32) (result i32)
        (return_call $f (local.get 0) (i32.const 1) (f64.const 0)))""",
    "itself": '(func $f (export "f") (param i32) (result i32) (return_call $f (local.get 0)))',
}


@pytest.mark.parametrize("name", CALLEES)
def test_every_budget_of_fuel(name: str) -> None:
    fuzz_imports.install()
    data = bytes(wat2wasm(f"(module {CALLEES[name]})"))
    setup = Setup(missing_imports="trap")
    scripts = tuple(Script((Call("f", (value,)),)) for value in (0, 1, 2, 5))
    workloads = [Workload(scripts, fuel) for fuel in (*range(1, 20), 1000)]
    reference = Oracle().load(data, setup)
    runs = [(workload, reference.run(workload)) for workload in workloads]
    executors: list[Executor] = [InterpreterExecutor(level=0), InterpreterExecutor(level=2)]
    executors += [TargetExecutor(target) for target in TARGETS]
    for executor in executors:
        loaded = executor.load(data, setup)
        for workload, expected in runs:
            found = compare(expected, loaded.run(workload), workload, executor.name)
            assert found is None, f"fuel {workload.fuel}: {found}"


def test_assembles_for_aarch64() -> None:
    """That LLVM finds a way to make each of them a real tail call there, too."""
    options = CompileOptions("cpu")
    program = to_program(read_module(bytes(wat2wasm(PROGRAM))), options)
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    triple = "aarch64-unknown-linux-gnu"
    machine = llvm.Target.from_triple(triple).create_target_machine(opt=2, reloc="pic",
                                                                    codemodel="small")
    layout = plan_layout(program)
    abi = CpuAbi(triple, str(machine.target_data), layout)
    (text,) = lower(Lowering(program, layout, abi, list(program.function_exports()),
                             options.call_depth))
    assert text.count("musttail call tailcc") == 6
    # Only LLVM's assembler for the processor at hand is there; the stack switch needs one.
    text = "\n".join(line for line in text.splitlines() if not line.startswith("module asm"))
    code = bytes(machine.emit_object(llvm.parse_assembly(text)))
    (processor,) = struct.unpack_from("<H", code, 18)
    assert processor == 183  # EM_AARCH64


@pytest.mark.parametrize("arch", ["sm_75", "sm_90"])
def test_assembles_for_gpus(arch: str) -> None:
    """And needs the same little stack whatever the call depth, as nothing calls but as its end."""
    try:
        find_tool("ptxas")
    except TargetError:
        pytest.skip("NVIDIA's assembler is not installed")
    options = CompileOptions("cuda", arch=arch)
    program = to_program(read_module(bytes(wat2wasm(PROGRAM))), options)
    ptx = compile_to_ptx(program, options)
    found = {depth: measure(ptx, find_arch(arch), program, depth).stack for depth in (50, 2048)}
    assert found[50] == found[2048]
    assert found[50] is not None and 0 < found[50] < 4096
