"""What a number that a study varies does over a run: how soon it learns, how much it swings, how far training and test are apart.

One table for each such number (`study/varied.py`), such as learning_rates.csv. Each value is compared with the reference's, in pairs of
equal seed. Of the learning rate the published report says in words that a large one is fast but oscillates, and a small one is slow
and may get stuck: each of these four statements is a comparison, judged by a rule that is written down here. What the numbers do to
the accuracy itself is in summary.csv and comparisons.csv.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import nan
from typing import Any

import numpy as np
import pandas as pd

from temporal_shortcuts.analysis.endpoints import SMOOTHING, Floats
from temporal_shortcuts.analysis.outcomes import diverged_epochs
from temporal_shortcuts.analysis.statistics import (
    LEVEL,
    BySeed,
    compare,
    holm,
    paired,
    resolution,
    rounded,
    t_interval,
)
from temporal_shortcuts.study.varied import Series

LEVELS = (30, 40, 50, 60, 70, 80, 90)
"""Percent of the training images, with augmentation, that an epoch gets right."""
SWING = 10
"""Epochs at the end of the curve over which its swing is measured."""
STATEMENTS = {
    "fast": ("largest", "first_epoch", -1),
    "oscillates": ("largest", "swing", 1),
    "slow": ("smallest", "first_epoch", 1),
    "stuck": ("smallest", "train_accuracy", -1),
}
"""Of the report, about the learning rate: the value that each is about, the measure, and the sign of the difference that bears it out.

A small rate may get stuck: at the end it has learned less of its training images.
"""
COMPARED = ("first_epoch", "swing", "gap")
"""The measures by which the values of another number are compared with the reference's."""


def columns(key: str) -> list[str]:
    """Of the table of a key, whose name is the second."""
    return [
        *("variant", key, "measure", "level", "n", "reached", "mean", "low", "high", "against", "pairs", "difference"),
        *("difference_low", "difference_high", "p", "p_holm", "statement", "outcome"),
    ]


def effects(series: Sequence[Series], metrics: pd.DataFrame, test_images: int = 10_000) -> pd.DataFrame:
    """The table of the key that the series vary: a row for each value and measure, with the paired difference from the reference.

    Measures: `first_epoch` in which training accuracy passes `level` percent (`reached`: runs that do; one that does not counts
    with the epoch after the last, which is too early); `swing`, the standard deviation of the differences from epoch to epoch of
    the test accuracy over the last ten epochs; `gap`, training less test accuracy, and `train_accuracy`, both over the last five;
    in points or percent, of the `n` runs that have not diverged. Intervals are t intervals over the seeds. A reference without the
    key has nothing there.

    Of learning rates, a statement of the report is `supported` or `contradicted` where Holm's p over the four is at most 5 %, else
    `undecided`. Of another number, each difference from the reference in `COMPARED` is `higher`, `lower` or `undecided` in the same
    way, Holm's p being over all of these. The level for epochs is the highest that the reference passes with every seed.
    """
    tables = [_of_series(one, metrics, test_images) for one in series]
    whole = dict.fromkeys(("level", "reached", "pairs"), "Int64")
    table = pd.concat(tables, ignore_index=True).drop_duplicates(["variant", "measure", "level"], ignore_index=True)
    table = table.astype({**whole, "p_holm": float})
    judged = _statements(table, series[0]) if "learning_rate" in table else _differences(table)
    _judge(table, judged)
    return rounded(table)


def _of_series(series: Series, metrics: pd.DataFrame, test_images: int) -> pd.DataFrame:
    names, epochs, rows = series.names, int(metrics["epoch"].max()), []
    for measure, level in _measures(metrics, names):
        values = _by_seed(metrics, names, measure, level)
        floor = 1.0 if measure == "first_epoch" else resolution(test_images)
        for name in names:
            value = series.values.get(name, nan)
            row = {"variant": name, series.key: value, "measure": measure, "level": level}
            reached = sum(value <= epochs for value in values[name].values()) if level else pd.NA
            rows.append(row | {"reached": reached} | _numbers(values, name, series.reference, floor))
    return pd.DataFrame(rows, columns=columns(series.key))


# Measures -------------------------------------------------------------------------------------------------------------


def _measures(metrics: pd.DataFrame, names: Iterable[str]) -> list[tuple[str, int | None]]:
    """The levels that some run passes, and the other measures."""
    highest = 100 * metrics.loc[metrics["variant"].isin(list(names)), "train_accuracy"].max()
    return [
        *(("first_epoch", level) for level in LEVELS if level < highest),
        *((measure, None) for measure in ("swing", "gap", "train_accuracy")),
    ]


def _by_seed(metrics: pd.DataFrame, names: Iterable[str], measure: str, level: int | None) -> BySeed:
    """A measure of each run. One that has diverged has no swing, gap or training accuracy at its end, which would flatter it."""
    values: BySeed = {name: {} for name in names}
    own = metrics.assign(diverged=diverged_epochs(metrics).notna())
    for (name, seed), run in own[own["variant"].isin(list(values))].groupby(["variant", "seed"], sort=False):
        if run["diverged"].iloc[0] and measure != "first_epoch":
            continue
        run = run.sort_values("epoch")
        train, test = (100 * run[f"{split}_accuracy"].to_numpy(float) for split in ("train", "test"))
        values[name][seed] = _measured(train, test, measure, level)
    return values


def _measured(train: Floats, test: Floats, measure: str, level: int | None) -> float:
    match measure:
        case "first_epoch":
            above = np.flatnonzero(train > level)
            return float(above[0] + 1 if len(above) else len(train) + 1)
        case "swing":
            steps = np.diff(test[-SWING:])
            return float(steps.std(ddof=1)) if len(steps) > 1 else nan
        case "gap":
            return float((train - test)[-SMOOTHING:].mean())
        case _:
            return float(train[-SMOOTHING:].mean())


# Rows -----------------------------------------------------------------------------------------------------------------


def _numbers(values: BySeed, name: str, benchmark: str, floor: float) -> dict[str, Any]:
    """A measure of one rate with its t interval, and its paired difference from the benchmark's."""
    low, mean, high = t_interval(list(values[name].values()), floor)
    row = {"n": len(values[name]), "mean": mean, "low": low, "high": high}
    if name == benchmark:
        return row | {"against": "", "statement": "", "outcome": ""}
    found = compare(*paired(values, name, benchmark), floor)
    return row | {
        "against": benchmark,
        "pairs": found.n,
        "difference": found.mean_difference,
        "difference_low": found.t_low,
        "difference_high": found.t_high,
        "p": found.p_t,
        "statement": "",
        "outcome": "",
    }


# Judging --------------------------------------------------------------------------------------------------------------


def judged_level(table: pd.DataFrame, reference: str) -> int | None:
    """The highest level of training accuracy that the reference passes with every seed; None where it passes none."""
    first = table[(table["measure"] == "first_epoch") & (table["variant"] == reference)]
    level = first.loc[first["reached"] == first["n"], "level"].max()
    return None if pd.isna(level) else int(level)


def _statements(table: pd.DataFrame, series: Series) -> dict[int, tuple[str, int]]:
    """The rows of a series that the report's statements are about: row -> statement, and the sign that bears it out."""
    own, rows = table[table["variant"].isin(series.names)], {}
    level, ascending = judged_level(own, series.reference), own.sort_values("learning_rate")["variant"]
    for statement, (which, measure, sign) in STATEMENTS.items():
        about = own["variant"] == (ascending.iloc[-1] if which == "largest" else ascending.iloc[0])
        here = own[about & (own["measure"] == measure) & (own["against"] != "")]
        if measure == "first_epoch":
            here = here[(here["level"] == level).fillna(False).astype(bool)]
        if len(here):
            rows[here.index[0]] = (statement, sign)
    return rows


def _differences(table: pd.DataFrame) -> dict[int, tuple[str, int]]:
    """The rows of all differences that are judged of another number than the learning rate."""
    rows = {}
    for index, row in table[(table["against"] != "") & table["measure"].isin(COMPARED)].iterrows():
        if row["measure"] != "first_epoch" or row["level"] == judged_level(table, row["against"]):
            rows[index] = ("", 1)
    return rows


def _judge(table: pd.DataFrame, judged: dict[int, tuple[str, int]]) -> None:
    """Fill in `statement`, `p_holm` and `outcome` in these rows, with Holm's correction over them."""
    adjusted = holm(table.loc[list(judged), "p"])
    for (index, (statement, sign)), p in zip(judged.items(), adjusted, strict=True):
        decided = sign * table.loc[index, "difference"] > 0
        words = ("supported", "contradicted") if statement else ("higher", "lower")
        outcome = words[0 if decided else 1] if p <= LEVEL else "undecided"
        table.loc[index, ["statement", "p_holm", "outcome"]] = [statement, p, outcome]
