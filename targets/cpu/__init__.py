"""All cores of a CPU."""

from __future__ import annotations

from .target import CpuTarget

__all__ = ["CpuTarget"]
