"""Executing our PTX on the host, to check the GPU's code where there is no GPU."""

from __future__ import annotations

from .target import PtxTarget

__all__ = ["PtxTarget"]
