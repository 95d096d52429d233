"""Building and comparing pipelines in these tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from . import pipeline_nodes

NODES = pipeline_nodes.__name__
CORPUS = Path(__file__).resolve().parents[2] / "corpus"


def python(id_: str, function: str, **more: Any) -> dict[str, Any]:
    path = function if ":" in function else f"{NODES}:{function}"
    return {"id": id_, "node_type": "python", "function": path, **more}


def pipeline(nodes: list[dict[str, Any]], *connections: Any) -> dict[str, Any]:
    """Connections are ("a", "b"), ("a", "b", to_port) or ("a", "b", to_port, from_port)."""
    wires = []
    for source, target, *ports in connections:
        wire = {"from": source, "to": target}
        wire |= {key: p for key, p in zip(("to_port", "from_port"), ports, strict=False) if p}
        wires.append(wire)
    return {
        "version": "v1", "metadata": {"name": "test"}, "nodes": nodes, "connections": wires,
    }  # fmt: skip


def equal(one: Any, other: Any) -> bool:
    """Whether values are the same, arrays and types included."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return (
            isinstance(one, np.ndarray)
            and isinstance(other, np.ndarray)
            and one.dtype == other.dtype
            and np.array_equal(one, other, equal_nan=one.dtype.kind in "fc")
        )
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(equal(one[key], other[key]) for key in one)
        )
    return bool(one == other) and type(one) is type(other)


def frames(id_: str, function: str, **more: Any) -> dict[str, Any]:
    module = str(CORPUS / "frames.wasm")
    return {"id": id_, "node_type": "wasm", "module": module, "function": function, **more}


def lib(id_: str, function: str, **more: Any) -> dict[str, Any]:
    return {**frames(id_, function, **more), "module": str(CORPUS / "lib.wasm")}


def scale(id_: str = "scale", **more: Any) -> dict[str, Any]:
    inputs = [{"name": "samples", "dtype": "float32"}, "factor"]
    return frames(id_, "scale", inputs=inputs, output={"dtype": "float32"}, **more)


def spectrum(**more: Any) -> dict[str, Any]:
    module = str(CORPUS / "spectrum.wasm")
    return {"id": "spectrum", "node_type": "wasi", "module": module, **more}
