"""Faults in a whole study, run as a user runs it: what is said, what goes on, and that the same command ends with the same bytes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from disks import disk
from tiny_study import Workplace, tiny_study

from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.study import Study, load_resolved

pytestmark = pytest.mark.slow


def workplace(folder: Path) -> Workplace:
    """Two epochs, one variant that branches off after the first and one that diverges; states and data of more than a megabyte."""
    study = tiny_study()
    study["variants"] = dict.fromkeys(("lr_0.1", "lr_0.001", "batch_res_start", "epoch_res_start", "epoch_res_late"))
    study["variants"] |= {"batch_res_late": {"shortcut": {"onset": 1}}}
    study["variants"] |= {"wild": {"learning_rate": 100, "weight_decay": 1.0}}
    study["protocol"] |= {"width": 8, "epochs": 2, "batch_size": 16}
    return Workplace(folder, study, preloaded=False)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    """The study, finished without a fault."""
    place = workplace(tmp_path_factory.mktemp("faults") / "done")
    place.run()
    return place


def study_of(done: Workplace) -> Study:
    return load_resolved(done.results / "study.json")


def last_segment(done: Workplace, variant: str) -> str:
    return f"{study_of(done).variant_runs(variant)[0].fingerprint}-final"


# -- the disk ------------------------------------------------------------------------------------------------------------


def test_a_full_disk_on_which_everything_stands(done: Workplace, tmp_path: Path) -> None:
    with disk(tmp_path / "disk", 64) as mounted:
        place = workplace(mounted.path / "place")
        mounted.fill()
        for _ in range(2):
            status, said = place.attempt(*place.command())
            assert status == 2
            assert "Traceback" not in said, said
            assert f"error: {place.folder}: its disk is full; free some space" in said
        mounted.repair()
        place.run("records")
        mounted.fill()
        assert place.attempt(*place.command())[0] == 2
        mounted.repair()
        place.run()
        assert place.files() == done.files()


def test_a_folder_that_takes_no_file_is_named_before_anything_runs(tmp_path: Path) -> None:
    place = workplace(tmp_path / "place")
    with disk(place.folder / "results", 1) as results:
        results.forbid()
        status, said = place.attempt(*place.command())
    assert status == 2
    assert f"error: {place.results.parent}: nothing can be written here; make it writable" in said
    assert not (place.folder / "work").exists()


# -- a job that dies -----------------------------------------------------------------------------------------------------


def training(place: Workplace, state: str = "") -> list[psutil.Process]:
    """The training jobs of a workplace, or the one that makes a state."""
    found = []
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if any(part.endswith("/train.py") for part in command[:2]) and process.cwd() == str(place.folder):
                found += [process] if state in " ".join(command) else []
        except psutil.Error:
            continue
    return found


def wait_for_training(place: Workplace, snakemake: subprocess.Popen[bytes], state: str = "") -> list[psutil.Process]:
    while not (found := training(place, state)):
        assert snakemake.poll() is None, "nothing was trained"
        time.sleep(0.05)
    return found


def start(place: Workplace, log: Path) -> subprocess.Popen[bytes]:
    with log.open("w") as file:
        options = {"stdout": file, "stderr": file, "start_new_session": True}
        return subprocess.Popen(place.command(), cwd=place.folder, env=place.environment(), **options)


def test_a_killed_job_is_said_the_rest_goes_on_and_the_same_command_finishes(done: Workplace, tmp_path: Path) -> None:
    """As the kernel kills what takes too much memory."""
    place = workplace(tmp_path / "place")
    state = last_segment(done, "wild")
    snakemake = start(place, tmp_path / "said")
    wait_for_training(place, snakemake, state)[0].kill()
    assert snakemake.wait() == 1
    said = (tmp_path / "said").read_text()
    assert f"work/logs/segment/{state}.log ends without a reason: the job was killed (SIGKILL)" in said
    assert f"snakemake work/states/{state}.state --cores 1 --configfile tiny.yaml" in said
    assert "Traceback" not in said
    records = {name for name in done.files() if name.startswith("records/")}
    assert records & set(place.files()) == {name for name in records if not name.startswith("records/wild/")}
    assert "metrics.csv" not in place.files()
    place.run()
    assert place.files() == done.files()


def test_what_a_killed_snakemake_left_its_jobs_to_finish_is_used(done: Workplace, tmp_path: Path) -> None:
    place = workplace(tmp_path / "place")
    snakemake = start(place, tmp_path / "said")
    wait_for_training(place, snakemake)
    snakemake.kill()
    snakemake.wait()
    while training(place):
        time.sleep(0.1)
    assert list((place.folder / "work" / "states").glob("*.state"))
    assert place.planned()["record"] == len(study_of(done).runs)
    place.run()
    assert place.files() == done.files()


@pytest.mark.parametrize("whom", ["Snakemake", "Snakemake and its jobs", "a job"])
@pytest.mark.parametrize("send", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_in_a_state_from_which_the_same_command_goes_on(
    done: Workplace, tmp_path: Path, send: signal.Signals, whom: str
) -> None:
    place = workplace(tmp_path / "place")
    chance = random.Random(f"{send} {whom}")
    for round_ in range(2):
        snakemake = start(place, tmp_path / "said")
        jobs = wait_for_training(place, snakemake)
        time.sleep(chance.uniform(0, 3))
        if whom == "a job":
            jobs = training(place) or jobs
            if jobs[0].is_running():
                jobs[0].send_signal(send)
        elif whom == "Snakemake":
            snakemake.send_signal(send)
        else:
            os.killpg(snakemake.pid, send)
        status = snakemake.wait(timeout=120)
        said = (tmp_path / "said").read_text()
        assert "Traceback" not in said, (round_, said)
        assert status != 0 or place.files() == done.files(), said
    place.run()
    assert place.files() == done.files()


# -- many ----------------------------------------------------------------------------------------------------------------


def test_two_hundred_runs_at_once_lose_nothing(tmp_path: Path) -> None:
    study = tiny_study()
    study["variants"] = dict.fromkeys(("lr_0.001", "batch_res_late", "epoch_res_start", "epoch_res_late"))
    study["variants"] |= {"faster": {"learning_rate": 0.05}}
    study["protocol"] |= {"epochs": 1}
    study["seeds"] = list(range(50))
    place = Workplace(tmp_path / "place", study, preloaded=False)
    place.run(cores=8)
    written = load_resolved(place.results / "study.json")
    expected = {name for run in written.runs for name in run.record_files}
    assert len(written.runs) == 200
    assert {name for name in place.files() if name.startswith("records/")} == expected
    assert len(Tables.read(place.results, written).runs) == 200
    assert place.planned() == {}
