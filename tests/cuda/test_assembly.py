"""NVIDIA's assembler takes what is compiled, and what it says of it is understood."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import wasmtime
from typer.testing import CliRunner, Result

from swarmc.errors import SwarmcError, TargetError, UnsupportedFeatureError
from swarmc.ir import ops
from swarmc.ir.module import Module
from swarmc.runtime.cli import app
from swarmc.runtime.compile import read_module, to_program
from swarmc.runtime.tools.choices import Choices, RandomSource
from swarmc.runtime.tools.generator import generate
from swarmc.targets.addressing import MemoryLayout
from swarmc.targets.cuda import CudaTarget, toolchain
from swarmc.targets.cuda.arch import ARCHES
from swarmc.targets.cuda.codegen import compile_to_ptx
from swarmc.targets.cuda.cubin import read_functions
from swarmc.targets.cuda.kernel import STACK_PER_UNIT, DeviceKernel
from swarmc.targets.cuda.resources import measure
from swarmc.targets.executable import CompileOptions, Executable
from swarmc.targets.ptx.device import PtxDevice

from .test_ptx import CORPUS, FORBIDDEN, FUSED
from .tools import needs_nvdisasm, needs_ptxas, without_tools

PROGRAMS = sorted(CORPUS.glob("*.wasm")) + sorted(CORPUS.glob("bench/*.wasm"))
GENERATED = 60
LARGE = 10_000  # bytes from which on programs are optimised for one of these only, to save time
CONFIGURATIONS = (("sm_75", MemoryLayout.FLAT), ("sm_90", MemoryLayout.INTERLEAVED_8))


def program_of(wasm: bytes | str, options: CompileOptions) -> Module:
    data = bytes(wasmtime.wat2wasm(wasm)) if isinstance(wasm, str) else wasm
    return to_program(read_module(data), options)


@needs_ptxas
@pytest.mark.parametrize(("arch", "layout"), CONFIGURATIONS, ids=["sm_75", "sm_90"])
@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: str(path.relative_to(CORPUS)))
def test_corpus(path: Path, arch: str, layout: MemoryLayout) -> None:
    wasm = path.read_bytes()
    quick = arch == "sm_75" and len(wasm) > LARGE
    options = CompileOptions(
        layout=layout, missing_imports="trap", arch=arch, opt_level=0 if quick else None
    )
    program = program_of(wasm, options)
    ptx = compile_to_ptx(program, options)
    assert not FORBIDDEN.search(ptx)
    chip = ARCHES[arch]
    found = measure(ptx, chip, program, options.call_depth, level=0 if quick else 3)
    assert 16 <= found.registers <= 255
    assert found.occupancy == chip.occupancy(found.registers, found.block)
    assert found.kernel.registers <= found.registers
    # Each unit of call depth is worth no more than the largest frame, and dispatchers'.
    assert found.stack is not None
    assert found.stack <= (options.call_depth + 20) * 2 * max(f.frame for f in found.functions)


@needs_ptxas
@pytest.mark.parametrize("seed", range(GENERATED))
def test_generated_modules(seed: int) -> None:
    generated = generate(Choices(RandomSource(f"assembly:{seed}")))
    arch, layout = CONFIGURATIONS[seed % 2]
    if layout is not MemoryLayout.FLAT:
        layout = list(MemoryLayout)[1 + seed // 2 % 3]
    options = CompileOptions(arch=arch, layout=layout, missing_imports="trap", opt_level=seed % 3)
    try:
        program = program_of(generated.data, options)
        ptx = compile_to_ptx(program, options)
    except UnsupportedFeatureError as error:
        pytest.skip(str(error))
    except SwarmcError as error:
        assert "out of bounds" in str(error)
        return
    # Relaxed SIMD asks for products and sums that are rounded once; nothing else has any.
    asked = any(
        inst.op in (ops.FMA, ops.VFMA)
        for function in program.functions.values() for inst in function.insts()
    )  # fmt: skip
    text = FUSED.sub("", ptx) if asked else ptx
    assert not FORBIDDEN.search(text)
    assert toolchain.assemble(ptx, ARCHES[arch], level=0 if seed % 4 else 3).code


SUMS = """(module
  (func (export "f") (param f32 f32 f32) (result f32)
    (f32.sub (f32.add (f32.mul (local.get 0) (local.get 1)) (local.get 2)) (local.get 1)))
  (func (export "d") (param f64 f64 f64) (result f64)
    (f64.sub (f64.add (f64.mul (local.get 0) (local.get 1)) (local.get 2)) (local.get 1)))
  (func (export "fused") (param v128 v128 v128) (result v128)
    (f32x4.relaxed_madd (local.get 0) (local.get 1) (local.get 2))))"""


@needs_ptxas
@needs_nvdisasm
@pytest.mark.parametrize("arch", ["sm_75", "sm_90"])
def test_the_assembler_does_not_fuse(arch: str) -> None:
    for entry, fused in (("f", False), ("d", False), ("fused", True)):
        options = CompileOptions(arch=arch, entry_points=(entry,))
        ptx = compile_to_ptx(program_of(SUMS, options), options)
        sass = toolchain.disassemble(toolchain.assemble(ptx, ARCHES[arch]).code)
        assert bool(re.search(r"\b[FD]FMA\b", sass)) == fused
        assert fused or re.search(r"\b[FD]MUL\b", sass)


@needs_ptxas
@pytest.mark.parametrize("arch", ARCHES)
def test_every_architecture(arch: str) -> None:
    options = CompileOptions(arch=arch)
    program = program_of((CORPUS / "lib.wasm").read_bytes(), options)
    ptx = compile_to_ptx(program, options)
    if ARCHES[arch].ptx_version >= 90 and toolchain.tool_version("ptxas") < "13":
        with pytest.raises(TargetError, match=rf"ptxas 12\S+ does not know {arch}; .* 13"):
            toolchain.assemble(ptx, ARCHES[arch])
    else:
        assert measure(ptx, ARCHES[arch], program, 100).registers


RECURSIVE = """(module (memory 1)
  (func $f (export "f") (param i32 f64) (result f64)
    (if (result f64) (local.get 0)
      (then (f64.add (local.get 1) (f64.mul (call $g (i32.sub (local.get 0) (i32.const 1))
        (local.get 1)) (f64.load (local.get 0)))))
      (else (local.get 1))))
  (func $g (param i32 f64) (result f64)
    (f64.add (f64.load offset=8 (local.get 0)) (call $f (local.get 0) (f64.sqrt (local.get 1))))))
"""


@needs_ptxas
def test_stack_grows_with_the_call_depth() -> None:
    needs = []
    for depth in (50, 100, 200):
        options = CompileOptions(call_depth=depth)
        program = program_of(RECURSIVE, options)
        found = measure(compile_to_ptx(program, options), ARCHES["sm_90"], program, depth)
        assert found.call_depth == depth and found.stack is not None
        needs.append(found.stack)
    frame = max(f.frame for f in found.functions)
    assert 0 < needs[1] - needs[0] <= 50 * frame
    assert needs[2] - needs[1] == 2 * (needs[1] - needs[0])


@needs_ptxas
def test_launches_ask_for_what_the_assembler_says() -> None:
    options = CompileOptions(target="cuda", call_depth=100, arch="sm_80")
    program = program_of(RECURSIVE, options)
    executable = CudaTarget().compile(program, options)
    ptx, *_ = executable.objects
    found = measure(ptx.decode(), ARCHES["sm_80"], program, 100)
    assert executable.stack == found.stack and found.stack
    assert Executable.from_bytes(executable.to_bytes()).stack == found.stack
    assert DeviceKernel(PtxDevice(), executable).stack == found.stack
    alone = replace(executable, stack=None)
    assert DeviceKernel(PtxDevice(), alone).stack == 100 * STACK_PER_UNIT > found.stack


def test_occupancy() -> None:
    # Of the CUDA occupancy calculator: registers are given to warps by 256.
    for arch, registers, block, warps in (
        ("sm_90", 32, 128, 64), ("sm_90", 33, 128, 48), ("sm_90", 64, 128, 32),
        ("sm_90", 255, 128, 8), ("sm_90", 168, 128, 12), ("sm_75", 64, 128, 32),
        ("sm_120", 32, 32, 24), ("sm_90", 255, 1024, 0),
        ("sm_75", 255, 256, 8), ("sm_86", 40, 128, 48), ("sm_86", 16, 32, 16),
    ):
        assert ARCHES[arch].resident_warps(registers, block) == warps, (arch, registers, block)
    assert ARCHES["sm_90"].occupancy(255, 128) == 0.125


@needs_ptxas
def test_large_programs_are_assembled_by_several_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    options = CompileOptions()
    ptx = compile_to_ptx(program_of((CORPUS / "start.wasm").read_bytes(), options), options)
    commands: list[list[str]] = []
    run = toolchain._run

    def recorded(command: list[str]) -> str:
        commands.append(command)
        return run(command)

    monkeypatch.setattr(toolchain, "_run", recorded)
    for size in (0, 1 << 20, 4 << 20):
        filled = ptx + "//" + "x" * size + "\n"
        assert read_functions(toolchain.assemble(filled, ARCHES["sm_90"]).code)
    extra = [{part for part in command if "compile=" in part} for command in commands]
    assert extra == [set(), {"--split-compile=0"}, {"--split-compile=0", "--Ofast-compile=mid"}]


def test_no_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    without_tools(monkeypatch)
    with pytest.raises(TargetError, match=r"ptxas .* not installed; install swarmc\[cuda\]"):
        toolchain.find_tool("ptxas")


def test_a_file_that_is_no_cubin() -> None:
    for data in (b"", b"\x7fELF" + bytes(200)):
        with pytest.raises(TargetError, match="cannot be read"):
            read_functions(data)


@pytest.fixture
def swarmc() -> Callable[..., Result]:
    return lambda *args: CliRunner().invoke(app, [str(arg) for arg in args])


@needs_ptxas
@needs_nvdisasm
def test_command_line(swarmc: Callable[..., Result], tmp_path: Path) -> None:
    program = CORPUS / "lib.wasm"
    compile_ = ("compile", program, "--target", "cuda", "--arch", "sm_80", "--emit")
    report = swarmc(*compile_, "resources").output
    assert re.match(r"sm_80, assembled (and linked )?by ptxas 1\d\.\d+\.\d+ in \d+\.\d s", report)
    assert re.search(r"\nregisters  \d+ a thread\n", report) and "swarm_kernel" in report
    found = json.loads(swarmc(*compile_, "resources", "--json").output)
    assert found["arch"] == "sm_80" and f"\nregisters  {found['registers']} a thread\n" in report
    assert {f["name"] for f in found["functions"]} >= {"fib"}
    assert ".section\t.text.swarm_kernel" in swarmc(*compile_, "sass").output
    assert swarmc(*compile_, "ptx", "-o", tmp_path / "x.ptx").exit_code == 0
    assert ".target sm_80" in (tmp_path / "x.ptx").read_text()
    assert "llvm.nvvm.exit" in swarmc(*compile_, "llvm").output


def test_wrong_stages(swarmc: Callable[..., Result]) -> None:
    program = CORPUS / "start.wasm"
    for arguments, message in (
        (("--emit", "ptx"), "target cpu has no stage ptx"),
        (("--emit", "asm", "--target", "cuda"), "target cuda has no stage asm"),
        (("--emit", "ptx", "--target", "cuda", "--json"), "--json is for --emit resources"),
        (("--emit", "ptx", "--target", "cuda", "--arch", "sm_50"), "no architecture 'sm_50'"),
    ):
        result = swarmc("compile", program, *arguments)
        assert result.exit_code == 2
        assert message in result.output
