"""Processes that are killed and frozen, ways between them that are cut: what chaos is made of.

A *target* is something that faults happen to: a :class:`Process` that this one started, a
:class:`Victim` that somebody else did, a :class:`~swarmc.runtime.tools.fault_links.Link` between
two. :func:`plan` draws faults from a seed, a :class:`Storm` has them happen.
"""

from __future__ import annotations

import enum
import json
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import psutil

_POLL = 0.01  # seconds between looks at a process that is waited for


class FaultKind(enum.Enum):
    """What happens to a target."""

    KILL = "kill"  #: SIGKILL; the end of the fault starts it again
    FREEZE = "freeze"  #: SIGSTOP, then SIGCONT
    STALL = "stall"  #: a link holds all bytes: nobody is told
    CUT = "cut"  #: a link closes its connections, and takes no new ones


class Target(Protocol):
    """Something that faults happen to."""

    def begin(self, kind: FaultKind) -> None:
        """The fault begins."""

    def end(self, kind: FaultKind) -> None:
        """It is over."""


class Process:
    """A process of ours, which can be killed, frozen, and started again.

    What it writes goes to files of its folder, over all its lives: ``NAME.out`` and ``NAME.err``.

    Args:
        command: what to run; a callable is asked before each start.
        announces: whether it writes a line of JSON when it is ready; :meth:`start` waits for it.
        environment: besides our own.
    """

    def __init__(
        self, name: str, command: Sequence[str] | Callable[[], Sequence[str]], folder: Path, *,
        announces: bool = False, environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.name = name
        self.folder = folder
        self._command = command
        self._announces = announces
        self._environment = {**os.environ, **(environment or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self.facts: Any = None  #: what it announced last

    @property
    def pid(self) -> int:
        """Of the process that runs, or ran last."""
        if self._process is None:
            raise ProcessLookupError(f"{self.name} was never started")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it is there; a frozen one is."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """Of its last life; None: it never lived, or does."""
        return self._process.poll() if self._process is not None else None

    def start(self, timeout: float = 60.0) -> Any:
        """Start it; what it announced, if it announces.

        Raises:
            RuntimeError: it ended before it was ready, or is not ready in time.
        """
        command = self._command() if callable(self._command) else self._command
        out, err = self.folder / f"{self.name}.out", self.folder / f"{self.name}.err"
        with out.open("ab") as stdout, err.open("ab") as stderr:
            begin = stdout.tell()
            self._process = subprocess.Popen(
                command, cwd=self.folder, env=self._environment, stdin=subprocess.DEVNULL,
                stdout=stdout, stderr=stderr, start_new_session=True,
            )  # fmt: skip
        self.starts += 1
        if self._announces:
            self.facts = self._announced(out, begin, timeout)
        return self.facts

    def _announced(self, out: Path, begin: int, timeout: float) -> Any:
        end = time.monotonic() + timeout
        while True:
            ended = not self.running  # asked first: the line may come between the two
            with out.open("rb") as file:
                file.seek(begin)
                line = file.readline()
            if line.endswith(b"\n"):
                return json.loads(line)
            if ended or time.monotonic() > end:
                why = "ended" if ended else "said nothing"
                raise RuntimeError(f"{self.name} {why}: {self.errors()[-2000:]}")
            time.sleep(_POLL)

    def errors(self) -> str:
        """What it wrote to standard error, in all its lives."""
        return (self.folder / f"{self.name}.err").read_text(encoding="utf-8", errors="replace")

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; nothing if it has ended."""
        if self._process is not None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, and wait until it is gone. What it started itself lives on."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def terminate(self, timeout: float = 60.0) -> int:
        """Ask it to end; its exit code. After the timeout it is killed. Thaws it."""
        if self._process is None:
            raise ProcessLookupError(f"{self.name} was never started")
        for number in (signal.SIGTERM, signal.SIGCONT):
            self._process.send_signal(number)
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(timeout)
        self.kill()
        return self._process.returncode

    def begin(self, kind: FaultKind) -> None:
        """Kill or freeze it."""
        if kind is FaultKind.KILL:
            self.kill()
        elif kind is FaultKind.FREEZE:
            self.signal(signal.SIGSTOP)
        else:
            raise ValueError(f"a process cannot {kind.value}")

    def end(self, kind: FaultKind) -> None:
        """Start it again, or thaw it."""
        if kind is FaultKind.KILL:
            if not self.running:
                self.start()
        else:
            self.signal(signal.SIGCONT)

    def close(self) -> None:
        """End it, and whatever it started and left in its group; any number of times."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self.close()


class Victim:
    """A process that somebody else started: a node of a swarm, a daemon. Killed, it stays dead.

    It is told from others that may get its number later.
    """

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    def begin(self, kind: FaultKind) -> None:
        """Kill or freeze it; nothing if it has ended by itself."""
        with suppress(psutil.NoSuchProcess):
            if kind is FaultKind.KILL:
                self._process.kill()
            elif kind is FaultKind.FREEZE:
                self._process.suspend()
            else:
                raise ValueError(f"a process cannot {kind.value}")

    def end(self, kind: FaultKind) -> None:
        """Thaw it."""
        if kind is FaultKind.FREEZE:
            with suppress(psutil.NoSuchProcess):
                self._process.resume()


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a plan: from ``at`` seconds on, for ``seconds``."""

    at: float
    seconds: float
    target: str
    kind: FaultKind


def plan(
    seed: int, seconds: float, targets: Mapping[str, Sequence[FaultKind]], *,
    every: float = 3.0, lasting: tuple[float, float] = (0.2, 4.0),
) -> list[Fault]:  # fmt: skip
    """Faults that follow from the seed alone, in their order.

    Several targets may be in trouble at once, one target has one trouble at a time. All are over
    before ``seconds``.

    Args:
        targets: what may happen to each; a kind named twice is twice as likely.
        every: seconds from one fault to the next, on average.
        lasting: seconds of a fault: least and most. Half of them last less than the geometric mean.
    """
    lots = random.Random(seed)
    choices = [(name, kind) for name, kinds in targets.items() for kind in kinds]
    free = dict.fromkeys(targets, 0.0)  # when the target is well again
    found: list[Fault] = []
    at = 0.0
    while choices:
        at += lots.expovariate(1 / every)
        name, kind = lots.choice(choices)
        least, most = lasting
        length = least * (most / least) ** lots.random()
        if at + length > seconds:
            break
        if at >= free[name]:
            found.append(Fault(at, length, name, kind))
            free[name] = at + length + least
    return found


class Storm:
    """Has the faults of a plan happen, in a thread.

    Args:
        tell: called with a line for each thing that happens.
    """

    def __init__(
        self, faults: Sequence[Fault], targets: Mapping[str, Target],
        tell: Callable[[str], None] = lambda line: None,
    ) -> None:  # fmt: skip
        self._targets = targets
        self._tell = tell
        steps = [(fault.at, True, fault) for fault in faults]
        steps += [(fault.at + fault.seconds, False, fault) for fault in faults]
        self._steps = sorted(steps, key=lambda step: step[0])
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="swarmc-storm", daemon=True)
        self.happened: list[Fault] = []
        self.error: Exception | None = None  #: what went wrong with a fault itself

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether it has begun and not passed."""
        return self._thread.is_alive()

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has passed. Raises what went wrong with a fault."""
        self._thread.join(timeout)
        if self.error is not None:
            raise self.error

    def stop(self) -> None:
        """End it before its time: what has begun is ended."""
        self._stopping.set()
        self.join()

    def _run(self) -> None:
        begun = time.monotonic()
        under: list[Fault] = []
        try:
            for due, begins, fault in self._steps:
                self._stopping.wait(max(0.0, begun + due - time.monotonic()))
                if begins and not self._stopping.is_set():
                    self._tell(f"{fault.kind.value} {fault.target} for {fault.seconds:.1f} s")
                    under.append(fault)
                    self.happened.append(fault)
                    self._targets[fault.target].begin(fault.kind)
                elif not begins and fault in under:
                    under.remove(fault)
                    self._targets[fault.target].end(fault.kind)
        except Exception as error:
            self.error = error
            for fault in under:
                with suppress(Exception):
                    self._targets[fault.target].end(fault.kind)
