"""The stack that a program may need, along a call graph that is small enough to try every way."""

from __future__ import annotations

import pytest

from swarmc.errors import TargetError
from swarmc.targets.cuda import call_graph
from swarmc.targets.cuda.call_graph import CallGraph

GRAPH = """
.func f0_$_0 ( .param .b64 a_0 ) ;
.visible .entry swarm_kernel( .param .b64 p )
{
	call.uni (r), f0_$_0, (x);
	call.uni helper, (x);
}
.func  (.param .b64 func_retval0) f0_$_0( .param .b64 a_0 )
{
	@%p1 bra L;
	call.uni (retval0), f0_$_1, (x);
	call.uni (retval0), trampoline, (x);
}
.func f0_$_1()
{
	call.uni f0_$_0;
	call.uni swarm_trap, (x);
}
.func helper() .noreturn
{
	call.uni f0_$_1, (x);
}
.func swarm_trap()
{
	call.uni swarm_report, (x);
}
.func swarm_report()
{
	ret;
}
.func f0_$_2_$_step() { call.uni f0_$_1; }
.func trampoline()
{
	call.uni f0_$_2_$_tail, (x);
	call.uni f0_$_3_$_tail, (x);
}
.func f0_$_2_$_tail()
{
	call.uni f0_$_2_$_step, (x);
}
.func f0_$_3_$_tail() { call.uni f0_$_0; }
.func unused()
{
	call.uni f0_$_2_$_tail, (x);
}
"""


def brute_force(graph: CallGraph, frames: dict[str, int], costs: dict[str, int], name: str,
                left: int) -> int:
    left -= costs[name]
    if left < 0:
        return frames[name] + frames["swarm_trap"] + frames["swarm_report"]
    deeper = [brute_force(graph, frames, costs, callee, left) for callee in graph.callees[name]]
    return frames[name] + max(deeper, default=0)


@pytest.mark.parametrize("depth", [0, 1, 2, 5, 12])
def test_stack_along_the_call_graph(depth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = CallGraph.of(GRAPH)
    assert graph.callees["swarm_kernel"] == {"f0_$_0", "helper"}
    assert graph.callees["f0_$_1"] == {"f0_$_0", "swarm_trap"}
    assert "unused" not in graph.reached() and "f0_$_3_$_tail" in graph.reached()
    frames = {name: (37 * n) % 101 for n, name in enumerate(graph.callees)}
    frames |= {"unused": 10**6, "f0_$_3_$_tail": 1000}
    for a, b, c, d in ((1, 1, 1, 1), (1, 3, 2, 1), (2, 1, 1, 3)):
        units = {"f0_$_0": a, "f0_$_1": b, "f0_$_2": c, "f0_$_3": d}
        costs = graph.costs(units)
        assert (costs["f0_$_2_$_step"], costs["f0_$_2_$_tail"], costs["f0_$_3_$_tail"]) == (c, 0, d)
        expected = brute_force(graph, frames, costs, "swarm_kernel", depth)
        assert graph.stack(frames, units, depth) == expected
        with monkeypatch.context() as patch:  # deep calls are not followed one by one
            patch.setattr(call_graph, "_FOLLOWED", 4)
            estimated = graph.stack(frames, units, depth)
            assert estimated is not None and expected <= estimated
            assert depth > 4 or estimated == expected


def test_a_circle_without_units_has_no_limit() -> None:
    text = GRAPH.replace(".func helper() .noreturn\n{", ".func helper()\n{\n\tcall.uni helper;")
    graph = CallGraph.of(text)
    assert "helper" in graph.callees["helper"]
    assert graph.stack({}, {"f0_$_0": 1, "f0_$_1": 1, "f0_$_2": 1, "f0_$_3": 1}, 10) is None
    with pytest.raises(TargetError, match="swarm_report calls nobody knows whom"):
        CallGraph.of(GRAPH.replace("ret;", "call (r), %rd1, (x), prototype_0;"))


CIRCLES = """
.visible .entry swarm_kernel()
{
	call.uni swarm_call_$_1, (x);
}
.func swarm_call_$_1()
{
	call.uni swarm_trampoline_$_0, (x);
}
.func swarm_trampoline_$_0()
{
	call.uni f0_$_1_$_tail, (x);
	call.uni swarm_trampoline_$_0, (x);
}
.func f0_$_1_$_tail()
{
	call.uni swarm_call_$_1, (x);
	call.uni f0_$_1_$_step, (x);
}
.func f0_$_1_$_step()
{
	call.uni f0_$_1_$_step, (x);
}
"""


def test_a_circle_of_functions_without_units_has_inlined_some_that_take_them() -> None:
    graph = CallGraph.of(CIRCLES)
    frames = {"swarm_kernel": 1, "swarm_call_$_1": 10, "swarm_trampoline_$_0": 100,
              "f0_$_1_$_tail": 1000, "f0_$_1_$_step": 50}  # fmt: skip
    units = {"f0_$_1": 20, "f0_$_2": 2}
    assert graph.costs(units)["f0_$_1_$_step"] == 20
    # Between two passes through the first three at least 2 units are taken; the last takes 20.
    for depth, expected in ((0, 1161), (1, 1161), (2, 2271), (7, 4491), (100, 51 * 1110 + 51)):
        assert graph.stack(frames, units, depth) == expected
    endless = CallGraph.of(CIRCLES.replace("swarm_call_$_1", "python"))
    assert endless.stack(frames, units, 5) is None
