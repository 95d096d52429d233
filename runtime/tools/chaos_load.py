"""A client that has tasks and workflows run all the time, and writes down what it was promised."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..orchestration.codec import dumps, loads
from ..orchestration.router.client import (
    CommandRejectedError,
    RouterClient,
    RouterUnavailableError,
)
from ..orchestration.router.protocol import Code, Params
from ..orchestration.router.protocol_tasks import (
    TaskInfo,
    TaskSpec,
    TaskStatus,
    TaskSubmit,
    WorkflowDeploy,
    WorkflowStatus,
    WorkflowWanted,
)
from .chaos_work import digest_of, parameters

PATIENCE = 180.0  #: seconds in which a router must answer, and everything must come to its end
_PAUSE = 0.1
_AT_ONCE = 40  # tasks that are not final
_WORKFLOWS = 3
_WAIT = 300  # milliseconds
_LONGEST = 400  # milliseconds of a task


@dataclass(slots=True)
class Record:
    """What clients were promised, and what they saw. Guarded by its lock."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    tasks: dict[str, Any] = field(default_factory=dict)  #: accepted: results that they must have
    seen: dict[str, Any] = field(default_factory=dict)  #: results of those that were seen final
    workflows: dict[str, dict[str, str]] = field(default_factory=dict)  #: by id: of symbols
    workflows_seen: dict[str, dict[str, str]] = field(default_factory=dict)
    shards: int = 0
    runs: int = 0
    reconnects: int = 0
    retried: int = 0  #: commands whose answer was lost
    slowest: float = 0.0  #: seconds from being accepted to being seen final
    accepted: dict[str, float] = field(default_factory=dict)  #: when; of those not seen final
    findings: list[str] = field(default_factory=list)

    def find(self, what: str) -> None:
        """Note something that must not be."""
        with self.lock:
            self.findings.append(what)

    def promised(self, task_id: str, result: Any) -> None:
        """A task was accepted."""
        with self.lock:
            self.tasks[task_id] = result
            self.accepted[task_id] = time.monotonic()

    def final(self, task_id: str, state: str, result: Any, error: str | None) -> None:
        """A task was seen to be final."""
        with self.lock:
            expected = self.tasks[task_id]
            took = time.monotonic() - self.accepted.pop(task_id)
            self.slowest = max(self.slowest, took)
            self.seen[task_id] = result
            if state != "completed" or result != expected:
                self.findings.append(f"{task_id} is {state}: {result!r}, {error}")


class Caller:
    """Asks the router until it answers, over as many connections as that takes."""

    def __init__(self, connect: Callable[[], RouterClient], record: Record) -> None:
        self._connect = connect
        self._record = record
        self._client: RouterClient | None = None

    def call(self, method: str, params: Params, lost: Callable[[], Any] | None = None) -> Any:
        """Ask, and ask again if the answer was lost.

        Args:
            lost: finds out what came of it when the answer was lost; None: ask again.

        Raises:
            CommandRejectedError: it is refused. TimeoutError: nobody answers.
        """
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                if self._client is None:
                    self._client = self._connect()
                return self._client.call(method, params)
            except RouterUnavailableError:
                asked = self._client is not None
                self.close()
                with self._record.lock:
                    self._record.reconnects += 1
                    self._record.retried += asked
                time.sleep(_PAUSE)
                if asked and lost is not None and (found := lost()) is not None:
                    return found
            except CommandRejectedError as error:
                if error.code != Code.INTERNAL:
                    raise
                time.sleep(_PAUSE)  # it is about to end
        raise TimeoutError(f"nobody answers {method} for {PATIENCE:g} s")

    def close(self) -> None:
        """Forget the connection."""
        if self._client is not None:
            self._client.close()
        self._client = None


class Load:
    """Something that goes on until it is told to stop, and then until all of it has ended."""

    def __init__(
        self, name: str, connect: Callable[[], RouterClient], record: Record, seed: int
    ) -> None:
        self.caller = Caller(connect, record)
        self.record = record
        self.lots = random.Random(f"{name} {seed}")
        self.name = name
        self.stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"swarmc-{name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it goes on."""
        return self._thread.is_alive()

    def join(self) -> None:
        """Stop, and wait until what was accepted is final."""
        self.stopping.set()
        self._thread.join(2 * PATIENCE)
        if self._thread.is_alive():
            self.record.find(f"{self.name}: it does not come to an end")

    def _run(self) -> None:
        try:
            self.work()
        except Exception as error:
            self.record.find(f"{self.name}: {type(error).__name__}: {error}")
        finally:
            self.caller.close()

    def work(self) -> None:
        """Until :attr:`stopping` and the end of all that was begun."""
        raise NotImplementedError


class TaskLoad(Load):
    """Tasks, alone and in chains."""

    def work(self) -> None:
        waiting: list[str] = []
        number = 0
        ended: float | None = None
        while waiting or not self.stopping.is_set():
            if len(waiting) < _AT_ONCE and not self.stopping.is_set():
                batch = self._batch(number)
                number += len(batch)
                waiting += self._submit(batch)
            waiting = self._look(waiting)
            if self.stopping.is_set():
                ended = ended or time.monotonic() + PATIENCE
                if time.monotonic() > ended:
                    self.record.find(f"{len(waiting)} tasks are not final: {waiting[:5]}")
                    return

    def _batch(self, first: int) -> list[tuple[TaskSpec, str]]:
        """Some tasks, of which some need others of them; and the results that they must have."""
        found: list[tuple[TaskSpec, str]] = []
        for number in range(first, first + self.lots.randrange(1, 7)):
            before = [one for one in found if self.lots.random() < 0.3]
            payload = {"parameters": parameters(number, self.lots.randrange(_LONGEST))}
            spec = TaskSpec(
                name=f"task {number}", executor="internal", task_id=f"chaos-{number}",
                payload=msgspec.Raw(dumps(payload).encode()), idempotency_key=f"chaos {number}",
                dependencies=[str(one.task_id) for one, _ in before],
                priority=self.lots.randrange(3),
            )  # fmt: skip
            found.append((spec, digest_of(number, [result for _, result in before])))
        return found

    def _submit(self, batch: Sequence[tuple[TaskSpec, str]]) -> list[str]:
        specs = [spec for spec, _ in batch]
        ids: list[str] = self.caller.call("task_submit", TaskSubmit(tasks=specs)).task_ids
        if ids != [spec.task_id for spec in specs]:
            self.record.find(f"{specs} got other ids: {ids}")
        for task_id, (_, result) in zip(ids, batch, strict=True):
            self.record.promised(task_id, result)
        return ids

    def _look(self, waiting: Sequence[str]) -> list[str]:
        """Wait a little for some tasks; those that are not final."""
        asked = waiting[:8]
        infos: list[TaskInfo] = self.caller.call(
            "task_status", TaskStatus(task_ids=list(asked), wait_ms=_WAIT)
        ).tasks
        done = set()
        for info in infos:
            if info.state in ("completed", "failed", "cancelled"):
                done.add(info.task_id)
                self.record.final(info.task_id, info.state, value_of(info.result), info.error)
        return [task_id for task_id in (*waiting[8:], *asked) if task_id not in done]


def value_of(result: Any) -> Any:
    """The value of a result that may not be there."""
    return loads(bytes(result)) if isinstance(result, msgspec.Raw) else None


class WorkflowLoad(Load):
    """Workflows of four symbols: two, one that needs both, and one after that."""

    def work(self) -> None:
        waiting: list[str] = []
        number = 0
        ended: float | None = None
        while waiting or not self.stopping.is_set():
            if len(waiting) < _WORKFLOWS and not self.stopping.is_set():
                waiting.append(self._deploy(number))
                number += 1
            waiting = [run for run in waiting if not self._over(run)]
            if self.stopping.is_set():
                ended = ended or time.monotonic() + PATIENCE
                if time.monotonic() > ended:
                    self.record.find(f"{len(waiting)} workflows have not ended: {waiting[:5]}")
                    return

    def _deploy(self, number: int) -> str:
        needs: Mapping[str, tuple[str, ...]] = {"a": (), "b": (), "c": ("a", "b"), "d": ("c",)}
        results: dict[str, str] = {}
        symbols = []
        for place, (name, before) in enumerate(needs.items()):
            value = 10 * number + place
            results[name] = digest_of(value, [results[other] for other in before])
            symbols.append({
                "name": name, "type": "action", "dependencies": list(before),
                "parameters": parameters(value, self.lots.randrange(_LONGEST)),
            })  # fmt: skip
        manifest = {"name": f"chaos-{number}", "symbols": symbols}
        deploy = WorkflowDeploy(manifest=msgspec.Raw(msgspec.json.encode(manifest)))
        deployed = self.caller.call("workflow_deploy", deploy, lambda: self._find(manifest["name"]))
        run: str = deployed.workflow_id
        with self.record.lock:
            self.record.workflows[run] = results
        return run

    def _find(self, name: Any) -> Any:
        """The run of a manifest whose answer was lost, if it was accepted."""
        runs = self.caller.call("workflow_list", WorkflowWanted(limit=1000)).workflows
        return next((run for run in runs if run.name == name), None)

    def _over(self, run: str) -> bool:
        wanted = WorkflowStatus(workflow_id=run, results=True, wait_ms=_WAIT)
        found = self.caller.call("workflow_status", wanted)
        if found.state in ("running", "rolling_back"):
            return False
        results = {task.symbol: value_of(task.result) for task in found.tasks}
        with self.record.lock:
            self.record.workflows_seen[run] = results
            if found.state != "completed" or results != self.record.workflows[run]:
                self.record.findings.append(f"{run} is {found.state}: {found.error}, {results}")
        return True
