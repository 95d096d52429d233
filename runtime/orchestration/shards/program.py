"""What there is to know of a program without compiling it: its functions, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass

from ....compiler.wasm.module import Module
from ....ir.types import Type
from ....targets.executable import Entry, Executable, HostImport
from ....targets.layout import AgentLayout
from ...compile import collector_paused, function_spans, is_command, read_module
from ...entry_points import (
    default_name,
    exported_functions,
    no_entry_point,
    no_such_function,
)
from ...hosts import exchanges_mail


@dataclass(frozen=True, slots=True)
class Program:
    """A module whose agents run elsewhere.

    Args:
        executable: without machine code; it says what results mean.
        mail: whether its agents write to each other.
    """

    executable: Executable
    mail: bool

    @classmethod
    def of(cls, wasm: bytes) -> Program:
        """Read a module.

        Raises:
            SwarmcError: it is malformed or invalid.
        """
        with collector_paused():
            module = read_module(wasm)
            found = Executable(
                target="none", fingerprint="", objects=(),
                layout=AgentLayout(0, (), {}, {}, {}, {}),
                entries=tuple(
                    Entry(name, type_, number)
                    for number, (name, type_) in enumerate(exported_functions(module).items())
                ),
                hosts=(), global_exports=(), spans=function_spans(module), signatures=(),
                template=b"", runs=(), data=(), elems=(), tables=(), call_depth=0,
                command=is_command(module),
            )  # fmt: skip
            return cls(found, _exchanges_mail(module))

    def entry(self, name: str | None) -> Entry:
        """What agents run: the function of that name, or the default one.

        Raises:
            ArgumentError: there is none.
        """
        names = [entry.name for entry in self.executable.entries]
        chosen = default_name(names) if name is None else name
        if chosen is None:
            raise no_entry_point(names, "entry_point")
        entry = self.executable.entry(chosen)
        if entry is None:
            raise no_such_function(chosen, names)
        return entry

    def result_types(self, name: str | None) -> tuple[Type, ...]:
        """Of the function that agents run."""
        return self.entry(name).type.results


def _exchanges_mail(module: Module) -> bool:
    functions = [
        HostImport(item.module, item.name, module.func_type(item.type).lowered())
        for item in module.imported("func")
        if isinstance(item.type, int)
    ]
    return exchanges_mail(functions)
