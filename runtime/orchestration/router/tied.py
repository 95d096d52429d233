"""Tasks that are tied to a client: when it has been away for too long, they are cancelled."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import OrchestrationError, UnknownTaskError
from ..tasks import TaskState, new_id

if TYPE_CHECKING:
    from ..dispatcher import Dispatcher
    from .core import Router

_LOG = logging.getLogger(__name__)
_PREFIX = "router/tied/"  # of keys in the store's state
_AGAIN = 1.0  # seconds after which what could not be cancelled is tried again, at the least


@dataclass(eq=False, slots=True)
class Tie:
    """Tasks of one request.

    Args:
        patience: seconds that the client may be away.
        ids: of those that are not final.
        since: before this time it is not cancelled, however long its client has been away.
        accepted: whether they are tasks; before, nothing of them is cancelled.
    """

    key: str
    client: str
    patience: float
    ids: set[str]
    since: float = 0.0
    accepted: bool = False

    def to_data(self) -> dict[str, Any]:
        """As the store keeps it."""
        return {"client": self.client, "patience": self.patience, "ids": sorted(self.ids)}


class TiedTasks:
    """All ties, durable. Lives in the router's event loop."""

    router: Router  #: known from :meth:`open` on

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._dispatcher = dispatcher
        self._ties: set[Tie] = set()
        self._of: dict[str, set[Tie]] = {}  # by the ids of their tasks
        # When clients were there last: the same for all that is tied to one, which ends together.
        self._seen: dict[str, float] = {}
        self._storing = asyncio.Lock()  # else what a tie was before may be stored last

    async def open(self, router: Router) -> None:
        """Read what an earlier process left: its clients may come back as if they had been here."""
        self.router = router
        for key, data, ids in await router.call(self._left):
            tie = Tie(key, data["client"], data["patience"], set(), accepted=True)
            self._seen[tie.client] = router.clock()
            self._add(tie, ids)

    def _left(self) -> list[tuple[str, dict[str, Any], list[str]]]:
        store = self._dispatcher.store
        found = []
        for key in store.state_keys():
            if key.startswith(_PREFIX):
                data = store.get_state(key)
                ids = [task_id for task_id in data["ids"] if not self._final(task_id)]
                if ids:
                    found.append((key, data, ids))
                else:
                    store.delete_state(key)
        return found

    def _final(self, task_id: str) -> bool:
        try:
            return self._dispatcher.scheduler.record(task_id).state.final
        except UnknownTaskError:
            return True

    def _add(self, tie: Tie, ids: Iterable[str]) -> None:
        self._ties.add(tie)
        for task_id in ids:
            tie.ids.add(task_id)
            self._of.setdefault(task_id, set()).add(tie)

    def _remove(self, tie: Tie, task_id: str) -> None:
        tie.ids.discard(task_id)
        others = self._of.get(task_id, set())
        others.discard(tie)
        if not others:
            self._of.pop(task_id, None)
        if not tie.ids and tie.accepted:
            self._forget(tie)

    def _forget(self, tie: Tie) -> None:
        if tie in self._ties:
            self._ties.discard(tie)
            self.router.spawn(self._store(tie))

    async def _store(self, tie: Tie) -> None:
        """Have the store know what has become of a tie. If that fails, this process knows it."""
        store = self._dispatcher.store
        try:
            async with self._storing:
                if tie in self._ties:
                    await self.router.call(store.set_state, tie.key, tie.to_data())
                else:
                    await self.router.call(store.delete_state, tie.key)
        except OrchestrationError as error:
            _LOG.warning("%s: %s", tie.key, error)

    async def tie(self, client: str, patience: float, ids: Sequence[str]) -> Tie:
        """Tie tasks that are about to be submitted; durable when this returns."""
        tie = Tie(_PREFIX + new_id("tie"), client, patience, set())
        self._seen[client] = self.router.clock()
        self._add(tie, ids)
        try:
            await self.router.call(self._dispatcher.store.set_state, tie.key, tie.to_data())
        except BaseException:
            self.drop(tie)
            raise
        return tie

    def drop(self, tie: Tie) -> None:
        """Its tasks were not accepted."""
        tie.accepted = True
        for task_id in [*tie.ids]:
            self._remove(tie, task_id)
        self._forget(tie)

    async def accept(self, tie: Tie | None, ids: Collection[str]) -> None:
        """These were accepted, or are earlier ones with the same idempotency keys.

        Earlier ones are tied to both clients; without a tie, somebody wants them unconditionally.
        """
        if tie is None:
            changed: set[Tie] = set()
            for task_id in ids:
                for other in [*self._of.get(task_id, ())]:
                    self._remove(other, task_id)
                    changed.add(other)
            for other in changed:
                await self._store(other)
            return
        earlier = [task_id for task_id in ids if task_id not in tie.ids and task_id in self._of]
        for task_id in tie.ids - {*ids}:  # an earlier one came in its place
            self._remove(tie, task_id)
        self._add(tie, earlier)
        if earlier:
            await self._store(tie)
        tie.accepted = True
        if not tie.ids:
            self._forget(tie)

    def final(self, task_id: str) -> None:
        """A task has ended."""
        for tie in [*self._of.get(task_id, ())]:
            self._remove(tie, task_id)

    def sweep(self) -> None:
        """Cancel what is tied to clients that have been away for too long."""
        if not self._ties:
            self._seen.clear()
            return
        now = self.router.clock()
        present = {connection.client for connection in self.router.events.connections}
        clients = {tie.client for tie in self._ties}
        self._seen = {
            client: now if client in present else self._seen[client] for client in clients
        }
        due = {
            tie for tie in self._ties
            if tie.accepted and tie.client not in present
            and now - max(tie.since, self._seen[tie.client]) >= tie.patience
        }  # fmt: skip
        for tie in due:
            tie.since = now + _AGAIN
        if due:
            self.router.spawn(self._cancel(due))

    async def _cancel(self, due: set[Tie]) -> None:
        """Cancel what no other tie holds."""
        reasons = {}
        for tie in due:
            for task_id in [*tie.ids]:
                if self._of[task_id] <= due:
                    reasons[task_id] = f"its client has been away for {tie.patience:g} s"
                else:
                    self._remove(tie, task_id)
        try:
            await self.router.call(self._end, reasons)
        except OrchestrationError as error:
            _LOG.warning("what is tied to a client that is gone was not cancelled: %s", error)

    def _end(self, reasons: Mapping[str, str]) -> None:
        """Cancel tasks, those that run last: else others of them would begin in their place."""
        scheduler = self._dispatcher.scheduler
        running = []
        for task_id, reason in reasons.items():
            with contextlib.suppress(UnknownTaskError):  # it was final, and removed
                if scheduler.record(task_id).state is TaskState.RUNNING:
                    running.append(task_id)
                else:
                    scheduler.cancel(task_id, reason)
        for task_id in running:
            with contextlib.suppress(UnknownTaskError):
                scheduler.cancel(task_id, reasons[task_id])
