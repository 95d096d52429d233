"""Where agents run if nobody says."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from swarmc.errors import TargetError
from swarmc.runtime import SwarmManager, choosing
from swarmc.runtime.cli import app
from swarmc.targets.cuda import CudaTarget
from swarmc.targets.cuda import target as cuda_target
from swarmc.targets.cuda.device import DeviceProperties
from swarmc.targets.cuda.driver import NoGpuError

CORPUS = Path(__file__).resolve().parents[2] / "corpus"


class Machine:
    """A machine with a GPU that is, or is not, what it should be."""

    def __init__(self, arch: str = "sm_90", cuda: str = "13.0") -> None:
        self.properties = DeviceProperties("a GPU", arch, 1 << 30, 1, 2048, cuda)
        self.asked = 0

    def connect(self) -> Machine:
        self.asked += 1
        return self


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Machine]]:
    def with_gpu(error: TargetError | None = None, arch: str = "sm_90", cuda: str = "13.0"
                 ) -> Machine:  # fmt: skip
        found = Machine(arch, cuda)
        real = cuda_target.usable_gpu

        def usable() -> object:
            if error is not None:
                raise error
            return real(found.connect)  # type: ignore[arg-type]

        choosing.why_no_gpu.cache_clear()
        monkeypatch.setattr(choosing, "driver_is_there", lambda: True)
        monkeypatch.setattr(cuda_target, "usable_gpu", usable)
        return found

    yield with_gpu
    monkeypatch.undo()
    choosing.why_no_gpu.cache_clear()


def test_a_gpu_that_works_is_chosen(
    machine: Callable[..., Machine], caplog: pytest.LogCaptureFixture
) -> None:
    gpu = machine()
    swarms = [SwarmManager() for _ in range(3)]
    assert all(isinstance(swarm.target, CudaTarget) and not swarm.mock for swarm in swarms)
    assert gpu.asked == 1  # once a process
    assert SwarmManager("cpu").mock
    assert not caplog.records


@pytest.mark.parametrize(
    ("arch", "cuda", "why"),
    [
        ("sm_70", "12.4", "the GPU is an sm_70, and swarmc needs sm_75 or newer"),
        ("sm_90", "11.8", "the driver of the GPU (a GPU, sm_90) is of CUDA 11.8, and swarmc needs"
         " 12.0 or newer for it"),
        ("sm_100", "12.6", "is of CUDA 12.6, and swarmc needs 12.7"),
        ("sm_121", "12.8", "is of CUDA 12.8, and swarmc needs 12.9"),
        ("sm_110", "12.9", "is of CUDA 12.9, and swarmc needs 13.0"),
    ],
)  # fmt: skip
def test_one_that_does_not_is_not_and_a_warning_says_why(
    machine: Callable[..., Machine], caplog: pytest.LogCaptureFixture, arch: str, cuda: str,
    why: str,
) -> None:  # fmt: skip
    machine(None, arch, cuda)
    assert SwarmManager().mock and SwarmManager().mock
    (record,) = caplog.records
    assert record.levelno == logging.WARNING and record.name.startswith("swarmc.")
    assert record.getMessage().startswith("agents run on the CPU, for the GPU cannot be used: ")
    assert why in record.getMessage()
    with pytest.raises(TargetError) as caught:
        cuda_target.usable_gpu()
    assert why in str(caught.value)


def test_what_is_missing_is_said(
    machine: Callable[..., Machine], caplog: pytest.LogCaptureFixture
) -> None:
    machine(TargetError("no module cuda", hint="install swarmc[cuda]"))
    assert SwarmManager().target.name == "cpu"
    assert "no module cuda; install swarmc[cuda]" in caplog.text


def test_no_gpu_is_nothing_to_warn_of(
    machine: Callable[..., Machine], caplog: pytest.LogCaptureFixture
) -> None:
    machine(NoGpuError("NVIDIA's driver shows no GPU"))
    assert SwarmManager().mock
    assert not caplog.records


def test_a_compiled_program_says_where_it_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, machine: Callable[..., Machine]
) -> None:
    monkeypatch.delenv("SWARMC_TARGET")
    files = {}
    for target in ("cpu", "ptx"):
        files[target] = tmp_path / f"{target}.swarmc"
        made = CliRunner().invoke(app, [
            "compile", str(CORPUS / "start.wasm"), "--target", target, "-o", str(files[target]),
            "--no-cache",
        ])  # fmt: skip
        assert made.exit_code == 0
    machine()
    for target, path in files.items():
        run = ["run", str(path), "--invoke", "calls"]
        ran = CliRunner().invoke(app, [*run, "--json"])
        assert ran.exit_code == 0 and f'"target": "{target}"' in ran.output
        refused = CliRunner().invoke(app, [*run, "--target", "cuda"])
        assert refused.exit_code == 2 and "the program was compiled for" in refused.output
    swarm = SwarmManager.from_wasm((CORPUS / "start.wasm").read_bytes(), target="ptx")
    other = SwarmManager()
    assert other.target.name == "cuda"
    other.load_executable(swarm.executable)
    assert other.target.name == "ptx"
    other.load_bytecode((CORPUS / "start.wasm").read_bytes())
    assert other.executable.target == "ptx"


def test_the_environment_names_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SWARMC_TARGET", "ptx")
    ran = CliRunner().invoke(
        app, ["run", str(CORPUS / "start.wasm"), "--invoke", "calls", "--json", "--no-cache"]
    )
    assert '"target": "ptx"' in ran.output


def test_without_a_gpu_it_costs_nothing() -> None:
    program = """if True:
        import sys, time
        from swarmc.runtime import choosing, SwarmManager
        before = set(sys.modules)
        begin = time.process_time()
        assert choosing.why_no_gpu()
        took = time.process_time() - begin
        assert set(sys.modules) == before, set(sys.modules) - before
        SwarmManager()
        assert not any(name.split(".")[0] == "cuda" for name in sys.modules)
        assert not any(name.startswith("swarmc.targets.cuda") for name in sys.modules)
        print(took)
    """
    if any(Path(path).exists() for path in choosing._DRIVER_FILES):
        pytest.skip("there is a driver")
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 0.01
