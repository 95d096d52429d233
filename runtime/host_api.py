"""Host functions of one's own: Python functions that agents call. Imports no Numba.

    @swarmc.host_function("env", "reward", "f32(i32, i32)")
    def reward(agent, state, action):
        return agent.load_f32(state) * action

    swarm = SwarmManager.from_wasm(wasm, host_functions=[reward])

Numba compiles the function when a module that imports it is loaded.
"""

from __future__ import annotations

import dis
import inspect
import itertools
import re
import types as python_types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import HostFunctionError
from ..ir.types import FuncType, Type

_TYPES = {type_.value: type_ for type_ in (Type.I32, Type.I64, Type.F32, Type.F64)}
_SIGNATURE = re.compile(r"\s*(?:\(([^()]*)\)|([^()]*?))\s*\(([^()]*)\)\s*")
_REFUSED = {
    "RAISE_VARARGS": "cannot raise, or assert: swarmc.trap(code) ends the agent",
    "PUSH_EXC_INFO": "cannot use try or with: there are no exceptions on a GPU",
    "YIELD_VALUE": "cannot be a generator",
    "IMPORT_NAME": "cannot import",
}


class Agent(Protocol):
    """The agent that called, as the first parameter of a host function.

    Addresses are those of the memory that the module exports as ``memory``, else its first. An
    access that is not wholly inside it ends the agent with the trap "out of bounds memory access".
    Any alignment will do. Floats are stored with canonical NaNs.
    """

    @property
    def id(self) -> int:
        """The agent's id."""
        ...

    @property
    def memory_size(self) -> int:
        """Bytes of its memory at the moment."""
        ...

    def load_i8(self, address: int) -> int: ...
    def load_u8(self, address: int) -> int: ...
    def load_i16(self, address: int) -> int: ...
    def load_u16(self, address: int) -> int: ...
    def load_i32(self, address: int) -> int: ...
    def load_u32(self, address: int) -> int: ...
    def load_i64(self, address: int) -> int: ...
    def load_f32(self, address: int) -> float: ...
    def load_f64(self, address: int) -> float: ...
    def store_i8(self, address: int, value: int) -> None: ...
    def store_i16(self, address: int, value: int) -> None: ...
    def store_i32(self, address: int, value: int) -> None: ...
    def store_i64(self, address: int, value: int) -> None: ...
    def store_f32(self, address: int, value: float) -> None: ...
    def store_f64(self, address: int, value: float) -> None: ...

    def fill(self, address: int, byte: int, length: int) -> None:
        """Set ``length`` bytes."""
        ...

    def copy(self, to: int, source: int, length: int) -> None:
        """Copy ``length`` bytes, which may overlap."""
        ...


def trap(code: int = 0) -> None:
    """End the agent that called, with the trap "host function trapped".

    Only for host functions; in Python it raises RuntimeError.

    Args:
        code: what the program that reads the results is to know, 0 to 2**23 - 1:
            ``TrapInfo.host_code``.
    """
    raise RuntimeError(f"swarmc.trap({code!r}) outside of a running agent")


@dataclass(frozen=True, slots=True, eq=False)
class HostFunction:
    """A Python function that agents call as ``module.name``; what ``host_function`` makes.

    Calling it calls the Python function, for tests of its own.

    Attributes:
        takes_agent: whether its first parameter is the agent (see :class:`Agent`).
    """

    module: str
    name: str
    type: FuncType
    function: Callable[..., Any]
    takes_agent: bool

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)

    def __repr__(self) -> str:
        return f"<HostFunction {self}: {self.type}>"

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"

    def where(self) -> str:
        """File and line of the Python function."""
        code = self.function.__code__
        return f"{code.co_filename}:{code.co_firstlineno}"


def host_function(
    module: str, name: str, signature: str
) -> Callable[[Callable[..., Any]], HostFunction]:
    """Decorator: make a host function of a Python function.

    Args:
        module, name: as WebAssembly modules import it.
        signature: its WebAssembly type, e.g. ``f32(i32, i32)``, ``(i64)`` or ``void(i64)`` for no
            result, ``(i32, f64)(i32)`` for two. The Python function has a parameter for each,
            or one more in front: the agent that calls.

    Raises:
        HostFunctionError: the signature cannot be read, the function does not have the parameters
            that it says, or the function does what host functions cannot.
    """
    for label, text in (("module", module), ("name", name)):
        if not isinstance(text, str):
            raise HostFunctionError(f"the {label} of a host function must be text, not {text!r}")
    type_ = parse_signature(signature, f"{module}.{name}")

    def decorate(function: Callable[..., Any]) -> HostFunction:
        plain = getattr(function, "py_func", function)  # of what @njit made
        if not isinstance(plain, python_types.FunctionType):
            raise HostFunctionError(
                f"host function {module}.{name} must be a Python function, not {function!r}"
            )
        refuse(plain, f"{module}.{name}")
        takes_agent = _count_parameters(plain, type_, f"{module}.{name}")
        return HostFunction(module, name, type_, plain, takes_agent)

    return decorate


def parse_signature(text: str, name: str) -> FuncType:
    """The type that a signature says.

    Raises:
        HostFunctionError: it says none.
    """
    match = _SIGNATURE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise HostFunctionError(
            f"host function {name}: {text!r} is no signature",
            hint="write results and parameters, e.g. 'f32(i32, i32)', or '(i64)' for no result",
        )
    several, single, params = match.groups()
    single = "" if single == "void" else single
    results = _parse_types(several if single is None else single, text, name)
    if single is not None and len(results) > 1:
        raise HostFunctionError(
            f"host function {name}: several results of {text!r} need parentheses",
            hint=f"write '({single})({params})'",
        )
    return FuncType(_parse_types(params, text, name), results)


def _parse_types(text: str, signature: str, name: str) -> tuple[Type, ...]:
    if not text.strip():
        return ()
    found = []
    for word in text.split(","):
        type_ = _TYPES.get(word.strip())
        if type_ is None:
            raise HostFunctionError(
                f"host function {name}: {word.strip()!r} in {signature!r} is no type that host"
                " functions take",
                hint=f"the types are: {', '.join(_TYPES)}",
            )
        found.append(type_)
    return tuple(found)


def _count_parameters(function: Callable[..., Any], type_: FuncType, name: str) -> bool:
    """Whether there is a parameter for the agent before those of the type."""
    kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = list(inspect.signature(function).parameters.values())
    count, wanted = len(parameters), len(type_.params)
    plain = all(one.kind in kinds and one.default is one.empty for one in parameters)
    if not plain or count not in (wanted, wanted + 1):
        listed = ", ".join(type_.value for type_ in type_.params)
        raise _error(
            function, f"{name} takes ({listed}): the Python function must have"
            f" {wanted} parameters, or {wanted + 1}, of which the first is the agent"
            " (and none with a default)",
        )  # fmt: skip
    return count > wanted


def refuse(function: Callable[..., Any], name: str) -> None:
    """Refuse what no host function can do, where it stands in the source.

    Raises:
        HostFunctionError: the function does it.
    """
    for code in _codes(function.__code__):
        line = code.co_firstlineno
        for instruction in dis.get_instructions(code):
            place = instruction.positions
            line = (place and place.lineno) or line
            if instruction.opname in _REFUSED:
                raise _error(function, f"{name} {_REFUSED[instruction.opname]}", line)


def _codes(code: python_types.CodeType) -> list[python_types.CodeType]:
    inner = [one for one in code.co_consts if isinstance(one, python_types.CodeType)]
    return [code, *itertools.chain.from_iterable(_codes(one) for one in inner)]


def _error(
    function: Callable[..., Any], message: str, line: int | None = None
) -> HostFunctionError:
    code = function.__code__
    return HostFunctionError(
        f"host function {message}", path=code.co_filename,
        line=code.co_firstlineno if line is None else line, function=function.__qualname__,
    )  # fmt: skip


def check_functions(functions: object) -> tuple[HostFunction, ...]:
    """A sequence of host functions as a caller gave it.

    Raises:
        HostFunctionError: something else is among them, or two have one name.
    """
    if isinstance(functions, HostFunction) or not isinstance(functions, Sequence):
        raise HostFunctionError(
            f"host_functions must be a list of them, not {functions!r}",
            hint="swarmc.host_function makes one of a Python function",
        )
    seen: dict[tuple[str, str], HostFunction] = {}
    for one in functions:
        if not isinstance(one, HostFunction):
            raise HostFunctionError(
                f"host_functions has {one!r}, which is no host function",
                hint="swarmc.host_function makes one of a Python function",
            )
        other = seen.setdefault((one.module, one.name), one)
        if other is not one:
            raise HostFunctionError(
                f"two host functions are called {one}: {other.where()} and {one.where()}"
            )
    return tuple(seen.values())
