"""The only place that talks to llvmlite's binding: LLVM text to machine code, and into memory."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import llvmlite
import llvmlite.binding as llvm

from ...errors import TargetError
from ..llvm.late_canon import late_canon
from .merge_objects import merge_objects
from .nan_tests import nan_tests_by_bits
from .saturation import saturate_by_vectors

#: Besides LLVM's levels: none of its passes, but instructions and registers chosen well. Takes a
#: quarter of the time of level 1. Code is nearly as fast: what is left out is mostly vectors.
SELECTION_ONLY = 4

#: Switches of LLVM's that are set while it works on code for x86, with LLVM's own values.
#: Strength reduction of loops thinks of 64-bit pointers: of 32-bit addresses and of fuel it makes
#: more running sums than there are registers. The vectoriser of straight lines makes SHA-256
#: slower unless it must expect to gain more than nothing.
_SWITCHES = (("disable-lsr", "true", "false"), ("slp-threshold", "3", "0"))
_switching = threading.Lock()


@functools.cache
def _initialise() -> None:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    llvm.initialize_native_asmparser()  # the prelude contains assembly


@dataclass(frozen=True, slots=True)
class HostMachine:
    """The processor this process runs on, as LLVM names it."""

    triple: str
    cpu: str
    features: str
    data_layout: str
    llvm_version: str


@functools.cache
def host_machine() -> HostMachine:
    """Find out about the processor."""
    _initialise()
    machine = _target_machine(2)
    version = ".".join(str(part) for part in llvm.llvm_version_info)
    return HostMachine(
        llvm.get_process_triple(),
        llvm.get_host_cpu_name(),
        _features(),
        str(machine.target_data),
        f"{version} (llvmlite {llvmlite.__version__})",
    )


def _features() -> str:
    return str(llvm.get_host_cpu_features().flatten())


def _target_machine(level: int) -> llvm.TargetMachine:
    _initialise()
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return target.create_target_machine(
        cpu=llvm.get_host_cpu_name(),
        features=_features(),
        opt=level,
        reloc="pic",  # the default makes every call an indirect one
        codemodel="small",
    )


@contextmanager
def _switched() -> Iterator[None]:
    """Set the switches for a while; they are the process's, and others compile in it, too."""
    with _switching:
        try:
            for name, ours, _ in _SWITCHES:
                llvm.set_option("swarmc", f"-{name}={ours}")
            yield
        finally:
            for name, _, theirs in _SWITCHES:
                llvm.set_option("swarmc", f"-{name}={theirs}")


class Compilation:
    """One LLVM module on its way to machine code.

    Args:
        level: LLVM's level for its passes and, where no machine is given, for selecting
            instructions.
        machine: what it is for; None: this processor.
        inlining: LLVM's threshold for inlining; None: its own.

    Raises:
        TargetError: LLVM refuses the text, which is a bug of the lowering.
    """

    def __init__(
        self,
        text: str,
        level: int,
        machine: llvm.TargetMachine | None = None,
        inlining: int | None = None,
    ) -> None:
        self._machine = _target_machine(level) if machine is None else machine
        self._tuned = machine is None and host_machine().triple.startswith("x86_64")
        self._inlining = inlining
        try:
            self._module = llvm.parse_assembly(text)
        except RuntimeError as error:
            raise TargetError(f"LLVM refused the generated code: {error}") from error
        self._level = level

    def link(self, other: Compilation) -> None:
        """Add another module, which is used up by that."""
        for module in (self._module, other._module):
            module.triple, module.data_layout = self._machine.triple, str(self._machine.target_data)
        self._module.link_in(other._module)

    def hide(self, names: Iterable[str]) -> None:
        """Make functions known to this module alone."""
        for name in names:
            self._module.get_function(name).linkage = "internal"

    def optimise(self) -> None:
        """Run LLVM's own pipeline for the level; none at level 0."""
        if self._level == 0:
            return
        options = llvm.create_pipeline_tuning_options(speed_level=self._level)
        if self._inlining is not None:
            options.inlining_threshold = self._inlining
        options.slp_vectorization = self._tuned and self._level > 1
        builder = llvm.create_pass_builder(self._machine, options)
        with self._switches():
            builder.getModulePassManager().run(self._module, builder)

    def _switches(self) -> AbstractContextManager[None]:
        return _switched() if self._tuned else nullcontext()

    def sink(self) -> None:
        """Move what only one way on needs to where that begins."""
        builder = llvm.create_pass_builder(self._machine, llvm.create_pipeline_tuning_options())
        passes = llvm.create_new_module_pass_manager()
        passes.add_sinking_pass()
        passes.run(self._module, builder)

    def object_code(self) -> bytes:
        with self._switches():
            return bytes(self._machine.emit_object(self._module))

    def assembly(self) -> str:
        with self._switches():
            return str(self._machine.emit_assembly(self._module))

    def undefined(self) -> list[str]:
        """Names of what the module uses but does not define."""
        parts = (*self._module.functions, *self._module.global_variables)
        return [part.name for part in parts if part.is_declaration]

    def text(self) -> str:
        """The module as LLVM IR, in its present state."""
        return str(self._module)


def compile_text(text: str, level: int) -> bytes:
    """LLVM IR to an object file; ``level`` may be :data:`SELECTION_ONLY`."""
    if level == SELECTION_ONLY:
        return Compilation(text, 0, _target_machine(1)).object_code()
    return optimised(text, level).object_code()


def optimised(text: str, level: int) -> Compilation:
    """A module after LLVM's pipeline, and after what this processor needs besides."""
    compilation = Compilation(text, level)
    compilation.optimise()
    if level and ("fcmp uno" in text or "i.sat." in text):
        text = late_canon(compilation.text())
        if host_machine().triple.startswith("x86_64"):
            text = saturate_by_vectors(nan_tests_by_bits(text))
        compilation = Compilation(text, level)
        compilation.sink()
    return compilation


class LoadedCode:
    """Object files in executable memory, until this object is dropped."""

    def __init__(self, objects: tuple[bytes, ...]) -> None:
        # LLVM's own manager of memory takes it in pieces that may lie further from each other
        # than a reference reaches. llvmlite's reserves a single range for each object.
        self._engine = llvm.create_mcjit_compiler(
            llvm.parse_assembly(""), _target_machine(2), use_lmm=True
        )
        merged = llvm.ObjectFileRef.from_data(merge_objects(objects))
        self._engine.add_object_file(merged)
        self._engine.finalize_object()

    def address(self, symbol: str) -> int:
        """Address of a symbol.

        Raises:
            TargetError: the objects do not define it.
        """
        address = int(self._engine.get_function_address(symbol))
        if not address:
            raise TargetError(f"the machine code does not define {symbol}")
        return address
