"""What a site sets for its Slurm cluster: partition, account, the way to its login node."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .base import InvalidJobError
from .commands import TIMEOUT
from .local import INHERITED

_WORD = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.,:@+-]*")
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@:\[\]-]*")
_EXTRA = re.compile(r"--[a-z][a-z0-9-]*(=[^\x00-\x1f\x7f]*)?")

#: Options of sbatch that the provider sets itself.
OWN_OPTIONS = frozenset(
    "--job-name --comment --nodes --ntasks --ntasks-per-node --no-requeue --requeue --no-kill"
    " --open-mode --output --error --input --export --export-file --array --wrap --parsable"
    " --wait --hold --test-only --cpus-per-task --gres --mem --time --clusters --get-user-env"
    " --partition --account --qos".split()
)


@dataclass(frozen=True, slots=True)
class SlurmOptions:
    """Options of :class:`SlurmProvider`.

    Args:
        partition, account, qos: as sbatch has them; None: the cluster's default.
        extra: further options of sbatch, such as ``--constraint=a100``.
        ssh_host: machine to run Slurm's commands on, ``name`` or ``user@name``; None: here.
        ssh_options: of ssh, before the host.
        ssh_program: ``ssh``, or what takes its place.
        timeout: seconds that each command may take.
        python: Python 3.9 or later, on the nodes; None: this one, by SSH ``python3``.
        inherit: names of variables that Slurm's commands, and with them workers, get from this
            process. By SSH, they get what the login there sets.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    extra: tuple[str, ...] = ()
    ssh_host: str | None = None
    ssh_options: tuple[str, ...] = ()
    ssh_program: str = "ssh"
    timeout: float = TIMEOUT
    python: str | None = None
    inherit: tuple[str, ...] = (*INHERITED, "SLURM_CONF")

    def __post_init__(self) -> None:
        for name in ("partition", "account", "qos"):
            value = getattr(self, name)
            if value is not None and not _WORD.fullmatch(value):
                raise InvalidJobError(f"{name} cannot be {value!r}")
        for option in self.extra:
            problem = extra_problem(option)
            if problem:
                raise InvalidJobError(problem)
        if self.ssh_host is not None and not _HOST.fullmatch(self.ssh_host):
            raise InvalidJobError(f"the SSH host cannot be {self.ssh_host!r}")
        if not 0 < self.timeout < float("inf"):
            raise InvalidJobError(f"timeout must be positive and finite, not {self.timeout!r}")

    def lines(self) -> list[str]:
        """Options of sbatch."""
        names = ("partition", "account", "qos")
        own = [f"--{name}={getattr(self, name)}" for name in names if getattr(self, name)]
        return [*own, *self.extra]

    def ssh_command(self) -> list[str]:
        """What goes before a command; nothing if it runs here."""
        if self.ssh_host is None:
            return []
        connect = max(1, int(self.timeout))
        return [
            self.ssh_program, "-o", "BatchMode=yes", "-o", f"ConnectTimeout={connect}",
            *self.ssh_options, "--", self.ssh_host,
        ]  # fmt: skip

    def environment(self) -> dict[str, str]:
        """Of commands that are run here. ssh needs more of ours, and gives it to nobody."""
        if self.ssh_host is not None:
            return dict(os.environ)
        return {name: os.environ[name] for name in self.inherit if name in os.environ}

    def absolute(self, root: str) -> str:
        """The folder of the jobs' folders, as an absolute path.

        Raises:
            InvalidJobError: it is on another machine, and relative.
        """
        if self.ssh_host is None:
            return str(Path(root).absolute())
        if not PurePosixPath(root).is_absolute():
            raise InvalidJobError(
                f"the workspace {root!r} on {self.ssh_host} must be an absolute path"
            )
        return str(PurePosixPath(root))


def extra_problem(option: str) -> str | None:
    """Why something cannot be an option of sbatch; None if it can."""
    if not _EXTRA.fullmatch(option):
        return f"{option!r} is no option of sbatch: write --name or --name=value"
    if option.partition("=")[0] in OWN_OPTIONS:
        return f"{option.partition('=')[0]} is set by the provider itself"
    return None
