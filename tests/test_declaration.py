"""What was declared before a study's first record is known from a file that is written with it, and a later change is said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from synthetic import ROOT, SMALL, run_program, study_of

from temporal_shortcuts.catalogue import catalogue
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import Study, load_resolved
from temporal_shortcuts.study.declaration import FILE, changes, declaration, said, write_first

CLAIM = {"id": "one", "test": "better", "variant": "batch_res_late", "than": "benchmark"}


def small(**keys: Any) -> Study:
    return study_of(SMALL, {"claims": [CLAIM], "margin": 0.3} | keys)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_first(small(), tmp_path)
    return tmp_path


def test_it_is_written_before_the_first_record_and_never_again(folder: Path, tmp_path_factory: pytest.TempPathFactory):
    before = (folder / FILE).read_bytes()
    write_first(small(margin=40), folder)
    assert (folder / FILE).read_bytes() == before
    late = tmp_path_factory.mktemp("late")
    record = late / "records" / "benchmark" / "seed0-0123456789abcdef.csv"
    record.parent.mkdir(parents=True)
    record.write_text("epoch\n")
    write_first(small(), late)
    assert not (late / FILE).exists(), "records are there, and nobody knows what was declared before them"
    assert changes(small(), late) is None
    assert "Nothing tells" in said(small(), late)


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({}, []),
        ({"claims": [CLAIM | {"text": "other words", "published": "91 %"}], "seeds": [7, 8, 9]}, []),
        ({"margin": 40}, ["the margin was 0.3"]),
        ({"endpoint": "best"}, ["the endpoint was last5"]),
        ({"variances": "moderated"}, ["the estimate of the variances was own"]),
        ({"claims": [CLAIM, CLAIM | {"id": "two"}]}, ["the claim two came later"]),
        ({"claims": [CLAIM | {"margin": 1}]}, ["the claim one had another margin"]),
        ({"claims": [CLAIM | {"id": "two"}]}, ["the claim one was dropped", "the claim two came later"]),
        ({"claims": [CLAIM | {"test": "negligible", "stage": 2}]}, ["the claim one had another test and stage"]),
    ],
)
def test_what_came_later_is_said(keys: dict[str, Any], expected: list[str], folder: Path):
    study = small(**keys)
    assert changes(study, folder) == expected
    assert all(words in said(study, folder) for words in expected)
    assert ("are those that were declared" in said(study, folder)) == (not expected)


def test_a_margin_that_nobody_had_declared_came_later(tmp_path: Path):
    write_first(study_of(SMALL), tmp_path)
    assert changes(study_of(SMALL, {"margin": 40}), tmp_path) == ["the margin came later"]


@pytest.mark.parametrize("text", ["", "[]", "3", "{}", '{"claims": 3}', '{"claims": [1], "endpoint": "best"}'])
def test_a_damaged_file_is_named(text: str, folder: Path):
    (folder / FILE).write_text(text)
    with pytest.raises(UserError, match=FILE):
        changes(small(), folder)


def test_the_record_stage_writes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    study = small(seeds=[0])
    study.write(tmp_path / "study.json")
    run = study.runs[0]
    arguments = (
        "--study",
        tmp_path / "study.json",
        "--results",
        tmp_path,
        "--record",
        run.record,
        "--work",
        tmp_path / "work",
    )
    run_program("record", *arguments, "--source", tmp_path / "none.state")  # fails, since nothing is trained
    assert json.loads((tmp_path / FILE).read_text()) == declaration(load_resolved(tmp_path / "study.json"))


def test_each_committed_study_has_what_it_declared():
    """Those of before there was the file have it from git: from the commit of their first record."""
    later = {}
    for study in catalogue(ROOT).studies.values():
        results = ROOT / "results" / study.name
        if any(results.glob("records/*/*.csv")):
            assert (results / FILE).is_file(), study.name
            if found := changes(study, results):
                later[study.name] = found
    assert later == {"explore": ["the claim lr_0.1_helps came later"]}
