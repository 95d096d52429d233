"""Who owns which regions, and how much an agent may own. Guarded by the manager's lock."""

from __future__ import annotations

import numbers

from ....errors import ArgumentError
from .config import MemoryConfig
from .errors import MemoryLimitError
from .region import AgentId, Region
from .stats import AgentUsage


def agent_key(agent: AgentId) -> AgentId:
    """An agent's id as it is kept: a str or an int."""
    if type(agent) is str or type(agent) is int:
        return agent
    if isinstance(agent, str):
        return str(agent)
    if isinstance(agent, numbers.Integral) and not isinstance(agent, bool):
        return int(agent)
    raise ArgumentError(f"an agent's id is a str or an int, not {agent!r}")


class _Account:
    __slots__ = ("regions", "size")

    def __init__(self) -> None:
        self.regions: set[int] = set()
        self.size = 0


class Ledger:
    """Accounts of the agents that own something, and the limits of those that have their own."""

    def __init__(self, config: MemoryConfig) -> None:
        self._config = config
        self._accounts: dict[AgentId, _Account] = {}
        self._limits: dict[AgentId, int | None] = {}

    def limit(self, agent: AgentId) -> int | None:
        """Bytes that an agent may own; None: any number."""
        return self._limits.get(agent, self._config.agent_limit)

    def set_limit(self, agent: AgentId, limit: int | None) -> None:
        self._limits[agent] = limit

    def check(self, agent: AgentId, units: int) -> None:
        """Raise MemoryLimitError if an agent may not own so much more."""
        account, limit = self._accounts.get(agent), self.limit(agent)
        owned = account.size if account else 0
        more = units * self._config.region_size
        if limit is not None and owned + more > limit:
            raise MemoryLimitError(
                f"agent {agent!r} owns {owned:,} bytes, and may own {limit:,}: not {more:,} more",
                hint="free some of its regions, or call set_agent_limit",
            )
        if account is None and len(self._accounts) >= self._config.max_agents:
            raise MemoryLimitError(
                f"{len(self._accounts):,} agents own regions, as many as may: not {agent!r}, too",
                hint="raise max_agents",
            )

    def add(self, region: Region, agent: AgentId) -> None:
        """A region that nobody owns is an agent's now."""
        region.owner = agent
        account = self._accounts.get(agent)
        if account is None:
            account = self._accounts[agent] = _Account()
        account.regions.add(region.id)
        account.size += region.units * self._config.region_size

    def remove(self, region: Region) -> None:
        """A region is nobody's now."""
        if region.owner is None:
            return
        account = self._accounts[region.owner]
        account.regions.remove(region.id)
        account.size -= region.units * self._config.region_size
        if not account.regions:
            del self._accounts[region.owner]
        region.owner = None

    def forget(self, agent: AgentId) -> None:
        """An agent that owns nothing any more does not come back: forget its limit."""
        self._limits.pop(agent, None)

    def owned(self, agent: AgentId) -> list[int]:
        """Ids of an agent's regions, ascending."""
        account = self._accounts.get(agent)
        return sorted(account.regions) if account else []

    def usage(self) -> dict[AgentId, AgentUsage]:
        return {
            agent: AgentUsage(len(account.regions), account.size, self.limit(agent))
            for agent, account in self._accounts.items()
        }
