"""What stands in the terminal when Snakemake ends: the summary and where to look, or how to run a job that failed again."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from temporal_shortcuts.folders import is_full
from temporal_shortcuts.study import Study

SHOWN = 5
"""Failed jobs that are named; Snakemake's log names all."""


_AGAIN = "The same command goes on from the last saved state; if it dies again, its log shows where."
_CRASHES = {
    "Illegal instruction": (
        "SIGILL",
        "This processor lacks instructions that the job used: see protocol.instruction_set.",
    ),
    "Segmentation fault": ("SIGSEGV", _AGAIN),
    "Bus error": ("SIGBUS", "A disk or /dev/shm that is full does this. Free some space."),
    "Aborted": ("SIGABRT", _AGAIN),
    "Floating point exception": ("SIGFPE", _AGAIN),
}
"""What Python's fault handler writes -> the signal, and what to do."""


def succeeded(studies: Mapping[str, Study], results: Path, made: Iterable[str | Path]) -> None:
    """After a run that made the files `made`: the summary of the study if it is among them, and the paths to look at."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    made = [Path(path) for path in made]
    names: dict[str, set[str]] = {}
    for path in made:
        if path.is_relative_to(results):
            study, *name = path.relative_to(results).parts
            names.setdefault(study, set()).add("/".join(name))
    summarised = [name for name in names if name in studies and "summary.csv" in names[name]]
    if len(summarised) == 1:
        console.print()
        console.print(summary(studies[summarised[0]], results / summarised[0]))
    looks = {f"{results / name}/{file}": what for name in names for file, what in _looks(names[name]).items()}
    handed_on = {".html": "the results as a page", ".zip": "the archive", ".yaml": "the study that confirms the choice"}
    for path in made:
        if path.parts[0] in ("build", "studies") and path.suffix in handed_on:
            looks[str(path)] = handed_on[path.suffix]
        elif path.parent == Path() and path.suffix == ".md":
            looks[str(path)] = "the front page"
    if looks:
        console.print("To look at:")
        for path, what in looks.items():
            console.print(Text(f"  {path:{max(map(len, looks))}}  {what}"), soft_wrap=True)


def _looks(names: set[str]) -> dict[str, str]:
    """What there is to look at in a study's folder, of the files that were made there."""
    records = sum(name.startswith("records/") and name.endswith(".csv") for name in names)
    places = {
        "README.md": "README.md" in names and "the outcome: claims, tables, figures",
        "figures/": "figures" in names and "the figures",
        "*.csv": "summary.csv" in names and "the tables",
        "records/": records and f"{records} new record{'s' * (records > 1)}",
    }
    return {name: what for name, what in places.items() if what}


def failed(jobs: Iterable[tuple[str, str]], configfiles: Iterable[Path], settings: Sequence[str]) -> None:
    """After a run in which jobs failed, each given by an output and its log: the commands that run one of them again."""
    here = Path.cwd()
    files = [str(path.relative_to(here) if path.is_relative_to(here) else path) for path in configfiles]
    options = ["--cores", "1", *(["--configfile", *files] if files else [])]
    options += ["--config", *settings] if settings else []
    jobs = sorted(jobs)
    print()
    for _, log in jobs[:SHOWN]:
        if _is_silent(Path(log)):
            print(f"{log} ends without a reason: {_reason(Path(log))}")
    print("What is done is kept: the same command goes on from here.")
    commands = [f"  {shlex.join(['snakemake', target, *options])}  # log: {log}" for target, log in jobs]
    if commands:
        print("One failed job alone, on this machine:", *commands[:SHOWN], sep="\n")
    if len(commands) > SHOWN:
        print(f"  and {len(commands) - SHOWN} more")


def _is_silent(log: Path) -> bool:
    """Whether a failed job's log ends with neither a complaint nor a traceback."""
    text = log.read_text(errors="replace") if log.is_file() else ""
    return "Traceback" not in text and not text.rstrip().rpartition("\n")[2].startswith("error: ")


def _reason(log: Path) -> str:
    if is_full(log.parent):
        return "its disk is full. Free some space."
    text = log.read_text(errors="replace") if log.is_file() else ""
    for said, (name, remedy) in _CRASHES.items():
        if f"Fatal Python error: {said}" in text:
            return f"the job died of {name} ({said.lower()}). {remedy}"
    return "the job was killed (SIGKILL), as when memory runs out. A smaller --cores needs less."


def summary(study: Study, results: Path) -> Table:
    """summary.csv for a terminal, with the study's scale."""
    from temporal_shortcuts.analysis.tables import read_table, test_set_of
    from temporal_shortcuts.report import numbers, wording
    from temporal_shortcuts.study import published

    primary, test_set = study.endpoint, test_set_of(study, results)
    chance = f"; chance: {numbers.percent(test_set.chance)}, the share of the largest class"
    title = f"{study.name}: {study.evaluated} accuracy, {wording.endpoint(study, primary)}, in percent"
    table = Table(
        title=title,
        caption=Text(study.scale + ("" if test_set.is_balanced else chance)),
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        collapse_padding=True,
    )
    for name in ("variant", "seeds", "mean", "sd", "best epoch", "published"):
        table.add_column(name, justify="left" if name == "variant" else "right")
    for row in read_table(results / "summary.csv").to_dict("records"):
        numbers = [row[f"{primary}_mean"], row[f"{primary}_sd"], row["best_mean"]]
        numbers.append(published.accuracy(study, row["variant"]))
        shown = ("" if value != value else f"{100 * value:.2f}" for value in numbers)
        table.add_row(Text(row["label"]), str(row["n"]), *shown)
    return table
