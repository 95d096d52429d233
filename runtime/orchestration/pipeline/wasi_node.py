"""Nodes that run a WASI command: JSON to its standard input, JSON from its standard output."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from ...results import SwarmResult
from . import arrays
from .errors import ArrayFormatError, NodeError
from .models import WasiNode
from .modules import CallFailed, Module
from .nodes import Call
from .spreading import Job, spread
from .threads import Stop, in_thread

_SHOWN = 400


class WasiRunner:
    """Runs all calls of a command as one dispatch (in waves, if there are more than agents)."""

    def __init__(self, node: WasiNode, module: Module) -> None:
        if not module.swarm.executable.command:
            raise NodeError(
                node.id, f"{node.module} is no WASI command: it has no _start",
                hint="exported functions are called by nodes of node_type wasm",
            )  # fmt: skip
        self._node, self._module = node, module
        self._argv = [module.options.path.name, *node.args]

    async def run(self, calls: Sequence[Call], limit: asyncio.Semaphore) -> list[Any]:
        async with limit:
            return await in_thread(lambda stop: self._run(calls, stop), self._node.id)

    def _run(self, calls: Sequence[Call], stop: Stop) -> list[Any]:
        jobs = spread(self._node, calls)
        if not jobs.jobs:
            return jobs.gather([])
        try:
            given = [self._standard_input(number, job) for number, job in enumerate(jobs.jobs)]
            with self._module.use(stop) as swarm:
                result = self._module.dispatch(
                    stop,
                    lambda: swarm.run_agents(
                        len(given), "_start", stdin=given, argv=self._argv, env=self._node.env,
                        waves=True,
                    ),
                )  # fmt: skip
            return jobs.gather(self._values(result))
        except CallFailed as error:
            raise jobs.failed(error) from error

    def _standard_input(self, number: int, job: Job) -> bytes:
        params = {name: job[name] for name in self._node.params}
        inputs = {name: value for name, value in job.items() if name not in self._node.params}
        data = {"id": self._node.id, "params": params, "inputs": inputs}
        try:
            return arrays.dumps(data).encode()
        except ArrayFormatError as error:
            raise CallFailed(str(error), number) from error

    def _values(self, result: SwarmResult) -> list[Any]:
        found = []
        outputs = list(result.agent_outputs.values())
        errors = list(result.agent_errors.values())
        codes = [result.exit_codes.get(int(agent), 0) for agent in result.ids]
        for number, (output, code) in enumerate(zip(outputs, codes, strict=True)):
            if code:
                raise CallFailed(f"exited with code {code}{_said(errors[number])}", number)
            if result.truncated_array[number] and len(output) >= self._node.output_size:
                raise CallFailed(
                    f"wrote more than the {self._node.output_size:,} bytes of its output_size",
                    number,
                )
            try:
                found.append(arrays.loads(output))
            except ArrayFormatError as error:
                message = f"its standard output is {error}{_said(output, ': ')}"
                raise CallFailed(message, number) from error
        return found


def _said(text: bytes, before: str = ": ") -> str:
    """The end of what a program wrote, in one line."""
    shown = text.decode("utf-8", "replace").strip()
    if len(shown) > _SHOWN:
        shown = f"…{shown[-_SHOWN:]}"
    return f"{before}{shown!r}" if shown else ""
