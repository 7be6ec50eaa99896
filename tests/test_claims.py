"""The verdicts: known answers, what follows from what, and simulated rates of false and of true verdicts.

Simulated rates are compared within four standard errors of a binomial, as in test_statistics.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from temporal_shortcuts.analysis.statistics import MOST_N, pairs_needed, sign_flip_p
from temporal_shortcuts.analysis.verdicts import COLUMNS, holm_levels, judge, verdicts
from temporal_shortcuts.errors import UserError

BETTER = {"id": "better", "text": "v beats b", "test": "better", "variant": "v", "than": "b"}
NOT_BETTER = {"id": "not", "text": "v does not beat b", "test": "not_better", "variant": "v", "than": "b"}
BEST_OF = {"id": "best", "text": "b is best", "test": "best_of", "variant": "b", "among": ["v", "w"]}
FAILS = {"id": "fails", "text": "v fails", "test": "fails_to_converge", "variant": "v", "threshold": 0.2}


def verdicts_on(claims: list[dict[str, Any]], percent: dict[str, Any]) -> pd.DataFrame:
    """Verdicts from values in percent, `variant: [value of seed 0, of seed 1, ...]`, one row a claim's id."""
    rows = [(name, k, value / 100) for name, values in percent.items() for k, value in enumerate(values)]
    runs = pd.DataFrame(rows, columns=["variant", "seed", "last5"])
    return verdicts({"claims": claims}, runs).set_index("id")


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


def test_a_margin_moves_the_limit() -> None:
    within = {"b": np.full(6, 80.0), "v": around(80.4, 6, sd=0.3)}
    claims = [{**NOT_BETTER, "id": str(margin), "margin": margin} for margin in (0, 0.4, 1.0)]
    table = verdicts_on(claims, within)
    assert table["verdict"].tolist() == ["contradicted", "undecided", "supported"]
    assert table["p"].tolist() == pytest.approx(
        [stats.ttest_1samp(around(0.4, 6, 0.3), margin).pvalue for margin in (0, 0.4, 1.0)], rel=1e-4, abs=1e-9
    )


@pytest.mark.parametrize(("mean", "verdict"), [(12, "supported"), (28, "contradicted"), (20.5, "undecided")])
def test_fails_to_converge(mean: float, verdict: str) -> None:
    row = verdicts_on([FAILS], {"v": around(mean, 4)}).loc["fails"]
    assert row["verdict"] == verdict
    assert row["p"] == pytest.approx(stats.ttest_1samp(around(mean, 4), 20).pvalue, rel=1e-5)
    assert (row["n"], row["estimate"], row["than"]) == (4, mean, "")
    assert (row["low"] < 20 < row["high"]) == (verdict == "undecided")


def test_best_of_takes_the_strongest_rival() -> None:
    lose, close, win = around(-3, 5), around(-0.8, 5), around(3, 5)
    p = {name: stats.ttest_1samp(x, 0).pvalue for name, x in {"lose": lose, "close": close, "win": win}.items()}
    runs = {"b": np.full(5, 80.0), "v": 80 + lose}
    beats_both = verdicts_on([BEST_OF], {**runs, "w": 80 + 2 * lose}).loc["best"]
    undecided = verdicts_on([BEST_OF], {**runs, "w": 80 + close}).loc["best"]
    beaten = verdicts_on([BEST_OF], {**runs, "w": 80 + win}).loc["best"]
    assert [row["verdict"] for row in (beats_both, undecided, beaten)] == ["supported", "undecided", "contradicted"]
    assert [row["p"] for row in (beats_both, undecided, beaten)] == pytest.approx(
        [p["lose"], p["close"], 2 * p["win"]], rel=1e-5
    )
    assert [row["estimate"] for row in (beats_both, undecided, beaten)] == pytest.approx([3, 0.8, -3])
    assert [row["p_sign_flip"] for row in (beats_both, undecided, beaten)] == [
        2 / 2**5,
        sign_flip_p(close),
        2 * 2 / 2**5,
    ]
    assert beaten["than"] == "v, w"
    # one rival more in the list and it takes more to contradict
    just = stats.t.isf(0.02, 4) / math.sqrt(5)
    assert (
        verdicts_on([{**BEST_OF, "among": ["w"]}], {**runs, "w": around(80 + just, 5)})["verdict"].item()
        == "contradicted"
    )
    assert verdicts_on([BEST_OF], {**runs, "w": around(80 + just, 5)})["verdict"].item() == "undecided"


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
    assert (table["needed_n"] >= 3).all()
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
    table = verdicts({"claims": [claim, FAILS]}, runs)
    assert table.columns.tolist() == COLUMNS
    assert table["published"].tolist() == ["92.05 % against 91.98 %", ""]
    again = verdicts({"claims": [claim, FAILS]}, runs.sample(frac=1, random_state=1))
    assert again.to_csv(index=False) == table.to_csv(index=False)
    assert verdicts({}, runs).columns.tolist() == COLUMNS
    with pytest.raises(UserError, match="the test of x is worse; it must be better"):
        verdicts({"claims": [{"id": "x", "test": "worse", "variant": "v"}]}, runs)


def test_levels_are_those_of_holms_steps() -> None:
    adjusted, levels = holm_levels([0.6, 0.001, math.nan, 0.015, 0.04])
    expected = multipletests([0.6, 0.001, 1.0, 0.015, 0.04], method="holm")[1]
    assert adjusted.tolist() == pytest.approx([expected[0], 0.005, math.nan, expected[3], expected[4]], nan_ok=True)
    assert levels.tolist() == pytest.approx([0.05 / 4, 0.05 / 5, 0.05 / 4, 0.05 / 4, 0.05 / 4])
    assert holm_levels([0.001, 0.02])[1].tolist() == pytest.approx([0.05 / 2, 0.05])


@pytest.fixture
def uncollected(monkeypatch: pytest.MonkeyPatch) -> None:
    """statsmodels collects garbage in each `multipletests`, which would be most of a simulation's time."""
    monkeypatch.setattr("gc.collect", lambda *_: 0)


# Simulations ----------------------------------------------------------------------------------------------------------

FAMILY = [
    BETTER,
    {**NOT_BETTER, "variant": "w"},
    BEST_OF,
    {**BETTER, "id": "late", "variant": "w", "than": "v"},
    {**FAILS, "threshold": 0.8},
]


def simulate(draws: int, sizes: list[int], means: dict[str, float], seed: int) -> pd.DataFrame:
    """Verdicts on the family, of runs that share a seed's luck, with the benchmark shared by the claims.

    One row a claim, in groups by `draw`; the number of seeds goes through `sizes`.
    """
    rng, rows = np.random.default_rng(seed), []
    for draw, n in enumerate(itertools.islice(itertools.cycle(sizes), draws)):
        luck = rng.normal(0, 1, n)
        values = {name: dict(enumerate(mean + luck + rng.normal(0, 1, n))) for name, mean in means.items()}
        rows += [{"draw": draw, **row} for row in judge(FAMILY, values)]
    return pd.DataFrame(rows).set_index("draw")


@pytest.mark.usefixtures("uncollected")
def test_under_a_null_false_verdicts_keep_their_level() -> None:
    draws = 1_200
    table = simulate(draws, [3, 5, 10], dict.fromkeys("bvw", 80.0), seed=19)
    decided = table["verdict"] != "undecided"
    false = decided.groupby(level="draw").any().mean()
    assert 0 < false <= 0.05 + slack(0.05, draws)
    # and what follows from what, on every simulated study
    limit = np.tile([0, 0, 0, 0, 80.0], draws)
    assert (((table["low"] > limit) | (table["high"] < limit)) == decided).all()
    assert (table["needed_n"].isna() == decided).all()
    assert (table["needed_n"] > table["n"])[~decided].all()
    for _, study in list(table.iloc[:500].groupby(level="draw")):
        expected = multipletests(study["p"], method="holm")[1]
        assert study["p_holm"].tolist() == pytest.approx(expected.tolist(), rel=1e-4)


@pytest.mark.usefixtures("uncollected")
def test_with_real_effects_verdicts_point_the_wrong_way_no_more_often() -> None:
    draws = 500
    table = simulate(draws, [6], {"b": 80.0, "v": 80.7, "w": 79.0}, seed=20)
    right = np.tile(["supported", "supported", "contradicted", "contradicted", "either: on the limit"], draws)
    wrong = np.tile(["contradicted", "contradicted", "supported", "supported", "either: on the limit"], draws)
    assert (table["verdict"] == wrong).groupby(level="draw").any().mean() <= 0.05 + slack(0.05, draws)
    assert (table["verdict"] == right).groupby(level="draw").any().mean() > 0.2


@pytest.mark.usefixtures("uncollected")
@pytest.mark.parametrize(
    ("claim", "sign", "limit"),
    [(BETTER, 1, 80.0), (NOT_BETTER, -1, 80.0), (FAILS, -1, 20.0)],
    ids=lambda x: str(x)[:14],
)
def test_a_claim_with_the_needed_n_is_decided_four_times_in_five(claim: dict, sign: int, limit: float) -> None:
    draws, effect, rng = 1_000, 0.8, np.random.default_rng(21)
    n = pairs_needed(effect, 1.0)
    means = limit + sign * effect
    found = []
    for _ in range(draws):
        values = {"v": dict(enumerate(rng.normal(means, 1, n))), "b": dict.fromkeys(range(n), limit)}
        found += [row["verdict"] for row in judge([claim], values)]
    assert 0.80 - slack(0.8, draws) <= found.count("supported") / draws <= 0.84 + slack(0.8, draws)
    assert found.count("contradicted") == 0


def test_needed_n_is_for_the_observed_effect_at_the_level_of_the_test() -> None:
    runs = {"b": np.full(4, 80.0), "v": around(80.5, 4), "w": around(80.0, 4)}
    table = verdicts_on([BETTER, {**BEST_OF, "id": "b best"}, {**BETTER, "id": "w best", "variant": "w"}], runs)
    level = 0.05 / 3
    assert table["level"].tolist() == pytest.approx([level] * 3, rel=1e-5)
    # b is behind v by 0.5: to contradict "b is best" takes half the level, since it has two rivals
    assert table["needed_n"].tolist() == [pairs_needed(0.5, 1, level), pairs_needed(0.5, 1, level / 2), MOST_N]
