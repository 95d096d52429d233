"""Graphs of nodes: their order, their steps, and everything that keeps nodes from being one."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swarmc.runtime.orchestration.errors import DependencyCycleError, InvalidTaskError
from swarmc.runtime.orchestration.graph import (
    GraphNode,
    TaskGraph,
    find_cycles,
    find_problems,
    render_plan,
)


def graph(**dependencies: str) -> TaskGraph[None]:
    """``graph(a="", b="a")``: b depends on a."""
    return TaskGraph(GraphNode(n, None, tuple(d.split())) for n, d in dependencies.items())


def test_order_and_steps() -> None:
    made = graph(d="b c", b="a", c="a", a="", e="")
    assert made.order() == ("a", "b", "c", "d", "e")
    assert made.levels() == (("a", "e"), ("b", "c"), ("d",))
    assert made.names == ("d", "b", "c", "a", "e")
    assert (made.roots(), made.leaves()) == (("a", "e"), ("d", "e"))
    assert (made.dependents("a"), made.dependencies("d")) == (("b", "c"), ("b", "c"))
    assert made.ancestors("d") == {"a", "b", "c"}
    assert made.descendants("a") == {"b", "c", "d"}
    assert (len(made), "a" in made, "x" in made, made["a"].name) == (5, True, False, "a")


def test_priority_orders_what_could_come_next() -> None:
    made = TaskGraph([
        GraphNode("slow", 0), GraphNode("soon", 0, priority=10), GraphNode("then", 0, ("soon",), 5)
    ])  # fmt: skip
    assert made.order() == ("soon", "then", "slow")


@pytest.mark.parametrize(
    ("nodes", "problems"),
    [
        ([("a", "a")], [(0, 0, "a depends on itself")]),
        ([("a", ""), ("a", "")], [(1, None, "there are two nodes named 'a'")]),
        ([("load", ""), ("b", "laod")],
         [(1, 0, "b depends on 'laod', which is not there: did you mean load?")]),
        ([("a", ""), ("b", "a a")], [(1, 1, "b depends on 'a' twice")]),
        ([("z", ""), ("a", "z c"), ("b", "a"), ("c", "b")],
         [(1, 1, "nodes depend on each other in a cycle: a -> c -> b -> a")]),
        ([("a", "b"), ("b", "a"), ("c", "d"), ("d", "c")],
         [(0, 0, "nodes depend on each other in a cycle: a -> b -> a"),
          (2, 0, "nodes depend on each other in a cycle: c -> d -> c")]),
    ],
)  # fmt: skip
def test_problems(
    nodes: list[tuple[str, str]], problems: list[tuple[int, int | None, str]]
) -> None:
    made = [GraphNode(name, None, tuple(depends.split())) for name, depends in nodes]
    assert [(p.node, p.dependency, p.message) for p in find_problems(made)] == problems
    with pytest.raises(InvalidTaskError):
        TaskGraph(made)


def test_a_cycle_is_named() -> None:
    with pytest.raises(DependencyCycleError) as raised:
        graph(a="c", b="a", c="b")
    assert raised.value.cycle == ("a", "c", "b", "a")


def test_deep_and_wide_graphs() -> None:
    deep = TaskGraph(GraphNode(f"n{i}", i, (f"n{i - 1}",) if i else ()) for i in range(20_000))
    assert len(deep.levels()) == 20_000
    assert find_cycles({f"n{i}": [f"n{(i + 1) % 20_000}"] for i in range(20_000)})[0][0] == "n0"


def test_plan() -> None:
    text = render_plan(
        graph(fetch="", parse="fetch", report="parse fetch"),
        lambda node: ("wasm", f"after {', '.join(node.dependencies)}"[:20]),
    )
    assert text.splitlines() == [
        "step 1", "  fetch   wasm  after",
        "step 2", "  parse   wasm  after fetch",
        "step 3", "  report  wasm  after parse, fetch",
    ]  # fmt: skip
    assert render_plan(TaskGraph[None]([])) == ""


@settings(derandomize=True, database=None, deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 7)), max_size=20))
def test_order_or_cycle(pairs: list[tuple[int, int]]) -> None:
    """Every set of edges has an order that keeps them, or a cycle that is really there."""
    edges = {str(i): list(dict.fromkeys(str(b) for a, b in pairs if a == i and a != b))
             for i in range(8)}  # fmt: skip
    cycles = find_cycles(edges)
    for cycle in cycles:
        assert cycle[0] == cycle[-1]
        assert all(b in edges[a] for a, b in pairwise(cycle))
    if not cycles:
        made = TaskGraph(GraphNode(n, None, tuple(d)) for n, d in edges.items())
        place = {name: index for index, name in enumerate(made.order())}
        assert sorted(place) == sorted(edges)
        assert all(place[d] < place[n] for n, ds in edges.items() for d in ds)
        assert sorted(n for level in made.levels() for n in level) == sorted(edges)
