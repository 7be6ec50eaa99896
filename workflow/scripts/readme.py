"""A study's tables -> README.md and blocks/*.md, beside its study.json. Removes what an earlier study of that name left there."""

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
    arguments = parser.parse_args()
    folder, study = arguments.study.parent, load_resolved(arguments.study)
    texts.write_texts(study, Tables.read(folder, study), folder)
    for name in outputs.outdated(study):
        (folder / name).unlink(missing_ok=True)


if __name__ == "__main__":
    main(program)
