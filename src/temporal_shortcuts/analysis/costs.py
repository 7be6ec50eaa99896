"""What a decision costs: runs and trained epochs that would decide a small difference, by endpoint and design.

Standard deviations and effects are those of a study's own records, of its late shortcuts. The designs are the textbook's, two groups of
independent runs, and pairs of runs with the same seed, which share their epochs before the onset. An endpoint that can be older than the
effect, as a run's best epoch is where it lies before the onset, has no cost: there both arms have the same number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, sqrt
from typing import Any

import numpy as np
import pandas as pd
from scipy import special
from statsmodels.stats.power import TTestIndPower

from temporal_shortcuts.analysis.endpoints import SMOOTHING, Floats, available
from temporal_shortcuts.analysis.statistics import (
    LEVEL,
    POWER,
    BySeed,
    by_seed,
    compare,
    paired,
    pairs_in_table,
    pairs_needed,
    resolution,
    rounded,
    smallest_n,
)
from temporal_shortcuts.study import Study, forest
from temporal_shortcuts.study.endpoints import ENDPOINTS
from temporal_shortcuts.study.outputs import costed_variants

DIFFERENCE = 0.3
"""Points: the difference to decide where the study fixes no margin."""
COLUMNS = [
    *("reference", "endpoint", "design", "effect", "effect_low", "effect_high", "df", "sd", "sd_low", "sd_high"),
    *("ratio", "difference", "n", "n_low", "n_high", "runs", "epochs", "n_of_effect", "family"),
    *("n_first_own", "n_first_moderated"),
]


def decision_cost(study: Study, runs: pd.DataFrame, test_images: int = 10_000) -> pd.DataFrame:
    """`decision_cost.csv`: a row for each reference that late shortcuts are compared with, endpoint and design.

    `effect` is the mean difference of the late variants from their reference, seed by seed, with its 95 % t interval; `sd` that of a run
    (unpaired) or of a difference (paired), pooled over the variants with `df` degrees of freedom, with its 95 % limits; all in points.
    `ratio` is that of the effect's size to `sd`.

    `n` is the number of runs in each group, or of pairs, that finds a true `difference` with 80 % probability at a two-sided 5 %
    (10,000: that or more), `n_low` and `n_high` what it is at the limits of the standard deviation; `runs` and `epochs` are what is
    trained for `n`, epochs that runs share once. Endpoints see effects of other sizes: `n_of_effect` finds the one observed at this one.
    `n_first_own` and `n_first_moderated` find `difference` as the first of the study's `family` of comparisons, by either estimate of
    the variances (pairs only).
    """
    floor, rows = resolution(test_images), []
    for reference, variants in costed_variants(study).items():
        pair = _epochs_of_a_pair(study, reference, variants)
        onset = max(study.variants[name].onset or 0 for name in variants)
        for endpoint in (name for name in available(runs) if first_epoch(study, name) > onset):
            values = by_seed(runs, endpoint)
            effect = _effect(values, reference, variants, floor)
            for design, (sd, df) in _deviations(values, reference, variants).items():
                row = {"reference": reference, "endpoint": endpoint, "design": design, "df": df, "sd": sd}
                row |= dict(zip(("effect", "effect_low", "effect_high"), effect, strict=True))
                rows.append(row | _cost(study, sd, df, effect[0], floor, None if design == "unpaired" else pair))
    return rounded(pd.DataFrame(rows, columns=COLUMNS).astype({"n_first_own": "Int64", "n_first_moderated": "Int64"}))


def _cost(study: Study, sd: float, df: int, effect: float, floor: float, pair_epochs: float | None) -> dict[str, Any]:
    """What a row says of its standard deviation: of pairs, or, without `pair_epochs`, of unpaired runs."""
    # by the chi2 distribution
    low, high = (sd * sqrt(df / float(special.chdtri(df, p))) for p in (LEVEL / 2, 1 - LEVEL / 2))
    compared = [variant for variant in study.variants.values() if variant.against is not None]
    family = sum(not variant.is_null_arm for variant in compared)
    difference, at_least = study.margin or DIFFERENCE, max(sd, floor)
    needed = pairs_needed if pair_epochs else _runs_a_group
    n = needed(difference, at_least)
    first = pairs_in_table(difference, at_least, family, len(compared)) if pair_epochs else (pd.NA, pd.NA)
    return {
        "sd_low": low,
        "sd_high": high,
        "ratio": abs(effect) / at_least,
        "difference": difference,
        "n": n,
        "n_low": needed(difference, max(low, floor)),
        "n_high": needed(difference, max(high, floor)),
        "runs": 2 * n,
        "epochs": ceil(n * pair_epochs) if pair_epochs else n * 2 * study.epochs,
        "n_of_effect": needed(effect, at_least),
        "family": family,
        "n_first_own": first[0],
        "n_first_moderated": first[1],
    }


def first_epoch(study: Study, endpoint: str) -> int:
    """The first epoch, counted from 1, that an endpoint can be of."""
    one = ENDPOINTS[endpoint]
    if one.over == "highest":
        return 1
    if one.column.startswith("averaged"):
        return study.protocol.average_from or 1
    return study.epochs - (SMOOTHING - 1 if one.over == "mean of last" else 0)


def _effect(values: BySeed, reference: str, variants: Sequence[str], floor: float) -> tuple[float, float, float]:
    """Mean and interval of the differences from the reference, of each seed's mean over the variants that it has."""
    differences: dict[int, list[float]] = {}
    for name in variants:
        for seed in values[name].keys() & values[reference].keys():
            differences.setdefault(seed, []).append(values[name][seed] - values[reference][seed])
    means = [float(np.mean(differences[seed])) for seed in sorted(differences)]
    found = compare(means, np.zeros(len(means)), floor)
    return found.mean_difference, found.t_low, found.t_high


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
    effect, test = abs(difference) / sd, TTestIndPower()
    return smallest_n(lambda n: not test.power(effect, n, LEVEL) < POWER)


def _epochs_of_a_pair(study: Study, reference: str, variants: Sequence[str]) -> float:
    """Epochs trained for a variant and its reference with one seed, on average over the variants."""
    own, *others = (replace(study.variant_runs(name)[0].trajectory, seed=0) for name in (reference, *variants))
    pairs = [(own, other) for other in others]
    segments = [segment for pair in pairs for segment in forest(pair, study.epochs).values()]
    return sum(segment.stop - segment.start for segment in segments) / len(pairs)
