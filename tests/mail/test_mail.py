"""What a swarm's user sees of mail, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

import numpy as np
import pytest
from wasmtime import wat2wasm

import swarmc
from swarmc.errors import ArgumentError, CapacityError, SwarmStateError, UnknownAgentError
from swarmc.ir.types import Trap
from swarmc.runtime import SwarmManager
from swarmc.runtime.mail import post
from swarmc.runtime.mail.access import Message
from swarmc.runtime.mail.links import Links
from swarmc.targets.base import Dispatch, Mail, Strings

CALLS = bytes(wat2wasm("""
(module
  (import "swarm" "send" (func $send (param i32 i32 i32) (result i32)))
  (import "swarm" "recv" (func $recv (param i32 i32) (result i32)))
  (memory (export "memory") 1)
  (export "send" (func $again))
  (func $again (param i32 i32 i32) (result i32)
    (call $send (local.get 0) (local.get 1) (local.get 2)))
  (func (export "recv") (param i32 i32) (result i32) (call $recv (local.get 0) (local.get 1)))
  (func (export "twice") (param i32) (result i32)
    (drop (call $send (local.get 0) (i32.const 0) (i32.const 8)))
    (call $send (local.get 0) (i32.const 65000) (i32.const 1000))))
"""))


@pytest.fixture(params=["cpu", "ptx"])
def swarm(request: pytest.FixtureRequest) -> Iterator[SwarmManager]:
    with SwarmManager.from_wasm(CALLS, target=request.param, max_agents=4) as made:
        yield made


@pytest.mark.parametrize(
    "args", [(0, 65536, 1), (0, 65530, 8), (0, -1, 0), (0, 0, -1), (9, 65536, 1)], ids=str
)
@pytest.mark.parametrize("name", ["send", "recv"])
def test_bytes_outside_memory_end_the_agent(
    swarm: SwarmManager, name: str, args: tuple[int, int, int]
) -> None:
    agent = swarm.spawn_agent()
    result = swarm.dispatch([agent], name, [list(args if name == "send" else args[1:])])
    trap = result.traps[agent]
    assert (trap.code, trap.message) == (
        Trap.MEMORY_OUT_OF_BOUNDS, "out of bounds memory access"
    )
    assert trap.function is not None and len(swarm.mail) == 0


def test_bytes_at_the_end_of_memory(swarm: SwarmManager) -> None:
    agent = swarm.spawn_agent()
    swarm.set_agent_memory(agent, b"end", 65533)
    assert swarm.dispatch(None, "send", [0, 65533, 3]).results_array().tolist() == [0]
    assert swarm.dispatch(None, "send", [0, 65536, 0]).results_array().tolist() == [0]
    assert [one.data for one in swarm.mail.waiting()] == [b"end", b""]
    assert swarm.dispatch(None, "recv", [65533, 3]).results_array().tolist() == [3]
    assert swarm.dispatch(None, "recv", [65536, 0]).results_array().tolist() == [0]
    assert swarm.dispatch(None, "recv", [0, 8]).results_array().tolist() == [-1]


def test_what_was_sent_before_a_trap_is_delivered(swarm: SwarmManager) -> None:
    first, second = swarm.spawn_agents(2).tolist()
    result = swarm.dispatch([first], "twice", [second])
    assert result.traps[first].code is Trap.MEMORY_OUT_OF_BOUNDS
    assert swarm.mail.waiting() == [Message(second, first, bytes(8))]


def test_a_call_costs_one_unit_of_fuel(swarm: SwarmManager) -> None:
    agent = swarm.spawn_agent()
    result = swarm.dispatch([agent], "recv", [0, 8])
    assert result.instruction_counts[agent] == 4  # the function, two locals, and the call


def test_the_host_writes_to_agents(swarm: SwarmManager) -> None:
    first, second = swarm.spawn_agents(2).tolist()
    swarm.mail.post(second, b"hello")
    assert swarm.mail.post_many([second, first], b"all").all()
    assert swarm.mail.pending().tolist() == [1, 2]
    result = swarm.dispatch([second], "recv", [100, 50])
    assert result.agent_results[second] == 5
    assert swarm.get_agent_memory(second, 100, 5) == b"hello"
    assert result.mail is not None and result.to_dict()["mail"] == asdict(result.mail)
    assert swarm.mail.waiting([second]) == [Message(second, None, b"all")]
    assert swarm.mail.clear([second]) == 1
    assert len(swarm.mail) == 1 and swarm.mail.stats().dropped == 1


def test_what_finds_no_room_is_refused(swarm: SwarmManager) -> None:
    agent = swarm.spawn_agent()
    with pytest.raises(CapacityError, match=r"agent 0, which has 4096 bytes.*mailbox_size"):
        swarm.mail.post(agent, bytes(4089))
    swarm.mail.post(agent, bytes(4088))
    assert swarm.mail.post_many([agent], b"").tolist() == [False]
    with pytest.raises(UnknownAgentError, match="no agent 7"):
        swarm.mail.post(7, b"")
    with pytest.raises(ArgumentError, match="a message must be bytes, not str"):
        swarm.mail.post(agent, "text")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="2 messages for 1 agents"):
        swarm.mail.post_many([agent], [b"", b""])


def test_mail_belongs_to_the_id(swarm: SwarmManager) -> None:
    first, second = swarm.spawn_agents(2).tolist()
    swarm.dispatch([first], "send", [second, 0, 8])
    kept = swarm.snapshot(second)
    swarm.reset_agent(second)
    swarm.restore(first, kept)
    assert swarm.mail.pending([first, second]).tolist() == [0, 1]
    swarm.kill_agent(second)
    assert (swarm.mail.stats().dropped, len(swarm.mail)) == (1, 0)
    third = swarm.spawn_agent()  # in the slot of the dead
    result = swarm.dispatch([first, third], "send", [second, 0, 8])
    assert result.results_array().tolist() == [-4, -4]
    assert result.mail is not None and result.mail.no_such_agent == 2


def test_who_may_write_to_whom(swarm: SwarmManager) -> None:
    ids = swarm.spawn_agents(4).tolist()
    swarm.mail.connect(Links.of_edges([[0, 1], [1, 2]], members=[3]))
    sent = {to: swarm.dispatch(None, "send", [to, 0, 1]).results_array().tolist() for to in ids}
    assert sent == {0: [0, -4, -4, -4], 1: [0, 0, -4, -4], 2: [-4, 0, 0, -4], 3: [-4, -4, -4, 0]}
    swarm.mail.connect(Links.complete([2, 3]))
    assert swarm.dispatch(None, "send", [3, 0, 1]).results_array().tolist() == [-4, -4, 0, 0]
    swarm.mail.connect(None)
    assert swarm.dispatch(None, "send", [3, 0, 1]).results_array().tolist() == [0, 0, 0, 0]
    with pytest.raises(ArgumentError, match="pairs of ids"):
        Links.of_edges([1, 2, 3])


def test_agents_that_exchange_messages_do_not_run_in_waves(swarm: SwarmManager) -> None:
    with pytest.raises(CapacityError, match="5 agents that exchange messages cannot run in waves"):
        swarm.run_agents(5, "recv", [0, 8], waves=True)
    assert len(swarm.run_agents(4, "recv", [0, 8], waves=True)) == 4
    # Who sends to one that is gone afterwards: nobody gets it.
    result = swarm.run_agents(2, "send", [[5, 0, 1], [4, 0, 1]])
    assert result.results_array().tolist() == [0, 0]
    assert len(swarm.mail) == 0 and swarm.mail.stats().dropped == 2


def test_programs_without_messages_have_no_mail() -> None:
    with SwarmManager.from_wasm(wat2wasm('(module (func (export "f")))'), target="cpu") as swarm:
        swarm.spawn_agent()
        result = swarm.dispatch()
        assert result.mail is None and "mail" not in result.to_dict()
        with pytest.raises(SwarmStateError, match="exchanges no messages"):
            _ = swarm.mail
    with pytest.raises(SwarmStateError):
        _ = SwarmManager(target="cpu").mail


def test_a_function_of_the_users_comes_first() -> None:
    @swarmc.host_function("swarm", "recv", "i32(i32, i32)")
    def recv(agent: swarmc.Agent, address: int, capacity: int) -> int:
        return 77

    wasm = wat2wasm("""(module (import "swarm" "recv" (func $recv (param i32 i32) (result i32)))
      (func (export "f") (result i32) (call $recv (i32.const 0) (i32.const 0))))""")
    with SwarmManager.from_wasm(wasm, target="cpu", host_functions=[recv]) as swarm:
        swarm.spawn_agent()
        assert swarm.dispatch().agent_results == {0: 77}
        with pytest.raises(SwarmStateError):
            _ = swarm.mail


def test_mailbox_sizes() -> None:
    with SwarmManager.from_wasm(CALLS, target="cpu", mailbox_size=9) as swarm:
        assert swarm.mail.mailbox_size == 16
        swarm.spawn_agent()
        assert swarm.dispatch(None, "send", [0, 0, 9]).results_array().tolist() == [-2]
        assert swarm.dispatch(None, "twice", [0]).results_array().tolist() == [0]
        assert swarm.mail.stats().sent == 1
    with pytest.raises(ArgumentError, match="mailbox_size must be an integer from 8"):
        SwarmManager(target="cpu", mailbox_size=7)


def test_a_part_of_a_dispatch_keeps_its_mail() -> None:
    none = Strings(np.zeros(0, np.uint8), np.zeros((3, 2), np.int64))
    numbers = np.arange(3)
    mail = Mail(np.arange(39).reshape(3, 13), numbers, np.zeros(0, np.uint64), numbers)
    whole = Dispatch(
        numbers, numbers, numbers.astype(np.int32), np.zeros((3, 0), np.uint64), none, none, none,
        mail=mail,
    )  # fmt: skip
    part = whole.part(np.array([2])).mail
    assert part is not None and part.rows.tolist() == [mail.rows[2].tolist()]
    assert part.entries is mail.entries and part.data is mail.data


def test_pieces_are_put_together_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(7)
    words = random.integers(0, 1 << 60, 500).astype(np.uint64)
    counts = random.integers(0, 9, 60)
    starts = random.integers(0, 490, 60)
    expected = np.concatenate([words[s : s + c] for s, c in zip(starts, counts, strict=True)])
    for block in (1, 2, 7, 64, 10_000):
        monkeypatch.setattr(post, "_WORDS_AT_A_TIME", block)
        assert (post._pieces(words, starts, counts) == expected).all()
