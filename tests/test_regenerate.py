"""Committed tables regenerate byte for byte, and a changed digit is found and named; verify compares what is trained again."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import programs
import pytest

from temporal_shortcuts.analysis import reproduced
from temporal_shortcuts.catalogue import catalogue
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import load_resolved

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the repository with the demo as its only study."""
    folder = programs.copy_parts(tmp_path_factory.mktemp("regenerate") / "clone", (*programs.PARTS, "Makefile"))
    (folder / "studies").mkdir()
    shutil.copy(ROOT / "studies" / "demo.yaml", folder / "studies")
    shutil.copytree(ROOT / "results" / "demo", folder / "results" / "demo")
    return folder


def check(clone: Path) -> subprocess.CompletedProcess[str]:
    """`make check-tables` there, in this environment."""
    command = ["make", "-s", "-o", ".venv/.done", "check-tables"]
    environment = programs.environment(clone)
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, timeout=600)


def test_a_changed_digit_is_named_with_its_file_and_stays_as_it_was(clone: Path) -> None:
    table = clone / "results" / "demo" / "summary.csv"
    text = table.read_text()
    digit = re.search(r"0\.\d\d(\d)", text)
    assert digit is not None
    wrong = text[: digit.start(1)] + str((int(digit[1]) + 1) % 10) + text[digit.end(1) :]
    table.write_text(wrong)
    done = check(clone)
    assert done.returncode == 2
    assert "results/demo/summary.csv" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert table.read_text() == wrong, "a check must not repair what it checks"


def without(clone: Path, folder: Path) -> Path:
    shutil.copytree(clone, folder)
    shutil.rmtree(folder / "results")
    shutil.copytree(ROOT / "results" / "demo", folder / "results" / "demo")
    return folder


def test_a_study_without_all_records_is_in_progress(clone: Path, tmp_path: Path) -> None:
    folder = without(clone, tmp_path / "clone")
    demo = folder / "results" / "demo"
    (record,) = (demo / "records" / "batch_res_late").glob("seed1-*.csv")
    record.unlink()
    (demo / "README.md").unlink()
    found = catalogue(folder)
    assert found.finished(folder / "results") == []
    shutil.copy(ROOT / record.relative_to(folder), record)
    assert [study.name for study in found.finished(folder / "results")] == ["demo"]


def test_a_study_is_found_by_its_name_whatever_its_file_is_called(clone: Path, tmp_path: Path) -> None:
    folder = without(clone, tmp_path / "clone")
    (folder / "studies" / "demo.yaml").rename(folder / "studies" / "another.yaml")
    (folder / "studies" / "broken.yaml").write_text("extends: another.yaml\nstudy: x\nseeds: 3\n")
    found = catalogue(folder)
    for name, file in {"demo": "another.yaml", "another": "another.yaml", "published": "config.yaml"}.items():
        assert found.declared_as(name)[0].name == file
    with pytest.raises(UserError, match=r"broken\.yaml: seeds: found 3"):
        found["broken"]
    with pytest.raises(UserError, match=r"^there is no study 'nix': name one of published, demo\.$"):
        found["nix"]


def test_line_ends_of_another_system_are_no_difference(clone: Path, tmp_path: Path) -> None:
    folder = without(clone, tmp_path / "clone")
    for path in (folder / "results").rglob("*"):
        if path.is_file() and path.suffix != ".npy":
            path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    done = check(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (folder / "work" / "states").exists(), "regenerating must not train"
    runs = load_resolved(folder / "results" / "demo" / "study.json").runs
    assert reproduced.of_study(runs, folder / "results" / "demo", ROOT / "results" / "demo") == []


def test_git_changes_no_line_end(tmp_path: Path) -> None:
    for command in (["init", "-q"], ["config", "core.autocrlf", "true"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    shutil.copy(ROOT / ".gitattributes", tmp_path)
    names = ["results/a.csv", "README.md", "Snakefile", "x.npy"]
    done = subprocess.run(
        ["git", "check-attr", "text", *names], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [f"{name}: text: unset" for name in names]
