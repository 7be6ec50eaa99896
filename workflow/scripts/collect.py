"""Records -> metrics.csv and runs.csv, beside the study's study.json."""

import argparse
from pathlib import Path

from temporal_shortcuts.analysis import tables
from temporal_shortcuts.errors import main
from temporal_shortcuts.study import load_resolved


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--study", type=Path, required=True, help="results/<study>/study.json; the records stand beside it"
    )
    arguments = parser.parse_args()
    folder = arguments.study.parent
    metrics, runs = tables.collect(load_resolved(arguments.study), folder)
    tables.write_table(metrics, folder / "metrics.csv")
    tables.write_table(runs, folder / "runs.csv")


if __name__ == "__main__":
    main(program)
