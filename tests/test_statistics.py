"""Known answers, oracles and simulations for the endpoints, comparisons, intervals and sample sizes.

A simulated rate is compared with its nominal value within four standard errors of a binomial: generators are seeded, so
a test that passes goes on passing, and one that fails had less than one chance in ten thousand to do so by luck.
"""

from __future__ import annotations

import itertools
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from synthetic import made_study

from temporal_shortcuts.analysis import endpoints as e
from temporal_shortcuts.analysis import moderation as m
from temporal_shortcuts.analysis import statistics as s
from temporal_shortcuts.analysis.verdicts import verdicts, why_not_tested
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import Study

DOCS = Path(__file__).parents[1] / "docs" / "statistics.md"


def slack(rate: float, draws: int) -> float:
    """Four binomial standard errors of a simulated rate."""
    return 4 * math.sqrt(rate * (1 - rate) / draws)


# Endpoints ------------------------------------------------------------------------------------------------------------


def metrics_of(curves: dict[tuple[str, int], list[float]], losses: dict[tuple[str, int], list[float]]) -> pd.DataFrame:
    rows = [
        (variant, seed, epoch + 1, accuracy, losses.get((variant, seed), [1.0] * len(curve))[epoch])
        for (variant, seed), curve in curves.items()
        for epoch, accuracy in enumerate(curve)
    ]
    return pd.DataFrame(rows, columns=["variant", "seed", "epoch", "test_accuracy", "train_loss"])


def test_endpoints_known_answer() -> None:
    curves = {
        ("z_last_by_name", 1): [0.1, 0.2, 0.9, 0.5, 0.6, 0.7, 0.8, 0.9],
        ("z_last_by_name", 0): [0.2, 0.4],
        ("diverged", 0): [0.5, 0.1, 0.9],  # the one class that a network without numbers answers may be most of them
    }
    metrics = metrics_of(curves, {("diverged", 0): [2.0, math.inf, math.nan]})
    runs = e.endpoints(metrics)
    assert runs[["variant", "seed"]].to_records(index=False).tolist() == list(curves)  # the study's order
    assert runs["last5"].tolist() == pytest.approx([0.7, 0.3, 0.1])  # diverged: no higher than chance
    assert runs["final"].tolist() == [0.9, 0.4, 0.1]
    assert runs["best"].tolist() == [0.9, 0.4, 0.5]
    assert runs["best_epoch"].tolist() == [3, 2, 1]  # the first that reached it
    assert runs["diverged_epoch"].isna().tolist() == [True, True, False]
    assert runs["diverged_epoch"].iloc[2] == 2
    # within a run, rows need no order
    again = e.endpoints(metrics.sort_values("epoch", ascending=False, kind="stable"))
    assert again.set_index(["variant", "seed"]).loc[("z_last_by_name", 1), "final"] == 0.9


def test_a_missing_accuracy_is_refused() -> None:
    metrics = metrics_of({("a", 7): [0.1, math.nan]}, {})
    for name, table in (
        ("test_accuracy", metrics),
        ("averaged_test_accuracy", metrics.assign(test_accuracy=0.5, averaged_test_accuracy=[0.5, math.nan])),
    ):
        with pytest.raises(UserError, match=f": {name} of a, seed 7, epoch 2 is missing"):
            e.endpoints(table)


def test_every_endpoint_that_the_record_has() -> None:
    empty = math.nan
    metrics = metrics_of({("a", 0): [0.1, 0.5, 0.4], ("a", 1): [0.2, 0.3, 0.6]}, {})
    assert e.available(e.endpoints(metrics)) == ["last5", "final", "best"]
    metrics["averaged_test_accuracy"] = [empty, 0.61, 0.62] * 2
    metrics["averaged_re_estimated_test_accuracy"] = [empty, empty, 0.63] * 2
    metrics["re_estimated_test_accuracy"] = [empty, empty, 0.64] * 2
    metrics["test_accuracy_with_carry"] = [0.1, 0.2, 0.65] * 2
    metrics["averaged_test_accuracy_with_carry"] = [empty, empty, 0.66] * 2
    runs = e.endpoints(metrics)
    assert e.available(runs) == list(e.ENDPOINTS)
    assert runs[list(e.ENDPOINTS)[3:]].to_numpy().tolist() == [[0.62, 0.63, 0.64, 0.65, 0.66]] * 2
    assert e.of_runs(runs, "mismatch").tolist() == pytest.approx([-0.01] * 2)


@given(st.lists(st.integers(0, 100), min_size=1, max_size=30), st.integers(0, 40))
def test_stable_epoch_against_its_definition(percent: list[int], tolerance: int) -> None:
    n = len(percent)
    smoothed = [np.mean(percent[max(0, e - 2) : e + 3]) for e in range(n)]
    stable = [all(abs(x - smoothed[-1]) <= tolerance + 1e-9 for x in smoothed[e:]) for e in range(n)]
    assert e.stable_epoch(np.array(percent) / 100, tolerance / 100) == stable.index(True) + 1


def test_stable_epoch_known_answers() -> None:
    assert e.stable_epoch([0.5], 0.01) == 1
    assert e.stable_epoch([0.9] * 10, 0.0) == 1
    assert e.stable_epoch([0.0] * 5 + [1.0] * 10, 0.01) == 8  # epoch 7 still averages one 0 among five
    assert e.stable_epoch([0.0] * 5 + [1.0] * 10, 0.2) == 7


# One comparison -------------------------------------------------------------------------------------------------------


def test_compare_agrees_with_scipy() -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(90, 1, 8), rng.normal(89, 1, 8)
    ours, theirs = s.compare(a, b), stats.ttest_rel(a, b)
    assert ours.n == 8
    assert ours.mean_difference == pytest.approx((a - b).mean())
    assert ours.sd_difference == pytest.approx(np.std(a - b, ddof=1))
    assert ours.p_t == pytest.approx(theirs.pvalue)
    assert (ours.t_low, ours.t_high) == pytest.approx(tuple(theirs.confidence_interval(0.95)))
    assert ours.pair_correlation == pytest.approx(stats.pearsonr(a, b).statistic)
    power = TTestPower().power(ours.detectable_difference / ours.sd_difference, 8, 0.05)
    assert power == pytest.approx(0.80, abs=1e-5)
    flips = stats.permutation_test((a - b,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert ours.p_sign_flip == pytest.approx(flips.pvalue)
    assert ours == s.compare(a, b)  # nothing random from call to call


@given(st.lists(st.integers(-5, 5), min_size=1, max_size=9))
def test_sign_flip_is_the_enumeration(tenths: list[int]) -> None:
    differences = np.array(tenths) / 10
    patterns = itertools.product([-1, 1], repeat=len(tenths))  # in whole tenths, so ties are exact
    far = [abs(sum(a * b for a, b in zip(signs, tenths, strict=True))) >= abs(sum(tenths)) for signs in patterns]
    assert s.sign_flip_p(differences) == pytest.approx(np.mean(far))


def test_sign_flip_beyond_enumeration() -> None:
    differences = np.random.default_rng(2).normal(0.4, 1, 21)
    sums = np.zeros(1)
    for difference in differences:
        sums = np.concatenate([sums + difference, sums - difference])
    exact = np.mean(np.abs(sums) >= abs(differences.sum()) - 1e-9)
    drawn = s.sign_flip_p(differences)
    assert drawn == pytest.approx(exact, abs=slack(exact, s.SIGN_DRAWS))
    assert drawn == s.sign_flip_p(differences)
    assert s.sign_flip_p(np.ones(60)) == 1 / (1 + s.SIGN_DRAWS)  # never 0
    assert s.sign_flip_p(np.ones(20)) == 2 / 2**20


def test_small_and_degenerate_samples() -> None:
    none, one, two = s.compare([], []), s.compare([91.0], [90.0]), s.compare([91.0, 90.5], [90.0, 90.0])
    assert none.n == 0
    assert all(math.isnan(value) for name, value in vars(none).items() if name != "n")
    assert one.mean_difference == 1.0
    assert all(math.isnan(value) for name, value in vars(one).items() if name not in ("n", "mean_difference"))
    assert (two.t_low, two.t_high) == pytest.approx(stats.ttest_1samp([1.0, 0.5], 0).confidence_interval(0.95))
    assert all(math.isnan(x) for x in (two.p_t, two.p_sign_flip, two.bca_low, two.bca_high, two.pair_correlation))


def test_equal_differences_count_no_more_than_the_resolution() -> None:
    same = s.compare([10.0, 10.0, 10.0], [10.0, 10.0, 10.0])
    assert (same.mean_difference, same.sd_difference, same.p_t, same.p_sign_flip) == (0, 0, 1, 1)
    assert same.t_high == pytest.approx(-same.t_low) == pytest.approx(stats.t.isf(0.025, 2) * 0.01 / math.sqrt(3))
    assert math.isnan(same.bca_low)
    assert math.isnan(same.pair_correlation)
    shifted = s.compare([90.3, 91.3, 92.3], [90.0, 91.0, 92.0])  # equal but for the last bits
    assert shifted.sd_difference == 0
    assert shifted.p_t == pytest.approx(2 * stats.t.sf(0.3 / 0.01 * math.sqrt(3), 2))
    assert shifted.t_low < 0.3 < shifted.t_high


def test_the_floor_is_one_test_image() -> None:
    assert s.resolution(10_000) == s.RESOLUTION
    one_image = 100 / 64
    three = s.compare([50 + one_image] * 3, [50.0] * 3, s.resolution(64))
    assert three.p_t == pytest.approx(2 * stats.t.sf(math.sqrt(3), 2))  # each one image better proves nothing
    assert s.compare([50 + one_image] * 3, [50.0] * 3).p_t < 2e-5


# Sample sizes ---------------------------------------------------------------------------------------------------------


def test_pairs_needed_known_answers() -> None:
    assert s.pairs_needed(0.07, 0.15 * math.sqrt(2)) == 75  # 74 give 79.99 %
    assert s.pairs_needed(0.07, 0.15) == 39  # correlation 0.5 halves it; 38 give 79.99 %
    assert s.pairs_needed(-0.07, 0.15) == 39
    assert [s.pairs_needed(0.07, sd, 0.05 / 7) for sd in (0.15 * math.sqrt(2), 0.15)] == [119, 61]
    assert s.pairs_needed(0.0, 1.0) == s.pairs_needed(1e-9, 1.0) == s.MOST_N
    assert s.pairs_needed(50.0, 0.0) == s.SMALLEST_N
    assert s.pairs_needed(1.0, 0.0) == s.pairs_needed(1.0, s.RESOLUTION)


@pytest.mark.parametrize("level", [0.05, 0.05 / 7])
@pytest.mark.parametrize("effect", [0.2, 0.5, 1.0, 2.0, 5.0])
def test_pairs_needed_is_the_smallest_that_is_enough(effect: float, level: float) -> None:
    n = s.pairs_needed(effect, 1.0, level)
    power = [TTestPower().power(effect, pairs, level / 2, alternative="larger") for pairs in (n - 1, n)]
    assert power[1] >= 0.80
    assert n == s.SMALLEST_N or power[0] < 0.80


@pytest.mark.parametrize("about_margin", [False, True])
@pytest.mark.parametrize(("n", "mean"), [(3, 0.1), (6, 0.0), (10, 0.15), (10, 0.6)])
def test_power_to_decide_is_that_of_a_simulation(n: int, mean: float, about_margin: bool) -> None:
    draws, sd, margin, levels = 40_000, 0.2, 0.3, (0.05 / 7, 0.05 / 14)
    samples = np.random.default_rng(n).normal(mean, sd, (draws, n))
    limit = margin if about_margin else 0.0
    p = [stats.ttest_1samp(samples, limit, axis=1, alternative="greater").pvalue]
    p += [stats.ttest_1samp(samples, -limit, axis=1, alternative="less").pvalue]
    within = [stats.ttest_1samp(samples, -margin, axis=1, alternative="greater").pvalue <= levels[0]]
    within += [stats.ttest_1samp(samples, margin, axis=1, alternative="less").pvalue <= levels[1]]
    decided = np.mean((p[0] <= levels[0] / 2) | (p[1] <= levels[1] / 2) | (within[0] & within[1]))
    power = s.power_to_decide(n, mean, sd, margin, levels, about_margin)
    assert power == pytest.approx(decided, abs=slack(max(power, 0.01), draws))


def test_power_to_decide_without_a_margin_is_that_of_the_t_test() -> None:
    ours = s.power_to_decide(8, 1.0, 1.0, 1e-12, (0.05, 0.05))
    assert ours == pytest.approx(TTestPower().power(1.0, 8, 0.05), abs=1e-6)


@pytest.mark.parametrize("about_margin", [False, True])
@pytest.mark.parametrize("mean", [0.0, 0.1, 0.4])
def test_pairs_to_decide_is_the_smallest_that_is_enough(mean: float, about_margin: bool) -> None:
    n = s.pairs_to_decide(mean, 0.5, 0.3, (0.01, 0.01), about_margin)
    few, enough = (s.power_to_decide(pairs, mean, 0.5, 0.3, (0.01, 0.01), about_margin) for pairs in (n - 1, n))
    assert few < 0.8 <= enough
    assert s.pairs_to_decide(0.3, 0.5, 0.3, (0.01, 0.01), about_margin=True) == s.MOST_N  # on the margin: never
    assert s.pairs_to_decide(5.0, 0.01, 0.3, (0.01, 0.01)) == s.SMALLEST_N


def test_the_tables_in_the_docs_are_computed() -> None:
    rows = re.findall(r"^\| (\d+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", DOCS.read_text(), re.MULTILINE)
    assert len(rows) >= 5
    for n, *written in ((int(row[0]), *map(float, row[1:])) for row in rows):
        decides = [stats.t.isf(level / 2, n - 1) / math.sqrt(n) for level in (0.05, 0.05 / 7)]
        finds = [s.detectable_difference(n, 1.0, level) for level in (0.05, 0.05 / 7)]
        assert written == pytest.approx([decides[0], finds[0], decides[1], finds[1]], abs=0.005)


# Moderated variances --------------------------------------------------------------------------------------------------

VARIANCES = np.array([0.09, 0.25, 0.04, 0.16, 1.21, 0.0225, 0.36, 0.1225])


@pytest.mark.parametrize(
    ("df", "prior_df", "prior_variance", "last"),
    [
        (np.full(8, 3.0), 4.02798713002, 0.157914569531, 0.142797338007),
        (np.array([3.0, 3, 4, 9, 3, 2, 4, 3]), 4.14156830469, 0.154405735826, 0.141002908408),
    ],
)
def test_the_prior_is_that_of_limma(df: np.ndarray, prior_df: float, prior_variance: float, last: float) -> None:
    """Values of `squeezeVar(s2, df)` of limma 3.54.1, printed by R with options(digits = 12)."""
    d0, s02 = m.fit(VARIANCES, df)
    assert (d0, s02) == pytest.approx((prior_df, prior_variance), rel=1e-9)
    assert (d0 * s02 + df[-1] * VARIANCES[-1]) / (d0 + df[-1]) == pytest.approx(last, rel=1e-9)
    assert m.fit([0.09, 0.10, 0.11, 0.08, 0.12], 4) == (math.inf, pytest.approx(0.1))  # limma: Inf and 0.1
    stacked = m.fit(np.stack([VARIANCES, 4 * VARIANCES]), df)
    assert (stacked[0], stacked[1]) == (pytest.approx([prior_df] * 2), pytest.approx(prior_variance * np.array([1, 4])))


def test_how_much_is_borrowed() -> None:
    rng = np.random.default_rng(13)
    alike, apart = rng.chisquare(3, (200, 10)) / 3, 100.0 ** np.arange(10) * np.ones((2, 1))
    assert m.borrowed(alike[:, :4], 3.0).tolist() == [0.0] * 200, "four arms are too few"
    assert m.borrowed(alike[:, :5], 2.0).tolist() == [0.0] * 200, "and so are five with three seeds"
    assert (m.borrowed(alike[:, :5], 3.0) <= 1).all()
    assert 2 < np.median(m.borrowed(alike, 3.0)) <= m.borrowed(alike, 3.0).max() <= 3.5
    assert (m.borrowed(rng.chisquare(9, (200, 24)) / 9, 9.0) == m.MOST).mean() > 0.9
    assert m.borrowed(apart, 3.0).tolist() == [0.0] * 2, "spreads that differ a hundredfold have nothing in common"
    assert (m.borrowed_if_alike(24, 10), m.borrowed_if_alike(5, 3), m.borrowed_if_alike(3, 50)) == (m.MOST, 0, 0)


ARMS = [f"arm{k}" for k in range(9)]


def arms_study(variances: str, claims: list[dict] | None = None) -> Study:
    null = {"against": "b", "settings": {"shortcut": {"kind": "one_bit", "onset": 1}}}
    return made_study(
        {"b": {}, "null": null} | {name: {"against": "b"} for name in ARMS}, claims or [], variances=variances
    )


def arms_runs(sds: dict[str, float], seeds: dict[str, int]) -> pd.DataFrame:
    rng = np.random.default_rng(14)
    rows = [
        (name, k, (80 + rng.normal(0, sds.get(name, 0.2))) / 100)
        for name in ("b", "null", *ARMS)
        for k in range(seeds.get(name, 4))
    ]
    return pd.DataFrame(rows, columns=["variant", "seed", "last5"])


def test_moderated_comparisons_follow_from_one_estimate() -> None:
    """Null arms take part in it, arms of another n too, and one with two seeds does not."""
    runs = arms_runs({"arm0": 0.5}, {"b": 6, "arm1": 6, "arm2": 3, "arm3": 2})
    own, table = (s.comparisons(arms_study(how), runs).set_index("variant") for how in ("own", "moderated"))
    assert (own.columns.tolist(), table.columns.tolist()) == (
        s.COMPARISONS[:1] + s.COMPARISONS[2:],
        own.columns.tolist() + s.MODERATED,
    )
    wide = 100 * runs.pivot(index="seed", columns="variant", values="last5")
    differences = {name: (wide[name] - wide["b"]).dropna().to_numpy() for name in ("null", *ARMS)}
    pool = {name: d for name, d in differences.items() if len(d) > 2}
    df = np.array([len(d) - 1.0 for d in pool.values()])
    variances = np.array([d.var(ddof=1) for d in pool.values()])
    borrowed, common = float(m.borrowed(variances, df)), float(m.fit(variances, df)[1])
    assert borrowed > 0.5
    for name in pool:
        d, row = differences[name], table.loc[name]
        sd = math.sqrt((borrowed * common + (len(d) - 1) * d.var(ddof=1)) / (borrowed + len(d) - 1))
        ends = stats.t.interval(0.95, borrowed + len(d) - 1, d.mean(), sd / math.sqrt(len(d)))
        assert (row["t_low"], row["t_high"]) == pytest.approx(ends, rel=1e-4)
        assert row["p_t"] == pytest.approx(
            2 * stats.t.sf(abs(d.mean()) / sd * len(d) ** 0.5, borrowed + len(d) - 1), rel=1e-4
        )
        assert row["detectable_difference"] == pytest.approx(
            s.detectable_difference(len(d), sd, borrowed=borrowed), rel=1e-4
        )
        assert (row["df"], row["variances"]) == (pytest.approx(borrowed + len(d) - 1, rel=1e-4), "moderated")
    family = [name for name in ARMS if name != "arm3"]
    expected = multipletests([*table["p_t"][family], 1.0], method="holm")[1][:-1]
    assert table["p_holm"][family].tolist() == pytest.approx(expected.tolist(), rel=1e-4)
    assert table["p_holm"][["null", "arm3"]].isna().all()
    assert table["sd_difference"].equals(own["sd_difference"]), "as measured"


@pytest.mark.parametrize(
    ("sds", "seeds", "how"),
    [
        ({}, {}, "moderated"),
        ({name: 0.001 * 10.0**k for k, name in enumerate(ARMS)}, {}, "too_different"),
        ({}, dict.fromkeys(ARMS[3:], 2), "too_few"),
    ],
)
def test_where_nothing_can_be_borrowed_each_has_its_own_variance_and_says_so(sds: dict, seeds: dict, how: str) -> None:
    runs = arms_runs(sds | ({"b": 0.0} if how == "too_different" else {}), seeds)
    own, table = (s.comparisons(arms_study(variances), runs) for variances in ("own", "moderated"))
    assert set(table["variances"]) == {how}
    assert own.equals(table[s.COMPARISONS]) == (how != "moderated")


def test_a_claims_variance_is_that_of_its_comparison() -> None:
    claim = {"id": "a", "text": "a", "test": "better", "variant": "b", "than": "arm0"}
    runs = arms_runs({"arm0": 0.6}, {})
    for how in ("own", "moderated"):
        study = arms_study(how, [claim])
        row, claimed = s.comparisons(study, runs).set_index("variant").loc["arm0"], verdicts(study, runs).iloc[0]
        assert (claimed["low"], claimed["high"], claimed["p"]) == pytest.approx(
            (-row["t_high"], -row["t_low"], row["p_t"]), rel=1e-4
        )
        assert ("df" in claimed) == (how == "moderated")


@pytest.mark.parametrize("n", [3, 4, 8])
def test_what_is_detectable_with_borrowed_degrees_of_freedom_is_found_four_times_in_five(n: int) -> None:
    draws, borrowed, rng = 20_000, 3.0, np.random.default_rng(n)
    means = rng.normal(s.detectable_difference(n, 1.0, borrowed=borrowed), 1 / math.sqrt(n), draws)
    sds = np.sqrt(rng.chisquare(n - 1 + borrowed, draws) / (n - 1 + borrowed))
    p = 2 * stats.t.sf(np.abs(means) * math.sqrt(n) / sds, n - 1 + borrowed)
    assert np.mean(p <= 0.05) == pytest.approx(0.8, abs=slack(0.8, draws))
    assert s.detectable_difference(n, 1.0, borrowed=borrowed) < s.detectable_difference(n, 1.0)
    needed = s.pairs_needed(1.2, 1.0, 0.01, borrowed)
    assert s._power(1.2, needed, 0.01, borrowed) >= 0.8 > s._power(1.2, needed - 1, 0.01, borrowed)
    levels = (0.05, 0.05)
    power = s.power_to_decide(n, 0.0, 0.2, 0.3, levels, borrowed=borrowed)
    errors = 0.2 * sds / math.sqrt(n)
    small = rng.normal(0, 0.2 / math.sqrt(n), draws)
    critical = stats.t.isf([0.025, 0.05], n - 1 + borrowed)
    decided = (np.abs(small) > critical[0] * errors) | (np.abs(small) + critical[1] * errors < 0.3)
    assert power == pytest.approx(decided.mean(), abs=slack(0.5, draws))


# The study's tables ---------------------------------------------------------------------------------------------------

STUDY = made_study(
    {
        "benchmark": {"published": 0.9198},
        "z": {"against": "benchmark", "published": 0.9205},
        "null": {"against": "benchmark", "settings": {"shortcut": {"kind": "one_bit", "onset": 1}}},
        "a": {"against": "z"},
        "absent": {"against": "benchmark", "published": 0.1},
    }
)


def runs_of(seeds: dict[str, list[int]]) -> pd.DataFrame:
    rng = np.random.default_rng(6)
    rows = [(variant, seed, *rng.uniform(0.8, 0.9, 3)) for variant, list_ in seeds.items() for seed in list_]
    return pd.DataFrame(rows, columns=["variant", "seed", "last5", "final", "best"])


RUNS = runs_of({"benchmark": [0, 1, 2, 3, 4], "z": [4, 3, 1, 0], "null": [0, 1, 2], "a": [0, 1, 9]})


def test_comparisons_pair_by_seed_and_correct_within_an_endpoint() -> None:
    table = s.comparisons(STUDY, RUNS)
    assert table.columns.tolist() == s.COMPARISONS
    assert table["variant"].tolist() == ["z", "null", "a", "absent"] * 3
    assert table["endpoint"].tolist() == [e for e in ("last5", "final", "best") for _ in range(4)]
    assert table["n"].tolist() == [4, 3, 2, 0] * 3
    value = RUNS.set_index(["variant", "seed"])["final"]
    differences = [100 * (value["z", k] - value["benchmark", k]) for k in (0, 1, 3, 4)]
    row = table.set_index(["endpoint", "variant"]).loc[("final", "z")]
    assert row["mean_difference"] == pytest.approx(np.mean(differences), rel=1e-5)
    assert row["p_t"] == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, rel=1e-5)
    for _, group in table.groupby("endpoint"):
        p = group.set_index("variant")["p_t"]
        assert group["p_t"].isna().tolist() == [False, False, True, True]  # two seeds are no test, and take no step
        holm = multipletests([p["z"], 1.0, 1.0], method="holm")[1]  # what is not tested counts, the null arm does not
        assert group.set_index("variant")["p_holm"]["z"] == pytest.approx(holm[0], rel=1e-5)
        assert group["p_holm"].isna().tolist() == [False, True, True, True]


def test_comparisons_are_the_same_bytes_from_rows_in_any_order() -> None:
    once = s.comparisons(STUDY, RUNS).to_csv(index=False)
    shuffled = RUNS.sample(frac=1, random_state=7)
    assert s.comparisons(STUDY, shuffled).to_csv(index=False) == once
    assert "-0.0," not in once


def test_a_study_without_comparisons_and_a_run_with_two_rows() -> None:
    assert s.comparisons(made_study({"benchmark": {}}), RUNS).empty
    with pytest.raises(UserError, match="two rows of benchmark, seed 0"):
        s.comparisons(STUDY, pd.concat([RUNS, RUNS.iloc[:1]]))


def test_holm_known_answer() -> None:
    assert s.holm([0.01, 0.04, 0.03]).tolist() == pytest.approx([0.03, 0.06, 0.06])
    assert s.holm([0.01, math.nan]).tolist() == pytest.approx([0.02, math.nan], nan_ok=True)
    assert len(s.holm([])) == 0


def test_a_published_difference_is_that_of_the_same_run_only() -> None:
    """The report's values, where a variant is what the report ran; one's own, whatever they are of."""
    shortcut = {"kind": "batch_res", "strength": 0.05}
    variants = {"benchmark": {"published": 0.9198}} | {
        f"from_{onset}": {
            "against": "benchmark",
            "published": 0.9205,
            "settings": {"shortcut": shortcut | {"onset": onset}},
        }
        for onset in (41, 8)
    }
    for values, expected in (((0.9198, 0.9205), [0.07, math.nan]), ((0.5, 0.6), [10, 10])):
        given = {name: one | {"published": values[name != "benchmark"]} for name, one in variants.items()}
        found = s.comparisons(made_study(given), runs_of({"benchmark": [0]}))["published_difference"][:2]
        assert found.tolist() == pytest.approx(expected, nan_ok=True)


def test_identical_runs_are_not_tested() -> None:
    weights = RUNS["seed"].astype(str).where(RUNS["variant"].isin(["benchmark", "z"]), RUNS["variant"])
    table = s.comparisons(STUDY, RUNS.assign(weights_final=weights)).set_index(["endpoint", "variant"])
    assert table.loc[("last5", "z"), ["p_t", "p_sign_flip", "p_holm"]].isna().all()
    assert table.loc[("last5", "null"), ["p_t", "p_sign_flip"]].notna().all()
    reasons = [why_not_tested(table.loc[("last5", name)]) for name in ("z", "null", "a", "absent")]
    assert reasons == ["its runs are the same to the last bit", "", "2 of 3 seeds", "no seed in common"]


def test_what_is_rounded_again_in_a_text_is_rounded_as_once() -> None:
    exact = (-66.13497, -124.8452, -124.8447, 0.125, 66.13512, 0.135 - 1e-16)
    assert [s.six_digits(one) for one in exact] == [-66.13497, -124.8452, -124.845, 0.125, 66.1351, 0.135]


def test_rounding_keeps_six_digits_and_whole_numbers() -> None:
    frame = s.rounded(pd.DataFrame({"x": [1.23456789e-12, -0.0, math.nan], "n": [1, 2, 3], "name": list("abc")}))
    assert frame.to_csv(index=False) == "x,n,name\n1.23457e-12,1,a\n0.0,2,b\n,3,c\n"


# Seeds and test images ------------------------------------------------------------------------------------------------

PAIR = made_study({"b": {}, "v": {"against": "b"}})


def answers(rng: np.random.Generator, seeds: int, images: int, gain: float = 0.0) -> dict[tuple[str, int], np.ndarray]:
    """Right answers of two variants over images that are easy or hard for all, and seeds that are good or bad."""
    easy = rng.normal(0.5, 1, images)
    runs = {}
    for seed, variant in itertools.product(range(seeds), "bv"):
        skill = gain * (variant == "v") + rng.normal(0, 0.2)
        runs[variant, seed] = easy + skill + rng.normal(0, 1, images) > 0
    return runs


def test_image_bootstrap_against_a_naive_loop() -> None:
    n_seeds, n_images, resamples = 3, 15, 450
    correct = answers(np.random.default_rng(8), n_seeds, n_images)
    row = s.image_bootstrap(PAIR, correct, resamples).iloc[0]
    draw_images, draw_seeds = np.random.default_rng(0), np.random.default_rng(0)
    drawn = []
    for images in draw_images.integers(n_images, size=(resamples, n_images)):
        counts = draw_seeds.multinomial(n_seeds, [1 / n_seeds] * n_seeds)
        seeds = [k for k, count in enumerate(counts) for _ in range(count)]
        drawn.append(np.mean([100.0 * correct["v", k][i] - 100.0 * correct["b", k][i] for k in seeds for i in images]))
    everything = [100.0 * (correct["v", k].mean() - correct["b", k].mean()) for k in range(n_seeds)]
    assert row[["n_seeds", "n_images"]].tolist() == [n_seeds, n_images]
    assert row["mean_difference"] == pytest.approx(np.mean(everything), rel=1e-5)
    assert (row["low"], row["high"]) == pytest.approx(tuple(np.quantile(drawn, [0.025, 0.975])), rel=1e-5)


def test_image_bootstrap_small_and_wrong_input() -> None:
    correct = answers(np.random.default_rng(11), 2, 20)
    row = s.image_bootstrap(PAIR, correct).iloc[0]
    mean = np.mean([100 * (correct["v", k].mean() - correct["b", k].mean()) for k in (0, 1)])
    assert row["mean_difference"] == pytest.approx(mean)
    assert row[["low", "high"]].isna().all()
    assert s.image_bootstrap(PAIR, {})["n_seeds"].tolist() == [0]
    alone = s.image_bootstrap(PAIR, correct)
    more = {("other", 0): np.ones(20, bool), **dict(reversed(correct.items())), ("v", 9): np.ones(20, bool)}
    study = made_study({"other": {"against": "b"}, "b": {}, "v": {"against": "b"}})
    assert s.image_bootstrap(study, more).iloc[1:].to_csv(index=False) == alone.to_csv(index=False), "by its own runs"
    with pytest.raises(UserError, match="cover 19 and 20 test images"):
        s.image_bootstrap(PAIR, {**correct, ("v", 2): np.ones(19, bool)})
