"""``Cluster``: one run of many agents on all workers of a router, as if it were one dispatch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

from ....errors import ArgumentError
from ..graph import suggestion
from ..shards.certified import Certification, certify_run
from ..shards.places import WorkerInfo
from ..shards.running import ClusterResult, RunOptions, run_shards
from ..shards.splitting import split
from ..verify import Accusation, Shard

DEFAULT_URL = "ws://127.0.0.1:8080"

_OF_RUN = frozenset(field.name for field in fields(Shard)) - {"module", "agents", "first"}
_OF_RUNNING = frozenset(field.name for field in fields(RunOptions))


class Cluster:
    """A connection to a router whose workers run agents. May be used from several threads.

    >>> with Cluster("ws://127.0.0.1:8080") as cluster:  # doctest: +SKIP
    ...     result = cluster.run("agent.wasm", agents=100_000, args=rows, fuel=10**6)

    Args:
        url: ``ws://HOST:PORT`` or ``wss://HOST:PORT``.
        token: what the router asks for.
        certificate: file with the certificate to trust, for a router with its own.
        patience: seconds for which a router that is away is waited for; runs go on meanwhile.

    Raises:
        RouterUnavailableError: nobody is there.
        CommandRejectedError: the router does not want us.
    """

    def __init__(
        self, url: str = DEFAULT_URL, *, token: str | None = None,
        certificate: str | os.PathLike[str] | None = None, patience: float = 30.0,
    ) -> None:  # fmt: skip
        from ..shards.router_place import RouterPlace, connector

        trusted = None if certificate is None else Path(certificate)
        self._place = RouterPlace(connector(url, token, trusted), patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection; may be called more than once."""
        self._place.close()

    def workers(self) -> list[WorkerInfo]:
        """Who runs shards."""
        return self._place.workers()

    def run(
        self,
        module: str | os.PathLike[str] | bytes,
        *,
        agents: int = 1,
        verify: str | None = None,
        f: int = 1,
        keys: Mapping[str, bytes] | None = None,
        told: Callable[[Accusation], None] = lambda accusation: None,
        **options: Any,
    ) -> ClusterResult:
        """Run agents, and give what one dispatch of them would give, bit for bit.

        If this is interrupted, what has not run is cancelled.

        Args:
            module: a file, or its bytes.
            verify: ``bft`` has 2f + 1 workers of distinct domains run each shard, and the result
                has the certificates of what f + 1 of them signed.
            f: how many workers may lie.
            keys: the workers' public keys, as you know them; None: as the router says.
            told: called with what is noticed of workers.
            options: ``entry_point args memory stdin argv env fuel seed clock max_memory
                output_size heap call_depth missing_imports`` of :class:`~..verify.Shard`, and
                ``shard_size memories at_once timeout retries requires priority key progress
                notice`` of :class:`~..shards.RunOptions`.

        Raises:
            ShardFailedError: a shard failed.
            NoWorkersError: nobody is there to run them.
            CertificationError: too few workers agree, or there are too few.
            RouterUnavailableError: the router was away for too long.
            SwarmcError: the module is malformed or invalid, or an option is wrong.
        """
        if verify not in (None, "bft"):
            raise ArgumentError(f"verify is 'bft' or None, not {verify!r}")
        run, how = self._run_of(module, agents, options)
        plan = split(run, how.shard_size)
        if verify is None:
            self._place.require_workers(how.notice)
            return run_shards(self._place, plan, how)
        return certify_run(self._place, plan, how, Certification(f, keys, told=told))

    @staticmethod
    def _run_of(
        module: str | os.PathLike[str] | bytes, agents: int, options: Mapping[str, Any]
    ) -> tuple[Shard, RunOptions]:
        for name in options:
            if name not in _OF_RUN and name not in _OF_RUNNING:
                known = suggestion(name, _OF_RUN | _OF_RUNNING)
                raise ArgumentError(f"runs have no option {name!r}{known}")
        data = module if isinstance(module, bytes) else Path(module).read_bytes()
        run = Shard(data, agents, **{k: v for k, v in options.items() if k in _OF_RUN})
        return run, RunOptions(**{k: v for k, v in options.items() if k in _OF_RUNNING})
