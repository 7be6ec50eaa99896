"""Committed tables regenerate byte for byte, and a changed digit is found and named; verify compares what is trained again."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import programs
import pytest

from temporal_shortcuts import folders
from temporal_shortcuts.analysis import reproduced
from temporal_shortcuts.study import load_resolved

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the repository with the demo as its only study."""
    folder = tmp_path_factory.mktemp("regenerate") / "clone"
    folder.mkdir()
    for name in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / name, folder)
    programs.copy_parts(folder, ("workflow", "profiles", "src", "envs"))
    (folder / "studies").mkdir()
    shutil.copy(ROOT / "studies" / "demo.yaml", folder / "studies")
    shutil.copytree(ROOT / "results" / "demo", folder / "results" / "demo")
    return folder


def run(clone: Path, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return programs.run(clone, f"workflow/scripts/{script}.py", *arguments)


def check(clone: Path) -> subprocess.CompletedProcess[str]:
    return run(clone, "regenerate", "--check")


def test_a_changed_digit_is_named_with_its_file_and_stays_as_it_was(clone: Path) -> None:
    table = clone / "results" / "demo" / "summary.csv"
    text = table.read_text()
    digit = re.search(r"0\.\d\d(\d)", text)
    assert digit is not None
    wrong = text[: digit.start(1)] + str((int(digit[1]) + 1) % 10) + text[digit.end(1) :]
    table.write_text(wrong)
    done = check(clone)
    assert done.returncode == 1
    assert "results/demo/summary.csv" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert table.read_text() == wrong, "a check must not repair what it checks"


def without(clone: Path, folder: Path) -> Path:
    shutil.copytree(clone, folder)
    shutil.rmtree(folder / "results")
    shutil.copytree(ROOT / "results" / "demo", folder / "results" / "demo")
    return folder


def test_a_missing_record_is_named_and_nothing_is_trained(clone: Path, tmp_path: Path) -> None:
    folder = without(clone, tmp_path / "clone")
    demo = folder / "results" / "demo"
    (record,) = (demo / "records" / "batch_res_late").glob("seed1-*.csv")
    record.unlink()
    done = check(folder)
    assert done.returncode == 2
    assert f"results/demo: 1 of 14 records are missing (records/batch_res_late/{record.name})" in done.stderr
    assert not (folder / "work").exists()
    shutil.copy(ROOT / record.relative_to(folder), record)
    study = folder / "studies" / "demo.yaml"
    study.write_text(study.read_text().replace("seeds: [0, 1]", "seeds: [0, 1, 5]"))
    for arguments in (["--check"], []):
        done = run(folder, "regenerate", *arguments)
        assert done.returncode == 2
        assert "7 of 21 records are missing (records/benchmark/seed5-" in done.stderr
        assert "`snakemake --cores 2 --configfile studies/demo.yaml`" in done.stderr
    assert not (folder / "work").exists()


def test_a_study_without_tables_is_in_progress(clone: Path, tmp_path: Path) -> None:
    folder = without(clone, tmp_path / "clone")
    demo = folder / "results" / "demo"
    for path in [*demo.glob("*.csv"), demo / "README.md"]:
        path.unlink()
    done = check(folder)
    assert done.returncode == 0, done.stderr
    assert "results/demo: in progress: 14 of 14 records are there" in done.stdout
    next(demo.glob("records/*/*.csv")).unlink()
    done = check(folder)
    assert done.returncode == 0, done.stderr
    assert "results/demo: in progress: 13 of 14 records are there" in done.stdout


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("protocol: {epochs: 3}\n", "studies/x.yaml: the key 'study' is missing; add it"),
        ("- a list\n", "studies/x.yaml: found ['a list'], but a study must be a mapping of keys"),
        ("", "studies/x.yaml: found null, but a study must be a mapping of keys"),
        (
            "extends: demo.yaml\ntitle: Another\n",
            "studies/x.yaml: study: found 'demo', as in studies/demo.yaml; rename one of them",
        ),
        ("extends: demo.yaml\nstudy: x\nseeds: 3\n", "studies/x.yaml: seeds: found 3"),
    ],
)
def test_a_file_that_is_no_study_is_named(clone: Path, tmp_path: Path, text: str, sentence: str) -> None:
    folder = without(clone, tmp_path / "clone")
    (folder / "studies" / "x.yaml").write_text(text)
    done = run(folder, "regenerate")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert sentence in done.stderr
    done = run(folder, "file_of", "demo")
    assert done.stdout == "studies/demo.yaml\n", "a study beside it is found all the same"


def test_a_study_is_found_by_its_name_whatever_its_file_is_called(clone: Path, tmp_path: Path) -> None:
    folder = without(clone, tmp_path / "clone")
    (folder / "studies" / "demo.yaml").rename(folder / "studies" / "another.yaml")
    for name, file in {
        "demo": "studies/another.yaml",
        "another": "studies/another.yaml",
        "published": "config.yaml",
    }.items():
        assert run(folder, "file_of", name).stdout == f"{file}\n"
    done = run(folder, "file_of", "nix")
    assert (done.returncode, done.stderr) == (2, "error: there is no study 'nix': name one of published, demo.\n")


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


def test_tables_of_an_edited_study_wait_for_the_snakemake_that_runs_it(clone: Path, tmp_path: Path) -> None:
    folder = without(clone, tmp_path / "clone")
    folders.hold_study(folder / "results" / "demo" / "study.json", folder / "work", edited=False)
    file = folder / "studies" / "demo.yaml"
    file.write_text(re.sub("^title: .*", "title: Another title", file.read_text(), flags=re.MULTILINE))
    before = (folder / "results" / "demo" / "study.json").read_bytes()
    done = run(folder, "regenerate")
    assert done.returncode == 2
    assert "another Snakemake runs this study as it was before" in done.stderr
    assert (folder / "results" / "demo" / "study.json").read_bytes() == before


def test_git_changes_no_line_end(tmp_path: Path) -> None:
    for command in (["init", "-q"], ["config", "core.autocrlf", "true"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    shutil.copy(ROOT / ".gitattributes", tmp_path)
    names = ["results/a.csv", "README.md", "Snakefile", "x.npy"]
    done = subprocess.run(
        ["git", "check-attr", "text", *names], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines() == [f"{name}: text: unset" for name in names]
