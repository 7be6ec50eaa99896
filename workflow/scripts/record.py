"""Write a run's record, its sidecar and its correct test images, from the run's final state or from an equal run's record.

A record that is whole is kept as it is.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from temporal_shortcuts import errors
from temporal_shortcuts.analysis import records
from temporal_shortcuts.study import declaration, load_resolved


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, required=True, help="the study as it was read")
    parser.add_argument("--results", type=Path, required=True, help="results/<study>")
    parser.add_argument("--record", required=True, help="the record's path, relative to the study's folder")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--source", type=Path, required=True, help="the run's final state, or an equal run's record")
    parser.add_argument("--studies", type=Path, nargs="*", default=[], help="others whose runs may need the states")
    parser.add_argument("--keep-states", action="store_true")
    parser.add_argument("--keep-weights", action="store_true")
    args = parser.parse_args()
    study = load_resolved(args.study)
    run = next((run for run in study.runs if run.record == args.record), None)
    if run is None:
        raise errors.UserError(
            f"{args.study} has no record {args.record}: the study has changed; run the same command again."
        )
    folder = args.results
    declaration.write_first(study, folder)
    if records.is_whole(run, folder, study.epochs):
        print(f"{folder / run.record} is there and whole; it is kept")
    elif args.source.suffix == ".csv":
        records.copy(args.source, folder / run.record)
    else:
        records.write(run, args.source, folder, keep_weights=args.keep_weights)
    if not args.keep_states:
        others = [other for other in map(load_resolved, args.studies) if other.name != study.name]
        needed = {state for other in others for state in records.open_states(other, folder.with_name(other.name))}
        records.remove_spent_states(study, run, folder, args.work / "states", needed)


if __name__ == "__main__":
    errors.main(program)
