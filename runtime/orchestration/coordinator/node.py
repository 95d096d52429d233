"""A replica as a process: agreement over sockets of one machine, with its record on a disk.

``python -m swarmc.runtime.orchestration.coordinator.node CONFIG.json`` runs one, with::

    {"me": "r0", "group": "name", "keys": {"r0": "public key in hex", …},
     "listen": "unix:r0.socket", "peers": {"r1": "unix:r1.socket", …},
     "key": "r0.key", "record": "r0.record"}
"""

from __future__ import annotations

import base64
import heapq
import itertools
import json
import os
import selectors
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .agreement import Agreement
from .elected import ElectedLeader
from .errors import BadMessageError, CoordinationError
from .messages import Decision, Record
from .outputs import Accuse, Decide, Output, Persist, Send, SetTimer, Timeouts, Timer
from .quorum import Group
from .record_file import RecordFile
from .signing import Ed25519Signer, Ed25519Verifier
from .sockets import Address, Connection, new_socket, parse_address
from .wire import decode_message, encode

_RETRY = 0.2  # seconds between attempts to reach a peer
_LOOK = 1.0  # seconds after which the loop looks whether it is to stop
_LISTED = 4 << 20  # bytes of decisions in one answer, or one decision


@dataclass(frozen=True, slots=True)
class NodeConfig:
    """Where a replica is, who it is, and who the others are.

    Args:
        me: its id.
        group: the group's name.
        keys: everybody's public keys.
        listen: where it hears the others, and clients.
        peers: where it reaches the others.
        key: the file of its private key; made if it is not there.
        record: the file of what it has signed.
    """

    me: str
    group: str
    keys: Mapping[str, bytes]
    listen: str
    peers: Mapping[str, str]
    key: str
    record: str
    timeouts: Timeouts = field(default_factory=Timeouts)

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> NodeConfig:
        """Read a configuration. Raises CoordinationError, OSError."""
        try:
            data = json.loads(Path(path).read_bytes())
            keys = {name: bytes.fromhex(key) for name, key in data.pop("keys").items()}
            timeouts = Timeouts(**data.pop("timeouts", {}))
            texts = [data[name] for name in ("me", "group", "listen", "key", "record")]
            if not all(isinstance(text, str) for text in (*texts, *data["peers"].values())):
                raise TypeError("ids, addresses and files are text")
            return cls(keys=keys, timeouts=timeouts, **data)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise CoordinationError(f"{path} configures no replica: {error!r}") from error


class Node:
    """A replica, its sockets, its timers and its record. One thread runs it.

    Args:
        decided: called with every decision, those of before a restart included.
        clock: seconds, for timers.
    """

    def __init__(
        self,
        config: NodeConfig,
        decided: Callable[[Decision], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        signer = Ed25519Signer.from_file(config.key)
        if config.keys.get(config.me) != signer.public_key:
            raise CoordinationError(f"{config.key} is not the key of {config.me}")
        addresses = {name: parse_address(text) for name, text in config.peers.items()}
        listen = parse_address(config.listen)
        group = Group(config.group, config.keys)
        self.elected = ElectedLeader(group)
        self._decided = decided
        self._clock = clock
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = 0
        self._addresses = addresses
        self._peers: dict[str, Connection] = {}
        self._retry = dict.fromkeys(addresses, 0.0)
        self._stop = False
        self._record = RecordFile(config.record)
        try:
            self.replica = Agreement(
                config.me, group, signer, Ed25519Verifier(group.keys),
                timeouts=config.timeouts, records=self._record.records,
            )  # fmt: skip
            self._record.records.clear()
            self._listener = _listen(listen)
        except BaseException:
            self._record.close()
            raise
        self._wake, self._waker = socket.socketpair()
        self._wake.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._wake, selectors.EVENT_READ, None)
        self._selector.register(self._listener, selectors.EVENT_READ, None)

    def stop(self) -> None:
        """Have :meth:`run` return; from any thread, or a signal's handler."""
        self._stop = True
        with suppress(OSError):
            self._waker.send(b"x")

    def run(self) -> None:
        """Take part until :meth:`stop`, then close everything."""
        try:
            self._do(self.replica.start())
            while not self._stop:
                self._step()
        finally:
            for key in list(self._selector.get_map().values()):
                with suppress(OSError):
                    key.fileobj.close()  # type: ignore[union-attr]
            self._waker.close()
            self._selector.close()
            self._record.close()

    def _step(self) -> None:
        now = self._clock()
        for name, address in self._addresses.items():
            if name not in self._peers and now >= self._retry[name]:
                self._connect(name, address, now)
        due = self._timers[0][0] - now if self._timers else _LOOK
        for key, events in self._selector.select(max(0.0, min(due, _LOOK, _RETRY))):
            if key.fileobj is self._listener:
                self._accept()
            elif key.fileobj is self._wake:
                self._wake.recv(64)
            else:
                self._serve(key.data, events)
        while self._timers and self._timers[0][0] <= self._clock():
            self._do(self.replica.fire(heapq.heappop(self._timers)[2]))

    # What the replica wants

    def _do(self, outputs: Sequence[Output]) -> None:
        records: list[Record] = [o.record for o in outputs if isinstance(o, Persist)]
        if records:
            self._record.append(records)  # all of them, before anything is said
        for output in outputs:
            if isinstance(output, Send):
                frame = encode(output.message)
                for name in self._peers if output.to is None else [output.to]:
                    self._tell(name, frame)
            elif isinstance(output, SetTimer):
                self._count += 1
                due = self._clock() + output.delay
                heapq.heappush(self._timers, (due, self._count, output.timer))
            elif isinstance(output, Decide):
                self.elected.apply(output.decision)
                if self._decided is not None:
                    self._decided(output.decision)
            elif isinstance(output, Accuse):
                replica = output.evidence.replica
                print(f"{replica} is proved to contradict itself", file=sys.stderr, flush=True)
        for name in list(self._peers):
            self._flush(self._peers[name], name)

    def _tell(self, name: str, frame: bytes) -> None:
        connection = self._peers.get(name)
        if connection is not None:
            connection.put(frame)

    # Sockets

    def _connect(self, name: str, address: Any, now: float) -> None:
        self._retry[name] = now + _RETRY
        made = new_socket(address)
        try:
            made.connect(address)
        except BlockingIOError:
            pass  # under way; what is wrong shows when it is written to
        except OSError:
            made.close()
            return
        self._peers[name] = connection = Connection(made)
        self._selector.register(made, selectors.EVENT_READ, (connection, name))

    def _accept(self) -> None:
        try:
            made, _ = self._listener.accept()
        except OSError:
            return  # it is gone already
        made.setblocking(False)
        self._selector.register(made, selectors.EVENT_READ, (Connection(made), None))

    def _serve(self, data: tuple[Connection, str | None], events: int) -> None:
        connection, name = data
        try:
            if events & selectors.EVENT_WRITE:
                connection.flush()
            if events & selectors.EVENT_READ:
                for frame in connection.read():
                    self._hear(connection, frame)
        except (OSError, BadMessageError):
            self._drop(connection, name)
        else:
            self._watch(connection, name)

    def _flush(self, connection: Connection, name: str | None) -> None:
        try:
            connection.flush()
        except OSError:
            self._drop(connection, name)
        else:
            self._watch(connection, name)

    def _watch(self, connection: Connection, name: str | None) -> None:
        both = selectors.EVENT_READ | selectors.EVENT_WRITE
        events = both if connection.unsent else selectors.EVENT_READ
        if connection.socket.fileno() >= 0:
            self._selector.modify(connection.socket, events, (connection, name))

    def _drop(self, connection: Connection, name: str | None) -> None:
        if connection.socket.fileno() >= 0:
            self._selector.unregister(connection.socket)
            connection.socket.close()
        if name is not None and self._peers.get(name) is connection:
            del self._peers[name]

    # What comes

    def _hear(self, connection: Connection, frame: bytes) -> None:
        if frame.startswith(b'{"client"'):
            connection.put(json.dumps(self._answer(frame)).encode())
        else:
            self._do(self.replica.receive(decode_message(frame)))

    def _answer(self, frame: bytes) -> dict[str, Any]:
        """What a client is told: whether its value is taken, or what is decided."""
        try:
            asked = json.loads(frame)
            if asked["client"] == "submit":
                self._do(self.replica.submit(base64.b64decode(asked["value"], validate=True)))
                return {"ok": True}
            if asked["client"] == "leader":
                return {"leader": self.elected.leader, "epoch": self.elected.epoch}
            if asked["client"] == "decisions":
                after = int(asked["after"])
                return {"height": self.replica.height, "decisions": self._list(max(after, 0))}
            raise ValueError(f"no request {asked['client']!r}")
        except (ValueError, KeyError, TypeError, CoordinationError) as error:
            return {"error": str(error)}


    def _list(self, after: int) -> list[str]:
        """Decisions behind a height; not all, if that is much."""
        found: list[str] = []
        size = 0
        for decision in itertools.islice(self.replica.decisions, after, None):
            found.append(encode(decision).decode())
            size += len(found[-1])
            if size > _LISTED:
                break
        return found


def _listen(address: Address) -> socket.socket:
    if isinstance(address, str):
        with suppress(FileNotFoundError):
            os.unlink(address)  # the record's lock says that nobody else listens there
    made = new_socket(address)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(64)
    except BaseException:
        made.close()
        raise
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a replica until SIGTERM or SIGINT."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    if len(given) != 1:
        print("usage: node CONFIG.json", file=sys.stderr)
        return 2
    try:
        node = Node(NodeConfig.from_file(given[0]))
    except (CoordinationError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: node.stop())
    node.run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
