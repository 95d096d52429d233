"""NVIDIA's assembler, linker and disassembler, where they are installed: none needs a GPU.

Linked machine code is what a driver loads as it is. The linker is the one beside the assembler, for
it takes what assemblers of its own version and older ones write.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from ...errors import TargetError
from .arch import Arch

_LINKER = "nvlink"

EXTRA_HINT = (
    "install swarmc[cuda], or put the bin folder of a CUDA toolkit of version 12.9 or newer on PATH"
)

#: Those that are used, and what for.
TOOLS = {
    "ptxas": "to make machine code when programs are compiled, and for --emit",
    "nvlink": "to make machine code when programs are compiled",
    "nvdisasm": "for --emit sass",
}

#: How tools say that something is wrong; the linker may succeed all the same.
_ERROR = re.compile(r"\b(?:error|fatal)\s*:")

#: A function that is called and is not there: one of the host's.
_MISSING = re.compile(r"^\.extern \.func\b", re.MULTILINE)

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
        code: machine code, to be linked. cubin: linked machine code; None: nobody did. log: what
            the assembler said. ms: how long it all took.
    """

    code: bytes
    log: str
    ms: float
    cubin: bytes | None = None


def find_tool(name: str) -> Path:
    """A program of the CUDA toolkit: from packages of this Python, else on PATH.

    Raises:
        TargetError: it is in neither place; it says how to install it.
    """
    if name == _LINKER:
        beside = find_tool("ptxas").resolve().with_name(_LINKER)
        if not beside.is_file():
            raise TargetError(f"{name} is not installed beside {beside.parent / 'ptxas'}",
                              hint=EXTRA_HINT)  # fmt: skip
        return beside
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


def can_link() -> bool:
    """Whether programs can be made machine code that a driver loads as it is."""
    try:
        find_tool(_LINKER)
    except TargetError:
        return False
    return True


def builders() -> str:
    """Which assembler and linker are installed, told apart without running them."""
    found = []
    for name in ("ptxas", _LINKER):
        try:
            path = find_tool(name).resolve()
            info = path.stat()
        except (TargetError, OSError):
            found.append(f"no {name}")
            continue
        found.append(f"{path} {info.st_size} {info.st_mtime_ns}")
    return ", ".join(found)


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


def link(assembly: Assembly, arch: Arch) -> Assembly:
    """Make what was assembled machine code that a driver loads as it is.

    Raises:
        TargetError: the linker is not installed, or refuses the program, e.g. because it calls a
            function that is not there.
    """
    tool = find_tool(_LINKER)
    with tempfile.TemporaryDirectory(prefix="swarmc-") as folder:
        source, target = Path(folder, "program.o"), Path(folder, "program.cubin")
        source.write_bytes(assembly.code)
        started = time.perf_counter()
        # What recursion needs of the stack we compute ourselves.
        said = _run([str(tool), f"--arch={arch}", "--suppress-stack-size-warning", str(source),
                     "-o", str(target)])  # fmt: skip
        ms = assembly.ms + (time.perf_counter() - started) * 1000
        if not target.is_file():  # it passes over what it takes for no code of a GPU
            raise TargetError(f"nvlink wrote nothing: {said.strip()}")
        return replace(assembly, cubin=target.read_bytes(), ms=ms)


def build(ptx: str, arch: Arch, *, level: int = 3) -> Assembly:
    """Assemble a program, and link it where the linker is installed and nothing is missing.

    Raises:
        TargetError: as :func:`assemble` and :func:`link`.
    """
    assembly = assemble(ptx, arch, level=level)
    return link(assembly, arch) if can_link() and not _MISSING.search(ptx) else assembly


def _too_old(arch: Arch) -> ToolTooOldError:
    return ToolTooOldError(
        f"ptxas {tool_version('ptxas')} does not know {arch}",
        hint=f"{arch} needs a newer one, of CUDA {arch.cuda}",
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
        TargetError: it fails, or says that something is wrong.
    """
    name = Path(command[0]).name
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise TargetError(f"{name} does not run: {error}", hint=EXTRA_HINT) from error
    said = done.stdout + done.stderr
    wrong = [line for line in said.splitlines() if _ERROR.search(line)]
    if done.returncode or wrong:
        shown = "; ".join(wrong)
        raise TargetError(f"{name} failed with {done.returncode}: {shown[:500] or said[-500:]}")
    return said
