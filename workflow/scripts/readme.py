"""A study's tables, and what a person wrote of it -> README.md beside its study.json. What an earlier study left there is removed."""

import argparse
from pathlib import Path

from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.errors import main
from temporal_shortcuts.report import texts
from temporal_shortcuts.study import load_resolved, outputs


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--study", type=Path, required=True, help="results/<study>/study.json; the tables stand beside it"
    )
    parser.add_argument("--text", type=Path, help="what a person wrote, such as studies/<study>.md")
    arguments = parser.parse_args()
    folder, study = arguments.study.parent, load_resolved(arguments.study)
    texts.write_page(study, Tables.read(folder, study), folder, arguments.text)
    for name in outputs.outdated(study):
        (folder / name).unlink(missing_ok=True)


if __name__ == "__main__":
    main(program)
