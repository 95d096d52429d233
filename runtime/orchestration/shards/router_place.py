"""Shards that a router's dispatcher runs: the place behind a connection, which may break."""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from ..codec import dumps, loads
from ..errors import OrchestrationError
from ..router.client import CommandRejectedError, RouterClient, RouterUnavailableError
from ..router.protocol import MAX_MESSAGE, Code, Nothing, Params
from ..router.protocol_tasks import (
    MAX_AWAY_MS,
    TaskCancel,
    TaskInfo,
    TaskSpec,
    TaskStatus,
    TaskSubmit,
)
from ..router.protocol_workers import MAX_MODULE, ModulePut, WorkerExclude
from ..tasks import Task, TaskState, new_id
from .modules import ModuleMissingError, digest_of
from .places import Finished, WorkerInfo

_LOG = logging.getLogger(__name__)
_BATCH = 4 << 20  # bytes of payloads in one message, unless one alone has more
_TASKS = 1000  # tasks in one message; the router takes ten times as many
_MOST = MAX_MESSAGE - (1 << 20)  # bytes of one payload
_STATUSES = 64  # tasks that one question is about
_WAIT = 0.25  # seconds that the router waits for a task, before it is asked for others, too
_PAUSE = 0.2  # seconds between attempts to reach a router that is away
_RUNS = frozenset({"ready", "busy"})


class NoWorkersError(OrchestrationError):
    """Nobody is there to run agents."""


class RouterPlace:
    """A router's dispatcher, with all workers that it has.

    A connection that is lost is made again: what was accepted goes on meanwhile, for as long as
    the patience lasts.

    Args:
        connect: makes a connection, as the same client. Raises RouterUnavailableError.
        patience: seconds for which a router that is away is waited for, and which it waits for us.
    """

    def __init__(self, connect: Callable[[], RouterClient], patience: float = 30.0) -> None:
        self._connect = connect
        self._patience = patience
        self._lock = threading.Lock()  # guards _client, while it is made, too
        self._client: RouterClient | None = connect()

    def close(self) -> None:
        """End the connection; may be called more than once."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close()

    def put_module(self, module: bytes) -> str:
        """Give the router a module, for workers. Raises OrchestrationError: it is too large."""
        if len(module) > MAX_MODULE:
            raise OrchestrationError(
                f"the module has {len(module):,} bytes: the router takes {MAX_MODULE:,}"
            )
        data = base64.b64encode(module).decode()
        digest: str = self._call("module_put", ModulePut(data=data)).digest
        if digest != digest_of(module):
            raise OrchestrationError("the router keeps another module than it was given")
        return digest

    def require_workers(self, notice: Callable[[str], None] = _LOG.warning) -> None:
        """Wait until somebody runs tasks.

        Args:
            notice: called if nobody does yet.

        Raises:
            NoWorkersError: nobody came.
        """
        end = time.monotonic() + self._patience
        waits = False
        while True:
            there = self._call("status", Nothing()).workers
            if there is None or there.idle + there.busy:
                return
            if time.monotonic() >= end:
                raise NoWorkersError(
                    "the router has no worker that could run agents",
                    hint="`swarmc workers` lists them, `swarmc start-worker` starts one",
                )
            if not waits:
                waits = True
                notice(f"the router has no worker; waiting {self._patience:g} s for one")
            time.sleep(_PAUSE)

    def submit(self, tasks: Sequence[Task]) -> list[str]:
        """Have tasks run; batch by batch, each accepted or refused as a whole.

        Raises:
            ModuleMissingError: the router has removed their module, and others meanwhile.
        """
        ids: list[str] = []
        away = round(min(self._patience * 1000, MAX_AWAY_MS))
        for batch in _batches(tasks):
            # Nobody takes the results if this process is killed: then they need not be made.
            submit = TaskSubmit(tasks=batch, while_connected_ms=away)
            try:
                ids += self._call("task_submit", submit).task_ids
            except CommandRejectedError as error:
                if error.code != Code.MODULE_MISSING:
                    raise
                raise ModuleMissingError(error.message) from error
        return ids

    def finished(self, task_ids: Sequence[str], timeout: float) -> dict[str, Finished]:
        """Those that are final; the first one is waited for."""
        found: dict[str, Finished] = {}
        end = time.monotonic() + timeout
        while task_ids and not found:
            left = end - time.monotonic()
            if left <= 0:
                break
            for first in range(0, len(task_ids), _STATUSES):
                some = list(task_ids[first : first + _STATUSES])
                if not first:
                    self._final(some[:1], min(left, _WAIT), found)
                    some = some[1:]
                self._final(some, 0.0, found)
        return found

    def _final(self, task_ids: list[str], wait: float, found: dict[str, Finished]) -> None:
        if not task_ids:
            return
        asked = TaskStatus(task_ids=task_ids, wait_ms=int(wait * 1000))
        try:
            infos: list[TaskInfo] = self._call("task_status", asked).tasks
        except CommandRejectedError:
            if len(task_ids) == 1:
                raise
            half = len(task_ids) // 2  # their results may be too much for one message
            self._final(task_ids[:half], 0.0, found)
            self._final(task_ids[half:], 0.0, found)
            return
        for info in infos:
            state = TaskState(info.state)
            if state.final:
                result = loads(bytes(info.result)) if isinstance(info.result, msgspec.Raw) else None
                found[info.task_id] = Finished(state, result, info.error, info.agent)

    def cancel(self, task_ids: Sequence[str], reason: str) -> None:
        """End those that are not final, if the router can be reached."""
        for first in range(0, len(task_ids), _STATUSES):
            some = list(task_ids[first : first + _STATUSES])
            try:
                self._call("task_cancel", TaskCancel(task_ids=some, reason=reason))
            except CommandRejectedError:  # one was not accepted
                for task_id in some:
                    with contextlib.suppress(CommandRejectedError):
                        self._call("task_cancel", TaskCancel(task_ids=[task_id], reason=reason))
            except RouterUnavailableError:
                return

    def workers(self) -> list[WorkerInfo]:
        """Those that run shards."""
        return [
            WorkerInfo(
                one.worker_id, one.domain or one.host or one.worker_id,
                bytes.fromhex(one.public_key or ""), one.capacity, one.state in _RUNS,
            )
            for one in self._call("worker_list", Nothing()).workers
            if "shard" in one.executors
        ]  # fmt: skip

    def exclude(self, worker_id: str, reason: str, evidence: str) -> None:
        """Ask the router to give a worker nothing more; it looks at the evidence.

        Raises:
            CommandRejectedError: it does not show that.
        """
        which = WorkerExclude(
            worker_id=worker_id, reason=reason[:1024], evidence=json.loads(evidence)
        )
        self._call("worker_exclude", which)

    def _call(self, method: str, params: Params) -> Any:
        """Ask the router, and again over another connection if one is lost.

        All that is asked here may be asked twice: tasks have keys.
        """
        end = time.monotonic() + self._patience
        while True:
            try:
                return self._connected().call(method, params)
            except RouterUnavailableError:
                if time.monotonic() >= end:
                    raise
                time.sleep(_PAUSE)

    def _connected(self) -> RouterClient:
        with self._lock:
            if self._client is None or self._client.gone:
                if self._client is not None:
                    self._client.close()
                    self._client = None
                self._client = self._connect()
            return self._client


def connector(
    url: str, token: str | None, certificate: Path | None
) -> Callable[[], RouterClient]:
    """What makes connections to a router, all of them those of one client."""
    instance = new_id("client")
    return lambda: RouterClient(url, token=token, certificate=certificate, instance=instance)


def _batches(tasks: Sequence[Task]) -> Iterator[list[TaskSpec]]:
    """Tasks as the protocol has them, as many at a time as fit a message well."""
    batch: list[TaskSpec] = []
    size = 0
    for task in tasks:
        payload = dumps(task.payload).encode()
        if len(payload) > _MOST:
            raise OrchestrationError(
                f"{task.name} has {len(payload):,} bytes of inputs: a message has {_MOST:,}",
                hint="use smaller shards",
            )
        if batch and (size + len(payload) > _BATCH or len(batch) >= _TASKS):
            yield batch
            batch, size = [], 0
        batch.append(_spec(task, payload))
        size += len(payload)
    if batch:
        yield batch


def _spec(task: Task, payload: bytes) -> TaskSpec:
    return TaskSpec(
        name=task.name, payload=msgspec.Raw(payload), executor=task.executor,
        requires=sorted(task.requires), resources=dict(task.resources), priority=task.priority,
        timeout_ms=max(1, int(task.timeout * 1000)), retries=task.retries,
        idempotency_key=task.idempotency_key, task_id=task.id,
    )  # fmt: skip
