"""The command line as a process: signals, pipes, exit codes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

SWARMC = [sys.executable, "-m", "swarmc"]
SECONDS = 180


def test_interrupting_a_dispatch(wasm: Path) -> None:
    command = [*SWARMC, "-v", "run", str(wasm), "--invoke", "forever", "--fuel", "4e18", "-n", "20"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert any("dispatching 20 agents" in line for line in process.stderr)
    at_work = psutil.Process(process.pid).cpu_times().user + 0.5  # then they are under way
    while psutil.Process(process.pid).cpu_times().user < at_work:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 130, err
    assert "20 trapped" in out
    assert "interrupted" in out
    assert "Traceback" not in err


def test_interrupting_what_cannot_be_stopped() -> None:
    script = (
        "import ctypes\n"
        "from swarmc.runtime.cli import _command\n"
        "from swarmc.runtime.cli_terminal import interruptible\n"
        "def wait():  # the signal may end one sleep\n"
        "    print('ready', flush=True)\n"
        "    for _ in range(9): ctypes.CDLL(None).sleep(20)\n"
        "_command(lambda: interruptible(wait))()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=SECONDS)  # the sleeps take three times as long
    assert process.returncode == 130
    assert err == "swarmc: interrupted\n"


def test_a_reader_that_has_seen_enough(wasm: Path) -> None:
    command = [*SWARMC, "run", str(wasm), "--invoke", "nothing", "-n", "20000", "--csv", "-"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None and process.stderr is not None
    assert process.stdout.readline().startswith(b"agent,")
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(timeout=SECONDS) == 0


def test_exit_code_of_a_mistake(tmp_path: Path) -> None:
    done = subprocess.run([*SWARMC, "run", str(tmp_path / "none.wasm")], capture_output=True)
    assert done.returncode == 2
    assert done.stdout == b""
    assert done.stderr.startswith(b"swarmc: error: cannot read")


def test_a_home_that_cannot_be_written_to(wasm: Path) -> None:
    environ = {key: value for key, value in os.environ.items() if key != "SWARMC_CACHE_DIR"}
    environ |= {"HOME": "/proc/nowhere"}
    environ.pop("XDG_CACHE_HOME", None)
    done = subprocess.run(
        [*SWARMC, "run", str(wasm), "--invoke", "add", "--args", "1,2"],
        capture_output=True, text=True, env=environ,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "returned" in done.stdout
