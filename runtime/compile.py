"""From the bytes of a module to an executable: the one list of stages, and the cache before it."""

from __future__ import annotations

import gc
import hashlib
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Literal

from ..ir import module as ir
from ..ir.types import EntityId, FuncType
from ..targets.base import HostCode, Target
from ..targets.executable import CompileOptions, Effort, Executable, FunctionSpan, HostImport
from .cache import Cache, cache_key
from .choosing import target_named
from .entry_points import no_such_function

if TYPE_CHECKING:
    from ..compiler.wasm.module import Module
    from .host_api import HostFunction

Progress = Callable[[str, float], None]

_NO_TYPE = FuncType((), ())


def compile_wasm(
    wasm: bytes,
    options: CompileOptions,
    *,
    target: Target | None = None,
    cache: Cache | None = None,
    progress: Progress | None = None,
    users: Sequence[HostFunction] = (),
    trace: bool = False,
) -> Executable:
    """Compile a module, or take what an earlier compilation left in the cache.

    Args:
        users: the user's host functions, of which ``options`` names those that may be imported.
        target: an instance of ``options.target``; None: make one.
        progress: called with the name of a stage and how much of it is done, 0.0 to 1.0.
        trace: whether host functions that the program contains are to note how they are called.

    Raises:
        SwarmcError: DecodeError, ValidationError, UnsupportedFeatureError, LinkError … of the
            stage that refused the module.
    """
    target = target or target_named(options.target)
    options = resolved(options, target)
    key = program_key(wasm, options, target) if cache else ""
    trace = trace and target.embeds_hosts
    if target.embeds_hosts and (users or trace):
        key, cache = _with_hosts(key, cache, users, trace)
    if cache:
        found = cache.get(key)
        if found is not None and not (found.provisional and options.patient):
            return found
    with collector_paused():
        module = read_module(wasm, progress)
        program, options = _optimised(module, options, progress)
        codes = partial(_host_codes, users=users, cache=cache, trace=trace)
        executable = target.compile(program, options, progress, codes)
        executable = replace(
            executable, spans=function_spans(module), command=is_command(module), traced=trace
        )
    if cache:
        cache.put(key, executable)
    return executable


def _host_codes(
    imports: Sequence[HostImport], *, users: Sequence[HostFunction], cache: Cache | None,
    trace: bool,
) -> Sequence[HostCode]:
    from .hosts import host_codes  # most programs on the CPU never ask

    return host_codes(imports, users=users, cache=cache, trace=trace)


def _with_hosts(
    key: str, cache: Cache | None, users: Sequence[HostFunction], trace: bool
) -> tuple[str, Cache | None]:
    """Key of a program that contains the user's functions; no cache if nothing tells them apart."""
    from .hosts import implementations

    found = implementations(users)
    if found is None:
        return "", None
    parts = [key, *sorted(found), *(["traced"] if trace else [])]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest(), cache


def program_key(wasm: bytes, options: CompileOptions, target: Target) -> str:
    """Key of a program in the cache; what patience makes takes the provisional one's place."""
    names = options.entry_points
    settings = replace(
        resolved(options, target), entry_points=names and tuple(sorted(set(names))), patient=False
    )
    return cache_key(wasm, settings, target.fingerprint() + target.tools())


def resolved(options: CompileOptions, target: Target) -> CompileOptions:
    """Options with what they leave to the target."""
    return replace(
        options, layout=options.layout or target.layout, arch=options.arch or target.arch
    )


def read_module(wasm: bytes, progress: Progress | None = None) -> Module:
    """Decode and validate."""
    # A program that comes from the cache needs neither this nor the rest of the compiler.
    from ..compiler.wasm.decoder import decode
    from ..compiler.wasm.validator import validate

    report = progress or _silent
    report("decode", 0.0)
    module = decode(wasm)
    report("validate", 0.0)
    validate(module)
    return module


def _optimised(
    module: Module, options: CompileOptions, progress: Progress | None
) -> tuple[ir.Module, CompileOptions]:
    """A valid module as IR, and options that say how well it is to be optimised further."""
    if options.target != "cpu" or options.patient or options.opt_level is not None:
        return to_program(module, options, progress), options
    from ..targets.cpu.target import effort_for

    effort = Effort.FULL

    def at_length(program: ir.Module) -> bool:
        nonlocal effort
        effort = effort_for(program)
        return effort is Effort.FULL

    program = to_program(module, options, progress, at_length)
    return program, replace(options, effort=effort)


def to_program(
    module: Module,
    options: CompileOptions,
    progress: Progress | None = None,
    loops: Callable[[ir.Module], bool] | None = None,
) -> ir.Module:
    """Translate a valid module to IR, and optimise it; ``loops`` is that of ``optimise``."""
    from ..compiler.frontend.translate import translate
    from ..compiler.pipeline import optimise
    from .hosts import is_known

    report = progress or _silent
    report("translate", 0.0)
    missing: Literal["error", "trap"] = "trap" if options.missing_imports == "trap" else "error"
    known = partial(is_known, users=options.host_functions)
    program = translate(module, missing_imports=missing, known_host=known, heap=options.heap)
    choose_exports(program, options.entry_points)
    initialise = find_initialise(module, program)
    if initialise is not None:
        program.starts.append(initialise)
    report("optimise", 0.0)
    level = 2 if options.opt_level is None else min(options.opt_level, 2)
    optimise(program, level=level, align=level > 0 and options.tests_alignment, loops=loops)
    return program


_pausing = threading.Lock()
_pauses = 0
_was_enabled = True


@contextmanager
def collector_paused() -> Iterator[None]:
    """Keep Python's cyclic garbage collector from running while a program is built.

    A program is millions of objects that all live; looking through them again and again takes a
    third of the front end's time and finds nothing.
    """
    global _pauses, _was_enabled
    with _pausing:
        if _pauses == 0:
            _was_enabled = gc.isenabled()
        _pauses += 1
        gc.disable()
    try:
        yield
    finally:
        with _pausing:
            _pauses -= 1
            if _pauses == 0 and _was_enabled:
                gc.enable()


def _silent(stage: str, done: float) -> None:
    pass


def choose_exports(program: ir.Module, entry_points: tuple[str, ...] | None) -> None:
    """Drop exported functions that are no entry points; None keeps all.

    Raises:
        ArgumentError: an entry point is not exported.
    """
    if entry_points is None:
        return
    names = [export.name for export in program.function_exports()]
    for name in entry_points:
        if name not in names:
            raise no_such_function(name, names)
    program.exports = [
        export
        for export in program.exports
        if export.kind != "func" or export.name in entry_points
    ]


def is_command(module: Module) -> bool:
    """Whether a module is a WASI command: it exports ``_start`` of type () -> ()."""
    return _exported_of_no_type(module, "_start") is not None


def find_initialise(module: Module, program: ir.Module) -> EntityId | None:
    """``_initialize`` of a WASI reactor, which runs before anything else of an agent."""
    if is_command(module):
        return None
    index = _exported_of_no_type(module, "_initialize")
    return None if index is None else EntityId(0, index)


def _exported_of_no_type(module: Module, name: str) -> int | None:
    imported = module.imported("func")
    for export in module.exports:
        if export.kind == "func" and export.name == name:
            own = export.index - len(imported)
            type_index = imported[export.index].type if own < 0 else module.func_types[own]
            assert isinstance(type_index, int)
            return export.index if module.func_type(type_index).plain() == _NO_TYPE else None
    return None


def function_spans(module: Module) -> tuple[FunctionSpan, ...]:
    """Where each function's code lies, with its name for people."""
    from ..compiler.frontend.names import spans

    return tuple(FunctionSpan(*span) for span in spans(module))
