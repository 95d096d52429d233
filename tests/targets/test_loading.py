"""Loading code into a process whose address space is full of reservations.

LLVM aborts the process if parts of the code end up further apart than its instructions reach.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

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

#: Many threads, and no room but single pages that lie further apart than instructions reach.
CROWDED = """
import ctypes
import sys
import threading
from pathlib import Path
from swarmc.runtime import SwarmManager

libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
GAP, COUNT, PAGE = 3 << 30, 40, 4096
PRIVATE_ANONYMOUS_UNRESERVED = 0x4022

def take(size):
    return libc.mmap(None, size, 0, PRIVATE_ANONYMOUS_UNRESERVED, -1, 0)

def take_what_is_above(base):
    size = 1 << 40
    while size >= PAGE:
        while (address := take(size)) > base:
            pass
        libc.munmap(address, size)
        size //= 2

end = threading.Event()
for _ in range(120):
    threading.Thread(target=end.wait, daemon=True).start()
base = take(GAP * COUNT)
take_what_is_above(base)
for hole in range(COUNT):
    libc.munmap(base + hole * GAP, PAGE)

target, *programs = sys.argv[1:]
for program in programs:
    swarm = SwarmManager.from_wasm(
        Path(program).read_bytes(), target=target, cache=False, max_agents=4
    )
    with swarm:
        if program.endswith("lib.wasm"):
            agents = [swarm.spawn_agent("fib", args=[20]), swarm.spawn_agent("gcd", args=[84, 36])]
            assert swarm.dispatch().agent_results == dict(zip(agents, [6765, 12]))
        else:
            swarm.spawn_agents(2)
            first, second = swarm.dispatch().agent_outputs.values()
            assert first == second and first
end.set()
"""


def run(program: str, *args: str) -> None:
    command = [sys.executable, "-c", HOLES + program, *args]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_parts_of_an_object_stay_within_reach() -> None:
    run(ONE_OBJECT)


def test_objects_reach_each_other_wherever_they_are() -> None:
    run(MANY_OBJECTS, str(CORPUS / "interp.wasm"))


@pytest.mark.skipif(sys.platform != "linux", reason="knows where Linux maps memory")
@pytest.mark.parametrize(("target", "programs"), [("cpu", ["lib", "hello"]), ("ptx", ["lib"])])
def test_code_is_loaded_where_only_pages_far_apart_are_free(
    target: str, programs: list[str]
) -> None:
    run(CROWDED, target, *(str(CORPUS / f"{program}.wasm") for program in programs))
