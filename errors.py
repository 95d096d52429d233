"""The family of errors that swarmc raises; imports nothing.

Every error a user can cause is a :class:`SwarmcError`. Positions are fields, and only ``__str__``
formats them: ``message (in function NAME, at byte 0x1f); hint``.
"""

from __future__ import annotations


class SwarmcError(Exception):
    """Base of all errors that a user of swarmc can cause.

    Args:
        message: what is wrong, in the specification's wording where it has one.
        offset: byte offset in the WebAssembly module, if the error has a place there.
        function: name (or ``func[N]``) of the function, if the error lies inside one.
        hint: what the user can do about it.
    """

    def __init__(
        self,
        message: str,
        *,
        offset: int | None = None,
        function: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.offset = offset
        self.function = function
        self.hint = hint

    def __str__(self) -> str:
        where = []
        if self.function is not None:
            where.append(f"in function {self.function}")
        if self.offset is not None:
            where.append(f"at byte {self.offset:#x}")
        text = self.message.rstrip("\n")
        lines = "\n" in text  # a list ends the message: nothing belongs behind its last item
        if where:
            text += ("\n" if lines else " ") + f"({', '.join(where)})"
        if not self.hint:
            return text
        return f"{text}\n{self.hint}" if lines else f"{text.removesuffix('.')}; {self.hint}"


class DecodeError(SwarmcError):
    """The bytes are not a WebAssembly module (the specification's *malformed*)."""


class ValidationError(SwarmcError):
    """The module is well-formed but not valid (the specification's *invalid*)."""


class UnsupportedFeatureError(SwarmcError):
    """The module needs a WebAssembly proposal that swarmc does not have.

    Args:
        feature: the proposal's name, as in the WebAssembly proposals repository.
    """

    def __init__(self, message: str, *, feature: str, offset: int | None = None,
                 function: str | None = None) -> None:
        super().__init__(message, offset=offset, function=function)
        self.feature = feature


class IRError(SwarmcError):
    """IR text that does not parse, or IR that does not verify.

    Args:
        line: 1-based line of the IR text, if it came from text.
    """

    def __init__(
        self, message: str, *, line: int | None = None, function: str | None = None
    ) -> None:
        super().__init__(message, function=function)
        self.line = line

    def __str__(self) -> str:
        text = super().__str__()
        return f"line {self.line}: {text}" if self.line is not None else text


class LinkError(SwarmcError):
    """Imports that nothing provides, or provided with another type (*unlinkable*)."""


class HostFunctionError(LinkError):
    """A host function of the user's that cannot be one.

    Args:
        path, line: where the mistake is in the user's source, if it is there.
    """

    def __init__(self, message: str, *, path: str | None = None, line: int | None = None,
                 function: str | None = None, hint: str | None = None) -> None:
        super().__init__(message, function=function, hint=hint)
        self.path = path
        self.line = line

    def __str__(self) -> str:
        text = super().__str__()
        return text if self.path is None else f"{self.path}:{self.line}: {text}"


class InstantiationError(SwarmcError):
    """An active segment does not fit its memory or table."""


class TargetError(SwarmcError):
    """The target (machine, toolchain, memory) cannot do what was asked."""


class TrapError(SwarmcError, RuntimeError):
    """The program that ``WASMRuntime.call`` called trapped.

    Args:
        code: number of the trap, see :class:`swarmc.ir.types.Trap`.
    """

    def __init__(
        self, message: str, *, code: int, offset: int | None = None, function: str | None = None
    ) -> None:
        super().__init__(message, offset=offset, function=function)
        self.code = code


class SwarmStateError(SwarmcError, RuntimeError):
    """A call came at the wrong time, e.g. spawning before ``load_bytecode``."""


class CapacityError(SwarmcError, RuntimeError):
    """More agents, memory or output than the swarm was made for."""


class UnknownAgentError(SwarmcError, KeyError):
    """No living agent has this id."""

    __str__ = SwarmcError.__str__  # KeyError would print the repr


class ArgumentError(SwarmcError, ValueError):
    """Wrong number or type of arguments, unknown entry point, or data that does not fit."""


class CacheError(SwarmcError):
    """The cache directory cannot be used (wrong owner, not writable)."""
