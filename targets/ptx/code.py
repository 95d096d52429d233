"""A PTX module in executable memory, and launching its kernels."""

from __future__ import annotations

import ctypes
import struct
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import TargetError
from ..base import Int64s, Uint64s
from ..cpu.machine import LoadedCode, compile_text, host_machine
from .body import Program
from .buffer import Buffer
from .module import Function, PtxModule, Space, Symbol, Variable
from .parser import parse
from .records import Launch, Region, Rights, Rule, Violation
from .support import support_object
from .translate import argument_offsets, translate

#: Machine stack of the running thread; memory is only taken where it is touched.
STACK_SIZE = 2 << 30
#: What is left of it where a function may still begin: for its own frame and for the host's.
STACK_MARGIN = 16 << 20
#: Local memory of the running thread, for arrays.
LOCAL_SIZE = 16 << 20

_LAUNCH = ctypes.CFUNCTYPE(None, ctypes.c_uint64)

_WHY = {
    Violation.MISALIGNED: "is not aligned to its size",
    Violation.OUTSIDE: "is outside all buffers",
    Violation.FOREIGN: "belongs to another agent",
    Violation.READ_ONLY: "must not be written",
    Violation.NOT_CONSTANT: "is read as constant and written in one launch",
    Violation.DEAD_LOCAL: "is local memory where no array lies",
    Violation.WRONG_SPACE: "is local memory, not global",
    Violation.CALL_TARGET: "is no function of this type",
    Violation.LOCAL_EXHAUSTED: "finds local memory used up",
    Violation.STACK_EXHAUSTED: "finds the stack used up",
    Violation.TRAP: "ends the whole launch",
    Violation.RAN_OUT: "runs past the end of its function",
    Violation.BRANCH_INDEX: "is beyond the list of targets",
}


class PtxFaultError(TargetError):
    """A launch did what no code of ours may do; on a GPU it might go unnoticed.

    Args:
        violation: what it did. line: PTX line of the instruction. thread: which thread it was.
        address: the address, call target or index concerned.
    """

    def __init__(
        self, message: str, *, violation: Violation, line: int, thread: int, address: int
    ) -> None:
        super().__init__(message, hint="this is a bug of swarmc: please report it")
        self.violation = violation
        self.line = line
        self.thread = thread
        self.address = address


@dataclass(frozen=True, slots=True)
class Grant:
    """A range of memory that a launch may touch, see :class:`~.records.Region`."""

    name: str
    address: int
    size: int
    rights: Rights = Rights.WRITE
    rule: Rule = Rule.ALL
    stride: int = 0
    cell: int = 0


class PtxCode:
    """Translated PTX, ready to run.

    Args:
        hosts: code address of every external function.

    Raises:
        PtxError: the text has something that the stand-in does not know.
        TargetError: an external function is missing.
    """

    def __init__(self, text: str, hosts: Mapping[str, int]) -> None:
        self.module: PtxModule = parse(text)
        self._lines = text.splitlines()
        machine = host_machine()
        translation = translate(self.module, machine.triple, machine.data_layout)
        missing = [name for name in translation.hosts if name not in hosts]
        if missing:
            raise TargetError(f"nothing provides these functions: {', '.join(missing)}")
        self._code = LoadedCode((support_object(), compile_text(translation.text, 0)))
        self._fill("ptx_hosts", [hosts[name] for name in translation.hosts])
        self._variables = {
            name: Buffer(v.storage.size, f"variable {name}")
            for name, v in self.module.variables.items()
        }
        self._fill("ptx_variables", [v.address for v in self._variables.values()])
        for name, variable in self.module.variables.items():
            self._variables[name].write(0, self._initial(variable))
        self._launch: Callable[[int], None] = _LAUNCH(self._code.address("ptx_launch"))
        self._stack = Buffer(STACK_SIZE, "the stack")
        self._local = Buffer(LOCAL_SIZE, "local memory")
        self._live = Buffer(LOCAL_SIZE, "marks of local memory")
        self._lock = threading.Lock()

    def _fill(self, table: str, values: Sequence[int]) -> None:
        address = self._code.address(table)
        (ctypes.c_uint64 * len(values)).from_address(address)[:] = list(values)

    def _initial(self, variable: Variable) -> bytes:
        program = Program.of(self.module)
        size = variable.storage.size // (variable.storage.count or 1)
        data = bytearray()
        for item in variable.initial:
            value = item if isinstance(item, int) else self._address_of(program, item)
            data += (value % (1 << 8 * size)).to_bytes(size, "little")
        return bytes(data)

    def _address_of(self, program: Program, symbol: Symbol) -> int:
        if symbol.name in program.codes:
            return program.code_address(symbol.name)
        return self._variables[symbol.name].address

    def variable(self, name: str) -> Buffer:
        """The memory of a variable.

        Raises:
            TargetError: the module has none of this name.
        """
        buffer = self._variables.get(name)
        if buffer is None:
            raise TargetError(f"the module has no variable {name}")
        return buffer

    def kernel(self, name: str) -> Function:
        """The kernel of that name.

        Raises:
            TargetError: the module has none.
        """
        function = self.module.functions.get(name)
        if function is None or not function.kernel:
            raise TargetError(f"the module has no kernel {name}")
        return function

    def launch(
        self, name: str, grid: int, block: int, args: Sequence[bytes], grants: Sequence[Grant],
        slots: Int64s | None = None,
    ) -> None:
        """Run a kernel's threads one after another.

        Args:
            args: bytes of each parameter.
            grants: what the threads may touch, besides variables and their own local memory.
            slots: slot of the agent that each of the first threads runs.

        Raises:
            PtxFaultError: a thread did what it must not do; later ones did not run.
        """
        kernel = self.kernel(name)
        packed = np.frombuffer(_pack(kernel, args), np.uint8)
        granted = [*grants, *self._own_grants()]
        regions = _regions(granted)
        record = np.zeros(int(Launch.END) // 8, np.uint64)

        def put(field: Launch, value: int) -> None:
            record[int(field) // 8] = value

        put(Launch.ENTRY, self._code.address(f"kernel.{name}"))
        put(Launch.ARGS, packed.ctypes.data)
        put(Launch.THREADS, grid * block)
        put(Launch.BLOCK, block)
        put(Launch.GRID, grid)
        put(Launch.REGIONS, regions.ctypes.data)
        put(Launch.REGION_COUNT, len(granted))
        if slots is not None:
            slots = np.ascontiguousarray(slots, np.int64)
            put(Launch.SLOTS, slots.ctypes.data)
            put(Launch.SLOT_COUNT, len(slots))
        put(Launch.LOCAL, self._local.address)
        put(Launch.LOCAL_SIZE, LOCAL_SIZE)
        put(Launch.LIVE, self._live.address)
        put(Launch.STACK_TOP, self._stack.address + STACK_SIZE)
        put(Launch.STACK_LIMIT, self._stack.address + STACK_MARGIN)
        with self._lock:
            self._launch(record.ctypes.data)
        if record[int(Launch.ERROR) // 8]:
            raise self._fault(record, granted)

    def _own_grants(self) -> list[Grant]:
        return [
            Grant(f"variable {name}", self._variables[name].address, v.storage.size,
                  Rights.READ if v.space is Space.CONST else Rights.EITHER)
            for name, v in self.module.variables.items()
        ]  # fmt: skip

    def _fault(self, record: Uint64s, grants: Sequence[Grant]) -> PtxFaultError:
        def get(field: Launch) -> int:
            return int(record[int(field) // 8])

        violation, line = Violation(get(Launch.ERROR)), get(Launch.LINE)
        thread, address = get(Launch.THREAD), get(Launch.ADDRESS)
        size, region = get(Launch.SIZE), get(Launch.REGION)
        what = " ".join(self._lines[line - 1].split())
        if size:
            where = f"an access of {size} bytes at {address:#x}"
            if region < len(grants):
                grant = grants[region]
                where += f", byte {address - grant.address:#x} of {grant.name},"
            subject = f"{where} {_WHY[violation]}"
        elif address:
            subject = f"{address:#x} {_WHY[violation]}"
        else:
            subject = f"it {_WHY[violation]}"
        place = f"PTX line {line} in {self._function_at(line)}, thread {thread}"
        return PtxFaultError(
            f"{place}: {subject}: {what}", violation=violation, line=line, thread=thread,
            address=address,
        )  # fmt: skip

    def _function_at(self, line: int) -> str:
        for function in self.module.functions.values():
            if function.line <= line <= function.end:
                return function.name
        return "no function"

    def close(self) -> None:
        """Give the memory back."""
        for buffer in (self._stack, self._local, self._live, *self._variables.values()):
            buffer.close()


def _pack(kernel: Function, args: Sequence[bytes]) -> bytes:
    if len(args) != len(kernel.params):
        raise TargetError(f"{kernel.name} takes {len(kernel.params)} arguments, not {len(args)}")
    data = bytearray()
    for param, offset, value in zip(kernel.params, argument_offsets(kernel), args, strict=True):
        if len(value) != param.size:
            raise TargetError(f"{param.name} has {param.size} bytes, not {len(value)}")
        data += bytes(offset - len(data)) + value
    return bytes(data) or struct.pack("<Q", 0)


def _regions(grants: Sequence[Grant]) -> Uint64s:
    rows = np.zeros((len(grants), int(Region.END) // 8), np.uint64)
    for row, grant in zip(rows, grants, strict=True):
        for field, value in (
            (Region.BASE, grant.address), (Region.SIZE, grant.size), (Region.RULE, grant.rule),
            (Region.RIGHTS, grant.rights), (Region.STRIDE, grant.stride),
            (Region.CELL, grant.cell),
        ):  # fmt: skip
            row[int(field) // 8] = value
    return rows
