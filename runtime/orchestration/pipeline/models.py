"""What a manifest of a pipeline may say."""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

from ..graph import suggestion
from .arrays import DTYPES, from_json
from .errors import ArrayFormatError

#: Name of the port of a connection that names none, at nodes that declare no inputs.
DEFAULT_PORT = "input"

_FUNCTION = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")


def _known_dtype(name: str) -> str:
    if name not in DTYPES:
        raise ValueError(f"unknown dtype {name!r}{suggestion(name, DTYPES)}")
    return name


Dtype = Annotated[str, AfterValidator(_known_dtype)]


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class Metadata(BaseModel):
    """What a pipeline is called; other keys are kept as they are."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True)

    name: Annotated[str, Field(min_length=1)]
    description: str = ""


class Input(_Model):
    """A port that values come in by. In a manifest, ``"x"`` is short for ``{"name": "x"}``.

    Args:
        dtype: of a ``wasm`` node: the value is an array of this dtype, and the function takes its
            address and its number of elements. None: it takes a number.
    """

    name: Annotated[str, Field(min_length=1)]
    dtype: Dtype | None = None

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value


class Output(_Model):
    """What a function's result points to: an array.

    Args:
        shape: of which one dimension may be -1: as long as it is; None: one dimension.
    """

    dtype: Dtype
    shape: list[Annotated[int, Field(ge=-1)]] | None = None

    @field_validator("shape")
    @classmethod
    def _one_open(cls, shape: list[int] | None) -> list[int] | None:
        if shape is not None and shape.count(-1) > 1:
            raise ValueError("at most one dimension may be -1")
        return shape


class BaseNode(_Model):
    """What all nodes have.

    Args:
        id: unique in the pipeline.
        params: values that are the same in every execution.
        inputs: the ports, in order; None: those that connections name.
        timeout_ms: how long the node may take for all items; None: as long as it takes.
    """

    what: ClassVar[str]

    id: Annotated[str, Field(min_length=1)]
    params: dict[str, Any] = {}
    inputs: list[Input] | None = None
    timeout_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    @field_validator("params")
    @classmethod
    def _arrays(cls, params: dict[str, Any]) -> dict[str, Any]:
        try:
            return {key: from_json(value) for key, value in params.items()}
        except ArrayFormatError as error:
            raise ValueError(str(error)) from None

    @field_validator("inputs")
    @classmethod
    def _distinct(cls, inputs: list[Input] | None) -> list[Input] | None:
        names = [port.name for port in inputs or ()]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"there are two inputs named {twice!r}")
        return inputs

    @property
    def default_port(self) -> str:
        """Where a connection leads that names no port."""
        return self.inputs[0].name if self.inputs else DEFAULT_PORT


class PythonNode(BaseNode):
    """Calls a Python function; one that is ``async def`` is awaited.

    Args:
        function: ``package.module:name``. What it names is imported and called: a manifest is code.
    """

    what = "Python function"

    node_type: Literal["python"]
    function: str

    @field_validator("function")
    @classmethod
    def _import_path(cls, function: str) -> str:
        if not _FUNCTION.fullmatch(function):
            raise ValueError(f"a function is named as package.module:function, not {function!r}")
        return function


class ModuleNode(BaseNode):
    """What nodes have that run WebAssembly.

    Args:
        module: path of a .wasm or .wat file, from the manifest's directory.
        swarm: whether every input is a list, or array, of values, of which each gets an agent of
            its own; or the names of the inputs that are, while all agents get the others. All
            agents run in one dispatch, and the result is the list of theirs.
        fuel: instructions that an agent may execute.
        max_memory: bytes that an agent's memory may grow to.
    """

    module: Annotated[str, Field(min_length=1)]
    swarm: bool | list[str] = False
    fuel: Annotated[int, Field(ge=0, lt=1 << 63)] = 10**10
    max_memory: Annotated[int, Field(ge=65536, le=1 << 32)] | None = None


class WasmNode(ModuleNode):
    """Calls an exported function of a WebAssembly module, on a fresh instance.

    Args:
        function: its name.
        output: None: the result is a number, or several. Else the function gives the address and
            the number of elements of an array, as two results (i32, i32), or as one i64 with the
            number in its upper half.
        alloc: name of the export that gives room for arrays: ``alloc(bytes: i32) -> i32``.
    """

    what = "WebAssembly export"

    node_type: Literal["wasm"]
    function: Annotated[str, Field(min_length=1)]
    output: Output | None = None
    alloc: Annotated[str, Field(min_length=1)] = "alloc"


class WasiNode(ModuleNode):
    """Runs a WASI command: JSON on its standard input, JSON on its standard output.

    Args:
        args: ``argv[1:]``.
        output_size: bytes that it may write to standard output.
    """

    what = "WASI command"

    node_type: Literal["wasi"]
    args: list[str] = []
    env: dict[str, str] = {}
    output_size: Annotated[int, Field(ge=1, le=1 << 32)] = 1 << 20


Node = Annotated[PythonNode | WasmNode | WasiNode, Field(discriminator="node_type")]
NODE_TYPES: dict[str, type[BaseNode]] = {
    "python": PythonNode, "wasm": WasmNode, "wasi": WasiNode,
}  # fmt: skip


class Connection(_Model):
    """What one node gives goes to another.

    Args:
        source: id of a node; ``from`` in a manifest.
        target: ``to`` in a manifest.
        from_port: key of the dictionary that the source gives; None: all that it gives.
        to_port: None: the first input that the target declares, or its only one.
    """

    source: str = Field(alias="from")
    target: str = Field(alias="to")
    from_port: Annotated[str, Field(min_length=1)] | None = None
    to_port: Annotated[str, Field(min_length=1)] | None = None
