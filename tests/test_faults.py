"""Each program on a full disk, without permission, without memory, interrupted: it says so in one sentence, and then goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from disks import Disk, disk
from synthetic import study_of
from tiny_study import ROOT, tiny_study

from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.study import Run, Segment, Study, outputs

if TYPE_CHECKING:
    from forks import Forks

RESULTS = "results/tiny"
STAGES = ("prepare", "train", "record", "collect", "analyse", "draw", "readme")
TRAIN = ROOT / "workflow" / "scripts" / "train.py"
STARVED = Path(__file__).with_name("starved.py")


def small_study() -> Study:
    """Two epochs; one variant branches off after the first, and one diverges."""
    changes = dict.fromkeys(("lr_0.1", "lr_0.001", "batch_res_start", "epoch_res_start", "epoch_res_late"))
    changes |= {"batch_res_late": {"shortcut": {"onset": 1}}, "wild": {"learning_rate": 100, "weight_decay": 1.0}}
    protocol = tiny_study()["protocol"] | {"epochs": 2, "batch_size": 16}
    return study_of(tiny_study() | {"variants": changes, "protocol": protocol})


class Place:
    """A results folder and a work folder, and the programs run in them as the rules run them."""

    def __init__(self, folder: Path, forks: Forks):
        self.folder, self.forks, self.study = folder, forks, small_study()
        self.results, self.work = folder / RESULTS, folder / "work"
        self.late = next(run for run in self.study.runs if run.variant == "batch_res_late")
        self.branch = self.study.chain(self.late)[-1]

    def outputs(self, stage: str) -> list[Path]:
        """What a stage writes; of training and recording, for the variant that branches off."""
        return {
            "prepare": [self.work / "data"],
            "train": [self.work / "states" / f"{self.branch.state}.state"],
            "record": [self.results / name for name in self.late.record_files],
            "collect": [self.results / name for name in outputs.COLLECTED],
            "analyse": [self.results / name for name in outputs.TABULATED],
            "draw": [self.results / "figures"],
            "readme": [self.results / "README.md"],
        }[stage]

    def command(self, stage: str, segment: Segment | None = None, run: Run | None = None) -> list[object]:
        segment, run = segment or self.branch, run or self.late
        study, results = ["--study", self.results / "study.json"], ["--results", self.results]
        arguments = {
            "prepare": [
                "--data",
                json.dumps(tiny_study()["data"]),
                "--cache",
                self.work,
                "--output",
                self.work / "data",
            ],
            "train": [*study, "--state", segment.state, "--data", self.work / "data", "--work", self.work],
            "record": [*study, *results, "--record", run.record, "--work", self.work, "--keep-states"],
            "collect": [*study, *results],
        }
        arguments["record"] += ["--source", self.work / "states" / f"{run.fingerprint}-final.state"]
        program = [f"{stage}.py"] if stage in STAGES[:3] else ["stage.py", stage]
        return [ROOT / "workflow" / "scripts" / program[0], *program[1:], *arguments.get(stage, study)]

    def run(self, *command: object, at: str | None = None, send: int = 0) -> tuple[int, str]:
        """Exit status, or minus the signal, and what a program says."""
        log = self.folder.with_name(f"{self.folder.name}.log")
        log.unlink(missing_ok=True)
        status = self.forks.wait(self.forks.start(*command, log=log, at=at, send=send))
        return status, log.read_text()

    def files(self) -> dict[str, bytes]:
        """All but what says how far a job is, and Snakemake's."""
        paths = (path for path in self.folder.rglob("*") if path.is_file() and path.name not in ("lock", ".filler"))
        inside = {str(path.relative_to(self.folder)): path for path in paths}
        return {name: path.read_bytes() for name, path in inside.items() if not name.startswith("work/progress/")}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, forks: Forks) -> Place:
    """The whole study, finished."""
    place = Place(tmp_path_factory.mktemp("faults") / "done", forks)
    place.study.write(place.results / "study.json")
    commands = [place.command("prepare")]
    commands += [place.command("train", segment=segment) for segment in place.study.segments.values()]
    commands += [place.command("record", run=run) for run in place.study.runs]
    commands += [place.command(stage) for stage in STAGES[3:]]
    for command in commands:
        status, said = place.run(*command)
        assert status == 0, said
    return place


def copy_without(done: Place, folder: Path, stage: str) -> Place:
    """A copy in which a stage, of which `done` has the outputs, is still to be done."""
    shutil.copytree(done.folder, folder, dirs_exist_ok=True)
    place = Place(folder, done.forks)
    for path in place.outputs(stage):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return place


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Disk]:
    with disk(tmp_path / "disk", megabytes=16) as mounted:
        yield mounted


# -- the disk ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", STAGES)
def test_a_disk_that_takes_no_more(done: Place, small_disk: Disk, stage: str) -> None:
    """Each fault after the other, and then none: the same command ends with the same bytes."""
    place = copy_without(done, small_disk.path, stage)
    whole = done.files()
    for fault in ("full", "nearly full", "read-only"):
        missing = whole.keys() - place.files().keys()
        if fault == "read-only":
            small_disk.forbid()
        else:
            small_disk.fill(left=sum(len(whole[name]) for name in missing) // 2 if fault == "nearly full" else 0)
        status, said = place.run(*place.command(stage))
        assert status == 2, (fault, said)
        assert "Traceback" not in said
        last = said.splitlines()[-1]
        assert last.startswith(f"error: {small_disk.path}/")
        reason = "Read-only file system; make" if fault == "read-only" else "No space left on device; free some"
        assert reason in last, fault
        left = {name: content for name, content in place.files().items() if not name.startswith("work/segments/")}
        assert left.items() <= whole.items(), "something half written has a name"
        small_disk.repair()
    status, said = place.run(*place.command(stage))
    assert status == 0, said
    assert place.files() == whole


# -- memory --------------------------------------------------------------------------------------------------------------


def test_a_job_without_memory_says_so_and_a_second_one_ends_with_the_same_bytes(done: Place, tmp_path: Path) -> None:
    """It gets more and more until it is enough. With next to none the libraries may crash; the end of a run says so then."""
    place = copy_without(done, tmp_path / "place", "train")
    complaints = []
    megabytes = 0.25
    while (ended := place.run(STARVED, megabytes, *place.command("train")))[0] != 0:
        status, said = ended
        assert "Traceback" not in said
        if status > 0:
            complaints.append(said.splitlines()[-1])
            assert complaints[-1].startswith("error: out of memory ("), said
            assert "a smaller --cores" in complaints[-1]
        megabytes *= 1.5
    assert len(complaints) >= 3
    assert place.files() == done.files()


# -- signals -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("send", [signal.SIGINT, signal.SIGTERM])
def test_a_job_that_is_interrupted_goes_on_to_the_same_bytes(done: Place, tmp_path: Path, send: signal.Signals) -> None:
    place = copy_without(done, tmp_path / "place", "train")
    state = f"{place.branch.state}.state"
    for at in ("step 1 0", "stepped 1 2", "evaluated 1", f"half {state}", f"written {state}", f"replaced {state}"):
        place.outputs("train")[0].unlink(missing_ok=True)
        status, said = place.run(*place.command("train"), at=at, send=send)
        if send == signal.SIGINT:
            assert status == 130, (at, said)
            assert said.splitlines()[-1] == "error: interrupted; the same command goes on from here."
        else:
            assert status == -signal.SIGTERM, (at, said)
            assert said.splitlines()[-1] == "error: ended by SIGTERM; the same command goes on from here."
        assert "Traceback" not in said
        status, said = place.run(*place.command("train"))
        assert status == 0, said
        assert place.files() == done.files(), at


def test_a_job_that_is_interrupted_while_it_imports_says_so_too(tmp_path: Path) -> None:
    (tmp_path / "pydantic.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n", encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT / 'src'}"}
    done = subprocess.run([sys.executable, TRAIN], env=environment, capture_output=True, text=True)
    assert done.returncode == 130, done.stderr
    assert done.stderr == "error: interrupted; the same command goes on from here.\n"


def test_what_a_killed_program_left_is_removed_when_the_file_is_written_again(done: Place, tmp_path: Path) -> None:
    place = copy_without(done, tmp_path / "place", "train")
    state = f"{place.branch.state}.state"
    status, _ = place.run(*place.command("train"), at=f"half {state}", send=signal.SIGKILL)
    assert status == -signal.SIGKILL
    assert list(place.folder.glob(f"work/states/.{state}.*"))
    status, said = place.run(*place.command("train"))
    assert status == 0, said
    assert place.files() == done.files()


# -- a loss that is not finite -------------------------------------------------------------------------------------------


def test_a_run_that_diverges_is_a_result_with_its_epoch(done: Place) -> None:
    read = Tables.read(done.results, done.study)
    runs = read.runs.set_index("variant")
    assert runs.loc["wild", "diverged_epoch"] == 1
    assert runs.drop("wild")["diverged_epoch"].isna().all()
    assert read.summary.set_index("variant")["diverged"].to_dict() == {"benchmark": 0, "batch_res_late": 0, "wild": 1}
    lines = (done.results / "README.md").read_text().splitlines()
    (head,) = [line for line in lines if line.startswith("| variant | n |")]
    (wild,) = [line for line in lines if line.startswith(f"| {done.study.variants['wild'].label} | 1 |")]
    cells = dict(zip(head.split(" | "), wild.split(" | "), strict=True))
    assert cells["diverged"] == "1"
