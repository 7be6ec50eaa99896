"""A study's tables -> README.md and blocks/*.md, beside its study.json."""

import argparse
from pathlib import Path

from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.errors import main
from temporal_shortcuts.report import texts
from temporal_shortcuts.study import load_resolved


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--study", type=Path, required=True, help="results/<study>/study.json; the tables stand beside it"
    )
    arguments = parser.parse_args()
    folder = arguments.study.parent
    texts.write_texts(load_resolved(arguments.study), Tables.read(folder), folder)


if __name__ == "__main__":
    main(program)
