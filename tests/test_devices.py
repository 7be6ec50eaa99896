"""GPUs are handed out by locks: one job a slot, the next one waits, and a job that is killed gives its slot back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from temporal_shortcuts.training import devices

JOB = """
import os, sys, time
from pathlib import Path
from temporal_shortcuts.training.devices import gpu_slot
with gpu_slot(["0", "1"], 2, print, Path(sys.argv[1])) as device:
    assert os.environ["CUDA_VISIBLE_DEVICES"] == device
    print(device, flush=True)
    time.sleep(60)
"""


def job(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", JOB, str(folder)], stdout=subprocess.PIPE, text=True)


def test_gpus_fill_evenly_and_a_killed_job_gives_its_slot_back(tmp_path: Path) -> None:
    jobs = []
    try:
        for _ in range(4):
            jobs.append(job(tmp_path))
        taken = [process.stdout.readline().strip() for process in jobs]
        assert Counter(taken) == {"0": 2, "1": 2}
        jobs.append(job(tmp_path))
        time.sleep(1)
        assert jobs[-1].poll() is None
        jobs[2].send_signal(signal.SIGKILL)
        assert "all 4 slots of the GPUs 0, 1 are taken" in jobs[-1].stdout.readline()
        assert jobs[-1].stdout.readline().strip() == taken[2]
    finally:
        for process in jobs:
            process.kill()
            process.wait()
            process.stdout.close()


def test_one_job_a_gpu_before_any_gets_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    with (
        devices.gpu_slot(["0", "1"], 2, print, tmp_path) as one,
        devices.gpu_slot(["0", "1"], 2, print, tmp_path) as two,
    ):
        assert [one, two] == ["0", "1"]


def test_what_the_user_or_a_scheduler_chose_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in devices.SCHEDULERS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3, GPU-8f2")
    assert devices.gpus() == ["3", "GPU-8f2"]
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    assert devices.gpus() == []


def test_without_a_gpu_nothing_changes(tmp_path: Path) -> None:
    before = dict(os.environ)
    with devices.gpu_slot([], 1, print, tmp_path / "none") as device:
        assert device is None
    assert dict(os.environ) == before
    assert not (tmp_path / "none").exists()
