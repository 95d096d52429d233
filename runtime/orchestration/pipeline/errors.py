"""Errors of pipelines."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import OrchestrationError


class PipelineError(OrchestrationError):
    """Base of what can go wrong with a pipeline."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a manifest.

    Args:
        message: what.
        path: where in the document, such as ``nodes[2].params``.
        line, column: of the text, from 1; None where there is no text.
    """

    message: str
    path: str = ""
    line: int | None = None
    column: int | None = None

    def located(self, source: str) -> str:
        """``file:line:column: path: message``, as far as that is known."""
        place = f"{source}:{self.line}:{self.column}: " if self.line is not None else ""
        return f"{place}{self.path}: {self.message}" if self.path else f"{place}{self.message}"


class ManifestError(PipelineError, ValueError):
    """A manifest that is none: everything that is wrong with it.

    Args:
        source: name of the file, ``<stdin>``, ``<text>`` or ``<dict>``.
        problems: in the order of the text.
    """

    def __init__(self, source: str, problems: tuple[Problem, ...]) -> None:
        lines = [problem.located(source) for problem in problems]
        if len(lines) > 1:
            super().__init__(f"{source}: {len(lines)} errors\n  " + "\n  ".join(lines))
        else:
            known = lines[0].startswith(f"{source}:")
            super().__init__(lines[0] if known else f"{source}: {lines[0]}")
        self.source, self.problems = source, problems


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
