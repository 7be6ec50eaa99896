"""The verdict on each claim of a study: supported, contradicted, negligible or undecided, at a family-wise level of 5 %.

A claim says that something is larger than something else, or that it differs by no more than a margin. It is turned so that *true*
means *positive*, tested from both sides by t-tests on its endpoint, and judged by Holm's method over all claims of the study.
Every verdict can be read off one interval. `docs/statistics.md` says how, and at which n which verdict is possible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import isnan, nan, sqrt
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import special

from temporal_shortcuts.analysis import endpoints
from temporal_shortcuts.analysis.statistics import (
    LEVEL,
    RESOLUTION,
    SMALLEST_N,
    BySeed,
    Floats,
    by_seed,
    paired,
    pairs_needed,
    pairs_to_decide,
    resolution,
    rounded,
    sign_flip_p,
    standard_error,
)
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import Claim, Study

COLUMNS = [
    *(
        "id",
        "text",
        "published",
        "test",
        "variant",
        "than",
        "endpoint",
        "margin",
        "n",
        "estimate",
        "low",
        "high",
        "level",
    ),
    *("p", "p_margin", "p_sign_flip", "p_holm", "verdict", "needed_n", "smallest_n"),
]
VERDICTS = ("supported", "contradicted", "negligible", "undecided")
CONTRARY = ("not_better", "fails_to_converge")
"""Tests of claims that a negative difference speaks for."""


def verdicts(study: Study, runs: pd.DataFrame, test_images: int = 10_000) -> pd.DataFrame:
    """`claims.csv`: one row a claim of `study.claims`, in its order, from `runs` with the columns of `endpoints.endpoints`.

    `estimate`, `low` and `high` are in points: of the paired difference, or, for `fails_to_converge`, of the accuracy
    itself; for `best_of` of the smallest difference from a rival. `low` to `high` is the interval of the test that the verdict
    rests on, of confidence 1 - `level`: it leaves out the claim's limit (0, or the threshold), lies within the margin, or does
    neither. `p` belongs to the limit, `p_margin` to the margin (two one-sided tests), and `p_holm` is the adjusted one of those two
    that the verdict rests on. `p_sign_flip` is the sign-flip test's p, for comparison; no verdict uses it. Fewer seeds than
    `smallest_n` are not tested (no p, no interval). `needed_n` is missing where decided, and where fewer than two seeds leave the
    standard deviation unknown; 10,000 means that or more. Raises `UserError` on a claim that cannot be judged.
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
    values = {}
    for claim in claims:
        if not set(endpoints.needed(claim.endpoint)) <= set(runs.columns):
            raise UserError(
                f"claims: {claim.id} rests on the endpoint {claim.endpoint}, which the records do not hold; name another "
                "endpoint, or set protocol.average_from or protocol.evaluate_with_carry, which records it."
            )
        values[claim.endpoint] = by_seed(runs, claim.endpoint)
    failed = {
        (row.variant, row.seed) for row in runs.itertuples() if not pd.isna(getattr(row, "diverged_epoch", pd.NA))
    }
    rows = judge(claims, values, resolution(test_images), failed)
    return rounded(pd.DataFrame(rows, columns=COLUMNS).astype({"needed_n": "Int64", "margin": float}))


def judge(
    claims: Sequence[Claim],
    values: Mapping[str, BySeed],
    floor: float = RESOLUTION,
    diverged: AbstractSet[tuple[str, int]] = frozenset(),
) -> list[dict[str, Any]]:
    """The rows of `verdicts`, unrounded; `claims`, each with its `endpoint` and `margin`, is the family.

    `values` are in percent, by endpoint, variant and seed; `floor` is the least standard deviation that counts (`resolution`).
    """
    return [claim.row(*steps) for claim, steps in _tested(claims, values, floor, diverged)]


def decide(claims: Sequence[Claim], values: Mapping[str, BySeed], floor: float = RESOLUTION) -> list[str]:
    """The verdicts of `judge` alone, for simulations."""
    return [claim.verdict(*steps) for claim, steps in _tested(claims, values, floor, frozenset())]


def _tested(
    claims: Sequence[Claim],
    values: Mapping[str, BySeed],
    floor: float,
    diverged: AbstractSet[tuple[str, int]],
) -> list[tuple[_Claim, tuple[Step, Step]]]:
    judged = [_Claim(claim, values[claim.endpoint], floor, diverged) for claim in claims]
    steps = step_down([claim.p for claim in judged], [claim.p_margin for claim in judged])
    return list(zip(judged, steps, strict=True))


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

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        return float(self.values.mean()) if self.n else nan

    @property
    def error(self) -> float:
        return standard_error(self.values, self.floor)

    def p_above(self, limit: float) -> float:
        """One-sided p of the t-test (Student's distribution function): small where the mean looks larger than `limit`."""
        return float(special.stdtr(self.n - 1, (limit - self.mean) / self.error))

    def p_below(self, limit: float) -> float:
        return float(special.stdtr(self.n - 1, (self.mean - limit) / self.error))

    def bound(self, level: float) -> float:
        """How far the one-sided bound at `level` lies from the mean."""
        return float(-special.stdtrit(self.n - 1, level)) * self.error


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
    ) -> None:
        self.claim, self.margin = claim, _margin(claim)
        self.sign = -1 if claim.test in CONTRARY else 1
        self.limit, arrays = _evidence(claim, values, diverged)
        self.samples = [_Sample(self.sign * (array - self.limit), floor) for array in arrays]
        self.tested = min(sample.n for sample in self.samples) >= SMALLEST_N
        self.about_margin = claim.test == "negligible"
        key = (lambda sample: sample.mean) if self.tested else (lambda sample: sample.n)
        self.weakest = min(self.samples, key=key)
        self.p_true = self.p_false = self.p_margin = nan
        if self.tested:
            self._test()
        self.p = nan if isnan(self.p_true) else min(1.0, self.p_true, self.p_false)

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
            "needed_n": pd.NA if step.rejected or self.weakest.n < 2 else self._needed_n(step.level),
            "smallest_n": SMALLEST_N,
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

    def _needed_n(self, level: float) -> int:
        """Seeds that decide with 80 % probability if the truth were as observed; with a margin, decide it either way."""
        sample = self.weakest
        sd, levels = sample.error * sqrt(sample.n), (level, self._level_above(level))
        if self.margin is None:
            return pairs_needed(sample.mean, sd, levels[0] if sample.mean > 0 else levels[1])
        needed = pairs_to_decide(sample.mean, sd, self.margin, levels, self.about_margin)
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
    rivals = [rival for rival in claim.among or [claim.than or ""] if rival != variant]
    if not rivals:
        raise UserError(f"claims: {claim.id} needs at least one rival of {variant} in among.")
    return 0.0, [_difference(values, variant, rival) for rival in rivals]


def _difference(values: BySeed, variant: str, than: str) -> Floats:
    ours, theirs = paired(values, variant, than)
    return ours - theirs


def _at_failure(value: float, limit: float, diverged: bool) -> float:
    """A diverged run has failed to converge whatever it answers: where its accuracy is not below the limit, half the limit counts."""
    return limit / 2 if diverged and value >= limit else value
