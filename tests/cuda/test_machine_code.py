"""Programs are assembled and linked once, and the driver is given their machine code."""

from __future__ import annotations

import logging
import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import wasmtime
from typer.testing import CliRunner

from swarmc.errors import ArgumentError, TargetError
from swarmc.runtime import SwarmManager
from swarmc.runtime.cli import app
from swarmc.targets.cuda import CudaTarget, toolchain
from swarmc.targets.cuda import target as cuda_target
from swarmc.targets.cuda.arch import ARCHES, Arch
from swarmc.targets.cuda.codegen import compile_to_ptx
from swarmc.targets.cuda.cubin import read_functions
from swarmc.targets.cuda.driver import Driver
from swarmc.targets.cuda.gpu import Gpu
from swarmc.targets.cuda.prelude import KERNEL
from swarmc.targets.cuda.resources import measure
from swarmc.targets.executable import CompileOptions, Executable

from .fake_driver import FakeDriver
from .test_assembly import RECURSIVE, program_of
from .test_ptx import CORPUS
from .tools import needs_nvdisasm, needs_nvlink, needs_ptxas, without_tools

bindings = pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is not installed")

SUM = """(module (func (export "sum") (param i32 i32) (result i32)
  (i32.add (local.get 0) (local.get 1))))"""
CALLS_NOBODY = """.version 8.0
.target sm_90
.address_size 64
.extern .func nobody;
.visible .entry swarm_kernel() { call.uni nobody; ret; }
"""


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> FakeDriver:
    """A driver that knows the PTX of all machine code that is made."""
    driver = FakeDriver(bindings)
    real = toolchain.build

    def build(ptx: str, arch: Arch) -> toolchain.Assembly:
        made = real(ptx, arch)
        if made.cubin is not None:
            driver.cubins[made.cubin] = ptx
        return made

    monkeypatch.setattr(cuda_target, "build", build)
    return driver


def connected(fake: FakeDriver) -> CudaTarget:
    gpu: list[Gpu] = []

    def connect() -> Gpu:
        if not gpu:
            fake.cuInit(0)
            gpu.append(Gpu(driver=Driver(fake)))
        return gpu[0]

    return CudaTarget(connect=connect)


def programs(fake: FakeDriver) -> list[bytes]:
    """Images of programs that the driver was given, without the kernels that copy."""
    return [image for image in fake.loaded if b"swarm_gather" not in image]


def run_sum(fake: FakeDriver, **options: Any) -> SwarmManager:
    swarm = SwarmManager.from_wasm(
        wasmtime.wat2wasm(SUM), target=connected(fake), **{"cache": False} | options
    )
    agent = swarm.spawn_agent(args=[40, 2])
    assert swarm.dispatch().agent_results[agent] == 42
    return swarm


@needs_nvlink
def test_the_driver_gets_what_was_linked(fake: FakeDriver) -> None:
    swarm = run_sum(fake)
    ptx, cubin = swarm.executable.objects
    assert programs(fake) == [cubin] and cubin.startswith(b"\x7fELF")
    assert fake.cubins[cubin] == ptx.decode()
    assert Executable.from_bytes(swarm.executable.to_bytes()) == swarm.executable


@needs_nvlink
def test_a_warm_start_runs_no_tool(
    fake: FakeDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = run_sum(fake, cache=tmp_path)

    def refuse(*args: Any, **options: Any) -> Any:
        raise AssertionError(f"a warm start does this: {args}")

    monkeypatch.setattr(subprocess, "run", refuse)
    monkeypatch.setattr(cuda_target, "ptx_of", refuse)
    monkeypatch.setattr("swarmc.runtime.compile.read_module", refuse)
    warm = run_sum(fake, cache=tmp_path)
    assert programs(fake) == [first.executable.objects[1]] * 2
    assert warm.executable == first.executable and warm.executable.stack is not None


@needs_ptxas
def test_another_assembler_compiles_again_and_runs_the_same_file(
    fake: FakeDriver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    swarm = run_sum(fake, cache=tmp_path)
    before = toolchain.builders()
    assert len(list(tmp_path.glob("*.swarmc"))) == 1
    with monkeypatch.context() as patch:
        without_tools(patch)
        assert toolchain.builders() == "no ptxas, no nvlink" != before
        SwarmManager(target=connected(fake)).load_executable(swarm.executable)
        again = run_sum(fake, cache=tmp_path)
    assert len(list(tmp_path.glob("*.swarmc"))) == 2
    assert again.executable.stack is None and len(again.executable.objects) == 1
    info = os.stat(toolchain.find_tool("ptxas"))
    assert str(info.st_mtime_ns) in before


def test_without_tools_the_driver_assembles(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_tools(monkeypatch)
    swarm = run_sum(fake)
    (ptx,) = swarm.executable.objects
    assert programs(fake) == [ptx + b"\0"] and swarm.executable.stack is None


@needs_ptxas
def test_without_a_linker_the_driver_assembles(
    fake: FakeDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(toolchain, "can_link", lambda: False)
    swarm = run_sum(fake)
    (ptx,) = swarm.executable.objects
    assert programs(fake) == [ptx + b"\0"] and swarm.executable.stack is not None


@needs_nvlink
def test_a_driver_too_old_for_the_machine_code(
    fake: FakeDriver, caplog: pytest.LogCaptureFixture
) -> None:
    fake.refuses = "INVALID_IMAGE"
    with caplog.at_level(logging.WARNING, "swarmc"):
        swarm = run_sum(fake)
    assert programs(fake) == [swarm.executable.objects[0] + b"\0"]
    assert "assembles the program itself: cuModuleLoadData: CUDA_ERROR_INVALID_IMAGE" in caplog.text


@needs_nvlink
def test_a_gpu_of_another_architecture_gets_ptx(fake: FakeDriver) -> None:
    fake.arch = 12, 9
    swarm = run_sum(fake)
    ptx, _ = swarm.executable.objects
    assert b".target sm_121" in ptx and programs(fake) == [ptx + b"\0"]


def test_a_program_for_a_newer_gpu_is_refused(fake: FakeDriver) -> None:
    swarm = run_sum(fake)
    fake.arch = 8, 6
    with pytest.raises(TargetError, match=r"compiled for sm_90, and the GPU is an sm_86; .*--arch"):
        SwarmManager(target=connected(fake)).load_executable(swarm.executable)


def test_a_driver_too_old_for_the_ptx(fake: FakeDriver) -> None:
    swarm = run_sum(fake)
    fake.version = 11080
    with pytest.raises(TargetError, match=r"is of CUDA 11\.8, and swarmc needs 12\.0 .*; update"):
        run_sum(fake)
    fake.cuInit(0)
    gpu = Gpu(driver=Driver(fake))
    with pytest.raises(TargetError, match=r"of CUDA 11\.8, and does not take PTX 8\.0, .*update"):
        gpu.load(swarm.executable.objects[0].decode())


@needs_nvlink
def test_what_cannot_be_linked(tmp_path: Path) -> None:
    assembly = toolchain.assemble(CALLS_NOBODY, ARCHES["sm_90"])
    assert assembly.cubin is None
    with pytest.raises(TargetError, match=r"nvlink failed with .*Undefined reference to 'nobody'"):
        toolchain.link(assembly, ARCHES["sm_90"])
    with pytest.raises(TargetError, match=r"nvlink failed with .* does not match target 'sm_80'"):
        toolchain.link(assembly, ARCHES["sm_80"])
    nothing = toolchain.Assembly(b"nothing that a GPU runs", "", 0.0)
    with pytest.raises(TargetError, match="nvlink"):
        toolchain.link(nothing, ARCHES["sm_90"])


def test_a_tool_that_succeeds_with_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = tmp_path / "nvlink"
    tool.write_text(
        "#!/bin/sh\nfor last; do :; done\necho code > $last\n"
        "echo \"nvlink error   : Prototype doesn't match for 'f'\" >&2\n"
    )
    tool.chmod(0o700)
    monkeypatch.setattr(toolchain, "find_tool", lambda name: tool)
    with pytest.raises(TargetError, match=r"nvlink failed with 0: .*Prototype doesn't match"):
        toolchain.link(toolchain.Assembly(b"", "", 0.0), ARCHES["sm_90"])


@needs_nvlink
@pytest.mark.parametrize(
    ("name", "arch"),
    [("hello", "sm_90"), ("sha256", "sm_90"), ("memory", "sm_80"), ("memory", "sm_120")],
)
def test_the_linker_says_the_same(name: str, arch: str) -> None:
    chip = ARCHES[arch]
    options = CompileOptions(missing_imports="trap", arch=arch)
    program = program_of((CORPUS / f"{name}.wasm").read_bytes(), options)
    ptx = compile_to_ptx(program, options)
    body = r"\1{\n\tst.param.b64 \t[func_retval0], 0;\n\tret;\n}"
    ptx = re.sub(r"(?m)^\.extern (\.func[^;{]*)^;", body, ptx)
    found = measure(ptx, chip, program, options.call_depth)
    assembly = toolchain.assemble(ptx, chip)
    linked = toolchain.link(assembly, chip).cubin
    assert linked is not None and found.linked and found.cubin == len(linked)
    before, after = read_functions(assembly.code), read_functions(linked)
    assert found.registers == after.pop(KERNEL).registers
    assert found.registers == max(f.registers for f in found.functions)
    del before[KERNEL]
    assert before == after


@needs_nvlink
@needs_nvdisasm
def test_linked_code_as_text_and_as_a_file(tmp_path: Path) -> None:
    def compile_(*args: object) -> Any:
        return CliRunner().invoke(
            app, ["compile", *map(str, args), "--target", "cuda", "--arch", "sm_80"]
        )

    path = tmp_path / "x.cubin"
    program = CORPUS / "lib.wasm"
    assert compile_(program, "--emit", "cubin", "-o", path).exit_code == 0
    found = read_functions(path.read_bytes())
    assert KERNEL in found and len(found) > 3
    text = toolchain.disassemble(path.read_bytes())
    assert f".section\t.text.{KERNEL}" in text
    assert "EXIT" in text and compile_(program, "--emit", "sass").output == text


@needs_ptxas
def test_stack_of_what_runs() -> None:
    options = CompileOptions(target="cuda", call_depth=100, arch="sm_80")
    program = program_of(RECURSIVE, options)
    made = CudaTarget().compile(program, options)
    assert made.stack == measure(
        made.objects[0].decode(), ARCHES["sm_80"], program, 100
    ).stack


@needs_ptxas
@pytest.mark.parametrize("limit", [32, 64])
def test_a_limit_of_registers(limit: int) -> None:
    options = CompileOptions(missing_imports="trap", max_registers=limit)
    program = program_of((CORPUS / "sha256_lib.wasm").read_bytes(), options)
    ptx = compile_to_ptx(program, options)
    assert ptx.count(f".maxnreg {limit}") == 1
    found = measure(ptx, ARCHES["sm_90"], program, options.call_depth)
    assert found.registers <= limit and found.warps >= ARCHES["sm_90"].resident_warps(limit, 128)
    free = program_of((CORPUS / "sha256_lib.wasm").read_bytes(), CompileOptions())
    unlimited = measure(
        compile_to_ptx(free, CompileOptions()), ARCHES["sm_90"], free, options.call_depth
    )
    assert unlimited.registers > 200
    spilled, before = (sum(f.spill_stores for f in r.functions) for r in (found, unlimited))
    assert spilled > before


def test_a_limited_program_runs_the_same() -> None:
    results = []
    for limit in (None, 32):
        with SwarmManager.from_wasm(
            (CORPUS / "lib.wasm").read_bytes(), target="ptx", max_registers=limit, cache=False
        ) as swarm:
            swarm.spawn_agents(3, "fib", [[5], [6], [7]])
            results.append(swarm.dispatch().results_array().tolist())
    assert results[0] == results[1] == [5, 8, 13]
    for wrong in (31, 256, "64"):
        with pytest.raises(ArgumentError, match="max_registers must be an integer from 32 to 255"):
            SwarmManager(max_registers=wrong)  # type: ignore[arg-type]
