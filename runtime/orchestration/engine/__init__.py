"""Where attempts at tasks run. The local engine uses threads of this process."""

from .base import Attempt, Engine
from .local import LocalEngine

__all__ = ["Attempt", "Engine", "LocalEngine"]
