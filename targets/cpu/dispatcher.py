"""The parallel loop over workers, in Numba: what :mod:`.launcher` does with plain threads.

Nothing uses it unless it is asked for: ``CpuTarget(run_workers=launch)``. It is one generic kernel
that takes the address of a program's ``swarm_worker``, so Numba compiles it once a machine (and
caches it), never once a program.
"""

from __future__ import annotations

import threading
from typing import Any

import numba
from llvmlite import ir as llvm_ir
from numba.core import types
from numba.extending import intrinsic

_INT64 = llvm_ir.IntType(64)

#: Numba's fall-back threading layer aborts the process when two threads launch at once.
_one_at_a_time = threading.Lock()


def _type_call(typing_context: Any, address: Any, job: Any, worker: Any) -> Any:
    """Call ``void address(job, worker)``."""
    signature = types.void(types.int64, types.int64, types.int64)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        function = llvm_ir.FunctionType(llvm_ir.VoidType(), [_INT64, _INT64])
        pointer = builder.inttoptr(args[0], function.as_pointer())
        builder.call(pointer, [args[1], args[2]])
        return context.get_dummy_value()

    return signature, generate


# Typing it as Any hides the typing context, which Numba supplies, from type checkers.
_call: Any = intrinsic(_type_call)


def _run_workers(address: int, job: int, workers: int) -> None:
    for worker in numba.prange(workers):
        _call(address, job, worker)


def _compile() -> Any:
    options: dict[str, Any] = {"parallel": True, "nogil": True}
    signature = "void(int64, int64, int64)"
    try:
        return numba.njit(signature, cache=True, **options)(_run_workers)
    except RuntimeError:  # there is no directory that Numba could keep it in
        return numba.njit(signature, **options)(_run_workers)


_launch: Any = _compile()


def launch(address: int, job: int, workers: int) -> None:
    """See :data:`.launcher.Launch`; releases the interpreter lock."""
    with _one_at_a_time:
        _launch(address, job, workers)
