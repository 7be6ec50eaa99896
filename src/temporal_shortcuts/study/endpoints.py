"""The endpoints: the numbers that a run is reduced to, each with its name and the record's column that it comes from, said here only.

docs/statistics.md says what each means; analysis/endpoints.py makes them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from temporal_shortcuts.study.columns import WITH_CARRY


@dataclass(frozen=True)
class Endpoint:
    """A number of a run, a fraction of the test images."""

    column: str
    """Of the record."""
    over: Literal["last", "mean of last", "highest"] = "last"
    """How the column's values, one an epoch, become one."""
    decides: bool = False
    """Whether it can be a study's primary endpoint; a claim can name any."""


ENDPOINTS = {
    "last5": Endpoint("test_accuracy", "mean of last", decides=True),
    "final": Endpoint("test_accuracy", decides=True),
    "best": Endpoint("test_accuracy", "highest", decides=True),
    "averaged": Endpoint("averaged_test_accuracy", decides=True),
    "re_estimated": Endpoint("averaged_re_estimated_test_accuracy", decides=True),
    "last_re_estimated": Endpoint("re_estimated_test_accuracy"),
    "with_carry": Endpoint(WITH_CARRY),
    "averaged_with_carry": Endpoint("averaged_test_accuracy_with_carry"),
}
"""By name, in the order of the tables."""
CONTRASTS = {"mismatch": ("averaged", "re_estimated")}
"""Differences of two endpoints of one run, which claims and the ladder can rest on. No table has a column of them.

A paired difference of `mismatch` is the difference between the effect as trained and with recalibrated statistics.
"""
DECIDING = tuple(name for name, one in ENDPOINTS.items() if one.decides)
NAMES = (*ENDPOINTS, *CONTRASTS)
