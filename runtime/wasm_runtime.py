"""One instance of a module, or the door to a swarm of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

from ..errors import SwarmStateError, TrapError
from ..ir.types import FuncType
from .inputs import Argv, Data, Env
from .manager import SwarmManager
from .results import SwarmResult

__all__ = ["WASMRuntime"]


class WASMRuntime:
    """A loaded module: with ``swarm_mode`` a :attr:`swarm`, else one instance of it.

    The instance keeps memory, globals and tables from one call to the next; a WASI command starts
    afresh at every call of ``_start``.

    Attributes:
        result: of the last call; None before the first.
    """

    def __init__(self, swarm: SwarmManager, *, swarm_mode: bool) -> None:
        self._swarm = swarm
        self._swarm_mode = swarm_mode
        self._agent = -1 if swarm_mode else swarm.spawn_agent()
        self.result: SwarmResult | None = None

    @classmethod
    def from_wasm(cls, wasm_bytes: Data, swarm_mode: bool = False, **options: Any) -> Self:
        """Load a module; the options are those of :class:`~.manager.SwarmManager`."""
        if not swarm_mode:
            options.setdefault("max_agents", 1)
        return cls(SwarmManager.from_wasm(wasm_bytes, **options), swarm_mode=swarm_mode)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the memory back."""
        self._swarm.close()

    @property
    def swarm(self) -> SwarmManager:
        """The swarm of a runtime in swarm mode.

        Raises:
            RuntimeError: the runtime has one instance only.
        """
        if not self._swarm_mode:
            raise SwarmStateError("this runtime has one instance", hint="pass swarm_mode=True")
        return self._swarm

    @property
    def functions(self) -> dict[str, FuncType]:
        """Name and type of every exported function."""
        return self._swarm.functions

    def _instance(self) -> int:
        if self._swarm_mode:
            raise SwarmStateError("this runtime holds a swarm", hint="spawn agents of .swarm")
        return self._agent

    def call(
        self,
        name: str | None = None,
        *args: Any,
        stdin: Data | None = None,
        argv: Argv | None = None,
        env: Env | None = None,
        fuel: int | None = None,
    ) -> Any:
        """Call an exported function and return its result: None, a value, or a tuple.

        Args:
            name: None: ``_start``, else ``main``, else the only exported function.

        Raises:
            ArgumentError: there is no such function, or an argument is wrong.
            TrapError: it trapped.
        """
        agent = self._instance()
        values: Sequence[Any] | None = list(args) or None
        # A list of one row, so that an argument that is itself a sequence is not taken for rows.
        rows = None if values is None else [values]
        result = self._swarm.dispatch(
            [agent], name, rows, stdin=stdin, argv=argv, env=env, fuel=fuel
        )
        self.result = result
        trap = result.traps.get(agent)
        if trap is not None:
            raise TrapError(
                trap.message, code=int(trap.code), offset=trap.offset, function=trap.function
            )
        return result.agent_results[agent]

    @property
    def output(self) -> bytes:
        """What the last call wrote to standard output."""
        return b"" if self.result is None else self.result.agent_outputs[self._agent]

    @property
    def errors(self) -> bytes:
        """What the last call wrote to standard error."""
        return b"" if self.result is None else self.result.agent_errors[self._agent]

    @property
    def exit_code(self) -> int | None:
        """Exit code of the last call; None if it did not end as a command does."""
        return None if self.result is None else self.result.exit_codes.get(self._agent)

    @property
    def instructions(self) -> int:
        """Instructions that the last call executed."""
        return 0 if self.result is None else self.result.instruction_counts[self._agent]

    @property
    def memory_size(self) -> int:
        """Bytes of memory at the moment."""
        return self._swarm.memory_size(self._instance())

    def read_memory(
        self, offset: int = 0, length: int | None = None, *, memory: int | str = 0
    ) -> bytes:
        """Bytes of memory; ``length`` None: from ``offset`` to the end."""
        return self._swarm.get_agent_memory(self._instance(), offset, length, memory=memory)

    def write_memory(self, data: Data, offset: int = 0, *, memory: int | str = 0) -> None:
        """Overwrite bytes of memory."""
        self._swarm.set_agent_memory(self._instance(), data, offset, memory=memory)

    def get_global(self, name: str) -> Any:
        """Value of an exported global."""
        return self._swarm.get_agent_global(self._instance(), name)

    def set_global(self, name: str, value: Any) -> None:
        """Set an exported, mutable global."""
        self._swarm.set_agent_global(self._instance(), name, value)

    def reset(self) -> None:
        """Put the instance back to how it was loaded."""
        self._swarm.reset_agent(self._instance())
