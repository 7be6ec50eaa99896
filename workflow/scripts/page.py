"""A study's tables -> its results page, one HTML file that needs no network."""

import argparse
from pathlib import Path

from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.errors import main
from temporal_shortcuts.report.page import write_page
from temporal_shortcuts.study import load_resolved


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--study", type=Path, required=True, help="results/<study>/study.json; the tables stand beside it"
    )
    parser.add_argument("--output", type=Path, required=True, help="the HTML file")
    arguments = parser.parse_args()
    study = load_resolved(arguments.study)
    folder = arguments.study.parent
    write_page(study, Tables.read(folder, study), folder, arguments.output)


if __name__ == "__main__":
    main(program)
