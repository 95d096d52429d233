"""The ordered list of passes.

Every pass runs once or twice, in an order in which each finds what the ones before it uncover;
what LLVM does well by itself is only done as far as it makes the others' work smaller.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..ir.function import Function
from ..ir.module import Module
from ..ir.passes.align_accesses import align_accesses
from ..ir.passes.block_params import block_params
from ..ir.passes.coalesce_fuel import coalesce_fuel
from ..ir.passes.dead_code import dead_code
from ..ir.passes.dead_functions import dead_functions
from ..ir.passes.fold_constants import fold_constants
from ..ir.passes.manager import FunctionPass
from ..ir.passes.nan_canon import nan_canon
from ..ir.passes.redundant_checks import redundant_checks
from ..ir.passes.reroll_loops import reroll_loops
from ..ir.passes.simplify_cfg import simplify_cfg
from ..ir.passes.value_numbering import value_numbering
from ..ir.passes.version_loops import version_loops
from ..ir.types import EntityId
from ..ir.verifier import verify_function

#: Passes of each optimisation level: 0 none, 1 what shortens the way through LLVM most for its
#: time, 2 all.
LEVELS: tuple[tuple[FunctionPass, ...], ...] = (
    (),
    (
        fold_constants,  # addresses become base + constant, for the checks
        value_numbering,  # equal addresses become one value, for the checks
        redundant_checks,
        coalesce_fuel,
    ),
    (
        block_params,  # what every edge passes alike is seen through
        fold_constants,
        value_numbering,
        redundant_checks,
        nan_canon,
        dead_code,
        coalesce_fuel,
        simplify_cfg,  # blocks that held only a charge are empty now
        version_loops,  # what it copies is as small as it gets
        reroll_loops,  # of the copies
    ),
)

#: Passes that make a program larger, for the sake of LLVM's. They come last.
LOOP_PASSES: frozenset[FunctionPass] = frozenset({version_loops, reroll_loops})


def optimise(
    module: Module,
    *,
    verify: bool = False,
    level: int = 2,
    roots: Iterable[EntityId] | None = None,
    align: bool = False,
    loops: Callable[[Module], bool] | None = None,
) -> None:
    """Run the passes over a program, in place.

    Args:
        verify: check the IR between passes (our bug if that fails); for tests.
        level: index into :data:`LEVELS`.
        roots: functions that may be called from outside; None: all exports.
        align: find out how far addresses are aligned, for a target to which that matters.
        loops: asked, when all else is done, whether :data:`LOOP_PASSES` are worth their time;
            None: they are.

    Raises:
        IRError: the IR is not well-formed; only with ``verify``.
    """
    check = verify_function if verify else None
    roots = None if roots is None else list(roots)
    if level:
        dead_functions(module, roots)
    if check is not None:
        for function in module.functions.values():
            check(function, module)
    _run([run for run in LEVELS[level] if run not in LOOP_PASSES], module, check)
    last = [run for run in LEVELS[level] if run in LOOP_PASSES]
    if last and (loops is None or loops(module)):
        _run(last, module, check)
    if align:
        align_accesses(module, roots)


def _run(passes: list[FunctionPass], module: Module,
         check: Callable[[Function, Module], None] | None) -> None:
    for function in module.functions.values():
        for run in passes:
            run(function, module)
            if check is not None:
                check(function, module)
