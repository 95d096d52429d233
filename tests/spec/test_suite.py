"""The specification's 2.0 suite, on the CPU: every command of every script passes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from swarmc.runtime.compile import target_named
from swarmc.runtime.tools.spec import features_of
from swarmc.runtime.tools.spec_script import State, run_script
from swarmc.runtime.tools.wast import Kind, read_script
from swarmc.targets.addressing import MemoryLayout

SUITE = Path(__file__).resolve().parents[3] / "shared" / "spec" / "2.0"
SCRIPTS = sorted(SUITE.rglob("*.wast"))

pytestmark = pytest.mark.skipif(
    not SCRIPTS, reason="the specification's suite is not at ../shared/spec/2.0"
)

#: How many commands there are, as the suite's README says, without and with vectors; actions and
#: registrations besides.
COMMANDS = {
    Kind.MODULE: 1126 + 473, Kind.RETURN: 21453 + 24281, Kind.TRAP: 2388 + 54,
    Kind.EXHAUSTION: 15, Kind.INVALID: 1477 + 669, Kind.MALFORMED: 1300 + 510,
    Kind.UNLINKABLE: 83, Kind.ACTION: 155, Kind.REGISTER: 21 + 1,
}  # fmt: skip

#: Layouts with other cells differ in few places; ``swarmc spec --layout interleaved:4`` runs them.
LAYOUTS = [MemoryLayout.FLAT, MemoryLayout.INTERLEAVED_8]


def test_every_command_is_read() -> None:
    counts: Counter[Kind] = Counter()
    for script in SCRIPTS:
        counts.update(command.kind for command in read_script(script.read_bytes()))
    assert counts == COMMANDS


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
@pytest.mark.parametrize("script", SCRIPTS or [SUITE], ids=lambda path: path.stem)
def test_script(script: Path, layout: MemoryLayout) -> None:
    verdicts = run_script(read_script(script.read_bytes()), target_named("cpu", layout),
                          features=features_of(script))
    wrong = [(v.command.line, v.state.value, v.reason)
             for v in verdicts if v.state is not State.PASSED]
    assert wrong == []
