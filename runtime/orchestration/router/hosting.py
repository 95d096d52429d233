"""The desks of a router that has a dispatcher in its process, over the same store."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from ..cluster.modules import ModuleFolder, module_path
from ..store import StoreError
from .counts import MetricsDesk
from .desk import Desk
from .modules import ModuleDesk
from .tasks import TaskDesk
from .workers import WorkerDesk
from .workflows import WorkflowDesk

if TYPE_CHECKING:
    from ..dispatcher import Dispatcher
    from .core import Router


_LOG = logging.getLogger(__name__)


class Resuming(Desk):
    """Goes on with what an earlier process left, once all other desks listen."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self.resumed: list[str] = []  #: ids of runs of workflows

    async def open(self, router: Router) -> None:
        """Take up tasks and workflows."""
        await super().open(router)
        self.resumed = await router.call(self._dispatcher.resume)


class Cleaning(Desk):
    """Removes from the store what ended long ago, now and then.

    Args:
        every: seconds between looks.
    """

    def __init__(self, dispatcher: Dispatcher, every: float = 600.0) -> None:
        self._dispatcher = dispatcher
        self._retention = dispatcher.config.dispatcher.retention / 1000
        self._every = every
        self._next = float("-inf")
        self._cleaning = False

    async def sweep(self) -> None:
        """Begin, if it is time; nobody waits for it."""
        now = self.router.clock()
        if now >= self._next and not self._cleaning:
            self._next, self._cleaning = now + self._every, True
            self.router.spawn(self._clean())

    async def _clean(self) -> None:
        try:
            await self.router.call(self._dispatcher.store.cleanup, self._retention)
        except StoreError:
            _LOG.exception("what ended long ago could not be removed; it is tried again")
        finally:
            self._cleaning = False


def desks_of(dispatcher: Dispatcher) -> tuple[Desk, ...]:
    """What clients and workers ask of a dispatcher, which must be open."""
    workers = WorkerDesk(dispatcher)
    config = dispatcher.config
    modules = ModuleFolder(
        module_path(config), config.dispatcher.module_storage_mib << 20
    )
    return (
        TaskDesk(dispatcher, modules), WorkflowDesk(dispatcher),
        MetricsDesk(dispatcher), workers, ModuleDesk(dispatcher, workers, modules),
        Cleaning(dispatcher), Resuming(dispatcher),
    )  # fmt: skip
