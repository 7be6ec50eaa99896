"""Figures over epochs: learning curves, paired differences after a late onset, and what a carry does to the evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.report.figures import style
from temporal_shortcuts.report.figures.rows import pair_differences
from temporal_shortcuts.study import Study
from temporal_shortcuts.study.columns import WITH_CARRY
from temporal_shortcuts.study.outputs import (
    carry_variants,
    follows_average,
    late_variants,
    sweep_kinds,
)

REFERENCE = {"color": style.COLOURS["reference"], "linestyle": "-"}
HEAD = 8.6
"""Size of the letters above a panel."""


def learning_curves(study: Study, tables: Tables) -> Figure:
    """Test accuracy over epochs, a panel for each kind with its reference: means, and bands from lowest to highest seed."""
    panels = curve_panels(study)
    columns = min(len(panels), 2 if len(panels) <= 4 else 3)
    inches = 7.4 / columns
    titles = [style.wrapped(_panel_title(study, names), inches, HEAD) for names in panels]
    looks = []
    for names in panels:
        reference = study.variants[names[0]].reference.name  # of all of them
        own = style.looks_of(study, [name for name in names if name != reference])
        looks.append({reference: REFERENCE} | own)
    labels = [[style.label_of(study, name, inches - 0.6, HEAD) for name in of_panel] for of_panel in looks]
    lines = [sum(text.count("\n") + 1 for text in (title, *head)) for title, head in zip(titles, labels, strict=True)]
    figure, grid = _grid(len(panels), columns, heads=0.16 * max(lines))
    for axes, title, head, of_panel in zip(grid, titles, labels, looks, strict=True):
        for name, look in of_panel.items():
            draw_curve(axes, tables, name, "test_accuracy", look, parting(study, name))
            if onset := study.variants[name].onset:
                axes.axvline(onset, color=look["color"], linewidth=1.2, linestyle=(0, (1, 2)), zorder=1)
        _head(axes, title, head, list(of_panel.values()))
    grid[0].set_ylim(style.at_least(*grid[0].get_ylim()))
    if study.epochs == 1:
        grid[0].set_xlim(0.5, 1.5)
    figure.supylabel(f"{study.evaluated} accuracy (%)", fontsize=10)
    note = "line: mean of the seeds · band: lowest to highest seed"
    note += " · dotted vertical line: onset" if any(one.onset for one in study.variants.values()) else ""
    style.note_scale(figure, study, note)
    return figure


def _head(axes: Axes, title: str, labels: list[str], looks: list[dict[str, Any]]) -> None:
    """Above a panel: its title, and below that a legend of its own, with each of its lines."""
    axes.legend(
        [Line2D([], [], linewidth=1.6, markersize=4, **look) for look in looks],
        labels,
        title=title,
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        borderaxespad=0.2,
        borderpad=0,
        alignment="left",
        handlelength=2.4,
        labelspacing=0.25,
        fontsize=HEAD,
        title_fontproperties={"size": HEAD, "weight": "bold"},
    )


def curve_panels(study: Study) -> list[list[str]]:
    """The variants that share a panel: only their onset differs, or their learning rate."""
    panels: dict[tuple[object, ...], list[str]] = {}
    for name, variant in study.variants.items():
        if variant.against is not None:
            own = name if variant.kind == "other" else variant.strength
            panels.setdefault((variant.kind, variant.against, own, variant.accounting), []).append(name)
    return list(panels.values()) or [[name] for name in study.variants]


def parting(study: Study, name: str) -> int:
    """The last epoch that a variant has in common with its reference, bit for bit, if they differ in a late shortcut alone; else 0."""
    variant = study.variants[name]
    alone = variant.settings == variant.reference.settings and variant.reference.shortcut is None
    return variant.onset or 0 if alone and not variant.settings.compile else 0


def draw_curve(axes: Axes, tables: Tables, name: str, column: str, look: Mapping[str, Any], since: int = 0) -> None:
    """A variant's mean over its seeds, in percent, with a band from the lowest to the highest, from the epoch `since` on.

    A single epoch is a point, with a line from the lowest to the highest seed.
    """
    own = tables.metrics[(tables.metrics["variant"] == name) & (tables.metrics["epoch"] >= since)]
    curve = 100 * own.groupby("epoch")[column].agg(["mean", "min", "max"])
    every = max(1, len(curve) // 8)
    marker = look.get("marker") or ("o" if len(curve) == 1 else "")
    line = dict(look) | {"marker": marker, "markevery": every, "markersize": 4, "linewidth": 1.6}
    axes.plot(curve.index, curve["mean"], **line)
    if len(curve) == 1:
        axes.vlines(curve.index, curve["min"], curve["max"], color=look["color"], linewidth=1.2, alpha=0.5)
    else:
        axes.fill_between(curve.index, curve["min"], curve["max"], color=look["color"], alpha=0.2, linewidth=0)


def _titled(study: Study, names: list[str], columns: int) -> tuple[Figure, list[Axes]]:
    """A panel a variant, each with its label above, and with its reference where that isn't the study's benchmark."""
    inches = 7.4 / min(columns, len(names)) - 0.3
    titles = [
        style.label_of(study, name, inches, HEAD) + style.against_line(study, name, inches, HEAD) for name in names
    ]
    figure, grid = _grid(len(names), columns, heads=0.15 * style.lines_of(titles))
    for axes, title in zip(grid, titles, strict=True):
        axes.set_title(title, fontsize=HEAD)
    return figure, grid


def _grid(panels: int, columns: int, heads: float) -> tuple[Figure, list[Axes]]:
    """A figure with that many panels of one scale, `heads` inches above each, the epochs written below the lowest of each column."""
    columns = min(columns, panels)
    rows = -(-panels // columns)
    figure = style.new_figure(1.1 + (1.75 + heads) * rows)
    axes = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    axes[0].xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10], min_n_ticks=1))
    for one in axes[panels:]:
        one.set_visible(False)
    for index, one in enumerate(axes[:panels]):
        lowest = index >= panels - columns
        one.xaxis.set_tick_params(labelbottom=lowest)
        one.set_xlabel("epoch", visible=lowest)
    return figure, axes[:panels]


def _panel_title(study: Study, names: list[str]) -> str:
    """What the panel's variants have in common."""
    first = study.variants[names[0]]
    title = style.label_of(study, first.name) if first.kind == "other" else style.KIND_NAMES.get(first.kind, first.kind)
    if first.accounting == "published":
        title += ", published accounting"
    if first.kind in sweep_kinds(study):
        title += f", strength {first.strength:g}"
    return title


def late_differences(study: Study, tables: Tables) -> Figure:
    """The paired difference from the reference at each epoch after a late onset: every pair, their mean and its 95 % t interval."""
    names = late_variants(study)
    figure, grid = _titled(study, names, 3)
    for axes, name in zip(grid, names, strict=True):
        colour, pairs = style.colour_of(study, name), epoch_differences(study, tables.metrics, name)
        low, mean, high = zip(
            *(style.interval(of_epoch, tables.test_set) for _, of_epoch in pairs.iterrows()), strict=True
        )
        axes.axhline(0, color=style.COLOURS["reference"], linewidth=1.2, zorder=2)
        axes.plot(pairs.index, pairs, color=colour, linewidth=0.7, alpha=0.4, zorder=1)
        axes.fill_between(pairs.index, low, high, color=colour, alpha=0.25, linewidth=0, zorder=2)
        axes.plot(pairs.index, mean, color=colour, linewidth=2, zorder=3)
    grid[0].set_ylim(style.at_least(*grid[0].get_ylim()))
    of = " of averaged weights" if follows_average(study) else ""
    label = f"difference in {study.evaluated} accuracy{of} (points)"
    figure.supylabel(style.wrapped(label, figure.get_figheight() - 1.1, 10), fontsize=10)  # as beside a single row
    note = "black: the reference · line: mean of the pairs of equal seed · band: its 95 % t interval, epoch by epoch · thin: each pair"
    style.note_scale(figure, study, note)
    return figure


def epoch_differences(study: Study, metrics: pd.DataFrame, name: str) -> pd.DataFrame:
    """Differences of test accuracy in points (rows: epochs from the onset on; columns: seeds) of a variant from its reference.

    Where averaged weights decide, of theirs (rows: epochs from `average_from` on).
    """
    reference = study.variants[name].reference.name
    column = "averaged_test_accuracy" if follows_average(study) else "test_accuracy"
    pairs = pair_differences(metrics, name, reference, column, ["epoch", "seed"]).unstack("seed")
    return pairs[pairs.index >= (study.variants[name].onset or 0)]


def carry(study: Study, tables: Tables) -> Figure:
    """Train, test, and test accuracy with the carry left on, over epochs, beside the reference's test accuracy."""
    names = carry_variants(study)
    figure, grid = _titled(study, names, 2)
    images = study.evaluated
    shown = {"train_accuracy": ("train", ":"), "test_accuracy": (images, "-")}
    shown[WITH_CARRY] = (f"{images}, carry left on", "--")
    for axes, name in zip(grid, names, strict=True):
        draw_curve(axes, tables, study.variants[name].reference.name, "test_accuracy", REFERENCE)
        for column, (_, dashes) in shown.items():
            draw_curve(axes, tables, name, column, {"color": style.colour_of(study, name), "linestyle": dashes})
    grid[0].set_ylim(0, 100)
    figure.supylabel("accuracy (%)", fontsize=10)
    handles = [Line2D([], [], linewidth=1.6, label=f"reference of the panel, {images}", **REFERENCE)]
    for words, dashes in shown.values():
        look = {"color": "#555555", "linestyle": dashes, "linewidth": 1.6}
        handles.append(Line2D([], [], label=f"the panel's variant, {words}", **look))
    figure.legend(handles=handles, loc="outside upper left", ncols=2, handlelength=2.2, columnspacing=1.4)
    style.note_scale(figure, study, "line: mean of the seeds · band: lowest to highest seed")
    return figure
