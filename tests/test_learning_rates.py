"""The learning rate over a run, and the share of the variance that lies within a seed."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.regression.mixed_linear_model import MixedLM
from synthetic import made_study, study_of

from temporal_shortcuts.analysis import learning_rates as rates
from temporal_shortcuts.analysis import tables
from temporal_shortcuts.analysis.variance import variance
from temporal_shortcuts.study import load_resolved

LAPTOP = Path(__file__).parents[1] / "results" / "laptop"
STUDY = made_study(
    {
        name: {"against": against, "settings": {"learning_rate": rate}}
        for name, against, rate in (("b", None, 0.01), ("small", "b", 0.001), ("large", "b", 0.1))
    }
)


def curves(epochs: int = 30, seeds: int = 4) -> pd.DataFrame:
    """A large rate that learns soon and swings, a small one that learns late and ends low."""
    rng, rows = np.random.default_rng(0), []
    for name, scale, top, swing in (("b", 5, 0.9, 0.01), ("small", 25, 0.75, 0.002), ("large", 2, 0.88, 0.05)):
        for seed in range(seeds):
            epoch = np.arange(1, epochs + 1)
            train = top * (1 - np.exp(-epoch / scale)) + rng.normal(0, 0.002, epochs)
            test = train - 0.05 + rng.normal(0, swing, epochs)
            rows += zip([name] * epochs, [seed] * epochs, epoch, train, test, strict=True)
    return pd.DataFrame(rows, columns=["variant", "seed", "epoch", "train_accuracy", "test_accuracy"])


def test_each_measure_is_what_it_says() -> None:
    metrics = curves()
    table = rates.learning_rates(STUDY, metrics).set_index(["variant", "measure", "level"])
    own = {name: [run for _, run in runs.groupby("seed")] for name, runs in metrics.groupby("variant")}
    first = [int(run.loc[run["train_accuracy"] > 0.5, "epoch"].min()) for run in own["b"]]
    row = table.loc[("b", "first_epoch", 50)]
    assert (row["mean"], row["n"], row["reached"]) == (np.mean(first), 4, 4)
    swings = [100 * np.diff(run["test_accuracy"].to_numpy()[-10:]).std(ddof=1) for run in own["large"]]
    row = table.xs("swing", level="measure").loc["large"].iloc[0]
    assert row["mean"] == pytest.approx(np.mean(swings), rel=1e-5)
    assert (row["low"], row["high"]) == pytest.approx(
        tuple(stats.t.interval(0.95, 3, np.mean(swings), stats.sem(swings))), rel=1e-5
    )
    gaps = [100 * (run["train_accuracy"] - run["test_accuracy"])[-5:].mean() for run in own["small"]]
    assert table.xs("gap", level="measure").loc["small"].iloc[0]["mean"] == pytest.approx(np.mean(gaps), rel=1e-5)
    late = table.loc[("small", "first_epoch", 80)]
    assert (late["reached"], late["mean"]) == (0, 31)  # never: the epoch after the last


def test_the_four_statements_are_judged_by_the_rule() -> None:
    said = rates.learning_rates(STUDY, curves()).set_index("statement")["outcome"].drop("")
    assert dict(said) == dict.fromkeys(("fast", "oscillates", "slow", "stuck"), "borne out")
    turned = curves().replace({"variant": {"small": "large", "large": "small"}})
    said = rates.learning_rates(STUDY, turned).set_index("statement")["outcome"].drop("")
    assert said["fast"] == said["slow"] == "contradicted"
    two = rates.learning_rates(STUDY, curves(seeds=2))
    assert set(two["outcome"]) == {"", "undecided"}


def test_equal_epochs_prove_no_more_than_a_whole_epoch() -> None:
    metrics = curves(seeds=3)
    metrics["train_accuracy"] = np.where(metrics["variant"] == "large", 0.02, 0.0) + metrics["epoch"] / 31
    row = rates.learning_rates(STUDY, metrics).set_index(["variant", "level"]).loc[("large", 50)]
    assert row["difference"] in (-1, 0)
    assert row["p"] > 0.2


def test_only_rates_of_the_benchmark_count_and_one_seed_is_enough() -> None:
    alone = rates.learning_rates(STUDY, curves(seeds=1))
    assert alone[["low", "high", "difference_low", "p"]].isna().all(axis=None)
    read = tables.Tables.read(LAPTOP)
    study = load_resolved(LAPTOP / "study.json")
    again = rates.learning_rates(study, read.metrics)
    assert list(dict.fromkeys(again["variant"])) == ["lr_0.001", "benchmark", "lr_0.1"]


# Variance within a seed -----------------------------------------------------------------------------------------------

ARMS = {
    "seeds": list(range(40)),
    "variants": {
        f"arm{i}": {"shortcut": {"kind": "fresh_order", "onset": 20, "stream": i}, "label": f"stream {i}"}
        for i in (1, 2)
    },
    "claims": [],
}


def branches(within: float, between: float, seeds: int, rng: np.random.Generator) -> pd.DataFrame:
    trunk = rng.normal(0, between, seeds)
    rows = [
        (name, seed, 0.8 + (trunk[seed] + rng.normal(0, within)) / 100)
        for name in ("benchmark", "arm1", "arm2")
        for seed in range(seeds)
    ]
    return pd.DataFrame(rows, columns=["variant", "seed", "last5"])


def test_components_are_those_of_a_mixed_model() -> None:
    runs = branches(0.4, 0.3, 40, np.random.default_rng(0))
    row = variance(study_of(ARMS), runs).iloc[0]
    fitted = MixedLM(100 * runs["last5"], np.ones(len(runs)), groups=runs["seed"]).fit(reml=True)
    assert row["sd_within"] == pytest.approx(math.sqrt(fitted.scale), rel=1e-3)
    assert row["sd_between"] == pytest.approx(math.sqrt(fitted.cov_re.iloc[0, 0]), rel=1e-2)
    assert row["share_within"] == pytest.approx(
        row["sd_within"] ** 2 / (row["sd_within"] ** 2 + row["sd_between"] ** 2)
    )
    assert (row["kind"], row["onset"], row["seeds"], row["branches"]) == ("fresh_order", 20, 40, 3)


def test_the_interval_of_the_share_covers() -> None:
    study, rng, covered, draws = study_of(ARMS), np.random.default_rng(1), 0, 400
    for _ in range(draws):
        row = variance(study, branches(0.4, 0.3, 10, rng)).iloc[0]
        covered += row["low"] <= 0.16 / 0.25 <= row["high"]
    assert covered / draws == pytest.approx(0.95, abs=4 * math.sqrt(0.95 * 0.05 / draws))


def test_no_variance_between_seeds_and_too_few_seeds() -> None:
    study = study_of(ARMS)
    apart = branches(0.4, 0.0, 10, np.random.default_rng(2))
    assert variance(study, apart)["share_within"].item() <= 1
    assert variance(study, apart)["high"].item() == 1
    assert math.isnan(variance(study, apart[apart["seed"] == 0])["sd_within"].item())
    same = apart.assign(last5=0.8)
    assert math.isnan(variance(study, same)["share_within"].item())
