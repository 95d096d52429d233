"""NVIDIA's assembler and disassembler, where they are installed: neither needs a GPU."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from ...errors import TargetError
from .arch import Arch

EXTRA_HINT = (
    "install swarmc[cuda], or put the bin folder of a CUDA toolkit of version 12.9 or newer on PATH"
)

#: Those that are used, and what for.
TOOLS = {
    "ptxas": "for --emit resources and sass",
    "nvdisasm": "for --emit sass",
}

_UNKNOWN_ARCH = "is not defined for option 'gpu-name'"

#: Characters of PTX from which on the assembler works on several functions at once.
_LARGE = 1 << 20

#: Those from which on it leaves out its dearest optimisations. That takes a tenth (SQLite) to a
#: third (libsodium) off its time; libsodium's frames grow by 1 %, and its code shrinks by 7 %.
_HUGE = 4 << 20


class ToolTooOldError(TargetError):
    """The assembler that is installed does not know an architecture."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """What the assembler made of a program.

    Attributes:
        cubin: machine code. log: what it said. ms: how long it took.
    """

    cubin: bytes
    log: str
    ms: float


def find_tool(name: str) -> Path:
    """A program of the CUDA toolkit: from packages of this Python, else on PATH.

    Raises:
        TargetError: it is in neither place; it says how to install it.
    """
    spec = find_spec("nvidia")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        packaged = [path for path in Path(folder).glob(f"*/bin/{name}") if path.is_file()]
        if packaged:
            return max(packaged, key=_generation)
    found = shutil.which(name)
    if found is None:
        raise TargetError(f"{name} of the CUDA toolkit is not installed", hint=EXTRA_HINT)
    return Path(found)


def _generation(path: Path) -> int:
    """CUDA's major version by the folder: ``cu13``; packages of CUDA 12 have others."""
    match = re.fullmatch(r"cu(\d+)", path.parts[-3])
    return int(match[1]) if match else 0


def tool_version(name: str) -> str:
    """Version of a tool that is installed.

    Raises:
        TargetError: it is not, or does not run.
    """
    text = _run([str(find_tool(name)), "--version"])
    match = re.search(r"V(\d+\.\d+\.\d+)", text)
    return match[1] if match else text.strip().rpartition("\n")[2]


def assemble(ptx: str, arch: Arch, *, level: int = 3) -> Assembly:
    """Assemble a program as it is linked: functions stay functions, those of the host missing.

    Assembled as a whole, without linking, everything would become part of the kernel; of a
    program compiled from C that takes five times as long.

    Args:
        level: the assembler's optimisation level, 0 to 3.

    Raises:
        ToolTooOldError: the assembler does not know the architecture.
        TargetError: it is not installed, or refuses the program, which is our bug.
    """
    tool = find_tool("ptxas")
    with tempfile.TemporaryDirectory(prefix="swarmc-") as folder:
        source, target = Path(folder, "program.ptx"), Path(folder, "program.cubin")
        source.write_text(ptx, encoding="utf-8")
        command = [str(tool), "--compile-only", "--verbose", f"--gpu-name={arch}"]
        quickly = len(ptx) >= _HUGE and level  # which cannot be said beside a level
        command.append("--Ofast-compile=mid" if quickly else f"--opt-level={level}")
        if len(ptx) >= _LARGE:
            command.append("--split-compile=0")
        started = time.perf_counter()
        try:
            log = _run([*command, str(source), "-o", str(target)])
        except TargetError as error:
            if _UNKNOWN_ARCH in error.message:
                raise _too_old(arch) from error
            raise
        ms = (time.perf_counter() - started) * 1000
        return Assembly(target.read_bytes(), log, ms)


def _too_old(arch: Arch) -> ToolTooOldError:
    needed = f"{arch.ptx_version // 10 + 4}"  # PTX 8 came with CUDA 12
    return ToolTooOldError(
        f"ptxas {tool_version('ptxas')} does not know {arch}",
        hint=f"{arch} needs a newer one, of CUDA {needed}",
    )


def disassemble(cubin: bytes) -> str:
    """Machine code as text (SASS).

    Raises:
        TargetError: no disassembler is installed.
    """
    with tempfile.TemporaryDirectory(prefix="swarmc-") as folder:
        path = Path(folder, "program.cubin")
        path.write_bytes(cubin)
        return _run([str(find_tool("nvdisasm")), "--print-code", str(path)])


def _run(command: list[str]) -> str:
    """Run a tool; what it says on both streams.

    Raises:
        TargetError: it fails.
    """
    name = Path(command[0]).name
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise TargetError(f"{name} does not run: {error}", hint=EXTRA_HINT) from error
    said = done.stdout + done.stderr
    if done.returncode:
        shown = "; ".join(line for line in said.splitlines() if "error" in line or "fatal" in line)
        raise TargetError(f"{name} failed with {done.returncode}: {shown[:500] or said[-500:]}")
    return said
