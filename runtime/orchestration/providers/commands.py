"""Commands with a time of their own to answer in, on this machine or by SSH on another."""

from __future__ import annotations

import contextlib
import io
import os
import shlex
import signal
import subprocess
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from .base import Doubt, ProviderUnavailableError
from .workspace import ending

TIMEOUT = 5.0
_SSH_FAILED = 255
_SHOWN = 500  # characters of a command's complaint
_MOST_RECORD = 1 << 20
#: Slurm's words for a controller that was not there, or did not answer: nothing about jobs.
_UNREACHABLE = (
    "unable to contact slurm controller", "socket timed out", "connection refused",
    "connection timed out", "connection failure", "zero bytes were transmitted",
    "message receive failure", "protocol authentication error", "unexpected message received",
    "munge", "could not establish a configuration source", "no route to host",
    "resource temporarily unavailable",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of a command.

    Args:
        doubt: it gave no answer, and why; None if it gave one.
        code: its exit code; None without one.
        began: False if there is no such program here.
    """

    code: int | None
    output: bytes = b""
    complaint: str = ""
    doubt: Doubt | None = None
    began: bool = True

    @property
    def text(self) -> str:
        """Standard output as text."""
        return self.output.decode("utf-8", "replace")


class Commands:
    """Runs commands, each in a process group that is killed when its time is up.

    Args:
        timeout: seconds that each may take.
        ssh: program, options and host, which the command's words are put behind, quoted; empty: it
            runs here.
        environment: of commands that run here; nothing else of this process's comes along.
    """

    def __init__(
        self, timeout: float = TIMEOUT, ssh: Sequence[str] = (), *,
        environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.timeout = timeout
        self._ssh = tuple(ssh)
        self._environment = dict(os.environ if environment is None else environment)

    def run(self, command: Sequence[str], data: bytes = b"") -> Answer:
        """Run a command with some standard input; never raises for what becomes of it."""
        words = [*self._ssh, shlex.join(command)] if self._ssh else list(command)
        try:
            process = subprocess.Popen(
                words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                start_new_session=True, env=self._environment, cwd="/",
            )  # fmt: skip
        except OSError as error:
            complaint = f"{words[0]}: {error.strerror}"
            return Answer(None, b"", complaint, Doubt.UNREACHABLE, began=False)
        with process:
            try:
                output, errors = process.communicate(data, self.timeout)
            except subprocess.TimeoutExpired:
                complaint = f"{command[0]} did not answer within {self.timeout:g} s"
                return Answer(None, b"", complaint, Doubt.TIMEOUT)
            finally:
                _end(process)
        complaint = errors.decode("utf-8", "replace").strip()[-_SHOWN:]
        code = process.returncode
        if code and not complaint:
            complaint = f"{command[0]} {ending(code)}"
        return Answer(code, output, complaint, self._doubt(code, complaint))

    def _doubt(self, code: int, complaint: str) -> Doubt | None:
        if code == 0:
            return None
        if code < 0 or (self._ssh and code == _SSH_FAILED):
            return Doubt.UNREACHABLE
        said = complaint.lower()
        return Doubt.UNREACHABLE if any(words in said for words in _UNREACHABLE) else None

    def shell(self, script: str, *arguments: str, data: bytes = b"") -> Answer:
        """Run a shell's script; the arguments are its ``$1``, ``$2``..."""
        return self.run(["/bin/sh", "-c", script, "sh", *arguments], data)

    def read(
        self, folder: str, pattern: str, *names: str, depth: int = 3
    ) -> dict[str, bytes]:
        """Files below a folder whose path matches a regular expression of ``find``.

        Args:
            names: of what to look into; everything if none is given.
            depth: levels below the folder.

        Raises:
            ProviderUnavailableError: they could not be read; a folder that is not there is empty.
        """
        # find counts from the names that it is given
        levels = str(depth - 1 if names else depth)
        answer = self.shell(_READ, folder, pattern, levels, *(names or (".",)))
        if answer.code != 0:
            raise ProviderUnavailableError(f"cannot read {folder}: {answer.complaint}")
        files = {}
        try:
            with tarfile.open(fileobj=io.BytesIO(answer.output), mode="r:") as archive:
                for member in archive:
                    file = archive.extractfile(member) if member.size <= _MOST_RECORD else None
                    if file is not None:
                        files[member.name.removeprefix("./")] = file.read()
        except tarfile.ReadError:
            if answer.output:
                raise ProviderUnavailableError(f"cannot read {folder}: no archive came") from None
        return files

    def lay(self, folder: str, files: Mapping[str, bytes]) -> Answer:
        """Make a folder that only its owner may use, with files in it, all or nothing."""
        archive, now = io.BytesIO(), int(time.time())
        with tarfile.open(fileobj=archive, mode="w", format=tarfile.PAX_FORMAT) as tar:
            for path in sorted({str(Path(name).parent) for name in files} - {"."}):
                entry = tarfile.TarInfo(path)
                entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, 0o700, now
                tar.addfile(entry)
            for path, data in files.items():
                entry = tarfile.TarInfo(path)
                entry.size, entry.mode, entry.mtime = len(data), 0o600, now
                tar.addfile(entry, io.BytesIO(data))
        return self.shell(_LAY, folder, data=archive.getvalue())


_READ = """
cd "$1" 2>/dev/null || exit 0
pattern=$2 levels=$3
shift 3
find "$@" -maxdepth "$levels" -type f -regextype posix-extended -regex "(\\./)?($pattern)" \\
  -print0 2>/dev/null |
  tar --null --no-recursion --files-from=- --create --file=- --ignore-failed-read 2>/dev/null
exit 0
"""
_LAY = """
umask 077
mkdir -p "${1%/*}" && mkdir "$1" || exit 1
tar --extract --no-same-owner --directory="$1" --file=- || { rm -rf "$1"; exit 1; }
"""


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of a command's group."""
    with contextlib.suppress(ProcessLookupError):
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
