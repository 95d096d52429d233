"""``--host-functions``: the host functions of a Python file."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from ..errors import ArgumentError, SwarmcError
from .host_api import HostFunction, check_functions


def read_host_functions(paths: Sequence[Path]) -> tuple[HostFunction, ...]:
    """All host functions that are names of these files. Running a file runs what is in it.

    Raises:
        ArgumentError: a file cannot be read or run, or has none.
        HostFunctionError: what is in it is no host function.
    """
    return check_functions([one for path in paths for one in _functions_of(path)])


def _functions_of(path: Path) -> list[HostFunction]:
    name = f"swarmc_host_functions_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ArgumentError(f"--host-functions {path}: not the name of a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where what the file defines says that it is
    try:
        spec.loader.exec_module(module)
    except SwarmcError:
        raise
    except OSError as error:
        raise ArgumentError(f"cannot read {path}: {error.strerror or error}") from None
    except Exception as error:  # whatever the file does is its own
        kind = type(error).__name__
        raise ArgumentError(f"--host-functions {path}: {kind}: {error}") from error
    found = [value for value in vars(module).values() if isinstance(value, HostFunction)]
    if not found:
        raise ArgumentError(
            f"--host-functions {path}: there are none in it",
            hint="swarmc.host_function makes one of a Python function",
        )
    return found
