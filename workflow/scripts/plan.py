"""What it takes to decide a study's open claims: seeds, runs, trained epochs and hours on this machine, from its records so far."""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from temporal_shortcuts import errors
from temporal_shortcuts.analysis import plan, tables
from temporal_shortcuts.study import Study, load_resolved


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, required=True, help="results/<study>/study.json, its tables beside it")
    parser.add_argument("--work", type=Path, default=Path("work"), help="the study's work folder")
    parser.add_argument("--hours", type=float, help="what could be decided in this time?")
    parser.add_argument("--cores", type=int, default=2, help="training jobs at once")
    parser.add_argument("--seconds", type=float, help="of an epoch, where no training job of the study tells")
    args = parser.parse_args()
    if not args.study.is_file():
        raise errors.UserError(f"{args.study} is not there: name a study that has been run, such as STUDY=laptop.")
    for name in ("hours", "seconds", "cores"):
        if getattr(args, name) is not None and not getattr(args, name) > 0:
            raise errors.UserError(f"{name}: found {getattr(args, name)}, but it must be greater than 0.")
    study = load_resolved(args.study)
    found = plan.needs(study, tables.read_table(args.study.parent / "claims.csv"))
    console = Console()
    if table := plan.table_needs(study, tables.read_table(args.study.parent / "comparisons.csv")):
        console.print(Text(of_table(*table)))
    if not found:
        console.print(f"{study.name}: no claim is undecided.")
        return
    measured, jobs = plan.measured_pace(study, args.work)
    seconds = args.seconds or measured
    show(console, study, found, seconds and seconds / args.cores / 3600, args.hours)
    if seconds:
        source = "as given" if args.seconds else f"(median of {jobs} training jobs in {args.work}/benchmarks)"
        console.print(f"An epoch takes {seconds:.1f} s {source}; {args.cores} jobs train at once.")
    else:
        console.print("Hours are not known: the study was not trained here; say with SECONDS how long an epoch takes.")


def of_table(comparisons: int, difference: float, sd: float, own: int, moderated: int) -> str:
    """What a new study needs that compares as much, with either estimate of the variances."""

    def seeds(n: int) -> str:
        return f"{n:,} seeds or more" if n >= plan.MOST_N else f"{n:,} seeds"

    return (
        f"A new study of {comparisons} comparisons finds a difference of {difference:g} points as the first of them (standard deviation "
        f"{sd:.2f}) with {seeds(own)}, or {seeds(moderated)} where its file says variances: moderated."
    )


def show(
    console: Console, study: Study, found: list[plan.Need], hours_an_epoch: float | None, hours: float | None
) -> None:
    limit = None if hours is None or hours_an_epoch is None else hours / hours_an_epoch
    taken = [] if limit is None else plan.affordable(study, found, limit)
    title = f"Undecided claims of {study.name}, the cheapest first"
    table = Table(title=title, box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("claim", overflow="fold")
    for name in ("estimate", "seeds", "needed", "new runs", "epochs", "hours", *([f"in {hours:g} h"] if limit else [])):
        table.add_column(name, justify="right")
    for need in found:
        claim = need.claim
        needed = need.why or f"{need.seeds:,}" + (" or more" if need.endless else " to begin" if need.pilot else "")
        table.add_row(
            Text(claim["id"]),
            "" if pd.isna(claim["estimate"]) else f"{claim['estimate']:{'' if need.of_accuracy else '+'}.2f}",
            f"{claim['n']}",
            needed,
            *(("", "") if need.why else (f"{need.runs:,}", f"{need.epochs:,}")),
            "" if need.why else "?" if hours_an_epoch is None else f"{need.epochs * hours_an_epoch:,.1f}",
            *([] if limit is None else ["yes" if need in taken else "no"]),
        )
    console.print(table)
    console.print(Text(summary(study, found, taken, hours_an_epoch, hours)))


def summary(
    study: Study, found: list[plan.Need], taken: list[plan.Need], hours_an_epoch: float | None, hours: float | None
) -> str:
    """What it comes to, in a sentence or two: runs that claims have in common are trained once."""

    def cost(needs: list[plan.Need]) -> str:
        epochs = plan.epochs_of(study, plan.together(need.new for need in needs))
        return f"{epochs:,} epochs" + ("" if hours_an_epoch is None else f", {epochs * hours_an_epoch:,.1f} h")

    possible = [need for need in found if not need.endless]
    but = "" if len(possible) == len(found) else " but those for which no number of seeds can be named, or 10,000"
    text = f"All{but}: {cost(possible)}."
    if hours is None or hours_an_epoch is None:
        return text
    decided = f"{len(taken)} could be decided: {cost(taken)}" if taken else "none"
    return f"{text} In {hours:g} h, {decided}."


if __name__ == "__main__":
    errors.main(program)
