"""The script for a machine with a GPU, on the CPU: what it copies, what it goes on with, and a toy study to its end."""

from __future__ import annotations

import argparse
import errno
import os
import signal
import subprocess
import sys
import tarfile
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from tiny_study import ROOT, digits_checksum

SCRIPT = ROOT / "benchmarks" / "gpu.py"
TOY = {
    "study": "toy",
    "data": {"source": "digits", "images_per_class": 20, "checksum": digits_checksum(20)},
    "protocol": {"width": 2, "epochs": 2, "batch_size": 64, "device": "cpu"},
    "seeds": [0, 1],
    "variants": {"benchmark": {}, "late": {"shortcut": {"kind": "batch_res", "strength": 0.05, "onset": 1}}},
}


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import gpu

    return gpu


@pytest.fixture
def args(tmp_path: Path) -> argparse.Namespace:
    return argparse.Namespace(work=tmp_path / "work", out=tmp_path / "out", jobs=None)


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, timeout=500)


def test_records_are_copied_when_they_are_whole_and_once(gpu, args, capsys: pytest.CaptureFixture[str]) -> None:
    folder = args.work / "results" / "toy" / "records" / "benchmark"
    folder.mkdir(parents=True)
    for suffix in (".json", ".correct.npy"):
        (folder / f"seed0-a{suffix}").write_text("x")
    gpu.collect(args)
    assert not args.out.exists(), "without its table a record is not whole"
    (folder / "seed0-a.csv").write_text("x")
    declared = folder.parents[1] / "declared.json"
    declared.write_text("as it stood first")
    gpu.collect(args)
    declared.write_text("as it stands on another machine")
    gpu.collect(args)
    assert capsys.readouterr().out.count("a record more") == 1
    copied = args.out / "results" / "toy" / "records" / "benchmark"
    assert {path.name for path in copied.iterdir()} == {"seed0-a.csv", "seed0-a.json", "seed0-a.correct.npy"}
    packed = args.out / "records.tar.gz"
    with tarfile.open(packed) as archive:
        assert "results/toy/records/benchmark/seed0-a.csv" in archive.getnames()
        assert archive.extractfile("results/toy/declared.json").read() == b"as it stood first"
    packed.unlink()  # as where it was stopped between the copy and the archive
    gpu.collect(args)
    assert packed.is_file()
    packed.write_bytes(b"old")
    os.utime(packed, (0, 0))
    gpu.collect(args)
    assert packed.read_bytes() != b"old"


def test_a_disk_that_is_full_leaves_no_half_record(gpu, args, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = args.work / "results" / "toy" / "records" / "benchmark"
    folder.mkdir(parents=True)
    for suffix in gpu.RECORD:
        (folder / f"seed0-a{suffix}").write_text("x")
    replace = os.replace

    def full(source: Path, target: Path) -> None:
        if str(target).endswith(".csv"):
            raise OSError(errno.ENOSPC, "No space left on device")
        replace(source, target)

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        gpu.collect(args)
    assert not list(args.out.rglob("*.csv"))
    monkeypatch.undo()
    gpu.collect(args)
    assert len(list(args.out.rglob("*.csv"))) == 1


def test_a_measurement_that_hangs_or_fails_is_ended_and_leaves_nothing_running(
    gpu, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import step

    program = tmp_path / "program.py"
    monkeypatch.setattr(step, "__file__", str(program))
    program.write_text("import time; print('ready', flush=True); input(); time.sleep(600)")
    with pytest.raises(RuntimeError, match="ended with status -9"):
        step.measured(2, timeout=1.0)
    program.write_text("raise SystemExit(3)")
    with pytest.raises(RuntimeError, match="ended with status 3"):
        step.measured(2)


def test_as_many_jobs_run_as_were_quickest_at_the_studys_precision(gpu, args) -> None:
    study = SimpleNamespace(protocol=SimpleNamespace(precision="tf32", compile=False))
    assert gpu.quickest_jobs(args, study) == 1
    args.out.mkdir()
    rows = ["precision,format,compiled,jobs,images_per_second", "tf32,channels_last,False,1,900"]
    rows += ["tf32,channels_last,False,4,2500", "tf32,channels_last,True,2,9000", "bf16,channels_last,False,2,9000"]
    (args.out / "speed.csv").write_text("\n".join(rows) + "\n")
    assert gpu.quickest_jobs(args, study) == 4


def test_what_is_measured_is_not_measured_again(gpu, args, monkeypatch: pytest.MonkeyPatch) -> None:
    import step

    asked = []
    monkeypatch.setattr(
        step, "measured", lambda jobs, *options, timeout: asked.append(options) or [{"step": {"none": 0.5}}] * jobs
    )
    args.seconds, args.speed_minutes = 1.0, 0.0
    study = SimpleNamespace(protocol=SimpleNamespace(device="cuda", width=64, precision="tf32"))
    gpu.measure_speed(args, study, float("inf"))
    assert not asked, "there is no time for it"
    args.speed_minutes = float("inf")
    gpu.measure_speed(args, study, float("inf"))
    assert "tf32" in asked[0], "the study's own way comes first"
    assert all("--compile" not in options for options in asked[:18])
    first, lines = len(asked), (args.out / "speed.csv").read_text().splitlines()
    assert first == 3 * 2 * 2 * 3
    (args.out / "speed.csv").write_text("\n".join(lines[:-4]) + "\n")
    gpu.measure_speed(args, study, float("inf"))
    assert len(asked) == first + 4
    assert (args.out / "speed.csv").read_text().splitlines() == lines


def test_a_folder_without_wheels_and_a_wrong_study_end_in_one_sentence(tmp_path: Path) -> None:
    done = run("--wheels", tmp_path, "--work", tmp_path / "work")
    said = f"error: {tmp_path} holds no wheels; fetch them as docs/running.md says.\n"
    assert (done.returncode, done.stderr) == (1, said)
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(TOY | {"seed": [0]}))
    done = run("--study", tmp_path / "toy.yaml", "--work", tmp_path / "work")
    assert done.returncode == 2
    assert "the key 'seed' is not known" in done.stderr


@pytest.mark.slow
def test_a_toy_study_goes_to_its_end_and_on_from_where_it_was_stopped(tmp_path: Path) -> None:
    (tmp_path / "toy.yaml").write_text(yaml.safe_dump(TOY))
    options = ["--study", tmp_path / "toy.yaml", "--work", tmp_path / "work", "--out", tmp_path / "out"]
    options += ["--skip", "speed"]
    whole = [sys.executable, SCRIPT, *options]
    with subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as killed:
        assert any("1 of 1 steps" in line or "Train" in line or "epoch 1" in line for line in killed.stdout)
        killed.send_signal(signal.SIGTERM)
        killed.communicate(timeout=60)
        assert killed.returncode == 143
    stopped = run(*options, "--minutes", "0")
    assert stopped.returncode == 0
    assert "the time is up; the same command goes on from here" in stopped.stdout
    done = run(*options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "equal weights" in done.stdout
    assert "all 4 records are in" in done.stdout
    assert len(list((tmp_path / "out" / "results" / "toy" / "records").glob("*/*.csv"))) == 4
    again = run(*options)
    assert "seed 1: 2 of 2 records are there" in again.stdout
