"""Code on its way to a GPU: machine code where the driver takes it, else PTX that it assembles."""

from __future__ import annotations

import logging
import re
from typing import Any

from ...errors import TargetError
from .driver import Driver, DriverError, cuda_version

log = logging.getLogger(__name__)

#: Bytes of the driver's report on code that it refuses.
_LOG_BYTES = 1 << 14

#: How drivers refuse machine code that is newer than they are.
_NEWER = frozenset(
    f"CUDA_ERROR_{name}" for name in (
        "INVALID_IMAGE", "INVALID_SOURCE", "NO_BINARY_FOR_GPU", "NOT_SUPPORTED",
        "UNSUPPORTED_PTX_VERSION",
    )
)  # fmt: skip

_VERSION = re.compile(r"^\.version\s+(\d+\.\d+)", re.MULTILINE)
_TARGET = re.compile(r"^\.target\s+(sm_\d+)", re.MULTILINE)


def load_code(driver: Driver, arch: str, ptx: str, cubin: bytes | None) -> Any:
    """The driver's module of a program.

    Args:
        arch: the GPU's. cubin: machine code made of the PTX, for the architecture that it names.

    Raises:
        TargetError: the program was compiled for a newer GPU, or the driver refuses it.
    """
    wanted = _first(_TARGET, ptx)
    if _number(wanted) > _number(arch):
        raise TargetError(
            f"the program was compiled for {wanted}, and the GPU is an {arch}",
            hint=f"compile it for this one: --arch {arch}",
        )
    if cubin is not None and wanted == arch:
        try:
            return driver("cuModuleLoadData", cubin)
        except DriverError as error:
            if error.code not in _NEWER:
                raise
            log.warning("the driver assembles the program itself: %s", error.message)
    return load_ptx(driver, ptx)


def load_ptx(driver: Driver, ptx: str) -> Any:
    """The driver's module of PTX, which it assembles.

    Raises:
        TargetError: it refuses the text; its report is in the message.
    """
    options = driver.names.CUjit_option
    report = bytearray(_LOG_BYTES)
    names = [options.CU_JIT_ERROR_LOG_BUFFER, options.CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES]
    try:
        return driver(
            "cuModuleLoadDataEx", ptx.encode() + b"\0", len(names), names, [report, len(report)]
        )
    except DriverError as error:
        if error.loses_device:
            raise
        if error.code == "CUDA_ERROR_UNSUPPORTED_PTX_VERSION":
            raise _too_old(driver, ptx) from error
        said = bytes(report).partition(b"\0")[0].decode(errors="replace").strip()
        raise TargetError(
            f"the GPU's driver refuses the program: {error.message}" + (f"\n{said}" if said else "")
        ) from error


def _too_old(driver: Driver, ptx: str) -> TargetError:
    return TargetError(
        f"NVIDIA's driver is of CUDA {cuda_version(driver)}, and does not take"
        f" PTX {_first(_VERSION, ptx)}, which the program is written in",
        hint="update the driver",
    )


def _first(pattern: re.Pattern[str], ptx: str) -> str:
    found = pattern.search(ptx)
    assert found is not None
    return found[1]


def _number(arch: str) -> int:
    return int(arch.removeprefix("sm_"))
