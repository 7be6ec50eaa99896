"""The tables of a ladder's studies -> results/ladder/: tables, one figure, a page. Rungs may be missing."""

import argparse
from pathlib import Path

from temporal_shortcuts.analysis import ladder as analysis
from temporal_shortcuts.analysis.tables import write_table
from temporal_shortcuts.catalogue import catalogue
from temporal_shortcuts.errors import UserError, main
from temporal_shortcuts.report import ladder as report
from temporal_shortcuts.study.ladder import FILES, read_ladder
from temporal_shortcuts.study.outputs import beside


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ladder", type=Path, required=True, help="studies/ladder.yaml, beside its studies' files")
    parser.add_argument("--results", type=Path, required=True, help="folder with the results of its studies")
    parser.add_argument("--sources", type=Path, nargs="*", default=[], help="what the ladder is made of, for the mark")
    arguments = parser.parse_args()
    root = arguments.ladder.absolute().parents[1]
    ladder = read_ladder(arguments.ladder, catalogue(root).declared_as)
    for rung in ladder.rungs:
        done = analysis.finished(rung, arguments.results)
        print(f"{arguments.results / rung.study.name}: {'finished' if done else 'in progress'}")
    found = analysis.effects(ladder, arguments.results)
    if not found:
        raise UserError(
            f"{arguments.ladder}: no rung is finished; run one with `snakemake --cores 2 --configfile {ladder.rungs[0].file}`."
        )
    folder = arguments.results / "ladder"
    rows, steps = analysis.table(found, arguments.results), analysis.steps(ladder, found)
    write_table(rows, folder / "ladder.csv")
    write_table(steps, folder / "steps.csv")
    text = arguments.ladder.with_suffix(".md")
    report.write(ladder, rows, steps, folder, text if text.is_file() else None)
    made = [folder / name for name in FILES[:-1]]
    with (folder / "README.md").open("a", encoding="utf-8") as page:
        page.write(f"\n<!-- {beside([*arguments.sources, *made])} -->\n")


if __name__ == "__main__":
    main(program)
