"""Agents' memory on the CPU."""

from __future__ import annotations

import mmap

import pytest

from swarmc.targets.cpu.slices import Reservation


def test_a_kernel_without_huge_pages_is_good_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmap, "MADV_NOHUGEPAGE", 9999)  # advice that no kernel knows
    reservation = Reservation(8192, "a test")
    assert reservation.read(4096, 4) == bytes(4)
    reservation.close()
