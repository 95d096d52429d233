"""Memory of the stand-in's device: ranges of address space that are far from each other."""

from __future__ import annotations

from ..addressing import Rows
from ..base import Bytes, Int64s
from ..cpu.slices import Reservation

#: What separates two buffers, so that no address runs from one into another.
GUARD = 1 << 20


class Buffer:
    """Zeroed memory with a wide gap on either side; see :class:`~..slices.Region`."""

    def __init__(self, size: int, purpose: str) -> None:
        self.size = size
        self.purpose = purpose
        self._whole = Reservation(size + 2 * GUARD, purpose)
        self.address = self._whole.address + GUARD

    def read(self, offset: int, length: int) -> bytes:
        return self._whole.read(GUARD + offset, length)

    def write(self, offset: int, data: bytes) -> None:
        self._whole.write(GUARD + offset, data)

    def read_rows(self, rows: Rows) -> Bytes:
        return self._view(rows).copy()

    def write_rows(self, rows: Rows, data: Bytes) -> None:
        self._view(rows)[:] = data.reshape(rows.count, rows.width)

    def words(self, offsets: Int64s) -> Int64s:
        return self._whole.words(offsets + GUARD)

    def gather(self, pitch: int, rows: Int64s, width: int) -> Bytes:
        found: Bytes = self._rows(pitch, width)[rows]
        return found

    def scatter(self, pitch: int, rows: Int64s, data: Bytes) -> None:
        self._rows(pitch, data.shape[1])[rows] = data

    def discard(self, offset: int, length: int) -> None:
        self._whole.discard(GUARD + offset, length)

    def array(self) -> Bytes:
        """The bytes themselves; drop it before :meth:`close`."""
        whole: Bytes = self._view(Rows(0, self.size, self.size, 1))[0]
        return whole

    def close(self) -> None:
        self._whole.close()

    def _rows(self, pitch: int, width: int) -> Bytes:
        return self._view(Rows(0, pitch, width, self.size // pitch if pitch else 0))

    def _view(self, rows: Rows) -> Bytes:
        return self._whole.view(Rows(GUARD + rows.offset, rows.pitch, rows.width, rows.count))
