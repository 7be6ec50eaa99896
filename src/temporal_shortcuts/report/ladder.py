"""What results/ladder/ shows beside its tables: the figure, and a page of narrow tables."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from temporal_shortcuts.analysis.ladder import SMALLEST_PAIRS
from temporal_shortcuts.files import write_atomically
from temporal_shortcuts.report import prose
from temporal_shortcuts.report.figures import ladder as figures
from temporal_shortcuts.report.figures.style import KIND_NAMES, save, style
from temporal_shortcuts.report.markdown import escape
from temporal_shortcuts.report.numbers import difference, mean_sd, p_value, points
from temporal_shortcuts.study.image_sets import image_set
from temporal_shortcuts.study.ladder import READINGS, Ladder, Rung
from temporal_shortcuts.study.published import RUNS, Run


def write(ladder: Ladder, table: pd.DataFrame, steps: pd.DataFrame, folder: Path, text: Path | None = None) -> None:
    """Write effect.svg and README.md beside the tables, which they are made from; `text` is a person's, if there is one."""
    pending = [rung.study.name for rung in ladder.rungs if rung.study.name not in set(table["study"])]
    with style():
        save(
            figures.effect(table, effects_of(ladder), pending),
            folder / "effect.svg",
            "Effects over the width of the network",
        )
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
    return "\n".join(
        [
            f"# {escape(ladder.title)}",
            "",
            "![Effect of each shortcut over the network's width, as trained and recalibrated](effect.svg)",
            "",
            "*Paired difference in test accuracy of averaged weights, with its 95 % t interval.*",
            "",
            *([text.strip(), ""] if text else []),
            "## The rungs",
            "",
            *_table(
                ("rung", "width", "images", "epochs", "instruction set", "seeds", "baseline, as trained"),
                _rungs(ladder, table),
            ),
            "",
            "Baseline: test accuracy, mean ± standard deviation over the seeds. Each rung is a study, with its own verdicts.",
            "",
            "## The effects",
            "",
            *_table(("rung", "shortcut", "n", *READINGS.values()), _effects(table)),
            "",
            "Difference from the rung's baseline in points, paired by seed (n pairs), with its 95 % t interval. *As trained*: averaged "
            "weights with the batch-norm statistics that training left. *Recalibrated*: the same weights, with statistics gathered again "
            "without a carry. *Mismatch*: the first less the second, seed by seed: what it costs to train with a carry and to be "
            "evaluated without. The shortcuts of a rung share its baseline, so their effects are not independent of one another.",
            "",
            *_of_steps(steps),
            "This page is a reading after the fact: it was chosen when the first four rungs had run. Tables: [ladder.csv](ladder.csv), "
            "[steps.csv](steps.csv). How: [statistics](../../docs/statistics.md#the-ladder).",
            "",
        ]
    )


def _table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> Iterator[str]:
    """The lines of a table, its first column text and the others numbers."""
    heads = list(heads)
    yield f"| {' | '.join(heads)} |"
    yield f"| --- |{' ---: |' * (len(heads) - 1)}"
    yield from (f"| {' | '.join(map(str, row))} |" for row in rows)


def _rungs(ladder: Ladder, table: pd.DataFrame) -> Iterator[tuple[object, ...]]:
    for rung in ladder.rungs:
        about = (rung.reference.settings.width, f"{rung.images:,}", rung.study.epochs)
        own = _of(table, rung)
        own = own[own["endpoint"] == "averaged"]
        if len(own):
            row = own.iloc[0]
            found = (row["against_n"], mean_sd(row["against_mean"], row["against_sd"]))
        else:
            found = ("", "not finished")
        yield (
            _link(rung.study.name) if len(own) else rung.study.name,
            *about,
            rung.reference.settings.instruction_set,
            *found,
        )


def _of(table: pd.DataFrame, rung: Rung) -> pd.DataFrame:
    return table[(table["study"] == rung.study.name) & (table["against"] == rung.reference.name)]


def _link(study: str) -> str:
    return f"[{study}](../{study}/README.md)"


def _effects(table: pd.DataFrame) -> Iterator[tuple[object, ...]]:
    for (study, _, kind), own in table.groupby(["study", "against", "kind"], sort=False):
        by_reading = own.set_index("endpoint")
        cells = [difference(*by_reading.loc[name, ["mean_difference", "t_low", "t_high"]]) for name in READINGS]
        yield (_link(study), KIND_NAMES.get(kind, kind), own["n"].iloc[0], *cells)


def _of_steps(steps: pd.DataFrame) -> list[str]:
    if not len(steps):
        return []
    rows = [_step(row) for row in steps.to_dict("records")]
    beside = dict.fromkeys(f"{row.smaller} to {row.larger}: {row.beside}" for row in steps.itertuples() if row.beside)
    also = f" Beside that and the seeds, these rungs differ in: {'; '.join(beside)}." if beside else ""
    return [
        "## From rung to rung",
        "",
        *_table(("from, to", "changed", "shortcut", "reading", "change", "p (Welch)", "p (permutation)"), rows),
        "",
        "How the effect changes between two rungs that differ in width, images or epochs alone, in points. It is tested where both rungs "
        f"have {SMALLEST_PAIRS} pairs or more and no seed in common: Welch's 95 % interval and p, and beside it the exact p of a "
        f"permutation test. Neither the intervals nor the p are corrected for the number of rows.{also}",
        "",
    ]


def _step(row: dict[str, Any]) -> tuple[object, ...]:
    between = f"{row['smaller']}, {row['larger']}"
    changed = f"{row['setting']} {row['from']:,} to {row['to']:,}"
    about = (between, changed, KIND_NAMES.get(row["kind"], row["kind"]), READINGS[row["endpoint"]])
    if row["untested"]:
        return (*about, points(row["change"]), "not tested", row["untested"])
    return (
        *about,
        difference(row["change"], row["low"], row["high"]),
        p_value(row["p"]),
        p_value(row["p_permutation"]),
    )
