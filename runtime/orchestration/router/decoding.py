"""Parameters of requests from JSON: what is too much is refused before it takes time.

A frame of 16 MiB may hold a million tasks. To make objects of all of them, and refuse them then,
would take seconds in which nobody else is served. So what is large is looked at first: arrays are
read to the longest that they may be, and no further. What is in order then, and large all the same,
is taken piece by piece.
"""

from __future__ import annotations

import asyncio
import functools
from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType, inspect

from .protocol import METHODS, Params
from .protocol_tasks import TaskSpec, TaskSubmit

#: Bytes from which on parameters are looked at first.
LARGE = 1 << 16
#: Bytes of the parameters of methods that take nothing large.
MAX_SMALL = 1 << 18
#: Methods that take something large.
_MAY_BE_LARGE = frozenset({
    "swarm_launch", "swarm_inject", "turn_event", "task_submit", "task_status", "task_cancel",
    "workflow_deploy", "worker_exclude", "module_put", "state_set",
})  # fmt: skip
_PIECE = 1 << 18  # bytes of tasks, after which others have a turn
_ENTRY = 2048  # bytes of an entry of a bounded object at most, written as wastefully as can be
_TOO_LONG = " of at most length "  # in what msgspec says of an array that is
#: Whatever JSON does not say well: Python's own error for UTF-8, and for what is nested too deeply.
MALFORMED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


@functools.cache
def at_most(count: int) -> Any:
    """The type of an array of so many items at most; it is read to its end only if that is so.

    msgspec looks at ``max_length`` when the whole array has been read.
    """
    items = [(f"f{number}", Raw | UnsetType, UNSET) for number in range(count)]
    return msgspec.defstruct(
        f"AtMost{count}", items, array_like=True, forbid_unknown_fields=True, gc=False
    )


class _Bounds:
    """The bounds of a type's arrays and objects."""

    def __init__(self, kind: type[Params]) -> None:
        fields: list[Any] = []
        self._arrays: dict[int, list[str]] = {}  # names, by the most items
        self._objects: dict[str, int] = {}  # the most entries of each, by its name
        info = inspect.type_info(kind)
        assert isinstance(info, inspect.StructType)
        for field in info.fields:
            types = field.type.types if isinstance(field.type, inspect.UnionType) else [field.type]
            for one in types:
                if isinstance(one, inspect.ListType) and one.max_length is not None:
                    fields.append((field.name, at_most(one.max_length) | UnsetType | None, UNSET))
                    self._arrays.setdefault(one.max_length, []).append(f"`$.{field.name}`")
                elif isinstance(one, inspect.DictType) and one.max_length is not None:
                    fields.append((field.name, Raw, Raw(b"")))
                    self._objects[field.name] = one.max_length
        self._decoder = msgspec.json.Decoder(
            msgspec.defstruct(f"BoundsOf{kind.__name__}", fields, kw_only=True)
        )

    def check(self, raw: Raw) -> None:
        """Raises msgspec.ValidationError: one of them is larger than it may be."""
        try:
            found = self._decoder.decode(raw)
        except msgspec.ValidationError as error:
            what, _, most = str(error).rpartition(_TOO_LONG)
            if not what:
                raise
            names = " or ".join(self._arrays[int(most)])
            raise msgspec.ValidationError(
                f"Expected `array` of length <= {most} - at {names}"
            ) from error
        for name, entries in self._objects.items():
            if len(getattr(found, name)) > entries * _ENTRY:
                raise msgspec.ValidationError(
                    f"Expected `object` of length <= {entries} - at `$.{name}`"
                )


def _unlooked() -> Any:
    """The type of ``TaskSubmit`` with tasks that have not been looked at."""
    fields: list[Any] = [("tasks", Annotated[list[Raw], Meta(min_length=1)])]
    hints = get_type_hints(TaskSubmit, include_extras=True)
    for field in msgspec.structs.fields(TaskSubmit):
        if field.name != "tasks":
            fields.append((field.name, hints[field.name], field.default))
    return msgspec.defstruct("Submitted", fields, kw_only=True)


_PARAMS = {name: msgspec.json.Decoder(params) for name, (_, params, _) in METHODS.items()}
_SUBMITTED = msgspec.json.Decoder(_unlooked())
_SPEC = msgspec.json.Decoder(TaskSpec)


@functools.cache
def _bounds(kind: type[Params]) -> _Bounds:
    return _Bounds(kind)


def understand(method: str, raw: Raw) -> Params | None:
    """The parameters of a request; None: they are for :func:`understand_tasks`.

    Raises:
        one of ``MALFORMED``.
    """
    size = len(raw)
    if size > MAX_SMALL and method not in _MAY_BE_LARGE:
        raise msgspec.ValidationError(f"Expected at most {MAX_SMALL:,} bytes, got {size:,}")
    if size > LARGE:
        _bounds(METHODS[method][1]).check(raw)
        if method == "task_submit":
            return None
    params: Params = _PARAMS[method].decode(raw)
    return params


async def understand_tasks(raw: Raw) -> TaskSubmit:
    """Many tasks, or large ones, with pauses for others. Raises one of ``MALFORMED``."""
    submitted = _SUBMITTED.decode(raw)
    specs: list[TaskSpec] = []
    size = 0
    for number, part in enumerate(submitted.tasks):
        size += len(part)
        if size > _PIECE:
            await asyncio.sleep(0)
            size = len(part)
        try:
            if len(part) > LARGE:
                _bounds(TaskSpec).check(part)
            specs.append(_SPEC.decode(part))
        except msgspec.ValidationError as error:
            raise msgspec.ValidationError(_located(str(error), number)) from error
    return TaskSubmit(**{**msgspec.structs.asdict(submitted), "tasks": specs})


def _located(error: str, number: int) -> str:
    """An error in a task, with the path to it in the request."""
    what, at, path = error.rpartition(" - at `$")
    return f"{what if at else error} - at `$.tasks[{number}]{path if at else '`'}"


def too_many(frame: bytes | str, most: int) -> bool:
    """Whether a frame is an array of more messages than it may be."""
    if len(frame) <= LARGE or frame[:1] in ("{", b"{"):
        return False
    try:
        msgspec.json.decode(frame, type=at_most(most))
    except msgspec.ValidationError as error:
        return _TOO_LONG in str(error)
    except MALFORMED:
        pass  # which is said when it is decoded
    return False
