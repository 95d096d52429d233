"""Host functions: which exist, and their machine code.

A host function is a Python function ``f(ctx, slots) -> status`` written with the accessors of
:mod:`.guest`. Numba turns it into LLVM IR when a program first imports it; its object code is kept
in the cache, so that later processes need neither Numba nor LLVM for it.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..errors import LinkError
from ..ir.types import FuncType, Trap
from ..targets.executable import HostImport
from .wasi import table as wasi

if TYPE_CHECKING:
    from ..targets.cpu.machine import LoadedCode
    from .cache import Cache

log = logging.getLogger(__name__)

HostFunction = Callable[[int, int], int]

_KEY_PREFIX = b"host function\0"


@dataclass(frozen=True, slots=True)
class Registration:
    """One host function.

    Attributes:
        implementation: name of its machine code, which several functions may share.
        build: makes the Python function.
    """

    type: FuncType
    implementation: str
    build: Callable[[], HostFunction]


#: Host functions besides those of WASI.
_provided: dict[tuple[str, str], Registration] = {}


def provide(module: str, name: str, registration: Registration) -> None:
    """Make a host function known to everything that this process compiles from now on."""
    _provided[module, name] = registration


def find(module: str, name: str) -> Registration | None:
    """The host function of that name, or None."""
    if (module, name) in _provided:
        return _provided[module, name]
    type_ = wasi.signature(module, name)
    if type_ is None:
        return None
    implementation = "wasi " + wasi.implementation(module, name)
    return Registration(type_, implementation, lambda: wasi.build(module, name))


def is_known(module: str, name: str, type_: FuncType) -> bool:
    """Whether there is a host function of that name and type."""
    found = find(module, name)
    return found is not None and found.type == type_


# Machine code stays loaded as long as the process: kernels hold bare addresses of it.
_addresses: dict[str, int] = {}
_code: list[LoadedCode] = []
_lock = threading.Lock()


def resolve(imports: Sequence[HostImport], *, cache: Cache | None = None) -> list[int]:
    """Addresses of host functions for the CPU, in the order given.

    Args:
        cache: where object code is kept from one process to the next.

    Raises:
        LinkError: there is no host function of one's name and type.
    """
    found = []
    for item in imports:
        registration = find(item.module, item.name)
        if registration is None or registration.type != item.type:
            raise LinkError(f"unknown import: {item.module}.{item.name} {item.type}")
        found.append(registration)
    with _lock:
        missing = {one.implementation: one for one in found}
        _load([one for name, one in missing.items() if name not in _addresses], cache)
        return [_addresses[one.implementation] for one in found]


def is_cached(item: HostImport, cache: Cache) -> bool:
    """Whether a host function needs no compiling, if there is one of that name."""
    found = find(item.module, item.name)
    if found is None or found.implementation in _addresses:
        return True
    return cache.get_object(_cache_key(found)) is not None


def put_in_cache(module: str, name: str, cache: Cache) -> None:
    """Compile a host function that the cache lacks, for other processes to load.

    Raises:
        LinkError: there is none of that name.
    """
    found = find(module, name)
    if found is None:
        raise LinkError(f"unknown import: {module}.{name}")
    _object(found, cache)


def _load(wanted: list[Registration], cache: Cache | None) -> None:
    if not wanted:
        return
    from ..targets.cpu.machine import LoadedCode

    code = LoadedCode(tuple(_object(one, cache) for one in wanted))
    for one in wanted:
        _addresses[one.implementation] = code.address(_symbol(one))
    _code.append(code)


def _symbol(registration: Registration) -> str:
    return "swarmc.host." + hashlib.sha256(registration.implementation.encode()).hexdigest()[:32]


def _object(registration: Registration, cache: Cache | None) -> bytes:
    """Object code of one host function, from the cache or from Numba."""
    key = _cache_key(registration) if cache else ""
    if cache:
        found = cache.get_object(key)
        if found is not None:
            return found
    log.info("compiling the host function %s", registration.implementation)
    data = compile_host_function(registration.build(), _symbol(registration))
    if cache:
        cache.put_object(key, data)
    return data


def _cache_key(registration: Registration) -> str:
    from importlib.metadata import version

    from ..targets.cpu.machine import host_machine
    from .cache import source_digest

    digest = hashlib.sha256(_KEY_PREFIX + source_digest())
    digest.update(f"{host_machine()}\0{version('numba')}\0".encode())
    digest.update(registration.implementation.encode())
    return digest.hexdigest()


def compile_host_function(function: HostFunction, symbol: str) -> bytes:
    """Object code in which ``symbol`` is ``int64 f(int64 ctx, int64 slots)``.

    A Python exception in the function ends the agent with the trap "host function trapped".

    Raises:
        LinkError: Numba cannot compile the function.
    """
    import numba

    from ..targets.cpu.machine import Compilation

    # Wrappers for Python would bring the interpreter's symbols in.
    options: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    try:
        compiled = numba.njit("int64(int64, int64)", error_model="numpy", **options)(function)
    except numba.core.errors.NumbaError as error:
        raise LinkError(f"Numba cannot compile a host function: {error}") from error
    signature = compiled.signatures[0]
    overload: Any = compiled.overloads[signature]
    inner = overload.fndesc.llvm_func_name
    text = str(compiled.inspect_llvm(signature)) + _WRAPPER.format(
        symbol=symbol, inner=inner, trap=int(Trap.HOST)
    )
    return Compilation(text, 2).object_code()


# Numba's own convention: result and exception by pointer, and a status, 0 for a result.
_WRAPPER = """
define i64 @"{symbol}"(i64 %ctx, i64 %slots) {{
  %result = alloca i64
  %exception = alloca ptr
  %status = call i32 @"{inner}"(ptr %result, ptr %exception, i64 %ctx, i64 %slots)
  %returned = icmp eq i32 %status, 0
  %value = load i64, ptr %result
  %word = select i1 %returned, i64 %value, i64 {trap}
  ret i64 %word
}}
"""
