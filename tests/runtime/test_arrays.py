"""Arrays in and out: columns of arguments, arrays of other libraries, memories of many agents."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import swarmc
from swarmc.errors import ArgumentError, UnknownAgentError
from swarmc.runtime import SwarmManager
from swarmc.runtime.arrays import is_foreign, to_array

Make = Callable[..., SwarmManager]


class Foreign:
    """An array of a library that knows DLPack, in this machine's memory."""

    def __init__(self, array: Any, device: tuple[int, int] = (1, 0)) -> None:
        self.array, self.device = np.asarray(array), device

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__()


class Old(Foreign):
    """One on another device, of a library that does not copy."""

    def __dlpack__(self, **options: Any) -> Any:
        if options.keys() - {"stream"}:
            raise TypeError(f"unexpected arguments: {options}")
        return self.array.__dlpack__()


class OnDevice(Foreign):
    """One on a GPU, whose library copies it as the protocol says."""

    def __init__(self, array: Any) -> None:
        super().__init__(array, (2, 1))

    def __dlpack__(self, **options: Any) -> Any:
        if options.get("dl_device") != (1, 0) or not options.get("copy"):
            raise BufferError("only this machine's memory, and only a copy")
        return self.array.copy().__dlpack__()

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {"shape": self.array.shape, "typestr": self.array.dtype.str, "data": (4096, False),
                "version": 3}  # fmt: skip


class Remote:
    """An array on a GPU that only its library can copy."""

    def __init__(self, array: Any, **methods: Callable[[], Any]) -> None:
        self.__cuda_array_interface__ = {"shape": np.shape(array), "version": 3}
        for name, method in methods.items():
            setattr(self, name, method)


def test_an_array_in_memory_is_not_copied() -> None:
    array = np.arange(6, dtype=np.float32)
    found = to_array(Foreign(array), "it")
    assert np.shares_memory(found, array)
    assert to_array(array, "it") is array
    for device in ((3, 0), (13, 0)):
        assert np.shares_memory(to_array(Foreign(array), f"it on {device}"), array)


def test_arrays_on_a_device_are_copied_by_their_library() -> None:
    array = np.arange(4)
    copies = [
        OnDevice(array), Remote(array, copy_to_host=lambda: array), Remote(array, get=array.copy),
    ]  # fmt: skip
    for one in copies:
        assert is_foreign(one)
        assert to_array(one, "it").tolist() == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (Old([1], (2, 3)), r"argument 0 of f: .*Old lies on cuda:3, and does not say how"),
        (Old([1], (10, 0)), r"lies on rocm:0.*\.cpu\(\) or \.get\(\)"),
        (Remote([1]), "Remote lies on a GPU"),
        (Remote([1], get=lambda: 5), "Remote lies on a GPU"),
        (Foreign(np.array([object()])), "Foreign cannot be read"),
    ],
)
def test_what_cannot_be_brought_here_is_refused(value: Any, complaint: str) -> None:
    with pytest.raises(ArgumentError, match=complaint):
        to_array(value, "argument 0 of f")


def test_numbers_and_texts_are_no_arrays() -> None:
    for value in (np.arange(3), np.float32(1), 1, 1.5, "text", b"text", [1], (1,), None, object()):
        assert not is_foreign(value)


@pytest.mark.parametrize("target", ["cpu", "ptx"])
def test_columns(make_swarm: Make, library: bytes, target: str) -> None:
    swarm = make_swarm(library, target=target)
    a, b = np.arange(-2, 3), np.full(5, 10, np.uint8)
    wanted = (a + 10).tolist()
    for args in (
        swarmc.Columns(a, b), swarmc.Columns(Foreign(a), 10),
        swarmc.Columns(a.tolist(), OnDevice(b)),
        Foreign(np.stack([a, b], axis=1)), OnDevice(np.stack([a, b], axis=1)),
    ):  # fmt: skip
        ids = swarm.spawn_agents(5, "add", args)
        assert swarm.dispatch(ids).results_array().tolist() == wanted
        assert swarm.dispatch(ids, "add", args).results_array().tolist() == wanted
    mixed = swarmc.Columns(a, a * (1 << 40), a.astype(np.float32) / 2, [0.5] * 5)
    result = swarm.dispatch(ids, "mix", mixed)
    assert [result.results_array(n).dtype for n in range(4)] == ["f8", "i8", "f4", "i4"]
    assert result.results_array(1).tolist() == (a * (1 << 40)).tolist()
    assert result.results_array(2).tolist() == (a / 2).tolist()


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [
        ((np.arange(5),), r"add takes 2 arguments \(i32, i32\), got 1"),
        ((np.arange(5), np.arange(4)), "argument 1 of add: 4 values for 5 agents"),
        ((np.arange(5), np.ones(5)), r"argument 1 of add is an i32: it must be an integer, not "
         r".*1\.0.* \(an array of float64\)"),
        ((np.arange(5) + (1 << 40), 1), "argument 0 of add: .* is out of the range of i32"),
        ((np.zeros((5, 2)), 1), r"argument 0 of add: a column has one dimension, not 2"),
        ((Remote([1]), 1), "argument 0 of add: .*Remote lies on a GPU"),
        ((["x"] * 5, 1), r"argument 0 of add \(row 0\) is an i32"),
        (([[1], [2, 3]], 1), "argument 0 of add"),
    ],
)  # fmt: skip
def test_columns_that_are_wrong(
    make_swarm: Make, library: bytes, columns: Any, complaint: str
) -> None:
    swarm = make_swarm(library)
    with pytest.raises(ArgumentError, match=complaint):
        swarm.spawn_agents(5, "add", swarmc.Columns(*columns))
    ids = swarm.spawn_agents(5)
    with pytest.raises(ArgumentError, match=complaint):
        swarm.dispatch(ids, "add", swarmc.Columns(*columns))


def test_columns_for_agents_of_several_entry_points(make_swarm: Make, library: bytes) -> None:
    swarm = make_swarm(library)
    ids = swarm.spawn_agents(2, "add").tolist() + swarm.spawn_agents(2, "divide").tolist()
    order = [ids[n] for n in (2, 0, 3, 1)]
    result = swarm.dispatch(order, args=swarmc.Columns([8, 8, 9, 9], 2))
    assert list(result.agent_results.values()) == [4, 10, 4, 11]


PLACES = [("cpu", "flat"), ("cpu", "interleaved:4"), ("cpu", "interleaved:16"), ("ptx", None)]


@pytest.fixture(params=PLACES, ids=lambda place: f"{place[0]}-{place[1]}")
def swarm(request: pytest.FixtureRequest, make_swarm: Make, library: bytes) -> SwarmManager:
    target, layout = request.param
    return make_swarm(library, target=target, layout=layout, max_agents=100)


@pytest.mark.parametrize("offset", [0, 1, 5, 16, 65536 - 24])
def test_memories_as_arrays(swarm: SwarmManager, offset: int) -> None:
    ids = swarm.spawn_agents(70)
    every = swarm.get_agent_memories(ids[1::3], offset, 9)
    assert every.tobytes() == b"".join(swarm.get_agent_memory(i, offset, 9) for i in ids[1::3])
    rng = np.random.default_rng(offset)
    chosen = rng.permutation(ids)[:41]
    data = rng.integers(0, 1 << 16, (41, 12), np.uint16)
    before = {agent: swarm.get_agent_memory(agent) for agent in ids.tolist()}
    swarm.set_agent_memories(data, chosen, offset)
    assert (swarm.get_agent_memories(chosen, offset, 12, np.uint16) == data).all()
    everyone = swarm.get_agent_memories(offset=offset, count=24)
    for place, agent in enumerate(ids.tolist()):
        memory = swarm.get_agent_memory(agent)
        assert everyone[place].tobytes() == memory[offset : offset + 24]
        wanted = before[agent]
        if agent in chosen:
            row = data[chosen.tolist().index(agent)].tobytes()
            wanted = wanted[:offset] + row + wanted[offset + 24 :]
        assert memory == wanted


def test_fresh_agents_have_what_the_module_says(swarm: SwarmManager) -> None:
    ids = swarm.spawn_agents(3, memory_init=[b"ab", b"", b"x"])
    found = swarm.get_agent_memories(ids, 0, 8)
    assert [row.tobytes() for row in found] == [b"ab\0\0data", b"\0\0\0\0data", b"x\0\0\0data"]
    assert swarm.get_agent_memories(ids).shape == (3, 65536)
    assert swarm.get_agent_memories([], 0, 8, "<f8").shape == (0, 8)
    swarm.set_agent_memories(b"all", ids, 6)
    assert {row.tobytes() for row in swarm.get_agent_memories(ids, 4, 5)} == {b"daall"}
    swarm.set_agent_memories(Foreign(np.arange(3.0).reshape(3, 1)), ids, 8)
    assert swarm.get_agent_memories(ids, 8, 1, "<f8").tolist() == [[0.0], [1.0], [2.0]]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda s, i: s.get_agent_memories(i, 65536, 1), "bytes 65536 to 65537 are not in the"),
        (lambda s, i: s.get_agent_memories(i, -1, 1), "bytes -1 to 0"),
        (lambda s, i: s.get_agent_memories(i, 0, -1), "bytes 0 to -1"),
        (lambda s, i: s.get_agent_memories(i, 0, 9000, "f8"), "bytes 0 to 72000 are not in the"
         " memory of 65536 bytes that agent 0 has"),
        (lambda s, i: s.get_agent_memories(i, dtype=object), "dtype object is nothing"),
        (lambda s, i: s.get_agent_memories(i, dtype="bad"), "dtype: "),
        (lambda s, i: s.get_agent_memories(i, memory=1), "there is no 1"),
        (lambda s, i: s.get_agent_memories([99]), "no living agent|no agent"),
        (lambda s, i: s.set_agent_memories(np.zeros((3, 4)), i), r"shape \(3, 4\) for 2 agents"),
        (lambda s, i: s.set_agent_memories(np.zeros((2, 9000)), i), "bytes 0 to 72000"),
        (lambda s, i: s.set_agent_memories(5, i), "must be bytes or an array"),
        (lambda s, i: s.set_agent_memories(np.array([None]), i), "dtype object"),
    ],
)  # fmt: skip
def test_parts_that_are_not_there(
    make_swarm: Make, library: bytes, change: Callable[..., Any], complaint: str
) -> None:
    swarm = make_swarm(library)
    ids = swarm.spawn_agents(2)
    with pytest.raises((ArgumentError, UnknownAgentError), match=complaint):
        change(swarm, ids)


def test_memories_that_grew_apart_need_a_count(make_swarm: Make, library: bytes) -> None:
    swarm = make_swarm(library)
    ids = swarm.spawn_agents(3)
    swarm.dispatch(ids[1:2], "grow")
    with pytest.raises(ArgumentError, match="65536 to 131072 bytes: count must say"):
        swarm.get_agent_memories(ids)
    assert swarm.get_agent_memories(ids, 4, 4)[1].tobytes() == b"data"
    assert swarm.get_agent_memories(ids[1:2]).shape == (1, 131072)


def test_a_view_is_the_memory_itself(make_swarm: Make, library: bytes) -> None:
    swarm = make_swarm(library, layout="flat")
    ids = swarm.spawn_agents(10, "peek", [100])
    view = swarm.view_agent_memories(ids, 100, 4, np.int32)
    assert isinstance(view, np.ndarray)
    view[:] = np.arange(40).reshape(10, 4)
    assert swarm.dispatch(ids).results_array().tolist() == list(range(0, 40, 4))
    swarm.dispatch(ids, "poke", [100, 77])
    assert (view[:, 0] == 77).all()
    every_third = swarm.view_agent_memories(ids[::3], 100, 1)
    assert isinstance(every_third, np.ndarray)
    assert every_third.tolist() == [[77]] * 4
    with pytest.raises(ArgumentError, match="do not lie one after another"):
        swarm.view_agent_memories(ids[[0, 1, 3]])
    swarm.close()
    assert (view[:, 0] == 77).all()  # it keeps the bytes


@pytest.mark.parametrize(("target", "layout"), [("cpu", "interleaved:8"), ("ptx", "flat")])
def test_elsewhere_there_is_no_view(
    make_swarm: Make, library: bytes, target: str, layout: str
) -> None:
    swarm = make_swarm(library, target=target, layout=layout)
    swarm.spawn_agents(2)
    with pytest.raises(ArgumentError, match="only on the CPU or a GPU, in the layout flat"):
        swarm.view_agent_memories()


def test_modules_without_a_memory(make_swarm: Make, single: bytes) -> None:
    swarm = make_swarm(single, memory_per_agent=16)
    ids = swarm.spawn_agents(2)
    swarm.set_agent_memories(np.array([[1, 2], [3, 4]], np.int64), ids)
    assert swarm.get_agent_memories(ids, dtype=np.int64).tolist() == [[1, 2], [3, 4]]
    bare = make_swarm(single, memory_per_agent=0)
    bare.spawn_agents(2)
    assert bare.get_agent_memories().shape == (2, 0)
