"""What ``swarmc compile --emit`` writes: what one stage makes, for one target."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from ..errors import ArgumentError
from ..ir.module import Module
from ..targets.executable import CompileOptions
from .host_api import HostFunction

if TYPE_CHECKING:
    from ..targets.cuda.resources import Resources

#: Stages that only some targets have.
_TARGETS = {
    "asm": ("cpu",), "ptx": ("cuda", "ptx"), "sass": ("cuda", "ptx"), "resources": ("cuda", "ptx"),
    "cubin": ("cuda", "ptx"),
}  # fmt: skip
_LISTED = 20  # functions of a resource report


def stage_text(
    wasm: bytes, options: CompileOptions, stage: str, users: Sequence[HostFunction] = (), *,
    as_json: bool = False,
) -> str | bytes:  # fmt: skip
    """What a stage makes: ``wat``, ``ir``, ``llvm``, ``asm``, ``ptx``, ``sass`` or ``resources``.

    That is text, but for ``cubin``.

    Raises:
        ArgumentError: the target has no such stage.
        SwarmcError: of the stage that refused the module.
    """
    from .compile import read_module, to_program

    targets = _TARGETS.get(stage)
    if targets is not None and options.target not in targets:
        raise ArgumentError(
            f"target {options.target} has no stage {stage}",
            hint=f"--target {targets[0]} has",
        )
    if as_json and stage != "resources":
        raise ArgumentError("--json is for --emit resources")
    if stage == "wat":
        from ..compiler.wasm.printer import print_wat

        return print_wat(read_module(wasm))
    program = to_program(read_module(wasm), options)
    if stage == "ir":
        from ..ir.printer import print_module

        return print_module(program)
    if options.target == "cpu":
        return _cpu_text(program, options, stage)
    return _cuda_text(program, options, stage, users, as_json=as_json)


def _cpu_text(program: Module, options: CompileOptions, stage: str) -> str:
    from ..targets.cpu import CpuTarget

    target = CpuTarget()
    if stage == "llvm":
        return target.llvm_text(program, options, optimised=False)
    return target.assembly(program, options)


def _cuda_text(
    program: Module, options: CompileOptions, stage: str, users: Sequence[HostFunction], *,
    as_json: bool,
) -> str | bytes:  # fmt: skip
    from ..targets.cuda.arch import DEFAULT_ARCH, find_arch
    from ..targets.cuda.codegen import compile_to_ptx, llvm_text
    from ..targets.cuda.toolchain import assemble, build, disassemble, link
    from .hosts import host_codes

    if stage == "llvm":
        return llvm_text(program, options)
    arch = find_arch(options.arch or DEFAULT_ARCH)
    ptx = compile_to_ptx(program, options, partial(host_codes, users=users))
    if stage == "ptx":
        return ptx
    if stage == "sass":
        made = build(ptx, arch)
        return disassemble(made.cubin or made.code)
    if stage == "cubin":
        cubin = link(assemble(ptx, arch), arch).cubin
        assert cubin is not None
        return cubin
    from ..targets.cuda.resources import measure

    found = measure(ptx, arch, program, options.call_depth)
    if as_json:
        return json.dumps(found.to_json(), indent=1) + "\n"
    return resource_report(found)


def resource_report(found: Resources) -> str:
    """What a program takes of a GPU, for people."""
    made = "assembled and linked" if found.linked else "assembled"
    lines = [
        f"{found.arch}, {made} by {found.assembler} in {found.assembling_ms / 1000:.1f} s:"
        f" {found.ptx:,} bytes of PTX, {found.cubin:,} of machine code",
        "",
        f"registers  {found.registers} a thread",
        f"occupancy  {found.occupancy:.0%}: {found.warps} warps of 32 agents a multiprocessor,"
        f" {found.block} agents a block",
        "stack      no limit: functions of the host call each other in a circle"
        if found.stack is None else f"stack      {found.stack:,} bytes an agent at most, with a"
        f" call depth of {found.call_depth:,}",
        f"memory     {found.constants:,} bytes constant, {found.shared:,} shared,"
        f" {found.globals:,} global",
        "",
        "registers   frame  spill st/ld  function",
    ]
    for function in found.functions[:_LISTED]:
        name = f"{function.symbol}  {function.name}".rstrip()
        spills = f"{function.spill_stores:,}/{function.spill_loads:,}"
        lines.append(f"{function.registers:9}{function.frame:8,}{spills:>13}  {name}")
    if len(found.functions) > _LISTED:
        lines.append(f"{len(found.functions) - _LISTED} more functions")
    return "\n".join(lines) + "\n"
