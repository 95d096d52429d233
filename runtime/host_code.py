"""Machine code of host functions: from Python through Numba's LLVM IR to what targets load."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numba
from numba.core.errors import NumbaError

from ..errors import HostFunctionError, LinkError
from ..ir.types import Trap
from ..targets.cpu.machine import Compilation
from .guest_agent import CODE_BITS, CODE_FLAG, TRAP_FLAG
from .host_api import HostFunction
from .numba_target import compile_function
from .portable import portable

#: What a host function may call of the machine that it runs on.
_LIBRARY = frozenset(
    name + suffix
    for name in (
        "acos", "acosh", "asin", "asinh", "atan", "atan2", "atanh", "cbrt", "ceil", "copysign",
        "cos", "cosh", "erf", "erfc", "exp", "exp2", "expm1", "fabs", "floor", "fmax", "fmin",
        "fmod", "frexp", "hypot", "ldexp", "lgamma", "log", "log10", "log1p", "log2", "modf",
        "nearbyint", "pow", "rint", "round", "sin", "sinh", "sqrt", "tan", "tanh", "tgamma",
        "trunc",
    )
    for suffix in ("", "f")
) | {"memcpy", "memmove", "memset"}  # fmt: skip

_NOT_THE_USERS = [
    Path(place).resolve().parent for place in (str(numba.__file__), __file__)
]  # fmt: skip
_SPECIFIC = "Rejected as the implementation raised a specific error:"
_LINE = re.compile(r'File "([^"]+)", line (\d+)')
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")

# Numba's convention: result and exception by pointer, and a status: 0 for a result, one of ours,
# another number for an exception of Python's. A status word says one more than the user's number
# (see ``TrapInfo.host_code``).
_WRAPPER = """
define i64 @"{symbol}"(i64 %ctx, i64 %slots) {{
  %result = alloca i64
  %exception = alloca ptr
  store i64 0, ptr %result
  %status = call i32 @"{inner}"(ptr %result, ptr %exception, i64 %ctx, i64 %slots)
  %returned = icmp eq i32 %status, 0
  %value = load i64, ptr %result
  %positive = icmp sgt i32 %status, 0
  %code.bit = and i32 %status, {code_flag}
  %has.code = icmp ne i32 %code.bit, 0
  %trap.bit = and i32 %status, {trap_flag}
  %has.trap = icmp ne i32 %trap.bit, 0
  %status.w = zext i32 %status to i64
  %code.0 = and i64 %status.w, {code_mask}
  %code = add i64 %code.0, 1
  %code.place = shl i64 %code, 40
  %code.word = or i64 %code.place, {host}
  %trap = and i64 %status.w, 255
  %trap.word = select i1 %has.trap, i64 %trap, i64 {host}
  %ours = select i1 %has.code, i64 %code.word, i64 %trap.word
  %ended = select i1 %positive, i64 %ours, i64 {host}
  %word = select i1 %returned, i64 %value, i64 %ended
  ret i64 %word
}}
"""


def host_text(
    function: Callable[[int, int], int], symbol: str, user: HostFunction | None = None
) -> str:
    """LLVM IR in which ``symbol`` is ``int64 f(int64 ctx, int64 slots)``, the same everywhere.

    A Python exception in the function ends the agent with the trap "host function trapped".

    Args:
        user: the user's function that it is made of, for errors.

    Raises:
        LinkError: Numba cannot compile the function.
    """
    try:
        compiled = compile_function(function, "int64(int64, int64)")
    except NumbaError as error:
        raise _cannot(error, user) from error
    return portable(compiled.text) + _WRAPPER.format(
        symbol=symbol, inner=compiled.name, host=int(Trap.HOST), code_flag=CODE_FLAG,
        trap_flag=TRAP_FLAG, code_mask=(1 << CODE_BITS) - 1,
    )  # fmt: skip


def object_code(text: str, user: HostFunction | None = None) -> bytes:
    """A host function's object code for this machine.

    Raises:
        HostFunctionError: it calls what host functions cannot.
    """
    compilation = Compilation(text, 2)
    compilation.optimise()
    refuse_calls(compilation, user, _LIBRARY)
    return compilation.object_code()


def refuse_calls(
    compilation: Compilation, user: HostFunction | None, allowed: frozenset[str]
) -> None:
    """Refuse functions that code calls but does not contain.

    Raises:
        HostFunctionError: it calls one that is not allowed.
    """
    for name in compilation.undefined():
        if name in allowed or name.startswith("llvm."):
            continue
        what = f"calls {name}"
        if name.startswith("NRT_"):
            what = "makes an array, a list or another object, for which there is no memory"
        elif name.startswith(("Py", "_Py", "numba_")):
            what = f"needs the Python interpreter ({name})"
        raise _error(f"{_name(user)} {what}", user)


def _cannot(error: NumbaError, user: HostFunction | None) -> LinkError:
    text = _COLOUR.sub("", str(error))
    path, line = None, None
    for found, number in reversed(_LINE.findall(text)):
        absolute = Path(found).absolute().resolve()
        if not any(absolute.is_relative_to(place) for place in _NOT_THE_USERS):
            path, line = str(absolute), int(number)  # the first is the innermost
    lines = [part for part in text.splitlines() if part.strip()]
    return _error(f"Numba cannot compile {_name(user)}: {_essence(lines)}", user, path, line)


def _essence(lines: list[str]) -> str:
    """What is wrong, without the passes and the lines around it."""
    for number, line in enumerate(lines):
        if line.strip() == _SPECIFIC and number + 1 < len(lines):
            return lines[number + 1].strip().partition(": ")[2]
    skipped = ("Failed in ", "During: ", "File ", "<source", "Enable ", "Overload", " ", "->")
    found = [line.strip() for line in lines if not line.startswith(skipped)]
    return " ".join(found[:3]) or lines[0]


def _name(user: HostFunction | None) -> str:
    return "a host function" if user is None else f"the host function {user}"


def _error(
    message: str, user: HostFunction | None, path: str | None = None, line: int | None = None
) -> HostFunctionError:
    if user is None:
        return HostFunctionError(message)
    code = user.function.__code__
    return HostFunctionError(
        message, path=path or code.co_filename, line=line or code.co_firstlineno,
        function=user.function.__qualname__,
    )  # fmt: skip


