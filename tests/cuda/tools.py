"""NVIDIA's tools in tests: which are there, and what happens where they are not."""

from __future__ import annotations

import pytest

from swarmc.errors import TargetError
from swarmc.targets.cuda import toolchain


def installed(name: str) -> bool:
    """Whether a tool is there."""
    try:
        toolchain.find_tool(name)
    except TargetError:
        return False
    return True


needs_ptxas = pytest.mark.skipif(not installed("ptxas"), reason="ptxas is not installed")
needs_nvlink = pytest.mark.skipif(not installed("nvlink"), reason="nvlink is not installed")
needs_nvdisasm = pytest.mark.skipif(
    not installed("nvdisasm"), reason="nvdisasm is not installed"
)


def without_tools(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make all tools seem not to be there."""
    monkeypatch.setattr(toolchain, "find_spec", lambda name: None)
    monkeypatch.setenv("PATH", "")
