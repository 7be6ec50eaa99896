"""What a decision costs: runs and trained epochs that would decide a small difference, by endpoint and design.

The standard deviations are those of a study's own records. The designs are the textbook's, two groups of independent runs, and
pairs of runs with the same seed, which share their epochs before the onset. The published study took each run's best epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

import numpy as np
import pandas as pd
from statsmodels.stats.power import TTestIndPower

from temporal_shortcuts.analysis.endpoints import Floats, available
from temporal_shortcuts.analysis.statistics import (
    LEVEL,
    MOST_N,
    POWER,
    SMALLEST_N,
    BySeed,
    by_seed,
    paired,
    pairs_needed,
    resolution,
    rounded,
)
from temporal_shortcuts.study import Study, forest
from temporal_shortcuts.study.outputs import costed_variants

DIFFERENCE = 0.3
"""Points: the difference to decide where the study fixes no margin."""
TEXTBOOK = ("best", "unpaired")
"""Endpoint and design of the published study, had it had more than one seed."""
COLUMNS = ["reference", "endpoint", "design", "difference", "df", "sd", "n", "runs", "epochs", "ratio"]


def decision_cost(study: Study, runs: pd.DataFrame, test_images: int = 10_000) -> pd.DataFrame:
    """`decision_cost.csv`: a row for each reference that late shortcuts are compared with, design and endpoint.

    `sd` is that of a run (unpaired) or of a difference (paired), in points, pooled over the variants with `df` degrees of freedom.
    `n` is the number of runs in each group, or of pairs, that finds a true `difference` with 80 % probability at a two-sided 5 %
    (10,000: that or more); `runs` and `epochs` are what is trained for it, epochs that runs share once. `ratio` is how many times
    as many epochs the textbook's way would take: unpaired, best epoch, first reference.
    """
    difference, floor, rows = study.margin or DIFFERENCE, resolution(test_images), []
    for reference, variants in costed_variants(study).items():
        pair = _epochs_of_a_pair(study, reference, variants)
        for endpoint in available(runs):
            values = by_seed(runs, endpoint)
            for design, (sd, df) in _deviations(values, reference, variants).items():
                at_least = max(sd, floor)
                apart = design == "unpaired"
                n = _runs_a_group(difference, at_least) if apart else pairs_needed(difference, at_least)
                epochs = n * 2 * study.epochs if apart else ceil(n * pair)
                rows.append([reference, endpoint, design, difference, df, sd, n, 2 * n, epochs])
    table = pd.DataFrame(rows, columns=COLUMNS[:-1])
    textbook = table[(table["endpoint"] == TEXTBOOK[0]) & (table["design"] == TEXTBOOK[1])]["epochs"]
    return rounded(table.assign(ratio=textbook.iloc[0] / table["epochs"]))


def _deviations(values: BySeed, reference: str, variants: Sequence[str]) -> dict[str, tuple[float, int]]:
    """Standard deviation and its degrees of freedom by design, pooled over the variants."""
    runs = [np.array(list(values[name].values())) for name in (reference, *variants)]
    differences = [np.subtract(*paired(values, name, reference)) for name in variants]
    return {"unpaired": _pooled(runs), "paired": _pooled(differences)}


def _pooled(samples: Sequence[Floats]) -> tuple[float, int]:
    df = sum(len(sample) - 1 for sample in samples)
    return float(np.sqrt(sum(((sample - sample.mean()) ** 2).sum() for sample in samples) / df)), df


def _runs_a_group(difference: float, sd: float) -> int:
    """The smallest number of runs in each of two groups with which a t-test finds the difference with probability `POWER`."""
    power = TTestIndPower()
    exact = power.solve_power(effect_size=difference / sd, alpha=LEVEL, power=POWER) if difference < 5 * sd else 0
    return min(max(ceil(exact), SMALLEST_N), MOST_N)


def _epochs_of_a_pair(study: Study, reference: str, variants: Sequence[str]) -> float:
    """Epochs trained for a variant and its reference with one seed, on average over the variants."""
    own, *others = (replace(study.variant_runs(name)[0].trajectory, seed=0) for name in (reference, *variants))
    pairs = [(own, other) for other in others]
    segments = [segment for pair in pairs for segment in forest(pair, study.epochs).values()]
    return sum(segment.stop - segment.start for segment in segments) / len(pairs)
