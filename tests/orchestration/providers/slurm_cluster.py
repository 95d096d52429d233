"""A real Slurm cluster of four nodes on this machine, for as long as tests need one.

Everything lies in one folder: configuration, keys, sockets, state, logs. The daemons know of no
other Slurm, use ports of their own, and are killed with whatever they started, however tests end.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PROGRAMS = (
    "slurmctld", "slurmd", "munged", "sbatch", "squeue", "scancel", "srun", "sinfo", "setpriv",
)  # fmt: skip
NODES = 4
CPUS = 2

_CONFIGURATION = """
ClusterName=swarmctest
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MpiDefault=none
ReturnToService=2
SlurmdTimeout={silence}
SlurmctldTimeout=10
MessageTimeout=2
MinJobAge=2
KillWait=30
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0
GresTypes=gpu
{nodes}
PartitionName=main Nodes=n[1-{count}] Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why no cluster can be started here; empty if one can."""
    absent = [program for program in PROGRAMS if shutil.which(program) is None]
    if absent:
        return f"Slurm is not installed: no {', '.join(absent)} (packages slurm-wlm and munge)"
    if os.geteuid() != 0:
        return "a Slurm cluster is started by root only"
    return ""


class SlurmCluster:
    """One controller, four node daemons, and the munged that vouches for them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.conf = folder / "slurm.conf"
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        # Jobs outlive their daemons: somebody has to end them if this process is killed.
        self._reaper = subprocess.Popen(
            [sys.executable, __file__, str(folder)], stdin=subprocess.PIPE, start_new_session=True
        )

    @property
    def environment(self) -> dict[str, str]:
        """Of this process, and the way to this cluster."""
        plain = {k: v for k, v in os.environ.items() if not k.startswith(("SLURM", "SBATCH"))}
        return {**plain, "SLURM_CONF": str(self.conf)}

    def start(self) -> None:
        """Start everything, and wait until all nodes are idle."""
        self._configure()
        self.start_munge()
        self.start_controller()
        for number in range(1, NODES + 1):
            self.start_node(number)
        self.wait_idle()

    def start_munge(self) -> None:
        """Start who vouches for the users of Slurm's commands."""
        (self.folder / "munge.socket").unlink(missing_ok=True)
        self._start_daemon(
            "munged", "munged", "--force", "--foreground", "--num-threads=2",
            f"--socket={self.folder}/munge.socket", f"--key-file={self.folder}/munge.key",
            f"--pid-file={self.folder}/munge.pid", f"--seed-file={self.folder}/munge.seed",
            f"--log-file={self.folder}/munged.log",
        )  # fmt: skip
        wait(lambda: (self.folder / "munge.socket").exists(), 10, "munged has a socket")

    def _configure(self) -> None:
        from ..ports import free_ports  # here, because the reaper runs this file by itself

        (self.folder / "state").mkdir(parents=True)
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        host = socket.gethostname()
        controller, *ports = free_ports(1 + NODES)
        nodes = [
            f"NodeName=n{number} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={CPUS}"
            " RealMemory=2000 Gres=gpu:1"
            for number, port in enumerate(ports, 1)
        ]
        text = _CONFIGURATION.format(
            host=host, controller=controller, folder=self.folder, nodes="\n".join(nodes),
            count=NODES, silence=4,
        )  # fmt: skip
        self.conf.write_text(text)
        (self.folder / "gres.conf").write_text(
            f"NodeName=n[1-{NODES}] Name=gpu File=/dev/null\n"
        )

    def _start_daemon(self, name: str, *command: str) -> None:
        with open(self.folder / f"{name}.out", "ab") as log:
            self._daemons[name] = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", *command], env=self.environment, cwd="/",
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def start_controller(self) -> None:
        """Start slurmctld with the state that it wrote down last."""
        self._start_daemon("slurmctld", "slurmctld", "-D", "-f", str(self.conf))
        wait(lambda: self.ask("sinfo", "-h") != "", 20, "slurmctld answers")

    def start_node(self, number: int) -> None:
        """Start the slurmd of a node."""
        self._start_daemon(f"n{number}", "slurmd", "-D", "-N", f"n{number}", "-f", str(self.conf))

    def kill(self, name: str) -> None:
        """Kill ``slurmctld`` or a slurmd, ``n1``...; what runs on the nodes goes on."""
        daemon = self._daemons.pop(name)
        daemon.kill()
        daemon.wait()

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a daemon a signal."""
        self._daemons[name].send_signal(number)

    @contextlib.contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """Stop a daemon for a while: it takes connections, and never answers."""
        self.signal(name, signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(name, signal.SIGCONT)

    def running(self, name: str) -> bool:
        """Whether a daemon was started, not killed, and has not ended by itself."""
        return name in self._daemons and self._daemons[name].poll() is None

    def heal(self) -> None:
        """End all jobs, and have every daemon there again."""
        if not self.running("munged"):
            self.start_munge()
        if not self.running("slurmctld"):
            self.start_controller()
        for number in range(1, NODES + 1):
            if not self.running(f"n{number}"):
                self.start_node(number)
        self.ask("scancel", "--me")
        try:
            self.wait_idle(5)
        except AssertionError:  # steps that ended without a controller wait for a minute
            self.stop()
            shutil.rmtree(self.folder)
            self.start()

    def ask(self, *command: str) -> str:
        """What a command of Slurm's prints; nothing if it fails or takes long."""
        try:
            return subprocess.run(
                command, env=self.environment, capture_output=True, text=True, timeout=5
            ).stdout
        except subprocess.TimeoutExpired:
            return ""

    def machine(self, number: int) -> str:
        """What Slurm says of a node, such as ``idle``."""
        return self.ask("sinfo", "-h", "-n", f"n{number}", "-o", "%T").strip()

    def wait_idle(self, seconds: float = 30) -> None:
        """Wait until all nodes are, and no job is active."""
        def idle() -> bool:
            if self.ask("squeue", "-h"):
                return False
            return self.ask("sinfo", "-h", "-o", "%D %T").strip() == f"{NODES} idle"

        wait(idle, seconds, "all nodes are idle")

    def wait_saved(self) -> None:
        """Wait until the controller has written down all that it knows now."""
        now = time.time()
        state = self.folder / "state" / "job_state"
        self.ask("sbatch", "--hold", "--wrap=true", "-o", "/dev/null", "--job-name=marker")
        wait(lambda: state.exists() and state.stat().st_mtime > now, 15, "the state is saved")
        self.ask("scancel", "--name=marker")

    def stop(self) -> None:
        """Kill every process that belongs to the cluster, jobs included."""
        for daemon in self._daemons.values():
            daemon.kill()
            daemon.wait()
        kill_all(self.folder)

    def close(self) -> None:
        """Stop for good."""
        self.stop()
        self._reaper.communicate(timeout=20)


def kill_all(folder: Path) -> None:
    """Kill what belongs to a cluster, and what that starts meanwhile."""
    deadline = time.monotonic() + 10
    while found := list(processes_of(folder)):
        for pid in found:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        assert time.monotonic() < deadline, f"these cannot be killed: {found}"
        time.sleep(0.02)


def processes_of(folder: Path) -> Iterator[int]:
    """Those that live and whose command or environment names the folder; not this one."""
    needle = os.fsencode(folder) + b"/"
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            if b") Z " in (entry / "stat").read_bytes():
                continue
            text = (entry / "environ").read_bytes() + (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if needle in text:
            yield int(entry.name)


def wait(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


@contextlib.contextmanager
def slurm_cluster(folder: Path) -> Iterator[SlurmCluster]:
    """A cluster; the test is skipped where there can be none."""
    why = missing()
    if why:
        pytest.skip(why)
    cluster = SlurmCluster(folder / "slurm")
    try:
        for attempt in (1, 2, 3):  # somebody may take a port between the look and the start
            try:
                cluster.start()
                break
            except AssertionError:
                if attempt == 3:
                    raise
                cluster.stop()
                shutil.rmtree(cluster.folder)
        yield cluster
    finally:
        cluster.close()
        assert list(processes_of(cluster.folder)) == []


if __name__ == "__main__":
    sys.stdin.buffer.read()  # until who started this has ended
    kill_all(Path(sys.argv[1]))
