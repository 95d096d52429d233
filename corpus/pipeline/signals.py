"""Python nodes of the pipelines in this folder."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def tones(cycles: list[float], samples: int, amplitude: float = 1.0) -> Floats:
    """A sum of cosines, each with a number of cycles in the whole signal."""
    time = np.arange(samples) / samples
    waves = [amplitude * np.cos(2 * np.pi * cycle * time) for cycle in cycles]
    return np.sum(waves, axis=0).astype(np.float32)


async def decibels(power: Floats) -> Floats:
    """Relative to the strongest, and not below -120."""
    relative = power.astype(np.float64) / power.max()
    return (10 * np.log10(np.maximum(relative, 1e-12))).astype(np.float32)
