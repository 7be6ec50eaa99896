"""What became of a run: one rule for divergence, chance, and runs that are the same, and the mismatch of two evaluations."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from synthetic import SMALL, made_study, study_of, tabulated

from temporal_shortcuts.analysis import endpoints, outcomes
from temporal_shortcuts.analysis.outcomes import TestSet
from temporal_shortcuts.analysis.verdicts import verdicts
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.report import facts, page, texts, wording
from temporal_shortcuts.study.declared import ClaimEndpoint
from temporal_shortcuts.study.endpoints import NAMES


def metrics(**runs: dict[str, list[float]]) -> pd.DataFrame:
    """Rows of one run of seed 0 for each name; what is not given is finite, and 0.9."""
    parts = []
    for name, columns in runs.items():
        n = len(next(iter(columns.values())))
        common = {"variant": name, "seed": 0, "epoch": range(1, n + 1), "train_loss": 1.0, "test_loss": 1.0}
        parts.append(pd.DataFrame(common | {"train_accuracy": 0.9, "test_accuracy": 0.9} | columns))
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(
    ("losses", "since"),
    [
        ({"train_loss": [1.0, math.nan, math.nan]}, 2),
        ({"test_loss": [1.0, 1.0, math.nan]}, 3),
        ({"test_loss": [math.inf, 1.0, 1.0]}, 1),
        ({"train_loss": [1.0, 1.0, -math.inf], "test_loss": [1.0, math.nan, 1.0]}, 2),
        ({"train_loss": [9.9, 1e300, 2.0]}, None),
    ],
)
def test_a_run_has_diverged_whichever_loss_shows_it(losses: dict[str, list[float]], since: int | None) -> None:
    runs = endpoints.endpoints(metrics(ok={"train_loss": [1.0] * 3}, v=losses), classes=2)
    assert runs["diverged_epoch"].isna().tolist() == [True, since is None]
    assert since is None or runs["diverged_epoch"].iloc[1] == since
    assert runs["final"].tolist() == [0.9, 0.9 if since is None else 0.5]
    assert runs["best"].tolist() == [0.9, 0.5 if since == 1 else 0.9], "no epoch after it counts as the best"


def test_curves_are_capped_from_the_epoch_of_divergence_on() -> None:
    rows = metrics(
        v={"test_loss": [1.0, math.nan, 1.0], "averaged_test_accuracy": [math.nan, math.nan, 0.8]},
        b={"test_loss": [1.0] * 3},
    )
    found = outcomes.capped(rows, 2)
    assert found["test_accuracy"].tolist() == [0.9, 0.5, 0.5, 0.9, 0.9, 0.9]
    assert found["train_accuracy"].tolist() == [0.9, 0.5, 0.5, 0.9, 0.9, 0.9]
    assert found["averaged_test_accuracy"].iloc[:3].tolist() == pytest.approx([math.nan, math.nan, 0.5], nan_ok=True)
    assert outcomes.capped(rows.assign(test_loss=1.0), 2).equals(rows.assign(test_loss=1.0))


@pytest.mark.parametrize(("images", "classes", "chance"), [(10_000, 10, 0.1), (500, 100, 0.01), (360, 2, 0.8)])
def test_the_limit_of_chance_follows_from_classes_shares_and_images(images: int, classes: int, chance: float) -> None:
    test_set = TestSet(images, classes, chance)
    guessed = np.random.default_rng(0).binomial(images, chance, 100_000) / images
    assert 0 < (guessed > test_set.chance_limit).mean() <= 1.3 * outcomes.GUESSED
    assert stats.binom.sf(test_set.chance_limit * images - 1, images, chance) > outcomes.GUESSED, "and no higher"


def test_what_strangers_saw_of_chance() -> None:
    hundred = TestSet(500, 100, 0.01)
    assert hundred.chance_limit < 0.052, "5.2 % of 500 images of 100 classes is no guessing"
    assert hundred.is_balanced
    assert not TestSet(360, 2, 0.8).is_balanced
    assert TestSet(359, 10, 36 / 359).is_balanced, "as equal as so many images can be"
    assert TestSet(10, 2, 1.0).chance_limit == 1.0


def runs(diverged: tuple[int, ...] = (), **weights: str) -> pd.DataFrame:
    """runs.csv of seeds 0, 1, ...: a letter a seed for the weights."""
    rows = [(name, seed, hash_) for name, own in weights.items() for seed, hash_ in enumerate(own)]
    table = pd.DataFrame(rows, columns=["variant", "seed", "weights_final"])
    return table.assign(diverged_epoch=table["seed"].isin(diverged).astype("Int64").replace(0, pd.NA))


@pytest.mark.parametrize(
    ("found", "same"),
    [
        (runs(v="abc", b="abc"), True),
        (runs(v="ab", b="abc"), True),
        (runs(v="abx", b="abc"), False),
        (runs((0, 1, 2), v="nnn", b="nnn"), False),
        (runs((0,), v="nbc", b="nbc"), True),
        (runs(v="abc"), False),
        (runs(v="abc", b="abc").drop(columns="weights_final"), False),
    ],
    ids=["equal", "in common", "one differs", "all diverged", "one diverged", "no runs", "not known"],
)
def test_variants_are_the_same_where_their_weights_are(found: pd.DataFrame, same: bool) -> None:
    assert outcomes.identical(found, "v", "b") is same


# The mismatch ---------------------------------------------------------------------------------------------------------

MISMATCH: dict[str, Any] = {"id": "m", "text": "m", "test": "negligible", "variant": "v", "than": "b"}
MISMATCH |= {"endpoint": "mismatch", "margin": 0.3}


def test_a_claim_about_the_mismatch_is_one_about_the_difference_of_two_effects() -> None:
    rng = np.random.default_rng(3)
    found = pd.DataFrame({"variant": ["v"] * 5 + ["b"] * 5, "seed": [*range(5)] * 2})
    found["averaged"], found["re_estimated"] = rng.normal(0.8, 0.002, (2, 10))
    row = verdicts(made_study({"b": {}, "v": {"against": "b"}}, [MISMATCH]), found).iloc[0]
    apart = 100 * (found["averaged"] - found["re_estimated"])
    assert row["endpoint"] == "mismatch"
    assert row["estimate"] == pytest.approx(apart[:5].mean() - apart[5:].mean(), abs=1e-5)


def test_a_mismatch_needs_averaged_weights_and_is_no_accuracy() -> None:
    one = pd.DataFrame({"variant": ["v", "b"], "seed": 0, "averaged": 0.8})
    with pytest.raises(UserError, match="rests on the endpoint mismatch, which the records do not hold"):
        verdicts(made_study({"b": {}, "v": {"against": "b"}}, [MISMATCH]), one)
    claim = {"id": "m", "text": "m", "test": "fails_to_converge", "variant": "batch_res_late", "threshold": 0.2}
    with pytest.raises(UserError, match=r"claims.0.endpoint: found 'mismatch', a difference of two accuracies"):
        study_of({"claims": [claim | {"endpoint": "mismatch"}]})


def test_every_endpoint_has_words_in_texts_and_tables() -> None:
    study = study_of("scale_width32.yaml")
    for name in NAMES:
        assert wording.endpoint(study, name) != name != wording.endpoint_head(study, name)
    assert set(get_args(ClaimEndpoint)) == set(NAMES)


def test_a_claim_about_the_mismatch_is_shown_in_points(tmp_path: Path) -> None:
    claim = MISMATCH | {"variant": "batch_res_late", "than": "benchmark"}
    averaged = {"endpoint": "averaged", "protocol": {"epochs": 8, "width": 8, "average_from": 7}, "claims": [claim]}
    study, tables = tabulated(tmp_path, SMALL, averaged)
    found = facts.means(study, tables, facts.claims_of(study, tables)[0])
    assert [row["shown"] for row in found] == ["\N{MINUS SIGN}1.00", "\N{MINUS SIGN}1.00"], "of the invented records"
    assert "(as trained less recalibrated)" in texts.page(study, tables, tmp_path)
    page.write_page(study, tables, tmp_path, tmp_path / "page.html")
    assert "as trained less recalibrated" in (tmp_path / "page.html").read_text()
