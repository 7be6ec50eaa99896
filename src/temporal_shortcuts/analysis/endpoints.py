"""The endpoints of runs (study/endpoints.py), made from their records.

Which endpoints a study has follows from its records. All that exist stand in the tables; the study's primary endpoint, or the one
that a claim names, decides a verdict.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from temporal_shortcuts.analysis import outcomes
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study.endpoints import CONTRASTS, ENDPOINTS, Endpoint

Floats = NDArray[np.float64]

SMOOTHING = 5
"""Epochs in the moving average of `stable_epoch`, and at the end of the curve in `last5`."""
_REDUCED = {
    "last": lambda values: float(values[-1]),
    "mean of last": lambda values: float(values[-SMOOTHING:].mean()),
    "highest": lambda values: float(values.max()),
}


def available(columns: Iterable[str]) -> list[str]:
    """The endpoints that a table of runs has a column of, in the order of `ENDPOINTS`."""
    columns = set(columns)
    return [name for name in ENDPOINTS if name in columns]


def needed(name: str) -> tuple[str, ...]:
    """The columns of a table of runs that an endpoint or a contrast of two is taken from."""
    return CONTRASTS.get(name, (name,))


def of_runs(runs: pd.DataFrame, name: str) -> pd.Series:
    """An endpoint of each run, a fraction; of a contrast the difference of its two, which can be negative."""
    first, *others = (runs[column] for column in needed(name))
    return first - others[0] if others else first


def endpoints(metrics: pd.DataFrame, classes: int = 10) -> pd.DataFrame:
    """One row a run, in the order of `metrics`, from its rows `variant, seed, epoch`, losses and the endpoints' columns.

    Accuracies are fractions, epochs count from 1. `diverged_epoch` is the first epoch with a loss that is not finite, else missing; from
    then on a run answers nothing (`outcomes.capped`), and every endpoint but `best` counts no higher than one in `classes`. `best`
    is the highest of an epoch, and `best_epoch` the first that reached it. Raises `UserError` where an accuracy is missing: leaving
    the run out would flatter.
    """
    kept = {name: endpoint for name, endpoint in ENDPOINTS.items() if endpoint.column in metrics.columns}
    counted = outcomes.capped(metrics, classes).assign(diverged_epoch=outcomes.diverged_epochs(metrics))
    runs = []
    for (variant, seed), run in counted.groupby(["variant", "seed"], sort=False):
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
    since = run["diverged_epoch"].iloc[0]
    values = {name: _REDUCED[one.over](run[one.column].to_numpy(float)) for name, one in kept.items()}
    if since is not pd.NA:
        values = {name: value if name == "best" else min(value, chance) for name, value in values.items()}
    best = int(run["test_accuracy"].to_numpy(float).argmax())
    return values | {"best_epoch": int(run["epoch"].iloc[best]), "diverged_epoch": since}


def stable_epoch(test_accuracy: ArrayLike, tolerance: float) -> int:
    """The first epoch, counted from 1, from which on the smoothed test accuracy stays near its value at the last epoch.

    `test_accuracy` has one fraction an epoch. Smoothing is a centred moving average of five epochs; at both ends it
    takes the epochs that are there, so the last value is the mean of the last three. Near is within `tolerance`, a
    fraction too, limits included.
    """
    smoothed = pd.Series(np.asarray(test_accuracy, float)).rolling(SMOOTHING, center=True, min_periods=1).mean()
    far = np.flatnonzero(np.abs(smoothed - smoothed.iloc[-1]) > tolerance + 1e-12)
    return int(far[-1]) + 2 if len(far) else 1
