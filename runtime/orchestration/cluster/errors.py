"""Errors of task workers and what carries tasks to them."""

from __future__ import annotations

from ..errors import OrchestrationError, TaskError

#: What to install for workers in processes of their own.
PIP = "pip install 'swarmc[cluster]'"


class ClusterMissingError(OrchestrationError):
    """Task workers are asked for, and what carries tasks to them is not installed."""

    def __init__(self, missing: str) -> None:
        super().__init__(f"task workers need {missing}, which is not installed", hint=PIP)


class ClusterError(OrchestrationError):
    """The engine of the cluster could not start, or a worker could not join it."""


class AuthorityError(OrchestrationError):
    """A certificate authority's file is damaged or open to others, or a request is not one."""


class ModuleError(OrchestrationError):
    """A module is not known here, is too large, or is not what its digest says."""


class WorkerLostError(TaskError):
    """The worker that ran the attempt is gone. Another attempt may succeed."""
