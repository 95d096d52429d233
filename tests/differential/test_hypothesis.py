"""The same comparison driven by hypothesis, which looks for bytes that make it fail."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from swarmc.runtime.tools.choices import ByteSource, Choices
from swarmc.runtime.tools.differential import check
from swarmc.runtime.tools.execution import Executor, Rejected, Setup, Workload
from swarmc.runtime.tools.executors import InterpreterExecutor
from swarmc.runtime.tools.generator import GeneratorOptions, generate, generate_scripts
from swarmc.runtime.tools.oracle import Oracle
from swarmc.runtime.tools.target_executor import TargetExecutor
from swarmc.targets.cpu import CpuTarget

SMALL = GeneratorOptions(functions=3, size=80, depth=3)

DETERMINISTIC = settings(
    derandomize=True, deadline=None, database=None, max_examples=40,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=(HealthCheck.too_slow, HealthCheck.data_too_large,
                           HealthCheck.large_base_example),
)


@pytest.fixture(scope="module")
def oracle() -> Oracle:
    return Oracle()


def agrees(oracle: Oracle, executor: Executor, data: bytes) -> None:
    choices = Choices(ByteSource(data))
    generated = generate(choices, SMALL)
    scripts = generate_scripts(choices, generated, 4, 2)
    found = check(oracle, executor, generated.data, Setup(missing_imports="trap"),
                  Workload(scripts, 3000))
    assert found is None, str(found)


@given(data=st.binary(min_size=100, max_size=1500))
@DETERMINISTIC
def test_interpreter(oracle: Oracle, data: bytes) -> None:
    agrees(oracle, InterpreterExecutor(level=2), data)


@given(data=st.binary(min_size=100, max_size=1500))
@DETERMINISTIC
def test_cpu(oracle: Oracle, data: bytes) -> None:
    agrees(oracle, TargetExecutor(CpuTarget(), opt_level=1), data)


@given(data=st.binary(max_size=400), cut=st.integers(0, 10_000), byte=st.integers(0, 255))
@DETERMINISTIC
def test_verdicts_on_damaged_modules(oracle: Oracle, data: bytes, cut: int, byte: int) -> None:
    """One byte of a module is changed: it is refused exactly if wasmtime refuses it."""
    module = bytearray(generate(Choices(ByteSource(data)), SMALL).data)
    module[8 + cut % (len(module) - 8)] = byte
    damaged = bytes(module)
    refused = oracle.rejects(damaged)
    try:
        InterpreterExecutor(level=0).load(damaged, Setup(missing_imports="trap"))
    except Rejected as rejected:
        if rejected.stage in ("decode", "validate"):
            assert refused is not None, f"refused: {rejected}"
    else:
        assert refused is None, f"accepted, where wasmtime says: {refused}"
