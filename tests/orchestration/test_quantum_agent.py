"""A quantum agent simulates gates as NumPy does, and finds what trying everything finds."""

from __future__ import annotations

import cmath
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from swarmc.runtime.manager import SwarmManager
from swarmc.runtime.orchestration.agents import AgentFactory, QuantumAgent
from swarmc.runtime.orchestration.agents.problems import GATES, GateKind
from swarmc.runtime.orchestration.codec import dumps, loads
from swarmc.runtime.orchestration.errors import (
    OrchestrationError,
    TaskCancelledError,
    TaskError,
    TaskTimeoutError,
)
from swarmc.runtime.orchestration.tasks import Task, TaskContext

Matrix = NDArray[np.complex128]
TURNING = ("rx", "ry", "rz", "phase", "rzz")
R = math.sqrt(0.5)
#: Matrices of gates; of two qubits, the first is the lower bit.
MATRICES: dict[str, Callable[[float], list[list[complex]]]] = {
    "h": lambda a: [[R, R], [R, -R]],
    "x": lambda a: [[0, 1], [1, 0]],
    "y": lambda a: [[0, -1j], [1j, 0]],
    "z": lambda a: [[1, 0], [0, -1]],
    "s": lambda a: [[1, 0], [0, 1j]],
    "t": lambda a: [[1, 0], [0, cmath.exp(0.25j * math.pi)]],
    "rx": lambda a: [
        [math.cos(a / 2), -1j * math.sin(a / 2)], [-1j * math.sin(a / 2), math.cos(a / 2)]
    ],
    "ry": lambda a: [[math.cos(a / 2), -math.sin(a / 2)], [math.sin(a / 2), math.cos(a / 2)]],
    "rz": lambda a: [[cmath.exp(-0.5j * a), 0], [0, cmath.exp(0.5j * a)]],
    "phase": lambda a: [[1, 0], [0, cmath.exp(1j * a)]],
    "swap": lambda a: [[1, 0, 0, 0], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]],
    "rzz": lambda a: np.diag(np.exp(np.array([-0.5j, 0.5j, 0.5j, -0.5j]) * a)).tolist(),
}  # fmt: skip


def whole_matrix(qubits: int, name: str, targets: list[int], angle: float) -> Matrix:
    """A gate as a matrix over all basis states, entry by entry."""
    base = name if name in MATRICES else name[1:]
    control = None if name in MATRICES else targets[0]
    on = targets if control is None else targets[1:]
    small = np.array(MATRICES[base](angle), complex)
    whole = np.zeros((1 << qubits, 1 << qubits), complex)
    for before in range(1 << qubits):
        if control is not None and not before >> control & 1:
            whole[before, before] = 1
            continue
        column = sum((before >> qubit & 1) << place for place, qubit in enumerate(on))
        for row in range(len(small)):
            after = before
            for place, qubit in enumerate(on):
                after = after & ~(1 << qubit) | (row >> place & 1) << qubit
            whole[after, before] += small[row, column]
    return whole


def run(agent: QuantumAgent, payload: object, context: TaskContext | None = None) -> Any:
    return agent.execute(Task("t", payload), context or TaskContext())


def all_energies(couplings: NDArray[Any], fields: NDArray[Any]) -> NDArray[np.float64]:
    """By trying everything: pairs above the diagonal."""
    count = len(fields)
    spins = 1 - 2 * ((np.arange(1 << count)[:, None] >> np.arange(count)) & 1)
    energies: NDArray[np.float64] = np.einsum(
        "zi,ij,zj->z", spins, np.triu(couplings), spins
    ) + spins @ fields
    return energies


@pytest.fixture(scope="module")
def agent() -> Iterator[QuantumAgent]:
    agent = AgentFactory.create_quantum("optimizer", 16)
    yield agent
    agent.close()


def test_what_the_document_creates(agent: QuantumAgent) -> None:
    assert (agent.name, agent.kind, agent.qubits, agent.memory) == (
        "optimizer", "quantum", 16, 512 * 1024,
    )  # fmt: skip
    assert agent.capabilities == {"quantum_optimization", "quantum_simulation"}


def test_sine_and_cosine() -> None:
    from swarmc.runtime.orchestration.agents.swarms import module_bytes

    angles = np.concatenate([np.linspace(-10, 10, 2001), np.linspace(-20_000, 20_000, 2001)])
    with SwarmManager.from_wasm(module_bytes("quantum"), max_agents=len(angles)) as swarm:
        for which, reference in enumerate((np.sin, np.cos)):
            rows = [[which, angle] for angle in angles.tolist()]
            found = swarm.run_agents(len(angles), "wave", rows).results_array()
            assert np.abs(found - reference(angles)).max() < 1e-11
            assert np.abs(found - reference(angles))[:2001].max() < 5e-16


@pytest.mark.parametrize("name", sorted(GATES))
def test_every_gate(agent: QuantumAgent, name: str) -> None:
    kind, controlled = GATES[name]
    count = 1 + controlled + (kind in (GateKind.SWAP, GateKind.RZZ))
    dice = np.random.default_rng(len(name))
    prefix: list[list[Any]] = [["ry", q, 0.7 + 0.4 * q] for q in range(4)]
    prefix += [["rz", q, 0.3 + 0.9 * q] for q in range(4)] + [["cx", 0, 2], ["cx", 1, 3]]
    for _ in range(3):
        targets = dice.permutation(4)[:count].tolist()
        angle = float(dice.uniform(-7, 7))
        gate = [name, *targets, angle] if kind.name.lower() in TURNING else [name, *targets]
        found = run(agent, {"circuit": [*prefix, gate], "qubits": 4, "amplitudes": True})
        state = np.zeros(16, complex)
        state[0] = 1
        for one in prefix:
            of_one = 1 + (one[0] == "cx")
            state = whole_matrix(4, one[0], one[1 : 1 + of_one], one[-1]) @ state
        state = whole_matrix(4, name, targets, angle) @ state
        assert found["amplitudes"].dtype == np.complex64
        assert np.abs(found["amplitudes"] - state).max() < 1e-6


def test_a_long_circuit_stays_close(agent: QuantumAgent) -> None:
    dice = np.random.default_rng(8)
    circuit: list[list[Any]] = []
    state = np.zeros(64, complex)
    state[0] = 1
    for _ in range(300):
        name = str(dice.choice(["h", "rx", "ry", "rz", "cx", "cphase", "rzz"]))
        targets = dice.permutation(6)[: 1 + (name in ("cx", "cphase", "rzz"))].tolist()
        angle = float(dice.uniform(-3, 3))
        circuit.append([name, *targets] + [angle] * (name not in ("h", "cx")))
        state = whole_matrix(6, name, targets, angle) @ state
    found = run(agent, {"circuit": circuit, "amplitudes": True, "shots": 4096, "seed": 3})
    assert np.abs(found["amplitudes"] - state).max() < 1e-5
    counts = np.zeros(64)
    for bits, count in found["counts"].items():
        counts[int(bits, 2)] = count
    expected = 4096 * np.abs(state) ** 2
    assert counts.sum() == 4096
    assert ((counts - expected) ** 2 / (expected + 1e-9)).sum() < 120  # chi squared, 63 degrees


def test_entangled_qubits_are_measured_alike(agent: QuantumAgent) -> None:
    bell = run(agent, {"circuit": [["h", 0], ["cx", 0, 1]], "seed": 7})
    assert set(bell["counts"]) == {"00", "11"}
    assert abs(bell["counts"]["00"] - 512) < 80
    assert bell["simulated"] is True and "amplitudes" not in bell
    assert bell == run(agent, {"circuit": [["h", 0], ["cx", 0, 1]], "seed": 7})
    assert bell != run(agent, {"circuit": [["h", 0], ["cx", 0, 1]], "seed": 8})
    ordered = run(agent, {"circuit": [["x", 0]], "qubits": 3, "shots": 5})
    assert ordered["counts"] == {"001": 5}


@pytest.mark.parametrize("seed", range(12))
def test_small_problems_are_solved(agent: QuantumAgent, seed: int) -> None:
    dice = np.random.default_rng(seed)
    count = int(dice.integers(2, 11))
    couplings = np.triu(dice.normal(size=(count, count)) * 10.0 ** dice.integers(-3, 4), 1)
    fields = np.zeros(count) if seed % 3 == 0 else dice.normal(size=count) * couplings.max()
    payload = {"couplings": couplings, "fields": fields, "seed": seed}
    found = run(agent, payload)
    energies = all_energies(couplings, fields)
    assert found["energy"] == pytest.approx(energies.min(), rel=1e-9)
    state = sum(1 << i for i, spin in enumerate(found["spins"]) if spin < 0)
    assert energies[state] == pytest.approx(energies.min(), rel=1e-9)
    assert energies.min() <= found["mean_energy"] < energies.mean()
    assert found["hits"] > 1 / 2**count
    again = run(agent, payload)
    assert dumps(found) == dumps(again)


def test_scaled_problems_give_the_same(agent: QuantumAgent) -> None:
    couplings = np.triu(np.random.default_rng(4).normal(size=(6, 6)), 1)
    one, other = run(agent, {"couplings": couplings}), run(agent, {"couplings": couplings * 1024})
    assert other["spins"].tolist() == one["spins"].tolist()
    assert other["energy"] == 1024 * one["energy"] and other["hits"] == one["hits"]


def test_payloads_that_mean_the_same(agent: QuantumAgent) -> None:
    upper = np.triu(np.random.default_rng(5).normal(size=(5, 5)), 1)
    expected = dumps(run(agent, {"couplings": upper}))
    both = upper + upper.T
    for payload in (
        {"couplings": both}, {"couplings": upper.T}, both, upper, both.tolist(), both.tobytes(),
        loads(dumps({"couplings": both, "fields": [0, 0, 0, 0, 0]})),
    ):  # fmt: skip
        assert dumps(run(agent, payload)) == expected


def test_the_largest_cut(agent: QuantumAgent) -> None:
    ring = [[n, (n + 1) % 8] for n in range(8)]
    found = run(agent, {"edges": ring})
    assert found["cut"] == 8 and found["spins"].tolist() in ([1, -1] * 4, [-1, 1] * 4)
    weighted = run(agent, {"edges": [[0, 1, 2.5], [1, 2, 1.0], [0, 2, 1.5]], "nodes": 4})
    assert weighted["cut"] == 4.0 and len(weighted["spins"]) == 4
    dice = np.random.default_rng(6)
    edges = [[i, j, float(dice.integers(1, 9))] for i in range(9) for j in range(i)]
    best = 0.0
    for state in range(1 << 9):
        cut = sum(w for i, j, w in edges if (state >> int(i) ^ state >> int(j)) & 1)
        best = max(best, cut)
    assert run(agent, {"edges": edges})["cut"] == best


def test_sixteen_qubits(agent: QuantumAgent) -> None:
    couplings = np.triu(np.random.default_rng(10).normal(size=(16, 16)), 1)
    found = run(agent, {"couplings": couplings})
    assert found["energy"] == pytest.approx(all_energies(couplings, np.zeros(16)).min())


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (None, "a payload is a dict, a matrix or bytes, not None"),
        (b"123", "3 bytes are no square matrix"),
        ({}, "one of couplings, edges, circuit"),
        ({"couplings": [[0]], "edges": [[0, 1]]}, "one of couplings, edges, circuit"),
        ({"couplings": [[0]], "speed": 1}, "may have fields, .* but not 'speed'"),
        ({"couplings": [[1.0]]}, "zeros in the diagonal"),
        ({"couplings": np.zeros((2, 3))}, r"its shape is \(2, 3\)"),
        ({"couplings": [[0, 1], [2, 0]]}, "symmetric, or triangular"),
        ({"couplings": [[0, "x"], [0, 0]]}, "couplings must be numbers"),
        ({"couplings": [[0, 1], [0]]}, "couplings are no array"),
        ({"couplings": [[0, np.inf], [0, 0]]}, "not finite"),
        ({"couplings": np.zeros((3, 3)), "fields": [1]}, "1 fields for 3 spins"),
        ({"couplings": np.zeros((17, 17))}, "17 qubits are needed, and the agent has 16"),
        ({"couplings": np.zeros((2, 2)), "steps": 0}, "steps must be a whole number from 1"),
        ({"couplings": np.zeros((2, 2)), "replicas": 65}, "replicas must be"),
        ({"couplings": np.zeros((2, 2)), "shots": 1.5}, "shots must be"),
        ({"couplings": np.zeros((2, 2)), "seed": -1}, "seed must be"),
        ({"edges": []}, "nothing to cut"),
        ({"edges": 7}, "an edge is two different nodes"),
        ({"edges": [[1, 1]]}, r"not \[1, 1\]"),
        ({"edges": [[0, 1.5]]}, "an edge is"),
        ({"edges": [[0, 10**9]]}, "an edge is"),
        ({"edges": [[0, 3]], "nodes": 3}, "nodes must be a whole number from 4"),
        ({"circuit": "h 0"}, "a circuit is a list"),
        ({"circuit": [["hadamard", 0]]}, "gate 0 must begin with one of h, x"),
        ({"circuit": [["h"]]}, "h takes a qubit, not"),
        ({"circuit": [["h", 0], ["cx", 1, 1]]}, "gate 1: cx takes 2 different qubits"),
        ({"circuit": [["rx", 0]]}, "rx takes a qubit, then an angle"),
        ({"circuit": [["rx", 0, float("nan")]]}, "then an angle"),
        ({"circuit": [["h", 16]]}, "17 qubits are needed"),
        ({"circuit": [["h", 10**12]]}, "a gate is on qubit"),
        ({"circuit": [["h", 1]], "qubits": 1}, "qubits must be a whole number from 2"),
        ({"circuit": [], "amplitudes": 1}, "amplitudes must be true or false"),
    ],
)  # fmt: skip
def test_payloads_that_are_wrong(agent: QuantumAgent, payload: object, message: str) -> None:
    with pytest.raises(TaskError, match=message) as caught:
        run(agent, payload)
    assert caught.value.retry is False


def test_numbers_of_qubits_that_cannot_be() -> None:
    for qubits in (0, 21):
        with pytest.raises(OrchestrationError, match="must be 1 to 20"):
            AgentFactory.create_quantum("q", qubits)


def test_nothing_is_left_of_one_task_in_the_next(agent: QuantumAgent) -> None:
    empty: dict[str, Any] = {"circuit": [], "qubits": 2, "shots": 3, "amplitudes": True}
    first = run(agent, empty)
    run(agent, {"circuit": [["h", 0], ["h", 5]]})
    assert dumps(run(agent, empty)) == dumps(first)
    assert first["amplitudes"].tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("why", ["deadline", "cancelled"])
def test_what_runs_can_be_stopped(why: str) -> None:
    agent = AgentFactory.create_quantum("large", 20)
    run(agent, {"edges": [[0, 1]]})  # compiled
    context = TaskContext()
    if why == "deadline":
        context.deadline = context.clock() + 0.3
    else:
        threading.Timer(0.3, context.cancelled.set).start()
    began = time.process_time()
    with pytest.raises(TaskTimeoutError if why == "deadline" else TaskCancelledError):
        run(agent, {"edges": [[0, 19]], "steps": 4096}, context)  # hours
    assert time.process_time() - began < 20
    assert run(agent, {"edges": [[0, 1]]})["cut"] == 1
    agent.close()
