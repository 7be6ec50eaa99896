"""How much of the variance of runs lies within a seed: branches of one trunk that differ in nothing but chance.

A null arm and its reference have the weights of the onset's epoch in common, so what lies between them came later. `one_bit` arms
keep order and augmentation: what differs is how a rounding error grows. `fresh_order` arms draw both anew from the onset on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from temporal_shortcuts.analysis.endpoints import Floats, available
from temporal_shortcuts.analysis.statistics import by_seed, in_common, rounded
from temporal_shortcuts.study import Study
from temporal_shortcuts.study.outputs import null_arms

COLUMNS = [
    *("reference", "kind", "onset", "endpoint", "seeds", "branches", "mean", "sd_within", "sd_between"),
    *("share_within", "low", "high"),
]


def variance(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """`variance.csv`: a row for each trunk (reference, kind of null arm, onset) and endpoint, by one-way analysis of variance.

    The seeds are the groups, the reference and its null arms of the kind are a group's branches; seeds that lack one are left out.
    `sd_within` and `sd_between` are the two components in points (a negative estimate counts as 0), `share_within` is the share of
    the variance within, with the exact 95 % interval of the F distribution. Missing below two seeds.
    """
    rows = [
        trunk
        | {"endpoint": endpoint}
        | _components(np.stack(in_common(by_seed(runs, endpoint), trunk["reference"], *arms), axis=1))
        for trunk, arms in _trunks(study)
        for endpoint in available(runs)
    ]
    return rounded(pd.DataFrame(rows, columns=COLUMNS))


def _trunks(study: Study) -> list[tuple[dict[str, Any], list[str]]]:
    arms: dict[tuple[str, str, int], list[str]] = {}
    for variant in (study.variants[name] for name in null_arms(study)):
        assert variant.shortcut is not None
        key = (variant.reference.name, variant.shortcut.kind, variant.shortcut.onset)
        arms.setdefault(key, []).append(variant.name)
    return [({"reference": key[0], "kind": key[1], "onset": key[2]}, names) for key, names in arms.items()]


def _components(table: Floats) -> dict[str, Any]:
    """Of a table in percent, a row a seed and a column a branch: `[seeds, branches]`."""
    seeds, branches = table.shape
    row = {"seeds": seeds, "branches": branches, "mean": float(table.mean()) if seeds else np.nan}
    if seeds < 2:
        return row
    df_between, df_within = seeds - 1, seeds * (branches - 1)
    means = table.mean(axis=1)
    within = float(((table - means[:, None]) ** 2).sum() / df_within)
    between = float(branches * means.var(ddof=1))
    row |= {"sd_within": within**0.5, "sd_between": max((between - within) / branches, 0.0) ** 0.5}
    total = row["sd_within"] ** 2 + row["sd_between"] ** 2
    if not within:
        return row | ({"share_within": 0.0} if total else {})
    large, small = (max(between / within / stats.f.ppf(p, df_between, df_within), 1.0) for p in (0.025, 0.975))
    low, high = (branches / (branches - 1 + ratio) for ratio in (large, small))
    return row | {"share_within": within / total, "low": float(low), "high": float(high)}
