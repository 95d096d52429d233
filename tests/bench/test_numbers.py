"""Workloads of floating point agree with numpy, operation by operation where that is exact."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import numpy as np
import pytest
from numpy.typing import NDArray

from .machines import Machine

Make = Callable[[str], Machine]
Floats = NDArray[np.float32]

WEIGHTS = np.array([1, 6, 15, 20, 15, 6, 1], np.float32) / np.float32(64)
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)


def put(guest: Machine, address: int, array: Floats) -> None:
    guest.write(address, array.astype("<f4").tobytes())


def take(guest: Machine, address: int, *shape: int) -> Floats:
    data = guest.read(address, 4 * int(np.prod(shape)))
    return np.frombuffer(data, "<f4").reshape(shape)


def test_nbody_keeps_its_energy(machine: Make) -> None:
    guest = machine("nbody")
    for seed in (1, 2, 3):
        guest.call("run", seed, 0)
        before = guest.call("energy")
        guest.call("run", seed, 500)
        after = guest.call("energy")
        assert after != before
        assert after == pytest.approx(before, rel=1e-3)


def escape_time(cx: np.float32, cy: np.float32, limit: int) -> int:
    x = y = np.float32(0)
    for n in range(limit):
        xx, yy = x * x, y * y
        if xx + yy > 4:
            return n
        y = 2 * x * y + cy
        x = xx - yy + cx
    return limit


def test_mandelbrot(machine: Make) -> None:
    guest = machine("mandelbrot")
    for cx in np.linspace(-2, 0.6, 14, dtype=np.float32):
        for cy in np.linspace(0, 1.2, 7, dtype=np.float32):
            assert guest.call("escape", float(cx), float(cy), 60) == escape_time(cx, cy, 60)


def weighted(parts: list[Floats]) -> Floats:
    """The sum in the order in which the workload adds."""
    total = np.zeros_like(parts[0])
    for weight, part in zip(WEIGHTS, parts, strict=True):
        total = total + weight * part
    return total


def test_blur(machine: Make) -> None:
    guest = machine("blur")
    image = np.random.default_rng(5).uniform(0, 255, (128, 128)).astype(np.float32)
    put(guest, guest.call("buffer"), image)
    guest.call("blur")
    wide = np.pad(image, ((0, 0), (3, 3)), "edge")
    across = weighted([wide[:, tap : tap + 128] for tap in range(7)])
    high = np.pad(across, ((3, 3), (0, 0)), "edge")
    expected = weighted([high[tap : tap + 128] for tap in range(7)])
    assert (take(guest, guest.call("buffer"), 128, 128) == expected).all()


def cosine_hash(image: NDArray[np.float64]) -> int:
    small = image.reshape(32, 2, 32, 2).mean(axis=(1, 3))
    x, u = np.meshgrid(np.arange(32), np.arange(8))
    cosines = np.cos(np.pi * (2 * x + 1) * u / 64)
    low = (cosines @ small @ cosines.T).ravel()
    bits = low > low[1:].mean()
    return int("".join("1" if bit else "0" for bit in bits), 2)


def test_perceptual_hash(machine: Make) -> None:
    guest = machine("phash")
    generator = np.random.default_rng(6)
    hashes = []
    for _ in range(5):
        image = generator.uniform(0, 255, (64, 64)).astype(np.float32)
        for noise in (0, 1):  # an image and nearly the same one
            image = image + generator.uniform(0, noise, (64, 64)).astype(np.float32)
            put(guest, guest.call("buffer"), image)
            found = guest.call("image_hash")
            assert (found ^ cosine_hash(image.astype(np.float64))).bit_count() <= 1
            hashes.append(found)
    pairs = zip(hashes[::2], hashes[1::2], strict=True)
    assert all((a ^ b).bit_count() <= 4 for a, b in pairs)
    assert all((a ^ b).bit_count() > 10 for a, b in zip(hashes[::2], hashes[2::2], strict=False))


@pytest.mark.parametrize("size", [1, 2, 1000, 16384])
def test_percentiles(machine: Make, size: int) -> None:
    guest = machine("histogram")
    values = np.random.default_rng(7).normal(100, 20, size).astype(np.float32)
    put(guest, guest.call("buffer"), values)
    found = take(guest, guest.call("percentiles", size), 7)
    exact = np.percentile(values, PERCENTILES)
    bin_width = float(np.ptp(values)) / 512
    # a bin holds several ranks, and between far apart values a percentile may lie anywhere
    ranks = np.searchsorted(np.sort(values), [found - bin_width, found + bin_width])
    wanted = np.array(PERCENTILES) / 100 * size
    assert (ranks[0] <= wanted + 1).all() and (ranks[1] >= wanted - 1).all()
    if size >= 1000:
        assert np.abs(found[1:6] - exact[1:6]).max() < 3
    assert (np.diff(found) >= 0).all()


def test_matrix_product(machine: Make) -> None:
    guest = machine("gemm")
    generator = np.random.default_rng(8)
    a, b = (generator.uniform(-1, 1, (48, 48)).astype(np.float32) for _ in range(2))
    put(guest, guest.call("buffer"), a)
    put(guest, guest.call("second"), b)
    guest.call("multiply")
    expected = np.zeros((48, 48), np.float32)
    for k in range(48):
        expected = expected + a[:, k : k + 1] * b[k]
    assert (take(guest, guest.call("product"), 48, 48) == expected).all()


def test_stream(machine: Make) -> None:
    guest = machine("stream")
    words = 32768
    guest.call("run", 1, 0)
    before = np.frombuffer(guest.read(guest.call("buffer"), 8 * words), "<u8")
    assert len(np.unique(before)) == words
    guest.call("run", 1, 2)
    expected = before.copy()
    for number in range(2):
        target = expected.copy()
        expected[number] += target[number * 37 + 1]
        target += 2 * expected
        expected = target
    after = np.frombuffer(guest.read(guest.call("buffer"), 8 * words), "<u8")
    assert (after == expected).all()


def luhn_valid(number: int) -> bool:
    digits = [int(digit) for digit in str(number)][::-1]
    doubled = [2 * digit - 9 * (digit > 4) if n % 2 else digit for n, digit in zip(count(), digits)]
    return sum(doubled) % 10 == 0


def test_check_digit(machine: Make) -> None:
    guest = machine("luhn")
    assert luhn_valid(79927398713) and not luhn_valid(79927398714)
    numbers = [guest.call("run", seed, 15) for seed in range(1, 40)]
    assert len(set(numbers)) == len(numbers)
    for number in numbers:
        # the workload writes the digits last to first, and the check digit behind them
        digits = f"{number:016d}"
        assert luhn_valid(int(digits[:15][::-1] + digits[15]))
