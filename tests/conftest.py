"""Tests run agents on the CPU unless they say otherwise, on machines with a GPU as well."""

from __future__ import annotations

import os

import pytest

from swarmc.runtime import choosing


@pytest.fixture(autouse=True, scope="session")
def no_target_means_cpu() -> None:
    """What chooses a target finds no GPU, in this process and in those that tests start."""
    choosing.driver_is_there = lambda: False
    os.environ["SWARMC_TARGET"] = "cpu"
