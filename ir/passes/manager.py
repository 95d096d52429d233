"""The passes by name.

A function pass takes a function and its module, and edits the function only; a module pass takes
the module. Both say whether they changed anything. They expect IR that verifies, and leave such IR
behind, without blocks that nothing reaches.
"""

from __future__ import annotations

from collections.abc import Callable

from ..function import Function
from ..module import Module
from .align_accesses import align_accesses
from .block_params import block_params
from .coalesce_fuel import coalesce_fuel
from .dead_code import dead_code
from .dead_functions import dead_functions
from .fold_constants import fold_constants
from .nan_canon import nan_canon
from .redundant_checks import redundant_checks
from .reroll_loops import reroll_loops
from .simplify_cfg import simplify_cfg
from .value_numbering import value_numbering
from .version_loops import version_loops

FunctionPass = Callable[[Function, Module], bool]
ModulePass = Callable[[Module], bool]

#: Function passes by the name that filetests and the command line use.
PASSES: dict[str, FunctionPass] = {
    "block-params": block_params,
    "coalesce-fuel": coalesce_fuel,
    "dead-code": dead_code,
    "fold-constants": fold_constants,
    "nan-canon": nan_canon,
    "redundant-checks": redundant_checks,
    "reroll-loops": reroll_loops,
    "simplify-cfg": simplify_cfg,
    "value-numbering": value_numbering,
    "version-loops": version_loops,
}

#: Module passes by name; entry points are all exports and start functions.
MODULE_PASSES: dict[str, ModulePass] = {
    "align-accesses": align_accesses,
    "dead-functions": dead_functions,
}
