"""Frames that mean harm, sent to a router by the hundred thousand.

``python -m swarmc.runtime.tools.fuzz_router --frames 300000 --seed 1``. The router is a process of
its own. Peers who must not do anything, and some who may, say everything that there is to be said
wrongly; meanwhile a client asks for what is right. It must be answered, nothing else may have an
effect, and the router must neither end nor grow.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import secrets
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psutil
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from ..orchestration.router.protocol import MAX_MESSAGE, PROTOCOL
from ..orchestration.store import Store
from .faults import Process
from .fuzz_peers import MARK, PATIENCE, LineCarrier, Peer, Scene, Stance, Tally, WebSocketCarrier
from .fuzz_workers import HONEST, HOSTILE, HonestWorker

_PAUSE = 0.1  # seconds between what the good client asks
#: Bytes that the router may have grown by after all frames, of which it keeps the latest events.
MOST_GROWTH = 256 << 20


@dataclass(slots=True)
class Report:
    """What was sent, and what came of it."""

    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    good_requests: int = 0
    slowest_good_s: float = 0.0
    turns: int = 0
    tasks: int = 0  #: that hostile clients who may have submitted
    joins: int = 0  #: that hostile workers of tasks may make
    lost_workers: int = 0
    memory_before: int = 0
    memory_most: int = 0
    memory_after: int = 0

    def find(self, what: str) -> None:
        """Note something that must not be."""
        self.tally.findings.append(what)


class GoodClient:
    """A client whose requests are right, and an honest worker of its swarm: both must not notice.

    Args:
        url: of the router.
    """

    def __init__(self, url: str, token: str, router: int, report: Report) -> None:
        self._url = url
        self._token = token
        self._router = psutil.Process(router)
        self._report = report
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._seq = 0
        self.swarms: dict[str, str] = {}  #: by what they are for
        self.turns: list[str] = []  #: those of the good swarm
        self._complete: Counter[str] = Counter()
        self._socket: ClientConnection | None = None
        self._working: list[asyncio.Task[None]] = []

    async def begin(self) -> None:
        """Connect, and launch swarms: a good one, one for hostile workers, and another."""
        self._socket = await self._open({"token": self._token})
        self._working.append(asyncio.ensure_future(self._read(self._socket)))
        await self.call("subscribe")
        for name in ("good", "hostile", "other"):
            swarm = await self.call("swarm_launch", nodes=2, name=name)
            self.swarms[name] = swarm["swarm_id"]

    async def begin_task_worker(self, tcp_port: int) -> None:
        """Be a worker of tasks, too."""
        self._honest = HonestWorker(tcp_port, self._token)
        await self._honest.begin()

    async def begin_worker(self, token: str) -> None:
        """Be the worker of a node of the good swarm."""
        hello = {"role": "worker", "swarm_id": self.swarms["good"], "node": 0, "token": token}
        self._working.append(asyncio.ensure_future(self._stay(hello)))

    async def run(self, over: asyncio.Event) -> None:
        """Ask for what is right, again and again, until it is over; no request is left alone."""
        while not over.is_set():
            await self.look()
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), _PAUSE)

    async def look(self) -> None:
        """Is all as it was?"""
        listed = await self.call("swarm_list")
        states = {swarm["swarm_id"]: swarm["status"] for swarm in listed["swarms"]}
        if set(states) != set(self.swarms.values()) or "terminated" in states.values():
            self._report.find(f"the swarms are others: {states}")
        hostile = await self.answer("swarm_inject", swarm_id=self.swarms["hostile"], prompt="x")
        if "error" not in hostile and not {"0", "1"}.issuperset(hostile["result"]["turns"]):
            # Its workers may end its nodes, and so have this refused.
            self._report.find(f"the hostile swarm has other nodes: {hostile}")
        injected = await self.call(
            "swarm_inject", swarm_id=self.swarms["good"], nodes=[0], prompt="x"
        )
        self.turns += injected["turns"].values()
        if (wrong := await self._honest.look()) is not None:
            self._report.find(wrong)
        workers = {one["name"]: one for one in (await self.call("worker_list"))["workers"]}
        if workers.pop(HONEST)["state"] not in ("joining", "lost"):
            self._report.find(f"the honest worker is {workers}")
        if not all(name.startswith(HOSTILE) for name in workers):
            self._report.find(f"there are workers of nobody: {set(workers)}")
        memory = self._router.memory_info().rss
        self._report.memory_most = max(self._report.memory_most, memory)

    async def end(self) -> None:
        """All turns must have completed, each once."""
        end = time.monotonic() + PATIENCE
        while set(self.turns) - set(self._complete) and time.monotonic() < end:
            await asyncio.sleep(0.05)
        if any(self._complete[turn] != 1 for turn in self.turns):
            self._report.find(f"good turns did not complete once: {self._complete}")
        self._report.turns = len(self.turns)
        for work in self._working:
            work.cancel()
        self._honest.close()
        self._report.lost_workers += self._honest.lost
        assert self._socket is not None
        await self._socket.close()

    async def call(self, method: str, **params: object) -> Any:
        """A request that is right, and its result. Raises TimeoutError, ConnectionError."""
        found = await self.answer(method, **params)
        if "error" in found:
            raise ConnectionError(f"a good {method} was refused: {found}")
        return found["result"]

    async def answer(self, method: str, **params: object) -> dict[str, Any]:
        """A request, and what is answered."""
        assert self._socket is not None
        self._number += 1
        answer: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._answers[self._number] = answer
        begun = time.monotonic()
        await self._socket.send(_request(self._number, method, params))
        found = await asyncio.wait_for(answer, PATIENCE)
        took = time.monotonic() - begun
        self._report.good_requests += 1
        self._report.slowest_good_s = max(self._report.slowest_good_s, took)
        return found

    async def _open(self, hello: dict[str, Any]) -> ClientConnection:
        socket = await connect(
            self._url, max_size=4 * MAX_MESSAGE, compression=None, ping_interval=None,
            max_queue=None, open_timeout=PATIENCE,
        )  # fmt: skip
        await socket.send(_request(0, "hello", {"protocol": PROTOCOL, **hello}))
        answer = msgspec.json.decode(await socket.recv())
        if "result" not in answer:
            raise ConnectionError(f"the router does not want us: {answer}")
        return socket

    async def _read(self, socket: ClientConnection) -> None:
        while True:
            found = msgspec.json.decode(await socket.recv())
            for message in found if isinstance(found, list) else [found]:
                if message.get("method") == "event":
                    self._hear(message["params"])
                else:
                    answer = self._answers.pop(message["id"])
                    if not answer.done():  # it may have been cancelled
                        answer.set_result(message)

    def _hear(self, event: dict[str, Any]) -> None:
        if self._seq and event["seq"] != self._seq + 1:
            self._report.find(f"event {event['seq']} came after {self._seq}")
        self._seq = event["seq"]
        kind, swarm = event["type"], event.get("swarm_id")
        if kind == "command_rejected":
            return
        if kind == "worker_changed":
            worker = event["data"]["worker"]
            self._report.joins += worker["state"] == "joining" and worker["name"] != HONEST
        if kind in ("swarm_terminated", "swarm_removed") or (
            self.swarms.get("other") == swarm and "good" not in self.swarms
        ):
            self._report.find(f"an effect that nobody may have: {event}")
        if kind == "turn_complete" and swarm == self.swarms.get("good"):
            self._complete[event["turn_id"]] += 1

    async def _stay(self, hello: dict[str, Any]) -> None:
        """Work, and come back if the router lost patience: this machine may be slow."""
        while True:
            try:
                await self._work(await self._open(hello))
            except ConnectionClosed:
                self._report.lost_workers += 1

    async def _work(self, socket: ClientConnection) -> None:
        """Complete every turn at once; beat."""
        beat = json.dumps({"jsonrpc": "2.0", "method": "heartbeat"})
        while True:
            try:
                found = msgspec.json.decode(await asyncio.wait_for(socket.recv(), _PAUSE))
            except TimeoutError:
                await socket.send(beat)
                continue
            for message in found if isinstance(found, list) else [found]:
                if message.get("method") == "turn_run":
                    answer = {"jsonrpc": "2.0", "id": message["id"],
                              "result": {"outcome": "completed"}}  # fmt: skip
                    await socket.send(json.dumps(answer))


def _request(number: int, method: str, params: dict[str, object]) -> str:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


async def attack(router: Process, token: str, frames: int, seed: int, report: Report) -> GoodClient:
    """Send all frames to a router that runs."""
    facts = router.facts
    url = f"ws://127.0.0.1:{facts['port']}/ws"
    good = GoodClient(url, token, router.pid, report)
    await good.begin()
    tokens = _tokens(router.folder, good.swarms)
    await good.begin_worker(tokens[good.swarms["good"]])
    await good.begin_task_worker(facts["tcp_port"])
    scene = Scene(facts["port"], facts["tcp_port"], token, tokens, good.swarms["hostile"])
    peers = [
        Peer(scene, stance, carrier, seed, report.tally)
        for stance in Stance for carrier in (WebSocketCarrier, LineCarrier)
    ]  # fmt: skip
    await good.look()
    process = psutil.Process(router.pid)
    report.memory_before = process.memory_info().rss
    over = asyncio.Event()
    asking = asyncio.ensure_future(good.run(over))
    begun = time.monotonic()
    await asyncio.gather(*(peer.run(-(-frames // len(peers))) for peer in peers))
    report.seconds = time.monotonic() - begun
    over.set()
    await asyncio.wait([asking])
    if (error := asking.exception()) is not None:
        report.find(f"the good client failed: {error!r}")
    await good.look()
    await good.end()
    report.memory_after = process.memory_info().rss
    return good


def _tokens(folder: Path, swarms: dict[str, str]) -> dict[str, str]:
    """The tokens of swarms, out of the store of a router that runs."""
    with Store.open_readonly(folder / "swarm-state.db") as store:
        return {
            swarm: store.get_state(f"swarm/{swarm}")["token"] for swarm in swarms.values()
        }


def check_store(folder: Path, good: GoodClient, report: Report) -> None:
    """What the router has left in its store is of good requests only."""
    with Store(folder / "swarm-state.db") as store:
        swarms = set(good.swarms.values())
        kept = {key for key in store.state_keys() if key.startswith("swarm/")}
        if kept != {f"swarm/{swarm}" for swarm in swarms}:
            report.find(f"the store has other swarms: {kept}")
        for record in store.tasks():
            turn = record.task.workflow in swarms - {good.swarms["other"]}
            if not turn and not record.task.name.startswith(MARK):
                report.find(f"the store has a task of nobody: {record.task}")
            report.tasks += not turn
        records = store.tasks(workflow=good.swarms["good"])
        turns = {record.task.id: record.state.value for record in records}
        if turns != dict.fromkeys(good.turns, "completed"):
            report.find(f"the good swarm has other turns: {turns}")
        if list(store.workflows()):
            report.find("the store has workflows")
        agents = {agent.id for agent in store.agents()}
        if len(agents) > 1:
            report.find(f"the store has other agents than its own: {agents}")


def run(frames: int, seed: int, folder: Path) -> Report:
    """Start a router in a folder, send frames, and say what was wrong."""
    report = Report()
    token = secrets.token_urlsafe(16)
    (folder / "token").write_text(token)
    command = [sys.executable, "-m", "swarmc.runtime.tools.router_process", str(folder)]
    with Process("router", command, folder, announces=True) as router:
        router.start()
        try:
            good = asyncio.run(attack(router, token, frames, seed, report))
        except (OSError, TimeoutError, ValueError) as error:
            report.find(f"the router is gone, or stuck: {error!r}; it runs: {router.running}")
            return report
        finally:
            router.signal(signal.SIGCONT)
        code = router.terminate()
        if code != 0:
            report.find(f"the router ended with {code}")
        if "Traceback" in router.errors() or "never retrieved" in router.errors():
            report.find(f"the router's log: {router.errors()[-3000:]}")
    check_store(folder, good, report)
    growth = report.memory_after - report.memory_before
    if growth > MOST_GROWTH:
        report.find(f"the router grew by {growth >> 20} MiB")
    return report


def main() -> int:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--frames", type=int, default=100_000, help="how many (100,000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="swarmc-fuzz-") as folder:
        report = run(options.frames, options.seed, Path(folder))
    if options.json:
        print(json.dumps(asdict(report), indent=2))
    else:
        _show(report)
    return 1 if report.tally.findings else 0


def _show(report: Report) -> None:
    tally = report.tally
    refusals = ", ".join(f"{code}: {count:,}" for code, count in sorted(tally.refusals.items()))
    for line in (
        f"{tally.sent:,} frames, {tally.bytes / 1e6:,.0f} MB, in {report.seconds:,.1f} s",
        "  " + ", ".join(f"{count:,} {kind}" for kind, count in sorted(tally.kinds.items())),
        f"{tally.connections:,} connections, {tally.answers:,} answers: "
        f"{tally.results:,} results, refusals {refusals}",
        f"{report.good_requests:,} good requests, the slowest {report.slowest_good_s:.2f} s; "
        f"{report.turns:,} turns; a good worker was lost {report.lost_workers} times",
        f"{report.tasks:,} tasks of clients that may submit some; {report.joins:,} hostile workers "
        "joined",
        f"memory of the router: {report.memory_before >> 20} MiB before, "
        f"{report.memory_most >> 20} at most, {report.memory_after >> 20} after",
        *(f"FOUND: {finding}" for finding in tally.findings[:20]),
        f"{len(tally.findings)} findings",
    ):
        print(line)


if __name__ == "__main__":
    sys.exit(main())
