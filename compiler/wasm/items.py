"""Items of element segments that are bare function indices, in little space."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import overload

from .module import Body
from .opcodes import BY_NAME
from .reader import Reader

_REF_FUNC, _END = BY_NAME["ref.func"], BY_NAME["end"]


class FunctionItems(Sequence[Body]):
    """Function indices as the constant expressions that they abbreviate, made when asked for.

    Attributes:
        indices: the functions. offsets: byte offset of each index.
    """

    __slots__ = ("indices", "offsets")

    def __init__(self, indices: Sequence[int], offsets: Sequence[int]) -> None:
        self.indices = indices
        self.offsets = offsets

    @overload
    def __getitem__(self, place: int) -> Body: ...
    @overload
    def __getitem__(self, place: slice) -> FunctionItems: ...
    def __getitem__(self, place: int | slice) -> Body | FunctionItems:
        if isinstance(place, slice):
            return FunctionItems(self.indices[place], self.offsets[place])
        offset = self.offsets[place]
        return Body([_REF_FUNC, _END], [self.indices[place], None], [offset, offset])

    def __len__(self) -> int:
        return len(self.indices)


def read_function_items(reader: Reader, count: int) -> FunctionItems:
    """So many function indices."""
    indices, offsets = array("I"), array("L")
    for _ in range(count):
        offsets.append(reader.pos)
        indices.append(reader.u32())
    return FunctionItems(indices, offsets)
