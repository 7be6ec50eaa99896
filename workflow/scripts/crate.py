"""A study's results and the workflow that made them -> an RO-Crate, one zip file for an archive."""

import argparse
from pathlib import Path

from temporal_shortcuts.errors import main
from temporal_shortcuts.report.crate import write_crate
from temporal_shortcuts.study import load_resolved


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--study", type=Path, required=True, help="results/<study>/study.json; the results stand beside it"
    )
    parser.add_argument(
        "--results", type=Path, nargs="+", required=True, help="tables, figures and texts; records follow"
    )
    parser.add_argument("--root", type=Path, required=True, help="the repository's folder")
    parser.add_argument("--sources", type=Path, nargs="+", required=True, help="files of it that made the results")
    parser.add_argument("--output", type=Path, required=True, help="the zip file")
    arguments = parser.parse_args()
    study, folder = load_resolved(arguments.study), arguments.study.parent
    results = [arguments.study, *arguments.results]
    write_crate(study, folder, results, arguments.root, arguments.sources, arguments.output)


if __name__ == "__main__":
    main(program)
