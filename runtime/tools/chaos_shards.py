"""Runs of agents over all workers, whose results must be those of one undisturbed dispatch."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ..manager import SwarmManager
from ..orchestration.cluster.client import Cluster
from ..orchestration.router.client import RouterClient, RouterUnavailableError
from .chaos_load import PATIENCE, Load, Record

_MODULE = Path(__file__).parents[2] / "corpus" / "lib.wasm"
_AGENTS = 600
_SHARD = 50
_PAUSE = 0.2  # seconds between attempts to connect


class ShardLoad(Load):
    """One run after the other, each of twelve shards."""

    def __init__(
        self, url: str, token: str, connect: Callable[[], RouterClient], record: Record, seed: int
    ) -> None:
        super().__init__("shards", connect, record, seed)
        self._url = url
        self._token = token

    def work(self) -> None:
        module = _MODULE.read_bytes()
        numbers = [(self.lots.randrange(20),) for _ in range(_AGENTS)]
        with SwarmManager.from_wasm(module, max_agents=_AGENTS) as swarm:
            swarm.spawn_agents(_AGENTS)
            expected = swarm.dispatch(entry_point="fib", args=numbers).results_array()
        with self._cluster() as cluster:
            while True:  # once at least, however long it took to get here
                result = cluster.run(
                    module, agents=_AGENTS, shard_size=_SHARD, entry_point="fib", args=numbers
                )
                with self.record.lock:
                    self.record.runs += 1
                    self.record.shards += len(result.shards)
                if not np.array_equal(result.results_array(), expected):
                    self.record.find("a run over workers gave other results than one dispatch")
                if self.stopping.is_set():
                    return

    def _cluster(self) -> Cluster:
        """A connection, as soon as the router is there. Raises RouterUnavailableError."""
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return Cluster(self._url, token=self._token, patience=PATIENCE)
            except RouterUnavailableError:
                if time.monotonic() > end:
                    raise
                time.sleep(_PAUSE)
