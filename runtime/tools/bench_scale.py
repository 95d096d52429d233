"""What a worker, a swarm, a client and a task cost one router.

``python -m swarmc.runtime.tools.bench_scale`` measures
the constants of docs/scale.md: processor time and memory of the router's process, bytes of its
store. The swarms are on paper; their workers are connections of this process, which beat.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from ..orchestration.agents import AgentRegistry
from ..orchestration.router.protocol import MAX_MESSAGE, PROTOCOL
from ..orchestration.scheduler import Scheduler
from ..orchestration.store import Store
from ..orchestration.tasks import Task
from .faults import Process

_BEAT = b'{"jsonrpc":"2.0","method":"heartbeat"}'
_WAIT = 120.0  # seconds; only something broken takes so long


class Reading:
    """Processor time and memory of a process, from one moment to another."""

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._begun = self._now()

    def _now(self) -> tuple[float, int]:
        return sum(self._process.cpu_times()[:2]), self._process.memory_info().rss

    def processor(self) -> float:
        """Seconds since then."""
        return self._now()[0] - self._begun[0]

    def memory(self) -> int:
        """Bytes more than then."""
        return self._now()[1] - self._begun[1]


async def ask(client: ClientConnection, method: str, **params: object) -> Any:
    """A request and its result."""
    await client.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    return msgspec.json.decode(await client.recv())["result"]


async def opened(url: str, **hello: object) -> ClientConnection:
    """A connection that has said hello."""
    client = await connect(url, max_size=MAX_MESSAGE, compression=None, ping_interval=None)
    await ask(client, "hello", protocol=PROTOCOL, **hello)
    return client


async def measure_router(
    router: Process, swarms: int, clients: int, workers: int, seconds: float
) -> dict[str, float]:
    """What swarms, clients and workers cost."""
    url = f"ws://127.0.0.1:{router.facts['port']}/ws"
    process = psutil.Process(router.pid)
    client = await opened(url)
    found: dict[str, float] = {}

    reading = Reading(process)
    ids = [(await ask(client, "swarm_launch", nodes=4))["swarm_id"] for _ in range(swarms)]
    found["swarm_launch_ms"] = reading.processor() / swarms * 1e3
    found["swarm_kib"] = reading.memory() / swarms / 1024
    reading = Reading(process)
    for _ in range(20):
        await ask(client, "swarm_list")
    found["swarm_list_ms_per_1000"] = reading.processor() / 20 / swarms * 1e6

    reading = Reading(process)
    listening = [await opened(url) for _ in range(clients)]
    found["client_kib"] = reading.memory() / clients / 1024
    for one in listening:
        await one.close()

    reading = Reading(process)
    await asyncio.sleep(seconds)
    idle = reading.processor() / seconds
    beating = await _workers(url, router.folder, ids, workers)
    reading = Reading(process)
    beats = await _beat(beating, seconds)
    found["beat_us"] = (reading.processor() - idle * seconds) / beats * 1e6
    found["idle_ms_per_second"] = idle * 1e3
    return found


async def _workers(
    url: str, folder: Path, swarms: list[str], count: int
) -> list[ClientConnection]:
    """Connections of workers, four of each swarm."""
    with Store.open_readonly(folder / "swarm-state.db") as store:
        tokens = {swarm: store.get_state(f"swarm/{swarm}")["token"] for swarm in swarms}
    places = [(swarm, node) for swarm in swarms for node in range(4)][:count]
    return [
        await opened(url, role="worker", swarm_id=swarm, node=node, token=tokens[swarm])
        for swarm, node in places
    ]


async def _beat(workers: list[ClientConnection], seconds: float) -> int:
    """Every worker beats ten times a second; how many beats those were."""
    end, beats = time.monotonic() + seconds, 0
    while time.monotonic() < end:
        due = time.monotonic() + 0.1
        for worker in workers:
            with suppress(ConnectionClosed):  # missed, because this machine is slow
                await worker.send(_BEAT, text=True)
                beats += 1
        await asyncio.sleep(max(0.0, due - time.monotonic()))
    return beats


def measure_store(folder: Path, tasks: int) -> dict[str, float]:
    """Bytes of a task, and how long the next process takes to take over those that wait."""
    path = folder / "tasks.db"
    with Store(path) as store:
        registry = AgentRegistry(store)
        with Scheduler(registry, store) as scheduler:
            for first in range(0, tasks, 1000):
                scheduler.submit_many(
                    [Task("t", {"number": n}) for n in range(first, min(first + 1000, tasks))],
                    timeout=_WAIT,
                )
    size = path.stat().st_size
    with Store(path) as store, Scheduler(AgentRegistry(store), store) as scheduler:
        reading = Reading(psutil.Process())
        scheduler.recover()
        took = reading.processor()
    return {"waiting_task_bytes": size / tasks, "recover_ms_per_1000": took / tasks * 1e6}


def measure(scale: float) -> dict[str, float]:
    """All figures."""
    def number(most: int) -> int:
        return max(4, int(most * scale))

    with tempfile.TemporaryDirectory(prefix="swarmc-bench-") as name:
        folder = Path(name)
        command = [sys.executable, "-m", "swarmc.runtime.tools.router_process", name]
        with Process("router", command, folder, announces=True) as router:
            router.start()
            found = asyncio.run(measure_router(
                router, number(1000), number(200), number(400), 5.0 * scale
            ))  # fmt: skip
            assert router.terminate() == 0
        return found | measure_store(folder, number(9000))


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help="how much of each (1.0)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    found = measure(options.scale)
    if options.json:
        print(json.dumps(found, indent=2))
        return
    for name, value in found.items():
        print(f"{name:24} {value:12,.2f}")


if __name__ == "__main__":
    main()
