"""What the learning rate does over a run: how soon it learns, how much it swings, how far training and test are apart, where it ends.

The published report says of this in words: a large rate is fast but oscillates, a small one is slow and may get stuck. Each of the
four statements is a paired comparison with the benchmark's rate, judged by a rule that is written down here.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import nan
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from temporal_shortcuts.analysis.endpoints import SMOOTHING, Floats
from temporal_shortcuts.analysis.statistics import (
    LEVEL,
    SMALLEST_N,
    BySeed,
    compare,
    holm,
    paired,
    resolution,
    rounded,
    standard_error,
)
from temporal_shortcuts.study import Study
from temporal_shortcuts.study.outputs import rate_variants

LEVELS = (30, 40, 50, 60, 70, 80, 90)
"""Percent of the training images, with augmentation, that an epoch gets right."""
SWING = 10
"""Epochs at the end of the curve over which its swing is measured."""
COLUMNS = [
    *(
        "variant",
        "learning_rate",
        "measure",
        "level",
        "n",
        "reached",
        "mean",
        "low",
        "high",
        "against",
        "pairs",
        "difference",
    ),
    *("difference_low", "difference_high", "p", "p_holm", "statement", "outcome"),
]
STATEMENTS = {
    "fast": ("largest", "first_epoch", -1),
    "oscillates": ("largest", "swing", 1),
    "slow": ("smallest", "first_epoch", 1),
    "stuck": ("smallest", "train_accuracy", -1),
}
"""Of the report, each with the rate that it is about, the measure, and the sign of the difference that bears it out.

A small rate may get stuck: at the end it has learned less of its training images.
"""


def learning_rates(study: Study, metrics: pd.DataFrame, test_images: int = 10_000) -> pd.DataFrame:
    """`learning_rates.csv`: a row for each learning rate and measure, with the paired difference from the benchmark's rate.

    Measures: `first_epoch` in which training accuracy passes `level` percent (`reached`: runs that do; one that does not counts
    with the epoch after the last, which is too early); `swing`, the standard deviation of the differences from epoch to epoch of
    the test accuracy over the last ten epochs; `gap`, training less test accuracy, and `train_accuracy`, both over the last five;
    in points or percent. Intervals are t intervals over the seeds. A statement of the report is `borne out` or `contradicted`
    where Holm's p over the four is at most 5 %, else `undecided`; the level for `fast` and `slow` is the highest that the
    benchmark's rate passes with every seed.
    """
    benchmark, rates, epochs = study.benchmark, _rates(study), int(metrics["epoch"].max())
    rows = []
    for measure, level in _measures(metrics, rates):
        values = _by_seed(metrics, rates, measure, level)
        floor = 1.0 if measure == "first_epoch" else resolution(test_images)
        for name, rate in rates.items():
            row = {"variant": name, "learning_rate": rate, "measure": measure, "level": level}
            reached = sum(value <= epochs for value in values[name].values()) if level else pd.NA
            rows.append(row | {"reached": reached} | _numbers(values, name, benchmark, floor))
    whole = dict.fromkeys(("level", "reached", "pairs"), "Int64")
    table = pd.DataFrame(rows, columns=COLUMNS).astype({**whole, "p_holm": float})
    _judge(table, list(rates), benchmark)
    return rounded(table)


def _rates(study: Study) -> dict[str, float]:
    names = [study.benchmark, *rate_variants(study)]
    rates = {name: study.variants[name].settings.learning_rate for name in names}
    return dict(sorted(rates.items(), key=lambda item: item[1]))


# Measures -------------------------------------------------------------------------------------------------------------


def _measures(metrics: pd.DataFrame, names: Iterable[str]) -> list[tuple[str, int | None]]:
    """The levels that some run passes, and the other measures."""
    highest = 100 * metrics.loc[metrics["variant"].isin(list(names)), "train_accuracy"].max()
    return [
        *(("first_epoch", level) for level in LEVELS if level < highest),
        *((measure, None) for measure in ("swing", "gap", "train_accuracy")),
    ]


def _by_seed(metrics: pd.DataFrame, names: Iterable[str], measure: str, level: int | None) -> BySeed:
    values: BySeed = {name: {} for name in names}
    for (name, seed), run in metrics[metrics["variant"].isin(list(values))].groupby(["variant", "seed"], sort=False):
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
    own = np.array(list(values[name].values()))
    mean, reach = float(own.mean()), nan
    if len(own) > 1:
        reach = float(stats.t.isf(LEVEL / 2, len(own) - 1)) * standard_error(own, floor)
    row = {"n": len(own), "mean": mean, "low": mean - reach, "high": mean + reach}
    if name == benchmark:
        return row | {"against": "", "statement": "", "outcome": ""}
    found = compare(*paired(values, name, benchmark), floor)
    return row | {
        "against": benchmark,
        "pairs": found.n,
        "difference": found.mean_difference,
        "difference_low": found.t_low,
        "difference_high": found.t_high,
        "p": found.p_t if found.n >= SMALLEST_N else nan,
        "statement": "",
        "outcome": "",
    }


def _judge(table: pd.DataFrame, rates: list[str], benchmark: str) -> None:
    """Fill in `statement`, `p_holm` and `outcome` in the rows that the report's statements are about."""
    first = table[(table["measure"] == "first_epoch") & (table["variant"] == benchmark)]
    level = first.loc[first["reached"] == first["n"], "level"].max()
    rows: dict[str, int] = {}
    for statement, (which, measure, _) in STATEMENTS.items():
        about = table["variant"] == (rates[-1] if which == "largest" else rates[0])
        here = table[about & (table["measure"] == measure) & (table["against"] != "")]
        if measure == "first_epoch":
            here = here[(here["level"] == level).fillna(False).astype(bool)]
        if len(here):
            rows[statement] = here.index[0]
    adjusted = dict(zip(rows, holm(table.loc[list(rows.values()), "p"]), strict=True))
    for statement, index in rows.items():
        signed = STATEMENTS[statement][2] * table.loc[index, "difference"]
        decided = "borne out" if signed > 0 else "contradicted"
        outcome = decided if adjusted[statement] <= LEVEL else "undecided"
        table.loc[index, ["statement", "p_holm", "outcome"]] = [statement, adjusted[statement], outcome]
