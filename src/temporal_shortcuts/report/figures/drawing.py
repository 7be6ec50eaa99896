"""A study's figures: `draw` makes the files that `outputs.figures_of` names.

Here are those with a row or a point for each variant: accuracies, stable epochs, learning rates. What runs over epochs is in
curves.py, the paired differences in differences.py, the drawings of the idea in diagrams.py, the common look in
figures_style.py. Accuracies are drawn in percent, differences in points, and every seed is in sight.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.report.figures import curves, diagrams, differences
from temporal_shortcuts.report.figures.style import (
    PUBLISHED,
    colour_of,
    extent,
    interval,
    interval_line,
    label_of,
    new_figure,
    note_scale,
    point_or_arrow,
    save,
    span,
    style,
)
from temporal_shortcuts.study.outputs import Resolved, figures_of, kind_of, reference_of, shortcut_of

MEAN = {"s": 46, "zorder": 4, "linewidths": 0.6}
SEEDS = {"orient": "h", "native_scale": True, "jitter": False, "size": 4, "alpha": 0.5, "legend": False}
TREND = {"color": "#999999", "linewidth": 0.9, "zorder": 1}
Drawing = Callable[[Resolved, Tables], Figure]


def draw(resolved: Resolved, tables: Tables, folder: Path, names: Iterable[str] = ()) -> None:
    """Draw the named figures of a study, or all of them, into a folder. Raises `UserError` for a name that it does not have."""
    offered = figures_of(resolved)
    for name in list(names) or offered:
        if name not in offered:
            raise UserError(f"{name} is no figure of the study {resolved['study']}: choose from {', '.join(offered)}.")
        drawing, title = DRAWINGS[name]
        with style():
            save(drawing(resolved, tables), folder / name, f"{title} ({resolved['study']})")


# -- one row a variant -------------------------------------------------------------------------------------------------


def final_accuracy(resolved: Resolved, tables: Tables) -> Figure:
    """Mean test accuracy of the last five epochs: every seed, mean and 95 % interval; the published values on an axis beside."""
    names = list(resolved["variants"])
    published = tables.summary.set_index("variant")["published"].dropna() * 100
    figure = new_figure(1.3 + 0.36 * len(names))
    if len(published):
        ours, theirs = figure.subplots(1, 2, sharey=True, width_ratios=[2.6, 1])
        _published_column(theirs, names, published)
    else:
        ours = figure.subplots()
    values = {name: 100 * tables.runs.loc[tables.runs["variant"] == name, "last5"] for name in names}
    bounds = {name: interval(values[name]) for name in names}
    limits = span(extent(values[name], bounds[name][0], bounds[name][2]) for name in names)
    shown = []
    for row, name in enumerate(names):
        (low, mean, high), colour = bounds[name], colour_of(resolved, name)
        if point_or_arrow(ours, mean, row, limits, f"{mean:.2f} %", color=colour, **MEAN):
            interval_line(ours, low, high, row, limits, colour)
            shown.append(name)
    _seed_points(ours, resolved, {name: values[name] for name in shown})
    _rows(ours, resolved, names)
    ours.set(xlim=limits, xlabel="mean test accuracy of the last 5 epochs (%)", title="this study")
    note_scale(
        figure,
        resolved,
        "small points: seeds · large: their mean with its 95 % t interval · open diamond: published, one run, best epoch · "
        "arrow: off the axis",
    )
    return figure


def _rows(axes: Axes, resolved: Resolved, names: list[str]) -> None:
    axes.set_yticks(range(len(names)), [label_of(resolved, name, 42) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)


def _seed_points(axes: Axes, resolved: Resolved, values: dict[str, pd.Series]) -> None:
    """Each seed of the variants as a small point below the variant's row."""
    rows = list(resolved["variants"])
    points = pd.DataFrame(
        [(x, rows.index(name) + 0.25, name) for name in values for x in values[name]], columns=["x", "y", "name"]
    )
    palette = {name: colour_of(resolved, name) for name in values}
    seaborn.stripplot(points, x="x", y="y", hue="name", palette=palette, ax=axes, **SEEDS)
    axes.set(ylabel="")


def _published_column(axes: Axes, names: list[str], published: pd.Series) -> None:
    limits = span((value, value) for value in published)
    for row, name in enumerate(names):
        if name in published.index:
            point_or_arrow(axes, published[name], row, limits, f"{published[name]:.2f} %", **PUBLISHED)
    axes.set(xlim=limits, xlabel="best epoch (%)", title="published report")
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)


def stable_epoch(resolved: Resolved, tables: Tables) -> Figure:
    """The first epoch after which the smoothed test accuracy stays within the tolerance of its end: every seed, mean and range."""
    names = list(resolved["variants"])
    figure = new_figure(1.3 + 0.36 * len(names))
    axes = figure.subplots()
    values = {name: tables.runs.loc[tables.runs["variant"] == name, "stable_epoch"] for name in names}
    for row, name in enumerate(names):
        colour, shortcut = colour_of(resolved, name), shortcut_of(resolved, name)
        axes.plot([values[name].min(), values[name].max()], [row, row], color=colour, linewidth=1.8, zorder=3)
        axes.scatter([values[name].mean()], [row], color=colour, **MEAN)
        if shortcut is not None and shortcut["onset"] > 0:
            axes.vlines(shortcut["onset"], row - 0.34, row + 0.34, color=colour, linewidth=1.2, linestyle=(0, (1, 1)))
    _seed_points(axes, resolved, values)
    _rows(axes, resolved, names)
    epochs = resolved["protocol"]["epochs"]
    tolerance = f"{100 * resolved['tolerance']:g} points"
    axes.set(
        xlim=(0, 1.02 * epochs), xlabel=f"stable epoch (smoothed test accuracy stays within {tolerance} of its end)"
    )
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, steps=[1, 2, 5, 10]))
    note = "small points: seeds · large: their mean, with a line from the lowest to the highest · dotted tick: onset"
    note_scale(figure, resolved, note)
    return figure


# -- learning rates ----------------------------------------------------------------------------------------------------


def learning_rates(resolved: Resolved, tables: Tables) -> Figure:
    """Accuracy over the learning rate, ours and published side by side on their own axes: last five epochs, and best epoch."""
    varied = [name for name in resolved["variants"] if kind_of(resolved, name) == "learning_rate"]
    rates = {name: resolved["variants"][name]["settings"]["learning_rate"] for name in varied}
    for reference in {reference_of(resolved, name) for name in varied}:
        rates[reference] = resolved["variants"][reference]["settings"]["learning_rate"]
    rates = dict(sorted(rates.items(), key=lambda item: item[1]))
    figure = new_figure(3.4)
    ours, theirs = figure.subplots(1, 2)
    extents = [
        *_rate_curve(
            ours, resolved, tables.runs, "last5", {name: 0.93 * rate for name, rate in rates.items()}, filled=True
        ),
        *_rate_curve(
            ours, resolved, tables.runs, "best", {name: 1.07 * rate for name, rate in rates.items()}, filled=False
        ),
    ]
    published = tables.summary.set_index("variant").loc[list(rates), "published"]
    theirs.plot(list(rates.values()), 100 * published, linestyle="--", **TREND)
    theirs.scatter(list(rates.values()), 100 * published, **PUBLISHED)
    for axes, title in ((ours, "this study"), (theirs, "published report (one run each, best epoch)")):
        axes.set(xscale="log", xlabel="learning rate", ylabel="test accuracy (%)", title=title)
        axes.set_xticks(list(rates.values()), [f"{rate:g}" for rate in rates.values()])
        axes.minorticks_off()
        axes.margins(x=0.15, y=0.12)
    ours.set_ylim(span(extents, reach=math.inf))
    note = "filled: mean of the last 5 epochs · open: best epoch · line: 95 % t interval over the seeds, small points beside"
    note_scale(figure, resolved, note)
    return figure


def _rate_curve(
    axes: Axes, resolved: Resolved, runs: pd.DataFrame, endpoint: str, rates: dict[str, float], *, filled: bool
) -> list[tuple[float, float]]:
    """One endpoint over the learning rate (variant -> rate): mean, interval and seeds of each variant; what the axis should hold."""
    means, extents = [], []
    for name, rate in rates.items():
        values, colour = 100 * runs.loc[runs["variant"] == name, endpoint], colour_of(resolved, name)
        low, mean, high = interval(values)
        axes.vlines(rate, low, high, color=colour, linewidth=1.8, zorder=3)
        look = {"facecolors": colour if filled else "white", "edgecolors": colour, "linewidths": 1.4}
        axes.scatter([rate], [mean], s=46, zorder=4, **look)
        beside = [rate * (0.93 if filled else 1.07)] * len(values)
        axes.scatter(beside, values, s=14, color=colour, alpha=0.5, linewidths=0, zorder=2)
        means.append(mean)
        extents.append(extent(values, low, high))
    axes.plot(list(rates.values()), means, linestyle="-" if filled else "--", **TREND)
    return extents


DRAWINGS: dict[str, tuple[Drawing, str]] = {
    "forest.svg": (differences.forest, "Paired differences from the benchmark with 95 % intervals"),
    "sweep.svg": (differences.sweep, "Paired difference over onset and strength"),
    "carry.svg": (curves.carry, "Train accuracy, test accuracy, and test accuracy with the carry left on"),
    "final_accuracy.svg": (final_accuracy, "Test accuracy of each variant, every seed"),
    "learning_curves.svg": (curves.learning_curves, "Learning curves"),
    "late_differences.svg": (curves.late_differences, "Paired differences after a late onset, epoch by epoch"),
    "learning_rates.svg": (learning_rates, "Accuracy over the learning rate"),
    "stable_epoch.svg": (stable_epoch, "Stable epoch of each variant"),
    "batch_res.svg": (diagrams.batch_res, "batch_res: a shortcut from the previous batch"),
    "epoch_res.svg": (diagrams.epoch_res, "epoch_res: a shortcut from the mean of the previous epoch"),
}
