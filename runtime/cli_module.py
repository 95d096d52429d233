"""Read a program that the user named: WebAssembly, its text, or what ``swarmc compile`` wrote."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import (
    ArgumentError,
    DecodeError,
    HostFunctionError,
    LinkError,
    SwarmcError,
    UnsupportedFeatureError,
    ValidationError,
)
from ..targets.executable import MAGIC, Executable

_WASM = b"\0asm"
_ABOUT_THE_MODULE = (DecodeError, ValidationError, UnsupportedFeatureError, LinkError)


def read_module(path: Path) -> bytes | Executable:
    """Bytes of a module, or a program that is compiled already.

    Raises:
        ArgumentError: the file cannot be read.
        CacheError: a .swarmc file is damaged or of another version.
        DecodeError: a .wat file is not correct.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ArgumentError(f"cannot read {path}: {error.strerror}") from None
    if data.startswith(MAGIC[:6]):
        return Executable.from_bytes(data)
    if path.suffix == ".wat" and not data.startswith(_WASM):
        return _assemble(path, data)
    return data


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's name before errors that lie in it."""
    try:
        yield
    except SwarmcError as error:
        if isinstance(error, HostFunctionError):
            raise  # it has a place of its own
        if isinstance(error, _ABOUT_THE_MODULE):
            error.message = f"{path}: {error.message}"
        if isinstance(error, LinkError) and error.hint:
            # the list of imports speaks for itself, and an option is typed in another way here
            error.offset, error.hint = None, "--missing-imports trap runs what does not need them"
        raise


def read_wasm(path: Path, purpose: str) -> bytes:
    """Bytes of a module, where a compiled program will not do.

    Raises:
        ArgumentError: the file cannot be read, or is a compiled program.
    """
    found = read_module(path)
    if isinstance(found, Executable):
        raise ArgumentError(f"{path} is compiled already: {purpose} takes a .wasm file")
    return found


def _assemble(path: Path, data: bytes) -> bytes:
    try:
        import wasmtime
    except ImportError:
        raise ArgumentError(
            f"{path} is WebAssembly text, which needs another package to read",
            hint="pip install wasmtime, or convert it with wat2wasm",
        ) from None
    try:
        return bytes(wasmtime.wat2wasm(data))
    except (wasmtime.WasmtimeError, UnicodeDecodeError) as error:
        reason = " ".join(str(error).split())
        raise DecodeError(f"{path}: {reason}") from None
