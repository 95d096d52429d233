"""Starting a process, killing it at a point that chance chooses, and reading what it had said."""

from __future__ import annotations

import random
import time

from .forking import Forker


def run_and_kill(
    forker: Forker, arguments: tuple[object, ...], chance: random.Random, *, most_lines: int = 200
) -> list[str]:
    """Run a Python program until it has printed a number of lines, then kill -9 it.

    Args:
        arguments: the program's; its first line must be ``ready``.
        most_lines: it is killed after 0 to so many further lines, and up to 3 ms.

    Returns:
        All whole lines that it printed after the first.
    """
    lines, pause = chance.randrange(most_lines + 1), chance.random() * 0.003
    child = forker.start(*arguments)
    try:
        began = child.stdout.readline()
        said = [child.stdout.readline() for _ in range(lines)] if began == b"ready\n" else []
        time.sleep(pause)
        alive = child.alive()
    finally:
        rest, errors = child.kill()
    assert alive, f"it ended by itself: {errors}"
    assert (began, errors) == (b"ready\n", "")
    said += rest.splitlines(keepends=True)
    return [line.decode().rstrip("\n") for line in said if line.endswith(b"\n")]
