"""``swarm-config.toml``: what it may say, its defaults, and how it is read."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, model_validator

DEFAULT_PATH = "./swarm-config.toml"

_DAY = 24 * 3600 * 1000
Milliseconds = Annotated[int, Field(strict=True, gt=0, le=30 * _DAY)]
Count = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
#: At least one module of the largest size fits.
Mebibytes = Annotated[int, Field(strict=True, ge=16, le=1 << 20)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True, min_length=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DispatcherSection(_Section):
    """``[dispatcher]``

    Args:
        coordinator_endpoint: where commands find the router if none has the store in use.
        state_db_path: the store, a file.
        enable_websocket, websocket_port: whether and where others can connect; 0: any free port.
        retention: milliseconds for which a router keeps tasks and workflows that have ended.
        module_storage_mib: of modules that a router keeps for workers, at most.
    """

    coordinator_endpoint: Text = "ws://localhost:8080"
    state_db_path: Text = "./swarm-state.db"
    enable_websocket: Flag = True
    websocket_port: Annotated[int, Field(strict=True, ge=0, le=65535)] = 8080
    retention: Milliseconds = 7 * _DAY
    module_storage_mib: Mebibytes = 1024


class CoordinatorSection(_Section):
    """``[coordinator]``

    Args:
        max_workers: most workers at a time.
        heartbeat_interval, heartbeat_timeout: milliseconds, of workers in other processes.
        task_retry_limit: attempts beyond the first, of symbols that do not say it.
        enable_load_balancing: False: workers get tasks in the order of their registration.
        priority_queue_enabled: False: priorities do not count.
    """

    max_workers: Count = 100
    heartbeat_interval: Milliseconds = 100
    heartbeat_timeout: Milliseconds = 1500
    task_retry_limit: Annotated[int, Field(strict=True, ge=0, le=1000)] = 3
    enable_load_balancing: Flag = True
    priority_queue_enabled: Flag = True

    @model_validator(mode="after")
    def _times_fit(self) -> Self:
        if self.heartbeat_timeout <= self.heartbeat_interval:
            raise ValueError(
                f"heartbeat_timeout ({self.heartbeat_timeout}) must be more than"
                f" heartbeat_interval ({self.heartbeat_interval})"
            )
        return self


class Capabilities(_Section):
    """``[worker.capabilities]``: which of the three back ends a worker offers."""

    rust: Flag = True
    php: Flag = True
    powershell: Flag = True


class WorkerSection(_Section):
    """``[worker]``

    Args:
        node_name: for people.
        dispatcher_url: where it connects.
        heartbeat_interval: milliseconds.
        max_concurrent_tasks: how many tasks it runs at once.
        module_storage_mib: of modules that it keeps in the cache's folder, at most.
    """

    node_name: Text = "worker-node-1"
    dispatcher_url: Text = "ws://localhost:8080"
    heartbeat_interval: Milliseconds = 100
    max_concurrent_tasks: Count = 4
    module_storage_mib: Mebibytes = 1024
    capabilities: Capabilities = Capabilities()


class RustBackend(_Section):
    """``[backends.rust_injector]``"""

    enabled: Flag = True
    binary_path: Text = "../../wp_injector/target/release/wp_injector"
    timeout: Milliseconds = 30_000


class PhpBackend(_Section):
    """``[backends.php_engine]``"""

    enabled: Flag = True
    script_path: Text = "../../engine/php/symbolic-engine.php"
    php_binary: Text = "php"
    timeout: Milliseconds = 30_000


class PowershellBackend(_Section):
    """``[backends.powershell_engine]``"""

    enabled: Flag = True
    script_path: Text = "../../SymbolicEngine/core/symbolic.ps1"
    pwsh_binary: Text = "pwsh"
    timeout: Milliseconds = 30_000


class InternalBackend(_Section):
    """``[backends.internal]``

    Args:
        operations: functions of one's own, ``package.module:function``, by the names that
            symbols use.
    """

    enabled: Flag = True
    operations: dict[str, Text] = {}
    timeout: Milliseconds = 30_000


class WasmBackend(_Section):
    """``[backends.wasm]``

    Args:
        root: the folder where paths of modules begin.
    """

    enabled: Flag = True
    root: Text = "."
    timeout: Milliseconds = 30_000


class AnyProcessBackend(_Section):
    """``[backends.process]``: programs that manifests name. Off, because it lets manifests run
    anything."""

    enabled: Flag = False
    timeout: Milliseconds = 30_000


class CommandBackend(_Section):
    """``[backends.NAME]``: a program of one's own under a name of one's own."""

    enabled: Flag = True
    command: Annotated[list[Text], Field(min_length=1)]
    env: dict[str, str] = {}
    timeout: Milliseconds = 30_000


class BackendsSection(BaseModel):
    """``[backends]``"""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[str, CommandBackend]

    rust_injector: RustBackend = RustBackend()
    php_engine: PhpBackend = PhpBackend()
    powershell_engine: PowershellBackend = PowershellBackend()
    internal: InternalBackend = InternalBackend()
    wasm: WasmBackend = WasmBackend()
    process: AnyProcessBackend = AnyProcessBackend()

    @property
    def commands(self) -> dict[str, CommandBackend]:
        """Those of one's own."""
        return dict(self.__pydantic_extra__)

    def names(self) -> tuple[str, ...]:
        """Of all back ends, enabled or not."""
        return (*type(self).model_fields, *self.__pydantic_extra__)


class LogLevel(enum.Enum):
    """How much is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(enum.Enum):
    """How a line of the log looks."""

    TEXT = "text"
    JSON = "json"


class LoggingSection(_Section):
    """``[logging]``: what ``Logger.configure`` takes."""

    level: LogLevel = LogLevel.WARNING
    console: Flag = True
    format: LogFormat = LogFormat.TEXT


class SwarmConfig(_Section):
    """Everything that can be configured."""

    dispatcher: DispatcherSection = DispatcherSection()
    coordinator: CoordinatorSection = CoordinatorSection()
    worker: WorkerSection = WorkerSection()
    backends: BackendsSection = Field(default_factory=lambda: BackendsSection.model_validate({}))
    logging: LoggingSection = LoggingSection()

    _folder: Path = PrivateAttr(default_factory=Path)

    def path(self, text: str) -> Path:
        """A path that the configuration names: relative ones begin at its file's folder."""
        return self._folder / text

    def program(self, text: str) -> str:
        """A program: one without ``/`` is looked up in PATH."""
        path = str(self.path(text)) if "/" in text else text
        return path if "/" in path or "/" not in text else f"./{path}"  # pathlib drops the dot

    def within(self, folder: Path) -> Self:
        """The same, of a file in a folder."""
        made = self.model_copy()
        made._folder = folder
        return made


def load_config(path: str | Path | None = None) -> SwarmConfig:
    """Read a configuration.

    Args:
        path: None: ``./swarm-config.toml`` if it is there, else the defaults.

    Raises:
        DocumentError: with all mistakes, as ``FILE:LINE:COLUMN: what``.
    """
    if path is None and not Path(DEFAULT_PATH).exists():
        return SwarmConfig()
    from .documents.check import check
    from .documents.document import read_text
    from .documents.toml_reader import read_toml

    file = Path(path if path is not None else DEFAULT_PATH)
    name, text = read_text(file)
    config = check(SwarmConfig, read_toml(name, text)) if _says_something(text) else SwarmConfig()
    return config.within(file.parent)


def _says_something(text: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in text.splitlines())


def config_of(settings: dict[str, Any]) -> SwarmConfig:
    """A configuration from keys of ``[dispatcher]`` beside whole sections.

    >>> config_of({"state_db_path": "x.db", "worker": {"max_concurrent_tasks": 2}}).path("a")
    PosixPath('a')

    Raises:
        DocumentError: a key is unknown, or a value is wrong.
    """
    from .documents.check import check
    from .documents.document import Document

    data = {key: value for key, value in settings.items() if key in SwarmConfig.model_fields}
    rest = {key: value for key, value in settings.items() if key not in data}
    if rest:
        data["dispatcher"] = {**data.get("dispatcher", {}), **rest}
    return check(SwarmConfig, Document("settings", data))
