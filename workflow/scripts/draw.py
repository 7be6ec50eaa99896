"""A study's tables -> figures/*.svg, all of them or those that are named."""

import argparse
from pathlib import Path

from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.errors import main
from temporal_shortcuts.report.figures import drawing
from temporal_shortcuts.study import load_resolved


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--study", type=Path, required=True, help="results/<study>/study.json; the tables stand beside it"
    )
    parser.add_argument("figures", nargs="*", help="names such as forest.svg; without any, all that the study has")
    arguments = parser.parse_args()
    folder, study = arguments.study.parent, load_resolved(arguments.study)
    drawing.draw(study, Tables.read(folder, study), folder / "figures", arguments.figures)


if __name__ == "__main__":
    main(program)
