"""Frames for a router that mean harm: from the protocol's own types, damaged in every way.

Everything follows from a seed. What a frame is worth to whoever sent it, nobody here knows: that
is for those who send it (:mod:`.fuzz_router`).
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import inspect

from ..orchestration.router.protocol import MAX_MESSAGE, METHODS, Message

_TYPES = {name: inspect.type_info(params) for name, (_, params, _) in METHODS.items()}
_NAMES = tuple(METHODS)
TURN = b'"turn-1"'  #: stands for the turn that a worker runs
_MESSAGES = msgspec.json.Decoder(Message | list[Message])
_LONGEST = 1 << 20  # of what is repeated


class Spelled(str):
    """JSON that is written as it stands, be it JSON or not."""


def spell(value: Any) -> str:
    """A value as JSON, with what is :class:`Spelled` in it. Lone surrogates stay escapes."""
    if isinstance(value, Spelled):
        return value
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{spell(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(spell, value)) + "]"
    return json.dumps(value)


@dataclass(frozen=True, slots=True)
class Frame:
    """Bytes for a router.

    Args:
        kind: what is wrong with it, for counting.
        ids: of requests in it that must be answered, each once.
        closes: whether the router may end the connection for it.
        text: whether WebSocket calls it text; else it is binary.
        pieces: fragments of WebSocket, writes of TCP.
    """

    data: bytes
    kind: str
    ids: tuple[int | str, ...] = ()
    closes: bool = False
    text: bool = True
    pieces: int = 1


#: What stands in the place of something else: of every type of JSON, and of none.
_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.5, -0.0, 1 << 31, 1 << 53, (1 << 63) - 1, 1 << 63, 1 << 64,
    -(1 << 63), -(1 << 63) - 1, 10**40, "", "x", "0", "null", "\0", "a\0b", "\ufeff", "é" * 50,
    "\U0001f980", "\n", "../../etc/passwd", "/dev/zero", "x" * 129, "x" * 5000, [], {}, [None],
    [[]], {"": None}, [{}] * 3, {"__proto__": {}}, {"$ref": "#"}, ["x"] * 17, [0] * 1025,
    *map(Spelled, (
        "NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-999", "1E400", "-", "01", "1.", ".5",
        "+1", "0x10", "1_0", "9" * 400, "9" * 5000, "0." + "1" * 400, '"\\ud800"', '"\\u12"',
        '"\\udfff\\ud800"', '"\\x41"', '"\t"', '"\x7f"', "'x'", "undefined", "tru", "nul", "//",
        "/**/1", "", " ", "{,}", "[,]", "[1,]", '{"a":1,}', '{"a"}', "{a:1}", '{"a":1 "b":2}',
        '{"a":1,"a":2}', "[}", "{]",
    )),
)  # fmt: skip
_METHODS = (
    "", "x", "HELLO", "hello ", "swarm_launch\0", "rpc.x", "x" * 70_000, "__init__", "\x1b[2J",
)  # fmt: skip
_EXTRA = ("extra", "", "jsonrpc", "Nodes", "token", "role")
_DEPTHS = (8, 100, 199, 333, 498, 500, 502, 900, *range(985, 1003), 1500, 60_000)
_IDS: tuple[Any, ...] = (
    None, True, -1, 0, 1.0, 1 << 63, 1 << 64, 10**40, -(10**40), "", "x" * 5000, "\0", [], [1], {},
    {"id": 1}, *map(Spelled, ("NaN", "1e30", "9" * 5000, '"\\ud800"', "01", "-0")),
)  # fmt: skip
_TEXTS = (
    b"", b" ", b"\0", b"\xff", b"\xef\xbb\xbf{}", b"{}", b"[]", b"[[]]", b"null", b"true", b"0",
    b'""', b'"', b"{", b"}", b"[", b"]", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01",
    b"\x80", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"%s%s%n", b"{}{}", b"{}\n{}",
    b"\r", b"[null]", b'{"jsonrpc":"2.0"}', b'{"jsonrpc":"2.0","id":1}',
    b'{"jsonrpc":"2.0","id":1,"result":{}}',
    b'{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":"m"}}',
    b'{"jsonrpc":"2.0","id":1,"error":{"code":1e9,"message":null}}',
)  # fmt: skip


class FrameGenerator:
    """An endless supply of frames, the same for the same seed.

    Args:
        swarms: ids that exist, so that some frames name them.
        mark: begins the names of everything that frames would make.
        large: out of so many frames, one is larger than a frame may be; 0: none.
    """

    def __init__(
        self, seed: int | str, swarms: tuple[str, ...] = (), large: int = 5000, mark: str = ""
    ) -> None:  # fmt: skip
        self._lots = random.Random(seed)
        self._number = 0
        self._swarms = swarms
        self._large = large
        self._mark = mark
        self._makers: tuple[tuple[Callable[[], Frame], int], ...] = (
            (self._call, 10), (self._damaged, 40), (self._envelope, 14), (self._cut, 10),
            (self._flipped, 10), (self._array, 6), (self._deep, 3), (self._text, 4),
            (self._noise, 3),
        )  # fmt: skip
        self._weights = [weight for _, weight in self._makers]

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        """The next one."""
        if self._large and self._lots.randrange(self._large) == 0:
            return self._oversized()
        (maker, _), = self._lots.choices(self._makers, self._weights)
        return maker()

    # Well-formed ones

    def _id(self) -> int | str:
        self._number += 1
        return self._number if self._lots.random() < 0.7 else f"f-{self._number}"

    def request(self) -> dict[str, Any]:
        """A call of one of the protocol's methods as its types have it."""
        method = self._lots.choice(_NAMES)
        params = self.value(_TYPES[method])
        if "turn_id" in params and self._lots.random() < 0.7:
            params["turn_id"] = "turn-1"
        return {"jsonrpc": "2.0", "id": self._id(), "method": method, "params": params}

    def answer(self, number: int) -> Frame | None:
        """An answer to what a worker was asked; or none."""
        if self._lots.random() < 0.5:
            return None
        done = {"outcome": self._lots.choice(("completed", "failed")), "error": self._odd()}
        what = self._lots.choice(("result", "error"))
        return self._of({"jsonrpc": "2.0", "id": number, what: self._odd(done, done)}, "answer")

    def value(self, type: inspect.Type) -> Any:
        """A value of a type, sometimes a little beyond its bounds."""
        lots = self._lots
        match type:
            case inspect.StructType():
                return self._struct(type)
            case inspect.UnionType():
                return self.value(lots.choice(type.types))
            case inspect.LiteralType():
                return lots.choice(type.values)
            case inspect.StrType():
                return self._string(type)
            case inspect.IntType():
                return self._integer(type)
            case inspect.FloatType():
                return lots.choice((0.0, 1.5, -1.0, 1e300, 5e-324))
            case inspect.BoolType():
                return lots.random() < 0.5
            case inspect.NoneType():
                return None
            case inspect.ListType():
                return [self.value(type.item_type) for _ in range(lots.choice((0, 1, 2, 5)))]
            case inspect.DictType():
                count = lots.choice((0, 1, 3))
                return {f"k{n}": self.value(type.value_type) for n in range(count)}
            case inspect.AnyType():
                return lots.choice(("x", 1, None, [1, "x"], {"a": {"b": 2}}, 2.5))
            case _:
                return lots.choice(("x", 0, None))

    def _struct(self, type: inspect.StructType) -> dict[str, Any]:
        found = {
            field.encode_name: self.value(field.type)
            for field in type.fields if field.required or self._lots.random() < 0.5
        }  # fmt: skip
        if isinstance(found.get("name"), str):
            found["name"] = self._mark + found["name"]
        return found

    def _string(self, type: inspect.StrType) -> str:
        lots = self._lots
        if type.pattern is not None and self._swarms and lots.random() < 0.5:
            return lots.choice(self._swarms)
        if type.pattern is not None and "{64}" in type.pattern:
            return f"{lots.randrange(1 << 256):064x}"
        if type.pattern is not None:
            return f"swarm-{lots.randrange(1 << 32):08x}"
        length = lots.choice((1, 2, 8, 40))
        if type.max_length is not None and type.max_length <= 4096 and lots.random() < 0.1:
            length = type.max_length + lots.choice((-1, 0, 1))
        return "".join(lots.choice("abcxyz0189 ._-/é\0\u2028") for _ in range(length))

    def _integer(self, type: inspect.IntType) -> int:
        bounds = [b for b in (type.ge, type.gt, type.lt, type.le) if b is not None]
        if bounds and self._lots.random() < 0.3:
            return int(self._lots.choice(bounds)) + self._lots.choice((-1, 0, 1))
        return self._lots.randrange(0, 64)

    def _odd(self, *others: Any) -> Any:
        """A copy, because it may be damaged in its turn."""
        return copy.deepcopy(self._lots.choice((*others, *_ODD)))

    def _of(self, message: Any, kind: str, *ids: int | str) -> Frame:
        lots = self._lots
        pieces = lots.choice((2, 3, 7)) if lots.random() < 0.05 else 1
        data = spell(message).encode()
        large = len(data) > MAX_MESSAGE  # something long in it was repeated
        return Frame(
            data, kind, () if large else ids, large, text=lots.random() < 0.9, pieces=pieces
        )  # fmt: skip

    # Those that are not

    def _call(self) -> Frame:
        message = self.request()
        return self._of(message, "call", message["id"])

    def _damaged(self) -> Frame:
        """Parameters with something wrong somewhere."""
        message = self.request()
        wrong = False  # whether it may not be JSON any more
        for _ in range(self._lots.choice((1, 1, 1, 2, 4))):
            wrong |= self._damage(message)
        return self._of(message, "damaged", *(() if wrong else (message["id"],)))

    def _damage(self, message: dict[str, Any]) -> bool:
        lots = self._lots
        owner: Any = message
        key: Any = "params"
        while isinstance(owner[key], (dict, list)) and owner[key] and lots.random() < 0.8:
            owner = owner[key]
            places = list(owner) if isinstance(owner, dict) else range(len(owner))
            key = lots.choice(places)
        what = lots.randrange(10)
        if what == 1 and owner is not message:
            del owner[key]
            return False
        if what == 2 and isinstance(owner[key], (str, list)) and len(owner[key]) < _LONGEST // 300:
            owner[key] = owner[key] * 300
            return False
        odd = self._odd()
        if what == 0 and isinstance(owner[key], dict):
            owner[key][lots.choice(_EXTRA)] = odd
        else:
            owner[key] = odd
        return isinstance(odd, Spelled)

    def _envelope(self) -> Frame:
        """What carries it is wrong."""
        message, lots = self.request(), self._lots
        match lots.randrange(7):
            case 0:
                message["jsonrpc"] = lots.choice(("1.0", "", 2, 2.0, None, [], Spelled("2.0")))
            case 1:
                message["id"] = lots.choice(_IDS)
            case 2:
                message["method"] = self._odd(*_METHODS)
            case 3:
                message["params"] = self._odd()
            case 4:
                del message[lots.choice(tuple(message))]
            case 5:
                message["result"] = self._odd()
                refusal = {"code": 1, "message": "x" * 9000, "data": [1]}
                message["error"] = self._odd(refusal)
            case _:
                message["id"] = lots.choice((1, 2, "1", *_IDS))
                del message["method"], message["params"]
                outcome = lots.choice(("completed", "failed", 1))
                result = {"outcome": outcome, "error": self._odd()}
                message[lots.choice(("result", "error", "other"))] = self._odd(result)
        return self._of(message, "envelope")

    def _cut(self) -> Frame:
        data = spell(self.request()).encode()
        return Frame(data[: self._lots.randrange(len(data))], "cut")

    def _flipped(self) -> Frame:
        """Bytes of it are others: bad UTF-8, NUL, line ends among them."""
        lots = self._lots
        data = bytearray(spell(self.request()).encode())
        for _ in range(lots.choice((1, 1, 2, 8))):
            place = lots.randrange(len(data))
            byte = lots.choice((0, 10, 13, 34, 92, 127, 128, 0xC0, 0xED, 0xFF, lots.randrange(256)))
            if lots.random() < 0.5:
                data[place] = byte
            else:
                data.insert(place, byte)
        return self._bytes(bytes(data), "flipped")

    def _bytes(self, data: bytes, kind: str) -> Frame:
        """Text of WebSocket that is not UTF-8 ends the connection."""
        text = self._lots.random() < 0.7
        return Frame(data, kind, closes=text and not _is_text(data), text=text)

    def _array(self) -> Frame:
        lots = self._lots
        messages: list[Any] = [self.request() for _ in range(lots.choice((0, 1, 2, 10, 100)))]
        kind = lots.randrange(4)
        if kind == 0:
            messages.insert(lots.randrange(len(messages) + 1), self._odd())
        elif kind == 1:
            messages = [messages]
        elif kind == 2:
            messages = [{**message, "id": 7} for message in messages]
        ids = [message["id"] for message in messages] if kind == 3 else []
        return self._of(messages, "array", *ids)

    def _deep(self) -> Frame:
        """Nested, so that whoever descends must stop."""
        lots = self._lots
        depth = lots.choice(_DEPTHS)
        begin, end = lots.choice((("[", "]"), ('{"a":', "}")))
        nested = Spelled(begin * depth + "1" + (end * depth if lots.random() < 0.9 else ""))
        message = self.request()
        match lots.randrange(5):
            case 0:
                return Frame(nested.encode(), "deep")
            case 1:
                message["params"] = nested
            case 2:
                message["other"] = nested
            case 3:
                message["method"] = "turn_event"
                message["params"] = {"turn_id": "turn-1", "type": "usage", "data": {"a": nested}}
            case _:
                message["params"]["deep"] = nested
        return self._of(message, "deep")

    def _text(self) -> Frame:
        return self._bytes(self._lots.choice(_TEXTS), "text")

    def _noise(self) -> Frame:
        return self._bytes(self._lots.randbytes(self._lots.choice((1, 4, 60, 3000))), "noise")

    def _oversized(self) -> Frame:
        size = MAX_MESSAGE + self._lots.choice((1, 1 << 20))
        head = b'{"jsonrpc":"2.0","id":1,"method":"swarm_launch","params":{"prompt":"'
        return Frame(head + b"x" * (size - len(head) - 3) + b'"}}', "oversized", closes=True)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def valid_calls(data: bytes) -> Iterator[tuple[str, Any]]:
    """Method and parameters of all calls in a frame that the protocol's types accept."""
    try:
        found = _MESSAGES.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return
    for message in found if isinstance(found, list) else [found]:
        if message.method is not None and message.method in METHODS:
            try:
                params = msgspec.json.decode(message.params, type=METHODS[message.method][1])
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                continue
            yield message.method, params
