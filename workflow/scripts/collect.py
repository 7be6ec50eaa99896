"""Records -> metrics.csv and runs.csv, and study.json, from which all that follows knows the study."""

import argparse
from pathlib import Path

from temporal_shortcuts.analysis import tables
from temporal_shortcuts.errors import main
from temporal_shortcuts.study import load_resolved


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--study", type=Path, required=True, help="the study as it was read")
    parser.add_argument("--results", type=Path, required=True, help="results/<study>, which holds its records")
    arguments = parser.parse_args()
    study, folder = load_resolved(arguments.study), arguments.results
    metrics, runs = tables.collect(study, folder)
    study.write(folder / "study.json")
    tables.write_table(metrics, folder / "metrics.csv")
    tables.write_table(runs, folder / "runs.csv")


if __name__ == "__main__":
    main(program)
