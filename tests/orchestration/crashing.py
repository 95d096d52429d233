"""Starting a process, killing it at a point that chance chooses, and reading what it had said."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path


def run_and_kill(
    arguments: Sequence[str | Path], chance: random.Random, *, most_lines: int = 200
) -> list[str]:
    """Run a Python program until it has printed a number of lines, then kill -9 it.

    Args:
        arguments: the program and its arguments; its first line must be ``ready``.
        most_lines: it is killed after 0 to so many further lines, and up to 3 ms.

    Returns:
        All whole lines that it printed after the first.
    """
    lines, pause = chance.randrange(most_lines + 1), chance.random() * 0.003
    program = [sys.executable, *map(str, arguments)]
    child = subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stderr is not None
    try:
        if child.stdout.readline() != b"ready\n":
            raise AssertionError(f"it did not start: {child.stderr.read().decode()}")
        said = [child.stdout.readline() for _ in range(lines)]
        time.sleep(pause)
        alive = child.poll() is None
    finally:
        child.kill()
    said += child.stdout.readlines()
    errors = child.stderr.read().decode()
    child.stdout.close()
    child.stderr.close()
    child.wait()
    assert alive, f"it ended by itself: {errors}"
    assert errors == "", errors
    return [line.decode().rstrip("\n") for line in said if line.endswith(b"\n")]
