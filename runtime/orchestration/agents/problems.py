"""What quantum agents are asked for, as data: Ising problems, cuts of graphs, circuits."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import TaskError

Doubles = NDArray[np.float64]

#: As the module reads gates.
GATE_DTYPE = np.dtype([
    ("kind", "<i4"), ("target", "<i4"), ("other", "<i4"), ("control", "<i4"), ("angle", "<f8"),
])  # fmt: skip
MAX_GATES = 1 << 16
MAX_SHOTS = 1 << 16


class GateKind(enum.IntEnum):
    """Gates, by the numbers of corpus/quantum.c."""

    H = 0
    X = 1
    Y = 2
    Z = 3
    S = 4
    T = 5
    RX = 6
    RY = 7
    RZ = 8
    PHASE = 9
    SWAP = 10
    RZZ = 11


_TWO = frozenset({GateKind.SWAP, GateKind.RZZ})
_TURNING = frozenset({GateKind.RX, GateKind.RY, GateKind.RZ, GateKind.PHASE, GateKind.RZZ})
#: Names in circuits: the kind, and whether the first qubit named is a control.
GATES: dict[str, tuple[GateKind, bool]] = {
    **{kind.name.lower(): (kind, False) for kind in GateKind},
    **{f"c{kind.name.lower()}": (kind, True) for kind in GateKind},
}


@dataclass(frozen=True, eq=False, slots=True)
class Circuit:
    """Gates on qubits, and how often these are measured after them."""

    qubits: int
    gates: NDArray[np.void]
    shots: int
    seed: int
    amplitudes: bool  # whether they are part of the result


@dataclass(frozen=True, eq=False, slots=True)
class Ising:
    """Spins of 1 or -1 whose energy is to be low: the sum over i < j of couplings[i, j] s_i s_j,
    plus the sum of fields[i] s_i.

    Args:
        couplings: float64[n, n], symmetric, zeros in the diagonal.
        cut: of a graph whose cut is to be large, the sum of its weights; else None.
        steps, replicas, shots, seed: see :class:`~.quantum.QuantumAgent`.
    """

    couplings: Doubles
    fields: Doubles
    cut: float | None
    steps: int
    replicas: int
    shots: int
    seed: int

    @property
    def qubits(self) -> int:
        """One for each spin."""
        return len(self.fields)

    def speeds(self) -> list[tuple[float, float]]:
        """Of each replica how much energies, and turning spins, weigh in a step.

        Larger steps anneal more slowly, but more coarsely. Energies are measured by the strongest
        pull on a spin, so that scaled problems give the same.
        """
        pulls = [
            math.sqrt(math.fsum(x * x for x in (*row, field)))
            for row, field in zip(self.couplings.tolist(), self.fields.tolist(), strict=True)
        ]
        unit = max(pulls) or 1.0
        steps = [0.25 + 1.25 * (r + 0.5) / self.replicas for r in range(self.replicas)]
        return [(step / unit, step) for step in steps]

    def energies(self, states: NDArray[np.uint32]) -> Doubles:
        """Energies of basis states: spin i is 1 where bit i is clear, else -1."""
        spins = spins_of(states, self.qubits).astype(np.float64)
        total = np.zeros(len(states))
        for i in range(self.qubits):  # in a fixed order, so that equal states of energy stay equal
            pull = np.full(len(states), self.fields[i])
            for j in range(i):
                pull += self.couplings[i, j] * spins[:, j]
            total += pull * spins[:, i]
        return total


def spins_of(states: NDArray[np.uint32], qubits: int) -> NDArray[np.int8]:
    """int8[states, qubits] of 1 and -1."""
    bits = (states[:, None] >> np.arange(qubits, dtype=np.uint32)) & 1
    return (1 - 2 * bits.astype(np.int8)).astype(np.int8)


def integer(payload: Mapping[str, Any], name: str, default: int, low: int, high: int) -> int:
    """A whole number of a payload. Raises :class:`TaskError` if it is none, or out of range."""
    value = payload.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise TaskError(
            f"{name} must be a whole number from {low} to {high}, not {value!r}", retry=False
        )
    return value


def doubles(value: object, what: str, dimensions: int) -> Doubles:
    """An array of finite numbers of a payload. Raises :class:`TaskError`."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise TaskError(f"{what} are no array of numbers: {error}", retry=False) from None
    if array.dtype.kind not in "biuf" or array.ndim != dimensions:
        raise TaskError(
            f"{what} must be numbers in {dimensions} dimensions, not {array.dtype} in {array.ndim}",
            retry=False,
        )
    found = np.ascontiguousarray(array, np.float64)
    if not np.isfinite(found).all():
        raise TaskError(f"{what} have values that are not finite", retry=False)
    return found


def read_problem(payload: object, limit: int) -> Ising | Circuit:
    """What a payload asks for, of at most ``limit`` qubits.

    Raises:
        TaskError: something in it is wrong; the message says what.
    """
    if isinstance(payload, (bytes, bytearray, memoryview)):
        size = math.isqrt(len(payload) // 8)
        if not size or 8 * size * size != len(payload):
            raise TaskError(
                f"{len(payload)} bytes are no square matrix of float64", retry=False
            )
        payload = np.frombuffer(payload, "<f8").reshape(size, size)
    if isinstance(payload, (np.ndarray, list)):
        payload = {"couplings": payload}
    if not isinstance(payload, dict):
        raise TaskError(f"a payload is a dict, a matrix or bytes, not {payload!r}", retry=False)
    kinds: dict[str, Callable[[dict[str, Any]], Ising | Circuit]] = {
        "couplings": _ising, "edges": _cut, "circuit": _circuit,
    }  # fmt: skip
    given = [kind for kind in kinds if kind in payload]
    if len(given) != 1:
        raise TaskError(f"a payload has one of {', '.join(kinds)}", retry=False)
    problem: Ising | Circuit = kinds[given[0]](payload)
    if problem.qubits > limit:
        raise TaskError(
            f"{problem.qubits} qubits are needed, and the agent has {limit}", retry=False,
            hint="create it with more",
        )  # fmt: skip
    return problem


def _check_keys(payload: Mapping[str, Any], *known: str) -> None:
    unknown = payload.keys() - set(known)
    if unknown:
        raise TaskError(
            f"a payload with {known[0]} may have {', '.join(known[1:])}, but not"
            f" {', '.join(sorted(map(repr, unknown)))}", retry=False,
        )  # fmt: skip


def _effort(payload: Mapping[str, Any]) -> dict[str, int]:
    return {
        "steps": integer(payload, "steps", 32, 1, 4096),
        "replicas": integer(payload, "replicas", 8, 1, 64),
        "shots": integer(payload, "shots", 256, 1, MAX_SHOTS),
        "seed": integer(payload, "seed", 0, 0, 2**63 - 1),
    }


def _ising(payload: Mapping[str, Any]) -> Ising:
    _check_keys(payload, "couplings", "fields", "steps", "replicas", "shots", "seed")
    couplings = doubles(payload["couplings"], "couplings", 2)
    count = len(couplings)
    if not count or couplings.shape != (count, count) or couplings.diagonal().any():
        raise TaskError(
            f"couplings must be a square matrix with zeros in the diagonal; its shape is"
            f" {couplings.shape}", retry=False,
        )  # fmt: skip
    if not np.array_equal(couplings, couplings.T):
        if np.triu(couplings).any() and np.tril(couplings).any():
            raise TaskError("couplings must be symmetric, or triangular", retry=False)
        couplings = couplings + couplings.T
    fields = doubles(payload.get("fields", np.zeros(count)), "fields", 1)
    if len(fields) != count:
        raise TaskError(f"there are {len(fields)} fields for {count} spins", retry=False)
    return Ising(couplings, fields, None, **_effort(payload))


def _cut(payload: Mapping[str, Any]) -> Ising:
    _check_keys(payload, "edges", "nodes", "steps", "replicas", "shots", "seed")
    edges: list[tuple[int, int, float]] = []
    given = payload["edges"]
    for edge in given if isinstance(given, (list, tuple, np.ndarray)) else [given]:
        fits = isinstance(edge, (list, tuple, np.ndarray)) and len(edge) in (2, 3)
        row = doubles(edge, "edges", 1).tolist() if fits else []
        if len(row) not in (2, 3) or row[0] == row[1] or min(row[:2]) < 0 or any(
            end != int(end) or end > 63 for end in row[:2]
        ):
            raise TaskError(
                f"an edge is two different nodes, numbered from 0, and a weight, not {edge!r}",
                retry=False,
            )
        edges.append((int(row[0]), int(row[1]), row[2] if len(row) == 3 else 1.0))
    if not edges:
        raise TaskError("a graph without edges has nothing to cut", retry=False)
    least = 1 + max(max(edge[:2]) for edge in edges)
    nodes = integer(payload, "nodes", least, least, 64)
    couplings = np.zeros((nodes, nodes))
    for one, other, weight in edges:
        couplings[one, other] += weight / 2
        couplings[other, one] += weight / 2
    total = math.fsum(edge[2] for edge in edges)
    return Ising(couplings, np.zeros(nodes), total, **_effort(payload))


def _circuit(payload: Mapping[str, Any]) -> Circuit:
    _check_keys(payload, "circuit", "qubits", "shots", "seed", "amplitudes")
    given = payload["circuit"]
    if not isinstance(given, Sequence) or isinstance(given, str) or len(given) > MAX_GATES:
        raise TaskError(f"a circuit is a list of at most {MAX_GATES:,} gates", retry=False)
    rows = [_gate(gate, f"gate {number}") for number, gate in enumerate(given)]
    least = 1 + max((max(row[1:4]) for row in rows), default=0)
    if least > 64:
        raise TaskError(f"a gate is on qubit {least - 1}", retry=False)
    amplitudes = payload.get("amplitudes", False)
    if not isinstance(amplitudes, bool):
        raise TaskError(f"amplitudes must be true or false, not {amplitudes!r}", retry=False)
    return Circuit(
        integer(payload, "qubits", least, least, 64), np.array(rows, GATE_DTYPE),
        integer(payload, "shots", 1024, 0, MAX_SHOTS), integer(payload, "seed", 0, 0, 2**63 - 1),
        amplitudes,
    )  # fmt: skip


def _gate(value: object, what: str) -> tuple[int, int, int, int, float]:
    if not isinstance(value, Sequence) or not value or value[0] not in GATES:
        raise TaskError(
            f"{what} must begin with one of {', '.join(GATES)}: {value!r}", retry=False
        )
    kind, controlled = GATES[value[0]]
    count = 1 + controlled + (kind in _TWO)
    rest = list(value[1:])
    angle = rest.pop() if kind in _TURNING and len(rest) == count + 1 else None
    whole = all(isinstance(q, int) and not isinstance(q, bool) and q >= 0 for q in rest)
    finite = isinstance(angle, (int, float)) and math.isfinite(angle) and abs(angle) <= 1e4
    if len(rest) != count or not whole or len(set(rest)) != count or (
        kind in _TURNING and not finite
    ):
        wanted = f"{count} different qubits" if count > 1 else "a qubit"
        wanted += ", then an angle of at most 10,000" if kind in _TURNING else ""
        raise TaskError(f"{what}: {value[0]} takes {wanted}, not {value!r}", retry=False)
    control = rest.pop(0) if controlled else -1
    target, other = rest[0], rest[1] if kind in _TWO else -1
    return int(kind), target, other, control, float(angle or 0.0)
