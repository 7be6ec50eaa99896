"""Moderated variances: each comparison's variance is drawn towards what the comparisons of an endpoint have in common (Smyth, 2004).

With three to five seeds a variance is hardly known, and the t-test pays for it; the arms of one study together know it well. Smyth's
model: arm i has s_i^2 ~ sigma_i^2 chi2(d_i)/d_i, and sigma_i^2 ~ s0^2 d0/chi2(d0). Then (d0 s0^2 + d_i s_i^2)/(d0 + d_i) takes the
place of s_i^2 in the t-test, with d0 + d_i degrees of freedom.

The estimate of d0 is that of the R package limma, and too bold at the few arms that a study has: how much is borrowed is limited
(`_lent`), so that any wrong verdict of a study keeps to 5 % (benchmarks/error_rates.py, docs/statistics.md).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import nan
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]

MOST = 4.0
"""Degrees of freedom that are borrowed at most."""
SURE = 2.326
"""One-sided 99 % point of the normal distribution: how sure it must be that the spreads do not differ more than is assumed."""
FADES = (0.4, 1.2)
"""Between so many degrees of freedom borrowing fades out: below, the spreads differ too much, and each comparison keeps its own variance.
A sharp limit would do harm, since where it is crossed by chance some of these variances are small by chance."""
FEWEST, FEWEST_DF = 5, 12
"""Comparisons and their degrees of freedom together, below which nothing is borrowed: three seeds take six arms, four take five."""


def fit(variances: ArrayLike, df: ArrayLike) -> tuple[Floats, Floats]:
    """limma's `fitFDist`: d0 (inf where the spreads look alike) and s0^2 from variances and their df, both `[..., arms]`.

    Smyth's moments (2004, section 6.2): with e = log s^2 - digamma(d/2) + log(d/2), trigamma(d0/2) is what the variance of e over the
    arms exceeds the mean of trigamma(d/2) by, and log s0^2 the mean of e + digamma(d0/2) - log(d0/2).
    """
    variances, df = np.broadcast_arrays(np.asarray(variances, float), np.asarray(df, float))
    mean, excess, _ = _moments(variances, df)
    differ = excess > 0
    half = _trigamma_inverse(np.where(differ, excess, 1.0))
    pooled = np.exp(mean + special.digamma(half) - np.log(half))
    return np.where(differ, 2 * half, np.inf), np.where(differ, pooled, variances.mean(axis=-1))


def borrowed(variances: ArrayLike, df: ArrayLike) -> Floats:
    """The degrees of freedom that each arm borrows, `[...]` from `[..., arms]`; 0 where the arms are too few or differ too much."""
    variances, df = np.broadcast_arrays(np.asarray(variances, float), np.asarray(df, float))
    if variances.shape[-1] < FEWEST:
        return np.zeros(variances.shape[:-1])
    _, excess, error = _moments(variances, df)
    return _lent(excess, error, df)


def borrowed_if_alike(arms: int, seeds: int) -> float:
    """What each of so many arms with so many seeds borrows where their variances differ as much as by chance: for planning."""
    if arms < FEWEST or seeds < 2:
        return 0.0
    df = np.full(arms, seeds - 1.0)
    _, _, error = _moments(np.ones(arms), df)
    return float(_lent(np.zeros(()), error, df))


def _lent(excess: Floats, error: Floats, df: Floats) -> Floats:
    """d0 at the upper 99 % limit of trigamma(d0/2); at most `MOST`; and at most half as many as there are arms beyond three, as s0^2
    is itself estimated from them; fading out as `FADES` says."""
    most = min(MOST, (df.shape[-1] - 3) / 2)
    lent = np.minimum(2 * _trigamma_inverse(np.maximum(excess + SURE * error, 1e-3)), most)
    lent = lent * np.clip((lent - FADES[0]) / (FADES[1] - FADES[0]), 0, 1)
    return np.where(df.sum(axis=-1) < FEWEST_DF, 0.0, lent)


def _moments(variances: Floats, df: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean of e; the variance of e beyond that of chi2 variates; and its standard error."""
    arms = variances.shape[-1]
    e = np.log(variances) - special.digamma(df / 2) + np.log(df / 2)
    by_chance = special.polygamma(1, df / 2).mean(axis=-1)
    excess = e.var(axis=-1, ddof=1) - by_chance
    total = by_chance + np.maximum(excess, 0)
    fourth_cumulant = special.polygamma(3, df / 2).mean(axis=-1)
    return e.mean(axis=-1), excess, np.sqrt(2 * total**2 / (arms - 1) + fourth_cumulant / arms)


def _trigamma_inverse(value: Floats) -> Floats:
    """y with trigamma(y) = value > 0, by Newton's method on 1/trigamma, which is convex (Smyth, 2004, appendix)."""
    y = 0.5 + 1 / value
    for _ in range(50):
        trigamma = special.polygamma(1, y)
        step = trigamma * (1 - trigamma / value) / special.polygamma(2, y)
        y = y + step
        if np.all(-step / y < 1e-9):
            break
    return y


# For one endpoint -----------------------------------------------------------------------------------------------------


class Spread(NamedTuple):
    """Standard deviation of a comparison's differences, in points, and its degrees of freedom."""

    sd: float
    df: float


@dataclass(frozen=True)
class Prior:
    """What a study's comparisons at one endpoint have in common, and what each of them takes from it."""

    how: str = "own"
    """`own`, as the study says; `moderated`; or why not: `too_few` comparisons, or `too_different` spreads."""
    variance: float = nan
    df: float = 0.0

    def spread(self, values: Floats, floor: float) -> Spread:
        """Of the differences `values [n]`, n at least 2; their own deviation counts as `floor` points at least."""
        df, own = len(values) - 1, max(float(values.std(ddof=1)), floor)
        if not self.df:
            return Spread(own, df)
        total = self.df + df
        return Spread(float(np.sqrt((self.df * self.variance + df * own**2) / total)), total)


OWN = Prior()
WORDS = {
    "own": "each comparison's own variance",
    "moderated": "variances moderated by those of all comparisons (Smyth, 2004)",
    "too_few": "each comparison's own variance, as there are too few comparisons and seeds to moderate them",
    "too_different": "each comparison's own variance, as the spreads differ too much to moderate them",
}
"""What the column `variances` of comparisons.csv and claims.csv says, in words."""


def prior(samples: Iterable[Floats], floor: float) -> Prior:
    """The prior of an endpoint's comparisons, each its differences `[n]` in points, n at least 3."""
    samples = list(samples)
    variances = np.array([max(float(sample.std(ddof=1)), floor) ** 2 for sample in samples])
    df = np.array([len(sample) - 1.0 for sample in samples])
    if len(samples) < FEWEST or df.sum() < FEWEST_DF:
        return Prior("too_few")
    lent = float(borrowed(variances, df))
    return Prior("moderated", float(fit(variances, df)[1]), lent) if lent else Prior("too_different")
