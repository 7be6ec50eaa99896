"""One look at a study while it trains: which runs train, how far, how accurate, how long still.

Reads study.json, which records and states are there, and the small files that jobs leave in work/progress
(`job.ProgressFile`). Writes nothing, so looking can change no result.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from temporal_shortcuts.analysis import records
from temporal_shortcuts.study import Segment, Study
from temporal_shortcuts.study.segments import evaluated_images

SILENT = 300
"""Seconds without a sign of life after which a job is taken for dead: a killed one leaves its file behind."""


@dataclass(frozen=True)
class Job:
    """A segment that trains, as its progress file had it."""

    segment: Segment
    name: str
    """Its first run, and how many others share it."""
    epochs: float
    """Epochs completed since the run's beginning; the fraction is steps of the current one."""
    accuracy: float | None
    """Test (or validation) accuracy after the last completed epoch, a fraction."""
    seconds_per_epoch: float | None
    silent: float
    """Seconds since the job's last sign of life."""

    @property
    def alive(self) -> bool:
        return self.silent < SILENT

    @property
    def left(self) -> float:
        """Epochs that the segment still has to train."""
        return self.segment.stop - self.epochs


@dataclass(frozen=True)
class View:
    """A study at one moment."""

    study: Study
    runs_done: int
    """Runs whose record is there."""
    epochs_done: float
    jobs: list[Job]
    seconds_left: float | None
    """For the whole study at the pace of the jobs that train now; None while no job has finished an epoch."""

    @property
    def finished(self) -> bool:
        return self.runs_done == len(self.study.runs)


def look(study: Study, results: Path, work: Path, now: float) -> View:
    """The study's state at `now` (seconds since 1970). `results` is the folder of its study.json."""
    open_runs = [run for run in study.runs if not records.is_there(run, results)]
    chains = [study.chain(run) for run in open_runs]
    jobs = [job for job in _jobs(study, work / "progress", now) if any(job.segment in chain for chain in chains)]
    left = _epochs_left(chains, jobs, work / "states")
    running = [job.seconds_per_epoch for job in jobs if job.alive]
    paces = [pace for pace in running if pace is not None]
    seconds = 0.0 if not open_runs else None
    if paces and open_runs:
        longest = max(sum(left[segment.state] for segment in chain) for chain in chains)
        seconds = statistics.mean(paces) * max(sum(left.values()) / len(running), longest)
    done = study.epochs_trained - sum(left.values())
    return View(study, len(study.runs) - len(open_runs), done, jobs, seconds)


def _jobs(study: Study, folder: Path, now: float) -> list[Job]:
    jobs = []
    for path in sorted(folder.glob("*.json")):
        try:
            content = json.loads(path.read_text())
            segment = study.segments[content["state"]]
            epochs = content["epoch"] + content["step"] / content["steps"]
            silent = max(0.0, now - content["time"])
            accuracy, pace = content["test_accuracy"], content["seconds_per_epoch"]
            found = Job(segment, study.name_of(segment), epochs, accuracy, pace, silent)
        except (OSError, ValueError, KeyError, TypeError):  # just finished, just being written, or of another study
            continue
        jobs.append(found)
    return jobs


def _epochs_left(chains: list[list[Segment]], jobs: list[Job], states: Path) -> dict[str, float]:
    """Epochs still to train, for each segment that a run without a record needs. A chain goes on from its last state that is there."""
    begun = {job.segment.state: job.left for job in jobs}
    left: dict[str, float] = {}
    for chain in chains:
        there = False
        for segment in reversed(chain):
            there = there or (states / f"{segment.state}.state").is_file()
            whole = float(segment.stop - segment.start)
            left[segment.state] = 0.0 if there else begun.get(segment.state, whole)
    return left


# -- for people --------------------------------------------------------------------------------------------------------


def summary(view: View) -> str:
    """The study in one line of at most 80 characters or little more, depending on its name."""
    if view.finished:
        return f"{view.study.name}: all {len(view.study.runs)} runs are done"
    alive = sum(job.alive for job in view.jobs)
    parts = [
        f"{view.study.name}: {view.runs_done} of {len(view.study.runs)} runs done",
        f"epoch {view.epochs_done:.0f} of {view.study.epochs_trained}",
        f"{alive} training" if alive else "nothing is training",
    ]
    if alive:
        left = view.seconds_left
        parts.append("time left not known yet" if left is None else f"about {duration(left)} left")
    return ", ".join(parts)


def lines(view: View) -> list[str]:
    """Plain lines for a log file: the study, then each job."""
    evaluated = evaluated_images(view.study.data)
    jobs = [(job.name, *_numbers(job)) for job in view.jobs]
    return [summary(view)] + [
        f"  {name}: epoch {epoch}, {evaluated} accuracy {accuracy}, {pace} s an epoch, left: {left}"
        for name, epoch, accuracy, pace, left in jobs
    ]


def picture(view: View) -> RenderableType:
    """The same for a terminal, within its width, with a bar for the study and one for each job."""
    whole = Table.grid(expand=True)
    whole.add_row(ProgressBar(total=view.study.epochs_trained, completed=view.epochs_done))
    table = Table(box=None, padding=(0, 1), pad_edge=False, expand=True)
    table.add_column("run", overflow="ellipsis", no_wrap=True, ratio=1)
    for name in ("", "epoch", "accuracy", "s/epoch", "left"):
        table.add_column(name, justify="right", no_wrap=True)
    for job in view.jobs:
        bar = ProgressBar(total=job.segment.stop, completed=job.epochs, width=12)
        table.add_row(Text(job.name), bar, *_numbers(job), style="" if job.alive else "red")
    return Group(Text(summary(view), style="bold"), whole, *([table] if view.jobs else []))


def _numbers(job: Job) -> tuple[str, str, str, str]:
    """Epoch that trains now (from 1), accuracy, seconds an epoch, and time left; `?` is not known yet."""
    epoch = f"{min(int(job.epochs) + 1, job.segment.stop)} of {job.segment.stop}"
    accuracy = "?" if job.accuracy is None else f"{job.accuracy:.2%}"
    pace, left = "?", "?"
    if job.seconds_per_epoch is not None:
        pace, left = f"{job.seconds_per_epoch:.1f}", duration(job.left * job.seconds_per_epoch)
    return epoch, accuracy, pace, left if job.alive else f"silent for {duration(job.silent)}"


def duration(seconds: float) -> str:
    """`3 h 05 min`, `12 min` or `40 s`."""
    minutes = round(seconds / 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60:02d} min"
    return f"{minutes} min" if seconds >= 90 else f"{seconds:.0f} s"
