"""Bring a study.json up to date with a newer one; its bytes stay where nothing changed."""

import argparse
from pathlib import Path

from temporal_shortcuts.errors import main
from temporal_shortcuts.study import load_resolved


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="the study as it was read")
    parser.add_argument("--study", type=Path, required=True, help="results/<study>/study.json")
    arguments = parser.parse_args()
    load_resolved(arguments.source).write(arguments.study)


if __name__ == "__main__":
    main(program)
