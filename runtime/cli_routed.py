"""How ``swarmc deploy`` and ``swarmc status`` reach a router that runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import typer

from .cli_extras import needs_web
from .cli_router_options import read_token
from .orchestration.config_file import SwarmConfig
from .orchestration.dispatcher_status import DispatcherStatus
from .orchestration.router_place import RouterPlace, find_router

if TYPE_CHECKING:
    from .orchestration.router.client import RouterClient
    from .orchestration.router.protocol_tasks import TaskState
    from .orchestration.router.runs import RoutedRuns

T = TypeVar("T")
#: Fields of tasks, as the protocol calls them; whether there are more tasks.
Tasks = tuple[list[dict[str, Any]], bool]
TASK_FIELDS = (
    "task_id", "name", "state", "executor", "agent", "attempts", "error", "workflow_id",
)  # fmt: skip
_SOON = 3.0  # seconds in which a router must answer that nobody named


@dataclass(frozen=True, slots=True)
class RouterWanted:
    """The options that say where the router is; None: it is looked for."""

    url: str | None = None
    token_file: Path | None = None
    certificate: Path | None = None

    def place(self, config: SwarmConfig) -> RouterPlace | None:
        """The router that was named, or the one that has the configured database in use."""
        if self.url is not None:
            return RouterPlace(self.url, self.certificate)
        path = config.dispatcher.state_db_path
        found = find_router(config.path(path)) if path != ":memory:" else None
        if found is None or self.certificate is None:
            return found
        return RouterPlace(found.url, self.certificate)

    def connect(self, place: RouterPlace, timeout: float = 30.0) -> RouterClient:
        """A connection to a router.

        Raises:
            RouterUnavailableError: nobody is there. CommandRejectedError: we may not come in.
        """
        with needs_web():
            from .orchestration.router.client import RouterClient
        return RouterClient(
            place.url, token=read_token(self.token_file), certificate=place.certificate,
            timeout=timeout,
        )  # fmt: skip


def routed_runs(wanted: RouterWanted, config: SwarmConfig) -> RoutedRuns | None:
    """Workflows of the router that is meant; None if there is none, and none was named.

    Raises:
        RouterUnavailableError: the one that was named does not answer.
    """
    place = wanted.place(config)
    if place is None:
        return None
    with needs_web():
        from .orchestration.router.client import RouterUnavailableError
        from .orchestration.router.runs import RoutedRuns

    def connect() -> RouterClient:
        return wanted.connect(wanted.place(config) or place)

    try:
        return RoutedRuns(connect)
    except RouterUnavailableError:
        if wanted.url is not None:
            raise
        return None  # whoever has the database in use is no router any more


def routed_status(
    wanted: RouterWanted, config: SwarmConfig
) -> tuple[DispatcherStatus, str] | None:
    """What a router says of itself, and where it is; None if there is none, and none was named.

    Raises:
        OrchestrationError: the one that was named does not answer, or not to us.
    """

    def ask(client: RouterClient) -> DispatcherStatus:
        from .orchestration.router.protocol import Nothing

        found = client.call("status", Nothing())
        tasks, workers = found.tasks, found.workers
        return DispatcherStatus(
            workers.idle, workers.busy, tasks.queued, tasks.running, tasks.completed, tasks.failed,
            found.workflows, found.database,
        )  # fmt: skip

    return _routed(wanted, config, ask)


def routed_tasks(
    wanted: RouterWanted, config: SwarmConfig, states: Sequence[str], limit: int
) -> tuple[Tasks, str] | None:
    """Tasks that a router knows, whether there are more, and where it is; None as above.

    Raises:
        OrchestrationError: the one that was named does not answer, or not to us.
    """

    def ask(client: RouterClient) -> Tasks:
        from .orchestration.router.protocol_tasks import TaskWanted

        wanted = TaskWanted(states=cast("list[TaskState]", list(states)), limit=limit)
        found = client.call("task_list", wanted)
        rows = [{name: getattr(task, name) for name in TASK_FIELDS} for task in found.tasks]
        return rows, found.next is not None

    return _routed(wanted, config, ask)


def _routed(
    wanted: RouterWanted, config: SwarmConfig, ask: Callable[[RouterClient], T]
) -> tuple[T, str] | None:
    place = wanted.place(config)
    if place is None and "coordinator_endpoint" in config.dispatcher.model_fields_set:
        place = RouterPlace(config.dispatcher.coordinator_endpoint, wanted.certificate)
    if place is None:
        return None
    with needs_web():
        from .orchestration.router.client import CommandRejectedError, RouterUnavailableError

    try:
        with wanted.connect(place, _SOON) as client:
            return ask(client), place.url
    except RouterUnavailableError:
        if wanted.url is not None:
            raise
        return None
    except CommandRejectedError as error:
        if wanted.url is not None:
            raise
        typer.echo(f"swarmc: the router at {place.url}: {error}", err=True)
        return None
