"""The configuration file: its defaults, its mistakes, and the template that has all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmc.runtime.orchestration.config_file import (
    DEFAULT_PATH,
    SwarmConfig,
    config_of,
    load_config,
)
from swarmc.runtime.orchestration.config_template import TEMPLATE
from swarmc.runtime.orchestration.documents.document import DocumentError


def written(folder: Path, text: str) -> Path:
    path = folder / "c.toml"
    path.write_text(text)
    return path


def mistakes(folder: Path, text: str) -> list[str]:
    with pytest.raises(DocumentError) as raised:
        load_config(written(folder, text))
    lines = [line.removeprefix(f"{folder}/") for line in str(raised.value).splitlines()]
    return lines[1:] if len(lines) > 1 else lines


def test_the_template_says_the_defaults(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, TEMPLATE))
    assert config.model_dump() == SwarmConfig().model_dump()
    for name, section in SwarmConfig().model_dump().items():
        assert f"[{name}]" in TEMPLATE or all(f"[{name}.{inner}]" in TEMPLATE for inner in section)


def test_without_a_file_there_are_defaults(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config().model_dump() == SwarmConfig().model_dump()
    with pytest.raises(DocumentError, match=r"missing\.toml: cannot be read: No such file"):
        load_config("missing.toml")
    Path(DEFAULT_PATH).write_text("[worker]\nmax_concurrent_tasks = 7\n")
    assert load_config().worker.max_concurrent_tasks == 7
    assert load_config(written(tmp_path, "# nothing\n")).worker.max_concurrent_tasks == 4


def test_slow_heartbeats_are_taken(tmp_path: Path) -> None:
    text = "[coordinator]\nheartbeat_interval = 5000\nheartbeat_timeout = 15000\n"
    coordinator = load_config(written(tmp_path, text)).coordinator
    assert (coordinator.heartbeat_interval, coordinator.heartbeat_timeout) == (5000, 15_000)


def test_paths_begin_at_the_file(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, "[worker]\nnode_name = 'x'\n"))
    assert config.path("a/b") == tmp_path / "a/b"
    assert config.path("/a") == Path("/a")
    assert config.program("php") == "php"
    assert config.program("./php") == str(tmp_path / "php")
    assert SwarmConfig().program("./php") == "./php"


def test_every_mistake_at_once(tmp_path: Path) -> None:
    assert mistakes(tmp_path, """\
[coordinator]
maxworkers = 4
heartbeat_interval = 0.5
[backends.mine]
command = "x"
[backends.rust_injector]
binarypath = "x"
enabled = "yes"
[backends.other]
[logging]
level = "loud"
[dispatcher]
websocket_port = 70000
[wrker]
""") == [
        "c.toml:2:1: unknown key 'maxworkers': did you mean max_workers?",
        "c.toml:3:22: coordinator.heartbeat_interval must be a whole number, not 0.5",
        "c.toml:5:11: backends.mine.command must be a list, not 'x'",
        "c.toml:7:1: unknown key 'binarypath': did you mean binary_path?",
        "c.toml:8:11: backends.rust_injector.enabled must be true or false, not 'yes'",
        "c.toml:9:1: 'command' is missing in backends.other",
        "c.toml:11:9: logging.level must be one of debug, info, warning, error, not 'loud'",
        "c.toml:13:18: dispatcher.websocket_port must be at most 65535, not 70000",
        "c.toml:14:2: unknown key 'wrker': did you mean worker?",
    ]


def test_heartbeats_must_fit(tmp_path: Path) -> None:
    assert mistakes(tmp_path, "[coordinator]\nheartbeat_interval = 5000\n") == [
        "c.toml:1:1: coordinator: heartbeat_timeout (1500) must be more than heartbeat_interval"
        " (5000)"
    ]


def test_settings_in_python() -> None:
    config = config_of({"state_db_path": "x.db", "worker": {"max_concurrent_tasks": 2}})
    assert config.dispatcher.state_db_path == "x.db"
    assert config.worker.max_concurrent_tasks == 2
    mine = config_of({"backends": {"mine": {"command": ["true"]}}})
    assert mine.backends.commands["mine"].command == ["true"]
    assert mine.backends.names()[-1] == "mine"
    with pytest.raises(DocumentError, match="settings: unknown key 'state_db': did you mean"):
        config_of({"state_db": "x"})
