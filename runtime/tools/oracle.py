"""The oracle: runs a module on wasmtime and reports bits, state, traps and fuel.

Values pass through wasmtime's C API rather than its Python wrappers, which quieten signalling
NaNs and refuse v128. The version is pinned, because fuel costs and that API change with it.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import tempfile
from collections.abc import Sequence
from ctypes import byref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...compiler.wasm.decoder import decode
from ...compiler.wasm.features import SUPPORTED
from ...compiler.wasm.module import Module
from ...errors import TargetError
from ...ir.module import PAGE_SIZE
from ...ir.types import FuncType, Trap, Type
from ...targets.layout import DEFAULT_HEADROOM, TABLE_HEADROOM
from .execution import (
    SOME_FUNCTION,
    SOME_INSIDE,
    UNLIMITED,
    AgentRun,
    Call,
    Loaded,
    Outcome,
    Rejected,
    Script,
    Setup,
    State,
    Workload,
)
from .oracle_log import OracleLog
from .oracle_traps import refine, trap_codes

if TYPE_CHECKING:
    import wasmtime

WASMTIME_VERSION = "50.0.1"

#: Proposals whose names in wasmtime's configuration are not their own.
_NAMES = {"exceptions": "exception-handling"}
#: Proposals that wasmtime can do without (it always has extended constants).
_PROPOSALS = (
    "threads", "tail_call", "relaxed_simd", "multi_memory", "memory64", "exceptions",
    "function_references", "gc", "wide_arithmetic", "custom_page_sizes", "stack_switching",
    "component_model",
)

_NULL_STORE = 0
_INT_KINDS = (0, 1)
_MASKS = {0: 0xFFFF_FFFF, 1: (1 << 64) - 1, 2: 0xFFFF_FFFF, 3: (1 << 64) - 1}
_V128, _FUNCREF, _EXTERNREF, _EXNREF = 4, 5, 6, 8
_KINDS = {Type.I32: 0, Type.I64: 1, Type.F32: 2, Type.F64: 3, Type.V128: _V128,
          Type.FUNCREF: _FUNCREF, Type.EXTERNREF: _EXTERNREF, Type.EXNREF: _EXNREF}


def load_wasmtime() -> Any:
    """The wasmtime package.

    Raises:
        TargetError: it is not installed, or is another version than the pinned one.
    """
    hint = f"pip install wasmtime=={WASMTIME_VERSION} (it comes with swarmc[test])"
    try:
        version = importlib.metadata.version("wasmtime")
    except importlib.metadata.PackageNotFoundError:
        raise TargetError("this test needs wasmtime", hint=hint) from None
    if version != WASMTIME_VERSION:
        raise TargetError(
            f"this test is pinned to wasmtime {WASMTIME_VERSION}, as fuel costs "
            f"differ between versions; {version} is installed", hint=hint)
    import wasmtime

    return wasmtime


def same_features(config: wasmtime.Config) -> wasmtime.Config:
    """Switch those proposals on that swarmc has, so that accepting and refusing agrees."""
    for proposal in _PROPOSALS:
        name = _NAMES.get(proposal, proposal.replace("_", "-"))
        setattr(config, f"wasm_{proposal}", name in SUPPORTED)
    return config


class Oracle:
    """wasmtime, with the features and the determinism that swarmc has.

    Args:
        optimise: compile with Cranelift's optimisations, for long runs.
    """

    name = "wasmtime"

    def __init__(self, *, optimise: bool = False) -> None:
        self._wasmtime = load_wasmtime()
        self._ffi = self._wasmtime._ffi
        config = self._wasmtime.Config()
        config.consume_fuel = True
        config.cranelift_nan_canonicalization = True
        config.wasm_relaxed_simd_deterministic = True
        config.parallel_compilation = False
        # Explicit checks: a load that is folded into its user would trap at the user's offset.
        config.signals_based_traps = False
        config.cranelift_opt_level = "speed" if optimise else "none"
        self._engine = self._wasmtime.Engine(same_features(config))
        self._traps = trap_codes(self._wasmtime)

    def rejects(self, data: bytes) -> str | None:
        """Why wasmtime refuses the module; None if it is valid."""
        try:
            self._wasmtime.Module.validate(self._engine, data)
        except self._wasmtime.WasmtimeError as error:
            return str(error)
        return None

    def load(self, data: bytes, setup: Setup) -> Loaded:
        """Compile and link a module; see :class:`~.execution.Executor`."""
        return _Compiled(self, data, setup)


class _Compiled:
    """A module compiled by wasmtime, linked, and what is known of its exports."""

    def __init__(self, oracle: Oracle, data: bytes, setup: Setup) -> None:
        wasmtime = oracle._wasmtime
        self.oracle, self.ffi, self.data, self.setup = oracle, oracle._ffi, data, setup
        try:
            self._module = wasmtime.Module(oracle._engine, data)
        except wasmtime.WasmtimeError as error:
            raise Rejected(str(error), "validate") from None
        self.wasi = any(item.module.startswith("wasi_") for item in self._module.imports)
        self.outline = decode(data)
        self.numbers = {e.name: e.index for e in self.outline.exports if e.kind == "func"}
        self.types = {name: function_type(self.outline, n) for name, n in self.numbers.items()}
        self.limits = self._limits()
        self.log = OracleLog(oracle._ffi, self._module, self.outline)
        self._linker = self._link()
        # Imported memories, tables and globals belong to a store, so each has its own linker.
        self._prepared = None
        if setup.missing_imports == "error" or all(i.kind == "func" for i in self.outline.imports):
            try:
                self._prepared = self._linker.instantiate_pre(self._module)
            except wasmtime.WasmtimeError as error:
                raise Rejected(str(error), "link") from None

    def _link(self) -> Any:
        linker = self.oracle._wasmtime.Linker(self.oracle._engine)
        if self.wasi:
            linker.define_wasi()
        self.log.define(linker)
        if self.setup.missing_imports == "trap":
            linker.define_unknown_imports_as_traps(self._module)
        return linker

    def instantiate(self, store: Any) -> Any:
        """A new instance; what is imported but no function is its own, zeroed."""
        if self._prepared is not None:
            return self._prepared.instantiate(store)
        linker = self._link()
        linker.define_unknown_imports_as_default_values(store, self._module)
        return linker.instantiate(store, self._module)

    def _limits(self) -> dict[str, int]:
        """Growth limits as swarmc plans them, for one memory and tables of one minimum size."""
        limits = {}
        for memory in self.outline.memory_types():
            minimum = memory.limits.minimum * PAGE_SIZE
            limit = self.setup.max_memory
            limit = minimum + DEFAULT_HEADROOM if limit is None else limit
            limits["memory_size"] = max(minimum, limit // PAGE_SIZE * PAGE_SIZE)
        for table in self.outline.table_types():
            limit = table.limits.minimum + TABLE_HEADROOM
            limits["table_elements"] = max(limits.get("table_elements", 0), limit)
        return limits

    def run(self, workload: Workload) -> Sequence[AgentRun]:
        """Run every script on an instance of its own."""
        runs = []
        with tempfile.TemporaryDirectory(prefix="swarmc-oracle-") as folder:
            for script in workload.scripts:
                instance = _Instance(self, script, Path(folder))
                outcomes = [instance.call(call, workload.fuel) for call in script.calls]
                runs.append(AgentRun(outcomes, instance.state()))
        return runs


class _Instance:
    """One instance in a store of its own.

    Args:
        folder: for the files that its output goes to. Callbacks would come from threads of
            wasmtime's, which abort the process if they do so while Python shuts down.
    """

    def __init__(self, module: _Compiled, script: Script, folder: Path) -> None:
        self.module, self.ffi = module, module.ffi
        wasmtime = module.oracle._wasmtime
        self.store = wasmtime.Store(module.oracle._engine)
        self.context = self.store._context()
        if module.limits:
            self.store.set_limits(**module.limits)
        self.store.set_fuel(UNLIMITED)
        self.stdout, self.stderr = folder / "stdout", folder / "stderr"
        self.logged = b""
        module.log.take()
        if module.wasi:
            self.store.set_wasi(self._wasi(script))
        try:
            self.instance = module.instantiate(self.store)
        except wasmtime.Trap as trap:
            raise Rejected(str(trap), "instantiate") from None
        except wasmtime.WasmtimeError as error:
            if "unknown import" not in str(error):
                raise
            raise Rejected(str(error), "instantiate") from None  # the start function called it
        self.items = dict(self.instance.exports(self.store))
        self.by_address = {
            _address(self.items[name]._func): number for name, number in module.numbers.items()
        }
        self._initialize(script)

    def _initialize(self, script: Script) -> None:
        if "_initialize" in self.items and "_start" not in self.items:
            self.invoke("_initialize", ())
        if script.memory:
            wasmtime = self.module.oracle._wasmtime
            memory = next(i for i in self.items.values() if isinstance(i, wasmtime.Memory))
            memory.write(self.store, script.memory, 0)

    def _wasi(self, script: Script) -> Any:
        config = self.module.oracle._wasmtime.WasiConfig()
        config.argv = list(script.argv)
        config.env = list(script.environ)
        config.stdout_file = str(self.stdout)
        config.stderr_file = str(self.stderr)
        vec = self.ffi.bytes_to_capi(script.stdin)
        self.ffi.wasi_config_set_stdin_bytes(config.ptr(), byref(vec))
        return config

    def call(self, call: Call, budget: int) -> Outcome:
        """Call an export with a budget of its own."""
        self.store.set_fuel(budget)
        outcome = self.invoke(call.entry, call.args)
        self.logged += self.module.log.take()
        if outcome.trap is not None:
            return outcome
        used = budget - self.store.get_fuel()
        return Outcome(outcome.results, exit_code=outcome.exit_code, fuel=used)

    def invoke(self, entry: str, args: tuple[int, ...]) -> Outcome:
        ffi = self.ffi
        func = self.items[entry]
        type_ = self.module.types[entry]
        params = [_KINDS[t] for t in type_.params]
        results = (ffi.wasmtime_val_t * len(type_.results))()
        values = (ffi.wasmtime_val_t * len(params))()
        for value, kind, bits in zip(values, params, args, strict=True):
            self._to_value(value, kind, bits)
        trap = ctypes.POINTER(ffi.wasm_trap_t)()
        error = ffi.wasmtime_func_call(self.context, byref(func._func), values, len(values),
                                       results, len(results), byref(trap))
        for value in values:
            ffi.wasmtime_val_unroot(byref(value))
        if error:
            return self._error(self.module.oracle._wasmtime.WasmtimeError._from_ptr(error))
        if trap:
            return self._trap(self.module.oracle._wasmtime.Trap._from_ptr(trap))
        return Outcome(tuple(self._bits(value) for value in results))

    def _error(self, error: Any) -> Outcome:
        if isinstance(error, self.module.oracle._wasmtime.ExitTrap):
            return Outcome(exit_code=error.code)
        if "unknown import" in str(error):
            return Outcome(trap=Trap.MISSING_IMPORT)
        if "GC heap out of memory" in str(error):
            return Outcome(trap=Trap.HEAP_EXHAUSTED)
        raise error

    def _trap(self, trap: wasmtime.Trap) -> Outcome:
        code = trap.trap_code
        if code is None and "thrown Wasm exception" in str(trap):
            return Outcome(trap=Trap.UNCAUGHT_EXCEPTION, offset=trap.frames[0].module_offset)
        if code is None:
            return Outcome(trap=Trap.HOST)
        kind = self.module.oracle._traps[code]
        offset = None
        if kind is not Trap.CALL_STACK_EXHAUSTED:
            offset = trap.frames[0].module_offset
            if kind is Trap.OUT_OF_FUEL:
                offset = self._function_start(offset)
            else:
                kind = refine(kind, self.module.data, offset)
        return Outcome(trap=kind, offset=offset)

    def _function_start(self, offset: int) -> int:
        """The first instruction of the function before whose body ``offset`` lies, else ``offset``.

        At a function's entry wasmtime names its last declaration of locals, or its size.
        """
        for func in self.module.outline.funcs:
            if offset < func.end:
                return max(offset, func.body.offsets[0])
        return offset

    def _to_value(self, value: Any, kind: int, bits: int) -> None:
        value.kind = kind
        if kind in _INT_KINDS:
            value.of.i64 = ctypes.c_int64(bits).value
        elif kind == _V128:
            value.of.v128 = self.ffi.wasmtime_v128(*bits.to_bytes(16, "little"))
        elif kind == _EXTERNREF:
            if bits:
                self.ffi.wasmtime_externref_new(self.context, bits, _NO_FINALIZER,
                                                byref(value.of.externref))
            else:
                value.of.externref.store_id = _NULL_STORE
        elif kind == _FUNCREF:
            assert bits == 0, "only null can be passed for a funcref"
            value.of.funcref.store_id = _NULL_STORE
        elif kind == _EXNREF:
            assert bits == 0, "only null can be passed for an exnref"
            value.of.exnref.store_id = _NULL_STORE
        else:
            value.of.i64 = ctypes.c_int64(bits).value  # a float's bits, as they are

    def _bits(self, value: Any) -> int:
        kind = value.kind
        if kind == _V128:
            return int.from_bytes(bytes(value.of.v128), "little")
        if kind == _FUNCREF:
            if value.of.funcref.store_id == _NULL_STORE:
                return 0
            return self.by_address.get(_address(value.of.funcref), SOME_FUNCTION - 1) + 1
        if kind == _EXTERNREF:
            if value.of.externref.store_id == _NULL_STORE:
                return 0
            handle = self.ffi.wasmtime_externref_data(self.context, byref(value.of.externref))
            self.ffi.wasmtime_val_unroot(byref(value))
            return int(handle or SOME_INSIDE)
        if kind == _EXNREF:
            null = value.of.exnref.store_id == _NULL_STORE
            self.ffi.wasmtime_val_unroot(byref(value))
            return 0 if null else SOME_FUNCTION
        return int(value.of.i64) & _MASKS[kind]

    def state(self) -> State:
        """Everything that is exported, and the output."""
        state = State(stdout=self.logged)
        if self.module.wasi:
            state.stdout, state.stderr = self.stdout.read_bytes(), self.stderr.read_bytes()
        wasmtime, store, value = self.module.oracle._wasmtime, self.store, self.ffi.wasmtime_val_t()
        for name, item in self.items.items():
            if isinstance(item, wasmtime.Memory):
                state.memories[name] = ctypes.string_at(
                    self.ffi.wasmtime_memory_data(self.context, byref(item._memory)),
                    item.data_len(store))
            elif isinstance(item, wasmtime.Global):
                self.ffi.wasmtime_global_get(self.context, byref(item._global), byref(value))
                state.globals[name] = self._bits(value)
            elif isinstance(item, wasmtime.Table):
                state.tables[name] = self._table(item)
        return state

    def _table(self, table: Any) -> tuple[int, ...]:
        value = self.ffi.wasmtime_val_t()
        handles = []
        for index in range(table.size(self.store)):
            self.ffi.wasmtime_table_get(self.context, byref(table._table), index, byref(value))
            handles.append(self._bits(value))
        return tuple(handles)


_NO_FINALIZER = ctypes.cast(0, ctypes.CFUNCTYPE(None, ctypes.c_void_p))


def _address(func: Any) -> int:
    return int(getattr(func, "__private") or 0)


def function_type(module: Module, index: int) -> FuncType:
    """Type of a function by its index; imported functions come first."""
    imports = [item.type for item in module.imported("func")]
    number = imports[index] if index < len(imports) else module.func_types[index - len(imports)]
    assert isinstance(number, int)
    return module.func_type(number).lowered()
