"""The executor ``wasm``: functions and WASI commands of WebAssembly modules, as swarms."""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ....errors import SwarmcError
from ..codec import ValueEncodingError, dumps, loads
from ..errors import ClosedError, TaskError, TaskTimeoutError
from ..graph import suggestion
from ..tasks import Task, TaskContext
from .calls import Call
from .swarm_pool import SwarmPool, interruptible
from .wasm_check import check_module

if TYPE_CHECKING:
    from ...manager import SwarmManager
    from ...results import SwarmResult

_PARAMETERS = frozenset({
    "module", "bytes", "entry_point", "args", "agents", "stdin", "input", "argv", "env", "fuel",
    "memory", "output", "output_size", "seed", "clock", "allow_failures",
})  # fmt: skip
_MOST_SLOTS = 1024
_OUTPUTS = ("text", "json", "bytes")


@dataclass(frozen=True, slots=True)
class WasmRequest:
    """What a task's parameters say.

    Args:
        data: the module, from ``module`` (a path) or ``bytes`` (bytes, or base64 in a string).
        entry_point: exported function; None: ``_start``, else ``main``, else the only one.
        args: one row of arguments for all agents, or a list of rows, one an agent.
        agents: how many; with more than one, everything in the result is a list.
        stdin: text or bytes; ``input`` is any value, which becomes JSON, instead.
        argv: from the program's name on.
        fuel: instructions that an agent may execute; None: the swarm's limit.
        memory: bytes that an agent's memory may grow to.
        output: what standard output becomes in the result: ``text``, ``bytes``, or a ``json``
            value.
        output_size: bytes kept of it, an agent.
        allow_failures: whether traps and exit codes are results, and not the task's failure.
    """

    data: bytes
    entry_point: str | None = None
    args: list[Any] | None = None
    agents: int = 1
    stdin: bytes = b""
    argv: tuple[str, ...] = ("module.wasm",)
    env: dict[str, str] | None = None
    fuel: int | None = None
    memory: int | None = None
    output: str = "text"
    output_size: int = 65536
    seed: int = 0
    clock: int = 0
    allow_failures: bool = False

    @classmethod
    def of(cls, call: Call, root: Path) -> WasmRequest:
        """Read a call's parameters; relative paths begin at ``root``."""
        for name in call.parameters:
            if name not in _PARAMETERS:
                known = suggestion(name, _PARAMETERS)
                raise TaskError(f"executor wasm has no parameter {name!r}{known}", retry=False)
        args = call.parameter("args", list, None)
        output = call.parameter("output", str, "text")
        if output not in _OUTPUTS:
            raise TaskError(
                f"output of {call.name} must be one of {', '.join(_OUTPUTS)}, not {output!r}",
                retry=False,
            )
        return cls(
            _module(call, root), call.parameter("entry_point", str, None), args,
            _count(call, "agents", 1) or 1, _stdin(call),
            tuple(map(str, call.parameter("argv", list, ["module.wasm"]))),
            call.parameter("env", dict, None), _count(call, "fuel"), _count(call, "memory"),
            output, _count(call, "output_size", 65536) or 65536, call.parameter("seed", int, 0),
            call.parameter("clock", int, 0), call.parameter("allow_failures", bool, False),
        )  # fmt: skip

    @property
    def slots(self) -> int:
        """How many agents run at a time: a power of two, so that swarms serve many requests."""
        return min(1 << (self.agents - 1).bit_length(), _MOST_SLOTS)

    def key(self) -> tuple[Any, ...]:
        """Requests with one key can use one swarm."""
        digest = hashlib.sha256(self.data).digest()
        return digest, self.memory, self.output_size, self.slots


def _count(call: Call, name: str, default: int | None = None) -> int | None:
    value: int | None = call.parameter(name, int, default)
    if value is not None and value < 1:
        raise TaskError(f"{name} of {call.name} must be positive, not {value}", retry=False)
    return value


def _module(call: Call, root: Path) -> bytes:
    if ("module" in call.parameters) == ("bytes" in call.parameters):
        raise TaskError(
            f"{call.name} needs one of the parameters 'module' (a path) and 'bytes'", retry=False
        )
    if "bytes" in call.parameters:
        data: bytes | bytearray | str = call.parameter("bytes", (bytes, bytearray, str))
        if not isinstance(data, str):
            return bytes(data)
        try:
            return base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise TaskError(f"'bytes' of {call.name} is no base64: {error}", retry=False) from None
    path: Path = root / call.parameter("module", str)
    try:
        return path.read_bytes()
    except OSError as error:
        raise TaskError(f"cannot read {path}: {error.strerror}", retry=False) from error


def _stdin(call: Call) -> bytes:
    if "stdin" in call.parameters and "input" in call.parameters:
        raise TaskError(f"{call.name} has both 'stdin' and 'input'", retry=False)
    if "input" in call.parameters:
        return dumps(call.parameters["input"]).encode()
    given: str | bytes = call.parameter("stdin", (str, bytes), b"")
    return given.encode() if isinstance(given, str) else given


class WasmExecutor:
    """Runs what the parameters describe: see :class:`WasmRequest`.

    The result is a dict with ``result``, ``stdout``, ``stderr``, ``exit_code``, ``trap`` and
    ``instructions``: a value each, or a list each if there are several agents. Swarms are kept
    for the next task that runs the same module, compiled.

    Args:
        root: where relative paths of modules begin; None: the current folder.
        kept: most swarms that are kept while nobody uses them.
        options: of every :class:`~swarmc.SwarmManager`, such as ``target``.
    """

    def __init__(
        self, *, root: str | Path | None = None, kept: int = 8, name: str = "wasm",
        **options: Any,
    ) -> None:  # fmt: skip
        self.name = name
        self._root = Path(root) if root is not None else Path()
        self._pool, self._options = SwarmPool(kept), options

    def review(self, call: Call) -> None:
        """See that a call could be run, without running it. Raises TaskError."""
        request = WasmRequest.of(call, self._root)
        try:
            check_module(request.data, request.entry_point, request.args, request.agents)
        except SwarmcError as error:
            raise TaskError(str(error), retry=False) from error

    def run(self, task: Task, context: TaskContext) -> Any:
        """Run the agents and give what became of them.

        Raises:
            TaskError: the module or a parameter is wrong; an agent trapped, or exited with
                another code than 0. Agents are deterministic, so no attempt is made again.
            TaskTimeoutError, TaskCancelledError: the agents were interrupted.
        """
        request = WasmRequest.of(Call.of(task, context), self._root)
        context.check()
        try:
            with self._pool.swarm(request.key(), lambda: self._make(request)) as swarm:
                result = _dispatch(swarm, request, context)
        except SwarmcError as error:
            if isinstance(error, (TaskError, ClosedError)):
                raise
            raise TaskError(f"{task.name}: {error}", retry=False) from error
        if result.interrupted:
            context.check()
            raise TaskTimeoutError(f"the agents of {task.name} were interrupted")
        return _value(result, request, task.name)

    def close(self) -> None:
        """Free the swarms that nobody uses; the others when they are done."""
        self._pool.close()

    def _make(self, request: WasmRequest) -> SwarmManager:
        from ...manager import SwarmManager

        return SwarmManager.from_wasm(
            request.data, max_agents=request.slots, max_memory=request.memory,
            output_size=request.output_size, **self._options,
        )  # fmt: skip


def _dispatch(swarm: SwarmManager, request: WasmRequest, context: TaskContext) -> SwarmResult:
    return interruptible(swarm, context, lambda: swarm.run_agents(
        request.agents, request.entry_point, request.args, waves=True, fuel=request.fuel,
        seed=request.seed, clock=request.clock, stdin=request.stdin,
        argv=request.argv, env=request.env,
    ))  # fmt: skip


def _value(result: SwarmResult, request: WasmRequest, name: str) -> dict[str, Any]:
    agents = [_agent(result, int(id_), request, name) for id_ in result.ids]
    if not request.allow_failures:
        for number, agent in enumerate(agents):
            if agent["trap"] is not None or agent["exit_code"]:
                raise _failure(agent, number if len(agents) > 1 else None, name)
    if request.agents == 1:
        return agents[0]
    return {key: [agent[key] for agent in agents] for key in agents[0]}


def _agent(result: SwarmResult, id_: int, request: WasmRequest, name: str) -> dict[str, Any]:
    trap = result.traps.get(id_)
    value = result.agent_results.get(id_)
    failed = trap is not None or bool(result.exit_codes.get(id_))
    output: Any = result.agent_outputs[id_]
    if request.output == "text":
        output = _text(output)
    elif request.output == "json" and not failed:
        if result.truncated[id_]:
            raise TaskError(
                f"{name} printed more than {request.output_size:,} bytes", retry=False,
                hint="set the parameter output_size",
            )  # fmt: skip
        output = _json(output, name)
    return {
        "result": list(value) if isinstance(value, tuple) else value,
        "stdout": output,
        "stderr": _text(result.agent_errors[id_]),
        "exit_code": result.exit_codes.get(id_),
        "trap": None if trap is None else str(trap),
        "instructions": result.instruction_counts[id_],
        "truncated": result.truncated[id_],
    }


def _failure(agent: dict[str, Any], number: int | None, name: str) -> TaskError:
    who = name if number is None else f"agent {number} of {name}"
    what = f"trapped: {agent['trap']}" if agent["trap"] else f"exited with {agent['exit_code']}"
    errors = agent["stderr"]
    said = f"\nits standard error ends with:\n{errors[-2000:].rstrip()}" if errors else ""
    return TaskError(f"{who} {what}{said}", retry=False)


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _json(data: bytes, name: str) -> Any:
    try:
        return loads(data)
    except ValueEncodingError as error:
        raise TaskError(f"{name} printed no JSON: {error}", retry=False) from None
