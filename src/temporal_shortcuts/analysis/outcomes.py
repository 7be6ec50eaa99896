"""What became of a run, decided here only: whether it diverged, whether it is at chance, and whether two are the same run.

Tables, curves, texts, claims and the results page ask here. docs/statistics.md gives the reasons.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

LOSSES = ("train_loss", "test_loss")
"""Columns that are finite as long as the network's outputs are."""
GUESSED = 0.001
"""How rarely a network that answers without looking comes out above the limit of chance."""


@dataclass(frozen=True)
class TestSet:
    """What the statistics need to know of the test images."""

    __test__ = False  # for pytest, which takes it for one
    images: int
    classes: int
    chance: float
    """Share of the largest class: the accuracy of a network that always answers it."""
    shared: int = 0
    """Images that the runs were trained on too, pixel by pixel: an accuracy on them is memory."""

    @property
    def is_balanced(self) -> bool:
        """Whether all classes have the same number of images, so that chance need not be said beside an accuracy."""
        return math.isclose(self.chance, 1 / self.classes, abs_tol=0.5 / self.images)

    @property
    def chance_limit(self) -> float:
        """The highest accuracy, a fraction, that counts as at chance.

        Whoever answers without looking is right with probability `chance` at most, so the number of right answers is binomial, and
        above this limit with a probability of `GUESSED` at most.
        """
        return float(stats.binom.isf(GUESSED, self.images, self.chance)) / self.images


def diverged_epochs(metrics: pd.DataFrame) -> pd.Series:
    """For each row of `metrics` the first epoch of its run in which a loss is not finite, whichever it is; missing where none is."""
    losses = metrics[[name for name in LOSSES if name in metrics.columns]]
    first = metrics["epoch"].where(~np.isfinite(losses.to_numpy(float)).all(axis=1))
    return first.groupby([metrics["variant"], metrics["seed"]]).transform("min").astype("Int64")


def capped(metrics: pd.DataFrame, classes: int) -> pd.DataFrame:
    """`metrics` as they count: from the epoch in which a run diverged on, no accuracy is above one in `classes`.

    Outputs that are not numbers answer nothing, but the argument of their maximum is a class, of which a test set can have many.
    """
    over = (metrics["epoch"] >= diverged_epochs(metrics)).fillna(False).astype(bool)
    if not over.any():
        return metrics
    columns = [name for name in metrics if "accuracy" in str(name)]
    return metrics.assign(**{name: metrics[name].mask(over, metrics[name].clip(upper=1 / classes)) for name in columns})


def has_diverged(runs: pd.DataFrame) -> pd.Series:
    """Whether each run of runs.csv has diverged."""
    return runs["diverged_epoch"].notna() if "diverged_epoch" in runs else pd.Series(False, index=runs.index)


def identical(runs: pd.DataFrame, variant: str, other: str) -> bool:
    """Whether two variants' runs end with the same weights to the last bit, at every seed that both have.

    What sets such variants apart never acted, so there is nothing to test. Two runs that have both diverged do not show it, since
    weights that are not numbers are alike however they came about.
    """
    if "weights_final" not in runs:
        return False
    own = runs.assign(diverged=has_diverged(runs)).set_index(["variant", "seed"])[["weights_final", "diverged"]]
    known = own.index.get_level_values("variant")
    if not {variant, other} <= set(known):
        return False
    pairs = own.loc[variant].join(own.loc[other].add_suffix("_other"), how="inner")
    sound = ~(pairs["diverged"] & pairs["diverged_other"])
    return bool(sound.any() and (pairs["weights_final"] == pairs["weights_final_other"]).all())
