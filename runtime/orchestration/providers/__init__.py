"""Where the nodes of swarms run: processes of this machine, or jobs of a Slurm cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import (
    ClusterProvider,
    Doubt,
    InvalidJobError,
    Job,
    JobSpec,
    JobState,
    JobStatus,
    NodeStatus,
    ProviderUnavailableError,
    Resources,
    Restarts,
    SubmitError,
    SubmitUncertainError,
    UnknownJobError,
)
from .local import LocalProvider
from .slurm import SlurmProvider
from .slurm_options import SlurmOptions
from .tracker import JobTracker, TrackedJob

if TYPE_CHECKING:
    from .config import ClusterConfig, load_cluster_config, provider_from_config

__all__ = [
    "ClusterConfig",
    "ClusterProvider",
    "Doubt",
    "InvalidJobError",
    "Job",
    "JobSpec",
    "JobState",
    "JobStatus",
    "JobTracker",
    "LocalProvider",
    "NodeStatus",
    "ProviderUnavailableError",
    "Resources",
    "Restarts",
    "SlurmOptions",
    "SlurmProvider",
    "SubmitError",
    "SubmitUncertainError",
    "TrackedJob",
    "UnknownJobError",
    "load_cluster_config",
    "provider_from_config",
]


def __getattr__(name: str) -> object:
    if name in ("ClusterConfig", "load_cluster_config", "provider_from_config"):
        from . import config  # needs pydantic, which providers themselves do not

        return getattr(config, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
