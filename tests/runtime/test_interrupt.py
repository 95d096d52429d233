"""Ctrl-C during a long dispatch, in a process of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys
from swarmc.runtime import SwarmManager
swarm = SwarmManager.from_wasm(open(sys.argv[1], "rb").read(), cache=sys.argv[2], fuel=1 << 62)
a = swarm.spawn_agent("tick")
b = swarm.spawn_agent("forever")
swarm.dispatch([a])
print("running", flush=True)
try:
    swarm.dispatch()
except KeyboardInterrupt:
    result = swarm.last_result
    print(result.agent_results, {id_: trap.message for id_, trap in result.traps.items()})
    print(swarm.dispatch([a]).agent_results)
else:
    print("not interrupted")
"""


def test_ctrl_c(tmp_path: Path, library: bytes, shared_cache: Path) -> None:
    module = tmp_path / "library.wasm"
    module.write_bytes(library)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(module), str(shared_cache)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    with process:
        assert process.stdout.readline() == "running\n"
        # Before the dispatch runs, the signal would only end the program.
        signal_when_busy(process.pid)
        output, _ = process.communicate(timeout=60)
    assert output == "{0: 2} {1: 'interrupted'}\n{0: 3}\n"
    assert process.returncode == 0


def signal_when_busy(pid: int) -> None:
    """Send SIGINT once the process has computed for half a second more."""
    tick = os.sysconf("SC_CLK_TCK")

    def seconds() -> float:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / tick

    start = seconds()
    while seconds() < start + 0.5:
        signal.sigtimedwait([], 0.01)
    os.kill(pid, signal.SIGINT)
