"""A study's figures: `draw` makes the files that `outputs.figures_of` names.

What has a row for each variant is in rows.py, the map of a sweep in heatmap.py, what runs over epochs in curves.py, over a number that the
study varies in varied.py, the common look in style.py. Accuracies are in percent, differences in points, and every seed is shown.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure

from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.report.figures import curves, heatmap, rows, varied
from temporal_shortcuts.report.figures.style import save, style
from temporal_shortcuts.report.wording import caption
from temporal_shortcuts.study import Study
from temporal_shortcuts.study.outputs import figures_of, varied_file
from temporal_shortcuts.study.varied import KEYS

DRAWINGS: dict[str, Callable[[Study, Tables], Figure]] = {
    "forest.svg": rows.forest,
    "sweep.svg": heatmap.sweep,
    "carry.svg": curves.carry,
    "final_accuracy.svg": rows.final_accuracy,
    "learning_curves.svg": curves.learning_curves,
    "late_differences.svg": curves.late_differences,
    **{varied_file(key, ".svg"): partial(varied.effects, key) for key in KEYS},
}


def draw(study: Study, tables: Tables, folder: Path) -> None:
    """Draw a study's figures into a folder."""
    for name in figures_of(study):
        with style():
            save(DRAWINGS[name](study, tables), folder / name, f"{caption(study, name)} ({study.name})")
