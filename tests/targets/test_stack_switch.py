"""The assembly that switches stacks is for two processors, and others are refused by name."""

from __future__ import annotations

import pytest

from swarmc.errors import TargetError
from swarmc.targets.cpu.stack_switch import switch_stack_assembly


@pytest.mark.parametrize("triple", ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"])
def test_defines_both_ways(triple: str) -> None:
    text = switch_stack_assembly(triple, 24)
    assert 'module asm "swarm_enter:"' in text and 'module asm "swarm_leave:"' in text


def test_other_processors_are_refused() -> None:
    with pytest.raises(TargetError, match="riscv64"):
        switch_stack_assembly("riscv64-unknown-linux-gnu", 24)
