"""Two agents to call WASI functions on: one of swarmc without a program, and one of wasmtime."""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import wasmtime

from swarmc.ir.types import Type
from swarmc.runtime.hosts import resolve
from swarmc.runtime.wasi import table
from swarmc.targets.addressing import MemoryLayout, Placement
from swarmc.targets.executable import HostImport
from swarmc.targets.layout import Ctx, Job

PAGE = 65536
STDIN = bytes(range(256)) * 4
ARGV = ["prog", "", "a b", "äöü"]
ENVIRON = [("HOME", "/"), ("EMPTY", "")]
CALL = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)


def signature(name: str, module: str = table.PREVIEW1) -> Any:
    found = table.signature(module, name)
    assert found is not None
    return found


class FakeAgent:
    """An agent without a program: a state block, a job and a page of memory.

    It has slot ``SLOT`` of a region; the rest of the region is to stay as it is.
    """

    SLOT = 5
    layout = MemoryLayout.FLAT

    def __init__(self, module: str = table.PREVIEW1, *, index: int = 0, agent: int = 0,
                 seed: int = 0, output_size: int = 4096) -> None:
        self.module = module
        self.memory_place = Placement(PAGE, self.layout.memory_cells)
        self.state_place = Placement(int(Ctx.END), self.layout.state_cells)
        self.memory = np.full(self.memory_place.extent(32), 0xA5, np.uint8)
        self.state = np.zeros(self.state_place.extent(32) // 8, np.int64)
        self.write(0, bytes(PAGE))
        self.ctx = self.state.ctypes.data + self.state_place.base(self.SLOT)
        self.job = np.zeros(int(Job.END) // 8, np.int64)
        self.output = np.zeros((index + 1, output_size), np.uint8)
        self.errors = np.zeros((index + 1, output_size), np.uint8)
        self._keep: list[np.ndarray[Any, Any]] = []
        self.set(Ctx.SCALE, self.state_place.cells.word_step // 8)
        self.set(Ctx.CELL_MASK, self.memory_place.cells.mask)
        self.set(Ctx.JOB, self.job.ctypes.data)
        base = self.memory_place.base(self.SLOT)
        self.set(Ctx.MEM_BASE, self.memory.ctypes.data + base)
        self.set(Ctx.MEM_SIZE, PAGE)
        self.set(Ctx.INDEX, index)
        self.set(Ctx.AGENT, agent)
        self.job[Job.SEED // 8] = seed
        self.job[Job.CLOCK_NS // 8] = 1_700_000_000_000_000_000
        self.job[Job.OUTPUT // 8] = self.output.ctypes.data
        self.job[Job.ERRORS // 8] = self.errors.ctypes.data
        self.job[Job.OUTPUT_SIZE // 8] = output_size
        self._point(Job.SLOTS, np.arange(index + 1, dtype=np.int64))
        environ = [f"{key}={value}" for key, value in ENVIRON]
        for field, data in (
            (Job.STDIN, STDIN), (Job.ARGV, strings(ARGV)), (Job.ENVIRON, strings(environ)),
        ):  # fmt: skip
            self._point(field, np.frombuffer(b"skip" + data, np.uint8))
            self._point(Job(field + 8), np.array([(4, len(data))] * (index + 1), np.int64))

    def _point(self, field: Job, array: np.ndarray[Any, Any]) -> None:
        self._keep.append(array)
        self.job[field // 8] = array.ctypes.data

    def set(self, field: Ctx, value: int) -> None:
        self.state[self.state_place.offset(self.SLOT, int(field)) // 8] = value

    def get(self, field: Ctx) -> int:
        return int(self.state[self.state_place.offset(self.SLOT, int(field)) // 8])

    def call(self, name: str, *args: int) -> int:
        """The raw status word; the first result, if the call goes on, is ``self.result``."""
        type_ = signature(name, self.module)
        (address,) = resolve([HostImport(self.module, name, type_)])
        # The upper half of an i32's slot means nothing: it must not be looked at.
        junk = {Type.I32: 0xDEADBEEF << 32, Type.I64: 0}
        words = [
            arg & 0xFFFFFFFF | junk[t] if t is Type.I32 else arg & (1 << 64) - 1
            for arg, t in zip(args, type_.params, strict=True)
        ]
        slots = np.array([*words, 0, 0], np.uint64)
        status = int(CALL(address)(self.ctx, slots.ctypes.data))
        self.result = int(slots[0])
        return status

    def errno(self, name: str, *args: int) -> int | str:
        status = self.call(name, *args)
        return "trap" if status else self.result

    def write(self, address: int, data: bytes) -> None:
        self.memory[self._bytes(address, len(data))] = np.frombuffer(data, np.uint8)

    def read(self, address: int = 0, length: int = PAGE) -> bytes:
        data: bytes = self.memory[self._bytes(address, length)].tobytes()
        return data

    def others_memory(self) -> frozenset[int]:
        """What is to be read in the slices of other slots."""
        others = self.memory.copy()
        others[self._bytes(0, PAGE)] = 0xA5
        return frozenset(others.tolist())

    def _bytes(self, address: int, length: int) -> np.ndarray[Any, Any]:
        addresses = np.arange(address, address + length)
        places = self.memory_place.base(self.SLOT) + self.memory_place.cells.spread(addresses)
        return np.asarray(places)

    def stdout(self) -> bytes:
        return self.output[-1, : self.get(Ctx.OUT_LEN)].tobytes()

    def stderr(self) -> bytes:
        return self.errors[-1, : self.get(Ctx.ERR_LEN)].tobytes()


def strings(items: Sequence[str]) -> bytes:
    return b"".join(item.encode() + b"\0" for item in items)


class WasmtimeAgent:
    """The same calls through wasmtime: a module that re-exports every WASI function."""

    def __init__(self, folder: Path) -> None:
        engine = wasmtime.Engine()
        self.store = wasmtime.Store(engine)
        config = wasmtime.WasiConfig()
        (folder / "stdin").write_bytes(STDIN)
        config.stdin_file = str(folder / "stdin")
        self.out, self.err = folder / "stdout", folder / "stderr"
        config.stdout_file, config.stderr_file = str(self.out), str(self.err)
        config.argv = ARGV
        config.env = ENVIRON
        self.store.set_wasi(config)
        linker = wasmtime.Linker(engine)
        linker.define_wasi()
        module = wasmtime.Module(engine, forwarding_wat())
        self.exports = linker.instantiate(self.store, module).exports(self.store)
        memory = self.exports["memory"]
        assert isinstance(memory, wasmtime.Memory)
        self.memory = memory

    def errno(self, name: str, *args: int) -> int | str:
        function = self.exports[name]
        assert isinstance(function, wasmtime.Func)
        try:
            result = function(self.store, *args)
        except wasmtime.WasmtimeError:
            return "trap"
        assert isinstance(result, int)
        return result

    def write(self, address: int, data: bytes) -> None:
        self.memory.write(self.store, data, address)

    def read(self) -> bytes:
        return bytes(self.memory.read(self.store, 0, PAGE))

    def stdout(self) -> bytes:
        return self.out.read_bytes()

    def stderr(self) -> bytes:
        return self.err.read_bytes()


def forwarding_wat() -> str:
    imports, functions = [], []
    for name in table.MODULES[table.PREVIEW1]:
        if name == "proc_exit":
            continue
        params = " ".join(type_.value for type_ in signature(name).params)
        declared = f"(param {params}) (result i32)"
        imports.append(f'(import "{table.PREVIEW1}" "{name}" (func ${name} {declared}))')
        gets = "".join(f"local.get {n} " for n in range(len(signature(name).params)))
        functions.append(f'(func (export "{name}") {declared} {gets} call ${name})')
    return f"(module {''.join(imports)} (memory (export \"memory\") 1) {''.join(functions)})"


def iovecs(*buffers: tuple[int, int]) -> bytes:
    return b"".join(struct.pack("<II", address, length) for address, length in buffers)


def subscription(kind: int, *, fd: int = 0, clock: int = 0, timeout: int = 0,
                 flags: int = 0, userdata: int = 0x1122334455667788) -> bytes:
    if kind == 0:
        return struct.pack("<QB7xI4xQQH6x", userdata, kind, clock, timeout, 0, flags)
    return struct.pack("<QB7xI28x", userdata, kind, fd)
