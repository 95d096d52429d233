"""The three configured back ends: process executors under the names that manifests know."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .process import ProcessExecutor


def rust_injector(binary_path: str | Path, **options: Any) -> ProcessExecutor:
    """The executor ``rust_injector``; options are :class:`ProcessExecutor`'s."""
    setting = "backends.rust_injector.binary_path"
    return ProcessExecutor("rust_injector", [str(binary_path)], setting=setting, **options)


def php_engine(
    script_path: str | Path, php_binary: str | Path = "php", **options: Any
) -> ProcessExecutor:
    """The executor ``php_engine``: a script that PHP runs."""
    return ProcessExecutor(
        "php_engine", [str(php_binary), str(script_path)],
        setting="backends.php_engine.php_binary",
        files={"backends.php_engine.script_path": Path(script_path)}, **options,
    )  # fmt: skip


def powershell_engine(
    script_path: str | Path, pwsh_binary: str | Path = "pwsh", **options: Any
) -> ProcessExecutor:
    """The executor ``powershell_engine``: a script that PowerShell runs."""
    switches = ["-NoLogo", "-NoProfile", "-NonInteractive", "-File"]
    return ProcessExecutor(
        "powershell_engine", [str(pwsh_binary), *switches, str(script_path)],
        setting="backends.powershell_engine.pwsh_binary",
        files={"backends.powershell_engine.script_path": Path(script_path)}, **options,
    )  # fmt: skip
