"""Handwritten CUDA C gives what the workloads give, and its instructions are counted right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from swarmc.errors import SwarmcError, TargetError
from swarmc.runtime import SwarmManager
from swarmc.runtime.cli import app
from swarmc.runtime.tools import handwritten_check
from swarmc.runtime.tools.gpu_code import WORK, Loop, best_loop, functions_of
from swarmc.runtime.tools.handwritten import (
    Handwritten,
    HandwrittenLap,
    compile_kernel,
    run_on_gpu,
    run_on_host,
    sources,
)
from swarmc.runtime.tools.handwritten_check import beside_handwritten
from swarmc.targets.base import Uint64s
from swarmc.targets.cuda.cubin import read_functions, symbol_word
from swarmc.targets.cuda.driver import Driver
from swarmc.targets.cuda.gpu import Gpu

from ..cuda.fake_driver import FakeDriver
from ..cuda.tools import needs_nvdisasm, needs_ptxas

CORPUS = Path(__file__).resolve().parents[2] / "corpus" / "bench"
SIZES = {"gemm": 2, "mandelbrot": 40, "nbody": 5, "pbkdf2": 3}
SEEDS = np.array([1, 2, 3, 5, 8, 4_000_000_000], np.uint32)


def has_nvrtc() -> bool:
    try:
        compile_kernel(sources(CORPUS)["mandelbrot"], "sm_80")
    except TargetError:
        return False
    return True


needs_nvrtc = pytest.mark.skipif(not has_nvrtc(), reason="NVRTC is not installed")


def by_swarmc(name: str, seeds: np.ndarray[tuple[int], np.dtype[np.uint32]]) -> Uint64s:
    """What agents return on the CPU."""
    wasm = (CORPUS / f"{name}.wasm").read_bytes()
    with SwarmManager.from_wasm(
        wasm, target="cpu", entry_points=("run",), max_agents=len(seeds)
    ) as swarm:
        swarm.spawn_agents(len(seeds), "run", [[int(seed), SIZES[name]] for seed in seeds])
        return swarm.dispatch().results_array().view(np.uint64)


def test_what_there_is() -> None:
    assert set(sources(CORPUS)) == set(SIZES) == set(WORK)


@pytest.mark.parametrize("name", SIZES)
def test_the_same_results_as_c(name: str, tmp_path: Path) -> None:
    found = run_on_host(CORPUS, name, SEEDS, SIZES[name], tmp_path)
    assert (found == by_swarmc(name, SEEDS)).all()
    assert len(set(found.tolist())) == len(SEEDS)


@needs_nvrtc
@pytest.mark.parametrize("name", SIZES)
def test_the_same_results_by_the_ptx_that_nvrtc_makes(name: str) -> None:
    seeds = np.arange(1, 71, dtype=np.uint32)  # more than two warps
    fake = FakeDriver(pytest.importorskip("cuda.bindings.driver"))
    fake.cuInit(0)
    kernel = compile_kernel(sources(CORPUS)[name], "sm_90")
    assert kernel.words == (3 * 48 * 48 if name == "gemm" else 0)
    fake.cubins[kernel.cubin] = kernel.ptx
    lap = run_on_gpu(Gpu(driver=Driver(fake)), kernel, seeds, SIZES[name])
    assert (lap.results == by_swarmc(name, seeds)).all()
    assert 0 < lap.ms < lap.end_to_end_ms
    assert not fake.device and not fake.modules


@needs_nvrtc
def test_machine_code_for_other_gpus() -> None:
    for arch in ("sm_75", "sm_80", "sm_120"):
        kernel = compile_kernel(sources(CORPUS)["gemm"], arch)
        assert set(read_functions(kernel.cubin)) == {"agents"}
        assert f".target {arch}" in kernel.ptx
    with pytest.raises(TargetError, match="has no constant nothing"):
        symbol_word(kernel.cubin, "nothing")
    with pytest.raises(TargetError, match="cannot be read"):
        symbol_word(b"nothing", "nothing")


@needs_nvrtc
def test_what_does_not_compile(tmp_path: Path) -> None:
    (tmp_path / "agent.cuh").write_text("")
    (tmp_path / "wrong.cu").write_text("this is no C")
    with pytest.raises(TargetError, match=r"(?s)wrong\.cu does not compile:.*error"):
        compile_kernel(tmp_path / "wrong.cu", "sm_80")


@needs_nvrtc
def test_speeds_beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeDriver(pytest.importorskip("cuda.bindings.driver"))
    fake.cuInit(0)
    def known(path: Path, arch: str) -> Handwritten:
        made = compile_kernel(path, arch)
        fake.cubins[made.cubin] = made.ptx
        return made

    monkeypatch.setattr(handwritten_check, "compile_kernel", known)
    gpu = Gpu(driver=Driver(fake))
    found = beside_handwritten(CORPUS, "cpu", gpu, (8,), ("mandelbrot", "blur"), size=20)
    assert set(found) == {"mandelbrot"}
    assert set(found["mandelbrot"]) == {"8 convergent", "8 divergent"}
    for case in found["mandelbrot"].values():
        assert case["times_handwritten"] == case["ms"] / case["handwritten_ms"]
        assert case["handwritten_ms"] < case["handwritten_end_to_end_ms"]

    def wrong(*args: object) -> HandwrittenLap:
        return HandwrittenLap(1.0, 1.0, np.zeros(8, np.uint64))

    monkeypatch.setattr(handwritten_check, "run_on_gpu", wrong)
    with pytest.raises(SwarmcError, match="mandelbrot: handwritten code gives other results"):
        beside_handwritten(CORPUS, "cpu", gpu, (8,), ("mandelbrot",), size=20)


SASS = """
	.section	.text.first,"ax",@progbits
first:
        /*0000*/                   MOV R1, c[0x0][0x28] ;
.L_x_2:
        /*0010*/                   FMUL R0, R0, R1 ;
.L_x_1:
        /*0020*/                   FMUL R2, R3, R4 ;
        /*0030*/                   IADD3 R5, R5, 0x1, RZ ;
        /*0040*/                   FMUL R2, R3, R4 ;
        /*0050*/              @!P0 BRA `(.L_x_1) ;
        /*0060*/                   STG.E desc[UR4][R2.64], R5 ;
        /*0070*/               @P1 BRA `(.L_x_2) ;
        /*0080*/                   EXIT ;
.L_x_3:
        /*0090*/                   BRA `(.L_x_3);
	.section	.text.second,"ax",@progbits
second:
.L_x_4:
        /*0000*/                   FMUL R2, R3, R4 ;
        /*0010*/                   FMUL R2, R3, R4 ;
        /*0020*/                   BRA `(.L_x_4) ;
"""


def test_loops_are_found() -> None:
    functions = list(functions_of(SASS))
    assert [len(function.instructions) for function in functions] == [10, 3]
    kinds = [[text.split(" ")[0] for text in loop] for loop in functions[0].loops]
    assert kinds == [["FMUL", "STG.E", "BRA"], ["FMUL", "IADD3", "FMUL", "BRA"]]
    found = best_loop(functions[:1], Loop("FMUL"))
    assert found.units == 2 and len(found.instructions) == 4
    assert len(best_loop(functions[:1], Loop("FMUL", stores=True)).instructions) == 3
    assert len(best_loop(functions, Loop("FMUL")).instructions) == 3
    with pytest.raises(TargetError, match="no loop with DMUL"):
        best_loop(functions, Loop("DMUL"))


@needs_nvrtc
@needs_ptxas
@needs_nvdisasm
def test_the_command(tmp_path: Path) -> None:
    path = tmp_path / "code.json"
    arguments = ["bench", "-w", "mandelbrot", "-w", "gemm", "--gpu-code", "--corpus", str(CORPUS)]
    shown = CliRunner().invoke(app, [*arguments, "--json", str(path)])
    assert shown.exit_code == 0 and "iteration" in shown.output
    found = {one["workload"]: one for one in json.loads(path.read_text())}
    assert set(found) == {"mandelbrot", "gemm"}
    for name, products in (("mandelbrot", 3.0), ("gemm", 1.0)):
        for side in ("ours", "handwritten"):
            code = found[name][side]
            assert code["mix"]["FMUL"] == pytest.approx(products, rel=0.1)
            assert code["per_unit"] == pytest.approx(sum(code["mix"].values()))
    # Addresses of neighbouring cells take no instructions: two loads, a store, and little else.
    ours = found["gemm"]["ours"]
    assert ours["per_unit"] < 10 and ours["mix"]["LDG"] == pytest.approx(2, rel=0.1)
