"""The verdict on each claim of a study: supported, contradicted or undecided, at a family-wise level of 5 %.

A claim says that something is larger than something else. It is turned so that *true* means *positive*, tested from
both sides by t-tests on the primary endpoint, and judged by Holm's method over all claims of the study.
`docs/statistics.md` says how to read a verdict, and at which n which verdict is possible.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import nan, sqrt
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import special

from temporal_shortcuts.analysis.statistics import (
    LEVEL,
    PRIMARY,
    SMALLEST_N,
    BySeed,
    Floats,
    Study,
    by_seed,
    holm,
    paired,
    pairs_needed,
    rounded,
    sign_flip_p,
    standard_error,
)
from temporal_shortcuts.errors import UserError

COLUMNS = [
    *("id", "text", "published", "test", "variant", "than", "n", "estimate", "low", "high", "level"),
    *("p", "p_sign_flip", "p_holm", "verdict", "needed_n", "smallest_n"),
]


def verdicts(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """`claims.csv`: one row a claim of `study["claims"]`, in its order, from `runs` with the columns of `endpoints`.

    `estimate`, `low` and `high` are in points: of the paired difference, or, for `fails_to_converge`, of the accuracy
    itself; for `best_of` against the strongest of its rivals. `level` is the two-sided level at which Holm's method
    tested the claim, and `low` to `high` the interval that goes with it: it leaves out the claim's limit (0, the margin
    or the threshold) exactly where the verdict is not undecided. `p_sign_flip` is the sign-flip test's p, for
    comparison; the verdict does not use it. Fewer seeds than `smallest_n` are not tested (no p, no interval).
    `needed_n` is missing where decided; 10,000 means that or more. Raises `UserError` on an unknown test.
    """
    rows = judge(study.get("claims", []), by_seed(runs, PRIMARY))
    return rounded(pd.DataFrame(rows, columns=COLUMNS).astype({"needed_n": "Int64"}))


def judge(claims: Sequence[Mapping[str, Any]], values: BySeed) -> list[dict[str, Any]]:
    """The rows of `verdicts`, unrounded, from the values in percent by variant and seed; `claims` is the family."""
    judged = [_Claim(claim, values) for claim in claims]
    adjusted, levels = holm_levels([claim.p for claim in judged])
    return [claim.row(p, level) for claim, p, level in zip(judged, adjusted, levels, strict=True)]


def holm_levels(p: ArrayLike) -> tuple[Floats, Floats]:
    """Holm's adjusted p-values, and the level at which each test was made: LEVEL / (hypotheses then still open).

    Tests after the first that fails are made at that one's level. Missing p-values count as open hypotheses.
    """
    adjusted = holm(p)
    rank = np.argsort(np.argsort(np.asarray(p, float), kind="stable"))  # missing ones last
    rejected = np.count_nonzero(adjusted <= LEVEL)
    return adjusted, LEVEL / (len(adjusted) - np.minimum(rank, rejected))


@dataclass(frozen=True)
class _Sample:
    """Differences of one claim from its limit, in points, turned so that positive values speak for it."""

    values: Floats

    @property
    def n(self) -> int:
        return len(self.values)

    @property
    def mean(self) -> float:
        return float(self.values.mean()) if self.n else nan

    def p_true(self) -> float:
        """One-sided p of the t-test (Student's distribution function): small where the claim looks true."""
        return float(special.stdtr(self.n - 1, -self.mean / standard_error(self.values)))

    def p_false(self) -> float:
        return float(special.stdtr(self.n - 1, self.mean / standard_error(self.values)))

    def bound(self, level: float) -> float:
        """How far the one-sided bound at `level` lies from the mean."""
        return float(-special.stdtrit(self.n - 1, level)) * standard_error(self.values)


class _Claim:
    """A claim and its evidence: one sample, or one for each rival of `best_of`, of which the strongest decides.

    `best_of` is true if every rival loses, so its p is the largest (an intersection-union test, which needs no
    correction: Berger, 1982); it is false if any rival wins, so the smallest p counts as many times as there are rivals
    (Bonferroni). The same rival gives both. With one rival this is the two-sided t-test.
    """

    def __init__(self, claim: Mapping[str, Any], values: BySeed) -> None:
        self.claim = claim
        self.sign, self.limit, arrays = _evidence(claim, values)
        self.samples = [_Sample(self.sign * (array - self.limit)) for array in arrays]
        self.tested = min(sample.n for sample in self.samples) >= SMALLEST_N
        if self.tested:
            self.strongest = max(self.samples, key=lambda sample: (sample.p_true(), -sample.p_false()))
            p_false = len(self.samples) * self.strongest.p_false()
            self.true = self.strongest.p_true() < p_false
            self.p = min(1.0, 2 * min(self.strongest.p_true(), p_false))
        else:
            self.strongest, self.true, self.p = min(self.samples, key=lambda sample: sample.n), False, nan

    def row(self, p_holm: float, level: float) -> dict[str, Any]:
        """The claim's row of `claims.csv`, from its adjusted p and the level at which it was tested."""
        decided = p_holm <= LEVEL
        low, high = self._interval(level)
        return {
            **{key: self.claim.get(key, "") for key in ("id", "text", "published", "test", "variant")},
            "than": ", ".join(self.claim.get("among", [self.claim.get("than", "")])),
            "n": self.strongest.n,
            "estimate": self.limit + self.sign * self.strongest.mean,
            "low": low,
            "high": high,
            "level": level,
            "p": self.p,
            "p_sign_flip": self._p_sign_flip() if self.tested else nan,
            "p_holm": p_holm,
            "verdict": ("supported" if self.true else "contradicted") if decided else "undecided",
            "needed_n": pd.NA if decided else self._needed_n(level),
            "smallest_n": SMALLEST_N,
        }

    def _level_false(self, level: float) -> float:
        return level / len(self.samples)

    def _interval(self, level: float) -> tuple[float, float]:
        if not self.tested:
            return nan, nan
        sample = self.strongest
        ends = sample.mean - sample.bound(level / 2), sample.mean + sample.bound(self._level_false(level) / 2)
        low, high = sorted(self.limit + self.sign * end for end in ends)
        return low, high

    def _needed_n(self, level: float) -> int:
        """Seeds for 80 % power if the truth were as observed; without a standard deviation, the fewest for any."""
        sample = self.strongest
        if sample.n < 2:
            return SMALLEST_N
        at = level if sample.mean > 0 else self._level_false(level)
        return pairs_needed(sample.mean, standard_error(sample.values) * sqrt(sample.n), at)

    def _p_sign_flip(self) -> float:
        against = [sign_flip_p(sample.values) for sample in self.samples if sample.mean <= 0]
        if against:
            return min(1.0, len(self.samples) * min(against))
        return max(sign_flip_p(sample.values) for sample in self.samples)


def _evidence(claim: Mapping[str, Any], values: BySeed) -> tuple[int, float, list[Floats]]:
    """Which sign speaks for the claim, its limit in points, and what is compared with the limit, an array a rival."""
    variant = claim["variant"]
    match claim["test"]:
        case "better":
            return 1, 0.0, [_difference(values, variant, claim["than"])]
        case "best_of":
            rivals = [rival for rival in claim["among"] if rival != variant]
            if not rivals:
                raise UserError(f"claims: {claim['id']} needs at least one rival of {variant} in among.")
            return 1, 0.0, [_difference(values, variant, rival) for rival in rivals]
        case "not_better":
            return -1, float(claim.get("margin", 0)), [_difference(values, variant, claim["than"])]
        case "fails_to_converge":
            alone = values.get(variant, {})
            return -1, 100 * float(claim["threshold"]), [np.array([alone[seed] for seed in sorted(alone)])]
        case unknown:
            raise UserError(
                f"claims: the test of {claim['id']} is {unknown}; it must be better, not_better, best_of or "
                "fails_to_converge."
            )


def _difference(values: BySeed, variant: str, than: str) -> Floats:
    ours, theirs = paired(values, variant, than)
    return ours - theirs
