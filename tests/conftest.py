"""For all tests: the instruction set is pinned before anything imports torch, and so for the programs that tests start."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from temporal_shortcuts.training import numerics

numerics.pin("avx2")
os.environ["PYTHONPATH"] = str(Path(__file__).parents[1] / "src")
# a shell ignores it in what it starts in the background, and so would all that the tests start and interrupt
signal.signal(signal.SIGINT, signal.default_int_handler)
settings.register_profile("same", deadline=None, derandomize=True)  # what fails, fails again
settings.load_profile("same")

if TYPE_CHECKING:
    from forks import Forks

FIRST = (
    "test_workflow",
    "test_walkthrough",
    "test_elsewhere",
    "test_exactness",
    "test_faults",
    "test_regenerate",
    "test_ending",
)
"""The files that take longest. Each file is one worker's (--dist loadfile), so that what a file shares is made once."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: FIRST.index(item.path.stem) if item.path.stem in FIRST else len(FIRST))


def pytest_collection_finish() -> None:
    gc.freeze()  # statsmodels collects garbage at each correction of p: what was imported is none


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Real processes at little cost, see tests/forks.py."""
    from forks import Forks

    with Forks() as server:
        yield server


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The prepared form of the tiny images, as the programs want it."""
    from tiny import IMAGES

    from temporal_shortcuts.data import images

    folder = tmp_path_factory.mktemp("data")
    images.write(IMAGES, folder)
    return folder
