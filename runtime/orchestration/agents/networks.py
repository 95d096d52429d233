"""Multilayer perceptrons as data: layers, what is wrong with them, and how they lie in memory."""

from __future__ import annotations

import enum
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ..errors import OrchestrationError, TaskError

Floats = NDArray[np.float32]

MAX_LAYERS = 32  #: as in corpus/neural.c
INPUTS, OUTPUTS = 16, 8  #: of the network that an agent has when it is given none


class Activation(enum.IntEnum):
    """What becomes of a layer's sums; the numbers are those of corpus/neural.c."""

    IDENTITY = 0
    RELU = 1
    TANH = 2
    SIGMOID = 3
    SOFTMAX = 4


@dataclass(frozen=True, eq=False, slots=True)
class Layer:
    """One layer: ``activation(weights @ input + bias)``.

    Args:
        weights: float32[outputs, inputs].
        bias: float32[outputs].
    """

    weights: Floats
    bias: Floats
    activation: Activation = Activation.IDENTITY


@dataclass(frozen=True, eq=False)
class Network:
    """Layers of which each takes what the one before it gives."""

    layers: tuple[Layer, ...]

    @property
    def inputs(self) -> int:
        """How many values a sample has."""
        return int(self.layers[0].weights.shape[1])

    @property
    def outputs(self) -> int:
        """How many values come out of one."""
        return len(self.layers[-1].bias)

    @property
    def widest(self) -> int:
        """Most values that go in or out of a layer."""
        return max(self.inputs, *(len(layer.bias) for layer in self.layers))

    @cached_property
    def table(self) -> NDArray[np.int32]:
        """Inputs, outputs and activation of each layer, as the module reads them."""
        rows = [(*layer.weights.shape[::-1], layer.activation) for layer in self.layers]
        return np.array(rows, np.int32).ravel()

    @cached_property
    def parameters(self) -> Floats:
        """Of each layer the weights, input by input, then the biases."""
        parts = [part for layer in self.layers for part in (layer.weights.T.ravel(), layer.bias)]
        return np.concatenate(parts).astype(np.float32)

    @property
    def size(self) -> int:
        """Bytes of its parameters."""
        return int(self.parameters.nbytes)

    @cached_property
    def digest(self) -> bytes:
        """Equal for networks that give the same."""
        return hashlib.sha256(self.table.tobytes() + self.parameters.tobytes()).digest()


def numbers(value: object, what: str, dimensions: tuple[int, ...]) -> Floats:
    """An array of finite float32 from what a payload has. Raises :class:`TaskError`."""
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise TaskError(f"{what} is no array of numbers: {error}", retry=False) from None
    if array.dtype.kind not in "biuf":
        raise TaskError(f"{what} must be numbers, not {array.dtype}", retry=False)
    if array.ndim not in dimensions:
        wanted = " or ".join(map(str, dimensions))
        raise TaskError(f"{what} must have {wanted} dimensions, not {array.ndim}", retry=False)
    with np.errstate(over="ignore"):
        floats = np.ascontiguousarray(array, np.float32)
    if not np.isfinite(floats).all():
        raise TaskError(f"{what} has values that are not finite in float32", retry=False)
    return floats


def read_layers(value: object) -> Network:
    """A network from a list of dicts with ``weights``, ``bias`` and ``activation``.

    Raises:
        TaskError: something in it is wrong; the message says where.
    """
    if not isinstance(value, Sequence) or not 1 <= len(value) <= MAX_LAYERS:
        raise TaskError(f"layers must be a list of 1 to {MAX_LAYERS} layers", retry=False)
    layers = [_layer(one, f"layer {number}") for number, one in enumerate(value)]
    for number in range(1, len(layers)):
        given, wanted = len(layers[number - 1].bias), layers[number].weights.shape[1]
        if given != wanted:
            raise TaskError(
                f"layer {number} takes {wanted} values, layer {number - 1} gives {given}",
                retry=False,
            )
    return Network(tuple(layers))


def _layer(value: object, what: str) -> Layer:
    if not isinstance(value, dict) or not value.keys() <= {"weights", "bias", "activation"}:
        raise TaskError(f"{what} must have weights, bias and activation", retry=False)
    weights = numbers(value.get("weights"), f"weights of {what}", (2,))
    if 0 in weights.shape:
        raise TaskError(f"weights of {what} have the shape {weights.shape}", retry=False)
    zeros = np.zeros(len(weights), np.float32)
    bias = numbers(value.get("bias", zeros), f"bias of {what}", (1,))
    if len(bias) != len(weights):
        raise TaskError(
            f"{what} has {len(weights)} rows of weights, but {len(bias)} biases", retry=False
        )
    name = value.get("activation", "identity")
    known = {activation.name.lower(): activation for activation in Activation}
    if not isinstance(name, str) or name not in known:
        raise TaskError(
            f"activation of {what} must be one of {', '.join(known)}, not {name!r}", retry=False
        )
    return Layer(weights, bias, known[name])


def default_network(memory: int, seed: int) -> Network:
    """The largest network of 16 inputs, one hidden layer and 8 outputs in so many bytes.

    Its weights are pseudo-random, so that it is good for trials only. The same seed gives the
    same weights, everywhere and for ever.
    """
    hidden = (memory // 4 - OUTPUTS) // (INPUTS + 1 + OUTPUTS)
    if hidden < 1:
        least = 4 * (INPUTS + 1 + OUTPUTS + OUTPUTS)
        raise OrchestrationError(f"a network needs {least} bytes, not {memory}")
    shapes = ((hidden, INPUTS), (hidden,), (OUTPUTS, hidden), (OUTPUTS,))
    count = sum(int(np.prod(shape)) for shape in shapes)
    stream = hashlib.shake_256(b"swarmc neural %d" % seed).digest(4 * count)
    values = (np.frombuffer(stream, "<u4") >> 8) / 2.0**23 - 1.0  # uniform in -1 to 1
    parts = np.split(values, np.cumsum([int(np.prod(shape)) for shape in shapes])[:-1])
    first, first_bias, second, second_bias = (
        (part.reshape(shape) * scale).astype(np.float32)
        for part, shape, scale in zip(parts, shapes, (0.5, 0.1, 0.5, 0.1), strict=True)
    )
    return Network((
        Layer(first, first_bias, Activation.TANH),
        Layer(second, second_bias, Activation.SOFTMAX),
    ))  # fmt: skip
