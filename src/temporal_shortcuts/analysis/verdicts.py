"""The verdict on each claim of a study: supported, contradicted, negligible or undecided, at a family-wise level of 5 %.

A claim says that something is larger than something else, or that it differs by no more than a margin. It is turned so that *true*
means *positive*, tested from both sides by t-tests on its endpoint, and judged by Holm's method over all claims of the study, or of
its stage. Every verdict can be read off one interval. `docs/statistics.md` says how, and at which n which verdict is possible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cached_property
from math import isnan, nan, sqrt
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from pandas._libs.missing import NAType
from scipy import special

from temporal_shortcuts.analysis import endpoints
from temporal_shortcuts.analysis.moderation import OWN, Prior, Spread
from temporal_shortcuts.analysis.outcomes import identical
from temporal_shortcuts.analysis.statistics import (
    LEVEL,
    RESOLUTION,
    SMALLEST_N,
    BySeed,
    Floats,
    by_seed,
    in_common,
    pairs_needed,
    pairs_to_decide,
    prior_of,
    resolution,
    rounded,
    sd_upper,
    sign_flip_p,
)
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import Claim, Study

COLUMNS = [
    *("id", "text", "published", "test", "variant", "than", "endpoint", "margin", "n", "estimate", "low", "high"),
    *("level", "p", "p_margin", "p_sign_flip", "p_holm", "verdict", "needed_n", "smallest_n"),
]
STAGED = "stage"
NOT_TESTED = "not_tested"
VERDICTS = ("supported", "contradicted", "negligible", "undecided")
CONTRARY = ("not_better", "fails_to_converge")
"""Tests of claims that a negative difference speaks for."""


def verdicts(study: Study, runs: pd.DataFrame, test_images: int = 10_000) -> pd.DataFrame:
    """`claims.csv`: one row a claim of `study.claims`, in its order, from `runs` with the columns of `endpoints.endpoints`.

    `estimate`, `low` and `high` are in points: of the paired difference, or, for `fails_to_converge`, of the accuracy
    itself; for `best_of` of the smallest difference from a rival, over the seeds that all of them have. `margin` is the one that
    decides: the claim's own, else the study's. `low` to `high` is the interval of the test that the verdict
    rests on, of confidence 1 - `level`: it leaves out the claim's limit (0, or the threshold), lies within the margin, or does
    neither. `p` belongs to the limit, `p_margin` to the margin (two one-sided tests), and `p_holm` is the adjusted one of those two
    that the verdict rests on. `p_sign_flip` is the sign-flip test's p, for comparison; no verdict uses it. What is not tested
    (`why_not_tested`) has no p and no interval. `needed_n` is missing where decided, and where nothing can be planned: below two seeds,
    or too near the margin; 10,000 means that or more. A study with moderated variances has the columns `df` and `variances` besides,
    one whose claims have stages `stage`, and one with claims that were not tested although there are seeds enough `not_tested`.
    Raises `UserError` on a claim that cannot be judged.
    """
    claims = [
        claim.model_copy(
            update={
                "endpoint": claim.endpoint or study.endpoint,
                "margin": study.margin if claim.margin is None else claim.margin,
            }
        )
        for claim in study.claims
    ]
    values, floor = {}, resolution(test_images)
    for claim in claims:
        if not set(endpoints.needed(claim.endpoint)) <= set(runs.columns):
            raise UserError(
                f"claims: {claim.id} rests on the endpoint {claim.endpoint}, which the records do not hold; name another "
                "endpoint, or set protocol.average_from or protocol.evaluate_with_carry, which records it."
            )
        values[claim.endpoint] = by_seed(runs, claim.endpoint)
    priors = {endpoint: prior_of(study, own, endpoint, floor) for endpoint, own in values.items()}
    failed = {
        (row.variant, row.seed) for row in runs.itertuples() if not pd.isna(getattr(row, "diverged_epoch", pd.NA))
    }
    same = {claim.id for claim in claims if any(identical(runs, claim.variant, rival) for rival in rivals_of(claim))}
    rows = [claim.row(*steps) for claim, steps in judge(claims, values, floor, failed, priors, same)]
    added = [*(["df", "variances"] if study.variances == "moderated" else [])]
    added += [STAGED] if any(claim.stage > 1 for claim in claims) else []
    added += [NOT_TESTED] if any(row[NOT_TESTED] in OTHER_REASONS for row in rows) else []
    return rounded(pd.DataFrame(rows, columns=COLUMNS + added).astype({"needed_n": "Int64", "margin": float}))


def decide(
    claims: Sequence[Claim],
    values: Mapping[str, BySeed],
    floor: float = RESOLUTION,
    priors: Mapping[str, Prior] = MappingProxyType({}),
) -> list[str]:
    """The verdicts alone, of claims with an `endpoint` and a `margin` each, for simulations."""
    return [claim.verdict(*steps) for claim, steps in judge(claims, values, floor, priors=priors)]


def why_not_tested(row: Mapping[str, Any]) -> str:
    """Why a claim of claims.csv, or a comparison of comparisons.csv, was not tested, in words for a table; empty where it was."""
    fewest = row.get("smallest_n", SMALLEST_N)
    if row["n"] < fewest:
        return f"{row['n']} of {fewest} seeds" if row["n"] else "no seed in common"
    reason = row.get(NOT_TESTED) or (
        "identical" if isnan(row.get("p_t", 0)) else ""
    )  # of a comparison, which has no other
    return OTHER_REASONS.get(reason, "")


OTHER_REASONS = {
    "identical": "its runs are the same to the last bit",
    "stage": "a claim of an earlier stage is open",
}
"""What `not_tested` says where there are seeds enough, and in words."""


def cannot_be_planned(row: Mapping[str, Any]) -> bool:
    """Whether an undecided claim of claims.csv lies too near the margin for a number of seeds to be named that would decide it."""
    return row["verdict"] == "undecided" and not why_not_tested(row) and bool(pd.isna(row["needed_n"]))


def judge(
    claims: Sequence[Claim],
    values: Mapping[str, BySeed],
    floor: float = RESOLUTION,
    diverged: AbstractSet[tuple[str, int]] = frozenset(),
    priors: Mapping[str, Prior] = MappingProxyType({}),
    same: AbstractSet[str] = frozenset(),
) -> list[tuple[_Claim, tuple[Step, Step]]]:
    """Each claim with its steps: the stages one after another, each at the whole level as long as all before it are settled.

    `claims`, each with its `endpoint` and `margin`, is the family. `values` are in percent, by endpoint, variant and seed; `floor` is the
    least standard deviation that counts (`resolution`); `priors` are the endpoints' (own variances where none is given), and `same` the
    claims, by id, that compare identical runs.
    """
    judged = [
        _Claim(claim, values[claim.endpoint], floor, diverged, priors.get(claim.endpoint, OWN), claim.id in same)
        for claim in claims
    ]
    steps: dict[int, tuple[Step, Step]] = {}
    gate = True
    for stage in sorted({claim.stage for claim in claims}):
        own = [index for index, claim in enumerate(claims) if claim.stage == stage]
        if not gate:
            for index in own:
                judged[index].leave_untested("stage")
        found = step_down([judged[index].p for index in own], [judged[index].p_margin for index in own])
        steps |= dict(zip(own, found, strict=True))
        gate = gate and all(judged[index].is_settled(*steps[index]) for index in own)
    return [(judged[index], steps[index]) for index in range(len(claims))]


# The family -----------------------------------------------------------------------------------------------------------


class Step(NamedTuple):
    """What the step-down procedure made of one hypothesis."""

    rejected: bool
    adjusted: float
    """The family-wise level from which on it is rejected; nan where it could not be tested."""
    level: float
    """The level at which it was tested, which is the first failure's for all that come after."""


def step_down(p: Sequence[float], p_margin: Sequence[float]) -> list[tuple[Step, Step]]:
    """Holm's method over claims, each with one hypothesis, `d = 0` by its `p`, or with `|d| >= margin` by its `p_margin` besides.

    The smallest p is tested first, at LEVEL / (claims with an open hypothesis), and the first failure ends it: without margins
    this is Holm's method (1979). Of the two hypotheses of one claim one at most is true, and of the two one-sided tests against the
    margin one at most can err, so a claim counts once (Shaffer, 1986); but it counts until both are rejected, however certain its
    sign: it can still be called negligible wrongly. Missing p-values stay open, a missing `p_margin` stands for no margin.
    """
    tests = sorted(
        [(value, 0, index) for index, value in enumerate(p) if not isnan(value)]
        + [(value, 1, index) for index, value in enumerate(p_margin) if not isnan(value)]
    )
    hypotheses = Counter(range(len(p))) + Counter(index for _, kind, index in tests if kind)  # open ones of each claim
    steps, adjusted, level = {}, 0.0, LEVEL
    for value, kind, index in tests:
        level = level if adjusted > LEVEL else LEVEL / len(hypotheses)
        adjusted = max(adjusted, min(1.0, value * len(hypotheses)))
        steps[kind, index] = Step(adjusted <= LEVEL, adjusted, level)
        hypotheses -= Counter([index])
    if adjusted <= LEVEL and hypotheses:
        level = LEVEL / len(hypotheses)
    untested = Step(False, nan, level)
    return [(steps.get((0, index), untested), steps.get((1, index), untested)) for index in range(len(p))]


# A claim --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Sample:
    """Differences of one claim from its limit, in points, turned so that positive values speak for it."""

    values: Floats
    floor: float
    prior: Prior

    @property
    def n(self) -> int:
        return len(self.values)

    @cached_property
    def mean(self) -> float:
        return float(self.values.mean()) if self.n else nan

    @cached_property
    def spread(self) -> Spread:
        return self.prior.spread(self.values, self.floor) if self.n > 1 else Spread(nan, nan)

    @cached_property
    def error(self) -> float:
        return self.spread.sd / sqrt(self.n)

    def p_above(self, limit: float) -> float:
        """One-sided p of the t-test (Student's distribution function): small where the mean looks larger than `limit`."""
        return float(special.stdtr(self.spread.df, (limit - self.mean) / self.error))

    def p_below(self, limit: float) -> float:
        return float(special.stdtr(self.spread.df, (self.mean - limit) / self.error))

    def bound(self, level: float) -> float:
        """How far the one-sided bound at `level` lies from the mean."""
        return float(-special.stdtrit(self.spread.df, level)) * self.error

    def needed(self, level: float) -> int:
        """Pairs that find the mean to be on this side of 0, if the truth is as observed."""
        return pairs_needed(self.mean, self.spread.sd, level, self.prior.df)


class _Claim:
    """A claim and its evidence: one sample, or one for each rival of `best_of`; what is judged is the smallest of their means.

    The smallest is above a limit if every one is, so its p is the largest (an intersection-union test, which needs no
    correction: Berger, 1982); it is below if any one is, so the smallest p counts as many times as there are samples
    (Bonferroni). With one sample this is the two-sided t-test.
    """

    def __init__(
        self,
        claim: Claim,
        values: BySeed,
        floor: float,
        diverged: AbstractSet[tuple[str, int]] = frozenset(),
        prior: Prior = OWN,
        same: bool = False,
    ) -> None:
        self.claim, self.margin = claim, _margin(claim)
        self.sign = -1 if claim.test in CONTRARY else 1
        self.limit, arrays = _evidence(claim, values, diverged)
        prior = OWN if claim.test == "fails_to_converge" else prior  # of differences, not of accuracies
        self.samples = [_Sample(self.sign * (array - self.limit), floor, prior) for array in arrays]
        self.about_margin = claim.test == "negligible"
        enough = self.samples[0].n >= SMALLEST_N
        self.not_tested = ("identical" if same else "") if enough else "seeds"
        self.weakest = min(self.samples, key=lambda sample: sample.mean) if self.samples[0].n else self.samples[0]
        self.p_true = self.p_false = self.p_margin = self.p = nan
        if not self.not_tested:
            self._test()
            self.p = min(1.0, self.p_true, self.p_false)

    @property
    def tested(self) -> bool:
        return not self.not_tested

    def leave_untested(self, why: str) -> None:
        """As a claim whose stage is not reached: it has no p, so that nothing can be read from it."""
        self.not_tested = self.not_tested or why
        self.p_true = self.p_false = self.p_margin = self.p = nan

    def is_settled(self, of_limit: Step, of_margin: Step) -> bool:
        """Whether nothing of the claim is open, so that the next stage may be tested at the whole level.

        Without a margin, or about one, that is a verdict. A claim beside which there is a margin has a second hypothesis, which could
        still be rejected wrongly: it must be known as well whether its difference is within the margin or beyond it.
        """
        if isnan(self.p_margin):
            return of_limit.rejected
        assert self.margin is not None
        beyond = 2 * min(self._p_above(self.margin), self._p_below(-self.margin)) <= of_margin.level
        return of_limit.rejected and (of_margin.rejected or beyond)

    def _test(self) -> None:
        """p small where the claim looks true, where it looks false, and where its difference looks smaller than the margin."""
        margin = self.margin
        if margin is not None:
            within = max(self._p_above(-margin), self._p_below(margin))  # two one-sided tests (Schuirmann, 1987)
        if self.about_margin:
            self.p_true, self.p_false = within, 2 * min(self._p_above(margin), self._p_below(-margin))
        else:
            self.p_true, self.p_false = 2 * self._p_above(0.0), 2 * self._p_below(0.0)
            self.p_margin = nan if margin is None else within

    def _p_above(self, limit: float) -> float:
        return max(sample.p_above(limit) for sample in self.samples)

    def _p_below(self, limit: float) -> float:
        return min(1.0, len(self.samples) * min(sample.p_below(limit) for sample in self.samples))

    def row(self, of_limit: Step, of_margin: Step) -> dict[str, Any]:
        """The claim's row of `claims.csv`, from what Holm's method made of its limit and of its margin."""
        step, verdict = of_margin if of_margin.rejected else of_limit, self.verdict(of_limit, of_margin)
        within = of_margin.rejected or (self.about_margin and verdict == "supported")
        level = 2 * step.level if within else step.level  # each of two one-sided tests is made at the whole level
        low, high = self._interval(level)
        return {
            **self.claim.model_dump(include={"id", "text", "test", "variant", "endpoint"}),
            "published": self.claim.published or "",
            "than": ", ".join(self.claim.among or [self.claim.than or ""]),
            "margin": nan if self.margin is None else self.margin,
            "n": self.weakest.n,
            "estimate": self.limit + self.sign * self.weakest.mean,
            "low": low,
            "high": high,
            "level": level,
            "p": self.p,
            "p_margin": self.p_margin,
            "p_sign_flip": self._p_sign_flip() if self.tested and not self.about_margin else nan,
            "p_holm": step.adjusted,
            "verdict": verdict,
            "needed_n": pd.NA
            if step.rejected or self.weakest.n < 2 or self.not_tested in OTHER_REASONS
            else self._needed_n(step.level),
            "smallest_n": SMALLEST_N,
            "df": self.weakest.spread.df,
            "variances": self.weakest.prior.how,
            STAGED: self.claim.stage,
            NOT_TESTED: self.not_tested,
        }

    def verdict(self, of_limit: Step, of_margin: Step) -> str:
        """A difference that is too small to matter is negligible however well its sign is known."""
        if of_margin.rejected:
            return "negligible"
        if of_limit.rejected:
            return "supported" if self.p_true < self.p_false else "contradicted"
        return "undecided"

    def _level_above(self, level: float) -> float:
        return level / len(self.samples)

    def _interval(self, level: float) -> tuple[float, float]:
        if not self.tested:
            return nan, nan
        ends = (
            min(sample.mean - sample.bound(level / 2) for sample in self.samples),
            min(sample.mean + sample.bound(self._level_above(level) / 2) for sample in self.samples),
        )
        low, high = sorted(self.limit + self.sign * end for end in ends)
        return low, high

    def _needed_n(self, level: float) -> int | NAType:
        """Seeds that decide with 80 % probability if the truth is as observed; with a margin, decide it either way.

        Of a claim that two are equal the truth is taken to be a difference of 0 if the estimate lies within the margin, and the
        standard deviation its upper limit (`sd_upper`). Where the estimate is nearer to the margin than to 0, and less than its
        standard error from it, no number of seeds can be named.
        """
        sample = self.weakest
        sd, df = sample.spread
        levels, mean = (level, self._level_above(level)), sample.mean
        if self.margin is None:
            needed = sample.needed(levels[0] if mean > 0 else levels[1])
        else:
            if self.about_margin:
                if abs(mean) > self.margin / 2 and abs(abs(mean) - self.margin) < sample.error:
                    return pd.NA
                if abs(mean) < self.margin:
                    mean, sd = 0.0, sd_upper(sd, df)
            needed = pairs_to_decide(mean, sd, self.margin, levels, self.about_margin, sample.prior.df)
        if sample.mean > 0:  # then every rival has to be beaten, and the widest spread may be another's
            others = [one for one in self.samples if one is not sample]
            needed = max([needed, *(one.needed(level) for one in others)])
        return max(needed, sample.n + 1)  # this many did not decide

    def _p_sign_flip(self) -> float:
        against = [sign_flip_p(sample.values) for sample in self.samples if sample.mean <= 0]
        if against:
            return min(1.0, len(self.samples) * min(against))
        return max(sign_flip_p(sample.values) for sample in self.samples)


def _margin(claim: Claim) -> float | None:
    """The smallest difference that matters, in points; None where the study fixes none, or where the claim is about no difference."""
    margin = claim.margin
    if claim.test == "fails_to_converge" or (margin is None and claim.test != "negligible"):
        return None
    if margin is None:
        raise UserError(f"claims: {claim.id} is about a margin and has none; give it one, or the whole study.")
    return margin


def _evidence(claim: Claim, values: BySeed, diverged: AbstractSet[tuple[str, int]]) -> tuple[float, list[Floats]]:
    """The claim's limit in points, and what is compared with it, an array a rival."""
    variant = claim.variant
    if claim.test == "fails_to_converge":
        assert claim.threshold is not None
        limit, alone = 100 * claim.threshold, sorted(values.get(variant, {}).items())
        return limit, [np.array([_at_failure(x, limit, (variant, seed) in diverged) for seed, x in alone])]
    rivals = rivals_of(claim)
    if not rivals:
        raise UserError(f"claims: {claim.id} needs at least one rival of {variant} in among.")
    ours, *theirs = in_common(values, variant, *rivals)  # so that means and n are of one set of seeds
    return 0.0, [ours - other for other in theirs]


def rivals_of(claim: Claim) -> list[str]:
    """The variants that a claim compares its own with; none where it is about accuracy itself."""
    return [rival for rival in claim.among or [claim.than] if rival not in (None, claim.variant)]


def _at_failure(value: float, limit: float, diverged: bool) -> float:
    """A diverged run has failed to converge whatever it answers: where its accuracy is not below the limit, half the limit counts."""
    return limit / 2 if diverged and value >= limit else value
