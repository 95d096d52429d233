"""The specification's suite as PTX: every command passes, whatever the layout and the level.

Each script of the newest version runs in one of five ways. ``swarmc spec --target ptx`` runs all of
both versions in any: docs/ptx.md.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmc.runtime.tools.spec import features_of
from swarmc.runtime.tools.spec_script import State, run_script
from swarmc.runtime.tools.wast import read_script
from swarmc.targets.addressing import MemoryLayout
from swarmc.targets.ptx import PtxTarget

SUITE = Path(__file__).resolve().parents[3] / "shared" / "spec" / "3.0"
SCRIPTS = sorted(SUITE.rglob("*.wast"))
WAYS = ((MemoryLayout.INTERLEAVED_8, 0), (MemoryLayout.FLAT, 2),
        (MemoryLayout.INTERLEAVED_4, 2), (MemoryLayout.FLAT, 0), (MemoryLayout.INTERLEAVED_16, 2))

pytestmark = pytest.mark.skipif(
    not SCRIPTS, reason="the specification's suite is not at ../shared/spec"
)


@pytest.mark.parametrize("number", range(len(SCRIPTS)),
                         ids=[path.relative_to(SUITE).with_suffix("").as_posix()
                              for path in SCRIPTS])
def test_script(number: int) -> None:
    script, (layout, level) = SCRIPTS[number], WAYS[number % len(WAYS)]
    verdicts = run_script(read_script(script.read_bytes()), PtxTarget(layout),
                          features=features_of(script), opt_level=level)
    wrong = [(v.command.line, v.state.value, v.reason)
             for v in verdicts if v.state is not State.PASSED]
    assert wrong == []
