"""Train runs of a committed study again, from nothing, in a folder of their own, and compare every byte and hash."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from rich.console import Console

from temporal_shortcuts import api, errors
from temporal_shortcuts.analysis import records, tables
from temporal_shortcuts.study import Run, load_resolved

ROOT = Path(__file__).parents[2]


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, required=True, help="the committed results/<study>/study.json")
    parser.add_argument("--folder", type=Path, required=True, help="where to train; resumed if it is there")
    parser.add_argument("--cores", type=int, default=2)
    parser.add_argument("--summary", action="store_true", help="make all results there, not the records alone")
    parser.add_argument("runs", nargs="*", help="variants, or <variant>/seed<k>; all of the study without any")
    args = parser.parse_args()
    if not args.study.is_file():
        raise errors.UserError(f"{args.study} is not there: name a committed study, such as STUDY=demo.")
    study = load_resolved(args.study)
    file, declared = api.declared_as(study.name, ROOT)
    runs = [
        run for run in study.runs if not args.runs or {run.variant, f"{run.variant}/seed{run.seed}"} & set(args.runs)
    ]
    unknown = (
        set(args.runs) - {run.variant for run in study.runs} - {f"{run.variant}/seed{run.seed}" for run in study.runs}
    )
    if unknown:
        raise errors.UserError(f"{args.study} has no run {sorted(unknown)[0]!r}: name variants, or <variant>/seed<k>.")
    edited = {run.record for run in runs} - {run.record for run in declared.runs}
    if edited:
        raise errors.UserError(f"{file} no longer declares {sorted(edited)[0]}: undo the edit, or name other runs.")
    made = args.folder / "results" / study.name
    targets = ["all"] if args.summary else [str(made / run.record) for run in runs]
    places = [f"results={args.folder}/results", f"work={args.folder}/work"]
    command = [
        sys.executable,
        "-m",
        "snakemake",
        *targets,
        "--cores",
        str(args.cores),
        "--configfile",
        str(ROOT / file),
    ]
    if subprocess.run([*command, "--config", *places]).returncode != 0:
        raise errors.UserError(
            "the training did not finish; its last lines are above, and the same command goes on from there."
        )
    console = Console(width=None if sys.stdout.isatty() else 120)
    equal = sum([_compare(console, run, args.study.parent, made) for run in runs])
    console.print(f"{equal} of {len(runs)} records equal the committed ones byte for byte, weights included.")
    if equal < len(runs):
        console.print("On another processor other last bits are possible; docs/exactness.md says what is promised.")
        sys.exit(0 if args.summary else 1)


def _compare(console: Console, run: Run, committed: Path, made: Path) -> bool:
    """Say how one run compares; whether record, correct images and hashes of weights are all equal."""
    name = f"{run.variant} seed {run.seed}"
    if not records.is_there(run, committed):
        console.print(f"[yellow]{name}: no committed record to compare with")
        return False
    ours, theirs = (tables.read_sidecar(folder, run) for folder in (made, committed))
    same = {
        "record": (made / run.record).read_text()
        == (committed / run.record).read_text(),  # with any system's line ends
        "correct images": (made / run.record_files[2]).read_bytes() == (committed / run.record_files[2]).read_bytes(),
        "initial weights": ours["weights"]["initial"] == theirs["weights"]["initial"],
        "final weights": ours["weights"]["final"] == theirs["weights"]["final"],
    }
    if all(same.values()):
        console.print(f"[green]{name}: equal[/] (weights {ours['weights']['final'][:12]})")
        return True
    console.print(f"[red]{name}: different {', '.join(key for key, equal in same.items() if not equal)}")
    for here, there in zip(ours["environments"], theirs["environments"], strict=False):
        for key in sorted(here):
            if here[key] != there.get(key):
                console.print(f"    {key}: {json.dumps(there.get(key))} committed, {json.dumps(here[key])} here")
    return False


if __name__ == "__main__":
    errors.main(program)
