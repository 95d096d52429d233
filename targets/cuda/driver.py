"""NVIDIA's driver, called through its own Python bindings: every error is an exception.

The bindings (package ``cuda-bindings``) are what Numba's CUDA target stands on, too. Numba itself
is not asked: importing its CUDA target takes longer than a small program runs.
"""

from __future__ import annotations

from typing import Any

from ...errors import TargetError
from .device import DeviceProperties

#: Errors after which nothing works in the process's context any more (CUDA driver API, CUresult).
_LOSSES = frozenset(
    f"CUDA_ERROR_{name}" for name in (
        "ASSERT", "CONTAINED", "ECC_UNCORRECTABLE", "EXTERNAL_DEVICE", "HARDWARE_STACK_ERROR",
        "ILLEGAL_ADDRESS", "ILLEGAL_INSTRUCTION", "INVALID_ADDRESS_SPACE", "INVALID_PC",
        "LAUNCH_FAILED", "LAUNCH_TIMEOUT", "MISALIGNED_ADDRESS", "NVLINK_UNCORRECTABLE",
        "TENSOR_MEMORY_LEAK", "UNKNOWN",
    )
)  # fmt: skip

_EXTRA = "install the bindings of NVIDIA's driver: pip install 'swarmc[cuda]'"


class DriverError(TargetError):
    """A call of the driver failed.

    Args:
        function: name of the call. code: name of the error, ``CUDA_ERROR_...``.
    """

    def __init__(self, function: str, code: str, text: str) -> None:
        super().__init__(f"{function}: {code}: {text}")
        self.function = function
        self.code = code

    @property
    def loses_device(self) -> bool:
        """Whether nothing works any more until the device is reset."""
        return self.code in _LOSSES


class NoGpuError(TargetError):
    """This machine has no GPU, or shows none to this process."""


class Driver:
    """The driver's functions and constants.

    Args:
        bindings: the module ``cuda.bindings.driver``, or what behaves like it.
    """

    def __init__(self, bindings: Any) -> None:
        self.names = bindings

    def __call__(self, function: str, *args: Any) -> Any:
        """What a function of the driver returns besides its status.

        Raises:
            DriverError: it failed.
        """
        status, values = self._call(function, args)
        if status != self.names.CUresult.CUDA_SUCCESS:
            raise self._error(function, status)
        return values[0] if len(values) == 1 else values

    def finished(self, stream: Any) -> bool:
        """Whether a stream has done all it was given.

        Raises:
            DriverError: something in it failed.
        """
        status, _ = self._call("cuStreamQuery", (stream,))
        if status == self.names.CUresult.CUDA_ERROR_NOT_READY:
            return False
        if status != self.names.CUresult.CUDA_SUCCESS:
            raise self._error("cuStreamQuery", status)
        return True

    def _call(self, function: str, args: tuple[Any, ...]) -> tuple[Any, tuple[Any, ...]]:
        status, *values = getattr(self.names, function)(*args)
        return status, tuple(values)

    def _error(self, function: str, status: Any) -> DriverError:
        found, text = self.names.cuGetErrorString(status)
        known = found == self.names.CUresult.CUDA_SUCCESS and text
        return DriverError(function, status.name, text.decode() if known else "no description")


def load_driver() -> Driver:
    """The driver of this machine, initialised.

    Raises:
        TargetError: there is none, it has no GPU, or the bindings are not installed.
    """
    try:
        from cuda.bindings import driver as bindings
    except ImportError as error:
        raise TargetError(f"no module {error.name}", hint=_EXTRA) from error
    driver = Driver(bindings)
    try:
        driver("cuInit", 0)
    except RuntimeError as error:  # the bindings look for the driver's library at the first call
        raise NoGpuError("there is no NVIDIA driver on this machine") from error
    except DriverError as error:
        if error.code == "CUDA_ERROR_NO_DEVICE":
            raise NoGpuError("NVIDIA's driver shows no GPU") from error
        raise TargetError(f"NVIDIA's driver cannot be used: {error.message}") from error
    return driver


def cuda_version(driver: Driver) -> str:
    """Version of CUDA that the driver is of."""
    number = int(driver("cuDriverGetVersion"))
    return f"{number // 1000}.{number % 1000 // 10}"


def read_properties(driver: Driver, device: Any) -> DeviceProperties:
    """What a device is; its context must be current."""
    attributes = driver.names.CUdevice_attribute

    def get(name: str) -> int:
        attribute = getattr(attributes, f"CU_DEVICE_ATTRIBUTE_{name}")
        return int(driver("cuDeviceGetAttribute", attribute, device))

    name = driver("cuDeviceGetName", 256, device)
    free, _ = driver("cuMemGetInfo")
    major, minor = get("COMPUTE_CAPABILITY_MAJOR"), get("COMPUTE_CAPABILITY_MINOR")
    return DeviceProperties(
        name=name.partition(b"\0")[0].decode(),
        arch=f"sm_{major}{minor}",
        memory=free,
        multiprocessors=get("MULTIPROCESSOR_COUNT"),
        threads_per_multiprocessor=get("MAX_THREADS_PER_MULTIPROCESSOR"),
        cuda=cuda_version(driver),
    )
