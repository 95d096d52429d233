"""Where the tasks of a graph are drawn: in layers, without overlaps, lines untangled."""

from __future__ import annotations

import random
from itertools import combinations
from typing import Any

import pytest

from .paging import WebRouter

SIZE = {"along": 100, "across": 40, "gap": 50, "space": 10}


@pytest.fixture(scope="module")
def layered(chromium: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Calls the page's function, in a page."""
    with WebRouter(tmp_path_factory.mktemp("router")) as running:
        page = chromium.new_page()
        page.goto(running.page_url)
        page.evaluate("import('/ui/layered.js').then((module) => { window.layered = module; })")

        def call(graph: dict[str, list[str]]) -> Any:
            tasks = [{"id": name, "dependencies": after} for name, after in graph.items()]
            return page.evaluate(
                """([tasks, size]) => {
                  const found = layered.layered(tasks, size);
                  return { ...found, places: Object.fromEntries(found.places) };
                }""",
                [tasks, SIZE],
            )

        yield call
        page.close()


def crossings(found: Any) -> int:
    """How often lines cross: their pieces between two layers."""
    pieces = []
    for edge in found["edges"]:
        points = edge["points"]
        pieces += [
            (a[0], a[1], b[1]) for a, b in zip(points[::2], points[1::2], strict=True)
        ]
    return sum(
        one[0] == other[0] and (one[1] - other[1]) * (one[2] - other[2]) < 0
        for one, other in combinations(pieces, 2)
    )


def check(graph: dict[str, list[str]], found: Any) -> None:
    """What holds for every drawing."""
    places = found["places"]
    assert set(places) == set(graph)
    for name, after in graph.items():
        assert places[name]["layer"] == max((places[a]["layer"] + 1 for a in after), default=0)
        assert places[name]["along"] == places[name]["layer"] * 150
        assert places[name]["across"] >= -1e-6
        assert places[name]["across"] + 40 <= found["across"] + 1e-6
    for one, other in combinations(places.values(), 2):
        if one["layer"] == other["layer"]:
            assert abs(one["across"] - other["across"]) >= 50 - 1e-6
    drawn = {(edge["from"], edge["to"]) for edge in found["edges"]}
    assert drawn == {(a, name) for name, after in graph.items() for a in after}
    for edge in found["edges"]:
        for along, across in edge["points"][1:-1]:
            for place in places.values():
                inside = place["along"] <= along <= place["along"] + 100
                assert not (inside and place["across"] < across < place["across"] + 40)


def test_small_graphs(layered: Any) -> None:
    assert layered({}) == {"places": {}, "edges": [], "layers": 0, "along": 0, "across": 0}
    alone = layered({"a": []})
    assert alone["places"]["a"] == {"layer": 0, "index": 0, "along": 0, "across": 0}
    assert (alone["along"], alone["across"]) == (100, 40)
    diamond = {"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]}
    found = layered(diamond)
    check(diamond, found)
    assert found["places"]["a"]["across"] == found["places"]["d"]["across"] == 25
    assert crossings(found) == 0


def test_a_chain_is_straight_and_what_passes_by_goes_around(layered: Any) -> None:
    chain = {str(n): [str(n - 1)] if n else [] for n in range(6)}
    found = layered(chain)
    assert {place["across"] for place in found["places"].values()} == {0}
    chain["5"] = ["4", "0"]
    found = layered(chain)
    check(chain, found)
    assert crossings(found) == 0
    assert max(len(edge["points"]) for edge in found["edges"]) == 10


def test_lines_are_untangled(layered: Any) -> None:
    # Declared so that in this order all lines would cross.
    pairs: dict[str, list[str]] = {f"a{n}": [] for n in range(8)}
    pairs |= {f"b{n}": [f"a{n}"] for n in reversed(range(8))}
    found = layered(pairs)
    check(pairs, found)
    assert crossings(found) == 0
    tree: dict[str, list[str]] = {"1": []}
    tree |= {str(n): [str(n // 2)] for n in random.Random(3).sample(range(2, 32), 30)}
    found = layered(dict(sorted(tree.items(), key=lambda item: item[0])))
    check(tree, found)
    assert crossings(found) == 0


@pytest.mark.parametrize("seed", range(4))
def test_any_graph(layered: Any, seed: int) -> None:
    chance = random.Random(seed)
    names = [f"t{n}" for n in range(5 + 20 * seed)]
    graph = {
        name: chance.sample(names[:n], min(n, chance.randint(0, 3)))
        for n, name in enumerate(names)
    }
    check(graph, layered(dict(chance.sample(sorted(graph.items()), len(graph)))))


def test_circles_and_strangers_are_drawn_all_the_same(layered: Any) -> None:
    found = layered({"a": ["b"], "b": ["a"], "c": ["nobody", "c"]})
    assert set(found["places"]) == {"a", "b", "c"}
    assert found["edges"] == []
