"""runs.csv, metrics.csv and the kept bits -> summary.csv, comparisons.csv, claims.csv and the other tables of the study."""

import argparse
from pathlib import Path

from temporal_shortcuts.analysis import tables
from temporal_shortcuts.errors import main
from temporal_shortcuts.study import load_resolved


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--study", type=Path, required=True, help="results/<study>/study.json; runs.csv and the records stand beside it"
    )
    arguments = parser.parse_args()
    folder = arguments.study.parent
    runs, metrics = (tables.read_table(folder / name) for name in ("runs.csv", "metrics.csv"))
    for name, table in tables.tabulate(load_resolved(arguments.study), folder, runs, metrics).items():
        tables.write_table(table, folder / name)


if __name__ == "__main__":
    main(program)
