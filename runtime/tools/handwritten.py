"""Handwritten CUDA C beside what swarmc makes of the same workloads: built, run, checked.

NVRTC of NVIDIA's compiler makes machine code of it, without a GPU. The pinned C compiler makes a
library of the same file, whose results must be those of the workload, where there is none.
"""

from __future__ import annotations

import ctypes
import importlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import TargetError
from ...targets.base import Uint64s
from ...targets.cuda.cubin import symbol_word
from ...targets.cuda.device import Device
from .bench_workloads import Seeds
from .corpus import compile_c, read_manifest, require_compiler

KERNEL = "agents"
BLOCK = 128

_FOLDER = "cuda"
_HEADER = "agent.cuh"
_WORDS = "agent_words"  # a constant in the machine code: words of global memory an agent
_BUILD = "handwritten"

#: Sums and products are not fused, for the results must be the same bits. NVRTC optimises fully
#: unless it is told otherwise.
_FLAGS = ("--fmad=false", "--std=c++17")


_HINT = "pip install cuda-bindings nvidia-cuda-nvrtc"


@dataclass(frozen=True, slots=True)
class Handwritten:
    """A kernel for one architecture: its text between NVRTC and ptxas, and machine code."""

    ptx: str
    cubin: bytes

    @property
    def words(self) -> int:
        """32-bit words of global memory that an agent has."""
        return symbol_word(self.cubin, _WORDS)


def sources(corpus: Path) -> dict[str, Path]:
    """The handwritten workloads of a corpus directory, by name."""
    return {path.stem: path for path in sorted((corpus / _FOLDER).glob("*.cu"))}


def compile_kernel(path: Path, arch: str) -> Handwritten:
    """Compile CUDA C for a compute capability.

    Raises:
        TargetError: NVRTC is not installed, or refuses the source.
    """
    try:
        nvrtc: Any = importlib.import_module("cuda.bindings.nvrtc")
        _call(nvrtc, "nvrtcVersion")
    except (ImportError, RuntimeError) as error:  # the library is looked for at the first call
        raise TargetError(f"NVRTC is not installed: {error}", hint=_HINT) from error
    header = path.with_name(_HEADER).read_bytes()
    program = _call(nvrtc, "nvrtcCreateProgram", path.read_bytes(), path.name.encode(), 1,
                    [header], [_HEADER.encode()])  # fmt: skip
    options = [flag.encode() for flag in (f"--gpu-architecture={arch}", *_FLAGS)]
    (status,) = nvrtc.nvrtcCompileProgram(program, len(options), options)
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        log = _text(nvrtc, program, "ProgramLog").decode(errors="replace")
        raise TargetError(f"{path.name} does not compile:\n{log}")
    ptx, cubin = (_text(nvrtc, program, what) for what in ("PTX", "CUBIN"))
    return Handwritten(ptx.rstrip(b"\0").decode(), cubin)


def _text(nvrtc: Any, program: Any, what: str) -> bytes:
    buffer = bytearray(_call(nvrtc, f"nvrtcGet{what}Size", program))
    _call(nvrtc, f"nvrtcGet{what}", program, buffer)
    return bytes(buffer)


def _call(nvrtc: Any, name: str, *args: Any) -> Any:
    status, *values = getattr(nvrtc, name)(*args)
    if status != nvrtc.nvrtcResult.NVRTC_SUCCESS:
        raise TargetError(f"{name}: {status.name}")
    return values[0] if len(values) == 1 else values


class _Job(ctypes.Structure):
    """``Job`` of the header."""

    _fields_ = (
        ("seeds", ctypes.c_uint64), ("size", ctypes.c_uint64), ("count", ctypes.c_uint64),
        ("results", ctypes.c_uint64), ("memory", ctypes.c_uint64),
    )  # fmt: skip


def run_on_host(corpus: Path, name: str, seeds: Seeds, size: int, scratch: Path) -> Uint64s:
    """What each agent returns, by the same file as C.

    Raises:
        TargetError: the pinned compiler is not installed, or refuses the source.
    """
    builds, _ = read_manifest(corpus)
    require_compiler(builds[_BUILD])
    output = scratch / f"{name}.so"
    compile_c(builds[_BUILD], (f"{_FOLDER}/{name}.cu",), corpus, output)
    library = ctypes.CDLL(str(output))
    words = ctypes.c_uint32.in_dll(library, _WORDS).value
    memory, results = np.zeros(words + 1, np.uint32), np.zeros(len(seeds), np.uint64)
    job = _Job(seeds.ctypes.data, size, len(seeds), results.ctypes.data, memory.ctypes.data)
    library.agents.restype = None
    library.agents(ctypes.byref(job))
    return results


@dataclass(frozen=True, slots=True)
class HandwrittenLap:
    """A run on a GPU: the kernel alone, and with copies; results by agent."""

    ms: float
    end_to_end_ms: float
    results: Uint64s


def run_on_gpu(device: Device, kernel: Handwritten, seeds: Seeds, size: int) -> HandwrittenLap:
    """Run a kernel, which was compiled for the device's architecture.

    Raises:
        CapacityError: the agents' memory does not fit.
    """
    count = len(seeds)
    groups = -(-count // 32)
    module = device.load(kernel.ptx, kernel.cubin)
    sizes = (4 * count, 8 * count, max(groups * 32 * 4 * kernel.words, 256), ctypes.sizeof(_Job))
    held: list[int] = []
    try:
        for length in sizes:
            held.append(device.allocate(length, "a handwritten kernel"))
        begin = time.perf_counter()
        device.write(held[0], np.ascontiguousarray(seeds, np.uint32).view(np.uint8))
        record = _Job(held[0], size, count, held[1], held[2])
        device.write(held[3], np.frombuffer(bytes(record), np.uint8))
        ms = _launched(device, module.function(KERNEL), -(-count // BLOCK), held[3])
        results: NDArray[np.uint64] = device.read(held[1], 8 * count).view(np.uint64)
        return HandwrittenLap(ms, (time.perf_counter() - begin) * 1000, results)
    finally:
        for address in held:
            device.free(address)
        module.unload()


def _launched(device: Device, function: Any, blocks: int, job: int) -> float:
    stream = device.stream()
    try:
        begin = time.perf_counter()
        stream.launch(function, blocks, BLOCK, job, 0)
        stream.wait(np.zeros(1, np.int64))
        return (time.perf_counter() - begin) * 1000
    finally:
        stream.close()
