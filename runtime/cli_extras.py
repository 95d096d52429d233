"""What commands need that is not always installed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..errors import SwarmcError


@contextmanager
def needs_web() -> Iterator[None]:
    """Say what to install where an import inside fails for want of it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "swarmc":
            raise
        raise SwarmcError(
            f"this command needs {error.name}, which is not installed",
            hint="pip install 'swarmc[web]'",
        ) from error
