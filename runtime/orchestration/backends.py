"""Executors as a configuration describes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from .config_file import SwarmConfig
from .errors import OrchestrationError, TaskError
from .executors.calls import Call
from .executors.internal import Operation, State
from .interfaces import Executor
from .workflow.schema import Rollback, Symbol, WorkflowManifest
from .workflow.tasks import TaskDefaults

#: Which capability of a worker stands for which back end.
_CAPABILITY = {"rust_injector": "rust", "php_engine": "php", "powershell_engine": "powershell"}


def make_executors(
    config: SwarmConfig,
    *,
    operations: Mapping[str, Operation | str] | None = None,
    state: State | None = None,
) -> dict[str, Executor]:
    """The executors that are enabled and that the worker offers, by name.

    Args:
        operations: for ``internal``, besides those configured.
        state: of ``set_state`` and its like.
    """
    def internal() -> Executor:
        from .executors.internal import InternalExecutor

        both = {**config.backends.internal.operations, **(operations or {})}
        return InternalExecutor(both, state=state)

    makers: dict[str, Callable[[], Executor]] = {
        "rust_injector": partial(_rust, config), "php_engine": partial(_php, config),
        "powershell_engine": partial(_powershell, config), "internal": internal,
        "wasm": partial(_wasm, config), "process": partial(_process, config),
        **{name: partial(_command, config, name) for name in config.backends.commands},
    }  # fmt: skip
    return {name: make() for name, make in makers.items() if not why_not(config, name)}


def why_not(config: SwarmConfig, name: str) -> str | None:
    """What keeps an executor from being offered, as the setting to change; None: it is."""
    capability = _CAPABILITY.get(name)
    if not getattr(config.backends, name).enabled:
        return f"backends.{name}.enabled = true"
    if capability is not None and not getattr(config.worker.capabilities, capability):
        return f"worker.capabilities.{capability} = true"
    return None


def task_defaults(config: SwarmConfig) -> TaskDefaults:
    """What symbols get that do not say it."""
    timeouts = {name: getattr(config.backends, name).timeout for name in config.backends.names()}
    coordinator = config.coordinator
    return TaskDefaults(
        coordinator.task_retry_limit, timeouts, coordinator.priority_queue_enabled
    )


class ExecutorsMissingError(OrchestrationError):
    """A workflow needs executors that cannot work here.

    Args:
        problems: by the name of the executor.
    """

    def __init__(self, problems: Mapping[str, str]) -> None:
        lines = list(problems.values())
        if len(lines) > 1:
            lines.insert(0, f"the workflow needs {len(lines)} executors that cannot work here:")
        super().__init__("\n".join(lines))
        self.problems = dict(problems)


def missing_executors(
    manifest: WorkflowManifest, config: SwarmConfig, executors: Mapping[str, Executor]
) -> dict[str, str]:
    """What a workflow needs and cannot get, by executor, with the setting that would help."""
    problems: dict[str, str] = {}
    for name in sorted(manifest.executors()):
        executor = executors.get(name)
        if executor is None:
            setting = why_not(config, name) if name in config.backends.names() else None
            hint = f"; set {setting}" if setting else ""
            problems[name] = f"executor {name} is not enabled{hint}"
            continue
        find = getattr(executor, "problem", None)
        problem = find() if find is not None else None
        if problem is not None:
            problems[name] = str(problem)
    return problems


def symbol_problems(
    manifest: WorkflowManifest, executors: Mapping[str, Executor]
) -> dict[str, str]:
    """What symbols ask for and cannot have, by symbol, found out without running anything.

    An executor that is not there, or cannot work, is no symbol's problem: see
    :func:`missing_executors`.
    """
    problems: dict[str, str] = {}
    for symbol in manifest.symbols:
        named: list[tuple[str, Symbol | Rollback]] = [(symbol.name, symbol)]
        if symbol.rollback is not None:
            named.append((f"{symbol.name} (rollback {symbol.rollback.name})", symbol.rollback))
        for name, one in named:
            review = getattr(executors.get(one.dispatch), "review", None)
            try:
                if review is not None:
                    review(Call(one.name, dict(one.parameters), one.type.value, one.context.value))
            except TaskError as error:
                problems[name] = str(error)
    return problems


def _rust(config: SwarmConfig) -> Executor:
    from .executors.backends import rust_injector

    return rust_injector(config.program(config.backends.rust_injector.binary_path))


def _php(config: SwarmConfig) -> Executor:
    from .executors.backends import php_engine

    section = config.backends.php_engine
    return php_engine(config.path(section.script_path), config.program(section.php_binary))


def _powershell(config: SwarmConfig) -> Executor:
    from .executors.backends import powershell_engine

    section = config.backends.powershell_engine
    script = config.path(section.script_path)
    return powershell_engine(script, config.program(section.pwsh_binary))


def _wasm(config: SwarmConfig) -> Executor:
    from .executors.wasm import WasmExecutor

    return WasmExecutor(root=config.path(config.backends.wasm.root))


def _process(config: SwarmConfig) -> Executor:
    from .executors.commands import CommandExecutor

    return CommandExecutor(cwd=_folder(config))


def _command(config: SwarmConfig, name: str) -> Executor:
    from .executors.process import ProcessExecutor

    section = config.backends.commands[name]
    return ProcessExecutor(
        name, section.command, setting=f"backends.{name}.command", env=section.env,
        cwd=_folder(config),
    )  # fmt: skip


def _folder(config: SwarmConfig) -> Path:
    return config.path(".").resolve()
