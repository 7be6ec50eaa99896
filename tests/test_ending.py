"""What stands in the terminal when Snakemake ends: a summary that fits it and paths that are there, or commands that work."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from tiny_study import ROOT, Workplace, tiny_study

from temporal_shortcuts.study import load_resolved
from temporal_shortcuts.terminal import ending

DEMO = ROOT / "results" / "demo"


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    """A study of one segment."""
    study = tiny_study()
    study["variants"] |= dict.fromkeys(
        ("lr_0.1", "batch_res_start", "epoch_res_start", "batch_res_late", "epoch_res_late")
    )
    return Workplace(tmp_path / "place", study)


def snakemake(workplace: Workplace, command: list[str]) -> subprocess.CompletedProcess[str]:
    place = {"cwd": workplace.folder, "env": workplace.environment()}
    return subprocess.run(command, **place, capture_output=True, text=True, timeout=600)


def test_a_run_ends_with_the_summary_and_with_paths_that_are_there(workplace: Workplace) -> None:
    said = snakemake(workplace, workplace.command()).stdout
    assert "tiny: test accuracy, the mean of the last 3 epochs, in percent" in " ".join(said.split())
    assert "a toy" in said
    paths = re.findall(r"^  (results/\S+) ", said.partition("To look at:")[2], re.MULTILINE)
    assert paths == [f"results/tiny/{name}" for name in ("README.md", "figures/", "*.csv", "records/")]
    assert all(list(workplace.folder.glob(path)) for path in paths)
    again = snakemake(workplace, workplace.command())
    assert again.stdout == "", "where nothing was made, nothing is said"


def test_a_failure_shows_the_log_and_a_command_that_runs_the_job_alone(workplace: Workplace) -> None:
    broken = workplace.folder / "src" / "temporal_shortcuts" / "training" / "trainer.py"
    text = broken.read_text()
    broken.write_text(text + "\nraise RuntimeError('broken on purpose')\n")
    done = snakemake(workplace, workplace.command(options=("--config", "keep_states=True")))
    assert done.returncode == 1
    assert "broken on purpose" in done.stderr
    (line,) = re.findall(r"^  (snakemake .*)$", done.stdout, re.MULTILINE)
    command, log = line.split("  # log: ")
    assert "broken on purpose" in (workplace.folder / log).read_text()
    broken.write_text(text)
    alone = snakemake(workplace, shlex.split(command))
    assert alone.returncode == 0, alone.stderr
    state = shlex.split(command)[1]
    assert (workplace.folder / state).is_file()
    assert not list(workplace.results.glob("records/*/*.csv")), "it ran more than the one job"


def test_the_summary_fits_eighty_columns() -> None:
    console = Console(width=80, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
    console.print(ending.summary(load_resolved(DEMO / "study.json"), DEMO))
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    for label in ("epoch_res from the start", "epoch_res after 8 epochs"):
        assert any(label in line for line in lines), lines
    assert "chance: 14.48 %" in " ".join(" ".join(lines).split()), "since its classes are not equal"


def test_many_failures_are_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    ending.failed([(f"work/states/{n}.state", f"{n}.log") for n in range(9)], [Path.cwd() / "a study.yaml"], [])
    lines = capsys.readouterr().out.splitlines()
    assert "  snakemake work/states/0.state --cores 1 --configfile 'a study.yaml'  # log: 0.log" in lines
    assert lines[-1] == "  and 4 more"


DEATHS = {
    "SIGILL": "the job died of SIGILL (illegal instruction). This processor lacks",
    "SIGSEGV": "the job died of SIGSEGV (segmentation fault). ",
    "SIGBUS": "the job died of SIGBUS (bus error). A disk",
    "SIGKILL": "the job was killed (SIGKILL), as when memory runs out",
}


def ended_by(name: str, log: Path) -> int:
    code = f"import os, signal; from temporal_shortcuts import errors; errors.main(lambda: os.kill(os.getpid(), signal.{name}))"
    with log.open("w") as file:
        return subprocess.run([sys.executable, "-c", code], stdout=file, stderr=file).returncode


@pytest.mark.parametrize("name", DEATHS)
def test_a_job_that_dies_of_a_signal_is_told_by_it(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "job.log"
    assert ended_by(name, log) == -getattr(signal, name)
    ending.failed([("work/states/0.state", str(log))], [], [])
    assert f"{log} ends without a reason: {DEATHS[name]}" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["SIGTERM", "SIGXCPU"])
def test_a_job_that_is_ended_from_outside_says_by_what(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "job.log"
    assert ended_by(name, log) == -getattr(signal, name)
    assert log.read_text() == f"error: ended by {name}; the same command goes on from here.\n"
    ending.failed([("work/states/0.state", str(log))], [], [])
    assert "ends without a reason" not in capsys.readouterr().out


def test_a_signal_that_is_ignored_stays_so(tmp_path: Path) -> None:
    """As of what nohup starts."""
    code = (
        "import os, signal; from temporal_shortcuts import errors; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "errors.main(lambda: os.kill(os.getpid(), signal.SIGHUP)); print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")
