"""Errors of pipelines."""

from __future__ import annotations

from ..documents.document import DocumentError
from ..errors import OrchestrationError


class PipelineError(OrchestrationError):
    """Base of what can go wrong with a pipeline."""


class ManifestError(PipelineError, DocumentError, ValueError):
    """A manifest that is none: everything that is wrong with it, each with its place."""


class ArrayFormatError(PipelineError, ValueError):
    """A value that has no JSON form, or JSON that is none of a value."""


class NodeError(PipelineError):
    """A node that failed; the pipeline ended with it. ``__cause__`` is what went wrong.

    Args:
        node: its id.
        item: which item of the input it worked on, from 0; None if there is no list of items.
    """

    def __init__(
        self, node: str, message: str, *, item: int | None = None, hint: str | None = None
    ) -> None:
        where = f"node {node!r}" + (f", item {item}" if item is not None else "")
        super().__init__(f"{where}: {message}", hint=hint)
        self.node, self.item = node, item


class NodeTimeoutError(NodeError, TimeoutError):
    """A node that took longer than its ``timeout_ms``."""


class PipelineTimeoutError(PipelineError, TimeoutError):
    """A pipeline that took longer than its executor's ``timeout``."""


class RunningLoopError(PipelineError, RuntimeError):
    """``execute_sync`` where an event loop is running, which it would block."""
