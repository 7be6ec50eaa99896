"""A record's columns, one row an epoch: what training writes, and what tables, texts and figures read (docs/method.md)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from temporal_shortcuts.study.segments import Trajectory

COLUMNS = ("epoch", "learning_rate", "train_loss", "train_accuracy", "test_loss", "test_accuracy")
"""What every record has."""
WITH_CARRY = "test_accuracy_with_carry"
EACH_EPOCH = ("averaged_test_loss", "averaged_test_accuracy")
"""Of the mean of the weights since `average_from`, with the batch-norm statistics averaged like the weights: in a record from then on."""
AVERAGED = (
    *EACH_EPOCH,
    "averaged_re_estimated_test_accuracy",
    "re_estimated_test_accuracy",
    "averaged_test_accuracy_with_carry",
)
"""And of the run's last epoch: with statistics re-estimated without a carry, of averaged and of last weights, and with the carry on."""


def columns_of(trajectory: Trajectory) -> list[str]:
    """The columns of a run's record. Those of averaged weights are nan before there are any (docs/method.md)."""
    more = (WITH_CARRY, *(() if trajectory.average_from is None else AVERAGED))
    carries = trajectory.settings["evaluate_with_carry"]
    return ordered({*COLUMNS, *(name for name in more if carries or "carry" not in name)})


def ordered(columns: Iterable[str]) -> list[str]:
    """A record's columns in their order: those that every record has, and the others by name."""
    return [*COLUMNS, *sorted(set(columns) - set(COLUMNS))]
