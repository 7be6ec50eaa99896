"""The verdicts: known answers, an independent recomputation, and simulated rates of false and of true verdicts.

Simulated rates are compared within four standard errors of a binomial, as in test_statistics.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import optimize, special, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired
from synthetic import made_study, tabulated

from temporal_shortcuts.analysis import moderation
from temporal_shortcuts.analysis.statistics import MOST_N, pairs_needed, pairs_to_decide, sign_flip_p
from temporal_shortcuts.analysis.verdicts import (
    COLUMNS,
    VERDICTS,
    cannot_be_planned,
    decide,
    judge,
    verdicts,
    why_not_tested,
)
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.report import texts
from temporal_shortcuts.study import Claim, Study
from temporal_shortcuts.study.reading import read

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs" / "statistics.md"
sys.path.append(str(ROOT / "benchmarks"))

import error_rates  # noqa: E402 (a script of benchmarks/, which is no package)

BETTER = {"id": "better", "text": "v beats b", "test": "better", "variant": "v", "than": "b"}
NOT_BETTER = {"id": "not", "text": "v does not beat b", "test": "not_better", "variant": "v", "than": "b"}
BEST_OF = {"id": "best", "text": "b is best", "test": "best_of", "variant": "b", "among": ["v", "w"]}
NEGLIGIBLE = {"id": "same", "text": "v is as good", "test": "negligible", "variant": "v", "than": "b", "margin": 0.3}
FAILS = {"id": "fails", "text": "v fails", "test": "fails_to_converge", "variant": "v", "threshold": 0.2}


def verdicts_on(claims: list[dict[str, Any]], percent: dict[str, Any]) -> pd.DataFrame:
    """Verdicts from values in percent, `variant: [value of seed 0, of seed 1, ...]`, one row a claim's id."""
    return verdicts(study_with(claims), runs_of(percent)).set_index("id")


def study_with(claims: list[dict[str, Any]], **keys: Any) -> Study:
    return made_study({"b": {}, "v": {"against": "b"}, "w": {"against": "b"}}, claims, **keys)


def claims_of(family: list[dict[str, Any]]) -> list[Claim]:
    return study_with(family).claims


def runs_of(percent: dict[str, Any], endpoint: str = "last5") -> pd.DataFrame:
    rows = [(name, k, value / 100) for name, values in percent.items() for k, value in enumerate(values)]
    return pd.DataFrame(rows, columns=["variant", "seed", endpoint])


def around(mean: float, n: int, sd: float = 1.0) -> np.ndarray:
    """n values with exactly this mean and standard deviation."""
    values = np.linspace(-1, 1, n)
    return mean + sd * values / values.std(ddof=1)


def slack(rate: float, draws: int) -> float:
    return 4 * math.sqrt(rate * (1 - rate) / draws)


# Known answers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gain", "better", "not_better"),
    [(3, "supported", "contradicted"), (-3, "contradicted", "supported"), (0.1, "undecided", "undecided")],
)
def test_better_and_its_opposite(gain: float, better: str, not_better: str) -> None:
    table = verdicts_on([BETTER, NOT_BETTER], {"b": np.full(5, 80.0), "v": around(80 + gain, 5)})
    assert table["verdict"].tolist() == [better, not_better]
    assert table["p"].tolist() == pytest.approx([stats.ttest_1samp(around(gain, 5), 0).pvalue] * 2, rel=1e-5)
    assert table["estimate"].tolist() == pytest.approx([gain, gain])
    limits = verdicts_on([BETTER], {"b": np.full(5, 80.0), "v": around(80 + gain, 5)})[["low", "high"]].iloc[0]
    interval = stats.ttest_1samp(around(gain, 5), 0).confidence_interval(0.95)
    assert limits.tolist() == pytest.approx(list(interval), rel=1e-5)
    assert table["needed_n"].isna().tolist() == [better != "undecided"] * 2


@pytest.mark.parametrize(
    ("mean", "sd", "better", "same"),
    [
        (0.05, 0.1, "negligible", "supported"),
        (0.2, 0.05, "negligible", "supported"),  # though its sign is known
        (0.6, 0.1, "supported", "contradicted"),
        (-0.6, 0.1, "contradicted", "contradicted"),
        (0.35, 0.1, "supported", "undecided"),
        (0.25, 0.1, "supported", "undecided"),
        (0.1, 0.5, "undecided", "undecided"),
    ],
)
def test_the_four_verdicts_follow_from_the_interval(mean: float, sd: float, better: str, same: str) -> None:
    values = {"b": np.full(6, 80.0), "v": around(80 + mean, 6, sd)}
    for claim, verdict in (({**BETTER, "margin": 0.3}, better), (NEGLIGIBLE, same)):
        row = verdicts_on([claim], values).iloc[0]
        within = "negligible" in (row["verdict"], claim["test"]) and row["verdict"] in ("negligible", "supported")
        low, high = stats.ttest_1samp(around(mean, 6, sd), 0).confidence_interval(0.90 if within else 0.95)
        assert (row["low"], row["high"]) == pytest.approx((low, high), rel=1e-4)
        assert (row["low"] > -0.3 and row["high"] < 0.3) == within
        assert (row["verdict"], row["margin"], row["endpoint"]) == (verdict, 0.3, "last5")
        assert (row["verdict"] == "undecided") == (not pd.isna(row["needed_n"]))


@pytest.mark.parametrize("mean", [-0.4, 0.0, 0.1, 0.29])
def test_negligible_is_statsmodels_two_one_sided_tests(mean: float) -> None:
    values = {"b": np.linspace(79, 81, 8), "v": np.linspace(79, 81, 8) + around(mean, 8, 0.2)}
    p = ttost_paired(values["v"], values["b"], -0.3, 0.3)[0]
    rows = verdicts_on([NEGLIGIBLE], values).iloc[0], verdicts_on([{**BETTER, "margin": 0.3}], values).iloc[0]
    assert (rows[0]["verdict"] == "supported") == (rows[1]["verdict"] == "negligible") == (p <= 0.05)
    assert rows[1]["p_margin"] == pytest.approx(p, rel=1e-4)
    if p <= 0.05:
        assert rows[0]["p"] == pytest.approx(p, rel=1e-4)


def test_a_margin_may_come_from_the_study_or_the_claim_and_so_may_the_endpoint() -> None:
    values = {"b": np.full(6, 80.0), "v": around(80.2, 6, 0.02)}
    runs = runs_of(values).assign(averaged=lambda runs: runs["last5"][::-1].to_numpy())
    claims = [BETTER, {**BETTER, "id": "own", "margin": 0.1}, {**NOT_BETTER, "endpoint": "averaged"}, FAILS]
    table = verdicts(study_with(claims, margin=0.3), runs).set_index("id")
    assert table["verdict"].tolist()[:3] == ["negligible", "supported", "negligible"]
    assert table["endpoint"].tolist() == ["last5", "last5", "averaged", "last5"]
    assert table["margin"].tolist() == pytest.approx([0.3, 0.1, 0.3, math.nan], nan_ok=True)
    table = verdicts(study_with(claims, margin=0.3, endpoint="averaged"), runs).set_index("id")
    assert table["endpoint"].tolist() == ["averaged"] * 4
    assert table["estimate"].tolist()[:3] == pytest.approx([-0.2] * 3, rel=1e-4)  # the two variants change places
    with pytest.raises(UserError, match="rests on the endpoint re_estimated, which the records do not hold"):
        verdicts(study_with(claims, endpoint="re_estimated"), runs)
    with pytest.raises(UserError, match="same is about a margin and has none"):
        verdicts(study_with([{**NEGLIGIBLE, "margin": None}]), runs)


def test_the_interval_of_best_of_is_that_of_the_smallest_difference() -> None:
    values = {"b": np.full(6, 80.0), "v": around(79, 6, 2.0), "w": around(78.9, 6, 0.02)}
    row = verdicts_on([BEST_OF], values).loc["best"]
    wide, narrow = (around(mean, 6, sd) for mean, sd in ((1.0, 2.0), (1.1, 0.02)))
    low = stats.ttest_1samp(wide, 0).confidence_interval(0.95).low
    high = stats.ttest_1samp(narrow, 0).confidence_interval(1 - 0.05 / 2).high
    assert (row["low"], row["estimate"], row["high"]) == pytest.approx((low, 1.0, high), rel=1e-4)


def test_a_diverged_run_has_failed_to_converge() -> None:
    nine_to_one = runs_of({"v": [90.0] * 3}).assign(diverged_epoch=pd.array([2, 2, 2], "Int64"))
    claim = {**FAILS, "threshold": 0.6}
    assert verdicts(study_with([claim]), nine_to_one)["verdict"].item() == "supported"
    assert verdicts(study_with([claim]), nine_to_one.assign(diverged_epoch=pd.NA))["verdict"].item() == "contradicted"


@pytest.mark.parametrize(("mean", "verdict"), [(12, "supported"), (28, "contradicted"), (20.5, "undecided")])
def test_fails_to_converge(mean: float, verdict: str) -> None:
    row = verdicts_on([FAILS], {"v": around(mean, 4)}).loc["fails"]
    assert row["verdict"] == verdict
    assert row["p"] == pytest.approx(stats.ttest_1samp(around(mean, 4), 20).pvalue, rel=1e-5)
    assert (row["n"], row["estimate"], row["than"]) == (4, mean, "")
    assert (row["low"] < 20 < row["high"]) == (verdict == "undecided")


def test_best_of_takes_the_strongest_rival() -> None:
    lose, close, win = around(-3, 5), around(-0.8, 5), around(3, 5)
    p = [stats.ttest_1samp(x, 0).pvalue for x in (lose, close, win)]
    runs = {"b": np.full(5, 80.0), "v": 80 + lose}
    rivals = (80 + 2 * lose, 80 + close, 80 + win)
    found = pd.concat([verdicts_on([BEST_OF], {**runs, "w": rival}) for rival in rivals])
    assert found["verdict"].tolist() == ["supported", "undecided", "contradicted"]
    assert found["p"].tolist() == pytest.approx([p[0], p[1], 2 * p[2]], rel=1e-5)
    assert found["estimate"].tolist() == pytest.approx([3, 0.8, -3])
    assert found["p_sign_flip"].tolist() == [2 / 2**5, sign_flip_p(close), 2 * 2 / 2**5]
    assert set(found["than"]) == {"v, w"}
    # one rival more in the list and it takes more to contradict
    runs["w"] = around(80 + stats.t.isf(0.02, 4) / math.sqrt(5), 5)
    verdict = {
        len(among): verdicts_on([{**BEST_OF, "among": [*among]}], runs)["verdict"].item() for among in ("w", "vw")
    }
    assert verdict == {1: "contradicted", 2: "undecided"}


def test_the_best_and_its_rivals_are_compared_on_one_set_of_seeds() -> None:
    """Those that all of them have: so that means, n and estimate go together."""
    runs = {"b": np.full(9, 80.0), "v": [*around(77, 5), 90, 90, 90, 90], "w": around(76, 5)}
    assert verdicts_on([BEST_OF], runs).equals(verdicts_on([BEST_OF], {name: own[:5] for name, own in runs.items()}))
    apart = pd.concat([runs_of({"b": [80] * 9}), runs_of({"v": [70] * 5}), runs_of({"w": [70] * 9}).iloc[5:]])
    row = verdicts(study_with([BEST_OF]), apart).iloc[0]
    assert (row["n"], row["verdict"], why_not_tested(row)) == (0, "undecided", "no seed in common")
    assert row[["p", "low", "estimate", "needed_n"]].isna().all()


def test_the_needed_n_of_the_best_is_that_of_the_rival_that_is_hardest_to_beat() -> None:
    sometimes = np.array([80.0] * 7 + [10.0] * 3)[[0, 7, 1, 2, 8, 3, 4, 9, 5, 6]]
    row = verdicts_on([BEST_OF], {"b": np.full(10, 80.0), "v": around(79, 10, 0.1), "w": sometimes}).iloc[0]
    assert (row["verdict"], row["estimate"]) == ("undecided", pytest.approx(1))
    assert row["needed_n"] == pairs_needed(21, sometimes.std(ddof=1)) > 10


@pytest.mark.parametrize("mean", [-0.33, 0.27, 0.31])
def test_too_near_the_margin_nothing_is_planned(mean: float) -> None:
    values = {"b": np.full(6, 80.0), "v": around(80 + mean, 6, 0.2)}
    near = verdicts_on([NEGLIGIBLE], values).iloc[0]
    assert pd.isna(near["needed_n"])
    assert cannot_be_planned(near)
    for sd, beyond in ((0.1, False), (0.1, True)):  # a standard error and a half inside, or outside
        mean = 0.3 + (1.5 if beyond else -1.5) * sd / math.sqrt(6)
        row = verdicts_on([NEGLIGIBLE], {**values, "v": around(80 + mean, 6, sd)}).iloc[0]
        truth = (mean, sd) if beyond else (0.0, sd * math.sqrt(5 / stats.chi2.ppf(0.2, 5)))
        assert row["needed_n"] == max(7, pairs_to_decide(*truth, 0.3, (0.05, 0.05), about_margin=True))
        assert not cannot_be_planned(row)


def test_identical_runs_decide_no_claim() -> None:
    """What sets two variants apart never acted: their runs are the same to the last bit, which is said, and nothing is tested."""
    runs = runs_of({"b": around(80, 5), "v": around(80, 5), "w": around(75, 5)})
    weights = runs["seed"].astype(str) + runs["variant"].replace("v", "b")
    table = verdicts(
        study_with([{**BETTER, "margin": 0.3}, NEGLIGIBLE, BEST_OF, {**BETTER, "id": "w", "variant": "w"}]),
        runs.assign(weights_final=weights),
    )
    assert table["verdict"].tolist() == ["undecided"] * 3 + ["contradicted"]
    assert table["not_tested"].tolist() == ["identical"] * 3 + [""]
    assert table[["p", "p_margin", "p_sign_flip", "p_holm", "low", "needed_n"]][:3].isna().all(axis=None)
    assert "not_tested" not in verdicts(study_with([BETTER]), runs)


def test_a_later_stage_is_tested_at_the_whole_level_once_the_earlier_ones_are_settled() -> None:
    gain = {"b": np.full(5, 80.0), "v": around(83, 5), "w": around(81.3, 5)}
    later = {**BETTER, "id": "later", "variant": "w", "stage": 2}
    table = verdicts_on([later, BETTER, {**later, "id": "last", "stage": 5}], gain)
    assert table["stage"].tolist() == [2, 1, 5]
    assert table["level"].tolist() == [0.05] * 3
    assert table["p"]["later"] == pytest.approx(stats.ttest_1samp(around(1.3, 5), 0).pvalue, rel=1e-5)
    assert (table["verdict"] == "supported").all()
    last, open_claim = {**later, "id": "last", "stage": 5}, {**BETTER, "variant": "b", "than": "b2"}
    table = verdicts_on([later, open_claim, last], {**gain, "b2": around(80, 5)})
    assert table["not_tested"].tolist() == ["stage", "", "stage"]
    assert why_not_tested(table.loc["later"]) == "a claim of an earlier stage is open"
    assert table.loc[["later", "last"], ["p", "p_holm", "p_sign_flip", "low", "high", "needed_n"]].isna().all(axis=None)
    assert table["estimate"]["later"] == pytest.approx(1.3), "what was seen is told all the same"
    assert "stage" not in verdicts_on([BETTER], gain)


@pytest.mark.parametrize(
    ("claim", "mean", "sd", "settled"),
    [
        (BETTER, 3, 1.0, True),
        (NEGLIGIBLE, 0.0, 0.1, True),
        (NEGLIGIBLE, 0.9, 0.1, True),
        ({**BETTER, "margin": 0.3}, 0.2, 0.05, True),  # its sign and that it does not matter
        ({**BETTER, "margin": 0.3}, 3, 0.5, True),  # its sign and that it does matter
        ({**BETTER, "margin": 0.3}, 0.0, 0.1, False),  # negligible, but whether there is a difference is open
        ({**BETTER, "margin": 0.3}, 0.3, 0.05, False),  # supported, but whether it matters is open
    ],
)
def test_what_settles_a_stage(claim: dict[str, Any], mean: float, sd: float, settled: bool) -> None:
    values = {"b": np.full(6, 80.0), "v": around(80 + mean, 6, sd), "w": around(90, 6)}
    later = {**BETTER, "id": "later", "variant": "w", "stage": 2}
    table = verdicts_on([claim, later], values)
    assert table["verdict"].iloc[0] != "undecided"
    assert (table["verdict"]["later"] == "supported") == settled


def test_the_claimed_best_may_stand_in_its_own_list() -> None:
    runs = {"b": np.full(5, 80.0), "v": around(77, 5), "w": around(76, 5)}
    listed = verdicts_on([{**BEST_OF, "among": ["v", "b", "w"]}], runs)
    assert listed.drop(columns="than").equals(verdicts_on([BEST_OF], runs).drop(columns="than"))
    with pytest.raises(UserError, match="best needs at least one rival of b"):
        verdicts_on([{**BEST_OF, "among": ["b"]}], runs)


def test_diverged_runs_count_and_equal_values_are_enough() -> None:
    diverged = {"v": [10.0, 10.0, 10.0], "b": [80.0, 81.0, 82.0]}
    table = verdicts_on([FAILS, NOT_BETTER], diverged)
    assert table["verdict"].tolist() == ["supported", "supported"]
    assert table["p"]["fails"] == pytest.approx(2 * stats.t.sf(10 / (0.01 / math.sqrt(3)), 2), rel=1e-5)


def test_equal_runs_are_no_evidence() -> None:
    row = verdicts_on([BETTER], {"v": [80.0, 81.0, 82.0], "b": [80.0, 81.0, 82.0]}).loc["better"]
    assert (row["verdict"], row["p"], row["estimate"], row["needed_n"]) == ("undecided", 1.0, 0.0, MOST_N)


@pytest.mark.parametrize("n", [0, 1, 2])
def test_no_verdict_below_the_smallest_n(n: int) -> None:
    table = verdicts_on([BETTER, NOT_BETTER, BEST_OF, FAILS], {"v": [10.0] * n, "b": [90.0] * 5, "w": [10.0] * 5})
    assert table["verdict"].tolist() == ["undecided"] * 4
    assert table["n"].tolist() == [n] * 4
    assert (table["smallest_n"] == 3).all()
    assert table["needed_n"].isna().tolist() == [n < 2] * 4  # no standard deviation, nothing to reckon with
    assert table[["p", "p_holm", "p_sign_flip", "low", "high"]].isna().all(axis=None)
    assert table["estimate"].isna().tolist() == [n == 0] * 4


def test_a_claim_without_runs_keeps_its_place_in_the_family() -> None:
    runs = {"b": np.full(5, 80.0), "v": around(82, 5)}
    absent = {**BETTER, "id": "absent", "variant": "nowhere"}
    p = stats.ttest_1samp(around(2, 5), 0).pvalue
    assert verdicts_on([BETTER], runs)["p_holm"].tolist() == pytest.approx([p], rel=1e-5)
    table = verdicts_on([absent, BETTER], runs)
    assert table["p_holm"]["better"] == pytest.approx(2 * p, rel=1e-5)
    assert (table["verdict"]["absent"], table["n"]["absent"]) == ("undecided", 0)


def test_columns_text_and_bytes() -> None:
    claim = {**BETTER, "published": "92.05 % against 91.98 %"}
    rows = [(name, k, 0.8 + 0.01 * k * (name == "v")) for name in "vb" for k in range(4)]
    runs = pd.DataFrame(rows, columns=["variant", "seed", "last5"])
    table = verdicts(study_with([claim, FAILS]), runs)
    assert table.columns.tolist() == COLUMNS
    assert table["published"].tolist() == ["92.05 % against 91.98 %", ""]
    again = verdicts(study_with([claim, FAILS]), runs.sample(frac=1, random_state=1))
    assert again.to_csv(index=False) == table.to_csv(index=False)
    assert verdicts(study_with([]), runs).columns.tolist() == COLUMNS


# An independent recomputation --------------------------------------------------------------------------------------------


def recomputed(
    claims: list[dict[str, Any]],
    values: dict[str, dict[int, float]],
    floor: float,
    prior: tuple[float, float] = (0.0, 0.0),
) -> list[str]:
    """The verdicts by numpy and scipy alone: intervals at a level that rises until no claim is decided any more.

    `prior` is what is known of the variances: degrees of freedom and variance.
    """

    def interval(claim: dict[str, Any], level: float) -> Any:
        others = claim.get("among") or [claim.get("than")]
        own, ends = values[claim["variant"]], []
        seeds = sorted(set(own).intersection(*(values[other] for other in others if other)))
        for other in others:
            d = np.array([own[seed] - (values[other][seed] if other else 100 * claim["threshold"]) for seed in seeds])
            df = prior[0] + len(d) - 1
            variance = (prior[0] * prior[1] + (len(d) - 1) * max(np.std(d, ddof=1), floor) ** 2) / df
            error = np.sqrt(variance / len(d))
            tails = level / 2, level / 2 / len(others)
            ends.append([np.mean(d) - stats.t.isf(tails[0], df) * error])
            ends[-1].append(np.mean(d) + stats.t.isf(tails[1], df) * error)
        return np.min(ends, axis=0)

    weights, found = [1.0] * len(claims), [""] * len(claims)
    while True:
        level = 0.05 / sum(weights) if sum(weights) else 0.05
        before = list(weights)
        for index, claim in enumerate(claims):
            low, high = interval(claim, level)
            margin = math.nan if claim["test"] == "fails_to_converge" else claim.get("margin") or math.nan
            within = -margin < interval(claim, 2 * level)[0] and interval(claim, 2 * level)[1] < margin
            if claim["test"] == "negligible":
                outside = low > margin or high < -margin
                found[index] = "supported" if within else "contradicted" if outside else ""
                weights[index] = float(not found[index])
                continue
            true = high < 0 if claim["test"] in ("not_better", "fails_to_converge") else low > 0
            signed = low > 0 or high < 0
            if found[index] != "negligible":
                sign = "supported" if true else "contradicted"
                found[index] = "negligible" if within else sign if signed else ""
            weights[index] = float(not (signed and (math.isnan(margin) or within)))
        if weights == before:
            return [verdict or "undecided" for verdict in found]


def common_variance(variances: np.ndarray, df: float) -> tuple[float, float]:
    """(d0, s0^2) of arms with df degrees of freedom each, as docs/statistics.md says: Smyth's moments, d0 limited."""

    def half_of(excess: float) -> float:
        return float(optimize.brentq(lambda half: special.polygamma(1, half) - excess, 1e-6, 1e6, xtol=1e-13))

    arms, e = len(variances), np.log(variances) - special.digamma(df / 2) + np.log(df / 2)
    by_chance = special.polygamma(1, df / 2)
    excess = e.var(ddof=1) - by_chance
    assert excess > 0, "where spreads look alike there is more to do"
    error = np.sqrt(2 * e.var(ddof=1) ** 2 / (arms - 1) + special.polygamma(3, df / 2) / arms)
    lent = min(2 * half_of(excess + stats.norm.isf(0.01) * error), 4, (arms - 3) / 2)
    half = half_of(excess)
    return lent * np.clip((lent - 0.4) / 0.8, 0, 1), float(np.exp(e.mean() + special.digamma(half) - np.log(half)))


@pytest.mark.parametrize("margin", [None, 0.3, 1.0])
def test_every_verdict_agrees_with_the_recomputation(margin: float | None) -> None:
    rng, seen = np.random.default_rng(23), []
    family = [BETTER, {**NOT_BETTER, "variant": "w"}, BEST_OF, {**BETTER, "id": "late", "variant": "w", "than": "v"}]
    family += [{**FAILS, "threshold": 0.8}] + ([{**NEGLIGIBLE, "variant": "w"}] if margin else [])
    family = [{**claim, "endpoint": "last5", "margin": margin} for claim in family]
    for _ in range(150):
        sd, n = rng.choice([0.05, 0.2, 1.0]), rng.integers(3, 11, 3)
        means = 80 + rng.choice([0, 0, 0.3, -0.3, 1.5, -4], 3)
        values = {v: dict(enumerate(rng.normal(m, sd, k))) for v, m, k in zip("bvw", means, n, strict=True)}
        found = judge(claims_of(family), {"last5": values}, floor=0.1)
        table = pd.DataFrame([claim.row(*steps) for claim, steps in found])
        assert table["verdict"].tolist() == recomputed(family, values, floor=0.1)
        seen += table["verdict"].tolist()
        decided = table["verdict"] != "undecided"
        assert (table["needed_n"] > table["n"]).equals(~decided & table["needed_n"].notna())
        if margin is None:
            limit = np.where(table["test"] == "fails_to_converge", 80.0, 0)
            assert (((table["low"] > limit) | (table["high"] < limit)) == decided).all()
            expected = multipletests(table["p"], method="holm")[1]
            assert table["p_holm"].tolist() == pytest.approx(expected.tolist(), rel=1e-4)
    assert set(seen) == {"supported", "contradicted", "undecided", *(["negligible"] if margin else [])}


@pytest.mark.parametrize("study", sorted(ROOT.glob("results/*/study.json")), ids=lambda path: path.parent.name)
def test_every_committed_verdict_agrees_with_the_recomputation(study: Path) -> None:
    declared = json.loads(study.read_text())
    if not (study.parent / "claims.csv").is_file() or not declared["claims"]:
        pytest.skip("no claims")
    runs, claims = (pd.read_csv(study.parent / f"{name}.csv") for name in ("runs", "claims"))
    sidecar = json.loads(next(study.parent.glob("records/*/*.json")).read_text())
    if claims["n"].min() < 3:
        assert (claims[claims["n"] < 3]["verdict"] == "undecided").all()
        return
    by_endpoint = {}
    for endpoint in set(claims["endpoint"]):
        own = {name: 100 * rows.set_index("seed")[endpoint] for name, rows in runs.groupby("variant")}
        by_endpoint[endpoint] = {name: dict(column) for name, column in own.items()}
    family = [{"margin": declared.get("margin")} | claim for claim in declared["claims"]]
    joined = {}
    for claim, endpoint in zip(family, claims["endpoint"], strict=True):
        joined |= {f"{endpoint}/{name}": own for name, own in by_endpoint[endpoint].items()}
        claim |= {key: f"{endpoint}/{claim[key]}" for key in ("variant", "than") if key in claim}
        if "among" in claim:
            claim["among"] = [f"{endpoint}/{name}" for name in claim["among"]]
    floor, prior = 100 / sidecar["test_images"], (0.0, 0.0)
    if declared.get("variances") == "moderated":  # every claim is one of the comparisons here, and at their endpoint
        (endpoint,) = set(claims["endpoint"])
        arms = {frozenset((name, one["against"])) for name, one in declared["variants"].items() if one["against"]}
        assert {frozenset((claim["variant"], claim["than"])) for claim in declared["claims"]} <= arms
        columns = pd.DataFrame(by_endpoint[endpoint])
        spread = [columns[a].sub(columns[b]).std() for a, b in map(sorted, arms)]
        prior = common_variance(np.maximum(spread, floor) ** 2, len(columns) - 1)
        assert claims["df"].tolist() == pytest.approx([prior[0] + len(columns) - 1] * len(claims), rel=1e-4)
    assert recomputed(family, joined, floor, prior) == claims["verdict"].tolist()


# Simulations ----------------------------------------------------------------------------------------------------------


def test_needed_n_with_a_margin_is_more_than_did_not_decide() -> None:
    for mean in np.linspace(0, 0.6, 13):
        row = verdicts_on([{**BETTER, "margin": 0.3}], {"b": np.full(8, 80.0), "v": around(80 + mean, 8, 0.2)}).iloc[0]
        assert row["verdict"] != "undecided" or row["needed_n"] > 8


def test_needed_n_is_for_the_observed_effect_at_the_level_of_the_test() -> None:
    runs = {"b": np.full(4, 80.0), "v": around(80.5, 4), "w": around(80.0, 4)}
    table = verdicts_on([BETTER, {**BEST_OF, "id": "b_best"}, {**BETTER, "id": "w_best", "variant": "w"}], runs)
    level = 0.05 / 3
    assert table["level"].tolist() == pytest.approx([level] * 3, rel=1e-5)
    # b is behind v by 0.5: to contradict "b is best" takes half the level, since it has two rivals
    assert table["needed_n"].tolist() == [pairs_needed(0.5, 1, level), pairs_needed(0.5, 1, level / 2), MOST_N]


@pytest.mark.parametrize("margins", [(None, None), (0.3, 0.3)])
@pytest.mark.parametrize("first", ["better", "negligible"])
@pytest.mark.parametrize("truth", [(0.0, 0.0), (0.3, 0.0), (0.3, 0.3), (0.8, 0.0), (3.0, 0.3)])
def test_stages_keep_the_level_of_the_whole_family(first: str, margins: tuple, truth: tuple[float, float]) -> None:
    """Two claims in each of two stages, n = 5, the baseline shared: at most 5 % of studies have any wrong verdict."""
    draws, rng, sd = 1_500, np.random.default_rng(33), 0.15 if truth[0] < 1 else 1.0
    kinds, names = {"better": BETTER, "negligible": NEGLIGIBLE}, ("v1", "w1", "v2", "w2")
    truths = {name: truth[int(name[1]) - 1] for name in names}
    family = []
    for name in names:
        claim, stage = kinds[first if name[1] == "1" else "better"], int(name[1])
        own = {"id": name, "variant": name, "stage": stage, "margin": margins[stage - 1] or claim.get("margin")}
        family.append({**claim, "endpoint": "last5", **own})
    claims, wrong = claims_of(family), 0
    for _ in range(draws):
        noise = rng.normal(0, sd / math.sqrt(2), (5, 5))
        means = {"b": 0.0, **truths}
        values = {
            name: dict(enumerate(80 + mean + own)) for (name, mean), own in zip(means.items(), noise, strict=True)
        }
        found = decide(claims, {"last5": values})
        wrong += any(error_rates.is_wrong(claim, verdict, truths) for claim, verdict in zip(family, found, strict=True))
    assert wrong / draws <= 0.05 + slack(0.05, draws)


# The study as it is declared ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scenario", error_rates.SCENARIOS)
@pytest.mark.parametrize("images", [64, 10_000])
def test_wrong_verdicts_keep_their_level_in_the_study_as_declared(scenario: str, images: int) -> None:
    draws, few = 250, images < 10_000
    margin, deviation = (400 / images, 100 / images) if few else (error_rates.MARGIN, error_rates.DEVIATION)
    truth = error_rates.SCENARIOS[scenario]
    rate, _ = error_rates.simulate(truth, draws, 31, deviation=deviation, images=images, margin=margin)
    assert rate <= 0.05 + slack(0.05, draws)


POWER = {
    "lr_0.01_best": ("undecided", 99, "supported", 100),
    "epoch_res_start_fails": ("contradicted", 100, "contradicted", 100),
    "batch_res_start_no_gain": ("undecided", 64, "supported", 98),
    "batch_res_late_gain": ("negligible", 87, "contradicted", 100),
    "epoch_res_late_no_gain": ("negligible", 87, "supported", 100),
    "batch_res_later_is_better": ("undecided", 64, "undecided", 74),
    "epoch_res_later_is_better": ("undecided", 64, "undecided", 78),
    "epoch_res_late_with_its_carry": ("supported", 85, "supported", 85),
    "batch_res_late_re_estimated": ("supported", 85, "supported", 85),
    "epoch_res_late_re_estimated": ("supported", 84, "supported", 84),
}
"""Each claim's most frequent verdict, and its percentage in 4,000 studies: if nothing differs, and as the pilot suggests."""


def test_the_declared_study_has_the_power_that_the_docs_state() -> None:
    said = re.search(r"ten seeds in (\d+) % of studies, with six in (\d+) %", " ".join(DOCS.read_text().split()))
    assert said
    assert said.groups() == (f"{POWER['batch_res_late_gain'][1]}", f"{100 - POWER['batch_res_start_no_gain'][1]}")
    draws = 300
    for scenario, at in (("nothing differs", 0), ("as the pilot suggests", 2)):
        _, found = error_rates.simulate(error_rates.SCENARIOS[scenario], draws, 32)
        assert list(found) == list(POWER)
        for claim, (verdict, percent) in {claim: row[at : at + 2] for claim, row in POWER.items()}.items():
            assert found[claim].most_common(1)[0][0] == verdict
            rate = percent / 100
            assert found[claim][verdict] / draws == pytest.approx(
                rate, abs=slack(min(max(rate, 0.02), 0.98), draws) + 0.005
            )


@pytest.mark.parametrize(
    ("seeds", "word", "said"),
    [
        (4, "moderated", "The test uses variances moderated by those of"),
        (2, "too_few", "as there are too few comparisons"),
    ],
)
def test_moderated_variances_and_stages_come_through_the_tables_to_the_page(
    tmp_path: Path, seeds: int, word: str, said: str
) -> None:
    """The study recipes in six epochs, its later claims in a second stage: written, read back as they were, and said."""
    claims = [
        claim | {"stage": 1 + (index > 0)} for index, claim in enumerate(read(ROOT / "studies/recipes.yaml")["claims"])
    ]
    short = {"protocol": {"epochs": 6, "schedule_epochs": 6}, "seeds": list(range(seeds)), "claims": claims}
    study, tables = tabulated(tmp_path, "recipes.yaml", short)
    assert set(tables.comparisons["variances"]) == set(tables.claims["variances"]) == {word}
    assert tables.claims["stage"].tolist() == [1] + [2] * 10
    assert said in texts.page(study, tables, tmp_path)
    first, *later = tables.claims.to_dict("records")
    assert (tables.comparisons["df"] > seeds - 1).all() == (seeds == 4)
    open_stage = "" if first["verdict"] != "undecided" else "a claim of an earlier stage is open"
    assert why_not_tested(later[0]) == ("2 of 3 seeds" if seeds == 2 else open_stage)


# A table of arms ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("margin", [None, 0.4])
def test_many_simulated_studies_at_once_are_judged_as_one(margin: float | None) -> None:
    """The verdicts of error_rates.Samples are those of `decide`, with own and with moderated variances."""
    arms, n, rng = [f"arm{k}" for k in range(7)], 4, np.random.default_rng(41)
    family = [{**BETTER, "id": name, "variant": name, "endpoint": "last5", "margin": margin} for name in arms]
    claims, seen = claims_of(family), set()
    for _ in range(40):
        truth, noise = rng.choice([0, 0.3, 3.0], 7), rng.normal(0, 0.1, (7, n))
        noise -= noise.mean(axis=1, keepdims=True)
        means = noise.mean(axis=1)
        values = {name: dict(enumerate(80 + t + own)) for name, t, own in zip(arms, truth, noise, strict=True)}
        values["b"] = dict.fromkeys(range(n), 80.0)
        variance, df = noise.var(axis=1, ddof=1), np.full(7, n - 1.0)
        prior = moderation.prior(noise, 0.0)
        assert prior.how == "moderated"
        for used in (moderation.OWN, prior):
            spread = (used.df * (used.variance if used.df else 0) + df * variance) / (used.df + df)
            samples = error_rates.Samples(means[None], np.sqrt(spread / n)[None], (used.df + df)[None])
            above, below, within = (found[0] for found in samples.verdicts(truth, margin))
            words = np.select([above, below, within], VERDICTS[:3], "undecided").tolist()
            assert decide(claims, {"last5": values}, 0.0, {"last5": used}) == words
            seen |= set(words)
    assert seen == {"supported", "undecided", *(["negligible"] if margin else [])}


TABLE = re.findall(r"^\| (\d+) \| (\d+) \| (own|moderated) \|(.*)\|$", DOCS.read_text(), re.MULTILINE)


def test_the_table_of_error_rates_has_every_cell_and_none_above_the_level() -> None:
    cells = itertools.product(error_rates.ARMS, error_rates.SEEDS, ("own", "moderated"))
    expected = [(f"{arms}", f"{n}", how) for arms, n, how in cells if (arms, n, how) != (5, 3, "moderated")]
    assert [row[:3] for row in TABLE] == expected
    error = 100 * math.sqrt(0.05 * 0.95 / 20_000)
    for *_, cells_of in TABLE:
        *rates, _found, _equal = map(float, cells_of.split("|"))
        assert len(rates) == len(error_rates.SPREADS)
        assert all(rate <= 5 + 2 * error + 0.05 for rate in rates)


@pytest.mark.parametrize(("arms", "n"), [(5, 4), (10, 3), (24, 4)])
def test_the_table_of_error_rates_is_what_the_simulation_gives(arms: int, n: int) -> None:
    draws = 1_500
    for how, cells in error_rates.of_arms(arms, n, draws, seed=1).items():
        written = next(row[3] for row in TABLE if row[:3] == (f"{arms}", f"{n}", how))
        for ours, theirs in zip(cells, written.split("|"), strict=True):
            rate = float(theirs) / 100
            assert float(ours) / 100 == pytest.approx(rate, abs=slack(min(max(rate, 0.02), 0.98), draws) + 0.005)
