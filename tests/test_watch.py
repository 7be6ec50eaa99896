"""`make watch`: what it says is what the jobs' files say, it fits a terminal, and it touches nothing."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny
from rich.console import Console

from temporal_shortcuts.study import Run, Study
from temporal_shortcuts.terminal import watch
from temporal_shortcuts.training.job import ProgressFile

ROOT = Path(__file__).parents[1]
NOW = 1_800_000_000.0


@pytest.fixture
def study() -> Study:
    """Two seeds of a benchmark and of a late variant: for each a trunk of 2 epochs and two branches of 2 more; 12 epochs in all."""
    return tiny.tiny_study(seeds=(0, 1), variants={"benchmark": {}, "late": tiny.variant("batch_res", 2)})


def progress(study: Study, work: Path, index: int, **changes: Any) -> None:
    """The file of a job that trains the study's segment number `index`."""
    segment = list(study.segments.values())[index]
    content: dict[str, Any] = {key: getattr(segment, key) for key in ("state", "seed", "start", "stop")}
    content |= {"epoch": segment.start, "step": 0, "steps": 4, "test_accuracy": None, "seconds_per_epoch": None}
    content |= {"time": NOW}
    path = work / "progress" / f"{segment.state}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content | changes))


def look(study: Study, folder: Path, now: float = NOW) -> watch.View:
    return watch.look(study, folder / "results", folder / "work", now)


def test_before_anything_trains(study: Study, tmp_path: Path) -> None:
    view = look(study, tmp_path)
    assert (view.runs_done, view.epochs_done, view.jobs, view.seconds_left) == (0, 0.0, [], None)
    assert watch.summary(view) == "tiny: 0 of 4 runs done, epoch 0 of 12, nothing is training"


def test_a_job_is_shown_with_its_epoch_accuracy_and_time(study: Study, tmp_path: Path) -> None:
    progress(study, tmp_path / "work", 0, epoch=1, step=2, test_accuracy=0.4567, seconds_per_epoch=120.0)
    view = look(study, tmp_path)
    # 10.5 epochs are left, by one job
    assert watch.lines(view) == [
        "tiny: 0 of 4 runs done, epoch 2 of 12, 1 training, about 21 min left",
        "  benchmark seed 0 + 1 more: epoch 2 of 2, test accuracy 45.67%, 120.0 s an epoch, left: 60 s",
    ]


def test_two_jobs_halve_the_time_but_a_long_chain_does_not_shorten(study: Study, tmp_path: Path) -> None:
    for index in (0, 3):
        progress(study, tmp_path / "work", index, seconds_per_epoch=60.0)
    assert look(study, tmp_path).seconds_left == 12 * 60 / 2
    for index in (1, 2, 4, 5):
        progress(study, tmp_path / "work", index, seconds_per_epoch=60.0)
    assert look(study, tmp_path).seconds_left == 4 * 60, "a run's four epochs come one after the other"


def test_states_and_records_that_are_there_count_as_done(study: Study, tmp_path: Path) -> None:
    trunk = next(iter(study.segments.values()))
    (tmp_path / "work" / "states").mkdir(parents=True)
    (tmp_path / "work" / "states" / f"{trunk.state}.state").touch()
    assert look(study, tmp_path).epochs_done == 2

    def look_with(runs: list[Run]) -> watch.View:
        for path in (tmp_path / "results" / name for run in runs for name in run.record_files):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return look(study, tmp_path)

    view = look_with([tiny.run_of(study, "late")])
    assert (view.runs_done, view.epochs_done) == (1, 4)
    view = look_with(study.runs)
    assert (view.finished, view.seconds_left, view.epochs_done) == (True, 0.0, 12)
    assert watch.lines(view) == ["tiny: all 4 runs are done"]


def test_a_job_that_is_silent_is_said_to_be_and_not_counted(study: Study, tmp_path: Path) -> None:
    progress(study, tmp_path / "work", 0, seconds_per_epoch=60.0, time=NOW - 3600)
    view = look(study, tmp_path)
    assert view.seconds_left is None
    assert watch.lines(view)[0].endswith("nothing is training")
    assert watch.lines(view)[1].endswith("silent for 1 h 00 min")


@pytest.mark.parametrize("text", ["", "{", '{"state": "0000000000000000-final"}', "[]", "null"])
def test_files_of_other_studies_and_half_written_ones_are_passed_over(study: Study, tmp_path: Path, text: str) -> None:
    progress(study, tmp_path / "work", 0)
    (tmp_path / "work" / "progress" / "other.json").write_text(text)
    assert len(look(study, tmp_path).jobs) == 1


def test_the_picture_fits_eighty_columns(tmp_path: Path) -> None:
    name = "a_variant_with_a_name_that_is_as_long_as_names_may_be_0123456789"
    variants = {name: {"label": "long"}, "late": tiny.variant("batch_res", 2)}
    study = tiny.tiny_study(seeds=(0, 2147483647), variants=variants, epochs=99999, schedule_epochs=99999)
    for index, silent in ((1, 0), (2, 4000), (4, 0)):
        changes = {"epoch": 12344, "test_accuracy": 1.0, "seconds_per_epoch": 1234.5, "time": NOW - silent}
        progress(study, tmp_path, index, **changes)
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system=None)
    console.print(watch.picture(watch.look(study, tmp_path, tmp_path, NOW)))
    assert isinstance(console.file, io.StringIO)
    drawn = console.file.getvalue().splitlines()
    assert max(map(len, drawn)) <= 80
    jobs = [
        line
        for line in drawn
        if all(part in line for part in ("12345 of 99999", "100.00%", "1234.5", "\N{BOX DRAWINGS HEAVY HORIZONTAL}"))
    ]
    assert [line.split("1234.5")[1].strip() for line in jobs] == [
        "30058 h 22 min",
        "silent for 1 h 07 min",
        "30058 h 22 min",
    ]


def test_a_real_job_is_seen_and_not_touched(tmp_path: Path) -> None:
    """The file that a job writes, while it trains, is what is read."""
    study = tiny.tiny_study()
    trainer = tiny.trainer_of(study)
    job = ProgressFile(trainer, tmp_path / "work")
    trainer.train_epoch(job.step)
    job.epoch(2.0)

    def files() -> dict[Path, Any]:
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in tmp_path.rglob("*") if path.is_file()}

    before, view = files(), look(study, tmp_path)
    assert [(one.name, one.epochs, one.left) for one in view.jobs] == [("benchmark seed 0", 1.0, 3.0)]
    assert view.jobs[0].accuracy == trainer.rows[-1]["test_accuracy"]
    assert files() == before
    job.close()
    assert look(study, tmp_path).jobs == []


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, ROOT / "workflow" / "scripts" / "watch.py", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def test_the_program_prints_plain_lines_where_there_is_no_terminal(study: Study, tmp_path: Path) -> None:
    study.write(tmp_path / "results" / "study.json")
    progress(study, tmp_path / "work", 0)
    done = run("--study", tmp_path / "results" / "study.json", "--work", tmp_path / "work", "--once")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first.startswith("tiny: 0 of 4 runs done, epoch 0 of 12")
    assert second.startswith("  benchmark seed 0 + 1 more: epoch 1 of 2")
    assert "\x1b" not in done.stdout


def test_the_program_ends_by_itself_when_the_study_is_done() -> None:
    study = ROOT / "results" / "demo" / "study.json"
    done = run("--study", study)
    assert (done.returncode, done.stdout) == (0, "demo: all 14 runs are done\n")
