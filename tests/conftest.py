"""Tests run agents on the CPU unless they say otherwise, on machines with a GPU as well."""

from __future__ import annotations

import os
import signal

import pytest

from swarmc.runtime import choosing


@pytest.fixture(autouse=True, scope="session")
def no_target_means_cpu() -> None:
    """What chooses a target finds no GPU, in this process and in those that tests start."""
    choosing.driver_is_there = lambda: False
    os.environ["SWARMC_TARGET"] = "cpu"


@pytest.fixture(autouse=True, scope="session")
def programs_can_be_interrupted() -> None:
    """What tests start hears SIGINT: shells have what they run in the background ignore it."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
