"""How a router bears many swarms and many clients: ``python -m swarmc.runtime.tools.bench_router``.

The router runs in a process of its own, on loopback; clients share another one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import statistics
import tempfile
import time
from multiprocessing.connection import Connection as Pipe
from pathlib import Path

import msgspec
from websockets.asyncio.client import ClientConnection, connect

from ..orchestration.router.protocol import MAX_MESSAGE, PROTOCOL
from ..orchestration.router.server import Listen, RouterServer
from ..orchestration.store import Store
from .router_process import paper_router

_TICK = 0.01  # seconds between bursts of events


def serve(pipe: Pipe, rate: int, seconds: float) -> None:
    """The router's process: sends its port, then, when told to, so many events a second."""

    async def main(store: Store) -> None:
        router = paper_router(store)
        server = RouterServer(router, Listen(port=0))
        serving = asyncio.ensure_future(server.run(lambda: pipe.send(server.port)))
        await asyncio.to_thread(pipe.recv)
        begun, sent = time.perf_counter(), 0
        while sent < rate * seconds:
            due = min(int(rate * (time.perf_counter() - begun)) + 1, int(rate * seconds))
            for _ in range(due - sent):
                router.events.emit("usage", swarm_id="s", node=0, turn_id="t", data={"n": sent})
            sent = due
            await asyncio.sleep(_TICK)
        pipe.send(time.perf_counter() - begun)
        await asyncio.to_thread(pipe.recv)
        server.stop()
        await serving

    with (
        tempfile.TemporaryDirectory(prefix="swarmc-bench-") as folder,
        Store(Path(folder) / "state.db") as store,
    ):
        asyncio.run(main(store))


async def ask(client: ClientConnection, method: str, **params: object) -> object:
    """A request and its answer, of a client that gets no events."""
    await client.send(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
    return msgspec.json.decode(await client.recv())


async def measure_lists(url: str, swarms: int, repeats: int) -> dict[str, float]:
    """Milliseconds that a launch and a list of so many swarms take."""
    async with connect(url, max_size=MAX_MESSAGE, compression=None) as client:
        await ask(client, "hello", protocol=PROTOCOL)
        begun = time.perf_counter()
        for number in range(swarms):
            await ask(client, "swarm_launch", nodes=4, name=f"bench {number}")
        launched = (time.perf_counter() - begun) / swarms
        lists = []
        for _ in range(repeats):
            begun = time.perf_counter()
            answer = await ask(client, "swarm_list")
            lists.append(time.perf_counter() - begun)
            assert isinstance(answer, dict) and len(answer["result"]["swarms"]) == swarms
    return {
        "launch_ms": launched * 1e3, "list_p50_ms": statistics.median(lists) * 1e3,
        "list_max_ms": max(lists) * 1e3,
    }  # fmt: skip


async def hear(url: str, count: int, ready: asyncio.Semaphore) -> tuple[int, int]:
    """Events that a client hears until it has so many, and how many it missed."""
    async with connect(url, max_size=MAX_MESSAGE, compression=None) as client:
        await ask(client, "hello", protocol=PROTOCOL)
        await ask(client, "subscribe")
        ready.release()
        heard = missed = last = 0
        while heard + missed < count:
            found = msgspec.json.decode(await asyncio.wait_for(client.recv(), 60))
            for message in found if isinstance(found, list) else [found]:
                seq = message["params"]["seq"]
                missed += seq - last - 1 if last else 0
                last = seq
                heard += 1
    return heard, missed


async def measure(
    pipe: Pipe, swarms: int, clients: int, rate: int, seconds: float
) -> dict[str, float]:
    """All figures."""
    url = f"ws://127.0.0.1:{pipe.recv()}/ws"
    found = await measure_lists(url, swarms, 20)
    ready = asyncio.Semaphore(0)
    count = int(rate * seconds)
    hearing = [asyncio.ensure_future(hear(url, count, ready)) for _ in range(clients)]
    for _ in range(clients):
        await ready.acquire()
    begun = time.perf_counter()
    pipe.send("go")
    results = await asyncio.gather(*hearing)
    took = time.perf_counter() - begun
    found |= {
        "clients": clients, "events_sent": count, "events_heard": sum(h for h, _ in results),
        "events_missed": sum(m for _, m in results), "events_per_second": count / took,
        "sending_s": pipe.recv(), "hearing_s": took,
    }  # fmt: skip
    pipe.send("stop")
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--swarms", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--rate", type=int, default=1000, help="events a second (1000)")
    parser.add_argument("--seconds", type=float, default=10.0)
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, options.rate, options.seconds))
    process.start()
    try:
        found = asyncio.run(
            measure(ours, options.swarms, options.clients, options.rate, options.seconds)
        )
    finally:
        process.join(10)
        process.kill()
    for name, value in found.items():
        print(f"{name:18} {value:12,.1f}")


if __name__ == "__main__":
    main()
