"""Replicas as processes, links between them that can be cut, and a check of what they decided."""

from __future__ import annotations

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from swarmc.runtime.orchestration.coordinator.messages import Decision, check_decision
from swarmc.runtime.orchestration.coordinator.quorum import Group
from swarmc.runtime.orchestration.coordinator.signing import Ed25519Signer, Ed25519Verifier
from swarmc.runtime.orchestration.coordinator.sockets import call
from swarmc.runtime.orchestration.coordinator.wire import decode

_TIMEOUTS = {
    "propose": 0.3, "prevote": 0.15, "precommit": 0.15, "growth": 0.1, "gossip": 0.1, "idle": 0.4,
}  # fmt: skip


class Link:
    """The way from one replica to another, which can be cut."""

    def __init__(self, entrance: str, exit: str) -> None:
        self.cut = False
        self._exit = exit
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()  # guards the list
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(entrance)
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                come, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pump, args=(come,), daemon=True).start()

    def _pump(self, come: socket.socket) -> None:
        go = socket.socket(socket.AF_UNIX)
        with self._lock:
            self._open += [come, go]
        with come, go, suppress(OSError):
            if not self.cut:
                go.connect(self._exit)
                while data := come.recv(65536):
                    if self.cut:
                        break
                    go.sendall(data)
        with self._lock:
            self._open.remove(come)
            self._open.remove(go)

    def set(self, cut: bool) -> None:
        self.cut = cut
        if cut:
            self._shut()

    def _shut(self) -> None:
        with self._lock:
            for end in self._open:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._shut()


class Cluster:
    """Some replicas in a folder, whose path must be short."""

    def __init__(self, folder: Path, members: int = 4) -> None:
        self.folder = folder
        self.names = [f"r{number}" for number in range(members)]
        keys = {
            name: Ed25519Signer.from_file(folder / f"{name}.key").public_key
            for name in self.names
        }
        self.group = Group("processes", keys)
        self._verifier = Ed25519Verifier(keys)
        self.links = {
            (a, b): Link(f"{folder}/{a}{b}", f"{folder}/{b}")
            for a in self.names for b in self.names if a != b
        }  # fmt: skip
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.errors = (folder / "errors").open("ab")
        #: What each replica was ever seen to have decided.
        self.seen: dict[str, dict[int, bytes]] = {name: {} for name in self.names}
        for name in self.names:
            self._configure(name)
            self.start(name)

    def _configure(self, name: str) -> None:
        folder = self.folder
        peers = {other: f"unix:{folder}/{name}{other}" for other in self.names if other != name}
        (folder / f"{name}.json").write_text(json.dumps({
            "me": name, "group": self.group.name, "listen": f"unix:{folder}/{name}",
            "keys": {member: key.hex() for member, key in self.group.keys.items()},
            "peers": peers, "key": f"{folder}/{name}.key", "record": f"{folder}/{name}.record",
            "timeouts": _TIMEOUTS,
        }))  # fmt: skip

    # Doing something to them

    def start(self, name: str) -> None:
        module = "swarmc.runtime.orchestration.coordinator.node"
        self._processes[name] = subprocess.Popen(
            [sys.executable, "-m", module, f"{self.folder}/{name}.json"], stderr=self.errors
        )

    def kill(self, name: str) -> None:
        process = self._processes.pop(name)
        process.kill()
        process.wait(60)

    def signal(self, name: str, number: signal.Signals) -> None:
        os.kill(self._processes[name].pid, number)

    def split(self, one_side: Iterable[str]) -> None:
        side = set(one_side)
        for (a, b), link in self.links.items():
            link.set((a in side) != (b in side))

    def heal(self) -> None:
        self.split(())

    def close(self) -> list[int]:
        """End all; their exit codes."""
        for process in self._processes.values():
            process.send_signal(signal.SIGCONT)
            process.terminate()
        codes = [process.wait(60) for process in self._processes.values()]
        for link in self.links.values():
            link.close()
        self.errors.close()
        return codes

    # Asking them

    def ask(self, name: str, question: dict[str, Any]) -> dict[str, Any] | None:
        """An answer; None: it does not answer."""
        try:
            text = call(f"{self.folder}/{name}", json.dumps(question).encode(), 10.0)
        except OSError:
            return None
        answer: dict[str, Any] = json.loads(text)
        return answer

    def submit(self, name: str, value: bytes) -> bool:
        answer = self.ask(
            name, {"client": "submit", "value": base64.b64encode(value).decode()}
        )
        return answer == {"ok": True}

    def look(self, name: str) -> dict[int, bytes] | None:
        """What a replica has decided: with certificates, and never otherwise than before."""
        found: dict[int, bytes] = {}
        while True:
            answer = self.ask(name, {"client": "decisions", "after": len(found)})
            if answer is None:
                return None
            for text in answer["decisions"]:
                decision = decode(text.encode())
                assert isinstance(decision, Decision)
                check_decision(decision, self.group, self._verifier)
                found[decision.height] = decision.value
            if len(found) + 1 >= answer["height"]:
                break
        earlier = self.seen[name]
        lost = {height for height in earlier if found.get(height) != earlier[height]}
        assert not lost, f"{name} has decided {lost} otherwise, or not at all"
        earlier.update(found)
        return found

    def heights(self) -> list[int]:
        """How much each has decided; all must answer."""
        found = [self.look(name) for name in self.names]
        assert None not in found
        return [len(decided) for decided in found if decided is not None]

    def check(self) -> None:
        """All that was ever seen agrees."""
        decided: dict[int, bytes] = {}
        for history in self.seen.values():
            for height, value in history.items():
                assert decided.setdefault(height, value) == value, f"at {height}"
        assert len(set(decided.values())) == len(decided), "a value was decided twice"

    def wait(self, until: Callable[[], bool], timeout: float) -> bool:
        end = time.monotonic() + timeout
        while not until():
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True

    def have(self, names: Iterable[str], values: Iterable[bytes]) -> Callable[[], bool]:
        """Whether these replicas have all decided these values; asks for them again and again."""
        names, values = list(names), list(values)

        def look() -> bool:
            done = True
            for name in names:
                found = set((self.look(name) or {}).values())
                for value in values:
                    if value not in found:
                        done = False
                        self.submit(name, value)
            return done

        return look
