"""What the runs of a study say: paired comparisons, intervals and sample sizes.

The seed is the unit. Variants are compared in pairs of runs with the same seed, and every difference is in percentage
points of test accuracy. `docs/statistics.md` explains each choice and names its source. Nothing here draws from a
generator without a fixed seed, so equal runs give equal bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from math import nan, sqrt
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower

from temporal_shortcuts.analysis import moderation
from temporal_shortcuts.analysis.endpoints import SMOOTHING as SMOOTHING
from temporal_shortcuts.analysis.endpoints import Floats, available, of_runs
from temporal_shortcuts.analysis.moderation import OWN, Prior, borrowed_if_alike
from temporal_shortcuts.analysis.outcomes import identical
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import Study, Variant, published
from temporal_shortcuts.study.outputs import MOST_N, SMALLEST_N

BySeed = dict[str, dict[int, float]]

LEVEL = 0.05
"""Two-sided level of every test; 1 - LEVEL is the confidence of every interval."""
POWER = 0.80
RESOLUTION = 0.01
"""Points, one test image of 10,000: see `resolution`."""
SHOWN = 2
"""Decimals of a number of points in a text."""
EXACT_UP_TO = 20
"""Pairs up to which every sign pattern is enumerated; beyond it, `SIGN_DRAWS` random ones are drawn."""
SIGN_DRAWS = 99_999


def resolution(test_images: int) -> float:
    """Points, one test image: a smaller standard deviation of differences counts as this much.

    Accuracies are whole numbers of images, so equal differences prove no more than that the deviation is below one image.
    """
    return 100 / test_images


# One paired comparison ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """A variant against its reference; every field but `n`, the p-values and the correlation is in points."""

    n: int
    mean_difference: float
    sd_difference: float
    t_low: float
    t_high: float
    bca_low: float
    bca_high: float
    p_t: float
    p_sign_flip: float
    detectable_difference: float
    pair_correlation: float


def compare(
    variant_values: ArrayLike, reference_values: ArrayLike, floor: float = RESOLUTION, prior: Prior = OWN
) -> Comparison:
    """Compare two variants whose values, in percent, stand in pairs of the same seed: shapes `[n]` and `[n]`.

    What n cannot give is nan: everything at n = 0, all but the mean at n = 1, and at n = 2 both p-values, as nothing is tested below
    `SMALLEST_N`, the BCa interval and the correlation. `sd_difference` is as measured; the t interval, its p and the detectable
    difference use at least `floor` points in its place (`resolution`), so they are defined where all differences are equal, and what
    the `prior` of the endpoint makes of it.
    """
    variant, reference = np.asarray(variant_values, float), np.asarray(reference_values, float)
    differences = variant - reference
    n = len(differences)
    mean = round(float(differences.mean()), 9) if n else nan  # an exact 0 where the differences cancel
    sd, df = prior.spread(differences, floor) if n > 1 else (nan, nan)
    error = sd / sqrt(n) if n else nan
    t_low, t_high = (float(end) for end in stats.t.interval(1 - LEVEL, df, mean, error)) if n > 1 else (nan, nan)
    tested = n >= SMALLEST_N
    bca_low, bca_high = bca_interval(differences)
    return Comparison(
        n=n,
        mean_difference=mean,
        sd_difference=round(float(differences.std(ddof=1)), 9) if n > 1 else nan,
        t_low=t_low,
        t_high=t_high,
        bca_low=bca_low,
        bca_high=bca_high,
        p_t=float(2 * stats.t.sf(abs(mean) / error, df)) if tested else nan,
        p_sign_flip=sign_flip_p(differences) if tested else nan,
        detectable_difference=detectable_difference(n, sd, borrowed=prior.df),
        pair_correlation=_correlation(variant, reference),
    )


def standard_error(values: Floats, floor: float = RESOLUTION) -> float:
    """Of the mean of `values [n]`, in points, from a standard deviation of at least `floor`; nan below n = 2."""
    n = len(values)
    return OWN.spread(values, floor).sd / sqrt(n) if n > 1 else nan


def t_interval(values: ArrayLike, floor: float = RESOLUTION) -> tuple[float, float, float]:
    """(low, mean, high) of `values [n]`: the mean with its 95 % t interval, nan where n gives none."""
    values = np.asarray(values, float)
    n = len(values)
    mean = float(values.mean()) if n else nan
    reach = float(special.stdtrit(n - 1, 1 - LEVEL / 2)) * standard_error(values, floor) if n > 1 else nan
    return mean - reach, mean, mean + reach


def bca_interval(differences: Floats, resamples: int = 9_999) -> tuple[float, float]:
    """The bias-corrected and accelerated bootstrap interval (Efron, 1987) of the mean, with a fixed seed.

    It is nan below three differences, where three values or fewer can be drawn, and where all are equal, as every
    resample is then the sample. Below some ten it covers less than it says: the t interval stands beside it.
    """
    if len(differences) < SMALLEST_N or np.ptp(differences) < 1e-9:
        return nan, nan
    result = stats.bootstrap(
        (differences,), np.mean, n_resamples=resamples, confidence_level=1 - LEVEL, method="BCa", rng=_generator()
    )
    return float(result.confidence_interval.low), float(result.confidence_interval.high)


def sign_flip_p(differences: Floats) -> float:
    """Two-sided p of the sign-flip test of the mean: the share of sign patterns with a sum at least as far from 0.

    It assumes only that the differences are symmetric around 0 where there is no effect. Exact up to `EXACT_UP_TO`
    pairs; beyond, from random patterns of which the observed one is counted as one (Phipson and Smyth, 2010).
    """
    n = len(differences)
    if not n:
        return nan
    observed = abs(differences.sum()) - 1e-9 * np.abs(differences).sum()
    if n > EXACT_UP_TO:
        signs = _generator().choice(np.array([-1, 1], np.int8), size=(SIGN_DRAWS, n))
        return float((1 + np.count_nonzero(np.abs(signs @ differences) >= observed)) / (1 + SIGN_DRAWS))
    sums = differences[:1]  # the first sign stays: a pattern and its mirror image are equally far from 0
    for difference in differences[1:]:
        sums = np.concatenate([sums + difference, sums - difference])
    return float(np.mean(np.abs(sums) >= observed))


def _correlation(variant: Floats, reference: Floats) -> float:
    if len(variant) < 3 or min(np.ptp(variant), np.ptp(reference)) < 1e-9:
        return nan
    return float(np.corrcoef(variant, reference)[0, 1])


def _generator() -> np.random.Generator:
    return np.random.default_rng(0)


# Sample sizes ---------------------------------------------------------------------------------------------------------


def detectable_difference(n: int, sd: float, level: float = LEVEL, borrowed: float = 0.0) -> float:
    """The true mean difference that `n` pairs find with probability `POWER`: points, as `sd`; nan below n = 2.

    Here and below `borrowed` are degrees of freedom beyond n - 1, those of a moderated standard deviation.
    """
    return nan if n < 2 else _detectable_effect(n, level, borrowed) * sd


@cache
def _detectable_effect(n: int, level: float, borrowed: float) -> float:
    own = float(TTestPower().solve_power(effect_size=None, nobs=n, alpha=level / 2, power=POWER, alternative="larger"))
    return own if not borrowed else optimize.brentq(lambda effect: _power(effect, n, level, borrowed) - POWER, 0.0, own)


def _power(effect: float, n: ArrayLike, level: float, borrowed: float = 0.0) -> Any:
    """Of the t-test at the two-sided `level`, for an effect in standard deviations; nan stands for a power beyond all doubt."""
    n = np.asarray(n)
    return TTestPower().power(effect, n, level / 2, df=n - 1 + borrowed, alternative="larger")


def pairs_needed(mean_difference: float, sd: float, level: float = LEVEL, borrowed: float = 0.0) -> int:
    """Pairs with which a paired t-test at the two-sided `level` finds this true difference with probability `POWER`.

    At least `SMALLEST_N`; at most `MOST_N`, which then means: this many or more. `mean_difference` and `sd` (of the
    differences, raised to `RESOLUTION` if smaller) are in points.
    """
    effect = abs(mean_difference) / max(sd, RESOLUTION)
    return smallest_n(lambda n: not _power(effect, n, level, borrowed) < POWER)


def smallest_n(is_enough: Callable[[int], bool]) -> int:
    """The smallest number, `SMALLEST_N` to `MOST_N`, from which on every one is enough; `MOST_N` also where none is."""
    few, many = SMALLEST_N - 1, SMALLEST_N
    while not is_enough(many):
        if many >= MOST_N:
            return MOST_N
        few, many = many, min(2 * many, MOST_N)
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (few, middle) if is_enough(middle) else (middle, many)
    return many


def pairs_in_table(difference: float, sd: float, family: int, arms: int) -> tuple[int, int]:
    """Pairs that find a difference as the first of a `family` of comparisons (Holm), with own and with moderated variances.

    The latter borrow from as many `arms`, the null arms among them, as where these spread alike.
    """
    effect, level = abs(difference) / max(sd, RESOLUTION), LEVEL / max(family, 1)
    own = pairs_needed(difference, sd, level)
    found = (n for n in range(SMALLEST_N, own) if not _power(effect, n, level, borrowed_if_alike(arms, n)) < POWER)
    return own, next(found, own)


def sd_upper(sd: float, df: float, level: float = 1 - POWER) -> float:
    """The one-sided upper limit of a standard deviation with these degrees of freedom.

    A plan that takes it for the true one has the power that it is for with confidence 1 - `level` (Browne, 1995).
    """
    return sd * sqrt(df / float(special.chdtri(df, 1 - level)))


NODES, WEIGHTS = np.polynomial.legendre.leggauss(200)


def power_to_decide(
    n: int,
    mean: float,
    sd: float,
    margin: float,
    levels: tuple[float, float],
    about_margin: bool = False,
    borrowed: float = 0.0,
) -> float:
    """Probability that `n` differences decide, where these are normal with this `mean` and `sd`.

    They decide where the t-test finds a difference from 0, or two one-sided t-tests one below `margin`; `about_margin`: where the
    t-test finds it beyond the margin, or the two below. `levels` are those of the tests for larger and for smaller values. Exact:
    given the standard deviation as measured, the mean falls into an interval or not; over that deviation (chi distributed) the
    integral is taken numerically.
    """
    df = n - 1 + borrowed
    error = sd * np.sqrt(special.chdtri(df, (1 - NODES) / 2) / df / n)
    larger, smaller = levels
    limit = margin if about_margin else 0.0
    low = -limit + special.stdtrit(df, smaller / 2) * error  # from here to `high` the mean leaves the limit open,
    high = limit - special.stdtrit(df, larger / 2) * error
    inner_low = -margin - special.stdtrit(df, larger) * error  # and from here to `inner_high` it is within the margin
    inner_high = margin + special.stdtrit(df, smaller) * error
    lower_end, upper_end = np.clip(inner_low, low, high), np.clip(inner_high, low, high)
    scale = sd / sqrt(n)

    def between(start: Floats, end: Floats) -> Floats:
        return special.ndtr((end - mean) / scale) - special.ndtr((start - mean) / scale)

    gaps = between(low, lower_end) + between(upper_end, high)
    undecided = np.where(inner_low < inner_high, gaps, between(low, high))
    return float(1 - WEIGHTS / 2 @ undecided)


def pairs_to_decide(
    mean: float,
    sd: float,
    margin: float,
    levels: tuple[float, float],
    about_margin: bool = False,
    borrowed: float = 0.0,
) -> int:
    """Pairs with which `power_to_decide` is at least `POWER`: at least `SMALLEST_N`, at most `MOST_N` (this many or more)."""
    return smallest_n(lambda n: power_to_decide(n, mean, sd, margin, levels, about_margin, borrowed) >= POWER)


# The study's tables ---------------------------------------------------------------------------------------------------


def by_seed(runs: pd.DataFrame, endpoint: str) -> BySeed:
    """The endpoint in percent, by variant and seed. Raises `UserError` where a run has two rows."""
    values: BySeed = {}
    for variant, seed, value in zip(runs["variant"], runs["seed"], of_runs(runs, endpoint), strict=True):
        if seed in values.setdefault(variant, {}):
            raise UserError(f"runs.csv: there are two rows of {variant}, seed {seed}; keep one row a run.")
        values[variant][seed] = 100 * value
    return values


def paired(values: BySeed, variant: str, against: str) -> tuple[Floats, Floats]:
    """The values of two variants at the seeds that both have, ascending; empty where a variant has no run."""
    ours, theirs = in_common(values, variant, against)
    return ours, theirs


def in_common(values: BySeed, *variants: str) -> list[Floats]:
    """The values of each of the variants at the seeds that all of them have, ascending."""
    own = [values.get(name, {}) for name in variants]
    seeds = sorted(set.intersection(*map(set, own)))
    return [np.array([one[seed] for seed in seeds], float) for one in own]


def holm(p: ArrayLike) -> Floats:
    """Holm's adjusted p-values (1979); a test that could not be done (nan) counts in the family and stays nan."""
    p = np.asarray(p, float)
    if not len(p):
        return p
    return np.where(np.isnan(p), nan, multipletests(np.where(np.isnan(p), 1.0, p), method="holm")[1])


def rounded(frame: pd.DataFrame) -> pd.DataFrame:
    """Floats to six significant digits: more than they are worth, and the same on every processor's arithmetic."""
    floats = frame.select_dtypes("float").columns
    return frame.assign(**{name: frame[name].map(six_digits) for name in floats})


def six_digits(value: float) -> float:
    """A number to six significant digits; to more, ten at most, where a text that shows `SHOWN` decimals would round it another way."""
    forms = [float(f"{value:.{digits}g}") + 0.0 for digits in range(6, 11)]
    shown = f"{value:.{SHOWN}f}"
    return next((form for form in forms if f"{form:.{SHOWN}f}" == shown), forms[0])


COMPARISONS = [
    *("endpoint", "variant", "against", "null_arm", "n", "mean_difference", "sd_difference", "t_low", "t_high"),
    *("bca_low", "bca_high", "p_t", "p_sign_flip", "p_holm", "detectable_difference", "pair_correlation"),
    "published_difference",
]
MODERATED = ["df", "variances"]
"""Degrees of freedom of the t-test, and how the variances were estimated: `moderation.Prior.how`."""


def comparisons(study: Study, runs: pd.DataFrame, test_images: int = 10_000) -> pd.DataFrame:
    """`comparisons.csv`: each variant that has `against`, at each endpoint that the runs have, in the study's order.

    `runs` has the columns of `endpoints.endpoints`. `p_holm` is Holm's over the t-test's p within an endpoint; the family is
    every comparison that the study declares, whether its runs are there or not, without the null arms. Runs that are the same to the
    last bit are not tested. A study with moderated variances has the `MODERATED` columns besides.
    """
    floor = resolution(test_images)
    rows = [row for name in available(runs) for row in _compared(study, runs, name, floor)]
    added = MODERATED if study.variances == "moderated" else []
    frame = pd.DataFrame(rows, columns=COMPARISONS + added).astype(dict.fromkeys(COMPARISONS[5:], float))
    for _, family in frame[~frame["null_arm"].astype(bool)].groupby("endpoint"):
        frame.loc[family.index, "p_holm"] = holm(family["p_t"])
    return rounded(frame)


def _compared(study: Study, runs: pd.DataFrame, endpoint: str, floor: float) -> list[dict[str, Any]]:
    values = by_seed(runs, endpoint)
    prior = prior_of(study, values, endpoint, floor)
    rows = []
    for variant in _compared_variants(study):
        pair = variant.name, variant.reference.name
        found = compare(*paired(values, *pair), floor, prior)
        if identical(runs, *pair):
            found = replace(found, p_t=nan, p_sign_flip=nan)
        rows.append(
            {
                "endpoint": endpoint,
                "variant": variant.name,
                "against": variant.against,
                "null_arm": variant.is_null_arm,
                **asdict(found),
                "published_difference": published.difference(study, *pair),
                "df": found.n - 1 + prior.df if found.n > 1 else nan,
                "variances": prior.how,
            }
        )
    return rows


def prior_of(study: Study, values: BySeed, endpoint: str, floor: float) -> Prior:
    """What is known of the variances of all the study's comparisons at an endpoint, null arms among them, and of its claims' there."""
    if study.variances == "own":
        return OWN
    pairs = {frozenset((one.name, one.reference.name)): None for one in _compared_variants(study)}
    for claim in study.claims:
        if (claim.endpoint or study.endpoint) == endpoint and claim.test != "fails_to_converge":
            rivals = set(claim.among or [claim.than or ""]) - {claim.variant}
            pairs |= {frozenset((claim.variant, rival)): None for rival in sorted(rivals)}
    samples = [np.subtract(*paired(values, *sorted(pair))) for pair in pairs]
    return moderation.prior((sample for sample in samples if len(sample) >= SMALLEST_N), floor)


def _compared_variants(study: Study) -> list[Variant]:
    return [variant for variant in study.variants.values() if variant.against is not None]


# Seeds and test images ------------------------------------------------------------------------------------------------

BOOTSTRAP = ["variant", "against", "n_seeds", "n_images", "mean_difference", "low", "high"]


def image_bootstrap(
    study: Study,
    correct: Mapping[tuple[str, int], NDArray[np.bool_]],
    resamples: int = 2_000,
    counted: Mapping[tuple[str, int], float] | None = None,
) -> pd.DataFrame:
    """`image_bootstrap.csv`: 95 % percentile intervals of the difference from resampled seeds and test images (points).

    `correct[variant, seed]` is a boolean array `[n_images]`: which test images the run's final model gets right, in one
    order for all runs. Seeds and images are drawn with replacement, independently, and each pair counts by the product
    of its two counts: the crossed ("pigeonhole") bootstrap of Owen (2007). One draw of images serves every row, and a
    row depends on no other variant. Below three seeds there is no interval (nan). A run in `counted` has diverged, and its right answers
    count for less, so that its accuracy is this fraction. Raises `UserError` on unequal lengths.
    """
    images = {len(bits) for bits in correct.values()}
    if len(images) > 1:
        raise UserError(
            f"records: the files of right answers cover {min(images)} and {max(images)} test images; "
            "all runs of a study must be tested on the same images."
        )
    n_images, column = (images or {0}).pop(), {run: i for i, run in enumerate(correct)}
    sums = _resampled_sums(correct, n_images, resamples)
    for run, accuracy in (counted or {}).items():
        sums[:, column[run]] *= accuracy * n_images / max(sums[0, column[run]], 1)
    rows = []
    for variant, against in ((one.name, one.reference.name) for one in _compared_variants(study)):
        seeds = sorted(seed for name, seed in correct if name == variant and (against, seed) in correct)
        runs, references = [column[variant, s] for s in seeds], [column[against, s] for s in seeds]
        mean, low, high = _crossed(sums[:, runs] - sums[:, references], n_images)
        rows.append((variant, against, len(seeds), n_images, mean, low, high))
    return rounded(pd.DataFrame(rows, columns=BOOTSTRAP).astype(dict.fromkeys(BOOTSTRAP[4:], float)))


def _resampled_sums(
    correct: Mapping[tuple[str, int], NDArray[np.bool_]], n_images: int, resamples: int, batch: int = 200
) -> Floats:
    """Right answers of each run: in its row 0 over all images as they are, then over each resample of the images.

    Shape `[1 + resamples, n_runs]`. Whole numbers below 2**24, so single precision is exact in any order of adding.
    """
    if not n_images:
        return np.zeros((1 + resamples, len(correct)))
    bits = np.stack(list(correct.values()), axis=1).astype(np.float32)
    generator, sums = _generator(), [bits.sum(axis=0, keepdims=True)]
    for start in range(0, resamples, batch):
        rows = min(batch, resamples - start)
        drawn = generator.integers(n_images, size=(rows, n_images)) + n_images * np.arange(rows)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=rows * n_images).reshape(rows, n_images)
        sums.append(counts.astype(np.float32) @ bits)
    return np.concatenate(sums).astype(float)


def _crossed(differences: Floats, n_images: int) -> tuple[float, float, float]:
    """Mean and interval in points, from sums of differences `[1 + resamples, n_seeds]` over images (row 0: as is)."""
    resamples, n_seeds = len(differences) - 1, differences.shape[1]
    if not n_seeds:
        return nan, nan, nan
    points = 100 * differences / (n_seeds * n_images)
    if n_seeds < SMALLEST_N:
        return float(points[0].sum()), nan, nan
    counts = _generator().multinomial(n_seeds, [1 / n_seeds] * n_seeds, size=resamples)
    low, high = np.quantile((counts * points[1:]).sum(axis=1), [LEVEL / 2, 1 - LEVEL / 2])
    return float(points[0].sum()), float(low), float(high)
