"""The workloads compute what their specifications say, as native code and as agents."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from swarmc.runtime.tools.bench_workloads import Workload

from .machines import WORKLOADS, Machine, Native

Make = Callable[[str], Machine]


@pytest.mark.parametrize("name", WORKLOADS)
def test_native_gives_what_the_manifest_promises(
    name: str, native_library: Callable[[Workload], Path]
) -> None:
    workload = WORKLOADS[name]
    native = Native(native_library(workload))
    calls = [call for call in workload.program.calls if call.export == "run"]
    assert len({call.results for call in calls}) == len(calls) >= 2
    for _ in range(2):  # nothing that a run leaves behind changes the next
        for call in calls:
            assert (native.call("run", *call.args),) == call.results


# RFC 7914, section 11: PBKDF2-HMAC-SHA-256.
PBKDF2_VECTORS = [
    (b"passwd", b"salt", 1,
     "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc"
     "49ca9cccf179b645991664b39d77ef317c71b845b1e30bd509112041d3a19783"),
    (b"Password", b"NaCl", 80000,
     "4ddcd8f60b98be21830cee5ef22701f9641a4418d04c0414aeff08876b34ab56"
     "a1d425a1225833549adb841b51c9b3176a272bdebba1d078478f62b397f33c8d"),
]


def derive(guest: Machine, password: bytes, salt: bytes, iterations: int, size: int) -> bytes:
    address = guest.call("buffer")
    guest.write(address, password + salt)
    guest.call("derive", len(password), len(salt), iterations, size)
    return guest.read(address, size)


def test_pbkdf2(machine: Make) -> None:
    guest = machine("pbkdf2")
    for password, salt, iterations, key in PBKDF2_VECTORS:
        found = derive(guest, password, salt, iterations, len(key) // 2)
        assert found == hashlib.pbkdf2_hmac("sha256", password, salt, iterations, len(key) // 2)
        assert found.hex() == key
    for case in ((b"p" * 64, b"s" * 55, 2, 32), (b"p" * 65, b"s" * 56, 3, 33), (b"", b"", 1, 1),
                 (b"p" * 200, b"s" * 130, 2, 100), (b"p" * 63, b"s" * 119, 1, 64)):
        assert derive(guest, *case) == hashlib.pbkdf2_hmac("sha256", *case)


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
