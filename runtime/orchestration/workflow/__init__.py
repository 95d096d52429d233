"""Workflows: manifests, and running them. Names are imported when they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...lazy import lazy

if TYPE_CHECKING:
    from .manifest import load_manifest, parse_manifest
    from .result import SymbolResult, WorkflowResult, WorkflowState
    from .run import UnknownWorkflowError, WorkflowRunner
    from .schema import Rollback, Symbol, SymbolContext, SymbolType, WorkflowManifest
    from .tasks import TaskDefaults

__all__ = [
    "Rollback", "Symbol", "SymbolContext", "SymbolResult", "SymbolType", "TaskDefaults",
    "UnknownWorkflowError", "WorkflowManifest", "WorkflowResult", "WorkflowRunner",
    "WorkflowState", "load_manifest", "parse_manifest",
]  # fmt: skip

_HOMES = {
    "Rollback": ".schema",
    "Symbol": ".schema",
    "SymbolContext": ".schema",
    "SymbolResult": ".result",
    "SymbolType": ".schema",
    "TaskDefaults": ".tasks",
    "UnknownWorkflowError": ".run",
    "WorkflowManifest": ".schema",
    "WorkflowResult": ".result",
    "WorkflowRunner": ".run",
    "WorkflowState": ".result",
    "load_manifest": ".manifest",
    "parse_manifest": ".manifest",
}

__getattr__, __dir__ = lazy(__name__, globals(), _HOMES)
