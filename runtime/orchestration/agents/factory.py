"""Making agents."""

from __future__ import annotations

from typing import Any

from .generic import GenericAgent, Handler
from .neural import NeuralAgent
from .quantum import QuantumAgent


class AgentFactory:
    """Makes agents of the three kinds. Nothing is compiled before an agent runs its first task.

    All take ``capabilities`` (besides the kind's own), ``resources`` and ``executors``, as
    :class:`~.local.LocalAgent`, and options of :class:`~swarmc.SwarmManager`, such as ``target``.
    """

    @staticmethod
    def create_neural(name: str, memory: int = 2048, **options: Any) -> NeuralAgent:
        """An agent with the capability ``neural_inference``.

        Args:
            memory: bytes of parameters (weights and biases, 4 bytes each) that a network may
                have: 2048 are 512 of them.
            options: also ``layers``, the agent's network, or ``seed`` of a made-up one: see
                :class:`~.neural.NeuralAgent`.
        """
        return NeuralAgent(name, memory, **options)

    @staticmethod
    def create_quantum(name: str, qubits: int = 16, **options: Any) -> QuantumAgent:
        """An agent with the capabilities ``quantum_optimization`` and ``quantum_simulation``.

        Args:
            qubits: 1 to 20; 16 have 512 KiB of amplitudes.
        """
        return QuantumAgent(name, qubits, **options)

    @staticmethod
    def create_generic(
        name: str, *, handler: Handler | None = None, module: Any = None, **options: Any
    ) -> GenericAgent:
        """An agent with the capability ``general_processing``.

        Args:
            handler: a function of the payload, or of payload and :class:`TaskContext`.
            module: bytes or path of a WebAssembly module; without both, tasks bring theirs.
            options: also ``capacity``, tasks at a time.
        """
        return GenericAgent(name, handler=handler, module=module, **options)
