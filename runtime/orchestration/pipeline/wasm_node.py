"""Nodes that call an export of a WebAssembly module, with arrays in its linear memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....errors import ArgumentError
from ....ir.types import FuncType, Type
from ...results import SwarmResult
from .arrays import DTYPES
from .errors import NodeError
from .models import Input, WasmNode
from .modules import MOST_AGENTS, CallFailed, Module
from .nodes import Call, no_value
from .spreading import Job, spread
from .threads import Stop, in_thread

Array = NDArray[Any]
_ALLOC = FuncType((Type.I32,), (Type.I32,))
_U32 = 0xFFFF_FFFF


class WasmRunner:
    """Calls a function: an agent for each call, all in one dispatch.

    An array takes two parameters: its address, for which the module's ``alloc`` is called before,
    and its number of elements.
    """

    def __init__(self, node: WasmNode, module: Module) -> None:
        self._node, self._module = node, module
        functions = module.functions
        if node.function not in functions:
            names = ", ".join(name for name in functions if not name.startswith("_"))
            message = f"{node.module} exports no function {node.function!r}"
            raise NodeError(node.id, message, hint=f"it exports {names}" if names else None)
        self._type = functions[node.function]
        declared = node.inputs or ()
        if any(port.dtype for port in declared) and functions.get(node.alloc) != _ALLOC:
            message = f"{node.module} exports no {node.alloc}(i32) -> i32 to make room for arrays"
            raise NodeError(node.id, message)
        results = self._type.results
        if node.output and results not in ((Type.I64,), (Type.I32, Type.I32)):
            message = f"{node.function} must give an address and a number of elements,"
            raise NodeError(node.id, f"{message} as i64 or (i32, i32), not {self._type}")

    async def run(self, calls: Sequence[Call], limit: asyncio.Semaphore) -> list[Any]:
        async with limit:
            return await in_thread(lambda stop: self._run(calls, stop), self._node.id)

    def _run(self, calls: Sequence[Call], stop: Stop) -> list[Any]:
        jobs = spread(self._node, calls)
        values: list[Any] = []
        try:
            for first in range(0, len(jobs.jobs), MOST_AGENTS):
                part = jobs.jobs[first : first + MOST_AGENTS]
                try:
                    with self._module.use(stop):
                        values += self._run_part(part, stop)
                except CallFailed as error:
                    error.call = None if error.call is None else error.call + first
                    raise
        except CallFailed as error:
            raise jobs.failed(error) from error
        return jobs.gather(values)

    def _run_part(self, jobs: Sequence[Job], stop: Stop) -> list[Any]:
        ports = self._ports(jobs[0])
        columns = [self._column(port, jobs) for port in ports]
        agents = self._module.spawn(len(jobs), self._node.function)
        kept = False
        try:
            rows: list[list[Any]] = [[] for _ in jobs]
            for port, column in zip(ports, columns, strict=True):
                self._pass(port, column, agents, rows, stop)
            self._check_count(rows[0])
            swarm = self._module.swarm
            try:
                result = self._module.dispatch(
                    stop, lambda: swarm.dispatch(agents, self._node.function, rows)
                )
            except ArgumentError as error:
                raise CallFailed(str(error)) from error
            if self._node.output is None:
                return [_plain(result.agent_results[agent]) for agent in agents]
            found = self._arrays(agents, result)
            kept = True
            return found
        finally:
            if not kept:
                self._module.release(agents)

    def _ports(self, job: Job) -> list[Input]:
        if self._node.inputs:
            for port in self._node.inputs:
                if port.name not in job:
                    raise no_value(self._node, port.name)
            return self._node.inputs
        return [Input(name=name) for name in job]

    def _check_count(self, row: list[Any]) -> None:
        wanted = len(self._type.params)
        if len(row) != wanted:
            raise CallFailed(
                f"{self._node.function} takes {wanted} parameters {self._type}, its inputs are"
                f" {len(row)}: a number takes one, an array (with its dtype in inputs) two"
            )

    # Into memory

    def _column(self, port: Input, jobs: Sequence[Job]) -> list[Any]:
        """The values of one input, as numbers or as arrays of its dtype."""
        found = []
        for number, job in enumerate(jobs):
            value = job[port.name]
            try:
                found.append(_number(value) if port.dtype is None else as_array(value, port.dtype))
            except (TypeError, ValueError, OverflowError) as error:
                raise CallFailed(f"input {port.name!r}: {error}", number) from error
        return found

    def _pass(
        self, port: Input, column: list[Any], agents: list[int], rows: list[list[Any]], stop: Stop
    ) -> None:
        """Append to the rows of arguments what one input takes."""
        if port.dtype is None:
            for row, value in zip(rows, column, strict=True):
                row.append(value)
            return
        swarm, alloc = self._module.swarm, self._node.alloc
        sizes = np.array([array.nbytes for array in column], np.int64)
        if sizes.max() > _U32:
            place = int(sizes.argmax())
            raise CallFailed(f"input {port.name!r} has {sizes[place]:,} bytes: too many", place)
        arguments = sizes.astype(np.uint32).reshape(-1, 1)
        result = self._module.dispatch(stop, lambda: swarm.dispatch(agents, alloc, arguments))
        addresses = result.results_array(0).astype(np.int64) & _U32
        for number, (address, array) in enumerate(zip(addresses.tolist(), column, strict=True)):
            if array.size and not address:
                raise CallFailed(
                    f"{alloc} has no room for the {array.nbytes:,} bytes of input"
                    f" {port.name!r}: the node's max_memory may be too small", number,
                )  # fmt: skip
            rows[number] += [address, array.size]
        if (addresses == addresses[0]).all() and (sizes == sizes[0]).all():
            together = np.stack([_bytes_of(array) for array in column])
            self._write(agents, together, int(addresses[0]), 0)
            return
        for number, (agent, array) in enumerate(zip(agents, column, strict=True)):
            alone = _bytes_of(array).reshape(1, -1)
            self._write([agent], alone, int(addresses[number]), number)

    def _write(self, agents: list[int], rows: Array, address: int, number: int) -> None:
        if not rows.size:
            return
        try:
            self._module.swarm.set_agent_memories(rows, agents, address)
        except ArgumentError as error:
            message = f"{self._node.alloc} gave room that is none: {error}"
            raise CallFailed(message, number) from error

    # Out of memory

    def _arrays(self, agents: list[int], result: SwarmResult) -> list[Array]:
        """The arrays that the agents' results point to, where they lie."""
        addresses, counts = (column.tolist() for column in _pointers(self._type, result))
        if self._module.visible and len({*addresses}) == len({*counts}) == 1:
            try:
                together = self._look(agents, addresses[0], counts[0])
            except ArgumentError:  # not in every memory, or these do not lie side by side
                pass
            else:
                self._shaped(together[0], 0)  # or it fails before anybody holds anything
                rows = self._module.lease(agents, together)
                return [self._shaped(row, number) for number, row in enumerate(rows)]
        found = []
        for number, agent in enumerate(agents):
            address, count = addresses[number], counts[number]
            try:
                row = self._look([agent], address, count)[0]
            except ArgumentError as error:
                what = f"{count:,} elements at address {address}"
                raise CallFailed(f"its result is {what}: {error}", number) from error
            found.append(self._shaped(row, number))
        if self._module.visible:
            pairs = zip(agents, found, strict=True)
            return [self._module.lease([agent], view) for agent, view in pairs]
        self._module.release(agents)
        return found

    def _look(self, agents: list[int], address: int, count: int) -> Array:
        """A row for each agent: where it lies, or a copy if that is nowhere that we can look."""
        assert self._node.output is not None
        dtype, swarm = DTYPES[self._node.output.dtype], self._module.swarm
        if self._module.visible:
            return np.asarray(swarm.view_agent_memories(agents, address, count, dtype))
        return swarm.get_agent_memories(agents, address, count, dtype)

    def _shaped(self, array: Array, number: int) -> Array:
        assert self._node.output is not None
        shape = self._node.output.shape
        if shape is None:
            return array
        try:
            return array.reshape(shape)
        except ValueError as error:
            raise CallFailed(f"its result: {error}", number) from error


def _pointers(type_: FuncType, result: SwarmResult) -> tuple[Array, Array]:
    """Address and number of elements that each agent gave."""
    if len(type_.results) == 1:
        packed = result.results_array(0).astype(np.uint64)
        return packed & np.uint64(_U32), packed >> np.uint64(32)
    first, second = (result.results_array(i).astype(np.int64) & _U32 for i in (0, 1))
    return first, second


def as_array(value: Any, name: str) -> Array:
    """A value as an array of a dtype.

    Raises:
        TypeError: it is none, or of a dtype that could lose something.
    """
    dtype = DTYPES[name]
    if isinstance(value, (bytes, bytearray, memoryview)):
        value = np.frombuffer(value, np.uint8)
    if isinstance(value, (np.ndarray, np.generic)):
        if not np.can_cast(value.dtype, dtype, "safe"):
            raise TypeError(f"an array of {value.dtype} is no {name}: convert it with astype")
        return np.asarray(value, dtype)
    if isinstance(value, (list, tuple, int, float)):
        return np.array(value, dtype)
    raise TypeError(f"takes an array of {name}, not {type(value).__name__}")


def _bytes_of(array: Array) -> Array:
    """The elements in C order as bytes, one-dimensional."""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _number(value: Any) -> int | float:
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        value = value.item()
    if isinstance(value, (int, float)):
        return value
    kind = f"array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
    raise TypeError(f"takes a number, not {kind}; an array's dtype is to be declared in inputs")


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
