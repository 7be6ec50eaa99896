"""What an exploring study hands to the one that confirms it: the choice follows from its tables by a rule, and so does the file."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import programs
import pytest
import yaml
from rich_study import changed, refused
from scipy import stats
from synthetic import write_results

from temporal_shortcuts.analysis import choice
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import Study, resolve, study_of

EXPLORING: dict[str, Any] = {
    "study": "exploring",
    "data": {"source": "digits", "images_per_class": 50, "validation_per_class": 20, "checksum": "sha256:" + "1" * 64},
    "protocol": {"width": 2, "epochs": 4, "schedule_epochs": 4, "device": "cpu", "average_from": 3},
    "endpoint": "averaged",
    "margin": 0.3,
    "seeds": [0, 1, 2],
    "variants": {
        "benchmark": {},
        "early": {"label": "mixed, early", "shortcut": {"kind": "mixed", "strength": 0.2, "onset": 1}},
        "late": {"label": "mixed, late", "shortcut": {"kind": "mixed", "strength": 0.2, "onset": 2}},
        "control": {"shortcut": {"kind": "noise", "strength": 0.2, "onset": 2}},
        "no_effect": {"shortcut": {"kind": "one_bit", "onset": 2}},
        "smoothing": {"label_smoothing": 0.1},
        "claimed": {"shortcut": {"kind": "batch_res", "strength": 1, "onset": 2}},
        "both": {"label_smoothing": 0.1, "shortcut": {"kind": "mixed", "strength": 0.2, "onset": 2}},
    },
    "claims": [{"id": "harms", "text": "It harms", "test": "not_better", "variant": "claimed", "than": "benchmark"}],
    "confirm": {"study": "confirming", "checksum": "sha256:" + "2" * 64, "seeds": [7, 8], "schedules": [4, 20]},
}
DATA = {"name": "digits", "path": None, "urls": None, "dataset": None, "archive_checksum": None} | EXPLORING["data"]


def comparisons(rows: Mapping[str, tuple[float, float]], n: int = 3, endpoint: str = "averaged") -> pd.DataFrame:
    """comparisons.csv, as far as a choice looks at it: mean and standard deviation of each variant's differences."""
    names = ("variant", "mean_difference", "sd_difference")
    table = pd.DataFrame([dict(zip(names, (name, *row), strict=True)) for name, row in rows.items()])
    return table.assign(n=n, endpoint=endpoint)


FOUND = {"early": (0.1, 0.01), "late": (0.2, 0.3), "control": (3.0, 0.1), "both": (3.0, 0.1), "claimed": (3.0, 9.0)}


@pytest.fixture
def exploring() -> Study:
    return resolve(EXPLORING)


def test_the_highest_lower_bound_is_chosen_of_the_candidates_alone(exploring: Study) -> None:
    """No control, no null arm, nothing that a claim is about, and nothing that differs from the benchmark in more than its shortcut."""
    chosen = choice.choose(exploring, comparisons(FOUND))
    assert (chosen.variant.name, chosen.n, chosen.mean, chosen.among) == ("late", 3, 0.2, 2)
    pooled = ((0.01**2 + 0.3**2) / 2) ** 0.5
    assert chosen.low == pytest.approx(0.2 - stats.t.ppf(0.975, 4) * pooled / 3**0.5)
    other = comparisons({"early": (9.0, 0.1)}, endpoint="last5")
    assert choice.choose(exploring, pd.concat([other, comparisons(FOUND)])) == chosen, "another endpoint does not count"
    many = pd.concat([comparisons({"early": (0.1, 0.3)}, n=50), comparisons({"late": (0.12, 0.3)}, n=3)])
    assert choice.choose(exploring, many).variant.name == "early", "more pairs of seeds raise a bound"
    claimed = resolve(changed(EXPLORING, ("claims", 0, "than"), "early"))
    assert [variant.name for variant in claimed.candidates] == ["late"], "in any place of a claim"


@pytest.mark.parametrize(("ties", "chosen"), [("spread", "late"), ("name", "early")])
def test_of_equal_candidates_the_steadier_is_chosen_or_the_first_by_name(ties: str, chosen: str) -> None:
    """As in the study explore, whose candidate was chosen by the older rule: of two that tie, the second by name is the steadier."""
    study = resolve(changed(EXPLORING, ("confirm", "ties"), ties))
    assert "ties" not in resolve(EXPLORING).resolved["confirm"], "a default that came later is in no study.json"
    for names in (("late", "early"), ("early", "late")):
        equal = comparisons(dict.fromkeys(names, (0.2, 0.1)))
        assert choice.choose(study, equal).variant.name == "early", "of candidates that are equal in all"
        table = comparisons({name: (0.2, {"early": 0.2, "late": 0.1}[name]) for name in names})
        found = choice.choose(study, table)
        assert (found.variant.name, found.equal) == (chosen, ("early" if chosen == "late" else "late",))
        text = " ".join(choice.confirming(study, table, DATA).replace("#", "").split())
        assert f"Chosen of 2: {chosen}, with a difference of +0.20 points, n = 3, at" in text
        assert f"Its bound is also that of {found.equal[0]}." in text
        assert f"of equal ones the first by {choice.TIES[ties]}." in text


def test_too_few_seeds_choose_nothing(exploring: Study) -> None:
    with pytest.raises(UserError, match=r"^exploring: none of its 2 candidates has 3 pairs of seeds .* more seeds\.$"):
        choice.choose(exploring, comparisons(FOUND, n=2))


def test_the_confirming_study_has_the_candidate_fresh_seeds_and_the_test_images(exploring: Study) -> None:
    text = choice.confirming(exploring, comparisons(FOUND), DATA)
    made = resolve(yaml.safe_load(text))
    assert (made.name, made.evaluated, made.seeds) == ("confirming", "test", [7, 8])
    assert (made.endpoint, made.margin, made.data.checksum) == ("averaged", 0.3, EXPLORING["confirm"]["checksum"])
    assert list(made.variants) == ["benchmark", "late", "benchmark-schedule-20", "late-schedule-20"]
    assert [(claim.test, claim.variant, claim.than) for claim in made.claims] == [
        ("better", "late", "benchmark"),
        ("better", "late-schedule-20", "benchmark-schedule-20"),
    ]
    ours, theirs = (study.variants["late"] for study in (made, exploring))
    assert (ours.settings, ours.shortcut) == (theirs.settings, theirs.shortcut)
    assert [claim.text for claim in made.claims][1] == (
        "mixed, strength 0.2, after 2 epochs, schedule of 20 epochs beats the baseline, schedule of 20 epochs"
    )
    assert made.variants["late-schedule-20"].differences.keys() == {"shortcut"}
    assert made.variants["late-schedule-20"].settings.schedule_epochs == 20
    assert text == choice.confirming(study_of(exploring.resolved), comparisons(FOUND), DATA), "through study.json too"
    turned = dict(reversed(DATA.items()))
    assert text == choice.confirming(exploring, comparisons(FOUND), turned), "in whatever order the data's keys come"
    assert "# Chosen of 2: late, with a difference of +0.20 points, n = 3, at the endpoint averaged." in text
    assert "lower bound of" not in text


def test_a_benchmark_that_is_back_at_a_default_of_its_own_is_confirmed_as_it_is() -> None:
    """The protocol has what the benchmark has not, in settings that study.json leaves out at their defaults."""
    config = changed(EXPLORING, ("protocol", "optimizer"), "nesterov")
    config = changed(config, ("protocol", "label_smoothing"), 0.1)
    for name in config["variants"]:
        config["variants"][name] = {"label_smoothing": 0} | config["variants"][name] | {"optimizer": "sgd"}
    made = resolve(yaml.safe_load(choice.confirming(resolve(config), comparisons(FOUND), DATA)))
    assert {(one.settings.optimizer, one.settings.label_smoothing) for one in made.variants.values()} == {("sgd", 0)}


@pytest.mark.parametrize("schedules", [[20, 4], [20], None])
def test_each_schedule_has_its_own_benchmark_in_whatever_order(schedules: list[int] | None) -> None:
    """Also where the benchmark, and not the protocol, says what the exploring study's schedule is."""
    config = changed(EXPLORING, ("confirm", "schedules"), schedules)
    config = changed(config, ("protocol", "schedule_epochs"), 30)
    for name in config["variants"]:
        config["variants"][name]["schedule_epochs"] = 4
    made = resolve(yaml.safe_load(choice.confirming(resolve(config), comparisons(FOUND), DATA)))
    assert [variant.settings.schedule_epochs for variant in made.variants.values()] == [
        schedule for schedule in schedules or [4] for _ in ("benchmark", "late")
    ]
    for claim in made.claims:
        candidate, benchmark = made.variants[claim.variant], made.variants[claim.than]
        assert (candidate.against, benchmark.against, benchmark.shortcut) == (claim.than, None, None)
        assert candidate.differences.keys() == {"shortcut"}


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (("data", "validation_per_class"), None, ("confirm:", "validation images", "set data.validation_per_class")),
        (("confirm", "study"), "exploring", ("confirm.study", "'exploring'", "this study")),
        (("confirm", "seeds"), [7, 2], ("confirm.seeds", "[7, 2]", "chosen with [2]", "fresh seeds")),
        (("confirm", "schedules"), [4, 3], ("confirm.schedules.1", "found 3", "at least 4")),
        (("variants",), {"benchmark": {}, "claimed": {"width": 3}}, ("confirm:", "nothing to choose from")),
        (("confirm", "checksum"), "sha256:0", ("confirm.checksum", "64 small hexadecimal digits")),
    ],
)
def test_what_cannot_be_confirmed_is_refused(key: tuple[str, ...], value: Any, words: tuple[str, ...]) -> None:
    refused(changed(EXPLORING, key, value), *words)


# -- the committed file ----------------------------------------------------------------------------------------------------


def regenerate(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return programs.run(clone, "-m", "snakemake", "tables", "--cores", "2", *arguments)


def test_the_file_is_made_with_the_tables_and_no_other_may_stand(tmp_path: Path) -> None:
    clone = programs.copy_parts(tmp_path / "clone")
    (clone / "studies").mkdir()
    small = {name: EXPLORING["variants"][name] for name in ("benchmark", "early", "late", "claimed")}
    file, made = (clone / "studies" / name for name in ("exploring.yaml", "confirming.yaml"))
    file.write_text(yaml.safe_dump(changed(EXPLORING, ("variants",), small)))
    write_results(resolve(yaml.safe_load(file.read_text())), clone / "results" / "exploring")

    made.write_text("study: confirming\n")
    done = regenerate(clone)
    assert done.returncode == 2
    assert "studies/confirming.yaml" in done.stderr, "what is no study is named"
    made.write_text(yaml.safe_dump({**EXPLORING, "study": "confirming", "confirm": None}))
    done = regenerate(clone)
    assert done.returncode == 1
    assert "confirming.yaml: it was written by hand" in done.stdout + done.stderr, "one's own is not written over"
    made.unlink()
    done = regenerate(clone)
    assert done.returncode == 0, done.stderr
    text = made.read_text()
    assert "study: confirming" in text
    said = (clone / "results" / "exploring" / "README.md").read_text()
    label = small[yaml.safe_load(text)["claims"][0]["variant"]]["label"]
    assert re.search(r"of 2 candidates are significantly better than “baseline”, .* \(Holm over 3 comparisons,", said)
    assert f"Chosen to be confirmed: “{label}”" in said

    made.write_text(text.replace("strength: 0.2", "strength: 0.3"))
    done = regenerate(clone, "-R", "choose")
    assert done.returncode == 0, done.stderr
    assert made.read_text() == text
