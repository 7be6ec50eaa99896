"""An exploring study's comparisons -> the file of the study that confirms what did best in it."""

import argparse
import json
from pathlib import Path

from temporal_shortcuts.analysis import choice, tables
from temporal_shortcuts.errors import main
from temporal_shortcuts.files import write_atomically
from temporal_shortcuts.study import load_resolved
from temporal_shortcuts.terminal.arguments import check_confirming


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--study", type=Path, required=True, help="results/<study>/study.json; the tables stand beside it"
    )
    parser.add_argument(
        "--data", type=json.loads, required=True, metavar="JSON", help="the study's data, as in its file"
    )
    parser.add_argument("--output", type=Path, required=True, help="the file of the confirming study")
    arguments = parser.parse_args()
    check_confirming(arguments.output)
    comparisons = tables.read_table(arguments.study.parent / "comparisons.csv")
    text = choice.confirming(load_resolved(arguments.study), comparisons, arguments.data)
    write_atomically(arguments.output, text.encode())


if __name__ == "__main__":
    main(program)
