"""Neural agents: inference of multilayer perceptrons, a swarm agent for each sample."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import OrchestrationError, TaskError
from ..interfaces import Executor
from ..tasks import Task, TaskContext
from .networks import Floats, Network, default_network, numbers, read_layers
from .swarm_agent import SwarmAgent
from .swarms import Machine, address

if TYPE_CHECKING:
    from ...manager import SwarmManager

CAPABILITIES = ("neural_inference",)
MAX_MEMORY = 64 << 20  #: bytes of parameters
_PAGE = 65536
_MOST_LANES = 1024
_MOST_BYTES = 256 << 20  # that all samples of a dispatch may occupy


@dataclass(frozen=True, eq=False, slots=True)
class NeuralRequest:
    """What a payload says: which network, and samples as float32[n, inputs].

    ``single``: the payload was one sample, not a batch.
    """

    network: Network
    samples: Floats
    single: bool


class NeuralMachine(Machine):
    """A swarm whose agents each compute one sample; they keep the network between tasks."""

    def __init__(self, module: bytes, options: Mapping[str, Any], lanes: int) -> None:
        super().__init__(module, options)
        self._lanes = lanes
        self._ids: Any = None
        self._network: bytes = b""  # the digest of what the first _ready agents hold
        self._ready = 0
        self._values = (0, 0)  # where values lie before the first layer, and after it

    def infer(self, request: NeuralRequest, context: TaskContext) -> dict[str, Any]:
        """Compute the samples, as many at a time as there are agents."""
        samples, network = request.samples, request.network
        outputs, classes, instructions = [], [], 0
        with self.turn(context) as swarm:
            for first in range(0, len(samples), self._lanes):
                part = samples[first : first + self._lanes]
                self._prepare(swarm, context, network, len(part))
                ids = self._ids[: len(part)]
                swarm.set_agent_memories(part, ids, self._values[0])
                count = len(network.layers)
                result = self.call(context, ids, "infer", [count])
                at = self._values[count % 2]
                outputs.append(swarm.get_agent_memories(ids, at, network.outputs, np.float32))
                classes.append(result.results_array())
                instructions += int(result.counts_array.sum())
        return {
            "outputs": np.concatenate(outputs),
            "classes": np.concatenate(classes),
            "instructions": instructions,
        }

    def _prepare(
        self, swarm: SwarmManager, context: TaskContext, network: Network, count: int
    ) -> None:
        """Give so many agents the network, unless they have it."""
        if self._ids is None or swarm.agent_ids.size == 0:
            self._ids, self._ready = swarm.spawn_agents(self._lanes), 0
        if self._network != network.digest:
            self._ready = 0
        if self._ready >= count:
            return
        self._network = b""  # whatever is interrupted from here on is done again
        upto = min(self._lanes, max(count, 2 * self._ready))
        ids = self._ids[self._ready : upto]
        sizes = [len(network.parameters), network.widest]
        if not self.call(context, ids, "prepare", sizes).results_array().all():
            raise TaskError(f"a network of {network.size} bytes does not fit", retry=False)
        one = int(ids[0])  # in all of them everything lies at the same place
        swarm.set_agent_memories(network.table, ids, address(swarm, one, "layers_at"))
        swarm.set_agent_memories(network.parameters, ids, address(swarm, one, "parameters_at"))
        self._values = address(swarm, one, "values_at", 0), address(swarm, one, "values_at", 1)
        self._ready, self._network = upto, network.digest


class NeuralAgent(SwarmAgent):
    """Computes what a multilayer perceptron gives for samples.

    A payload is the samples, as an array or list (float32[n, inputs], or one of them), or as bytes
    of little-endian float32; or a dict with ``inputs`` (the samples) and, for another network than
    the agent's own, ``layers``: a list of dicts with ``weights`` (float32[outputs, inputs]),
    ``bias`` and ``activation`` (``identity``, ``relu``, ``tanh``, ``sigmoid``, ``softmax``).

    The result is a dict: ``outputs`` (float32[n, outputs]), ``classes`` (int32[n], which output is
    greatest) and ``instructions`` (executed by all agents); for one sample, ``outputs`` has one
    dimension and ``classes`` is an int.

    Args:
        memory: bytes of parameters that a network may have, 4 each.
        layers: the agent's own network; None: :func:`~.networks.default_network` of ``seed``.
        options: of the :class:`~swarmc.SwarmManager`, such as ``target``.
    """

    def __init__(
        self,
        name: str,
        memory: int = 2048,
        *,
        layers: object = None,
        seed: int = 0,
        capabilities: Iterable[str] = (),
        resources: Mapping[str, float] | None = None,
        executors: Iterable[Executor] = (),
        **options: Any,
    ) -> None:
        if not 0 < memory <= MAX_MEMORY:
            raise OrchestrationError(
                f"memory of {name} must be 1 to {MAX_MEMORY:,} bytes, not {memory:,}"
            )
        # No layer is wider than there are parameters, so inputs and outputs double it at most.
        needed = -(-3 * memory // _PAGE) * _PAGE + 2 * _PAGE
        self._lanes = max(1, min(_MOST_LANES, _MOST_BYTES // needed))
        super().__init__(
            name, "neural", {*CAPABILITIES, *capabilities}, "neural", resources=resources,
            executors=executors,
            options={"max_agents": self._lanes, "max_memory": needed, **options},
        )  # fmt: skip
        self.memory = memory
        self.network = self._fitting(
            default_network(memory, seed) if layers is None else read_layers(layers)
        )

    def _make(self) -> NeuralMachine:
        return NeuralMachine(self._module, self._options, self._lanes)

    def _fitting(self, network: Network) -> Network:
        if network.size > self.memory:
            raise TaskError(
                f"the network has {network.size:,} bytes of parameters, and {self.name} takes"
                f" {self.memory:,}", retry=False, hint="create the agent with more memory",
            )  # fmt: skip
        return network

    def _read(self, task: Task) -> NeuralRequest:
        payload, network = task.payload, self.network
        if isinstance(payload, dict):
            unknown = payload.keys() - {"inputs", "layers"}
            if unknown or "inputs" not in payload:
                raise TaskError(
                    f"payload of {task.name} must have 'inputs', and may have 'layers';"
                    f" it has {', '.join(map(repr, payload)) or 'nothing'}", retry=False,
                )  # fmt: skip
            if payload.get("layers") is not None:
                network = self._fitting(read_layers(payload["layers"]))
            payload = payload["inputs"]
        if isinstance(payload, (bytes, bytearray, memoryview)):
            row = 4 * network.inputs
            if len(payload) % row:
                raise TaskError(
                    f"payload of {task.name} has {len(payload)} bytes, which are no samples of"
                    f" {network.inputs} float32", retry=False,
                )  # fmt: skip
            payload = np.frombuffer(payload, "<f4").reshape(-1, network.inputs)
        samples = numbers(payload, f"inputs of {task.name}", (1, 2))
        single = samples.ndim == 1
        if samples.shape[-1] != network.inputs or samples.size == 0:
            raise TaskError(
                f"inputs of {task.name} have the shape {samples.shape}: the network takes samples"
                f" of {network.inputs}", retry=False,
            )  # fmt: skip
        return NeuralRequest(network, samples.reshape(-1, network.inputs), single)

    def _work(self, machine: NeuralMachine, request: Any, context: TaskContext) -> Any:
        result = machine.infer(request, context)
        if request.single:
            result["outputs"], result["classes"] = result["outputs"][0], int(result["classes"][0])
        return result
