"""Where the nodes of swarms run: processes of this machine, or jobs of a Slurm cluster."""

from __future__ import annotations

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
    SubmitError,
    SubmitUncertainError,
    UnknownJobError,
)
from .local import LocalProvider
from .slurm import SlurmProvider
from .slurm_options import SlurmOptions
from .tracker import JobTracker, TrackedJob

__all__ = [
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
    "SlurmOptions",
    "SlurmProvider",
    "SubmitError",
    "SubmitUncertainError",
    "TrackedJob",
    "UnknownJobError",
]
