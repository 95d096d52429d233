"""Certified runs: each shard by 2f + 1 workers that fail apart, and whoever lies is named."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np

from ....errors import ArgumentError
from ..cluster.agent import pin_of
from ..codec import ValueEncodingError
from ..errors import OrchestrationError
from ..tasks import TaskState, new_id
from ..verify import Accusation, Attestation, CertificationError, Shard, ShardCertificate, certify
from ..verify.shard import shown_hashes
from .attestations import from_data
from .places import Finished, Place, WorkerInfo
from .running import (
    ClusterResult,
    RunOptions,
    ShardOutcome,
    key_after,
    read_outcome,
    shard_task,
    submit,
)
from .splitting import Plan, merge, split

_MOST_AT_ONCE = 32  # shards: each takes 2f + 2 threads
_LOOK = 0.5  # seconds between looks whether a worker is still there


class WorkerGoneError(OrchestrationError):
    """The worker that was to run a shard does not take tasks any more."""


@dataclass(frozen=True, slots=True)
class Certification:
    """How a run is certified.

    Args:
        f: how many workers may lie; 2f + 1 run each shard.
        keys: the public keys of workers by id, as whoever asks knows them: others run nothing.
            None: as the router says.
        patience: seconds to wait for a worker that is gone, or for enough of them to be there.
        at_once: shards that are certified at a time; None: as many as keep the workers busy.
        told: called with what is noticed of workers.
    """

    f: int = 1
    keys: Mapping[str, bytes] | None = None
    patience: float = 10.0
    at_once: int | None = None
    told: Callable[[Accusation], None] = lambda accusation: None


class RemoteReplica:
    """A worker as a :class:`~..verify.ShardReplica`, for one shard."""

    def __init__(
        self, place: Place, worker: WorkerInfo, plan: Plan, number: int, options: RunOptions,
        key: str, patience: float, stop: threading.Event,
    ) -> None:  # fmt: skip
        self.id, self.domain, self.public_key = worker.worker_id, worker.domain, worker.public_key
        self.outcome: ShardOutcome | None = None
        self.attestation: Attestation | None = None
        self._place, self._plan, self._number = place, plan, number
        self._options, self._key, self._patience = options, key, patience
        self._stop = stop

    def execute(self, shard: Shard) -> Attestation:
        """Have the worker run the shard and sign what came of it.

        Raises:
            ShardFailedError, WorkerGoneError: it did not; ArgumentError, ValueEncodingError: what
                it gave is nothing of the kind.
        """
        task_id, finished = self._run(self._key)
        while task_id is not None and finished.state is not TaskState.COMPLETED:  # of earlier
            task_id, finished = self._run(key_after(self._key, task_id))
        self.outcome = read_outcome(self._plan, self._number, finished)
        self.attestation = from_data(finished.result.get("attestation") or {})
        return self.attestation

    def _run(self, key: str) -> tuple[str | None, Finished]:
        """What came of its task; and the id of that, if it is one of an earlier run."""
        task = shard_task(
            self._plan, self._number, replace(self._options, retries=0), key, attest=True,
            requires=(pin_of(self.id),),
        )  # fmt: skip
        waiting = [task.id]
        try:
            waiting = submit(self._place, self._plan, [task])
            return waiting[0] if waiting[0] != task.id else None, self._wait(waiting)
        except BaseException:
            self._place.cancel(waiting, "nobody waits for it any more")
            raise

    def _wait(self, task_ids: list[str]) -> Finished:
        seen = time.monotonic()
        while True:
            found = self._place.finished(task_ids, _LOOK)
            if found:
                return found[task_ids[0]]
            if self._stop.is_set():
                raise WorkerGoneError("the run was given up")
            now = time.monotonic()
            if any(one.worker_id == self.id and one.usable for one in self._place.workers()):
                seen = now
            elif now - seen > self._patience:
                raise WorkerGoneError(f"it is gone since {now - seen:.0f} s")

    def says_what_it_signed(self) -> bool:
        """Whether the results that it gave are those whose hashes it has signed."""
        assert self.outcome is not None and self.attestation is not None
        types = self._plan.program.result_types(self._plan.run.entry_point)
        signed = [(ending, output, count) for ending, _, output, count in self.attestation.hashes]
        return list(shown_hashes(self.outcome.result, types)) == signed


class CertifiedRun:
    """One run, certified shard by shard.

    Args:
        place: it knows workers that sign.
    """

    def __init__(
        self, place: Place, plan: Plan, options: RunOptions, certification: Certification
    ) -> None:
        self._place, self._plan = place, plan
        self._options, self._how = options, certification
        self._key = options.key or new_id("run")
        self._changed = threading.Condition()  # guards the rest
        self._busy: Counter[str] = Counter()
        self._liars: set[str] = set()
        self._doubtful: set[str] = set()  # they gave other results than they signed
        self._done = 0
        self._missed: str | None = None  # what was told of workers that are waited for
        self._ended = threading.Event()

    def result(self) -> ClusterResult:
        """Run all of it.

        Raises:
            CertificationError: too few workers agree about a shard, or there are too few.
        """
        started = time.perf_counter()
        self._place.put_module(self._plan.run.module)
        numbers = range(len(self._plan.shards))
        pool = ThreadPoolExecutor(self._at_once(), "swarmc-certified")
        try:
            found = list(pool.map(self._certified, numbers))
        finally:
            self._ended.set()
            pool.shutdown(cancel_futures=True)
        took = (time.perf_counter() - started) * 1000
        outcomes = [outcome for outcome, _ in found]
        result = merge([outcome.result for outcome in outcomes], took)
        result.mail = None  # nobody signs how many messages there were
        certificates = [certificate for _, certificate in found]
        return ClusterResult.of(result, self._plan.shards, outcomes, certificates)

    def _at_once(self) -> int:
        """How many shards are certified at a time."""
        if self._how.at_once is not None:
            return max(1, self._how.at_once)
        room = sum(worker.capacity for worker in self._place.workers())
        return max(2, min(_MOST_AT_ONCE, room // (2 * self._how.f + 1) + 1))

    def _certified(self, number: int) -> tuple[ShardOutcome, ShardCertificate]:
        """A shard's outcome; other workers run it if too few have answered."""
        shard = self._plan.shards[number]
        avoided: set[str] = set()
        attempt = 0
        while True:
            replicas = self._choose(number, avoided, f"{self._key}/{attempt}")
            try:
                certificate = certify(
                    shard, replicas, self._how.f, known_liars=len(self._liars)
                )
            except CertificationError as error:
                self._notice(error.accusations)
                silent = {a.replica for a in error.accusations if a.statement is None}
                if not silent or self._ended.is_set():
                    raise
                avoided |= silent
                attempt += 1
                continue
            finally:
                self._give_back(replicas)
            self._judge(certificate)
            agreeing = [one for one in replicas if one.id in certificate.signatures]
            outcome = self._honest(agreeing)
            if outcome is not None:
                self._tell_progress()
                return outcome, certificate
            avoided |= {one.id for one in agreeing}
            attempt += 1

    def _choose(self, number: int, avoided: Collection[str], key: str) -> list[RemoteReplica]:
        """Workers for a shard, of distinct domains, those that have least to do first.

        Raises:
            CertificationError: there are not enough, and no more came in time.
        """
        end = time.monotonic() + self._how.patience
        waits = False
        while True:
            with self._changed:
                needed = max(self._how.f + 1, 2 * self._how.f + 1 - len(self._liars))
                usable = sorted(
                    (one for one in self._place.workers() if self._may(one, avoided)),
                    key=lambda one: (self._busy[one.worker_id] / max(1, one.capacity)),
                )
                apart: dict[str, WorkerInfo] = {}
                for worker in usable:
                    apart.setdefault(worker.domain, worker)
                chosen = list(apart.values())[:needed]
                if len(chosen) == needed:
                    self._busy.update(worker.worker_id for worker in chosen)
                    break
            if time.monotonic() >= end or self._ended.is_set():
                raise CertificationError(
                    f"f = {self._how.f} takes {needed} workers that sign, each of a domain of its"
                    f" own (start-worker --domain), and there are {len(chosen)}",
                    hint="`swarmc workers` lists them, `swarmc start-worker` starts more",
                )
            if not waits:
                waits = True
                self._tell_waiting(len(chosen), needed)
            self._ended.wait(_LOOK)
        return [
            RemoteReplica(
                self._place, worker, self._plan, number, self._options, key, self._how.patience,
                self._ended,
            )
            for worker in chosen
        ]  # fmt: skip

    def _tell_waiting(self, there: int, needed: int) -> None:
        """Say that too few workers are there: once, however many shards wait for them."""
        missed = (
            f"{there} of the {needed} workers that f={self._how.f} needs;"
            f" waiting {self._how.patience:g} s for more"
        )
        with self._changed:
            if missed == self._missed:
                return
            self._missed = missed
        self._options.notice(missed)

    def _may(self, worker: WorkerInfo, avoided: Collection[str]) -> bool:
        name, keys = worker.worker_id, self._how.keys
        known = keys is None or keys.get(name) == worker.public_key
        shunned = name in avoided or name in self._liars or name in self._doubtful
        return worker.usable and bool(worker.public_key) and known and not shunned

    def _give_back(self, replicas: Sequence[RemoteReplica]) -> None:
        with self._changed:
            self._busy.subtract(replica.id for replica in replicas)

    def _judge(self, certificate: ShardCertificate) -> None:
        """Tell of those who have signed something else, and have them excluded."""
        self._notice(certificate.accused)
        for accusation in certificate.accused:
            if accusation.statement is None:
                continue
            with self._changed:
                if accusation.replica in self._liars:
                    continue
                self._liars.add(accusation.replica)
            # Whether the router believes it or not: this run does without that worker.
            with contextlib.suppress(OrchestrationError):
                self._place.exclude(
                    accusation.replica, accusation.reason, certificate.to_json()
                )

    def _notice(self, accusations: Sequence[Accusation]) -> None:
        for accusation in accusations:
            self._how.told(accusation)

    def _honest(self, agreeing: Sequence[RemoteReplica]) -> ShardOutcome | None:
        """The outcome of one that gave what it signed."""
        shown = []
        for replica in agreeing:
            with contextlib.suppress(ArgumentError, ValueEncodingError):
                if replica.says_what_it_signed():
                    if self._options.memories is None:
                        return replica.outcome
                    shown.append(replica)
                    continue
            self._doubt(replica, "gave other results than it has signed")
        return self._common(shown)

    def _common(self, replicas: Sequence[RemoteReplica]) -> ShardOutcome | None:
        """The outcome of f + 1 that gave the same of the memories: of a part nobody signs."""
        of: dict[bytes | None, list[RemoteReplica]] = {}
        for replica in replicas:
            of.setdefault(self._memories(replica), []).append(replica)
        same = max(of.values(), key=len, default=[])
        if len(same) <= self._how.f or self._memories(same[0]) is None:
            return None
        for replica in replicas:
            if replica not in same:
                self._doubt(replica, "gave other memories than others")
        return same[0].outcome

    def _memories(self, replica: RemoteReplica) -> bytes | None:
        """What a replica gave of the memories; None: not what was asked for."""
        found = replica.outcome.memories if replica.outcome is not None else None
        length = self._options.memories[1] if self._options.memories is not None else 0
        if found is None or found.dtype != np.uint8 or found.shape[1:] != (length,):
            return None
        return found.tobytes()

    def _doubt(self, replica: RemoteReplica, reason: str) -> None:
        with self._changed:
            self._doubtful.add(replica.id)
        self._how.told(Accusation(replica.id, reason))

    def _tell_progress(self) -> None:
        with self._changed:
            self._done += 1
            self._options.progress(self._done, len(self._plan.shards))


def certify_run(
    place: Place, run: Shard | Plan, options: RunOptions | None = None,
    certification: Certification | None = None,
) -> ClusterResult:  # fmt: skip
    """Run all agents of a run, each shard by 2f + 1 workers, and certify what f + 1 agree upon.

    Raises:
        CertificationError: too few workers agree about a shard, or there are too few.
        UnsplittableError, ArgumentError, SwarmcError: as :func:`~.splitting.split`.
    """
    options = options or RunOptions()
    plan = run if isinstance(run, Plan) else split(run, options.shard_size)
    return CertifiedRun(place, plan, options, certification or Certification()).result()
