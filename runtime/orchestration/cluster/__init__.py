"""Task workers in processes of their own: who they are, how tasks get there and back.

Nothing here loads Dask before a worker wants to join; only ``carrier`` and ``runner`` do.
``Cluster`` is imported when it is first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .client import Cluster

__all__ = ["Cluster"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .client import Cluster

    globals()[name] = Cluster
    return Cluster
