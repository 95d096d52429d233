"""The protocol's schema and examples are those of its types; whatever comes in is answered."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swarmc.runtime.orchestration.router.protocol import (
    MAX_MESSAGE,
    METHODS,
    WORKER_METHODS,
    Code,
    Event,
    EventType,
    Failure,
    Params,
    TurnDone,
    TurnRun,
)
from swarmc.runtime.orchestration.router.schema import text
from swarmc.runtime.orchestration.router.wire import (
    MAX_ARRAY,
    MAX_WORKING,
    Connection,
    RequestError,
)

DOCS = Path(__file__).parents[3] / "docs"
PAGE = (DOCS / "protocol.md").read_text(encoding="utf-8")
EXAMPLES = [json.loads(text) for text in re.findall(r"^```json\n(.*?)\n```$", PAGE, re.M | re.S)]
ALL = {**{n: (p, r) for n, (_, p, r) in METHODS.items()}, **WORKER_METHODS}


def test_the_schema_that_is_kept_is_that_of_the_types() -> None:
    kept = (DOCS / "protocol" / "codeswarm.router.v1.json").read_text(encoding="utf-8")
    assert kept == text(), "python -m swarmc.runtime.orchestration.router.schema FILE"


def test_every_message_has_an_example() -> None:
    asked = {message["method"] for message in EXAMPLES if "method" in message}
    assert asked == {*ALL, "event"}
    shown = {m["params"]["type"] for m in EXAMPLES if m.get("method") == "event"}
    assert shown == set(get_args(EventType))


@pytest.mark.parametrize("message", EXAMPLES, ids=lambda m: json.dumps(m)[:60])
def test_examples_are_of_their_types(message: dict[str, Any]) -> None:
    if "method" in message:
        kind: Any = Event if message["method"] == "event" else ALL[message["method"]][0]
        msgspec.json.decode(json.dumps(message.get("params", {})), type=kind)
        unknown = set(message.get("params", {})) - set(kind.__struct_fields__)
        assert not unknown
    elif "error" in message:
        found = msgspec.convert(message["error"], Failure)
        msgspec.convert(found.data, Event)
    else:
        results = [r for _, r in ALL.values() if r is not None] + [TurnDone]
        assert any(_fits(message["result"], kind) for kind in results)


def _fits(value: Any, kind: Any) -> bool:
    try:
        msgspec.json.decode(json.dumps(value), type=kind)
    except msgspec.ValidationError:
        return False
    return set(value) <= set(kind.__struct_fields__)


class Recorder:
    """A router that does nothing but remember."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Params]] = []

    async def request(self, connection: Connection, method: str, params: Params) -> Any:
        self.asked.append((method, params))
        return {}

    def lost(self, connection: Connection) -> None:
        pass


def answers_to(*frames: bytes, role: str | None = None) -> tuple[list[Any], Recorder]:
    """What a connection says to frames, and what reached the router."""
    said: list[bytes] = []
    recorder = Recorder()

    async def main() -> None:
        connection = Connection(recorder, said.append, lambda: None, "test")
        connection.role = role
        for frame in frames:
            connection.receive(frame)
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(main())
    return [json.loads(frame) for frame in said], recorder


def codes(answers: list[Any]) -> list[int]:
    return [answer["error"]["code"] for answer in answers]


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"", Code.PARSE), (b"{", Code.PARSE), (b"\xff", Code.PARSE),
        (b"[" * 100_000, Code.INVALID_REQUEST),
        (b"1", Code.INVALID_REQUEST), (b"{}", Code.INVALID_REQUEST),
        (b'{"jsonrpc":"1.0","id":1,"method":"hello"}', Code.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":{},"method":"hello"}', Code.INVALID_REQUEST),
        (b'{"jsonrpc":"2.0","id":1,"method":"swarm_list"}', Code.HELLO_FIRST),
        (b'{"jsonrpc":"2.0","id":1,"method":"launch_missiles"}', Code.UNKNOWN_METHOD),
        (b'{"jsonrpc":"2.0","id":1,"method":"hello","params":{}}', Code.INVALID_PARAMS),
        (b'{"jsonrpc":"2.0","id":1,"method":"hello","params":[]}', Code.INVALID_PARAMS),
        (b" " * (MAX_MESSAGE + 1), Code.INVALID_REQUEST),
    ],
    ids=lambda value: repr(value)[:50],
)  # fmt: skip
def test_what_is_wrong_is_answered_by_name(frame: bytes, code: int) -> None:
    answers, recorder = answers_to(frame)
    assert codes(answers) == [code]
    assert recorder.asked == []


def test_unknown_fields_are_ignored_and_arrays_taken_apart() -> None:
    hello = {"protocol": "codeswarm.router.v1", "favourite_colour": "blue"}
    messages = [
        {"jsonrpc": "2.0", "id": n, "method": "hello", "params": hello, "x": 1} for n in (1, 2)
    ]
    answers, recorder = answers_to(json.dumps(messages).encode())
    assert sorted(answer["id"] for answer in answers) == [1, 2]
    assert len(recorder.asked) == 2


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
fields = st.sampled_from(
    sorted({name for params, _ in ALL.values() for name in params.__struct_fields__})
)
malformed = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0") | json_values, "method": st.sampled_from(sorted(ALL)) | st.text()},
    optional={
        "id": st.integers() | st.text() | json_values,
        "params": st.dictionaries(fields, json_values, max_size=5) | json_values,
    },
)


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(st.binary() | malformed.map(lambda m: json.dumps(m).encode()), st.booleans())
def test_nothing_malformed_gets_through(frame: bytes, said_hello: bool) -> None:
    role = "client" if said_hello else None
    answers, recorder = answers_to(frame, role=role)
    for method, params in recorder.asked:
        assert isinstance(params, METHODS[method][1])
        assert METHODS[method][0] in ("any", role)
    for answer in answers:
        assert "error" in answer or "result" in answer


def test_what_is_not_utf8_in_parameters_is_refused() -> None:
    frame = b'{"jsonrpc":"2.0","id":1,"method":"hello","params":{"protocol":"\xff"}}'
    answers, recorder = answers_to(frame)
    assert codes(answers) == [Code.INVALID_PARAMS]
    assert recorder.asked == []


def test_a_frame_of_very_many_messages_is_refused() -> None:
    status = b'{"jsonrpc":"2.0","id":1,"method":"status"}'
    many = b"[" + b",".join([status] * (MAX_ARRAY + 1)) + b"]"
    answers, recorder = answers_to(many, role="client")
    assert codes(answers) == [Code.INVALID_REQUEST]
    assert recorder.asked == []
    _, recorder = answers_to(b"[" + b",".join([status] * MAX_ARRAY) + b"]", role="client")
    assert len(recorder.asked) == MAX_ARRAY


@pytest.mark.parametrize("params", [b'"x"', b'{"protocol":"p","role":"%s"}'])
def test_a_refusal_does_not_repeat_all_that_was_said(params: bytes) -> None:
    long = b"\\u0000" * 100_000
    method = b"hello" if b"%s" in params else long
    params = params.replace(b"%s", long)
    frame = b'{"jsonrpc":"2.0","id":1,"method":"%s","params":%s}' % (method, params)
    (answer,), _ = answers_to(frame)
    assert "error" in answer and len(json.dumps(answer)) < 10_000


class Other(Recorder):
    """A router that does something else."""

    def __init__(self, what: Callable[[], Any]) -> None:
        super().__init__()
        self._what = what

    async def request(self, connection: Connection, method: str, params: Params) -> Any:
        return self._what()


def answered_by(what: Callable[[], Any]) -> Any:
    said: list[bytes] = []

    async def main() -> None:
        connection = Connection(Other(what), said.append, lambda: None, "test")
        connection.role = "client"
        connection.receive(b'{"jsonrpc":"2.0","id":1,"method":"status"}')
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(main())
    (answer,) = said
    return json.loads(answer)


def test_a_mistake_of_the_router_is_answered() -> None:
    assert answered_by({}.popitem)["error"] == {
        "code": Code.INTERNAL, "message": "status: KeyError"
    }  # fmt: skip


def test_an_answer_that_does_not_fit_is_said_to_be_one() -> None:
    error = answered_by(lambda: "x" * MAX_MESSAGE)["error"]
    assert error == {"code": Code.INTERNAL, "message": "the answer does not fit in a frame"}


def test_a_worker_is_not_asked_more_than_a_frame_holds() -> None:
    said: list[bytes] = []

    async def main() -> None:
        connection = Connection(Recorder(), said.append, lambda: None, "test")
        turn = TurnRun(turn_id="t", module="m", agents=1, data="x" * MAX_MESSAGE)
        with pytest.raises(RequestError, match="turn_run does not fit in a frame"):
            await connection.ask("turn_run", turn)

    asyncio.run(main())
    assert said == []


def test_no_more_is_read_while_much_is_worked_on() -> None:
    release = asyncio.Event()

    class Slow(Recorder):
        async def request(self, connection: Connection, method: str, params: Params) -> Any:
            await release.wait()

    async def main() -> None:
        connection = Connection(Slow(), lambda frame: None, lambda: None, "test")
        connection.role = "client"
        await connection.room()
        for _ in range(MAX_WORKING):
            connection.receive(b'{"jsonrpc":"2.0","method":"status"}')
        room = asyncio.ensure_future(connection.room())
        await asyncio.wait([room], timeout=0.05)
        assert not room.done()
        release.set()
        await asyncio.wait_for(room, 10)

    asyncio.run(main())
