"""What results/ladder/ shows beside its tables: the figure, and a page of narrow tables (templates/ladder.jinja)."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from temporal_shortcuts.analysis.ladder import SMALLEST_PAIRS
from temporal_shortcuts.files import write_atomically
from temporal_shortcuts.report import prose
from temporal_shortcuts.report.figures import ladder as figures
from temporal_shortcuts.report.figures.style import KIND_NAMES, save, style
from temporal_shortcuts.report.texts import rendered
from temporal_shortcuts.study.image_sets import image_set
from temporal_shortcuts.study.ladder import READINGS, Ladder
from temporal_shortcuts.study.published import RUNS, Run


def write(ladder: Ladder, table: pd.DataFrame, steps: pd.DataFrame, folder: Path, text: Path | None = None) -> None:
    """Write effect.svg and README.md beside the tables, which they are made from; `text` is a person's, if there is one."""
    pending = [rung.study.name for rung in ladder.rungs if rung.study.name not in set(table["study"])]
    with style():
        figure = figures.effect(table, effects_of(ladder), pending)
        save(figure, folder / "effect.svg", "Effects over the width of the network")
    path = folder / "README.md"
    said = prose.filled(text, folder.parent, path, folder.name) if text else ""
    write_atomically(path, page(ladder, table, steps, said).encode())


def effects_of(ladder: Ladder) -> list[Run]:
    """The report's effects of the shortcuts that the ladder has, if it is about the report's images."""
    if not all(image_set(rung.study.data).is_cifar10 for rung in ladder.rungs):
        return []
    shortcuts = [variant.shortcut for rung in ladder.rungs for variant in rung.variants]
    ours = {(one.kind, one.onset, one.strength) for one in shortcuts if one is not None}
    return [run for run in RUNS if (run.kind, run.onset, run.strength) in ours]


def page(ladder: Ladder, table: pd.DataFrame, steps: pd.DataFrame, text: str = "") -> str:
    """The page in Markdown, with what a person wrote of it."""
    baselines = table[table["endpoint"] == "averaged"].drop_duplicates(["study", "against"])
    effects = {key: own.set_index("endpoint") for key, own in table.groupby(["study", "against", "kind"], sort=False)}
    beside = dict.fromkeys(f"{row.smaller} to {row.larger}: {row.beside}" for row in steps.itertuples() if row.beside)
    context = {
        "ladder": ladder,
        "prose": text.strip(),
        "readings": READINGS,
        "kinds": KIND_NAMES,
        "baselines": {(row["study"], row["against"]): row for row in baselines.to_dict("records")},
        "effects": {key: rows.to_dict("index") for key, rows in effects.items()},
        "steps": steps.to_dict("records"),
        "beside": list(beside),
        "smallest": SMALLEST_PAIRS,
    }
    return rendered("ladder.jinja", context)
