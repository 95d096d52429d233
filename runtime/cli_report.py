"""What ``swarmc run`` prints: a table of agents, the traps, a summary; or JSON, or CSV."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from rich import box
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..ir.types import Type
from ..targets.executable import Executable
from .cli_terminal import (
    duration_text,
    per_second,
    printable,
    stdout_console,
    write_file,
)
from .results import SwarmResult

_OUTPUT_LINES = 40
_CELL_CHARACTERS = 60
_TRAP_KINDS = 10


@dataclass(frozen=True)
class Report:
    """One run, as it is shown.

    ``load_ms`` is the time until agents could start, ``round`` which of how many dispatches it is.
    """

    file: str
    target: str
    entry_point: str
    executable: Executable
    result: SwarmResult
    load_ms: float
    round: tuple[int, int] = (1, 1)

    @cached_property
    def exit_codes(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """int64[n]: exit codes, 0 for agents that have none."""
        codes = self.result.exit_codes
        return np.array([codes.get(id_, 0) for id_ in self.result.ids.tolist()], np.int64)

    @property
    def counts(self) -> dict[str, int]:
        """How many agents ended how."""
        result = self.result
        trapped, exited = int(result.trapped_array.sum()), len(result.exit_codes)
        return {
            "agents": len(result),
            "returned": len(result) - trapped - exited,
            "exited": exited,
            "exited_with_error": int((self.exit_codes != 0).sum()),
            "trapped": trapped,
            "truncated": int(result.truncated_array.sum()),
            "instructions": int(result.counts_array.sum()),
        }

    @property
    def failed(self) -> bool:
        """Whether an agent trapped, or exited with another code than 0."""
        return bool(self.result.trapped_array.any() or (self.exit_codes != 0).any())

    @property
    def result_types(self) -> tuple[Type, ...]:
        entry = self.executable.entry(self.entry_point)
        return () if entry is None else entry.type.results

    def ending(self, id_: int) -> str:
        """How an agent ended, in a few words."""
        trap = self.result.traps.get(id_)
        if trap is not None:
            return f"trap: {trap.message}"
        code = self.result.exit_codes.get(id_)
        return "returned" if code is None else f"exit {code}"


def print_report(
    report: Report, show: int, *, json_: bool, csv_: Path | None, save_stdout: Path | None
) -> None:
    """Print or write a run in the ways that were asked for."""
    if csv_ is not None:
        write_file(csv_, partial(_write_csv, report), binary=False)
    if save_stdout is not None:
        outputs = b"".join(report.result.agent_outputs.values())
        write_file(save_stdout, lambda file: file.write(outputs), binary=True)
    printed = "-" in (str(csv_), str(save_stdout))
    if json_:
        write_file(Path("-"), partial(_write_json, report), binary=False)
    elif not printed:
        _print_tables(report, show, stdout_console())


def _print_tables(report: Report, show: int, console: Console) -> None:
    if show:
        console.print(_agent_table(report, show))
        _print_output(report, console)
        _print_calls(report, console)
    if report.result.trapped_array.any():
        console.print(_trap_table(report))
    _print_summary(report, console)


def _agent_table(report: Report, show: int) -> Table:
    result = report.result
    title = f"{Path(report.file).name}: {report.entry_point}{_round_text(report)}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("agent", justify="right")
    table.add_column("ended")
    types = report.result_types
    if types:
        table.add_column(f"result ({', '.join(t.value for t in types)})", justify="right")
    table.add_column("instructions", justify="right")
    outputs, errors, values = result.agent_outputs, result.agent_errors, _values(report)
    shown = result.ids[:show].tolist()
    streams = [
        (title, texts)
        for title, texts in (("stdout", outputs), ("stderr", errors))
        if any(texts[id_] for id_ in shown)
    ]
    for title, _ in streams:
        table.add_column(title, overflow="ellipsis", no_wrap=True)
    for id_ in shown:
        row = [str(id_), _styled(report.ending(id_))]
        if types:
            row.append(", ".join(value_texts(types, values[id_])) if id_ in values else "")
        row.append(f"{result.instruction_counts[id_]:,}")
        row += [_first_line(texts[id_]) for _, texts in streams]
        table.add_row(*row)
    if len(result) > len(shown):
        table.add_row("…", Text(f"{len(result) - len(shown):,} more", style="dim"))
    return table


def _round_text(report: Report) -> str:
    number, rounds = report.round
    return f" (round {number} of {rounds})" if rounds > 1 else ""


def _values(report: Report) -> dict[int, Any]:
    """Results of the agents that returned."""
    result = report.result
    if result.returned_array.all():
        return result.agent_results
    returned = set(result.ids[result.returned_array].tolist())
    return {id_: value for id_, value in result.agent_results.items() if id_ in returned}


def _styled(ending: str) -> Any:
    bad = ending.startswith("trap") or (ending.startswith("exit") and ending != "exit 0")
    return Text(ending, style="red" if bad else "green")


def value_texts(types: tuple[Type, ...], value: Any) -> list[str]:
    """The result values of an agent, each as ``--args`` would take it."""
    values = value if len(types) > 1 else (value,)
    return [_value_text(type_, one) for type_, one in zip(types, values, strict=True)]


def _value_text(type_: Type, value: Any) -> str:
    match value:
        case None:
            return "null"
        case bytes():
            return value.hex()
        case float() if type_ is Type.F32:
            return str(np.float32(value))  # as many digits as tell it from its neighbours
        case _:
            return str(value)


def _first_line(data: bytes) -> Text:
    first, _, _ = printable(data[: _CELL_CHARACTERS * 8]).partition("\n")
    text = Text(first[:_CELL_CHARACTERS])
    more = data.count(b"\n") - data.endswith(b"\n")
    if more:
        text.append(f"  (+{more:,} line{'s' if more > 1 else ''})", style="dim")
    elif len(first) > _CELL_CHARACTERS:
        text.append("…", style="dim")
    return text


def _print_output(report: Report, console: Console) -> None:
    """The whole output of the first agent, if it has more than its line in the table."""
    id_ = int(report.result.ids[0])
    lines = printable(report.result.agent_outputs[id_]).rstrip("\n").split("\n")
    if len(lines) < 2:
        return
    shown = lines[:_OUTPUT_LINES]
    if len(lines) > len(shown):
        shown.append(f"… {len(lines) - len(shown)} more lines")
    title = f"stdout of agent {id_}"
    console.print(Panel(Text("\n".join(shown)), title=title, title_align="left", expand=False))


def _print_calls(report: Report, console: Console) -> None:
    """The host calls of the first agent, if they were noted."""
    if report.result.trace is None or not len(report.result):
        return
    id_ = int(report.result.ids[0])
    lines = [printable(str(call).encode()) for call in report.result.trace.calls_of(0)]
    more = report.result.host_call_counts[id_] - len(lines[:_OUTPUT_LINES])
    shown = lines[:_OUTPUT_LINES] + ([f"… {more:,} more"] if more else [])
    shown = shown or ["none"]
    title = f"host calls of agent {id_}"
    console.print(Panel(Text("\n".join(shown)), title=title, title_align="left", expand=False))


def _trap_table(report: Report) -> Table:
    kinds: dict[str, list[int]] = {}
    for id_, trap in report.result.traps.items():
        kinds.setdefault(str(trap), []).append(id_)
    table = Table(title="traps", title_justify="left", box=box.SIMPLE_HEAD)
    table.add_column("agents", justify="right")
    table.add_column("trap")
    table.add_column("first agent", justify="right")
    ranked = sorted(kinds.items(), key=lambda item: -len(item[1]))
    for text, ids in ranked[:_TRAP_KINDS]:
        table.add_row(f"{len(ids):,}", Text(text), str(ids[0]))
    if len(ranked) > _TRAP_KINDS:
        table.add_row("…", f"{len(ranked) - _TRAP_KINDS} other kinds", "")
    return table


def _print_summary(report: Report, console: Console) -> None:
    counts, milliseconds = report.counts, report.result.total_time_ms
    ended = [f"{counts['returned']:,} returned"] if counts["returned"] else []
    if counts["exited"]:
        with_error = counts["exited_with_error"]
        note = f" ({with_error:,} with another code than 0)" if with_error else " with 0"
        ended.append(f"{counts['exited']:,} exited{note}")
    if counts["trapped"]:
        ended.append(f"{counts['trapped']:,} trapped")
    lines = [
        ("agents", f"{counts['agents']:,}: {', '.join(ended)}"),
        ("instructions", f"{counts['instructions']:,}"),
        ("time", f"{duration_text(milliseconds)} on {report.target},"
         f" after {duration_text(report.load_ms)} to load"),
        ("speed", f"{per_second(counts['agents'], milliseconds)}agents/s,"
         f" {per_second(counts['instructions'], milliseconds)}instructions/s"),
    ]  # fmt: skip
    if counts["truncated"]:
        lines.append(("truncated", f"{counts['truncated']:,} agents wrote more than was kept"
                      " (--output-size)"))
    if report.result.trace is not None:
        lines.append(("host calls", f"{int(report.result.trace.counts.sum()):,}"))
    mail = report.result.mail
    if mail is not None:
        refused = mail.mailbox_full + mail.outbox_full + mail.too_long + mail.no_such_agent
        lines.append(("messages", f"{mail.sent:,} sent, {mail.received:,} received"
                      + (f", {refused:,} refused" if refused else "")))
    for label, text in lines:
        console.print(Text.assemble((f"{label:>13}  ", "bold"), text), soft_wrap=True)


def _write_json(report: Report, file: TextIO) -> None:
    found = {
        **({"round": report.round[0]} if report.round[1] > 1 else {}),
        "file": report.file,
        "target": report.target,
        "entry_point": report.entry_point,
        "load_time_ms": report.load_ms,
        "summary": report.counts,
        **report.result.to_dict(),
    }
    json.dump(found, file, ensure_ascii=False, allow_nan=False)
    file.write("\n")


def _write_csv(report: Report, file: TextIO) -> None:
    result = report.result
    types = report.result_types
    names = ["result"] if len(types) == 1 else [f"result{n}" for n in range(len(types))]
    writer = csv.writer(file)
    writer.writerow(["agent", "ended", "exit_code", *names, "trap", "offset", "function",
                     "instructions", "stdout", "stderr"])  # fmt: skip
    empty = [""] * len(types)
    values, codes, traps = _values(report), result.exit_codes, result.traps
    endings = result.endings
    for id_, count, out, err in zip(
        result.ids.tolist(), result.counts_array.tolist(), result.agent_outputs.values(),
        result.agent_errors.values(), strict=True,
    ):  # fmt: skip
        trap, code = traps.get(id_), codes.get(id_, "")
        texts = value_texts(types, values[id_]) if types and id_ in values else empty
        where = ["", "", ""] if trap is None else [trap.code.slug, trap.offset, trap.function]
        writer.writerow([id_, endings[id_], code, *texts, *where, count,
                         out.decode("utf-8", "backslashreplace"),
                         err.decode("utf-8", "backslashreplace")])  # fmt: skip
