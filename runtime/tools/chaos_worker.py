"""A task worker whose way to the engine leads through a link.

``python -m swarmc.runtime.tools.chaos_worker CONFIG NAME ROUTER TOKEN PORT FILE``: it is
``swarmc start-worker``, but connects to the engine at PORT of this machine, and writes where the
engine really is to FILE, before it does.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..orchestration.cluster.worker import TaskWorker, TaskWorkerConfig
from ..orchestration.config_file import SwarmConfig, load_config


class LinkedWorker(TaskWorker):
    """A worker that finds the engine somewhere else than it was told."""

    def __init__(
        self, config: TaskWorkerConfig, settings: SwarmConfig, port: int, file: Path
    ) -> None:
        super().__init__(config, settings)
        make = self._make_runner

        def through_the_link(engine: str, *more: Any) -> Any:
            beside = file.with_suffix(".new")
            beside.write_text(engine)
            os.replace(beside, file)
            there = urlsplit(engine)
            return make(f"{there.scheme}://127.0.0.1:{port}", *more)

        self._make_runner = through_the_link  # type: ignore[assignment]


def main() -> int:
    """The command."""
    config, name, router, token, port, file = sys.argv[1:]
    logging.basicConfig(format="%(asctime)s %(name)s: %(message)s")
    settings = load_config(Path(config))
    worker = LinkedWorker(
        TaskWorkerConfig(
            router, name, Path(token).read_text(encoding="utf-8").strip(),
            keys=Path(file).with_name("keys"), domain=name, patience=600.0,
        ), settings, int(port), Path(file),
    )  # fmt: skip
    signal.signal(signal.SIGTERM, lambda number, frame: worker.drain())
    return 0 if worker.run() else 1


if __name__ == "__main__":
    sys.exit(main())
