"""The quick start of document 003, with its commands as processes, in its order."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .router.shell import Shell, shell_in
from .test_names_003 import STATUS, stub
from .workflow_document import YAML

pytest.importorskip("distributed")  # workers of tasks need swarmc[cluster]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shell]:
    monkeypatch.chdir(tmp_path)
    with shell_in(tmp_path) as made:
        yield made


def test_quick_start(shell: Shell) -> None:
    assert shell.run("config", "./swarm-config.toml").returncode == 0
    port, text = shell.port, Path("swarm-config.toml").read_text()
    answer = 'print(json.dumps(task["parameters"]))\n'
    for documented, ours in (
        ("8080", str(port)),
        ("../../wp_injector/target/release/wp_injector", stub("injector", answer)),
        ('"php"', f'"{stub("php", answer)}"'),
        ("../../engine/php/symbolic-engine.php", stub("engine.php", "")),
        ("heartbeat_timeout = 1500", "heartbeat_timeout = 60000"),  # of a busy machine
    ):
        assert documented in text, documented
        text = text.replace(documented, ours)
    Path("swarm-config.toml").write_text(text)
    Path("my-workflow.yaml").write_text(YAML)

    shell.start("--no-worker")
    assert shell.facts["router"] == f"ws://127.0.0.1:{port}"
    workers = [shell.begin("start-worker", "./swarm-config.toml", f"worker-{n}", "--json",
                           named=False) for n in (1, 2)]  # fmt: skip
    try:
        for worker in workers:
            assert worker.stdout is not None
            json.loads(worker.stdout.readline())
        done = shell.run("deploy", "./my-workflow.yaml", named=False)
        assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "Completed: 3/3"), done.stderr
        status = shell.run("status", named=False)
        told = status.stdout.splitlines()
        assert [re.sub(r"\d+", "N", line) for line in told] == [
            re.sub(r"\d+", "N", line) for line in STATUS.splitlines()
        ]
        assert told[1:4] == ["  Active nodes: 2", "    Idle: 2", "    Busy: 0"]
        assert "  Completed tasks: 3" in told and "  Failed tasks: 0" in told
        assert "  tasks: 3 records" in told and "  executions: 3 records" in told
    finally:
        for worker in workers:
            worker.terminate()
        codes = [worker.wait(60) for worker in workers]
    assert codes == [0, 0]  # what ran has ended
