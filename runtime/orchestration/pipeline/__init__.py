"""Pipelines: JSON manifests of Python functions, WebAssembly exports and WASI commands.

>>> from swarmc.runtime.orchestration.pipeline import Executor
>>> text = '{"version":"v1","metadata":{"name":"test"},"nodes":[],"connections":[]}'
>>> Executor().execute_sync(text).status
'success'
"""

from .arrays import deserialize_numpy, serialize_numpy, serialize_numpy_wasm
from .errors import (
    ArrayFormatError,
    ManifestError,
    NodeError,
    NodeTimeoutError,
    PipelineError,
    PipelineTimeoutError,
    RunningLoopError,
)
from .executor import Executor, Mode
from .manifest import Manifest, load_manifest
from .result import ExecutionResult, GraphInfo
from .task import PipelineExecutor

__all__ = [
    "ArrayFormatError",
    "ExecutionResult",
    "Executor",
    "GraphInfo",
    "Manifest",
    "ManifestError",
    "Mode",
    "NodeError",
    "NodeTimeoutError",
    "PipelineError",
    "PipelineExecutor",
    "PipelineTimeoutError",
    "RunningLoopError",
    "deserialize_numpy",
    "load_manifest",
    "serialize_numpy",
    "serialize_numpy_wasm",
]
