"""The desks of a router that has a dispatcher in its process, over the same store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .counts import MetricsDesk
from .desk import Desk
from .tasks import TaskDesk
from .workflows import WorkflowDesk

if TYPE_CHECKING:
    from ..dispatcher import Dispatcher
    from .core import Router


class Resuming(Desk):
    """Goes on with what an earlier process left, once all other desks listen."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self.resumed: list[str] = []  #: ids of runs of workflows

    async def open(self, router: Router) -> None:
        """Take up tasks and workflows."""
        await super().open(router)
        self.resumed = await router.call(self._dispatcher.resume)


def desks_of(dispatcher: Dispatcher) -> tuple[Desk, ...]:
    """What clients and workers ask of a dispatcher, which must be open."""
    references: dict[str, str] = {}
    return (
        TaskDesk(dispatcher, references), WorkflowDesk(dispatcher, references),
        MetricsDesk(dispatcher), Resuming(dispatcher),
    )  # fmt: skip
