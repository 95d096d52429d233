"""Scripts of the specification's 3.0 suite about proposals after 2.0, on the CPU."""

from __future__ import annotations

from pathlib import Path

import pytest

from swarmc.runtime.compile import target_named
from swarmc.runtime.tools.spec import features_of
from swarmc.runtime.tools.spec_script import State, run_script
from swarmc.runtime.tools.wast import read_script

SUITE = Path(__file__).resolve().parents[3] / "shared" / "spec" / "3.0"
#: Those of which every command passes.
PATTERNS = (
    "return_call*.wast", "call_ref.wast", "br_*.wast", "ref*.wast", "local_init.wast", "table.wast",
    "select.wast", "unreached-*.wast", "linking.wast", "type-*.wast", "elem.wast", "data.wast",
    "global.wast", "imports.wast", "gc/*.wast", "exceptions/*.wast",
)
SCRIPTS = sorted({path for pattern in PATTERNS for path in SUITE.glob(pattern)})

pytestmark = pytest.mark.skipif(
    not SCRIPTS, reason="the specification's suite is not at ../shared/spec/3.0"
)


@pytest.mark.parametrize("script", SCRIPTS or [SUITE], ids=lambda path: path.stem)
def test_script(script: Path) -> None:
    verdicts = run_script(read_script(script.read_bytes()), target_named("cpu"),
                          features=features_of(script))
    wrong = [(v.command.line, v.state.value, v.reason)
             for v in verdicts if v.state is not State.PASSED]
    assert wrong == []
