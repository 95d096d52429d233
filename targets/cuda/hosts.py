"""Host functions in programs for GPUs: their code becomes part of the program."""

from __future__ import annotations

import re
from collections.abc import Sequence

from ...errors import TargetError
from ..base import HostCode
from ..cpu.machine import Compilation
from .arch import Arch
from .machine import nvptx_compilation

_LEVEL = 2

#: What LLVM's back end for GPUs has no code for, or none that is exact.
_INEXACT = re.compile(
    r"@llvm\.((?:a?(?:sin|cos|tan)h?|atan2|sincos(?:pi)?|exp(?:2|10)?|log(?:2|10)?|powi?|ldexp"
    r"|frexp|modf)\.\w+)|= (?:fast )?(frem) "
)

#: Functions of C's library that are one instruction, or a few, whose result is exact.
_EXACT = {
    "sqrt": "sqrt", "fabs": "fabs", "floor": "floor", "ceil": "ceil", "trunc": "trunc",
    "rint": "rint", "round": "round",
}  # fmt: skip

_LIBRARY = "\n".join(
    f"declare {type_} @llvm.{intrinsic}.{short}({type_})\n"
    f"define linkonce_odr {type_} @{name}{suffix}({type_} %x) {{\n"
    f"  %y = call {type_} @llvm.{intrinsic}.{short}({type_} %x)\n  ret {type_} %y\n}}"
    for type_, short, suffix in (("double", "f64", ""), ("float", "f32", "f"))
    for name, intrinsic in _EXACT.items()
)  # fmt: skip

# The program calls swarm_host_N with pointers, a host function takes numbers.
_ADAPTER = """\
define i64 @swarm_host_{number}(ptr %ctx, ptr %slots) nounwind {{
  %a = ptrtoint ptr %ctx to i64
  %b = ptrtoint ptr %slots to i64
  %status = call i64 @"{symbol}"(i64 %a, i64 %b)
  ret i64 %status
}}
"""


def link_hosts(compilation: Compilation, hosts: Sequence[HostCode], arch: Arch) -> None:
    """Put host functions into a program that calls them ``swarm_host_N``, in this order.

    Raises:
        TargetError: one does what there is no code for on GPUs.
    """
    if not hosts:
        return
    unique = {host.symbol: host for host in hosts}
    for host in unique.values():
        compilation.link(_compiled(host, arch))
    adapters = [f'declare i64 @"{symbol}"(i64, i64)' for symbol in unique]
    adapters += [
        _ADAPTER.format(number=number, symbol=host.symbol) for number, host in enumerate(hosts)
    ]
    compilation.link(nvptx_compilation("\n".join(adapters), arch, _LEVEL))
    compilation.hide([*unique, *(f"swarm_host_{number}" for number in range(len(hosts)))])


def _compiled(host: HostCode, arch: Arch) -> Compilation:
    """One host function, optimised by itself: what it calls then is its own."""
    inexact = _INEXACT.search(host.text)
    if inexact is not None:
        what = inexact[1] or "the remainder of floats"
        raise TargetError(
            f"the host function {host.name} needs {what}, which GPUs do not calculate exactly"
        )
    compilation = nvptx_compilation(host.text, arch, _LEVEL)
    compilation.link(nvptx_compilation(_LIBRARY, arch, _LEVEL))
    compilation.optimise()
    for name in compilation.undefined():
        if not name.startswith("llvm."):
            raise TargetError(
                f"the host function {host.name} calls {name}, which there is no code for on GPUs"
            )
    return compilation
