"""A stage of a study's results after its records: each is made of what the stages before it have left in the study's folder."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from temporal_shortcuts.analysis import choice, tables
from temporal_shortcuts.errors import main
from temporal_shortcuts.files import write_atomically
from temporal_shortcuts.study import Study, load_resolved, outputs
from temporal_shortcuts.terminal.arguments import check_confirming

# The report's modules are imported where they are used: they take seconds, which the tables need not wait for.


def collect(study: Study, folder: Path, arguments: argparse.Namespace) -> None:
    """Records -> metrics.csv and runs.csv, and study.json, from which all that follows knows the study."""
    metrics, runs = tables.collect(study, folder)
    study.write(folder / "study.json")
    tables.write_table(metrics, folder / "metrics.csv")
    tables.write_table(runs, folder / "runs.csv")


def analyse(study: Study, folder: Path, arguments: argparse.Namespace) -> None:
    """runs.csv, metrics.csv and the kept bits -> summary.csv, comparisons.csv, claims.csv and the other tables of the study."""
    runs, metrics = (tables.read_table(folder / name) for name in ("runs.csv", "metrics.csv"))
    for name, table in tables.tabulate(study, folder, runs, metrics).items():
        tables.write_table(table, folder / name)


def draw(study: Study, folder: Path, arguments: argparse.Namespace) -> None:
    """Tables -> figures/*.svg."""
    from temporal_shortcuts.report.figures import drawing

    drawing.draw(study, tables.Tables.read(folder, study), folder / "figures")


def readme(study: Study, folder: Path, arguments: argparse.Namespace) -> None:
    """Tables, and what a person wrote of the study -> README.md. What an earlier study left in the folder is removed."""
    from temporal_shortcuts.report import texts

    texts.write_page(study, tables.Tables.read(folder, study), folder, arguments.text)
    for name in outputs.outdated(study):
        (folder / name).unlink(missing_ok=True)


def page(study: Study, folder: Path, arguments: argparse.Namespace) -> None:
    """Tables -> the results page, one HTML file that needs no network."""
    from temporal_shortcuts.report.page import write_page

    write_page(study, tables.Tables.read(folder, study), folder, arguments.output)


def crate(study: Study, folder: Path, arguments: argparse.Namespace) -> None:
    """Results, and the workflow that made them -> an RO-Crate, one zip file for an archive."""
    from temporal_shortcuts.report.crate import write_crate

    results = [arguments.study, *map(Path, arguments.files)]
    write_crate(study, folder, results, arguments.root, arguments.sources, arguments.output)


def confirm(study: Study, folder: Path, arguments: argparse.Namespace) -> None:
    """An exploring study's comparisons -> the file of the study that confirms what did best in it."""
    check_confirming(arguments.output)
    text = choice.confirming(study, tables.read_table(folder / "comparisons.csv"), arguments.data)
    write_atomically(arguments.output, text.encode())


STAGES = {stage.__name__: stage for stage in (collect, analyse, draw, readme, page, crate, confirm)}


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("stage", choices=STAGES)
    parser.add_argument("--study", type=Path, required=True, help="results/<study>/study.json, or the study as read")
    parser.add_argument("--results", type=Path, help="results/<study>, where the study's file does not stand there")
    parser.add_argument("--text", type=Path, help="of readme: what a person wrote, such as studies/<study>.md")
    parser.add_argument("--data", type=json.loads, metavar="JSON", help="of confirm: the study's data, as in its file")
    parser.add_argument("--root", type=Path, help="of crate: the repository's folder")
    parser.add_argument("--sources", type=Path, nargs="+", help="of crate: files of it that made the results")
    parser.add_argument("--output", type=Path, help="of page, crate and confirm: the file to write")
    parser.add_argument("--files", nargs="+", default=[], help="of crate: results")
    arguments = parser.parse_args()
    study = load_resolved(arguments.study)
    STAGES[arguments.stage](study, arguments.results or arguments.study.parent, arguments)


if __name__ == "__main__":
    main(program)
