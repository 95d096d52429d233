"""Workers of tasks for a router under attack: an honest one, and what hostile ones say."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
from collections.abc import Callable
from typing import Any

from ..orchestration.cluster.authority import KeyPair
from ..orchestration.cluster.proof import statement
from ..orchestration.coordinator.signing import Ed25519Signer
from ..orchestration.router.protocol import PROTOCOL
from .frames import Frame, FrameGenerator, spell

HONEST = "honest"  #: the name of the worker that must not notice anything
HOSTILE = "hostile-"  #: begins the names of those that mean harm
_HONEST_KEY = Ed25519Signer(b"honest" + bytes(26))
_VALUE = "kept"  # key of the honest worker's state; frames have none like it
_JOIN = b'"$JOIN '  # stands for what is said to join, which depends on the connection
_KEYS = (
    "router/seq", "swarm/x", "cluster/excluded", "", "\0", "../../x", "x" * 512, "x" * 513, "é",
    "swarm", "hostile", "hostile/1", "hostile/2",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    1, None, "x" * 100_000, {"$bytes": "no base64"}, {"$bytes": "AA=="}, {"$float": "x"},
    {"$array": {"dtype": "O", "shape": [1], "data": "AAAAAAAAAAA="}}, {"$array": None},
    {"$array": {"dtype": "<f8", "shape": [1 << 60], "data": ""}}, [[]] * 100,
)  # fmt: skip
_DIGESTS = ("", "00" * 32, "ff" * 32, "../" * 21 + "a", "0" * 63 + "\n", "0" * 64 + "\n", "G" * 64)
_WAYS = 11  # to join
_BEAT = 0.1  # seconds between beats


class Joining:
    """What one hostile worker says to join, rightly and wrongly.

    Args:
        name: its own.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._key = Ed25519Signer()
        self._request = KeyPair(name).request  # one for all: making a key takes time
        self._overheard: dict[str, Any] = {}

    def fill(self, data: bytes, challenge: str) -> bytes:
        """A frame with what is said over a connection of this challenge."""
        while _JOIN in data:
            before, _, rest = data.partition(_JOIN)
            way, _, after = rest.partition(b'"')
            data = before + spell(self._said(int(way), challenge)).encode() + after
        return data

    def _said(self, way: int, challenge: str) -> dict[str, Any]:
        key, others = self._key.public_key.hex(), _HONEST_KEY.public_key.hex()
        match way:
            case 0:
                return self._proven(HONEST, key, challenge)
            case 1:
                return self._proven(self._name, others, challenge)
            case 2:
                return self._proven(HONEST, others, challenge)
            case 3:  # said before, over another connection
                return self._overheard or {"name": self._name}
            case 4:
                return {"name": HOSTILE + "keyless", "certificate_request": self._request}
            case 5:
                pinned = {"capabilities": [f"worker:{HONEST}"]}
                return {**self._proven(self._name, key, challenge), **pinned}
            case 6:
                many = {"executors": ["x" * 200] * 256}
                return {**self._proven(self._name, key, challenge), **many}
            case 7:
                self._overheard = self._proven(self._name, key, challenge, "no request")
                return self._overheard
            case _:
                self._overheard = self._proven(self._name, key, challenge)
                return self._overheard

    def _proven(
        self, name: str, public_key: str, challenge: str, request: str | None = None
    ) -> dict[str, Any]:
        request = request or self._request
        proof = self._key.sign(statement(challenge, name, public_key, request)).hex()
        return {
            "name": name, "public_key": public_key, "certificate_request": request,
            "proof": proof, "capacity": 1024,
        }  # fmt: skip


class WorkerFrames(FrameGenerator):
    """Frames of a worker of tasks: half of them what workers say, in any order and of others."""

    def __init__(self, seed: int | str, swarms: tuple[str, ...], mark: str) -> None:
        super().__init__(seed, swarms, mark=mark)
        self._chance = random.Random(seed)
        self._numbers = itertools.count(1)

    def __next__(self) -> Frame:
        """The next one."""
        return self._said() if self._chance.random() < 0.5 else super().__next__()

    def _said(self) -> Frame:
        lots, number = self._chance, f"w-{next(self._numbers)}"
        method, params = lots.choice(_SAYINGS)(lots)
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        return Frame(spell(message).encode(), "worker", (number,))


#: What workers say: method and parameters.
_SAYINGS: tuple[Callable[[random.Random], tuple[str, Any]], ...] = (
    lambda lots: ("worker_join", f"$JOIN {lots.randrange(_WAYS)}"),
    lambda lots: ("worker_ready", {}),
    lambda lots: ("worker_drain", {}),
    lambda lots: ("heartbeat", {}),
    lambda lots: ("state_set", {"key": lots.choice(_KEYS), "value": lots.choice(_VALUES)}),
    lambda lots: ("state_get", {"key": lots.choice(_KEYS)}),
    lambda lots: ("state_delete", {"key": lots.choice(_KEYS)}),
    lambda lots: ("module_get", {"digest": lots.choice(_DIGESTS)}),
    lambda lots: ("worker_exclude", {"worker_id": HONEST}),
)


class HonestWorker:
    """A worker of tasks that joins, beats and keeps state.

    Args:
        port: of lines over TCP.
    """

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._hello = {"protocol": PROTOCOL, "role": "task_worker", "token": token}
        self._count = 0
        self._numbers = itertools.count(1)
        self._beating: asyncio.Task[None] | None = None
        self.lost = 0  #: how often the router lost patience: this machine may be slow

    async def begin(self) -> None:
        """Be there. Raises ConnectionError, ValueError: it is refused."""
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        welcome = await self._ask("hello", **self._hello)
        self._beating = asyncio.ensure_future(self._beat(self._writer))
        request, key = KeyPair(HONEST).request, _HONEST_KEY.public_key.hex()
        proof = _HONEST_KEY.sign(statement(welcome["challenge"], HONEST, key, request)).hex()
        await self._ask(
            "worker_join", name=HONEST, public_key=key, certificate_request=request, proof=proof
        )

    async def look(self) -> str | None:
        """Set what is kept, and look whether it is. What is wrong."""
        self._count += 1
        try:
            await self._ask("state_set", key=_VALUE, value=self._count)
            found = await self._ask("state_get", key=_VALUE)
        except ConnectionError:
            self.lost += 1
            self.close()
            await self.begin()
            return None
        except ValueError as error:
            return str(error)
        return None if found.get("value") == self._count else f"the state is another: {found}"

    def close(self) -> None:
        """End the connection."""
        if self._beating is not None:
            self._beating.cancel()
            self._writer.transport.abort()

    async def _beat(self, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b'{"jsonrpc":"2.0","method":"heartbeat"}\n')
            await asyncio.sleep(_BEAT)

    async def _ask(self, method: str, **params: object) -> Any:
        """A request that is right, one at a time, and its result. Raises ConnectionError."""
        number = next(self._numbers)
        message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        self._writer.write(json.dumps(message).encode() + b"\n")
        await self._writer.drain()
        line = await self._reader.readline()
        if not line:
            raise ConnectionError(f"the router closed the connection at a good {method}")
        answer = json.loads(line)
        if "error" in answer:
            raise ValueError(f"a good {method} was refused: {answer}")
        return answer["result"]
