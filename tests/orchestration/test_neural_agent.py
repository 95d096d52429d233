"""A neural agent computes, bit for bit, what the same steps in NumPy's float32 give."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from swarmc.runtime.orchestration.agents import Activation, AgentFactory, NeuralAgent
from swarmc.runtime.orchestration.agents.networks import Layer, Network, default_network
from swarmc.runtime.orchestration.codec import dumps, loads
from swarmc.runtime.orchestration.errors import (
    ClosedError,
    OrchestrationError,
    TaskCancelledError,
    TaskError,
    TaskTimeoutError,
)
from swarmc.runtime.orchestration.tasks import Task, TaskContext

from .fakes import FakeClock

Floats = NDArray[np.float32]
ROOT = Path(__file__).resolve().parents[2]
f32 = np.float32


def polynomial(x: Floats, *coefficients: float) -> Floats:
    total: Floats = np.full_like(x, f32(coefficients[0]))
    for coefficient in coefficients[1:]:
        total = total * x + f32(coefficient)
    return total


def tanh(x: Floats) -> Floats:
    s = x * x
    p = polynomial(
        s, -2.76076847742355e-16, 2.00018790482477e-13, -8.60467152213735e-11,
        5.12229709037114e-08, 1.48572235717979e-05, 6.37261928875436e-04, 4.89352455891786e-03,
    )  # fmt: skip
    q = polynomial(
        s, 1.19825839466702e-06, 1.18534705686654e-04, 2.26843463243900e-03, 4.89352518554385e-03
    )
    bound = f32(7.90531111)
    found: Floats = np.where(x > bound, f32(1), np.where(x < -bound, f32(-1), x * p / q))
    return found


def exp(x: Floats) -> Floats:
    x = np.maximum(x, f32(-80))
    n = np.floor(x * f32(1.44269504) + f32(0.5))
    r = x - n * f32(0.693359375) - n * f32(-2.12194440e-4)
    p = polynomial(
        r, 1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1,
        5.0000001201e-1,
    )  # fmt: skip
    found: Floats = np.ldexp(p * (r * r) + r + f32(1), n.astype(np.int32))
    return found


def softmax(x: Floats) -> Floats:
    e = exp(x - x.max(axis=1, keepdims=True))
    total = np.zeros(len(e), f32)
    for column in e.T:  # one after another, as the module adds
        total += column
    return e / total[:, None]


def activated(kind: Activation, x: Floats) -> Floats:
    match kind:
        case Activation.RELU:
            return np.maximum(x, f32(0))
        case Activation.TANH:
            return tanh(x)
        case Activation.SIGMOID:
            return f32(0.5) * tanh(f32(0.5) * x) + f32(0.5)
        case Activation.SOFTMAX:
            return softmax(x)
        case _:
            return x


def model(network: Network, x: Floats) -> Floats:
    """The network in NumPy, each sum in the order of the inputs."""
    for layer in network.layers:
        total = np.tile(layer.bias, (len(x), 1))
        for j in range(x.shape[1]):
            total += layer.weights[:, j] * x[:, j : j + 1]
        x = activated(layer.activation, total)
    return x


def random_network(seed: int, *sizes: int) -> Network:
    dice = np.random.default_rng(seed)
    kinds = list(Activation)
    return Network(tuple(
        Layer(
            dice.normal(size=(after, before)).astype(f32), dice.normal(size=after).astype(f32),
            kinds[(seed + number) % len(kinds)],
        )
        for number, (before, after) in enumerate(pairwise(sizes))
    ))  # fmt: skip


def as_payload(network: Network) -> list[dict[str, Any]]:
    return [
        {"weights": layer.weights, "bias": layer.bias, "activation": layer.activation.name.lower()}
        for layer in network.layers
    ]


def run(agent: NeuralAgent, payload: object, context: TaskContext | None = None) -> Any:
    return agent.execute(Task("t", payload), context or TaskContext())


def same(found: Floats, expected: Floats) -> bool:
    return found.dtype == f32 and np.array_equal(found.view(np.int32), expected.view(np.int32))


@pytest.fixture(scope="module")
def agent() -> Iterator[NeuralAgent]:
    agent = AgentFactory.create_neural("vision_net", 65536)
    yield agent
    agent.close()


def test_the_modules_are_those_of_the_corpus() -> None:
    package = ROOT / "runtime" / "orchestration" / "agents"
    for name in ("neural.wasm", "quantum.wasm"):
        hint = f"cp corpus/{name} runtime/orchestration/agents/"
        assert (package / name).read_bytes() == (ROOT / "corpus" / name).read_bytes(), hint


def test_what_the_document_creates() -> None:
    agent = AgentFactory.create_neural("vision_net", 2048)
    assert (agent.name, agent.kind, agent.capacity) == ("vision_net", "neural", 1)
    assert agent.capabilities == {"neural_inference"}
    assert agent.network.size <= 2048 < agent.network.size + 100
    agent.close()


def test_its_own_network(agent: NeuralAgent) -> None:
    samples = np.random.default_rng(1).normal(size=(100, 16)).astype(f32)
    found = run(agent, samples)
    expected = model(agent.network, samples)
    assert same(found["outputs"], expected)
    assert found["classes"].tolist() == expected.argmax(axis=1).tolist()
    assert found["instructions"] > 100 * len(agent.network.parameters)
    assert np.allclose(found["outputs"].sum(axis=1), 1)


@pytest.mark.parametrize("seed", range(10))
def test_networks_of_all_activations(agent: NeuralAgent, seed: int) -> None:
    dice = np.random.default_rng(seed)
    sizes = dice.integers(1, 40, size=dice.integers(2, 6)).tolist()
    network = random_network(seed, *sizes)
    samples = (dice.normal(size=(7, sizes[0])) * 3).astype(f32)
    found = run(agent, {"inputs": samples, "layers": as_payload(network)})
    assert same(found["outputs"], model(network, samples))


def test_activations_are_what_they_are_called(agent: NeuralAgent) -> None:
    x = np.concatenate([np.linspace(-12, 12, 4001), [0.0, -0.0, 1e-30, 1e30, -1e30]]).astype(f32)
    references: dict[str, Callable[[Any], Any]] = {
        "identity": lambda x: x, "relu": lambda x: np.maximum(x, 0), "tanh": np.tanh,
        "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
    }  # fmt: skip
    for name, reference in references.items():
        layer = {"weights": np.ones((1, 1)), "activation": name}
        found = run(agent, {"inputs": x[:, None], "layers": [layer]})["outputs"][:, 0]
        with np.errstate(over="ignore"):
            assert np.abs(found - reference(x.astype(np.float64))).max() < 5e-7, name
    two = {"weights": np.array([[1.0], [0.0]]), "activation": "softmax"}
    found = run(agent, {"inputs": x[:, None], "layers": [two]})["outputs"]
    with np.errstate(over="ignore"):
        assert np.abs(found[:, 0] - 1 / (1 + np.exp(-x.astype(np.float64)))).max() < 5e-7


def test_more_samples_than_agents(agent: NeuralAgent) -> None:
    samples = np.random.default_rng(2).normal(size=(2500, 16)).astype(f32)
    assert same(run(agent, samples)["outputs"], model(agent.network, samples))


def test_payloads_that_mean_the_same(agent: NeuralAgent) -> None:
    samples = np.random.default_rng(3).normal(size=(4, 16)).astype(f32)
    expected = run(agent, samples)["outputs"]
    for payload in (
        samples.tobytes(), samples.tolist(), samples.astype(np.float64), {"inputs": samples},
        {"inputs": samples.tobytes()}, {"inputs": samples, "layers": as_payload(agent.network)},
        np.asfortranarray(samples), loads(dumps({"inputs": samples})),
    ):  # fmt: skip
        assert same(run(agent, payload)["outputs"], expected)
    one = run(agent, samples[2])
    assert same(one["outputs"], expected[2]) and one["classes"] == expected[2].argmax()
    assert loads(dumps(one))["classes"] == one["classes"]


def test_the_default_network_is_the_same_for_ever() -> None:
    first = default_network(2048, 0)
    assert [layer.weights.shape for layer in first.layers] == [(20, 16), (8, 20)]
    assert default_network(2048, 1).digest != first.digest
    assert first.layers[0].weights[0, :2].tolist() == [-0.053373515605926514, -0.448309063911438]
    assert first.digest.hex()[:16] == "2f2105b015793182"


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (None, "inputs of t must be numbers"),
        ("text", "inputs of t must be numbers"),
        ([[1, 2], [3]], "inputs of t is no array of numbers"),
        (np.zeros((2, 15)), r"inputs of t have the shape \(2, 15\): .* samples of 16"),
        (np.zeros((0, 16)), r"the shape \(0, 16\)"),
        (np.zeros((1, 1, 16)), "must have 1 or 2 dimensions, not 3"),
        (np.full(16, np.nan), "not finite"),
        (np.full(16, 1e39), "not finite in float32"),
        (np.zeros(16, np.complex64), "must be numbers, not complex64"),
        (b"12345", "has 5 bytes, which are no samples of 16 float32"),
        ({}, "must have 'inputs', and may have 'layers'; it has nothing"),
        ({"inputs": [0.0], "model": 1}, "it has 'inputs', 'model'"),
        ({"inputs": [0.0], "layers": []}, "layers must be a list of 1 to 32 layers"),
        ({"inputs": [0.0], "layers": [{"weight": 1}]}, "layer 0 must have weights, bias"),
        ({"inputs": [0.0], "layers": [{"weights": [1.0]}]}, "must have 2 dimensions, not 1"),
        (
            {"inputs": [0.0], "layers": [{"weights": [[1.0]], "bias": [1, 2]}]},
            "layer 0 has 1 rows of weights, but 2 biases",
        ),
        (
            {"inputs": [0.0], "layers": [{"weights": [[1.0]], "activation": "gelu"}]},
            "activation of layer 0 must be one of identity, relu.*, not 'gelu'",
        ),
        (
            {"inputs": [0.0], "layers": [{"weights": [[1.0]]}, {"weights": [[1.0, 2.0]]}]},
            "layer 1 takes 2 values, layer 0 gives 1",
        ),
        (
            {"inputs": np.zeros(200), "layers": [{"weights": np.zeros((200, 200))}]},
            "the network has 160,800 bytes of parameters, and vision_net takes 65,536",
        ),
    ],
)
def test_payloads_that_are_wrong(agent: NeuralAgent, payload: object, message: str) -> None:
    with pytest.raises(TaskError, match=message) as caught:
        run(agent, payload)
    assert caught.value.retry is False
    assert agent.ping()


def test_agents_that_cannot_be() -> None:
    for memory in (0, 131, 1 << 40):
        with pytest.raises(OrchestrationError):
            AgentFactory.create_neural("n", memory)
    with pytest.raises(OrchestrationError, match="needs a name"):
        AgentFactory.create_neural("")


def test_an_agent_takes_a_network_of_the_users() -> None:
    network = random_network(5, 3, 4, 2)
    agent = AgentFactory.create_neural("own", 4096, layers=as_payload(network))
    samples = np.eye(3, dtype=f32)
    assert same(run(agent, samples)["outputs"], model(network, samples))
    agent.close()


def big_work() -> dict[str, Any]:
    """A minute, if nothing stops it: an agent with so much memory takes one sample at a time."""
    layers = [{"weights": np.full((100, 100), 1e-2), "activation": "tanh"}] * 8
    return {"inputs": np.zeros((100_000, 100), np.float32), "layers": layers}


@pytest.mark.parametrize("why", ["deadline", "cancelled", "closed"])
def test_what_runs_can_be_stopped(why: str) -> None:
    small = [{"weights": np.ones((1, 16))}]
    agent = AgentFactory.create_neural("big", 64 << 20, layers=small)
    run(agent, np.zeros(16))  # compiled
    context = TaskContext()
    errors = {"deadline": TaskTimeoutError, "cancelled": TaskCancelledError, "closed": TaskError}
    if why == "deadline":
        context.deadline = context.clock() + 0.5
    else:
        stop = context.cancelled.set if why == "cancelled" else agent.close
        threading.Timer(0.5, stop).start()
    work, began = big_work(), time.process_time()
    with pytest.raises(errors[why]):
        run(agent, work, context)
    assert time.process_time() - began < 10  # it takes more to the end
    if why == "closed":
        with pytest.raises(ClosedError, match="agent big is closed"):
            run(agent, np.zeros(16))
        assert not agent.ping()
    else:  # it goes on with the next task
        assert run(agent, np.zeros(16))["classes"] == 0
    agent.close()


def test_an_attempt_that_is_over_before_it_begins(agent: NeuralAgent) -> None:
    clock = FakeClock(10.0)
    with pytest.raises(TaskTimeoutError):
        run(agent, np.zeros(16), TaskContext(deadline=5.0, clock=clock))
    cancelled = TaskContext()
    cancelled.cancelled.set()
    with pytest.raises(TaskCancelledError):
        run(agent, np.zeros(16), cancelled)


def test_threads_take_turns(agent: NeuralAgent) -> None:
    samples = np.random.default_rng(6).normal(size=(8, 30, 16)).astype(f32)
    other = random_network(9, 16, 5)
    with ThreadPoolExecutor(4) as pool:
        payloads: list[Any] = [
            part if number % 2 else {"inputs": part, "layers": as_payload(other)}
            for number, part in enumerate(samples)
        ]
        results = list(pool.map(lambda payload: run(agent, payload), payloads))
    for number, (part, result) in enumerate(zip(samples, results, strict=True)):
        assert same(result["outputs"], model(agent.network if number % 2 else other, part))


def test_a_restarted_agent_begins_again() -> None:
    agent = AgentFactory.create_neural("n")
    before = run(agent, np.ones(16))["outputs"]
    agent._broken(OSError("trouble"))
    assert not agent.ping()
    agent.restart()
    assert agent.ping()
    assert same(run(agent, np.ones(16))["outputs"], before)
    agent.close()
    agent.close()
    with pytest.raises(ClosedError):
        agent.restart()
