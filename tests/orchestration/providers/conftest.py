"""Shows what an assertion compared in the tests that providers inherit, too."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite(
    "tests.orchestration.providers.contract", "tests.orchestration.providers.slurm_cluster"
)
