"""Packages that import a part of theirs only when somebody asks for a name of it."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping


def lazy(
    package: str, names: dict[str, object], homes: Mapping[str, str]
) -> tuple[Callable[[str], object], Callable[[], list[str]]]:
    """``__getattr__`` and ``__dir__`` of a package.

    >>> __getattr__, __dir__ = lazy(__name__, globals(), {"JSONDecoder": "json"})
    >>> __getattr__("JSONDecoder").__module__
    'json.decoder'

    Args:
        package: its ``__name__``.
        names: its ``globals()``, where what was asked for is kept.
        homes: modules, most of them relative to it, by the names that they define.
    """

    def find(name: str) -> object:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = names[name] = getattr(importlib.import_module(home, package), name)
        return value

    return find, lambda: sorted([*names, *homes])
