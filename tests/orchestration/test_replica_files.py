"""Messages as JSON, records on a disk, and what a replica makes of damage and of garbage."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from swarmc.runtime.orchestration.coordinator.agreement import Agreement
from swarmc.runtime.orchestration.coordinator.errors import (
    BadMessageError,
    BadSignatureError,
    CoordinationError,
    DamagedRecordError,
)
from swarmc.runtime.orchestration.coordinator.messages import (
    Certificate,
    Decision,
    Entry,
    Gossip,
    Message,
    Polka,
    Proposal,
    Record,
    Request,
    Step,
    Vote,
)
from swarmc.runtime.orchestration.coordinator.node import Node, NodeConfig, main
from swarmc.runtime.orchestration.coordinator.outputs import Persist
from swarmc.runtime.orchestration.coordinator.quorum import Group
from swarmc.runtime.orchestration.coordinator.record_file import RecordFile
from swarmc.runtime.orchestration.coordinator.signing import Ed25519Signer, Ed25519Verifier
from swarmc.runtime.orchestration.coordinator.sockets import call, parse_address
from swarmc.runtime.orchestration.coordinator.wire import (
    decode,
    decode_message,
    decode_record,
    encode,
)

from .ports import free_port

VOTE = Vote("r1", 3, 2, Step.PREVOTE, "ab" * 32, bytes(range(64)))
NIL = replace(VOTE, value=None, step=Step.PRECOMMIT)
PROOF = Certificate(3, 2, Step.PREVOTE, "ab" * 32, (VOTE, replace(VOTE, replica="r2")))
PROPOSAL = Proposal("r0", 3, 4, b"\0value", PROOF, b"signature")
POLKA = Polka(b"value", PROOF)
DECISION = Decision(3, b"", PROOF)
ENTRY = Entry(3, 5, (VOTE, NIL))
MESSAGES: list[Message | Record] = [
    VOTE, NIL, PROPOSAL, replace(PROPOSAL, proof=None), POLKA, DECISION, ENTRY, Request(b"x"),
    Gossip("r2", 7), Gossip("r2", 3, (VOTE, NIL), PROPOSAL, POLKA, (b"a", b"")),
]  # fmt: skip


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_messages_survive_as_json(message: Message | Record) -> None:
    assert decode(encode(message)) == message
    if isinstance(message, (Polka, Entry)):
        with pytest.raises(BadMessageError, match="nobody sends"):
            decode_message(encode(message))
    if isinstance(message, (Request, Gossip)):
        with pytest.raises(BadMessageError, match="nobody keeps"):
            decode_record(encode(message))


def test_damaged_messages_are_refused_by_name() -> None:
    chance = random.Random(1)
    whole = [encode(message) for message in MESSAGES]
    refused = 0
    for _ in range(4000):
        damaged = bytearray(chance.choice(whole))
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.choice(b'"0{}[]:,x-.n\xff')
        try:
            decode(bytes(damaged))
        except BadMessageError:
            refused += 1
    assert refused > 1000
    for text in (b"", b"null", b"[]", b'{"type": "x"}', b'{"type": []}', b"[" * 100_000):
        with pytest.raises(BadMessageError):
            decode(text)
    wrong = json.loads(encode(VOTE))
    for name, value in [("height", -1), ("round", 1 << 60), ("height", True), ("value", 1)]:
        with pytest.raises(BadMessageError):
            decode(json.dumps({**wrong, name: value}).encode())


def test_records_are_found_again(tmp_path: Path) -> None:
    path = tmp_path / "record"
    with RecordFile(path) as file:
        assert file.records == []
        file.append([VOTE, PROPOSAL])
        file.append([POLKA, ENTRY])
        with pytest.raises(CoordinationError, match="another process"):
            RecordFile(path)
    with RecordFile(path) as file:
        assert file.records == [VOTE, PROPOSAL, POLKA, ENTRY]
    whole = path.read_bytes()
    last = whole.rindex(b"\n", 0, -1) + 1
    for length in range(last, len(whole), 23):  # the power went while the last one was written
        path.write_bytes(whole[:length])
        with RecordFile(path) as file:
            assert file.records == [VOTE, PROPOSAL, POLKA]
        assert path.read_bytes() == whole[:last]


def test_a_damaged_record_stops_its_replica(tmp_path: Path) -> None:
    path = tmp_path / "record"
    with RecordFile(path) as file:
        file.append([VOTE, NIL, ENTRY])
    whole = bytearray(path.read_bytes())
    whole[40] ^= 1
    path.write_bytes(whole)
    with pytest.raises(DamagedRecordError, match=r"damaged at byte 0: .* join again"):
        RecordFile(path)
    assert path.read_bytes() == whole  # as it was found


def test_what_is_over_is_left_out_of_long_files(tmp_path: Path) -> None:
    path = tmp_path / "record"
    old = replace(PROPOSAL, value=bytes(800_000))
    new = replace(VOTE, height=4)
    with RecordFile(path) as file:
        file.append([old, VOTE, DECISION, new])
    with RecordFile(path) as file:
        assert file.records == [DECISION, new]
        file.append([NIL])
    assert path.stat().st_size < 10_000
    with RecordFile(path) as file:
        assert file.records == [DECISION, new]


def test_keys_are_nobody_elses(tmp_path: Path) -> None:
    path = tmp_path / "key"
    signer = Ed25519Signer.from_file(path)
    assert Ed25519Signer.from_file(path).public_key == signer.public_key
    path.chmod(0o644)
    with pytest.raises(BadSignatureError, match="chmod 600"):
        Ed25519Signer.from_file(path)
    path.chmod(0o600)
    path.write_bytes(b"short")
    with pytest.raises(BadSignatureError, match="holds no key: 5 bytes"):
        Ed25519Signer.from_file(path)


def test_addresses() -> None:
    assert parse_address("unix:/a/b") == "/a/b"
    assert parse_address("127.0.0.1:80") == parse_address("localhost:80") == ("127.0.0.1", 80)
    for text in ("0.0.0.0:80", "example.org:80", "unix:", "80", "127.0.0.1:"):
        with pytest.raises(CoordinationError, match="replicas talk over"):
            parse_address(text)


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[tuple[Node, tuple[str, int]]]:
    """A group of one, over TCP."""
    port = free_port()
    signer = Ed25519Signer.from_file(tmp_path / "key")
    config = tmp_path / "config.json"
    config.write_text(json.dumps({
        "me": "r0", "group": "one", "keys": {"r0": signer.public_key.hex()}, "peers": {},
        "listen": f"127.0.0.1:{port}", "key": str(tmp_path / "key"),
        "record": str(tmp_path / "record"),
    }))  # fmt: skip
    node = Node(NodeConfig.from_file(config))
    thread = threading.Thread(target=node.run)
    thread.start()
    yield node, ("127.0.0.1", port)
    node.stop()
    thread.join(60)
    assert not thread.is_alive()


def test_garbage_does_not_disturb_a_replica(alone: tuple[Node, tuple[str, int]]) -> None:
    _, address = alone
    chance = random.Random(2)
    for number in range(200):
        with socket.create_connection(address, timeout=60) as made:
            if number % 2:
                frame = chance.randbytes(chance.randrange(60))
                made.sendall(len(frame).to_bytes(4, "big") + frame)
            else:
                made.sendall(chance.randbytes(chance.randrange(60)))
    questions = [{"client": "x"}, {"client": "decisions"}, {"client": "submit", "value": "-"}]
    for question in questions:
        assert "error" in json.loads(call(address, json.dumps(question).encode(), 60))
    submit = b'{"client": "submit", "value": "dmFsdWU="}'
    assert json.loads(call(address, submit, 60)) == {"ok": True}
    end = time.monotonic() + 60
    while time.monotonic() < end:
        answer = json.loads(call(address, b'{"client": "decisions", "after": 0}', 60))
        if answer["height"] == 2:
            break
    decision = decode(answer["decisions"][0].encode())
    assert isinstance(decision, Decision) and decision.value == b"value"


def test_what_cannot_start_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "config.json"
    assert main([]) == 2 and main([str(config)]) == 1
    config.write_text("{}")
    assert main([str(config)]) == 1
    config.write_text('{"me": 1, "group": "g", "keys": {}, "peers": {"r1": 2}, "listen": "l",'
                      ' "key": "k", "record": "r"}')  # fmt: skip
    assert main([str(config)]) == 1
    assert "configures no replica" in capsys.readouterr().err
    config.write_text(json.dumps({
        "me": "r0", "group": "one", "keys": {"r0": "00" * 32}, "peers": {},
        "listen": f"unix:{tmp_path}/s", "key": f"{tmp_path}/key", "record": f"{tmp_path}/record",
    }))  # fmt: skip
    assert main([str(config)]) == 1
    assert "is not the key of r0" in capsys.readouterr().err


def test_a_replica_goes_on_from_its_file(tmp_path: Path) -> None:
    signer = Ed25519Signer()
    group = Group("one", {"r0": signer.public_key})
    verifier = Ed25519Verifier(group.keys)
    path = tmp_path / "record"
    with RecordFile(path) as file:
        replica = Agreement("r0", group, signer, verifier)
        outputs = [*replica.start(), *replica.submit(b"one"), *replica.submit(b"two")]
        file.append(output.record for output in outputs if isinstance(output, Persist))
    with RecordFile(path) as file:
        again = Agreement("r0", group, signer, verifier, records=file.records)
    assert again.decisions == replica.decisions and again.height == 3


def test_who_cannot_listen_leaves_the_record_alone(
    alone: tuple[Node, tuple[str, int]], tmp_path: Path
) -> None:
    _, (host, port) = alone
    signer = Ed25519Signer.from_file(tmp_path / "other")
    record = tmp_path / "other.record"
    config = NodeConfig(
        "r0", "two", {"r0": signer.public_key}, f"{host}:{port}", {}, str(tmp_path / "other"),
        str(record),
    )  # fmt: skip
    with pytest.raises(OSError, match="in use"):
        Node(config)
    RecordFile(record).close()
