"""A study's figures: `draw` makes the files that `outputs.figures_of` names.

Here are those with a row for each variant: accuracies and stable epochs. What runs over epochs is in curves.py, over a number that
the study varies in varied.py, the paired differences in differences.py, the drawings of the idea in diagrams.py, the common look in
style.py. Accuracies are drawn in percent, differences in points, and every seed is shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.report.figures import curves, diagrams, differences, varied
from temporal_shortcuts.report.figures.style import (
    PUBLISHED,
    colour_of,
    extent,
    few_ticks,
    interval,
    interval_line,
    label_of,
    lines_of,
    new_figure,
    note_scale,
    point_or_arrow,
    save,
    span,
    style,
    wrapped,
)
from temporal_shortcuts.report.numbers import percent
from temporal_shortcuts.report.wording import endpoint, number_name
from temporal_shortcuts.study import Study, published
from temporal_shortcuts.study.outputs import figures_of, varied_file
from temporal_shortcuts.study.varied import KEYS

MEAN = {"s": 46, "zorder": 4, "linewidths": 0.6}
SEEDS = {"orient": "h", "native_scale": True, "jitter": False, "size": 4, "alpha": 0.5, "legend": False}
Drawing = Callable[[Study, Tables], Figure]


def draw(study: Study, tables: Tables, folder: Path, names: Iterable[str] = ()) -> None:
    """Draw the named figures of a study, or all of them, into a folder. Raises `UserError` for a name that it does not have."""
    offered = figures_of(study)
    for name in list(names) or offered:
        if name not in offered:
            raise UserError(f"{name} is no figure of the study {study.name}: choose from {', '.join(offered)}.")
        drawing, title = DRAWINGS[name]
        with style():
            said = title.format(study.evaluated, study.evaluated.capitalize())
            save(drawing(study, tables), folder / name, f"{said} ({study.name})")


# -- one row a variant -------------------------------------------------------------------------------------------------


def final_accuracy(study: Study, tables: Tables) -> Figure:
    """Test accuracy at the primary endpoint: every seed, mean and 95 % interval; the published values on an axis beside."""
    names, primary = list(study.variants), study.endpoint
    reported = {name: 100 * published.accuracy(study, name) for name in names}
    reported = {name: value for name, value in reported.items() if math.isfinite(value)}
    labels = [label_of(study, name, 2.8) for name in names]
    figure = new_figure(1.3 + max(0.36, 0.18 * lines_of(labels)) * len(names))
    if reported:
        ours, theirs = figure.subplots(1, 2, sharey=True, width_ratios=[2.6, 1])
        _published_column(theirs, names, reported)
    else:
        ours = figure.subplots()
    values = {name: 100 * tables.runs.loc[tables.runs["variant"] == name, primary] for name in names}
    bounds = {name: interval(values[name], tables.test_set) for name in names}
    limits = span(extent(values[name], bounds[name][0], bounds[name][2]) for name in names)
    shown = []
    for row, name in enumerate(names):
        (low, mean, high), colour = bounds[name], colour_of(study, name)
        if point_or_arrow(ours, mean, row, limits, f"{mean:.2f} %", color=colour, **MEAN):
            interval_line(ours, low, high, row, limits, colour)
            shown.append(name)
    _seed_points(ours, study, {name: values[name] for name in shown})
    _rows(ours, labels)
    few_ticks(ours.xaxis, 6)
    ours.set(
        xlim=limits,
        xlabel=wrapped(f"{study.evaluated} accuracy, {endpoint(study, primary)} (%)", 3.7, 10),
        title="this study",
    )
    reading = "small points: seeds · large: their mean with its 95 % t interval · "
    reading += "open diamond: published, one run, best epoch · " if reported else ""
    reading += "arrow: off the axis"
    if not tables.test_set.is_balanced:
        reading += f" · chance: {percent(tables.test_set.chance)}, the share of the largest class"
    note_scale(figure, study, reading)
    return figure


def _rows(axes: Axes, labels: list[str]) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)


def _seed_points(axes: Axes, study: Study, values: dict[str, pd.Series]) -> None:
    """Each seed of the variants as a small point below the variant's row."""
    rows = list(study.variants)
    points = pd.DataFrame(
        [(x, rows.index(name) + 0.25, name) for name in values for x in values[name]], columns=["x", "y", "name"]
    )
    palette = {name: colour_of(study, name) for name in values}
    seaborn.stripplot(points, x="x", y="y", hue="name", palette=palette, ax=axes, **SEEDS)
    axes.set(ylabel="")


def _published_column(axes: Axes, names: list[str], reported: Mapping[str, float]) -> None:
    limits = span((value, value) for value in reported.values())
    for name, value in reported.items():
        point_or_arrow(axes, value, names.index(name), limits, f"{value:.2f} %", **PUBLISHED)
    few_ticks(axes.xaxis, 2)
    axes.set(xlim=limits, xlabel="best epoch (%)", title="published report")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)


def stable_epoch(study: Study, tables: Tables) -> Figure:
    """The first epoch after which the smoothed test accuracy stays within the tolerance of its end: every seed, mean and range."""
    names = list(study.variants)
    labels = [label_of(study, name, 2.8) for name in names]
    figure = new_figure(1.3 + max(0.36, 0.18 * lines_of(labels)) * len(names))
    axes = figure.subplots()
    runs = tables.runs.dropna(subset="stable_epoch")
    values = {name: runs.loc[runs["variant"] == name, "stable_epoch"] for name in names}
    for row, name in enumerate(names):
        colour, onset = colour_of(study, name), study.variants[name].onset
        if values[name].empty:
            axes.text(0.01 * study.epochs, row, "every run diverged", va="center", fontsize=9, color="#444444")
            continue
        axes.plot([values[name].min(), values[name].max()], [row, row], color=colour, linewidth=1.8, zorder=3)
        axes.scatter([values[name].mean()], [row], color=colour, clip_on=False, **MEAN)
        if onset:
            axes.vlines(onset, row - 0.34, row + 0.34, color=colour, linewidth=1.2, linestyle=(0, (1, 1)))
    _seed_points(axes, study, values)
    _rows(axes, labels)
    epochs = study.epochs
    tolerance = f"{100 * study.tolerance:g} points"
    axes.set(
        xlim=(0, 1.02 * epochs),
        xlabel=wrapped(
            f"stable epoch (smoothed {study.evaluated} accuracy stays within {tolerance} of its end)", 5.2, 10
        ),
    )
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, steps=[1, 2, 5, 10]))
    note = "small points: seeds · large: their mean, with a line from the lowest to the highest · dotted tick: onset"
    note += " · runs that diverged have none" if len(runs) < len(tables.runs) else ""
    note_scale(figure, study, note)
    return figure


DRAWINGS: dict[str, tuple[Drawing, str]] = {
    "forest.svg": (differences.forest, "Paired differences with 95 % intervals"),
    "sweep.svg": (differences.sweep, "Paired difference over onset and strength"),
    "carry.svg": (curves.carry, "Train accuracy, {0} accuracy, and {0} accuracy with the carry left on"),
    "final_accuracy.svg": (final_accuracy, "{1} accuracy of each variant, every seed"),
    "learning_curves.svg": (curves.learning_curves, "Learning curves"),
    "late_differences.svg": (curves.late_differences, "Paired differences after a late onset, epoch by epoch"),
    **{
        varied_file(key, ".svg"): (
            partial(varied.effects, key),
            f"Accuracy, speed and steadiness over the {number_name(key)}",
        )
        for key in KEYS
    },
    "stable_epoch.svg": (stable_epoch, "Stable epoch of each variant"),
    "batch_res.svg": (diagrams.batch_res, "batch_res: a shortcut from the previous batch"),
    "epoch_res.svg": (diagrams.epoch_res, "epoch_res: a shortcut from the mean of the previous epoch"),
}
