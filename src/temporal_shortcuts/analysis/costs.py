"""What a decision costs: runs and trained epochs that would decide a small difference, by endpoint and design.

Standard deviations and effects are those of a study's own records, of its late shortcuts. The designs are the textbook's, two groups of
independent runs, and pairs of runs with the same seed, which share their epochs before the onset. An endpoint that can be older than the
effect, as a run's best epoch is where it lies before the onset, has no cost: there both arms have the same number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, sqrt

import numpy as np
import pandas as pd
from scipy import special
from statsmodels.stats.power import TTestIndPower

from temporal_shortcuts.analysis.endpoints import SMOOTHING, Floats, available
from temporal_shortcuts.analysis.statistics import (
    LEVEL,
    MOST_N,
    POWER,
    SMALLEST_N,
    BySeed,
    by_seed,
    compare,
    paired,
    pairs_in_table,
    pairs_needed,
    resolution,
    rounded,
)
from temporal_shortcuts.study import Study, forest
from temporal_shortcuts.study.endpoints import ENDPOINTS
from temporal_shortcuts.study.outputs import costed_variants

DIFFERENCE = 0.3
"""Points: the difference to decide where the study fixes no margin."""
COLUMNS = [
    *("reference", "endpoint", "design", "effect", "effect_low", "effect_high", "df", "sd", "sd_low", "sd_high"),
    *(
        "difference",
        "n",
        "n_low",
        "n_high",
        "runs",
        "epochs",
        "n_of_effect",
        "family",
        "n_first_own",
        "n_first_moderated",
    ),
]


def decision_cost(study: Study, runs: pd.DataFrame, test_images: int = 10_000) -> pd.DataFrame:
    """`decision_cost.csv`: a row for each reference that late shortcuts are compared with, endpoint and design.

    `effect` is the mean difference of the late variants from their reference, seed by seed, with its 95 % t interval; `sd` that of a run
    (unpaired) or of a difference (paired), pooled over the variants with `df` degrees of freedom, with its 95 % limits; all in points.
    `n` is the number of runs in each group, or of pairs, that finds a true `difference` with 80 % probability at a two-sided 5 %
    (10,000: that or more), `n_low` and `n_high` what it is at the limits of the standard deviation; `runs` and `epochs` are what is
    trained for `n`, epochs that runs share once. Endpoints see effects of other sizes: `n_of_effect` finds the one observed at this one.
    `n_first_own` and `n_first_moderated` find `difference` as the first of the study's `family` of comparisons, by either estimate of
    the variances (pairs only).
    """
    difference, floor, rows = study.margin or DIFFERENCE, resolution(test_images), []
    compared = [variant for variant in study.variants.values() if variant.against is not None]
    family = sum(not variant.is_null_arm for variant in compared)
    for reference, variants in costed_variants(study).items():
        pair, onset = (
            _epochs_of_a_pair(study, reference, variants),
            max(study.variants[one].onset or 0 for one in variants),
        )
        for endpoint in (one for one in available(runs) if first_epoch(study, one) > onset):
            values = by_seed(runs, endpoint)
            effect = _effect(values, reference, variants, floor)
            for design, (pooled, df) in _deviations(values, reference, variants).items():
                sd, apart = max(pooled, floor), design == "unpaired"
                low, high = (max(limit, floor) for limit in _limits(pooled, df))
                needed = _runs_a_group if apart else pairs_needed
                n, *about = (needed(difference, one) for one in (sd, low, high))
                epochs = n * 2 * study.epochs if apart else ceil(n * pair)
                first = (pd.NA, pd.NA) if apart else pairs_in_table(difference, sd, family, len(compared))
                spread = [df, pooled, *_limits(pooled, df), difference, n, *about, 2 * n, epochs, needed(effect[0], sd)]
                rows.append([reference, endpoint, design, *effect, *spread, family, *first])
    return rounded(pd.DataFrame(rows, columns=COLUMNS).astype({"n_first_own": "Int64", "n_first_moderated": "Int64"}))


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
    found = compare(
        [float(np.mean(differences[seed])) for seed in sorted(differences)], np.zeros(len(differences)), floor
    )
    return found.mean_difference, found.t_low, found.t_high


def _limits(sd: float, df: int) -> tuple[float, float]:
    """95 % limits of a standard deviation, by the chi2 distribution."""
    low, high = (sd * sqrt(df / float(special.chdtri(df, p))) for p in (LEVEL / 2, 1 - LEVEL / 2))
    return low, high


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
    effect = abs(difference) / sd
    if effect < 3 / sqrt(MOST_N):
        return MOST_N
    exact = TTestIndPower().solve_power(effect_size=effect, alpha=LEVEL, power=POWER) if effect < 5 else 0
    return min(max(ceil(exact), SMALLEST_N), MOST_N)


def _epochs_of_a_pair(study: Study, reference: str, variants: Sequence[str]) -> float:
    """Epochs trained for a variant and its reference with one seed, on average over the variants."""
    own, *others = (replace(study.variant_runs(name)[0].trajectory, seed=0) for name in (reference, *variants))
    pairs = [(own, other) for other in others]
    segments = [segment for pair in pairs for segment in forest(pair, study.epochs).values()]
    return sum(segment.stop - segment.start for segment in segments) / len(pairs)
