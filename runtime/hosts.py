"""Host functions: which exist, and their machine code.

A host function is a function ``f(ctx, slots) -> status`` written with the accessors of
:mod:`.guest`, or made of a user's function (:mod:`.host_api`). Numba turns it into LLVM IR when
a program first imports it; its object code is kept in the cache, so that later processes need
neither Numba nor LLVM for it.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from ..errors import LinkError
from ..ir.types import FuncType
from ..targets.base import HostCode
from ..targets.executable import HostImport
from .host_api import HostFunction
from .host_trace import traced_text
from .mail import table as mail
from .wasi import table as wasi

if TYPE_CHECKING:
    from ..targets.cpu.machine import LoadedCode
    from .cache import Cache

log = logging.getLogger(__name__)

Implementation = Callable[[int, int], int]

#: Tables of swarmc's own functions, by what the names of their machine code begin with.
_OWN = {"wasi": wasi, "mail": mail}

_KEY_PREFIX = b"host function\0"


@dataclass(frozen=True, slots=True)
class Registration:
    """One host function.

    Attributes:
        implementation: name of its machine code, which several functions may share.
        build: makes the Python function.
        lasting: whether the name says all about the machine code, so that it can be kept.
        user: the user's function that it is made of, if any.
        inner: the one whose calls it notes, if it does nothing else. number: of the import.
    """

    type: FuncType
    implementation: str
    build: Callable[[], Implementation]
    lasting: bool = True
    user: HostFunction | None = None
    inner: Registration | None = None
    number: int = 0


#: Host functions besides those of WASI that everything in this process knows.
_provided: dict[tuple[str, str], Registration] = {}


def provide(module: str, name: str, registration: Registration) -> None:
    """Make a host function known to everything that this process compiles from now on."""
    _provided[module, name] = registration


def find(
    module: str, name: str, users: Sequence[HostFunction] = ()
) -> Registration | None:
    """The host function of that name, or None; ``users`` come before all others."""
    for user in users:
        if (user.module, user.name) == (module, name):
            return _registration(user)
    if (module, name) in _provided:
        return _provided[module, name]
    for kind, table in _OWN.items():
        type_ = table.signature(module, name)
        if type_ is not None:
            implementation = f"{kind} {table.implementation(module, name)}"
            return Registration(type_, implementation, partial(table.build, module, name))
    return None


def exchanges_mail(imports: Sequence[HostImport], users: Sequence[HostFunction] = ()) -> bool:
    """Whether a program that imports these calls a function of :mod:`.mail`."""
    theirs = {(user.module, user.name) for user in users}
    return any(
        mail.signature(item.module, item.name) is not None
        and (item.module, item.name) not in theirs
        for item in imports
    )


def _registration(user: HostFunction) -> Registration:
    from .function_digest import function_digest

    def build() -> Implementation:
        from .user_functions import build_user_function

        return build_user_function(user)

    digest = function_digest(user.function)
    text = f"{user.takes_agent} {user.type} {digest or id(user)}"
    if digest is None:
        _unnamed[id(user)] = user  # so that its id is not given twice
    return Registration(user.type, f"user {user} {text}", build, digest is not None, user)


_unnamed: dict[int, HostFunction] = {}


def is_known(
    module: str, name: str, type_: FuncType, users: Sequence[HostImport] = ()
) -> bool:
    """Whether there is a host function of that name and type.

    Args:
        users: the user's functions, which come before all others.

    Raises:
        LinkError: the user's function of that name has another type.
    """
    for user in users:
        if (user.module, user.name) == (module, name):
            if user.type != type_:
                raise LinkError(
                    f"incompatible import type: the module imports {module}.{name} as {type_},"
                    f" the host function is {user.type}"
                )
            return True
    found = find(module, name)
    return found is not None and found.type == type_


def imports_of(users: Sequence[HostFunction]) -> tuple[HostImport, ...]:
    """What programs may import of the user's functions, in an order that does not matter."""
    found = [HostImport(one.module, one.name, one.type) for one in users]
    return tuple(sorted(found, key=lambda one: (one.module, one.name)))


# Machine code stays loaded as long as the process: kernels hold bare addresses of it.
_addresses: dict[str, int] = {}
_code: list[LoadedCode] = []
_lock = threading.Lock()


def resolve(
    imports: Sequence[HostImport], *, users: Sequence[HostFunction] = (),
    cache: Cache | None = None, trace: bool = False,
) -> list[int]:  # fmt: skip
    """Addresses of host functions for the CPU, in the order given.

    Args:
        users: the user's functions, which come before all others.
        cache: where object code is kept from one process to the next.
        trace: whether they are to note how they are called.

    Raises:
        LinkError: there is no host function of one's name and type, or Numba cannot compile it.
    """
    found = _registrations(imports, users, trace)
    with _lock:
        missing = {one.implementation: one for one in found}
        _load([one for name, one in missing.items() if name not in _addresses], cache)
        return [_addresses[one.implementation] for one in found]


def _registrations(
    imports: Sequence[HostImport], users: Sequence[HostFunction], trace: bool
) -> list[Registration]:
    found = []
    for number, item in enumerate(imports):
        registration = find(item.module, item.name, users)
        if registration is None:
            raise LinkError(f"unknown import: {item.module}.{item.name} {item.type}")
        if registration.type != item.type:
            raise LinkError(
                f"incompatible import type: the program imports {item.module}.{item.name} as"
                f" {item.type}, the host function is {registration.type}"
            )
        found.append(_traced(registration, number) if trace else registration)
    return found


def _traced(inner: Registration, number: int) -> Registration:
    name = f"traced {number} {inner.type} {inner.implementation}"
    return replace(inner, implementation=name, inner=inner, number=number)


def _around(registration: Registration, inner: Registration, text: str) -> str:
    """LLVM IR of one that notes the calls of another."""
    return traced_text(
        text, symbol(inner), symbol(registration), registration.type, registration.number
    )


def host_codes(
    imports: Sequence[HostImport], *, users: Sequence[HostFunction] = (),
    cache: Cache | None = None, trace: bool = False,
) -> list[HostCode]:  # fmt: skip
    """Host functions as LLVM IR for any machine; arguments and errors are :func:`resolve`'s."""
    found = _registrations(imports, users, trace)
    return [
        HostCode(f"{item.module}.{item.name}", symbol(one), _text(one, cache))
        for item, one in zip(imports, found, strict=True)
    ]


def implementations(users: Sequence[HostFunction]) -> list[str] | None:
    """What says all about the user's functions; None if nothing does."""
    found = [_registration(user) for user in users]
    return [one.implementation for one in found] if all(one.lasting for one in found) else None


def _load(wanted: list[Registration], cache: Cache | None) -> None:
    if not wanted:
        return
    from ..targets.cpu.machine import LoadedCode

    code = LoadedCode(tuple(_object(one, cache) for one in wanted))
    for one in wanted:
        _addresses[one.implementation] = code.address(symbol(one))
    _code.append(code)


def symbol(registration: Registration) -> str:
    """What the machine code of a host function is called."""
    return "swarmc.host." + hashlib.sha256(registration.implementation.encode()).hexdigest()[:32]


def _object(registration: Registration, cache: Cache | None) -> bytes:
    """Object code of one host function, from the cache or from Numba."""
    cache = cache if registration.lasting else None
    key = _cache_key(registration) if cache else ""
    if cache:
        found = cache.get_object(key)
        if found is not None:
            return found
    data = _own_object(registration) or _numba_object(registration)
    if cache:
        cache.put_object(key, data)
    return data


def _own_object(registration: Registration) -> bytes | None:
    """Object code of a function of swarmc's own, which needs no Numba; None for others."""
    text = _own_text(registration)
    if text is None:
        return None
    from ..targets.cpu.machine import SELECTION_ONLY, compile_text

    return compile_text(text, SELECTION_ONLY)


def _own_text(registration: Registration) -> str | None:
    if registration.inner is not None:
        text = _own_text(registration.inner)
        return None if text is None else _around(registration, registration.inner, text)
    kind, _, implementation = registration.implementation.partition(" ")
    if kind not in _OWN:
        return None
    from .wasi.compiled import compiled_text

    return compiled_text(implementation)


def _numba_object(registration: Registration) -> bytes:
    from .host_code import object_code

    return object_code(_text(registration, None), registration.user)


def _text(registration: Registration, cache: Cache | None) -> str:
    """LLVM IR of one host function, from the cache or from Numba."""
    if registration.inner is not None:
        return _around(registration, registration.inner, _text(registration.inner, cache))
    cache = cache if registration.lasting else None
    key = _cache_key(registration, portable=True) if cache else ""
    if cache:
        found = cache.get_object(key)
        if found is not None:
            return found.decode()
    log.info("compiling the host function %s", registration.implementation)
    from .host_code import host_text

    text = host_text(registration.build(), symbol(registration), registration.user)
    if cache:
        cache.put_object(key, text.encode())
    return text


def _cache_key(registration: Registration, *, portable: bool = False) -> str:
    """Key of a host function's object code, or of what is the same on every machine."""
    from importlib.metadata import version

    from ..targets.cpu.machine import host_machine
    from .cache import source_digest

    digest = hashlib.sha256(_KEY_PREFIX + source_digest())
    machine = "any machine" if portable else host_machine()
    digest.update(f"{machine}\0{version('numba')}\0".encode())
    digest.update(registration.implementation.encode())
    return digest.hexdigest()
