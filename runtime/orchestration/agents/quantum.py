"""Quantum agents: a small quantum computer, simulated, that finds low energies and runs circuits.

It is a simulation, state vector and all: 16 qubits are 2^16 amplitudes of 8 bytes, 512 KiB. Nothing
of it is faster than a good classical method; it is exact, deterministic, and runs anywhere.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import OrchestrationError, TaskError
from ..interfaces import Executor
from ..tasks import Task, TaskContext
from .problems import GATE_DTYPE, MAX_GATES, MAX_SHOTS, Circuit, Ising, read_problem, spins_of
from .swarm_agent import SwarmAgent
from .swarms import Machine, address

if TYPE_CHECKING:
    from ...manager import SwarmManager

CAPABILITIES = ("quantum_optimization", "quantum_simulation")
MAX_QUBITS = 20  #: as in corpus/quantum.c
_AMPLITUDE = 8  # bytes
_MOST_REPLICAS = 64


class QuantumMachine(Machine):
    """A swarm whose agents are replicas of the computer, that differ in their speed and dice."""

    def optimise(self, problem: Ising, context: TaskContext) -> dict[str, Any]:
        """Anneal every replica, measure, and take the best that was seen."""
        with self.turn(context) as swarm:
            ids = self._prepare(swarm, context, problem.replicas, problem.qubits, 0, problem.shots)
            values = np.concatenate([problem.couplings.ravel(), problem.fields])
            swarm.set_agent_memories(values, ids, address(swarm, int(ids[0]), "couplings_at"))
            rows = [[problem.steps, *speed] for speed in problem.speeds()]
            annealed = self.call(context, ids, "anneal", rows)
            means = annealed.results_array()
            states = self._measure(swarm, context, ids, problem.shots, problem.seed)
        distinct = np.unique(states)
        energies = problem.energies(distinct)
        best = int(energies.argmin())  # of equal ones, the one with the smallest number
        spins = spins_of(distinct[best : best + 1], problem.qubits)[0]
        found = {
            "spins": spins,
            "energy": float(energies[best]),
            "mean_energy": float(means.min()),
            "hits": float((states == distinct[best]).mean(axis=1).max()),
            "instructions": int(annealed.counts_array.sum()),
            "simulated": True,
        }
        if problem.cut is not None:
            found["cut"] = problem.cut / 2 - found["energy"]
        return found

    def simulate(self, circuit: Circuit, context: TaskContext) -> dict[str, Any]:
        """Run a circuit and measure all qubits."""
        with self.turn(context) as swarm:
            count = len(circuit.gates)
            ids = self._prepare(swarm, context, 1, circuit.qubits, count, circuit.shots)
            agent = int(ids[0])
            if count:
                swarm.set_agent_memory(
                    agent, circuit.gates.tobytes(), address(swarm, agent, "gates_at")
                )
            done = self.call(context, ids, "run", [count])
            if int(done.results_array()[0]) != count:
                raise TaskError(f"gate {done.results_array()[0]} is not possible", retry=False)
            found: dict[str, Any] = {
                "instructions": int(done.counts_array.sum()), "simulated": True
            }  # fmt: skip
            if circuit.amplitudes:
                at = address(swarm, agent, "amplitudes_at")
                states = 1 << circuit.qubits
                found["amplitudes"] = swarm.get_agent_memories(ids, at, states, np.complex64)[0]
            states_seen = self._measure(swarm, context, ids, circuit.shots, circuit.seed)[0]
        counts = Counter(states_seen.tolist())
        found["counts"] = {
            format(state, f"0{circuit.qubits}b"): counts[state] for state in sorted(counts)
        }
        return found

    def _prepare(
        self, swarm: SwarmManager, context: TaskContext, replicas: int, qubits: int, gates: int,
        shots: int,
    ) -> Any:  # fmt: skip
        """Fresh agents: what they held before says nothing, and its pages are given back."""
        swarm.kill_agents()
        ids = swarm.spawn_agents(replicas)
        prepared = self.call(context, ids, "prepare", [qubits, gates, shots])
        if not prepared.results_array().all():
            raise TaskError(f"{qubits} qubits with {shots} shots do not fit", retry=False)
        return ids

    def _measure(
        self, swarm: SwarmManager, context: TaskContext, ids: Any, shots: int, seed: int
    ) -> Any:
        """uint32[replicas, shots]: the basis states that were measured."""
        rows = [[shots, (seed * _MOST_REPLICAS + replica) % 2**63] for replica in range(len(ids))]
        self.call(context, ids, "measure", rows)
        at = address(swarm, int(ids[0]), "samples_at")
        return swarm.get_agent_memories(ids, at, shots, np.uint32)


class QuantumAgent(SwarmAgent):
    """Looks for the lowest energy of an Ising problem or the largest cut of a graph, or runs a
    circuit, on simulated qubits.

    A payload is a dict with one of

    - ``couplings``: float64[n, n], symmetric or triangular; ``fields``: float64[n]. The energy is
      the sum over pairs of ``couplings[i, j] * s[i] * s[j]``, plus that of ``fields[i] * s[i]``.
      A matrix by itself, or bytes of it (little-endian float64), means the same.
    - ``edges``: ``[i, j]`` or ``[i, j, weight]`` each; ``nodes``: how many, if some have no edge.
    - ``circuit``: gates, such as ``["h", 0]``, ``["cx", 0, 1]``, ``["rz", 1, 0.5]``,
      ``["swap", 0, 1]``; every gate of :data:`~.problems.GATES`, with ``c`` in front for a
      control, which is named first. ``qubits``, ``shots`` (1024), ``seed``, ``amplitudes`` (whether
      the result has them).

    Energies are looked for by quantum annealing in ``steps`` (32), in ``replicas`` (8) that differ
    in their speed, each measured ``shots`` (256) times with dice of ``seed``. The result has
    ``spins`` (int8, the best seen), ``energy``, ``cut`` of a graph, ``mean_energy`` (of the best
    replica before it was measured), ``hits`` (share of a replica's measurements that gave the best
    spins), ``instructions``, and ``simulated``: True. **The best that was seen need not be the
    best that there is.** Of a circuit: ``counts`` by bits, qubit 0 on the right.

    Args:
        qubits: most that a problem may need, 1 to 20.
        options: of the :class:`~swarmc.SwarmManager`, such as ``target``.
    """

    def __init__(
        self,
        name: str,
        qubits: int = 16,
        *,
        capabilities: Iterable[str] = (),
        resources: Mapping[str, float] | None = None,
        executors: Iterable[Executor] = (),
        **options: Any,
    ) -> None:
        if not 1 <= qubits <= MAX_QUBITS:
            raise OrchestrationError(f"qubits of {name} must be 1 to {MAX_QUBITS}, not {qubits}")
        states = 1 << qubits
        # Amplitudes and a table of as many bytes; couplings; gates; measurements; the rest.
        needed = states * 2 * _AMPLITUDE + 8 * qubits * (qubits + 1)
        needed += GATE_DTYPE.itemsize * MAX_GATES + 4 * MAX_SHOTS + (1 << 18)
        super().__init__(
            name, "quantum", {*CAPABILITIES, *capabilities}, "quantum", resources=resources,
            executors=executors,
            # The deadline ends long ones: 20 qubits take 10^10 instructions.
            options={"max_agents": _MOST_REPLICAS, "max_memory": needed, "fuel": 10**15, **options},
        )  # fmt: skip
        self.qubits = qubits
        self.memory = states * _AMPLITUDE  #: bytes of the amplitudes

    def _make(self) -> QuantumMachine:
        return QuantumMachine(self._module, self._options)

    def _read(self, task: Task) -> Ising | Circuit:
        return read_problem(task.payload, self.qubits)

    def _work(self, machine: QuantumMachine, request: Any, context: TaskContext) -> Any:
        if isinstance(request, Ising):
            return machine.optimise(request, context)
        return machine.simulate(request, context)
