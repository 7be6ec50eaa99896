"""Numbers that a study varies, over a run, and the share of the variance that lies within a seed."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from statsmodels.regression.mixed_linear_model import MixedLM
from synthetic import made_study, study_of

from temporal_shortcuts.analysis.variance import variance
from temporal_shortcuts.analysis.varied import effects
from temporal_shortcuts.study import Study
from temporal_shortcuts.study.declared import Augmentation, Settings, Shortcut
from temporal_shortcuts.study.outputs import figures_of, tables_of
from temporal_shortcuts.study.varied import KEYS, varied

STUDY = made_study(
    {
        name: {"against": against, "settings": {"learning_rate": rate}}
        for name, against, rate in (("b", None, 0.01), ("small", "b", 0.001), ("large", "b", 0.1))
    }
)

RATES = varied(STUDY)["learning_rate"]


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


def test_the_four_statements_are_judged_by_the_rule() -> None:
    said = effects(RATES, curves()).set_index("statement")["outcome"].drop("")
    assert dict(said) == dict.fromkeys(("fast", "oscillates", "slow", "stuck"), "supported")
    turned = curves().replace({"variant": {"small": "large", "large": "small"}})
    said = effects(RATES, turned).set_index("statement")["outcome"].drop("")
    assert said["fast"] == said["slow"] == "contradicted"
    two = effects(RATES, curves(seeds=2))
    assert set(two["outcome"]) == {"", "undecided"}


@pytest.mark.parametrize("seeds", [range(4), range(1, 4), [0]])
def test_a_diverged_run_has_no_swing_and_no_gap(seeds: list[int]) -> None:
    """A network without numbers swings by nothing and answers one class: calm, fast and without a gap, if one believed it."""
    metrics = curves().assign(train_loss=1.0, test_loss=1.0)
    wild = (metrics["variant"] == "large") & metrics["seed"].isin(list(seeds)) & (metrics["epoch"] > 1)
    metrics.loc[wild, ["train_loss", "train_accuracy", "test_accuracy"]] = [math.nan, 0.1, 0.1]
    table = effects(RATES, metrics)
    own = table[table["variant"] == "large"].set_index("measure")
    for measure in ("swing", "gap", "train_accuracy"):
        assert own.loc[measure, "n"] == own.loc[measure, "pairs"] == 4 - len(seeds)
        assert math.isnan(own.loc[measure, "mean"]) == (len(seeds) == 4)
    assert set(own.loc["first_epoch", "n"]) == {4}, "never to get there counts"
    said = table.set_index("statement")["outcome"]
    assert said["oscillates"] == ("supported" if len(seeds) == 1 else "undecided")


def test_the_statements_are_about_the_first_series_alone() -> None:
    settings = {"small": {"learning_rate": 0.001}, "large": {"learning_rate": 0.1}}
    settings |= {f"wide_{rate}": {"width": 16, "learning_rate": rate} for rate in (0.0001, 0.01, 1.0)}
    variants = {name: {"against": "b", "settings": own} for name, own in settings.items()}
    two = made_study({"b": {"settings": {"learning_rate": 0.01}}} | variants)
    series = varied(two)["learning_rate"]
    assert [set(one.values) for one in series] == [
        {"b", "small", "large"},
        {name for name in settings if "wide" in name},
    ]
    metrics = curves()
    wide = [metrics[metrics["variant"] == "small"].assign(variant=name) for name in series[1].values]
    said = effects(series, pd.concat([metrics, *wide]))
    judged = said[said["statement"] != ""]
    assert set(judged["variant"]) == {"small", "large"}
    assert set(judged["outcome"]) == {"supported"}


def test_equal_epochs_prove_no_more_than_a_whole_epoch() -> None:
    metrics = curves(seeds=3)
    metrics["train_accuracy"] = np.where(metrics["variant"] == "large", 0.02, 0.0) + metrics["epoch"] / 31
    row = effects(RATES, metrics).set_index(["variant", "level"]).loc[("large", 50)]
    assert row["difference"] in (-1, 0)
    assert row["p"] > 0.2


def test_of_another_number_each_difference_is_judged_together() -> None:
    sizes = {name: {"against": "b", "settings": {"batch_size": size}} for name, size in (("small", 16), ("large", 512))}
    study = made_study({"b": {"settings": {"batch_size": 128}}} | sizes)
    table = effects(varied(study)["batch_size"], curves())
    judged = table[table["outcome"] != ""].set_index(["variant", "measure"])
    assert set(judged.index) == set(itertools.product(("small", "large"), ("first_epoch", "swing", "gap")))
    assert set(judged["level"].dropna()) == {80}
    assert dict(judged["outcome"].xs("first_epoch", level="measure")) == {"small": "higher", "large": "lower"}
    assert (judged["p_holm"] >= judged["p"]).all()
    assert set(table["statement"]) == {""}


@pytest.mark.parametrize(
    ("key", "one", "other"),
    [
        ("learning_rate", 0.1, 1.0),
        ("batch_size", 64, 32),
        ("momentum", 0.5, 0.0),
        ("weight_decay", 0.0, 0.001),
        ("schedule_epochs", 300, 400),
        ("label_smoothing", 0.1, 0.2),
        ("width", 16, 4),
        ("crop_padding", 2, 0),
    ],
)
def test_a_number_is_varied_from_three_values_on(key: str, one: float, other: float) -> None:
    def study(*values: float) -> Study:
        changes = [{"augmentation": {key: value}} if key == "crop_padding" else {key: value} for value in values]
        none = dict.fromkeys(["lr_0.001", "lr_0.1"])
        others = {f"v{place}": change for place, change in enumerate(changes)}
        return study_of("demo.yaml", {"variants": none | others, "claims": []})

    three = study(one, other)  # two values beside the benchmark's
    (series,) = varied(three)[key]
    assert set(series.values) == {"benchmark", "v0", "v1"}
    assert f"{key}s.svg" in figures_of(three)
    assert f"{key}s.csv" in tables_of(three)
    assert key not in varied(study(one))


def test_strength_and_onset_are_varied_within_one_kind_and_against_a_reference_beside() -> None:
    study = study_of("sweep.yaml")
    found = varied(study)
    assert {key: len(series) for key, series in found.items()} == {"strength": 10, "onset": 6}
    for series in (*found["strength"], *found["onset"]):
        assert series.names == ["benchmark", *series.values]
        assert len({study.variants[name].shortcut.kind for name in series.values}) == 1  # type: ignore[union-attr]


def test_what_differs_in_more_than_the_number_is_no_part_of_a_series() -> None:
    mixed = {
        "both": {"learning_rate": 0.2, "momentum": 0.5},
        "late": {"learning_rate": 0.3, "shortcut": {"kind": "one_bit", "onset": 3}},
    }
    (series,) = varied(study_of("demo.yaml", {"variants": mixed}))["learning_rate"]
    assert set(series.values) == {"lr_0.001", "benchmark", "lr_0.1"}


def test_the_keys_are_the_numbers_of_a_variant() -> None:
    numbers = {
        name
        for kind in (Settings, Augmentation, Shortcut)
        for name, about in kind.model_fields.items()
        if any(word in str(about.annotation) for word in ("int", "float")) and name not in ("stream",)
    }
    assert numbers == set(KEYS)


# Variance within a seed -----------------------------------------------------------------------------------------------

STREAMS = {f"arm{i}": {"shortcut": {"kind": "fresh_order", "onset": 20, "stream": i}} for i in (1, 2)}
ARMS = {"seeds": list(range(40)), "variants": STREAMS, "claims": []}


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
