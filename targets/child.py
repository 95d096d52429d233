"""Other Python processes that do part of the work: plain interpreters running one function.

``multiprocessing`` would run the user's main script again in each.
"""

from __future__ import annotations

import os
import subprocess
import sys
from typing import IO

from ..errors import TargetError

Handle = int | IO[bytes]


def start_child(
    module: str,
    *args: str,
    stdin: Handle = subprocess.DEVNULL,
    stdout: Handle = subprocess.DEVNULL,
    stderr: Handle = subprocess.DEVNULL,
    new_session: bool = False,
) -> subprocess.Popen[bytes]:
    """Run ``main()`` of a module of swarmc in a process that finds the same packages.

    Raises:
        TargetError: this machine cannot start one.
    """
    if not sys.executable:
        raise TargetError("no Python interpreter is known that could run a second process")
    try:
        return subprocess.Popen(
            [sys.executable, "-c", f"from {module} import main; main()", *args],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
            start_new_session=new_session,
        )
    except OSError as error:
        raise TargetError(f"cannot start a second process: {error}") from error


def last_line(errors: bytes) -> str:
    """What a process said last on standard error."""
    return errors.decode(errors="replace").strip().rpartition("\n")[2]
