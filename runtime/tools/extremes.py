"""Modules that are extreme: in depth, in number, in size, or in what they merely declare."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from .encoder import MAGIC
from .leb128 import u

_TYPE = b"\1\x60\0\0"  # one function type, without parameters and results
_MAX32 = b"\xff\xff\xff\xff\x0f"
_MAX64 = b"\xff" * 9 + b"\1"

#: Makes a module of a size.
Maker = Callable[[int], bytes]


def section(number: int, content: bytes) -> bytes:
    """A section."""
    return bytes((number,)) + u(len(content)) + content


def _body(code: bytes, locals_: bytes = b"\0") -> bytes:
    return locals_ + code + b"\x0b"


def _module(*bodies: bytes, types: bytes = _TYPE, rest: bytes = b"") -> bytes:
    """A module of functions of the first type; ``rest`` comes before their bodies."""
    count = u(len(bodies))
    code = count + b"".join(u(len(body)) + body for body in bodies)
    return (MAGIC + section(1, types) + section(3, count + b"\0" * len(bodies)) + rest
            + section(10, code))


def _repeated(number: int, item: bytes) -> Maker:
    """One section that repeats an item."""
    return lambda n: MAGIC + section(number, u(n) + item * n)


def _export(number: int) -> bytes:
    return u(7) + b"%07d" % number + b"\0\0"


#: By name: a module with as many of something as one likes.
MANY: dict[str, Maker] = {
    "nested blocks": lambda n: _module(_body(b"\x02\x40" * n + b"\x0b" * n)),
    "nested loops with results":
        lambda n: _module(_body(b"\x03\x7f" * n + b"\x41\0" + b"\x0b" * n + b"\x1a")),
    "nested ifs": lambda n: _module(_body(b"\x41\0\x04\x40" * n + b"\x05\x0b" * n)),
    "blocks that do not end": lambda n: _module(_body(b"\x02\x40" * n)),
    "branches out of nested blocks":
        lambda n: _module(_body(b"\x02\x40" * n + b"\x0c" + u(n) + b"\x0b" * n)),
    "functions": lambda n: _module(*[_body(b"")] * n),
    "types": _repeated(1, b"\x60\0\0"),
    "imports": lambda n: MAGIC + section(1, _TYPE) + section(2, u(n) + bytes(4) * n),
    "exports": lambda n: _module(
        _body(b""), rest=section(7, u(n) + b"".join(map(_export, range(n))))),
    "globals": _repeated(6, b"\x7f\0\x41\0\x0b"),
    "computed globals": _repeated(6, b"\x7f\0\x41\1\x41\2\x6a\x41\3\x6c\x0b"),
    "memories": _repeated(5, b"\0\0"),
    "tables": _repeated(4, b"\x70\0\0"),
    "data segments": _repeated(11, b"\1\0"),
    "element segments": _repeated(9, b"\1\0\0"),
    "elements": lambda n: _module(_body(b""), rest=section(9, b"\1\1\0" + u(n) + bytes(n))),
    "computed elements":
        lambda n: _module(_body(b""), rest=section(9, b"\1\5\x70" + u(n) + b"\xd2\0\x0b" * n)),
    "runs of locals": lambda n: _module(_body(b"", u(n) + b"\1\x7f" * n)),
    "custom sections": lambda n: MAGIC + b"\0\1\0" * n,
    "names of functions": lambda n: _module(_body(b"")) + section(
        0, b"\4name" + section(1, u(n) + b"".join(u(i) + b"\1x" for i in range(n)))),
}

#: By name: a function body of about as many bytes as one likes.
LONG: dict[str, Maker] = {
    "nop": lambda n: _module(_body(b"\1" * n)),
    "constants": lambda n: _module(_body(b"\x41\0\x1a" * (n // 3))),
    "wide constants": lambda n: _module(_body((b"\x42" + b"\xff" * 8 + b"\0\x1a") * (n // 11))),
    "vectors": lambda n: _module(_body((b"\xfd\x0c" + b"\xaa" * 16 + b"\x1a") * (n // 19))),
    "loads": lambda n: _module(_body(b"\x41\0\x28\2\0\x1a" * (n // 6)), rest=section(5, b"\1\0\1")),
    "far loads": lambda n: _module(
        _body(b"\x41\0\x28\2\x80\x80\4\x1a" * (n // 8)), rest=section(5, b"\1\0\1")),
    "selects": lambda n: _module(_body(b"\x41\0\x41\0\x41\0\x1b\x1a" * (n // 8))),
    "operands": lambda n: _module(_body(b"\x41\0" * (n // 2) + b"\0")),
    "unreachable code": lambda n: _module(_body(b"\0" + b"\x6a" * n + b"\x1a")),
    "a br_table": lambda n: _module(_body(b"\x41\0\x0e" + u(n) + bytes(n + 1))),
    "a br_table with many labels": lambda n: _module(_body(
        b"\x02\x40" * 100 + b"\x41\0\x0e" + u(n // 100 * 100) + bytes(range(100)) * (n // 100)
        + b"\0" + b"\x0b" * 100)),
    "blocks": lambda n: _module(_body(b"\x02\x40\x0b" * (n // 3))),
}

#: By name: a few bytes that declare much.
ABSURD: dict[str, bytes] = {
    **{f"{2**32 - 1} elements in section {number}": MAGIC + section(number, _MAX32 + bytes(20))
       for number in (1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 13)},
    **{f"section {number} of {2**32 - 1} bytes": MAGIC + bytes((number,)) + _MAX32 + bytes(20)
       for number in range(14)},
    "data count": MAGIC + section(12, _MAX32),
    "memory of 2^16 pages": MAGIC + section(5, b"\1\0" + u(2**16)),
    "memory of 2^16 + 1 pages": MAGIC + section(5, b"\1\0" + u(2**16 + 1)),
    "memory of 2^48 pages": MAGIC + section(5, b"\1\4" + u(2**48)),
    "memory of 2^48 + 1 pages": MAGIC + section(5, b"\1\4" + u(2**48 + 1)),
    "memory of 2^64 - 1 pages": MAGIC + section(5, b"\1\4" + _MAX64),
    "memory to 2^64 - 1 pages": MAGIC + section(5, b"\1\5\0" + _MAX64),
    "table of 2^32 - 1 elements": MAGIC + section(4, b"\1\x70\0" + _MAX32),
    "table of 2^64 - 1 elements": MAGIC + section(4, b"\1\x70\4" + _MAX64),
    "locals": _module(_body(b"", b"\1" + _MAX32 + b"\x7f")),
    "two runs of locals": _module(_body(b"", b"\2" + _MAX32 + b"\x7f" + _MAX32 + b"\x7e")),
    "50,000 locals in each function": _module(*[_body(b"", b"\1\xd0\x86\3\x7f")] * 1000),
    "50,001 locals": _module(_body(b"", b"\1\xd1\x86\3\x7f")),
    "labels": _module(_body(b"\x41\0\x0e" + _MAX32 + bytes(20))),
    "result types of a select": _module(_body(b"\x1c" + _MAX32 + b"\x7f" * 20)),
    "depth of a branch": _module(_body(b"\x0c" + _MAX32)),
    "a name of 2^32 - 1 bytes": MAGIC + section(2, b"\1" + _MAX32 + b"a" * 20),
    "a vector with lane 255": _module(_body(b"\xfd\x0d" + b"\xff" * 16)),
    "100,000 bytes of a name": MAGIC + section(0, u(100_000) + b"n" * 100_000),
    "100,001 bytes of a name": MAGIC + section(0, u(100_001) + b"n" * 100_001),
}


def extremes(many: int = 50_000, long: int = 1_000_000) -> Iterator[tuple[str, bytes]]:
    """All of them, by name.

    Args:
        many: how many of what there may be many of. long: bytes of long bodies.
    """
    yield from ((f"{many} {name}", make(many)) for name, make in MANY.items())
    yield from ((f"{long} bytes of {name}", make(long)) for name, make in LONG.items())
    yield from ABSURD.items()
