"""The specification's suites, on the CPU: every command passes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from swarmc.runtime.choosing import target_named
from swarmc.runtime.tools.spec import features_of
from swarmc.runtime.tools.spec_script import State, run_script
from swarmc.runtime.tools.wast import Kind, read_script

SUITE = Path(__file__).resolve().parents[3] / "shared" / "spec"
SCRIPTS = [script for version in ("2.0", "3.0")
           for script in sorted((SUITE / version).rglob("*.wast"))]

pytestmark = pytest.mark.skipif(
    not SCRIPTS, reason="the specification's suite is not at ../shared/spec"
)

#: How many commands there are, as the suite's README says (2.0: without and with vectors); actions
#: and registrations besides.
COMMANDS = {
    "2.0": {
        Kind.MODULE: 1126 + 473, Kind.RETURN: 21453 + 24281, Kind.TRAP: 2388 + 54,
        Kind.EXHAUSTION: 15, Kind.INVALID: 1477 + 669, Kind.MALFORMED: 1300 + 510,
        Kind.UNLINKABLE: 83, Kind.ACTION: 155, Kind.REGISTER: 21 + 1,
    },
    "3.0": {
        Kind.MODULE: 2232, Kind.RETURN: 52686, Kind.TRAP: 4974, Kind.EXHAUSTION: 15,
        Kind.INVALID: 2709, Kind.MALFORMED: 1940, Kind.UNLINKABLE: 200, Kind.EXCEPTION: 18,
        Kind.ACTION: 345, Kind.REGISTER: 80,
    },
}  # fmt: skip


@pytest.mark.parametrize("version", COMMANDS)
def test_every_command_is_read(version: str) -> None:
    counts: Counter[Kind] = Counter()
    for script in SCRIPTS:
        if version in script.parts:
            counts.update(command.kind for command in read_script(script.read_bytes()))
    assert counts == COMMANDS[version]


@pytest.mark.parametrize("script", SCRIPTS or [SUITE],
                         ids=lambda path: path.relative_to(SUITE).with_suffix("").as_posix())
def test_script(script: Path) -> None:
    verdicts = run_script(read_script(script.read_bytes()), target_named("cpu"),
                          features=features_of(script))
    wrong = [(v.command.line, v.state.value, v.reason)
             for v in verdicts if v.state is not State.PASSED]
    assert wrong == []
