"""What a Python function does, as a digest: of its bytecode and of all that it refers to."""

from __future__ import annotations

import enum
import hashlib
import types
from collections.abc import Callable
from typing import Any

import numpy as np

#: What belongs to Python, Numba and swarmc themselves; versions are part of every key.
_FIXED = frozenset({"builtins", "math", "cmath", "numba", "numpy", "operator", "swarmc"})


class _Unknown(Exception):
    """A function refers to an object of which nobody knows what it is made of."""


def function_digest(function: Callable[..., Any]) -> str | None:
    """Hexadecimal digest; None if the function refers to something that has none.

    Two functions have the same one only if they do the same. Names of files, lines, and what a
    function says in its documentation do not matter.
    """
    digest = hashlib.sha256()
    try:
        _Walker(digest).function(function)
    except _Unknown:
        return None
    return digest.hexdigest()


class _Walker:
    def __init__(self, digest: Any) -> None:
        self._digest = digest
        self._seen: dict[int, int] = {}
        self._kept: list[object] = []  # so that no id is given twice
        self._names: set[str] = set()  # what code has looked at so far
        self._attributes: dict[types.ModuleType, set[str]] = {}  # of modules, that are in it

    def put(self, *parts: object) -> None:
        text = "\0".join(str(part) for part in parts).encode("utf-8", "surrogatepass")
        self._digest.update(len(text).to_bytes(8, "little") + text)

    def function(self, function: Any) -> None:
        self.code(function.__code__)
        names = _global_names(function.__code__)
        self._names |= names
        for name in sorted(names & function.__globals__.keys()):
            self.put("global", name)
            self.value(function.__globals__[name])
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            self.put("free", name)
            self.value(cell.cell_contents)
        for name, value in sorted((function.__kwdefaults__ or {}).items()):
            self.put("default", name)
            self.value(value)
        self.value(function.__defaults__)

    def code(self, code: types.CodeType) -> None:
        self.put("code", code.co_argcount, code.co_flags, code.co_names, code.co_varnames,
                 code.co_freevars, code.co_code.hex(), code.co_exceptiontable.hex())  # fmt: skip
        for constant in code.co_consts:
            self.value(constant)

    def module(self, module: types.ModuleType) -> None:
        """A module, as far as code looks into it; what is in Numba's own does not change."""
        self.put("module", module.__name__)
        if module.__name__.partition(".")[0] not in _FIXED:
            known = self._attributes.setdefault(module, set())
            found = sorted((self._names & vars(module).keys()) - known)
            known.update(found)
            for name in found:  # another function may look at others
                self.put("attribute", name)
                self.value(vars(module)[name])

    def type(self, type_: type) -> None:
        self.put("type", type_.__module__, type_.__qualname__)
        if issubclass(type_, enum.Enum):
            self.put(*(f"{member.name}={member.value!r}" for member in type_))
        elif type_.__module__.partition(".")[0] not in _FIXED:
            raise _Unknown

    def value(self, value: Any) -> None:
        number = self._seen.get(id(value))
        if number is not None:  # recursion, and functions that are called from several places
            self.put("seen", number)
            return
        py_func = getattr(value, "py_func", None)
        if py_func is not None:  # of what @njit made
            value = py_func
        match value:
            case None | bool() | int() | complex() | str() | bytes():
                self.put(type(value).__name__, repr(value))
            case float():
                self.put("float", value.hex())
            case tuple() | list() | frozenset():
                items = sorted(value, key=repr) if isinstance(value, frozenset) else value
                fields = getattr(value, "_fields", "")  # of a named tuple
                self.put(type(value).__name__, len(items), fields)
                for item in items:
                    self.value(item)
            case np.ndarray() | np.generic():
                array = np.asarray(value)
                self.put("array", array.dtype.str, array.shape, array.flags.f_contiguous)
                if array.dtype.hasobject:
                    raise _Unknown
                self._digest.update(array.tobytes())
            case types.CodeType():
                self.code(value)
            case types.FunctionType():
                self._remember(value)
                self.function(value)
            case types.ModuleType():
                self.module(value)
            case types.BuiltinFunctionType() | np.ufunc():
                self.put("name", getattr(value, "__module__", ""), value.__name__)
            case type():
                self.type(value)
            case _:
                raise _Unknown

    def _remember(self, value: object) -> None:
        self._seen[id(value)] = len(self._seen)
        self._kept.append(value)


def _global_names(code: types.CodeType) -> set[str]:
    found = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found |= _global_names(constant)
    return found
