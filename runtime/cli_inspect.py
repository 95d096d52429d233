"""``swarmc inspect``: what a module has and needs, and how many agents of it fit here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..compiler.wasm.decoder import decode
from ..compiler.wasm.feature_report import module_features
from ..compiler.wasm.module import GlobalType, Import, Limits, Module
from ..compiler.wasm.validator import validate
from ..errors import SwarmcError
from ..ir.module import PAGE_SIZE
from ..ir.types import Type
from ..targets.layout import AgentLayout, plan_layout
from .cli_module import naming, read_wasm
from .cli_terminal import interruptible, printable, size_text, stage_progress, stdout_console
from .compile import is_command
from .hosts import find, is_known

_SHOWN_EXPORTS = 40
_OUTPUT_SIZE = 4096
_PER_STREAMS = 2


def inspect_file(path: Path, *, as_json: bool = False) -> None:
    """Print what there is to know about a module, without compiling it."""
    wasm = read_wasm(path, "swarmc inspect")
    with stage_progress() as progress, naming(path):
        progress("reading", 0.0)
        module = decode(wasm)
        progress("validate", 0.0)
        validate(module)
        progress("translate", 0.0)
        layout = interruptible(lambda: _plan(module))
    if as_json:
        typer.echo(json.dumps(_as_data(path, len(wasm), module, layout)))
        return
    console = stdout_console()
    _print_head(console, path, len(wasm), module)
    if module.imports:
        console.print(_import_table(module))
    if module.exports:
        console.print(_export_table(module))
    _print_fit(console, layout)


def _as_data(
    path: Path, size: int, module: Module, layout: AgentLayout | SwarmcError
) -> dict[str, Any]:
    data: dict[str, Any] = {
        "file": str(path), "size": size, "kind": _kind(module),
        "features": list(module_features(module)),
        "functions": len(module.funcs),
        "start": None if module.start is None else module.function_name(module.start),
        "memories": [_bounds(item.limits) for item in module.memory_types()],
        "tables": [
            {**_bounds(item.limits), "element": item.element.value}
            for item in module.table_types()
        ],
        "globals": len(module.globals) + len(module.imported("global")),
        "data_segments": len(module.data),
        "imports": [
            {"module": item.module, "name": item.name, "type": _import_type(module, item),
             "provided": _provided(module, item).plain == "yes"}
            for item in module.imports
        ],
        "exports": [
            {"name": item.name, "type": _export_type(module, item.kind, item.index)}
            for item in module.exports
        ],
    }  # fmt: skip
    if isinstance(layout, SwarmcError):
        return {**data, "agent": None, "problem": str(layout)}
    initial, largest = _sizes(layout)
    available = available_memory()
    fit = None if available is None else available // initial
    return {**data, "agent": {"initial": initial, "largest": largest, "fit": fit}, "problem": None}


def _bounds(limits: Limits) -> dict[str, Any]:
    wide = limits.index_type is Type.I64
    return {"minimum": limits.minimum, "maximum": limits.maximum, "wide": wide}


def _kind(module: Module) -> str:
    if is_command(module):
        return "a WASI command"
    reactor = any(e.name == "_initialize" for e in module.exports)
    return "a WASI reactor" if reactor else "a library"


def _sizes(layout: AgentLayout) -> tuple[int, int]:
    """Bytes of an agent when it begins, and when its memories have grown."""
    smallest = layout.state_size + _PER_STREAMS * _OUTPUT_SIZE
    initial = smallest + sum(slot.minimum for slot in layout.memories)
    return initial, smallest + sum(slot.reserve for slot in layout.memories)


def _plan(module: Module) -> AgentLayout | SwarmcError:
    """The layout of an agent, or why there is none."""
    from ..compiler.frontend.translate import translate

    try:
        program = translate(module, missing_imports="trap", known_host=is_known)
        return plan_layout(program)
    except SwarmcError as error:
        return error


def _print_head(console: Console, path: Path, size: int, module: Module) -> None:
    code = sum(func.end - func.start for func in module.funcs)
    data = sum(len(segment.data) for segment in module.data)
    rows = [
        ("file", f"{path}: {size_text(size)}, {_kind(module)}"),
        ("features", ", ".join(module_features(module)) or "WebAssembly 1.0"),
        ("functions", f"{len(module.funcs):,} ({size_text(code)} of code)"
         + (f", start function {module.function_name(module.start)}"
            if module.start is not None else "")),
        ("memory", ", ".join(_memories(module)) or "none"),
        ("globals", f"{len(module.globals) + len(module.imported('global'))}"),
        ("tables", ", ".join(_tables(module)) or "none"),
        ("data", f"{len(module.data)} segments, {size_text(data)}" if module.data else "none"),
    ]  # fmt: skip
    for label, text in rows:
        console.print(Text.assemble((f"{label:>10}  ", "bold"), text), soft_wrap=True)


def _memories(module: Module) -> Iterator[str]:
    for item in module.memory_types():
        yield _limits(item.limits.minimum, item.limits.maximum) + _wide(item.limits)


def _limits(minimum: int, maximum: int | None) -> str:
    text = f"{minimum} pages ({size_text(minimum * PAGE_SIZE)})"
    if maximum == minimum:
        return text
    return text + (", grows without limit" if maximum is None else f", grows to {maximum}")


def _tables(module: Module) -> Iterator[str]:
    for item in module.table_types():
        yield f"{item.limits.minimum} {item.element.value}{_wide(item.limits)}"


def _wide(limits: Limits) -> str:
    return " (64-bit)" if limits.index_type is Type.I64 else ""


def _import_table(module: Module) -> Table:
    table = Table(title="imports", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("name")
    table.add_column("type")
    table.add_column("provided")
    for item in module.imports:
        table.add_row(
            Text(_name(f"{item.module}.{item.name}")), _import_type(module, item),
            _provided(module, item),
        )  # fmt: skip
    return table


def _import_type(module: Module, item: Import) -> str:
    match item.type:
        case int() as index:
            return str(module.func_type(index))
        case GlobalType() as found:
            return f"global {'mut ' if found.mutable else ''}{found.type.value}"
        case _:
            return item.kind


def _provided(module: Module, item: Import) -> Text:
    if not isinstance(item.type, int):
        return Text("no", style="red")
    known = find(item.module, item.name)
    if known is None:
        return Text("no", style="red")
    if known.type != module.func_type(item.type).plain():
        return Text(f"no: its type is {known.type}", style="red")
    return Text("yes", style="green")


def _export_table(module: Module) -> Table:
    table = Table(title="exports", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("name")
    table.add_column("type")
    for export in module.exports[:_SHOWN_EXPORTS]:
        table.add_row(Text(_name(export.name)), _export_type(module, export.kind, export.index))
    if len(module.exports) > _SHOWN_EXPORTS:
        table.add_row("…", f"{len(module.exports) - _SHOWN_EXPORTS:,} more")
    return table


def _export_type(module: Module, kind: str, index: int) -> str:
    imported = module.imported(kind)
    if kind == "func":
        own = index - len(imported)
        number = imported[index].type if own < 0 else module.func_types[own]
        assert isinstance(number, int)
        return str(module.func_type(number))
    if kind == "global":
        found = imported[index].type if index < len(imported) else module.globals[
            index - len(imported)].type  # fmt: skip
        assert isinstance(found, GlobalType)
        return f"global {'mut ' if found.mutable else ''}{found.type.value}"
    return kind


def _name(text: str) -> str:
    return printable(text.encode("utf-8", "surrogatepass"))


def _print_fit(console: Console, layout: AgentLayout | SwarmcError) -> None:
    if isinstance(layout, SwarmcError):
        console.print(Text.assemble(("  cannot run: ", "bold red"), str(layout)), soft_wrap=True)
        return
    initial, largest = _sizes(layout)
    text = f"{size_text(initial)} each"
    if largest != initial:
        text += f", {size_text(largest)} when grown as far as --max-memory allows by default"
    console.print(Text.assemble(("    agents  ", "bold"), text), soft_wrap=True)
    available = available_memory()
    if available is not None:
        console.print(
            f"            {available // initial:,} fit in the {size_text(available)} of memory"
            " that are free here if each touches all of its own; pages that an agent does not"
            " touch cost nothing",
            soft_wrap=True, highlight=False,
        )  # fmt: skip


def available_memory() -> int | None:
    """Bytes of memory that this process can still get, or None where nobody says."""
    limits = []
    for line in _lines("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            limits.append(int(line.split()[1]) * 1024)
    maximum, current = _lines("/sys/fs/cgroup/memory.max"), _lines("/sys/fs/cgroup/memory.current")
    if maximum and current and maximum[0].isdecimal():
        limits.append(max(0, int(maximum[0]) - int(current[0])))
    return min(limits, default=None)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return []
