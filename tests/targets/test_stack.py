"""A frame that does not fit the stack ends the agent, however far beyond the stack it reaches."""

from __future__ import annotations

import subprocess
import sys

# Runs by itself, since a failure is a crash of the process.
PROGRAM = """
import wasmtime
from swarmc.ir.types import Trap
from swarmc.runtime import SwarmManager
from swarmc.targets.cpu import kernel, prelude

kernel.STACK_MINIMUM = 256 << 10
kernel.STACK_PER_UNIT = 0
kernel.STACK_MARGIN = prelude.STACK_MARGIN = 64 << 10
count = 600
swap = "".join(f"(local.set {i} (local.get {(i + 1) % count}))" for i in range(count))
loops = f"(loop {swap} (br_if 0 (i32.load (i32.const 16))))" * 30
wide = f"(func $wide (param i64) (local {'i64 ' * (count - 1)}) {loops}"
wide += "".join(f"(i64.store (i32.const 0) (local.get {i}))" for i in range(count)) + ")"
text = f'''(module (memory 1) {wide}
  (func (export "deep") (call $wide (i64.const 1)))
  (func (export "flat") (result i32) (i32.const 7)))'''
swarm = SwarmManager.from_wasm(wasmtime.wat2wasm(text), cache=False, opt_level=0, max_agents=4)
deep, flat = swarm.spawn_agent("deep"), swarm.spawn_agent("flat")
result = swarm.dispatch()
assert result.traps[deep].code is Trap.CALL_STACK_EXHAUSTED, result.traps
assert result.agent_results == {flat: 7}
print("ended well")
"""


def test_a_frame_larger_than_the_stack() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "ended well\n"
