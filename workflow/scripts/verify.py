"""Train runs of a committed study again, from nothing, in a folder of their own, and compare every byte of what is made.

Ends with 0 if all is equal, or differs only where another processor or torch explains it; with 1 if a file differs that nothing explains.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from temporal_shortcuts import errors
from temporal_shortcuts.analysis import reproduced, tables
from temporal_shortcuts.catalogue import catalogue
from temporal_shortcuts.study import Run, load_resolved
from temporal_shortcuts.terminal import arguments

ROOT = Path(__file__).parents[2]


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, required=True, help="the committed results/<study>/study.json")
    parser.add_argument("--folder", type=Path, required=True, help="where to train; resumed if it is there")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--whole", action="store_true", help="make and compare all results, not the records alone")
    parser.add_argument("runs", nargs="*", help="variants, or <variant>/seed<k>; all of the study without any")
    args = parser.parse_args()
    if not args.study.is_file():
        raise errors.UserError(f"{args.study} is not there: name a committed study, such as STUDY=demo.")
    study = load_resolved(args.study)
    studies = catalogue(ROOT)
    file, declared = studies.declared_as(study.name)
    runs = [
        run for run in study.runs if not args.runs or {run.variant, f"{run.variant}/seed{run.seed}"} & set(args.runs)
    ]
    known = {name for run in study.runs for name in (run.variant, f"{run.variant}/seed{run.seed}")}
    unknown = set(args.runs) - known
    if unknown:
        raise errors.UserError(f"{args.study} has no run {sorted(unknown)[0]!r}: name variants, or <variant>/seed<k>.")
    edited = {run.record for run in runs} - {run.record for run in declared.runs}
    if edited:
        raise errors.UserError(f"{file} no longer declares {sorted(edited)[0]}: undo the edit, or name other runs.")
    arguments.check_device(study, studies)
    made = args.folder / "results" / study.name
    targets = ["all"] if args.whole else [str(made / run.record) for run in runs]
    places = [f"results={args.folder}/results", f"work={args.folder}/work"]
    command = [sys.executable, "-m", "snakemake", *targets, "--cores", str(args.cores)]
    if subprocess.run([*command, "--configfile", str(file), "--config", *places]).returncode != 0:
        raise errors.UserError("the training did not finish: see its last lines; the same command goes on from there.")
    console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)
    sys.exit(_report(console, runs, args.study.parent, made, whole=args.whole))


def _report(console: Console, runs: list[Run], committed: Path, made: Path, *, whole: bool) -> int:
    """Name each file that differs; the exit status: 1 if nothing explains one of them."""
    if whole:
        found = reproduced.of_study(runs, committed, made)
    else:
        found = [one for run in runs for one in reproduced.of_run(run, committed, made)]
    equal = [run for run in runs if not {one.file for one in found} & set(run.record_files)]
    for run in equal:
        weights = tables.read_sidecar(made, run)["weights"]["final"][:12]
        console.print(f"[green]{run.variant} seed {run.seed}: equal[/] (weights {weights})")
    for one in found:
        how = "[yellow]explained[/]" if one.is_explained else "[red]different[/]"
        console.print(f"{how} {escape(str(committed / one.file))}: {escape(one.what)}", soft_wrap=True)
    for key, (old, new) in reproduced.environments(runs, committed, made).items():
        console.print(f"    {key}: {escape(old)} committed, {escape(new)} here", soft_wrap=True)
    console.print(f"{len(equal)} of {len(runs)} records equal the committed ones byte for byte, weights included.")
    if whole and not found:
        console.print(f"Every file of {committed} is the same, made again from nothing.")
    unexplained = [one for one in found if not one.is_explained]
    if unexplained:
        console.print(
            f"{len(unexplained)} files differ that no other environment explains, {unexplained[0].file} first."
        )
    elif found:
        console.print("Another processor or torch explains the differences: docs/exactness.md says what is promised.")
    return 1 if unexplained else 0


if __name__ == "__main__":
    errors.main(program)
