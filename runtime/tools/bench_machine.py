"""What a benchmark ran on, as its reports say it."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform

from ... import __version__
from ...targets.cpu.machine import host_machine
from ..cli_inspect import available_memory
from ..cli_terminal import size_text
from ..doctor import cpu_name
from .bench_threads import cores

_PACKAGES = ("wasmtime", "ziglang", "numba", "numpy")


def describe_machine() -> dict[str, str]:
    """Facts by name, with how busy the machine was: timings taken beside other work mean little."""
    available = available_memory()
    facts = {
        "measured": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "processor": f"{cpu_name()} ({host_machine().cpu})",
        "cores": str(cores()),
        "memory": "unknown" if available is None else f"{size_text(available)} available",
        "load before": f"{os.getloadavg()[0]:.2f}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "Python": platform.python_version(),
        "swarmc": __version__,
        "LLVM": host_machine().llvm_version,
    }
    for name in _PACKAGES:
        try:
            facts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            facts[name] = "not installed"
    return facts
