"""The agent table, against a plain dictionary that does the same."""

from __future__ import annotations

import random

import numpy as np
import pytest

from swarmc.errors import ArgumentError, CapacityError, UnknownAgentError
from swarmc.runtime.agents import AgentTable, Stage
from swarmc.runtime.inputs import InputColumn


def new_table(capacity: int) -> AgentTable:
    return AgentTable(capacity, 0, b"", b"", b"")


def free(table: AgentTable, slots: list[int]) -> None:
    array = np.array(slots, np.int64)
    table.stage[array] = Stage.FRESH
    table.free(array)


@pytest.mark.parametrize("seed", range(5))
def test_against_a_dictionary(seed: int) -> None:
    chance = random.Random(seed)
    table = new_table(50)
    living: dict[int, int] = {}
    used: set[int] = set()
    for _ in range(2000):
        if chance.random() < 0.5 and len(living) < 50:
            count = chance.randint(1, 50 - len(living))
            if count == 1:
                id_, slot = table.spawn()
                new = {id_: slot}
            else:
                ids, slots = table.spawn_many(count)
                new = dict(zip(ids.tolist(), slots.tolist(), strict=True))
            assert not used & new.keys(), "ids are never used again"
            assert not set(living.values()) & set(new.values()), "a slot has one agent"
            assert all(0 <= slot < 50 for slot in new.values())
            used |= new.keys()
            living |= new
        elif living:
            gone = chance.sample(sorted(living), chance.randint(1, len(living)))
            if len(gone) == 1:
                assert table.remove(gone[0]) == living[gone[0]]
            else:
                assert table.remove_many(gone).tolist() == [living[id_] for id_ in gone]
            free(table, [living.pop(id_) for id_ in gone])
        assert len(table) == len(living)
        ids, slots = table.living()
        assert dict(zip(ids.tolist(), slots.tolist(), strict=True)) == living
        assert ids.tolist() == sorted(living)
        for id_, slot in living.items():
            assert table.slot(id_) == slot


def test_capacity_error_names_the_limit() -> None:
    table = new_table(2)
    table.spawn_many(2)
    with pytest.raises(CapacityError, match=r"2 of at most 2 agents \(max_agents=2\)"):
        table.spawn()
    with pytest.raises(RuntimeError, match="max_agents=2"):
        table.spawn_many(1)


def test_unknown_agents() -> None:
    table = new_table(4)
    table.spawn_many(3)
    free(table, [table.remove(1)])
    for wrong in (1, 3, -1, 9999, "0", None, 0.5):
        with pytest.raises(KeyError, match="no agent"):
            table.slot(wrong)  # type: ignore[arg-type]
    for several in ([0, 1], [7], np.array([2, 3])):
        with pytest.raises(UnknownAgentError, match=r"no agent [137]"):
            table.select(several)
    with pytest.raises(UnknownAgentError, match="must be integers"):
        table.select([0.5])
    with pytest.raises(ArgumentError, match="agent 2 is given twice"):
        table.select([2, 0, 2])


def test_selection_keeps_the_order() -> None:
    table = new_table(4)
    ids, slots = table.spawn_many(4)
    chosen, chosen_slots = table.select([3, 0, 2])
    assert chosen.tolist() == [3, 0, 2]
    assert chosen_slots.tolist() == [slots[3], slots[0], slots[2]]
    assert table.select([])[0].tolist() == []
    assert ids.tolist() == [0, 1, 2, 3]


def test_memory_stays_bounded_when_agents_come_and_go() -> None:
    table = new_table(10)
    first, _ = table.spawn()
    for _ in range(5000):
        id_, _ = table.spawn()
        free(table, [table.remove(id_)])
    assert table.slot(first) == 0
    assert len(table._ids) < 1000


def test_arguments_widen() -> None:
    table = new_table(4)
    _, slots = table.spawn_many(2)
    table.set_args(slots[:1], np.array([[1]], np.uint64), 1)
    table.set_args(int(slots[1]), [2**64 - 1, 2**63, 0], 3)
    assert table.args[slots].tolist() == [[1, 0, 0], [2**64 - 1, 2**63, 0]]
    assert table.has_args[slots].all()
    table.remove(1)
    assert table.has_args[slots].tolist() == [True, False]


class TestInputColumn:
    """Strings by slot."""

    def test_equal_strings_are_kept_once(self) -> None:
        column = InputColumn(8, b"default")
        column.put_all(np.array([1, 2]), b"same")
        column.put_all(np.array([3]), [b"same"])
        column.put(4, b"other")
        assert len(column) == 3
        assert [column[slot] for slot in range(5)] == [
            b"default", b"same", b"same", b"same", b"other",
        ]  # fmt: skip
        assert column.given(np.array([0, 1, 4])).tolist() == [1, 4]
        column.clear(np.array([1, 3, 4, 0]))
        assert len(column) == 2
        column.clear_one(2)
        column.clear_one(2)
        assert len(column) == 1
        column.put(5, b"new")
        assert column[5] == b"new"
        assert column[2] == b"default"

    def test_pack(self) -> None:
        column = InputColumn(8, b"-")
        column.put_all(np.array([0, 3]), [b"abc", b""])
        column.put_all(np.array([1, 4]), b"xy")
        slots = np.array([4, 0, 1, 2, 3])
        packed = column.pack(slots)
        data = packed.data.tobytes()
        parts = [data[start : start + size] for start, size in packed.spans.tolist()]
        assert parts == [column[slot] for slot in slots.tolist()]
        assert len(data) == len("abc" + "xy" + "-")

    def test_pack_of_defaults_has_an_address(self) -> None:
        packed = InputColumn(2).pack(np.array([0, 1]))
        assert packed.data.size == 1
        assert packed.spans.tolist() == [[0, 0], [0, 0]]
