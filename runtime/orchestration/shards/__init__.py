"""One dispatch of many agents as shards over many workers, with the same bits.

Names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy

if TYPE_CHECKING:
    from ..verify.shard import Shard
    from .certified import Certification, certify_run
    from .modules import ModuleCache, ModuleMissingError, ModuleSource, ModuleTable
    from .places import Place, SchedulerPlace, WorkerInfo
    from .running import ClusterResult, RunOptions, ShardFailedError, run_shards
    from .splitting import SHARD_SIZE, Plan, UnsplittableError, merge, split

__all__ = [
    "SHARD_SIZE", "Certification", "ClusterResult", "ModuleCache", "ModuleMissingError",
    "ModuleSource", "ModuleTable", "Place", "Plan", "RunOptions", "SchedulerPlace", "Shard",
    "ShardFailedError", "UnsplittableError", "WorkerInfo", "certify_run", "merge", "run_shards",
    "split",
]  # fmt: skip

_HOMES = {
    "SHARD_SIZE": ".splitting", "Certification": ".certified", "ClusterResult": ".running",
    "ModuleCache": ".modules", "ModuleMissingError": ".modules", "ModuleSource": ".modules",
    "ModuleTable": ".modules", "Place": ".places", "Plan": ".splitting",
    "RunOptions": ".running", "SchedulerPlace": ".places", "Shard": "..verify.shard",
    "ShardFailedError": ".running", "UnsplittableError": ".splitting", "WorkerInfo": ".places",
    "certify_run": ".certified", "merge": ".splitting", "run_shards": ".running",
    "split": ".splitting",
}  # fmt: skip

__getattr__, __dir__ = lazy(__name__, globals(), _HOMES)
