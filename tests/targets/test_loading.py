"""Loading code into a process whose address space is full of reservations.

LLVM aborts the process if parts of the code end up further apart than its instructions reach.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CORPUS = Path(__file__).parents[2] / "corpus"

#: Leave room for little: between reservations, and far below them.
HOLES = """
from swarmc.targets.cpu.slices import Reservation

def reserve(size):
    holes = [Reservation(size, "a hole") for _ in range(40)]
    for hole in holes[::2]:
        hole.close()
    return holes[1::2], Reservation(6 << 30, "much")
"""

#: The code finds room between reservations, what it reads only below them.
ONE_OBJECT = """
from swarmc.targets.cpu.machine import LoadedCode, compile_text, host_machine

text = f'target triple = "{host_machine().triple}"' + '''
@big = internal constant [9000000 x i8] c"''' + "a" * 9000000 + '''"
define i64 @f(i64 %n) {
  %p = getelementptr i8, ptr @big, i64 %n
  %v = load i8, ptr %p
  %r = zext i8 %v to i64
  ret i64 %r
}
'''
code = compile_text(text, 0)
kept = reserve(1 << 20)
for _ in range(3):
    assert LoadedCode((code,)).address("f")
"""

#: Small objects find room between reservations, large ones only below them.
MANY_OBJECTS = """
import sys
from pathlib import Path
from swarmc.runtime import SwarmManager
from swarmc.targets.cpu import target

target.PART_SIZE = 800
wasm = Path(sys.argv[1]).read_bytes()
first = SwarmManager.from_wasm(wasm, cache=False)
executable = first.executable
sizes = sorted(map(len, executable.objects))
kept = reserve(sizes[len(sizes) // 2])
second = SwarmManager()
second.load_executable(executable)
for swarm in (first, second):
    swarm.spawn_agents(2)
assert first.dispatch().agent_outputs == second.dispatch().agent_outputs
"""


def run(program: str, *args: str) -> None:
    command = [sys.executable, "-c", HOLES + program, *args]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_parts_of_an_object_stay_within_reach() -> None:
    run(ONE_OBJECT)


def test_objects_reach_each_other_wherever_they_are() -> None:
    run(MANY_OBJECTS, str(CORPUS / "interp.wasm"))
