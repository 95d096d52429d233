"""Which task runs next, and where."""

from .config import SchedulerConfig, SchedulerStats
from .core import Scheduler
from .strategies import AgentSelectionStrategy

__all__ = ["AgentSelectionStrategy", "Scheduler", "SchedulerConfig", "SchedulerStats"]
