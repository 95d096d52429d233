"""Connections to a router that say what they should not, over WebSocket and over TCP."""

from __future__ import annotations

import asyncio
import enum
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from ..orchestration.router.protocol import MAX_MESSAGE, PROTOCOL
from ..orchestration.router.server import HELLO_WITHIN
from .frames import TURN, Frame, FrameGenerator, valid_calls
from .fuzz_workers import HOSTILE, Joining, WorkerFrames

PATIENCE = 60.0  #: seconds in which everything must be answered
#: Methods that change nothing: a client that may say everything may say those.
_HARMLESS = frozenset({
    "hello", "status", "subscribe", "metrics", "task_status", "task_list", "workflow_list",
    "workflow_status", "worker_list",
})  # fmt: skip
MARK = "may "  #: begins the names of tasks of clients that may submit some
_LIFE = HELLO_WITHIN / 3  # seconds of a connection; the router cuts those without hello itself


class Stance(enum.Enum):
    """Who a peer says that it is."""

    NOBODY = "before hello"
    WRONG_TOKEN = "client with a wrong token"
    WRONG_TASK_WORKER = "worker of tasks with a wrong token"
    WRONG_SWARM = "worker with another swarm's token"
    WORKER = "worker of a swarm of its own"
    TASK_WORKER = "worker of tasks"
    CLIENT = "client that may"


_WORKERS = (Stance.WORKER, Stance.TASK_WORKER)


@dataclass(frozen=True, slots=True)
class Scene:
    """What peers are to know.

    Args:
        swarms: ids of all swarms, and the tokens of their workers. own: the one of WORKER.
    """

    port: int
    tcp_port: int
    token: str
    swarms: dict[str, str]
    own: str


class Carrier(Protocol):
    """What carries frames. Raises ConnectionError when it is closed."""

    async def send(self, frame: Frame) -> None: ...

    async def receive(self) -> bytes: ...

    async def close(self) -> None: ...


class WebSocketCarrier:
    """Frames of WebSocket."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket

    @classmethod
    async def open(cls, scene: Scene) -> WebSocketCarrier:
        url = f"ws://127.0.0.1:{scene.port}/ws"
        return cls(await connect(
            url, max_size=4 * MAX_MESSAGE, compression=None, ping_interval=None, max_queue=None,
            open_timeout=PATIENCE,
        ))  # fmt: skip

    async def send(self, frame: Frame) -> None:
        try:
            await self._socket.send(
                frame.data if frame.pieces == 1 else pieces_of(frame), text=frame.text
            )
        except ConnectionClosed as error:
            raise ConnectionError(str(error)) from error

    async def receive(self) -> bytes:
        try:
            return await self._socket.recv(decode=False)
        except ConnectionClosed as error:
            raise ConnectionError(str(error)) from error

    async def close(self) -> None:
        await self._socket.close()


class LineCarrier:
    """Lines over TCP."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, scene: Scene) -> LineCarrier:
        limit = 4 * MAX_MESSAGE
        return cls(*await asyncio.open_connection("127.0.0.1", scene.tcp_port, limit=limit))

    async def send(self, frame: Frame) -> None:
        for piece in pieces_of(frame):
            self._writer.write(piece)
            await self._writer.drain()
        self._writer.write(b"\n")

    async def receive(self) -> bytes:
        line = await self._reader.readline()
        if not line:
            raise ConnectionError("the router closed it")
        return line

    async def close(self) -> None:
        self._writer.transport.abort()


def pieces_of(frame: Frame) -> list[bytes]:
    """A frame in as many pieces as it says; more than it has bytes would be empty ones."""
    size = max(1, -(-len(frame.data) // frame.pieces))
    return [frame.data[at : at + size] for at in range(0, len(frame.data), size)] or [b""]


@dataclass(slots=True)
class Tally:
    """What came of frames."""

    sent: int = 0
    bytes: int = 0
    answers: int = 0
    refusals: dict[int, int] = field(default_factory=dict)
    results: int = 0
    connections: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    findings: list[str] = field(default_factory=list)


class Peer:
    """Sends frames of one generator as one who stands somewhere; connects again when it must.

    Args:
        carrier: ``WebSocketCarrier`` or ``LineCarrier``.
    """

    def __init__(
        self, scene: Scene, stance: Stance, carrier: type[WebSocketCarrier] | type[LineCarrier],
        seed: int, tally: Tally,
    ) -> None:  # fmt: skip
        self._scene = scene
        self._stance = stance
        self._kind = carrier
        self._name = f"{stance.value}, {carrier.__name__}"
        mark = MARK if stance is Stance.CLIENT else "never "
        frames = WorkerFrames if stance is Stance.TASK_WORKER else FrameGenerator
        self._frames = frames(f"{seed} {self._name}", tuple(scene.swarms), mark=mark)
        self._joining = Joining(HOSTILE + carrier.__name__)
        self._tally = tally
        self._carrier: Carrier | None = None
        self._awaited: set[int | str] = set()
        self._quiet = asyncio.Event()  # nothing is awaited
        self._closed = asyncio.Event()
        self._welcomed = asyncio.Event()  # or refused
        self._reading: asyncio.Task[None] | None = None
        self._sentinels = 0
        self._opened = 0.0
        self._turn: str | None = None  # that this worker was asked to run
        self._challenge = ""  # of this connection

    async def run(self, count: int, batch: int = 50) -> None:
        """Send so many frames."""
        try:
            while count > 0:
                frames = self._draw(min(batch, count))
                count -= len(frames)
                trouble = await self._send(frames)
                if trouble is not None:
                    await self._isolate(frames, trouble)
        finally:
            await self._disconnect()

    def _draw(self, count: int) -> list[Frame]:
        """Up to the first one for which the connection may be closed."""
        found: list[Frame] = []
        while len(found) < count:
            frame = next(self._frames)
            if self._permitted(frame):
                found.append(frame)
                if frame.closes:
                    break
        return found

    def _permitted(self, frame: Frame) -> bool:
        """Whether the router owes it to nobody to do what it says."""
        if self._stance is not Stance.CLIENT:
            return True
        lines = frame.data.split(b"\n")
        calls = [call for data in (frame.data, *lines) for call in valid_calls(data)]
        return all(
            method in _HARMLESS
            or (method == "task_submit" and all(t.name.startswith(MARK) for t in params.tasks))
            for method, params in calls
        )

    async def _send(self, frames: Sequence[Frame]) -> str | None:
        """Send frames, and wait until the router has answered what it must. What went wrong."""
        await self._connect()
        assert self._carrier is not None
        frames = [self._about(frame) for frame in frames]
        self._sentinels += 1
        sentinel = f"sentinel {self._sentinels}"
        last = Frame(b'{"jsonrpc":"2.0","id":"%s","method":"-"}' % sentinel.encode(), "sentinel")
        self._awaited.update(number for frame in frames for number in frame.ids)
        self._awaited.add(sentinel)
        self._quiet.clear()
        try:
            for frame in frames:
                await self._carrier.send(frame)
            await self._carrier.send(last)
        except ConnectionError:
            self._closed.set()
        for frame in frames:
            self._tally.sent += 1
            self._tally.bytes += len(frame.data)
            self._tally.kinds[frame.kind] = self._tally.kinds.get(frame.kind, 0) + 1
        return await self._settle(closes=frames[-1].closes)

    def _about(self, frame: Frame) -> Frame:
        """A frame that speaks of this connection, and of the turn that this worker runs."""
        if self._stance is Stance.TASK_WORKER:
            return replace(frame, data=self._joining.fill(frame.data, self._challenge))
        if self._turn is None:
            return frame
        turn = json.dumps(self._turn).encode()
        return replace(frame, data=frame.data.replace(TURN, turn))

    async def _settle(self, closes: bool) -> str | None:
        waits = [asyncio.ensure_future(event.wait()) for event in (self._quiet, self._closed)]
        done, _ = await asyncio.wait(
            waits, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED
        )  # fmt: skip
        for wait in waits:
            wait.cancel()
        if self._quiet.is_set():
            return None
        awaited, self._awaited = self._awaited, set()
        if not done:
            some = sorted(map(str, awaited))[:5]
            return f"{len(awaited)} not answered within {PATIENCE:g} s: {some}"
        await self._disconnect()
        return None if closes else "the connection was closed"

    async def _isolate(self, frames: Sequence[Frame], trouble: str) -> None:
        """Say which frame it was, if it is one."""
        for frame in frames:
            await self._disconnect()
            alone = await self._send([frame])
            if alone is not None:
                what = f"{frame.kind} of {len(frame.data)} bytes: {frame.data[:300]!r}"
                self._tally.findings.append(f"{self._name}: {alone} for {what}")
                return
        if self._stance not in _WORKERS:  # they do not beat: they are cut when this is slow
            self._tally.findings.append(f"{self._name}: {trouble}, for {len(frames)} frames")

    async def _connect(self) -> None:
        old = time.monotonic() - self._opened > _LIFE
        if self._carrier is not None and not self._closed.is_set() and not old:
            return
        await self._disconnect()
        self._opened = time.monotonic()
        self._carrier = await self._kind.open(self._scene)
        self._tally.connections += 1
        self._closed.clear()
        self._awaited.clear()
        self._welcomed.clear()
        self._reading = asyncio.ensure_future(self._read(self._carrier))
        hello = self._hello()
        if hello is not None:
            data = msgspec.json.encode(
                {"jsonrpc": "2.0", "id": "hello", "method": "hello", "params": hello}
            )
            await self._carrier.send(Frame(data, "hello"))
        if self._stance is Stance.TASK_WORKER:
            await asyncio.wait_for(self._welcomed.wait(), PATIENCE)

    async def _disconnect(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        if self._carrier is not None:
            await self._carrier.close()
        self._carrier = self._reading = None

    def _hello(self) -> dict[str, Any] | None:
        scene = self._scene
        worker = {"protocol": PROTOCOL, "role": "worker", "swarm_id": scene.own}
        others = [token for swarm, token in scene.swarms.items() if swarm != scene.own]
        node = 0 if self._kind is WebSocketCarrier else 1
        hellos: dict[Stance, dict[str, Any] | None] = {
            Stance.NOBODY: None,
            Stance.WRONG_TOKEN: {"protocol": PROTOCOL, "token": scene.token + "x"},
            Stance.WRONG_TASK_WORKER: {
                "protocol": PROTOCOL, "role": "task_worker", "token": scene.token[:-1]
            },
            Stance.WRONG_SWARM: {**worker, "node": node, "token": others[0]},
            Stance.WORKER: {**worker, "node": node, "token": scene.swarms[scene.own]},
            Stance.TASK_WORKER: {
                "protocol": PROTOCOL, "role": "task_worker", "token": scene.token
            },
            Stance.CLIENT: {"protocol": PROTOCOL, "token": scene.token},
        }  # fmt: skip
        return hellos[self._stance]

    async def _read(self, carrier: Carrier) -> None:
        try:
            while True:
                data = await carrier.receive()
                found = msgspec.json.decode(data)
                for message in found if isinstance(found, list) else [found]:
                    self._take(message)
        except ConnectionError:
            self._closed.set()

    def _answer(self, number: int) -> None:
        """Say something about a turn that was not asked, half of the time."""
        frame = self._frames.answer(number)
        if frame is not None and self._carrier is not None:
            self._answering = asyncio.ensure_future(self._try(self._carrier, frame))

    async def _try(self, carrier: Carrier, frame: Frame) -> None:
        try:
            await carrier.send(frame)
        except ConnectionError:
            self._closed.set()

    def _take(self, message: dict[str, Any]) -> None:
        if "method" in message:
            if message["method"] == "turn_run":
                self._turn = message["params"]["turn_id"]
                self._answer(message["id"])
            return
        self._tally.answers += 1
        number = message["id"]
        if number == "hello":
            self._challenge = message.get("result", {}).get("challenge") or ""
            self._welcomed.set()
        self._awaited.discard(number)
        if not self._awaited:
            self._quiet.set()
        if "error" in message:
            code = message["error"]["code"]
            self._tally.refusals[code] = self._tally.refusals.get(code, 0) + 1
            if code == -32603:
                self._tally.findings.append(f"{self._name}: the router failed: {message}")
        elif self._stance not in (*_WORKERS, Stance.CLIENT):
            self._tally.findings.append(f"{self._name}: got a result: {message}")
        else:
            self._tally.results += 1
