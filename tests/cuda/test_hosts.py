"""Host functions become part of a program for GPUs."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
from wasmtime import wat2wasm

import swarmc
from swarmc.errors import TargetError
from swarmc.runtime import SwarmManager
from swarmc.runtime.cache import Cache
from swarmc.targets.cuda import CudaTarget
from swarmc.targets.cuda.driver import Driver
from swarmc.targets.cuda.gpu import Gpu

from .fake_driver import FakeDriver

CORPUS = Path(__file__).resolve().parents[2] / "corpus"
CALLER = bytes(wat2wasm("""(module (import "env" "f" (func $f (param f64) (result f64)))
  (import "env" "g" (func $g (param f64) (result f64)))
  (func (export "both") (param f64) (result f64) (f64.add (call $f (local.get 0))
                                                          (call $g (local.get 0)))))"""))


def host(name: str, source: str) -> swarmc.HostFunction:
    """A host function ``name`` that returns an expression of x."""
    space: dict[str, Any] = {"math": math}
    exec(f"def {name}(x):\n    return {source}", space)
    made = swarmc.host_function("env", name, "f64(f64)")(space[name])
    assert isinstance(made, swarmc.HostFunction)
    return made


def test_wasi_on_a_driver() -> None:
    bindings = pytest.importorskip("cuda.bindings.driver", reason="cuda-bindings is missing")
    driver = FakeDriver(bindings)
    driver.cuInit(0)
    gpu = Gpu(driver=Driver(driver))
    data = (CORPUS / "wasi.wasm").read_bytes()
    outputs = []
    for target in ("cpu", CudaTarget(connect=lambda: gpu)):
        with SwarmManager.from_wasm(data, target=target, max_agents=40) as swarm:
            swarm.spawn_agents(40, argv=[["wasi", "args", str(n), "x" * n] for n in range(40)])
            result = swarm.dispatch()
            outputs.append((result.agent_outputs, result.instruction_counts, result.exit_codes))
    assert outputs[0] == outputs[1]
    assert outputs[0][0][39].startswith(b"1 args\n2 39\n")


@pytest.mark.parametrize("layout", ["flat", "interleaved"])
def test_what_gpus_calculate_themselves(layout: str) -> None:
    functions = [host("f", "math.sqrt(abs(x)) * 3.0"), host("g", "math.floor(x) * 0.5")]
    found = []
    for target in ("cpu", "ptx"):
        with SwarmManager.from_wasm(
            CALLER, target=target, layout=layout, host_functions=functions
        ) as swarm:
            swarm.spawn_agents(50, "both", [[n * 1.37 - 30] for n in range(50)])
            found.append(swarm.dispatch().results_array().tobytes())
    assert found[0] == found[1]


def test_what_is_not_exact_on_gpus_is_refused() -> None:
    functions = [host("f", "math.sin(x)"), host("g", "x")]
    with pytest.raises(TargetError, match=r"the host function env\.f \w+ (llvm\.)?sin"):
        SwarmManager.from_wasm(CALLER, target="ptx", host_functions=functions)
    with SwarmManager.from_wasm(CALLER, target="cpu", host_functions=functions) as swarm:
        agent = swarm.spawn_agent("both", args=[1.0])
        assert swarm.dispatch().agent_results[agent] == math.sin(1.0) + 1.0


def test_a_changed_function_makes_another_program(tmp_path: Path) -> None:
    results = []
    for source in ("x + 1.0", "x + 2.0", "x + 1.0"):
        functions = [host("f", source), host("g", "x")]
        with SwarmManager.from_wasm(
            CALLER, target="ptx", cache=tmp_path, host_functions=functions
        ) as swarm:
            agent = swarm.spawn_agent("both", args=[10.0])
            results.append(swarm.dispatch().agent_results[agent])
    assert results == [21.0, 22.0, 21.0]
    programs = [one for one in Cache(tmp_path).entries() if one.path.suffix == ".swarmc"]
    assert len(programs) == 2
