"""wasmtime in the benchmark: an instance per agent, driven by a Python thread per core."""

from __future__ import annotations

import ctypes
import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from ...errors import SwarmcError
from .bench_engines import FUEL, Lap, Session
from .bench_threads import open_pool, run_in_all
from .bench_workloads import ENTRY, Seeds, Workload
from .oracle import load_wasmtime

WASMTIME = "wasmtime"
WASMTIME_FUEL = "wasmtime+fuel"


class WasmtimeEngine:
    """wasmtime as it is by default, so optimising, with or without fuel."""

    def __init__(self, *, fuel: bool) -> None:
        self.name = WASMTIME_FUEL if fuel else WASMTIME
        self._fuel = fuel

    def open(self, workload: Workload, capacity: int) -> Session:
        """See :class:`~.bench_engines.Engine`."""
        return _Instances(workload, self._fuel)


class _Instances:
    def __init__(self, workload: Workload, fuel: bool) -> None:
        self._wasmtime = wasmtime = load_wasmtime()
        self._size = workload.bench.size
        self._fuel = fuel
        config = wasmtime.Config()
        config.consume_fuel = fuel
        self._engine = wasmtime.Engine(config)
        module = wasmtime.Module(self._engine, workload.wasm)
        self._prepared = wasmtime.Linker(self._engine).instantiate_pre(module)
        self._pool: ThreadPoolExecutor = open_pool()
        self._settled: list[_Settled] = []

    def fresh(self, seeds: Seeds) -> Lap:
        """With wasmtime's Python API, as its users would."""
        values = seeds.tolist()

        def run(number: int) -> int:
            store = self._store()
            function = self._prepared.instantiate(store).exports(store)[ENTRY]
            result: int = function(store, values[number], self._size)
            return result

        return self._lap(len(values), run)

    def settle(self, seeds: Seeds) -> None:
        self._settled = []
        for seed in seeds.tolist():
            store = self._store()
            function = self._prepared.instantiate(store).exports(store)[ENTRY]
            self._settled.append(
                _Settled(self._wasmtime._ffi, store, function, seed, self._size))
        self.again()

    def again(self) -> Lap:
        """With the quickest call of wasmtime's C API: the Python one takes some 30 microseconds."""
        settled = self._settled
        if self._fuel:
            for agent in settled:
                agent.store.set_fuel(FUEL)
        return self._lap(len(settled), lambda number: settled[number].call())

    def _store(self) -> Any:
        store = self._wasmtime.Store(self._engine)
        if self._fuel:
            store.set_fuel(FUEL)
        return store

    def _lap(self, count: int, run: Callable[[int], int]) -> Lap:
        results = np.zeros(count, np.int64)
        numbers = itertools.count()  # drawing from it is atomic

        def work() -> None:
            for number in numbers:
                if number >= count:
                    return
                results[number] = run(number)

        start = time.perf_counter()
        run_in_all(self._pool, work)
        return Lap((time.perf_counter() - start) * 1000, results)

    def close(self) -> None:
        self._settled = []
        self._pool.shutdown()


class _Settled:
    """An instance, and a call of it without conversions."""

    __slots__ = ("_arguments", "_call", "_seed", "_size", "_trap", "_values", "store")

    def __init__(self, ffi: Any, store: Any, function: Any, seed: int, size: int) -> None:
        self.store = store
        self._seed, self._size = seed, size
        self._values = (ffi.wasmtime_val_raw_t * 2)()
        self._trap = ctypes.POINTER(ffi.wasm_trap_t)()
        self._call = ffi.wasmtime_func_call_unchecked
        self._arguments = (store._context(), ctypes.byref(function._func), self._values, 2,
                           ctypes.byref(self._trap))

    def call(self) -> int:
        """Run the agent; its result."""
        values = self._values
        values[0].i32, values[1].i32 = self._seed, self._size
        if self._call(*self._arguments) or self._trap:
            raise SwarmcError("an agent of a workload trapped in wasmtime")
        return int(values[0].i64)
