"""What this process and this machine use: processors, memory, network."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

_SHORTEST = 0.1  # seconds between two readings; the kernel counts in hundredths


@dataclass(frozen=True, slots=True)
class ResourceUsage:
    """Resources in use at one moment. Shares and rates are means since the sample before.

    Args:
        cpu: processors that this process kept busy; 1.5 is one and a half.
        machine_cpu: share of all ``cores`` that was busy, 0 to 1.
        memory_bytes: of this process, resident.
        machine_memory_bytes: that there is; available_memory_bytes: that could be had.
        sent_bytes, received_bytes: by the machine's networks since it was started: what one
            process sends is not counted by the system.
        sent_per_second, received_per_second: bytes.
        threads, open_files: of this process.
        uptime_seconds: since this process began.
    """

    cpu: float
    machine_cpu: float
    cores: int
    memory_bytes: int
    machine_memory_bytes: int
    available_memory_bytes: int
    sent_bytes: int
    received_bytes: int
    sent_per_second: float
    received_per_second: float
    threads: int
    open_files: int
    uptime_seconds: float

    @property
    def memory_utilization(self) -> float:
        """Share of the machine's memory that is not available, 0 to 1."""
        return 1 - self.available_memory_bytes / self.machine_memory_bytes


@dataclass(frozen=True, slots=True)
class _Reading:
    time: float
    process: float  # seconds of processor time
    busy: float
    total: float
    sent: int
    received: int


class ResourceMonitor:
    """Samples what is used. May be called from several threads.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._process = psutil.Process()
        self._lock = threading.Lock()  # guards what follows
        self._last = self._read()
        self._rates = (0.0, 0.0, 0.0, 0.0)

    def sample(self) -> ResourceUsage:
        """Look now. Of samples within a tenth of a second, the later have the first's rates."""
        with self._lock:
            now = self._read()
            if now.time - self._last.time >= _SHORTEST:
                self._rates = _rates(self._last, now)
                self._last = now
            cpu, machine, sent, received = self._rates
        memory, process = psutil.virtual_memory(), self._process
        with process.oneshot():
            return ResourceUsage(
                cpu, machine, psutil.cpu_count() or 1, process.memory_info().rss,
                memory.total, memory.available, now.sent, now.received, sent, received,
                process.num_threads(), process.num_fds(),
                max(0.0, time.time() - process.create_time()),
            )  # fmt: skip

    def _read(self) -> _Reading:
        own, machine = self._process.cpu_times(), psutil.cpu_times()
        network = psutil.net_io_counters()  # None without a network
        # A guest's time is in the user's already.
        total = sum(machine) - getattr(machine, "guest", 0.0) - getattr(machine, "guest_nice", 0.0)
        idle = machine.idle + getattr(machine, "iowait", 0.0)
        return _Reading(
            self._clock(), own.user + own.system, total - idle, total,
            network.bytes_sent if network else 0, network.bytes_recv if network else 0,
        )  # fmt: skip


def _rates(before: _Reading, now: _Reading) -> tuple[float, float, float, float]:
    seconds, machine = now.time - before.time, now.total - before.total
    share = (now.busy - before.busy) / machine if machine > 0 else 0.0
    return (
        max(0.0, now.process - before.process) / seconds,
        min(1.0, max(0.0, share)),
        max(0, now.sent - before.sent) / seconds,
        max(0, now.received - before.received) / seconds,
    )
