"""LLVM IR of all WASI functions, and those of :mod:`..mail`, made beforehand: Numba takes two
seconds for those of a program.

``compiled.json.gz`` is written by ``python -m swarmc.runtime.tools.wasi_code`` and is used only
where it was made from these very sources; else Numba compiles them, with the same result.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import json
from pathlib import Path

from ...ir.types import Trap
from ...targets.addressing import GROUP
from ...targets.layout import Ctx, Job, MailRow, Status

FILE = Path(__file__).with_name("compiled.json.gz")

_RUNTIME = Path(__file__).resolve().parent.parent
_SOURCES = ("guest.py", "host_code.py", "numba_target.py", "portable.py")


def made_from() -> str:
    """Digest of what the functions are made from: sources, and where records have their fields."""
    digest = hashlib.sha256()
    own = sorted(path for path in FILE.parent.glob("*.py") if path.name != Path(__file__).name)
    own += [_RUNTIME / "mail" / name for name in ("codes.py", "functions.py", "table.py")]
    for path in [*(_RUNTIME / name for name in _SOURCES), *own]:
        data = path.read_bytes()
        digest.update(f"{path.name}\0{len(data)}\0".encode() + data)
    for table in (Ctx, Job, MailRow, Status, Trap):
        digest.update("".join(f"{field.name}={int(field)}\0" for field in table).encode())
    digest.update(f"{GROUP}".encode())
    return digest.hexdigest()


@functools.cache
def _texts() -> dict[str, str]:
    try:
        table = json.loads(gzip.decompress(FILE.read_bytes()))
    except FileNotFoundError:
        return {}
    return table["texts"] if table["made from"] == made_from() else {}


def compiled_text(implementation: str) -> str | None:
    """A module that defines one function of a table's ``implementation``, optimised for no
    machine; None if there is none that is up to date."""
    return _texts().get(implementation)
