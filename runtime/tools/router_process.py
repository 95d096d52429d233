"""A router in a process of its own whose swarms are on paper, for those who try and measure it.

``python -m swarmc.runtime.tools.router_process FOLDER`` writes a line of JSON with its ports when
it listens, and ends on SIGTERM. It asks for the token in FOLDER/token, if there is one.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from ..orchestration.dispatcher import Dispatcher, create_dispatcher
from ..orchestration.providers import ClusterProvider, Job, JobSpec, JobState, JobStatus
from ..orchestration.router.core import Router
from ..orchestration.router.desk import Desk
from ..orchestration.router.hosting import desks_of
from ..orchestration.router.jobs import ProviderCluster
from ..orchestration.router.server import Listen, RouterServer
from ..orchestration.router.swarms import RouterConfig
from ..orchestration.store import Store


class NoNodes:
    """A provider that starts nothing."""

    name = "none"
    settling = 0.0

    def submit(self, spec: JobSpec) -> Job:
        """A job on paper."""
        return Job(f"job-{spec.swarm_id}", spec.swarm_id, spec.nodes, "runs", "none", "1", 0.0)

    def status(self, job_id: str) -> JobStatus:
        """It runs."""
        return JobStatus(job_id, JobState.RUNNING)

    def statuses(self, job_ids: Sequence[str]) -> dict[str, JobStatus]:
        """They run."""
        return {job_id: self.status(job_id) for job_id in job_ids}

    def cancel(self, job_id: str) -> None:
        """Nothing to end."""

    def adopt(self, swarm_id: str) -> Job | None:
        """Nothing to find."""
        return None

    def jobs(self) -> Sequence[Job]:
        """None."""
        return ()

    def close(self) -> None:
        """Nothing to free."""


def paper_router(
    store: Store, token: str | None = None, desks: Sequence[Desk] = ()
) -> Router:  # fmt: skip
    """A router whose swarms are on paper."""
    provider: ClusterProvider = NoNodes()  # type: ignore[assignment]
    config = RouterConfig(module="none.wasm", token=token, command=("worker",))
    router = Router(store, ProviderCluster(provider), config, desks=desks)
    router.address = "nowhere"
    return router


async def _serve(dispatcher: Dispatcher, token: str | None) -> None:
    router = paper_router(dispatcher.store, token, desks_of(dispatcher))
    router.recover()
    server = RouterServer(router, Listen(port=0, tcp_port=0))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, server.stop)

    def ready() -> None:
        print(json.dumps({"port": server.port, "tcp_port": server.tcp_port}), flush=True)

    await server.run(ready)


def main() -> None:
    """The command."""
    folder = Path(sys.argv[1])
    token = folder / "token"
    with create_dispatcher({"state_db_path": str(folder / "swarm-state.db")}).open() as dispatcher:
        asyncio.run(_serve(dispatcher, token.read_text() if token.is_file() else None))


if __name__ == "__main__":
    main()
