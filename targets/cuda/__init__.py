"""NVIDIA's GPUs."""

from __future__ import annotations

from .target import CudaTarget

__all__ = ["CudaTarget"]
