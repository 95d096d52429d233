"""Topologies as graphs: connected, symmetric, of bounded diameter, whoever comes and goes."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmc.errors import ArgumentError
from swarmc.runtime.orchestration.hub import (
    HubConfigError,
    MemberExistsError,
    NotPermittedError,
    SwarmTopology,
    Topology,
    UnknownMemberError,
)

kinds = st.sampled_from(SwarmTopology)
#: Each step: somebody joins (True), or the member at a place leaves.
steps = st.lists(st.just(True) | st.integers(0, 40), max_size=24)
deterministic = settings(derandomize=True, deadline=None, database=None, max_examples=150)


def distances(topology: Topology[int], start: int) -> dict[int, int]:
    """Links from one member to each that can be reached."""
    found, queue = {start: 0}, deque([start])
    while queue:
        one = queue.popleft()
        for other in topology.neighbours(one):
            if other not in found:
                found[other] = found[one] + 1
                queue.append(other)
    return found


def depth(count: int, fanout: int) -> int:
    """Levels below the root of a full tree."""
    levels = 0
    while count > 1:
        count = (count - 2) // fanout + 1  # how many have children
        levels += 1
    return levels


def most(topology: Topology[int]) -> int:
    """How far two members may be from each other."""
    count = len(topology)
    return {
        SwarmTopology.MESH: 1, SwarmTopology.STAR: 2, SwarmTopology.CENTRALIZED: 2,
        SwarmTopology.RING: count // 2,
        SwarmTopology.HIERARCHICAL: 2 * depth(count, topology.fanout),
    }[topology.kind]  # fmt: skip


def check(topology: Topology[int]) -> None:
    members = topology.members
    assert len(set(members)) == len(members) == len(topology)
    for one in members:
        neighbours = topology.neighbours(one)
        assert len(set(neighbours)) == len(neighbours) and one not in neighbours
        assert all(one in topology.neighbours(other) for other in neighbours)
        if topology.kind is SwarmTopology.HIERARCHICAL:
            assert len(neighbours) <= topology.fanout + 1
        far = distances(topology, one)
        assert set(far) == set(members), "connected"
        assert max(far.values()) <= most(topology)
        for other in members:
            if not topology.may_send(one, other):
                assert topology.kind is SwarmTopology.CENTRALIZED
                assert topology.hub not in (one, other)
                continue
            route = topology.route(one, other)
            assert len(route) == far[other], "the shortest way"
            assert (route[-1] if route else one) == other
            for here, there in zip((one, *route), route, strict=False):
                assert there in topology.neighbours(here), "along links"
    pairs = {(int(a), int(b)) for a, b in topology.edges()}
    assert pairs == {(a, b) for a in members for b in topology.neighbours(a)}
    links = topology.links()
    reachable = {
        (a, int(b))
        for a, (first, count) in zip(links.members.tolist(), links.spans.tolist(), strict=True)
        for b in links.peers[first : first + count]
    }
    assert reachable == pairs | {(a, a) for a in members}
    grid = np.array(members, np.int64)
    permitted = topology.permitted(grid[:, None], grid[None, :])
    assert permitted.tolist() == [[topology.may_send(a, b) for b in members] for a in members]


@deterministic
@given(kinds, st.integers(1, 4), steps)
def test_what_holds_of_every_topology(kind: SwarmTopology, fanout: int, plan: list[int]) -> None:
    topology: Topology[int] = Topology(kind, range(3), fanout=fanout)
    following = 3
    for step in plan:
        hub = topology.hub
        if step is True:
            topology.join(following)
            following += 1
            assert hub is None or topology.hub == hub
        elif len(topology):
            gone = topology.members[step % len(topology)]
            before = topology.neighbours(gone)
            topology.leave(gone)
            assert gone not in topology and not topology.may_send(gone, gone)
            if gone != hub:
                assert topology.hub == hub or not len(topology)
            elif kind is SwarmTopology.HIERARCHICAL and hub is not None and before:
                assert topology.hub == before[0], "the first child"
        check(topology)


def test_the_oldest_member_is_the_hub() -> None:
    for kind in (SwarmTopology.STAR, SwarmTopology.CENTRALIZED):
        topology = Topology(kind, ["a", "b", "c", "d"])
        for hub in "abcd":
            assert topology.hub == hub
            topology.leave(hub)
        assert topology.hub is None


def test_what_each_kind_means() -> None:
    star = Topology(SwarmTopology.STAR, "abcd")
    assert star.route("b", "d") == ("a", "d") and star.route("b", "a") == ("a",)
    central = Topology(SwarmTopology.CENTRALIZED, "abcd")
    assert central.route("b", "a") == ("a",) and central.route("a", "d") == ("d",)
    with pytest.raises(NotPermittedError, match="the coordinator, 'a'"):
        central.route("b", "d")
    ring = Topology(SwarmTopology.RING, "abcdef")
    assert ring.route("a", "d") == ("b", "c", "d") and ring.route("a", "e") == ("f", "e")
    ring.leave("f")
    assert ring.neighbours("e") == ("d", "a"), "it closes"
    tree = Topology(SwarmTopology.HIERARCHICAL, "abcdefg")
    assert tree.route("d", "c") == ("b", "a", "c") and tree.neighbours("b") == ("a", "d", "e")
    tree.leave("b")
    assert tree.members == ("a", "d", "c", "g", "e", "f"), "d for b, and the last for d"
    assert Topology(SwarmTopology.MESH, "abc").route("c", "a") == ("a",)
    assert [kind.value for kind in SwarmTopology] == [
        "centralized", "mesh", "hierarchical", "ring", "star",
    ]  # fmt: skip


def test_what_is_refused() -> None:
    topology = Topology(SwarmTopology.MESH, ["a"])
    with pytest.raises(MemberExistsError, match="'a' has joined already"):
        topology.join("a")
    for call in (topology.leave, topology.neighbours):
        with pytest.raises(UnknownMemberError, match="'b' is no member of the mesh topology"):
            call("b")
    with pytest.raises(HubConfigError, match="fanout"):
        Topology(SwarmTopology.HIERARCHICAL, fanout=0)
    with pytest.raises(HubConfigError, match="is a SwarmTopology, not 'mesh'"):
        Topology("mesh")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="agents' ids"):
        topology.links()
    assert Topology[int](SwarmTopology.RING).permitted([1], [1]).tolist() == [False]


def test_large_ones_are_quick_to_make() -> None:
    ids = range(20_000)
    for kind in SwarmTopology:
        links = Topology(kind, ids).links()
        assert len(links.members) == 20_000
        assert links.spans_of(np.array([5, 70_000]))[1].tolist() == [0, 0]
