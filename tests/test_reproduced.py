"""`make demo` and `make verify`: every file that differs is named, and only another environment explains one."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from synthetic import ROOT, run_program

from temporal_shortcuts.analysis import records, reproduced
from temporal_shortcuts.study import Study, load_resolved

DEMO = ROOT / "results" / "demo"


@pytest.fixture
def study() -> Study:
    return load_resolved(DEMO / "study.json")


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEMO, tmp_path / "build" / "results" / "demo"))


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert re.search(old, text)
    path.write_text(re.sub(old, new, text, count=1))


def sidecar(folder: Path, study: Study, **changes: Any) -> None:
    """Change the sidecar of the study's first run; keys of its environment among the others."""
    path = (folder / study.runs[0].record).with_suffix(".json")
    content = json.loads(path.read_text())
    (environment,) = content["environments"]
    content["environments"] = [environment | {key: changes.pop(key) for key in set(changes) & set(environment)}]
    path.write_text(json.dumps(content | changes, indent=1, sort_keys=True) + "\n")


OTHER = {"weights": {"initial": "0" * 64, "final": "1" * 64}}
CASES: dict[str, tuple[Callable[[Path, Study], Any], list[tuple[str, bool]]]] = {
    "nothing": (lambda made, study: None, []),
    "a digit of a table": (lambda made, study: change(made / "summary.csv", "4", "5"), [("summary.csv", False)]),
    "a table is missing": (lambda made, study: (made / "claims.csv").unlink(), [("claims.csv", False)]),
    "a figure more": (lambda made, study: (made / "figures" / "more.svg").touch(), [("figures/more.svg", False)]),
    "a hash": (lambda made, study: sidecar(made, study, **OTHER), [("RECORD.json", False)]),
    "a key more": (lambda made, study: sidecar(made, study, more=1), [("RECORD.json", False)]),
    "a hash, on another Python": (
        lambda made, study: sidecar(made, study, **OTHER, python="3.11.99"),
        [("RECORD.json", False)],
    ),
    "a hash, on another processor": (
        lambda made, study: sidecar(made, study, **OTHER, processor="another"),
        [("RECORD.json", True)],
    ),
    "another processor, and a table that follows": (
        lambda made, study: (
            sidecar(made, study, **OTHER, processor="another"),
            change(made / "summary.csv", "4", "5"),
        ),
        [("RECORD.json", True), ("summary.csv", True)],
    ),
    "another processor, equal weights": (lambda made, study: sidecar(made, study, processor="another"), []),
    "equal weights, another README that names the processor, and a digit": (
        lambda made, study: (
            sidecar(made, study, processor="another"),
            change(made / "README.md", "AMD EPYC|demo", "another"),
            change(made / "runs.csv", "4", "5"),
        ),
        [("README.md", True), ("runs.csv", False)],
    ),
    "equal weights, another processor and another accuracy": (
        lambda made, study: (
            sidecar(made, study, processor="another"),
            change(made / study.runs[0].record, r"\n3,", "\n30,"),
        ),
        [("RECORD.csv", False)],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_differs_is_named_and_explained_by_another_environment_alone(study: Study, made: Path, case: str) -> None:
    changed, expected = CASES[case]
    changed(made, study)
    stem = study.runs[0].record.removesuffix(".csv")
    wanted = [(file.replace("RECORD", stem), explained) for file, explained in expected]
    found = reproduced.of_study(study.runs, DEMO, made)
    assert [(one.file, one.is_explained) for one in found] == wanted
    of_run = [one for one in found if one.file in study.runs[0].record_files]
    assert reproduced.of_run(study.runs[0], DEMO, made) == of_run


@pytest.mark.parametrize(
    ("case", "status", "said"),
    [
        ("nothing", 0, "Every file of .*demo is the same"),
        ("a digit of a table", 1, "different .*summary.csv: from line"),
        ("a hash", 1, "different .*json: other weights"),
        ("a hash, on another processor", 0, "explained .*json: other weights"),
    ],
)
def test_the_program_ends_with_a_status_that_says_it(
    study: Study, made: Path, capfd: pytest.CaptureFixture[str], monkeypatch: Any, case: str, status: int, said: str
) -> None:
    """Nothing is trained: the records are there."""
    monkeypatch.chdir(made.parents[2])
    monkeypatch.setattr("subprocess.run", lambda *_, **__: type("Done", (), {"returncode": 0}))
    CASES[case][0](made, study)
    found = run_program("verify", "--study", DEMO / "study.json", "--folder", made.parents[1], "--whole")
    output = capfd.readouterr()
    assert found == status, output
    assert re.search(said, output.out), output
    equal = sum(records.sidecar(made / run.record) == records.sidecar(DEMO / run.record) for run in study.runs)
    assert f"{equal} of 14 records equal" in output.out
