"""Swarms in a Slurm cluster while everything fails, its daemons as well.

``python -m tests.orchestration.chaos_slurm --minutes 30`` from the repository's folder, as root.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from swarmc.runtime.tools.chaos_swarms import Chaos, Options, report
from swarmc.runtime.tools.faults import FaultKind

from .providers.slurm_cluster import NODES, SlurmCluster, slurm_cluster

KINDS = (FaultKind.KILL, FaultKind.FREEZE)


class Daemon:
    """A daemon of the cluster."""

    def __init__(self, cluster: SlurmCluster, name: str) -> None:
        self._cluster, self._name = cluster, name

    def begin(self, kind: FaultKind) -> None:
        """Kill or freeze it."""
        if kind is FaultKind.KILL:
            self._cluster.kill(self._name)
        else:
            self._cluster.signal(self._name, signal.SIGSTOP)

    def end(self, kind: FaultKind) -> None:
        """Start it again, or thaw it."""
        if kind is FaultKind.FREEZE:
            self._cluster.signal(self._name, signal.SIGCONT)
        elif self._name == "slurmctld":
            self._cluster.start_controller()
        else:
            self._cluster.start_node(int(self._name.removeprefix("n")))


def chaos_in(cluster: SlurmCluster, folder: Path, options: Options) -> Chaos:
    """Chaos whose swarms run in a cluster, and whose faults befall it, too."""
    names = ["slurmctld", *(f"n{number}" for number in range(1, NODES + 1))]
    os.environ["SLURM_CONF"] = str(cluster.conf)
    return Chaos(
        folder, options, cluster={"provider": "slurm", "slurm": {"timeout": 2000}},
        others={name: (Daemon(cluster, name), KINDS) for name in names},
    )  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it; 0 if nothing was wrong."""
    parser = argparse.ArgumentParser(prog="chaos_slurm", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--every", type=float, default=2.0, help="seconds between faults")
    chosen = parser.parse_args(arguments)
    options = Options(chosen.minutes * 60, chosen.seed, every=chosen.every)
    with tempfile.TemporaryDirectory(prefix="swarmc-chaos-") as name:
        folder = Path(name)
        (folder / "work").mkdir()
        with slurm_cluster(folder) as cluster, chaos_in(cluster, folder / "work", options) as chaos:
            return report(chaos)


if __name__ == "__main__":
    sys.exit(main())
