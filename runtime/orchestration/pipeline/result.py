"""What a pipeline gave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from . import arrays
from .errors import PipelineError


@dataclass(frozen=True, slots=True)
class GraphInfo:
    """The shape of a pipeline: how many nodes there are, how many of them begin and end it."""

    node_count: int
    source_count: int
    sink_count: int
    execution_order: tuple[str, ...]  #: of a sync execution; a node never begins before its sources


@dataclass(frozen=True, slots=True, eq=False)
class ExecutionResult:
    """The outcome of one execution. Arrays in it are read-only: ``.copy()`` gives one's own.

    Args:
        status: ``success``; what failed raises instead.
        outputs: what each node gave that leads nowhere, by id; of ``execute_with_input``, a list
            of that, with an element for each item of the input.
        durations: seconds that each node took, waiting for a free place included.
    """

    status: str
    outputs: Mapping[str, Any]
    graph_info: GraphInfo
    durations: Mapping[str, float] = field(default_factory=dict)

    @property
    def output(self) -> Any:
        """What the only last node gave.

        Raises:
            PipelineError: the pipeline has none, or several.
        """
        if len(self.outputs) != 1:
            names = ", ".join(self.outputs) or "none"
            raise PipelineError(f"the pipeline has not one last node: {names}", hint="see outputs")
        return next(iter(self.outputs.values()))

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it: arrays as ``{"dtype", "shape", "data"}``.

        Raises:
            ArrayFormatError: a node gave something that JSON has no form for.
        """
        return {
            "status": self.status,
            "outputs": arrays.to_json(self.outputs, "outputs"),
            "graph_info": {
                **asdict(self.graph_info),
                "execution_order": list(self.graph_info.execution_order),
            },
            "durations_ms": {
                name: round(1000 * taken, 3) for name, taken in self.durations.items()
            },
        }

    def to_json(self, indent: int | None = 2) -> str:
        """:meth:`to_dict` as text."""
        return arrays.dumps(self.to_dict(), indent=indent)
