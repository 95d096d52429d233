"""Arrays of other libraries: what they are to NumPy, without a copy where they lie in memory.

Two protocols say where an array's elements are: DLPack (PyTorch, JAX, CuPy, NumPy …), and
``__cuda_array_interface__`` for those on a GPU. What lies on a device is copied to this machine's
memory by the library that made it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import ArgumentError

Array = NDArray[Any]

#: Kinds of devices of DLPack; the first row is memory that this processor reaches.
_REACHED = frozenset({1, 3, 11, 13})
_DEVICES = {
    1: "cpu", 2: "cuda", 3: "cuda_host", 4: "opencl", 7: "vulkan", 8: "metal", 9: "vpi", 10: "rocm",
    11: "rocm_host", 12: "ext_dev", 13: "cuda_managed", 14: "oneapi", 15: "webgpu", 16: "hexagon",
}  # fmt: skip

#: How libraries call a copy of a device's array in this machine's memory.
_COPIES = ("copy_to_host", "get")


class SupportsDLPack(Protocol):
    """An array of any library that knows DLPack."""

    def __dlpack_device__(self) -> tuple[int, int]: ...

    def __dlpack__(self, **options: Any) -> Any: ...


class Columns(tuple[Any, ...]):
    """Arguments as columns: for each parameter an array with an element for each agent.

    ``Columns(a, b)`` is to ``args=`` what a structured array is. A column may be an array of NumPy,
    of any library that knows DLPack, a sequence, or one value for all agents.
    """

    __slots__ = ()

    def __new__(cls, *columns: Any) -> Columns:
        return super().__new__(cls, columns)


class OnGpu(Protocol):
    """An array of any library in the memory of a GPU of NVIDIA's."""

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]: ...


Arguments = ArrayLike | Sequence[Any] | SupportsDLPack | OnGpu | Columns


def is_foreign(value: object) -> bool:
    """Whether a value is an array of another library than NumPy."""
    if isinstance(value, np.ndarray | np.generic | int | float | str | bytes | list | tuple):
        return False
    return hasattr(value, "__dlpack__") or _has(value, "__cuda_array_interface__")


def _has(value: object, name: str) -> bool:
    # Tensors of PyTorch have the attribute, which raises unless they are on a GPU.
    try:
        return getattr(value, name, None) is not None
    except (AttributeError, TypeError, RuntimeError):
        return False


def device_interface(value: object) -> dict[str, Any] | None:
    """What an array says of its memory on a GPU; None: it is none, or does not say all of it."""
    if not is_foreign(value) or not _has(value, "__cuda_array_interface__"):
        return None
    found = value.__cuda_array_interface__  # type: ignore[attr-defined]
    complete = isinstance(found, dict) and {"shape", "typestr", "data"} <= found.keys()
    return found if complete else None


def to_array(value: Any, where: str) -> Array:
    """NumPy's view of an array of another library; a copy of what lies on a device.

    Args:
        where: what it is for, for errors.

    Raises:
        ArgumentError: it lies on a device, and nothing brings it here; or its elements are
            nothing that NumPy has.
    """
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "__dlpack__"):
        device = _device(value, where)
        if device[0] in _REACHED:
            found: Array = _tried(lambda: np.from_dlpack(value), value, where)
            return found
        return _copied(value, where, f"{_DEVICES.get(device[0], 'device')}:{device[1]}")
    return _copied(value, where, "a GPU")


def _device(value: Any, where: str) -> tuple[int, int]:
    ask = getattr(value, "__dlpack_device__", None)
    if ask is None:
        return 1, 0
    kind, number = _tried(ask, value, where)
    return int(kind), int(number)


def _copied(value: Any, where: str, device: str) -> Array:
    """A copy in this machine's memory, made by the library that the array is of."""
    if hasattr(value, "__dlpack__"):
        try:
            return np.from_dlpack(value, device="cpu", copy=True)
        except (BufferError, RuntimeError, TypeError, ValueError):
            pass  # older than the version of the protocol that copies; there are other ways
    for name in _COPIES:
        method = getattr(value, name, None)
        if callable(method):
            found = _tried(method, value, where)
            if isinstance(found, np.ndarray):
                return found
    raise ArgumentError(
        f"{where}: {_kind(value)} lies on {device}, and does not say how it is copied from there",
        hint="copy it to this machine's memory first, e.g. with .cpu() or .get()",
    )


def _tried(call: Callable[[], Any], value: Any, where: str) -> Any:
    try:
        return call()
    except (BufferError, RuntimeError, TypeError, ValueError, AssertionError) as error:
        raise ArgumentError(f"{where}: {_kind(value)} cannot be read: {error}") from error


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def columns_of(columns: Sequence[Any], count: int, name: str) -> list[Array]:
    """The columns of :class:`Columns` as arrays of ``count`` elements.

    Raises:
        ArgumentError: one has another length, or is no column.
    """
    found = []
    for place, value in enumerate(columns):
        where = f"argument {place} of {name}"
        column = to_array(value, where) if is_foreign(value) else _plain(value, where)
        if column.ndim == 0:
            column = np.broadcast_to(column, (count,))
        bytes_each = column.ndim == 2 and column.dtype == np.uint8
        check_column(column.shape[:1] if bytes_each else column.shape, count, where)
        found.append(column)
    return found


def check_column(shape: tuple[int, ...], count: int, where: str) -> None:
    """Refuse an array that has not one element for each agent.

    Raises:
        ArgumentError: it has another shape.
    """
    if len(shape) != 1:
        raise ArgumentError(
            f"{where}: a column has one dimension, not {len(shape)} (shape {shape})"
        )
    if shape[0] != count:
        raise ArgumentError(f"{where}: {shape[0]} values for {count} agents")


def _plain(value: Any, where: str) -> Array:
    if isinstance(value, np.ndarray):
        return value
    try:
        array = np.asarray(value)
    except (ValueError, OverflowError) as error:
        raise ArgumentError(f"{where}: no column: {error}") from error
    if array.dtype.kind not in "iufb":  # integers beyond 64 bits, None, bytes: one by one
        array = np.empty(np.shape(value)[:1] if np.ndim(value) else (), object)
        array[...] = value
    return array
