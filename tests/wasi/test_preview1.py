"""Each WASI function against wasmtime's: errno, traps, memory and output, call by call."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from swarmc.ir.types import Trap
from swarmc.runtime.wasi import table
from swarmc.targets.addressing import MemoryLayout
from swarmc.targets.layout import Ctx, Status

from .agents import PAGE, FakeAgent, WasmtimeAgent, iovecs, subscription

CELLS = [MemoryLayout.INTERLEAVED_4, MemoryLayout.INTERLEAVED_8, MemoryLayout.INTERLEAVED_16]


@pytest.fixture(autouse=True, params=[MemoryLayout.FLAT, *CELLS], ids=str)
def layout(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> MemoryLayout:
    """Every test, with the agent's bytes laid out in each way."""
    monkeypatch.setattr(FakeAgent, "layout", request.param)
    chosen: MemoryLayout = request.param
    return chosen


TEXT = (1000, b"hello, swarm\n")
Step = tuple[Any, ...]  # bytes to write at an address, or a function's name and its arguments

SCRIPTS: dict[str, list[Step]] = {
    "write": [
        TEXT,
        (0, iovecs((500, 0), (1000, 6), (1006, 7))),
        ("fd_write", 1, 0, 3, 64),
        ("fd_write", 2, 8, 2, 64),
        ("fd_write", 1, 0, 0, 64),
        ("fd_write", 1, 0, 1, 64),
        ("fd_write", 0, 0, 3, 64),
        ("fd_write", 3, 0, 3, 64),
        ("fd_write", -1, 0, 3, 64),
        ("fd_write", 1, PAGE, 0, 64),
        ("fd_write", 1, 0, 0x3000000, 64),
        ("fd_pwrite", 1, 0, 3, 0, 64),
        ("fd_pwrite", 0, 0, 3, 0, 64),
        ("fd_pwrite", 9, 0, 3, 0, 64),
    ],
    "write to an iovec out of bounds": [("fd_write", 1, PAGE - 4, 1, 64)],
    "write from a misaligned iovec": [("fd_write", 1, 2, 1, 64)],
    "write a buffer out of bounds": [(0, iovecs((PAGE - 4, 5))), ("fd_write", 1, 0, 1, 64)],
    "write the last bytes of memory": [(0, iovecs((PAGE - 4, 4))), ("fd_write", 1, 0, 1, 64)],
    "write with a wild buffer": [(0, iovecs((0xFFFFFFFF, 2))), ("fd_write", 1, 0, 1, 64)],
    "write to a bad descriptor ignores the buffer": [
        (0, iovecs((PAGE - 4, 5))),
        ("fd_write", 7, 0, 1, 64),
    ],
    "write a size out of bounds": [(0, iovecs((0, 4))), ("fd_write", 1, 0, 1, PAGE - 3)],
    "write a size misaligned": [(0, iovecs((0, 4))), ("fd_write", 1, 0, 1, 65)],
    "read": [
        (0, iovecs((500, 0), (1000, 5), (1100, 5), (2000, 5000))),
        ("fd_read", 0, 0, 3, 64),
        ("fd_read", 0, 0, 0, 64),
        ("fd_read", 0, 0, 1, 64),
        ("fd_read", 1, 0, 3, 64),
        ("fd_read", 3, 0, 3, 64),
        ("fd_pread", 0, 0, 3, 0, 64),
        ("fd_pread", 1, 0, 3, 0, 64),
        ("fd_read", 0, 24, 1, 64),
        ("fd_read", 0, 24, 1, 64),
        ("fd_read", 0, 0, 1, 64),
    ],
    "read out of bounds": [(0, iovecs((PAGE - 4, 5))), ("fd_read", 0, 0, 1, 64)],
    "arguments": [
        ("args_sizes_get", 0, 4),
        ("args_get", 16, 101),
        ("environ_sizes_get", 8, 12),
        ("environ_get", 200, 301),
    ],
    "argument pointers misaligned": [("args_get", 2, 100)],
    "argument strings out of bounds": [("args_get", 16, PAGE - 5)],
    "argument sizes out of bounds": [("args_sizes_get", 0, PAGE - 2)],
    "descriptors": [
        (0, b"\xcc" * 256),
        *(("fd_fdstat_get", fd, 64) for fd in range(4)),
        *(("fd_filestat_get", fd, 128) for fd in range(4)),
        *(("fd_seek", fd, 0, whence, 8) for fd in (0, 1, 2, 3) for whence in range(3)),
        *(("fd_tell", fd, 8) for fd in range(4)),
        *(("fd_prestat_get", fd, 8) for fd in range(5)),
        *(("fd_prestat_dir_name", fd, 8, 3) for fd in range(5)),
    ],
    "fdstat misaligned": [("fd_fdstat_get", 0, 4)],
    "filestat out of bounds": [("fd_filestat_get", 0, PAGE - 56)],
    "seek with a wrong whence": [("fd_seek", 0, 0, 3, 8)],
    "renumber and close": [
        TEXT,
        (0, iovecs((1000, 5))),
        ("fd_renumber", 1, 5),
        ("fd_renumber", 5, 1),
        ("fd_renumber", 1, 1),
        ("fd_write", 1, 0, 1, 64),
        ("fd_renumber", 1, 2),
        ("fd_write", 2, 0, 1, 64),
        ("fd_write", 1, 0, 1, 64),
        ("fd_renumber", 2, 1),
        ("fd_renumber", 2, 0),
        ("fd_write", 0, 0, 1, 64),
        ("fd_fdstat_get", 0, 128),
        ("fd_close", 0),
        ("fd_close", 0),
        ("fd_close", 3),
        ("fd_write", 0, 0, 1, 64),
    ],
    "refused": [
        *(("fd_sync", fd) for fd in (1, 3)),
        *(("fd_datasync", fd) for fd in (1, 3)),
        ("fd_allocate", 1, 0, 10),
        ("fd_advise", 1, 0, 0, 5),
        ("fd_filestat_set_size", 1, 0),
        ("fd_filestat_set_times", 1, 0, 0, 5),
        ("fd_filestat_set_times", 1, 0, 0, 3),
        ("fd_filestat_set_times", 1, 0, 0, 12),
        ("fd_readdir", 3, 0, 16, 0, 64),
        *(("fd_fdstat_set_flags", 1, flags) for flags in (0, 1, 4, 31)),
        ("fd_fdstat_set_rights", 1, (1 << 30) - 1, 0),
        ("path_open", 3, 1, 1000, 5, 15, 2, 2, 31, 64),
        ("path_open", 0, 0, 1000, 5, 0, 0, 0, 0, 64),
        ("path_create_directory", 3, 1000, 4),
        ("path_filestat_get", 3, 1, 1000, 4, 64),
        ("path_filestat_set_times", 3, 0, 1000, 4, 0, 0, 3),
        ("path_link", 3, 0, 1000, 4, 3, 1000, 4),
        ("path_readlink", 3, 1000, 4, 1100, 4, 64),
        ("path_remove_directory", 3, 1000, 4),
        ("path_rename", 3, 1000, 4, 3, 1000, 4),
        ("path_symlink", 1000, 4, 3, 1000, 4),
        ("path_unlink_file", 3, 1000, 4),
        *(("sock_shutdown", fd, how) for fd in (0, 3) for how in range(4)),
        *(("sock_accept", fd, 0, 64) for fd in (0, 3)),
        *(("sock_recv", fd, 0, 0, 3, 64, 68) for fd in (0, 3)),
        *(("sock_send", fd, 0, 0, 1, 64) for fd in (0, 3)),
        *(("proc_raise", signal) for signal in (0, 6, 30)),
        ("sched_yield",),
    ],
    "bad flags: advise": [("fd_advise", 1, 0, 0, 6)],
    "bad flags: fdflags": [("fd_fdstat_set_flags", 1, 32)],
    "bad flags: rights": [("fd_fdstat_set_rights", 1, -1, 0)],
    "bad flags: fstflags": [("fd_filestat_set_times", 1, 0, 0, 16)],
    "bad flags: lookup": [("path_filestat_get", 3, 2, 1000, 4, 64)],
    "bad flags: oflags": [("path_open", 3, 0, 1000, 5, 16, 0, 0, 0, 64)],
    "bad flags: open rights": [("path_open", 3, 0, 1000, 5, 0, 1 << 32, 0, 0, 64)],
    "bad flags: open fdflags": [("path_open", 3, 0, 1000, 5, 0, 0, 0, 32, 64)],
    "open a path out of bounds": [("path_open", 3, 0, PAGE - 4, 5, 0, 0, 0, 0, 64)],
    "bad flags: shutdown": [("sock_shutdown", 0, 4)],
    "bad flags: accept": [("sock_accept", 0, 32, 64)],
    "bad flags: receive": [("sock_recv", 0, 0, 0, 4, 64, 68)],
    "bad signal": [("proc_raise", 31)],
    "clocks": [("clock_time_get", clock, 0, 64) for clock in (2, 3)]
    + [("clock_res_get", clock, 64) for clock in (2, 3)],
    "bad clock": [("clock_time_get", 4, 0, 64)],
    "bad clock resolution": [("clock_res_get", 4, 64)],
    "clock misaligned": [("clock_time_get", 0, 0, 4)],
    "random of no length": [("random_get", PAGE + 99, 0)],
    "random out of bounds": [("random_get", PAGE - 4, 5)],
    "poll": [
        (1024, b"\xcc" * 256),
        ("poll_oneoff", 0, 1024, 0, 512),
        (0, subscription(0, timeout=1000)),
        ("poll_oneoff", 0, 1024, 1, 512),
        (0, subscription(0, clock=1, timeout=1, flags=1)),
        ("poll_oneoff", 0, 1056, 1, 512),
        (0, subscription(1, fd=0) + subscription(2, fd=2, userdata=7)),
        ("poll_oneoff", 0, 1088, 2, 512),
        (0, subscription(0, timeout=10**9) + subscription(2, fd=1, userdata=7)),
        ("poll_oneoff", 0, 1152, 2, 512),
        (0, subscription(0, timeout=10**12) + subscription(0, timeout=10**6, userdata=3)),
        ("poll_oneoff", 0, 1216, 2, 512),
        (0, subscription(0, clock=2)),
        ("poll_oneoff", 0, 1024, 1, 512),
        (0, subscription(0, flags=2)),
        ("poll_oneoff", 0, 1024, 1, 512),
        (0, subscription(1, fd=1)),
        ("poll_oneoff", 0, 1024, 1, 512),
        (0, subscription(2, fd=0)),
        ("poll_oneoff", 0, 1024, 1, 512),
        (0, subscription(2, fd=1) + subscription(2, fd=9)),
        ("poll_oneoff", 0, 1024, 2, 512),
        (0, subscription(3)),
        ("poll_oneoff", 0, 1024, 1, 512),
        ("poll_oneoff", 0, 1024, 1 << 30, 512),
    ],
    "poll subscriptions misaligned": [("poll_oneoff", 4, 1024, 1, 512)],
    "poll events out of bounds": [
        (0, subscription(2, fd=1)),
        ("poll_oneoff", 0, PAGE - 24, 1, 512),
    ],
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_same_as_wasmtime(script: list[Step], tmp_path: Path) -> None:
    ours, theirs = FakeAgent(), WasmtimeAgent(tmp_path)
    for step in script:
        if isinstance(step[0], int):
            ours.write(*step)
            theirs.write(*step)
            continue
        answer = ours.errno(*step)
        assert answer == theirs.errno(*step), step
        if answer == "trap":
            return
        assert ours.read() == theirs.read(), step
    assert ours.stdout() == theirs.stdout()
    assert ours.stderr() == theirs.stderr()
    assert ours.others_memory() == {0xA5}


def test_kinds_of_traps() -> None:
    agent = FakeAgent()
    assert agent.call("args_sizes_get", PAGE, 0) == Trap.MEMORY_OUT_OF_BOUNDS
    assert agent.call("args_sizes_get", 1, 0) == Trap.HOST


@pytest.mark.parametrize("code", [0, 1, 125, 126, 255, 0xFFFFFFFF])
def test_exit_codes_have_32_bits(code: int) -> None:
    assert FakeAgent().call("proc_exit", code) == Status.EXITED | code << 8


def test_output_beyond_the_buffer_is_counted_and_dropped() -> None:
    agent = FakeAgent(index=2, output_size=10)
    agent.write(0, iovecs((100, 7)))
    agent.write(100, b"abcdefg")
    for _ in range(3):
        assert agent.errno("fd_write", 1, 0, 1, 64) == 0
        assert agent.read(64, 4) == b"\x07\0\0\0"
    assert agent.get(Ctx.OUT_LEN) == 21
    assert agent.output[2].tobytes() == b"abcdefgabc"
    assert not agent.output[:2].any() and not agent.errors.any()


def test_clocks_move_by_a_microsecond_with_each_reading() -> None:
    agent = FakeAgent()
    times = []
    for clock in (0, 1, 0):
        assert agent.errno("clock_time_get", clock, 0, 64) == 0
        times.append(struct.unpack("<Q", agent.read(64, 8))[0])
    start = 1_700_000_000_000_000_000
    assert times == [start, start + 1000, start + 2000]
    assert agent.errno("clock_res_get", 0, 64) == 0
    assert struct.unpack("<Q", agent.read(64, 8))[0] == 1000


@pytest.mark.parametrize(
    ("item", "slept"),
    [
        (subscription(0, timeout=2_000_000), 2_000_000),
        (subscription(0, timeout=1), 1000),
        (subscription(0, timeout=0), 0),
        (subscription(0, timeout=1_700_000_000_000_500_000, flags=1), 500_000),
        (subscription(0, timeout=5, flags=1), 0),
        (subscription(2, fd=1) + subscription(0, timeout=10**9), 0),
        (subscription(0, timeout=10**9) + subscription(0, timeout=10**6), 10**6),
    ],
)
def test_sleeping_moves_the_clock(item: bytes, slept: int) -> None:
    agent = FakeAgent()
    agent.write(0, item)
    assert agent.errno("poll_oneoff", 0, 1024, len(item) // 48, 512) == 0
    assert agent.read(512, 4) == b"\x01\0\0\0"
    assert agent.errno("clock_time_get", 1, 0, 64) == 0
    assert struct.unpack("<Q", agent.read(64, 8))[0] - 1_700_000_000_000_000_000 == slept


def test_sleeping_for_ever_ends() -> None:
    agent = FakeAgent()
    agent.write(0, subscription(0, timeout=(1 << 64) - 1))
    assert agent.errno("poll_oneoff", 0, 1024, 1, 512) == 0
    assert agent.read(512, 4) == b"\x01\0\0\0"


def mix(z: int) -> int:
    mask = (1 << 64) - 1
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & mask
    z = (z ^ z >> 27) * 0x94D049BB133111EB & mask
    return z ^ z >> 31


def random_bytes(seed: int, agent: int, words: int) -> bytes:
    """The stream as ``runtime/wasi/random.py`` describes it."""
    mask, g = (1 << 64) - 1, 0x9E3779B97F4A7C15
    key = mix(mix(seed + g & mask) ^ mix(agent * g + 1 & mask))
    return b"".join(mix(key + (n + 1) * g & mask).to_bytes(8, "little") for n in range(words))


@pytest.mark.parametrize("seed", [0, 1, 12345, (1 << 63) - 1, -1])
def test_random_is_splitmix64_of_seed_and_agent(seed: int) -> None:
    for number in (0, 1, 99_999):
        agent = FakeAgent(agent=number, seed=seed)
        assert agent.errno("random_get", 100, 13) == 0
        assert agent.errno("random_get", 200, 16) == 0
        assert agent.errno("random_get", 301, 19) == 0
        expected = random_bytes(seed, number, 7)
        assert agent.read(100, 14) == expected[:13] + b"\0"
        assert agent.read(200, 17) == expected[16:32] + b"\0"
        assert agent.read(300, 21) == b"\0" + expected[32:51] + b"\0"
        assert agent.get(Ctx.RANDOM_READS) == 7


def test_random_streams_differ() -> None:
    streams = {random_bytes(seed, agent, 2) for seed in range(50) for agent in range(50)}
    assert len(streams) == 2500


def test_unstable_lays_records_out_in_another_way() -> None:
    agent = FakeAgent(table.UNSTABLE)
    agent.write(0, b"\xcc" * 64)
    assert agent.errno("fd_filestat_get", 1, 0) == 0
    assert agent.read(0, 64) == bytes(17) + b"\xcc" * 3 + bytes(36) + b"\xcc" * 8
    clock = struct.pack("<QB7xQI4xQQH6x", 5, 0, 0, 0, 3_000_000, 0, 0)
    agent.write(0, clock)
    assert agent.errno("poll_oneoff", 0, 1024, 1, 512) == 0
    assert agent.get(Ctx.CLOCK_READS) == 3000


def test_memory_without_pages_traps() -> None:
    agent = FakeAgent()
    agent.set(Ctx.MEM_SIZE, 0)
    assert agent.call("args_sizes_get", 0, 4) == Trap.MEMORY_OUT_OF_BOUNDS


def test_the_table_is_complete() -> None:
    assert len(table.MODULES[table.PREVIEW1]) == 46
    assert len(table.MODULES[table.UNSTABLE]) == 45
    for module, rows in table.MODULES.items():
        for name in rows:
            assert callable(table.build(module, name)), (module, name)
