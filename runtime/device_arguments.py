"""Arguments that stay on the GPU: which arrays can, and where in them each agent's are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..ir.types import Type
from ..targets.base import ArrayReader, DeviceColumn
from .arrays import Columns, check_column, device_interface
from .values import check_rows, slot_count, wrong_count

#: Elements that have the very bits of an argument of the type.
_ELEMENTS = {
    Type.I32: ("<i4", "<u4"), Type.I64: ("<i8", "<u8"), Type.F32: ("<f4",), Type.F64: ("<f8",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Array:
    """What ``__cuda_array_interface__`` says; see Numba's documentation of it.

    ``producer`` is the stream that still works on it; None: any may. ``ready``: none does.
    """

    owner: Any
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    typestr: str
    address: int
    ready: bool
    producer: int | None

    def serves(self, type_: Type) -> bool:
        """Whether its elements are arguments as they are."""
        return self.typestr in _ELEMENTS.get(type_, ())

    def column(self, slot: int, offset: int, stride: int) -> DeviceColumn:
        return DeviceColumn(
            slot, int(self.typestr[2:]), self.address + offset, stride, self.owner
        )


def split_arguments(
    types: Sequence[Type], args: Any, count: int, name: str, gpu: ArrayReader
) -> tuple[Any, tuple[DeviceColumn, ...]]:
    """Arguments as :func:`~.values.encode_rows` takes them, and those that stay on the GPU.

    In the place of the latter, the former have zeros. An array stays where it is if its elements
    are of the very type of the parameter; all others are left to be copied by their library.

    Raises:
        ArgumentError: the shape is wrong, or an array lies on another GPU.
    """
    if isinstance(args, Columns):
        return _split_columns(types, args, count, name, gpu)
    array = _describe(args)
    if array is None or not types or not all(map(array.serves, types)):
        return args, ()
    check_rows(array.shape, count, name)
    width = array.shape[1] if len(array.shape) == 2 else 1
    if width != len(types):
        raise wrong_count(types, width, name)
    if not count:
        return Columns(*[0] * width), ()
    _be_ready([(array, f"arguments of {name}")], gpu)
    across = array.strides[1] if len(array.shape) == 2 else 0
    found = [
        array.column(slot_count(types[:place]), place * across, array.strides[0])
        for place in range(width)
    ]
    return Columns(*[0] * width), tuple(found)


def _split_columns(
    types: Sequence[Type], args: Columns, count: int, name: str, gpu: ArrayReader
) -> tuple[Columns, tuple[DeviceColumn, ...]]:
    if len(args) != len(types):
        return args, ()
    rest, arrays, found = list(args), [], []
    for place, (type_, value) in enumerate(zip(types, args, strict=True)):
        array = _describe(value)
        if array is None or not array.serves(type_):
            continue
        where = f"argument {place} of {name}"
        if array.shape:
            check_column(array.shape, count, where)
        arrays.append((array, where))
        stride = array.strides[0] if array.shape else 0  # one value for all agents
        found.append(array.column(slot_count(types[:place]), 0, stride))
        rest[place] = 0
    if not count:
        found = []
    elif arrays:
        _be_ready(arrays, gpu)
    return Columns(*rest), tuple(found)


def _be_ready(arrays: Sequence[tuple[_Array, str]], gpu: ArrayReader) -> None:
    """Make sure that arrays lie on the GPU, and that what computes them is done."""
    for array, where in arrays:
        gpu.check_array(array.address, where)
    for stream in dict.fromkeys(array.producer for array, _ in arrays if not array.ready):
        gpu.await_stream(stream)


def _describe(value: Any) -> _Array | None:
    """What an array on a GPU is; None: it is none, or none whose elements are read one by one."""
    found = device_interface(value)
    if found is None or found.get("mask") is not None:
        return None
    typestr, shape = found["typestr"], tuple(found["shape"])
    if not any(typestr in elements for elements in _ELEMENTS.values()):
        return None
    size, address = int(typestr[2:]), int(found["data"][0])
    strides = found.get("strides")
    strides = _contiguous(shape, size) if strides is None else tuple(strides)
    if address % size or any(stride % size for stride in strides):
        return None  # a GPU does not survive an access that is not aligned
    stream = found.get("stream")
    # Versions before the third do not say which stream is at work.
    ready = stream is None and found.get("version", 0) >= 3
    return _Array(value, shape, strides, typestr, address, ready, stream)


def _contiguous(shape: tuple[int, ...], size: int) -> tuple[int, ...]:
    strides = []
    for length in reversed(shape):
        strides.append(size)
        size *= length
    return tuple(reversed(strides))
