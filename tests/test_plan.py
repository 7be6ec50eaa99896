"""What a decision costs, from records: the table of designs, and the plan for a study's open claims."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from statsmodels.stats.power import TTestIndPower, TTestPower
from synthetic import SMALL, merged, run_program, study_of, tabulated

from temporal_shortcuts import study as studies
from temporal_shortcuts.analysis import costs, moderation, plan, statistics, tables
from temporal_shortcuts.study import Study, load_resolved

ROOT = Path(__file__).parents[1]
LAPTOP = ROOT / "results" / "laptop"
DOCS = " ".join((ROOT / "docs" / "statistics.md").read_text(encoding="utf-8").split())


@pytest.fixture(scope="module")
def laptop() -> tuple[Study, tables.Tables]:
    study = load_resolved(LAPTOP / "study.json")
    return study, tables.Tables.read(LAPTOP, study)


# What a decision costs ------------------------------------------------------------------------------------------------


def test_each_design_has_the_power_that_it_is_for(laptop) -> None:
    table = costs.decision_cost(laptop[0], laptop[1].runs)
    assert set(table["design"]) == {"unpaired", "paired"}
    for row in table.itertuples():
        effect = row.difference / row.sd
        if row.design == "unpaired":
            power = [TTestIndPower().power(effect, n, 0.05) for n in (row.n - 1, row.n)]
        else:
            power = [TTestPower().power(effect, n, 0.025, alternative="larger") for n in (row.n - 1, row.n)]
        assert not power[1] < 0.80
        assert row.n == 3 or power[0] < 0.80
        assert row.runs == 2 * row.n


@pytest.mark.parametrize(
    ("endpoint", "onset", "costed"),
    [("best", 41, False), ("last5", 41, True), ("last5", 46, False), ("final", 49, True)],
)
def test_an_endpoint_that_can_lie_before_the_effect_has_no_cost(
    laptop, endpoint: str, onset: int, costed: bool
) -> None:
    study, read = laptop
    resolved = json.loads(study.text())
    for name in ("batch_res_late", "epoch_res_late"):
        resolved["variants"][name]["settings"]["shortcut"]["onset"] = onset
    table = costs.decision_cost(studies.study_of(resolved), read.runs)
    assert (endpoint in set(table[table["reference"] == "benchmark"]["endpoint"])) == costed


def test_the_costs_that_the_docs_name_are_those_of_decide() -> None:
    study = load_resolved(ROOT / "results" / "decide" / "study.json")
    table = costs.decision_cost(study, tables.read_table(ROOT / "results" / "decide" / "runs.csv"))
    paired = table.set_index(["reference", "endpoint", "design"]).loc["benchmark"].xs("paired", level="design")
    epochs, pairs = (paired.loc[["averaged", "re_estimated"], name].tolist() for name in ("epochs", "n_of_effect"))
    said = re.search(
        r"by averaged weights cost (\d+) epochs and with recalibrated statistics (\d+);.*?takes (\d+) pairs", DOCS
    )
    assert said
    assert [int(number) for number in said.groups()] == [*epochs, pairs[0]]
    assert len(set(pairs)) == 1


@pytest.mark.parametrize(("arms", "family"), [(12, 11), (5, 4), (24, 24)])
def test_the_seeds_of_a_table_find_the_difference_four_times_in_five(arms: int, family: int) -> None:
    own, moderated = statistics.pairs_in_table(0.6, 0.3, family, arms)
    for n, borrowed in ((own, 0.0), (moderated, moderation.borrowed_if_alike(arms, moderated))):
        power, fewer = (statistics._power(2.0, k, 0.05 / family, b) for k, b in ((n, borrowed), (n - 1, 0.0)))
        assert power >= 0.80
        assert n == moderated or fewer < 0.80
    assert 3 <= moderated < own
    assert statistics.pairs_in_table(0.6, 0.3, 4, 4) == (statistics.pairs_needed(0.6, 0.3, 0.05 / 4),) * 2, (
        "too few to borrow"
    )


def test_a_study_of_other_variants_has_no_such_table(tmp_path) -> None:
    _, read = tabulated(tmp_path, SMALL, {"seeds": [0, 1]})
    assert read.decision_cost is None
    assert read.variance is None


# The plan -------------------------------------------------------------------------------------------------------------


def test_new_runs_fill_up_seeds_that_are_there_before_fresh_ones() -> None:
    study = study_of(merged(SMALL, {"variants": {"batch_res_start": {"seeds": [0, 7]}}}))
    lacking = frozenset({"batch_res_start"})
    assert plan.new_runs(study, ["batch_res_start", "benchmark"], 1) == {}
    assert plan.new_runs(study, ["batch_res_start", "benchmark"], 3) == {1: lacking, 2: lacking}
    six = plan.new_runs(study, ["batch_res_start", "benchmark"], 6)
    assert sorted(six) == [1, 2, 7, 8, 9]
    assert six[7] == {"benchmark"}
    assert six[8] == six[9] == {"batch_res_start", "benchmark"}


def test_epochs_of_new_runs_are_those_that_the_workflow_would_train(laptop) -> None:
    study = laptop[0]
    new = plan.new_runs(study, ["batch_res_late", "benchmark"], 12)
    assert plan.epochs_of(study, new) == 2 * (50 + 9)
    alone = plan.new_runs(study, ["batch_res_start", "benchmark"], 5)  # benchmark has its ten seeds
    assert plan.epochs_of(study, alone) == 2 * 50
    more = json.loads(study.text())
    for name in ("batch_res_late", "benchmark"):
        more["variants"][name]["seeds"] += [10, 11]
    assert studies.study_of(more).epochs_trained - study.epochs_trained == plan.epochs_of(study, new)


def test_a_plan_needs_what_claims_say_and_takes_the_cheapest_first(laptop) -> None:
    study, read = laptop
    found = plan.needs(study, read.claims)
    assert {need.claim["id"]: need.seeds for need in found} == dict(
        read.claims[read.claims["verdict"] == "undecided"][["id", "needed_n"]].itertuples(index=False)
    )
    assert [need.epochs for need in found] == sorted(need.epochs for need in found)
    assert plan.affordable(study, found, 0) == []
    assert plan.affordable(study, found, found[0].epochs) == found[:1]
    everything = plan.epochs_of(study, plan.together(need.new for need in found))
    assert everything < sum(need.epochs for need in found)  # claims share runs
    assert plan.affordable(study, found, everything) == found


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"needed_n": pd.NA, "test": "negligible"}, "too near the margin"),
        ({"not_tested": "stage"}, "a claim of an earlier stage is open"),
        ({"not_tested": "identical"}, "its runs are the same to the last bit"),
    ],
)
def test_what_cannot_be_planned_says_why_and_trains_nothing(laptop, changes: dict, why: str) -> None:
    study, read = laptop
    claims = read.claims[read.claims["verdict"] == "undecided"].assign(not_tested="")
    claims.loc[claims["id"] == "batch_res_late_gain", list(changes)] = list(changes.values())
    found = plan.needs(study, claims)
    last = found[-1]
    assert (last.claim["id"], last.why, last.new, last.epochs) == ("batch_res_late_gain", why, {}, 0)
    assert last not in plan.affordable(study, found, 10**9)
    assert [need.epochs for need in found[:-1]] == sorted(need.epochs for need in found[:-1])


def test_the_program_says_where_the_seconds_come_from(laptop, tmp_path, capsys) -> None:
    segments = tmp_path / "benchmarks" / "segment"
    segments.mkdir(parents=True)
    for state, segment in list(laptop[0].segments.items())[:3]:
        (segments / f"{state}.tsv").write_text(f"s\th:m:s\n{6 * (segment.stop - segment.start)}\t0:00:00\n")
    assert run_program("plan", "--study", LAPTOP / "study.json", "--work", tmp_path, "--hours", 1) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "An epoch takes 6.0 s (median of 3 training jobs" in said
    assert "In 1 h, 3 could be decided: 1,048 epochs, 0.9 h." in said
    assert run_program("plan", "--study", LAPTOP / "study.json", "--work", tmp_path / "nowhere") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Hours are not known" in said
    assert re.search(
        r"A new study of 11 comparisons finds a difference of 0\.3 points .* with \d+ seeds, or \d+ seeds where", said
    )
    assert run_program("plan", "--study", tmp_path / "study.json") == 2
    assert "study.json is not there" in capsys.readouterr().err
    assert run_program("plan", "--study", LAPTOP / "study.json", "--hours", "-1") == 2
    assert "hours: found -1.0, but it must be greater than 0" in capsys.readouterr().err
