"""Numba as a front end only: from Python functions to LLVM IR that no processor has shaped yet.

Numba's own pipeline optimises for this machine and loads the result. Here it has a target of its
own (see Numba's ``target_extension``) that stops before: what comes out is text, to be made the
same for every machine (:mod:`.portable`) and then compiled as agents' own code is. Functions that a
host function calls are compiled for the same target, ``@njit`` ones too.
"""

from __future__ import annotations

import dis
import types as python_types
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from numba.core import codegen, cpu, errors, types, typing
from numba.core.compiler_lock import global_compiler_lock
from numba.core.descriptors import TargetDescriptor
from numba.core.dispatcher import Dispatcher
from numba.core.target_extension import (
    CPU,
    dispatcher_registry,
    jit_registry,
    target_override,
    target_registry,
)

NAME = "swarmc"

#: Division by zero gives 0 or an infinity instead of a Python exception; indices are checked.
_OPTIONS: dict[str, Any] = {
    "nopython": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True,
    "error_model": "numpy", "boundscheck": True,
}  # fmt: skip
_OURS = frozenset({"target", "_target", "inline"})


class _Library(codegen.CPUCodeLibrary):
    """Functions linked together, neither optimised nor loaded."""

    def _optimize_functions(self, ll_module: object) -> None:
        pass

    def _optimize_final_module(self) -> None:
        pass

    def _finalize_final_module(self) -> None:
        self._finalized = True

    def _finalize_specific(self) -> None:
        pass


class _Codegen(codegen.AOTCPUCodegen):
    _library_class = _Library  # type: ignore[assignment]


class _Context(cpu.CPUContext):
    allow_dynamic_globals = False  # addresses of this process mean nothing to another

    @global_compiler_lock  # type: ignore[untyped-decorator]
    def init(self) -> None:
        super().init()
        self._internal_codegen = _Codegen(NAME)  # type: ignore[assignment,no-untyped-call]

    def get_executable(self, library: object, fndesc: object, env: object) -> object:
        return object()  # nobody calls it; it only has to be another one each time

    def add_dynamic_addr(self, builder: Any, intaddr: int, info: str) -> Any:
        if info != _Dispatcher.__name__:  # of a function there is only its type that matters
            raise errors.UnsupportedError(f"refers to an object of this process ({info})")
        return self.get_constant_null(types.voidptr)  # type: ignore[no-untyped-call]

    def make_constant_array(self, builder: Any, typ: Any, ary: Any) -> Any:
        if typ.layout not in ("C", "F"):
            raise errors.UnsupportedError("refers to an array that is not contiguous")
        return super().make_constant_array(builder, typ, ary)  # type: ignore[no-untyped-call]


class _Descriptor(TargetDescriptor):
    options = cpu.CPUTargetOptions

    @cached_property
    def typing_context(self) -> Any:
        return typing.Context()  # type: ignore[attr-defined,no-untyped-call]

    @cached_property
    def target_context(self) -> Any:
        return _Context(self.typing_context, self._target_name)  # type: ignore[no-untyped-call]


class _Target(CPU):
    """What the types and functions of CPUs are good for, too."""


target_registry[NAME] = _Target
_descriptor = _Descriptor(NAME)  # type: ignore[no-untyped-call]


class _Dispatcher(Dispatcher):
    """Compiles one function for each combination of types that it is called with."""

    targetdescr = _descriptor

    def compile(self, sig: Any) -> Any:
        with target_override(NAME):  # type: ignore[no-untyped-call]
            return super().compile(sig)

    def add_overload(self, cres: Any) -> None:
        self.overloads[tuple(cres.signature.args)] = cres  # there is nothing to call


dispatcher_registry[_Target] = _Dispatcher


def _jit(function: Any = None, **options: Any) -> Any:
    if function is None:
        return partial(_jit, **options)
    wanted = {name: value for name, value in options.items() if name not in _OURS}
    return _Dispatcher(function, targetoptions=wanted | _OPTIONS)


jit_registry[_Target] = _jit


@dataclass(frozen=True, slots=True)
class Compiled:
    """A function as LLVM IR.

    Attributes:
        text: the module. name: the function's name in it; Numba's convention is ``i32 f(result*,
            exception**, arguments...)``, 0 for a result.
    """

    text: str
    name: str


def compile_function(function: Callable[..., Any], signature: str) -> Compiled:
    """LLVM IR of a Python function.

    Raises:
        NumbaError: Numba does not know how.
    """
    with global_compiler_lock:
        _descriptor.target_context.refresh()
        dispatcher = _jit(function)
        dispatcher.compile(signature)
        (found,) = dispatcher.overloads.values()
        found.library._ensure_finalized()
        return Compiled(found.library.get_llvm_str(), found.fndesc.llvm_func_name)


def adopt(function: Callable[..., Any], check: Callable[[Any], None]) -> Any:
    """A function as something that other functions of this target may call.

    So are the functions that it refers to by name, whether they are plain Python or ``@njit``.

    Args:
        check: called with each of them, to refuse it.
    """
    return _adopt(function, {}, check)


def _adopt(function: Any, known: dict[int, Any], check: Callable[[Any], None]) -> Any:
    found = known.get(id(function))
    if found is None:
        check(function)
        found = known[id(function)] = _jit(function)
        found.py_func = _with_callees(function, known, check)
        # The dispatcher made its compiler for the function before.
        found._compiler.py_func = found.py_func
    return found


def _with_callees(function: Any, known: dict[int, Any], check: Callable[[Any], None]) -> Any:
    """A copy of a function that finds its callees compiled for this target."""
    names = _names(function.__code__)
    namespace = {
        name: _callee(value, known, check) if name in names else value
        for name, value in function.__globals__.items()
    }
    cells = function.__closure__
    closure = cells and tuple(
        python_types.CellType(_callee(cell.cell_contents, known, check)) for cell in cells
    )
    copy = python_types.FunctionType(
        function.__code__, namespace, function.__name__, function.__defaults__, closure
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__qualname__, copy.__module__ = function.__qualname__, function.__module__
    return copy


def _names(code: python_types.CodeType) -> set[str]:
    """Globals that code reads; attributes may have the same names."""
    found = {one.argval for one in dis.get_instructions(code) if one.opname == "LOAD_GLOBAL"}
    for constant in code.co_consts:
        if isinstance(constant, python_types.CodeType):
            found |= _names(constant)
    return found


def _callee(value: Any, known: dict[int, Any], check: Callable[[Any], None]) -> Any:
    if isinstance(value, Dispatcher) and not isinstance(value, _Dispatcher):
        return _adopt(value.py_func, known, check)
    if isinstance(value, python_types.FunctionType) and not _is_known(value):
        return _adopt(value, known, check)
    return value


def _is_known(function: Any) -> bool:
    """Whether Numba has been told what to do with a function."""
    _descriptor.typing_context.refresh()
    try:
        _descriptor.typing_context.resolve_value_type(function)
    except ValueError:
        return False
    return True
