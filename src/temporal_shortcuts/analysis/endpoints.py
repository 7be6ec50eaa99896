"""The endpoints: the numbers that one run is reduced to, each with its column of the record and how it is made.

Which endpoints a study has follows from its records. All that exist stand in the tables; the study's primary endpoint, or the one
that a claim names, decides a verdict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from temporal_shortcuts.errors import UserError

Floats = NDArray[np.float64]

SMOOTHING = 5
"""Epochs in the moving average of `stable_epoch`, and at the end of the curve in `last5`."""
CLASSES = 10
"""Classes of the test set where a record does not say: all data sets of the first records have ten."""


@dataclass(frozen=True)
class Endpoint:
    """A number of a run, a fraction of the test images."""

    column: str
    """Of the record."""
    make: Callable[[Floats], float]
    """From the column's values, one an epoch."""


def _last(values: Floats) -> float:
    return float(values[-1])


def _mean_of_last(values: Floats) -> float:
    return float(values[-SMOOTHING:].mean())


def _highest(values: Floats) -> float:
    return float(values.max())


ENDPOINTS: dict[str, Endpoint] = {
    "last5": Endpoint("test_accuracy", _mean_of_last),
    "final": Endpoint("test_accuracy", _last),
    "best": Endpoint("test_accuracy", _highest),
    "averaged": Endpoint("averaged_test_accuracy", _last),
    "re_estimated": Endpoint("averaged_re_estimated_test_accuracy", _last),
    "last_re_estimated": Endpoint("re_estimated_test_accuracy", _last),
    "with_carry": Endpoint("test_accuracy_with_carry", _last),
    "averaged_with_carry": Endpoint("averaged_test_accuracy_with_carry", _last),
}
"""By name, in the order of the tables; docs/statistics.md says what each means, report/wording.py how a text calls it."""


def available(columns: Iterable[str]) -> list[str]:
    """The endpoints that a table of runs has a column of, in the order of `ENDPOINTS`."""
    columns = set(columns)
    return [name for name in ENDPOINTS if name in columns]


def endpoints(metrics: pd.DataFrame, classes: int = CLASSES) -> pd.DataFrame:
    """One row a run, in the order of `metrics`, from its rows `variant, seed, epoch, train_loss` and the endpoints' columns.

    Accuracies are fractions, epochs count from 1. `best_epoch` is the first epoch with the highest test accuracy;
    `diverged_epoch` the first whose training loss is not finite, else missing. A diverged run answers nothing any more: every
    endpoint but `best` counts no higher than chance on `classes` classes, whichever class the test set has most of. Raises
    `UserError` where an accuracy is missing: leaving the run out would flatter.
    """
    kept = {name: endpoint for name, endpoint in ENDPOINTS.items() if endpoint.column in metrics.columns}
    runs = []
    for (variant, seed), run in metrics.groupby(["variant", "seed"], sort=False):
        run = run.sort_values("epoch")
        _check_complete(run, dict.fromkeys(endpoint.column for endpoint in kept.values()))
        runs.append({"variant": variant, "seed": seed, **_endpoints_of(run, kept, 1 / classes)})
    columns = ["variant", "seed", *kept, "best_epoch", "diverged_epoch"]
    return pd.DataFrame(runs, columns=columns).astype({"diverged_epoch": "Int64"})


def _check_complete(run: pd.DataFrame, columns: Iterable[str]) -> None:
    """The test accuracy must be there in each epoch, what later columns hold in the last one at least."""
    for column in columns:
        rows = run if column == "test_accuracy" else run.tail(1)
        missing = rows[rows[column].isna()]
        if len(missing):
            row = missing.iloc[0]
            raise UserError(
                f"metrics.csv: {column} of {row['variant']}, seed {row['seed']}, epoch {row['epoch']} is missing; "
                "delete that run's record and train it again."
            )


def _endpoints_of(run: pd.DataFrame, kept: Mapping[str, Endpoint], chance: float) -> dict[str, Any]:
    epoch, accuracy = run["epoch"].to_numpy(), run["test_accuracy"].to_numpy(float)
    diverged = epoch[~np.isfinite(run["train_loss"].to_numpy(float))]
    values = {name: endpoint.make(run[endpoint.column].to_numpy(float)) for name, endpoint in kept.items()}
    if len(diverged):
        values = {name: value if name == "best" else min(value, chance) for name, value in values.items()}
    return values | {
        "best_epoch": int(epoch[accuracy.argmax()]),
        "diverged_epoch": int(diverged[0]) if len(diverged) else pd.NA,
    }


def stable_epoch(test_accuracy: ArrayLike, tolerance: float) -> int:
    """The first epoch, counted from 1, from which on the smoothed test accuracy stays near its value at the last epoch.

    `test_accuracy` has one fraction an epoch. Smoothing is a centred moving average of five epochs; at both ends it
    takes the epochs that are there, so the last value is the mean of the last three. Near is within `tolerance`, a
    fraction too, limits included.
    """
    smoothed = pd.Series(np.asarray(test_accuracy, float)).rolling(SMOOTHING, center=True, min_periods=1).mean()
    far = np.flatnonzero(np.abs(smoothed - smoothed.iloc[-1]) > tolerance + 1e-12)
    return int(far[-1]) + 2 if len(far) else 1
