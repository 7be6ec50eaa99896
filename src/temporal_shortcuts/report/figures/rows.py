"""Figures with a row for each variant or comparison, and columns of numbers beside it: accuracies, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.report.facts import is_decided
from temporal_shortcuts.report.figures import style
from temporal_shortcuts.report.numbers import difference, mean_sd, p_value, percent, points
from temporal_shortcuts.report.wording import endpoint
from temporal_shortcuts.study import Study, published

Interval = tuple[float, float, float]
"""(low, mean, high)."""


def forest(study: Study, tables: Tables) -> Figure:
    """The paired difference of each variant from its reference, with its 95 % interval, every pair, and the published one."""
    rows = tables.comparisons[tables.comparisons["endpoint"] == study.endpoint].to_dict("records")
    labels = [
        style.label_of(study, row["variant"], 2.85) + style.against_line(study, row["variant"], 2.85) for row in rows
    ]
    found: list[Interval] = [(row["t_low"], row["mean_difference"], row["t_high"]) for row in rows]
    margin = study.margin or math.nan
    reported = [published.difference(study, row["variant"], row["against"]) for row in rows]
    columns = {
        "n": [str(row["n"]) for row in rows],
        "difference [95 %]": [difference(mean, low, high, margin) for low, mean, high in found],
        "p (Holm)": [p_value(row["p_holm"]) for row in rows],
    }
    figure, axes = _rows(labels, columns)
    pairs = [pair_differences(tables.runs, row["variant"], row["against"], study.endpoint) for row in rows]
    low, high = style.span((style.extent(own, *ends[::2]) for own, ends in zip(pairs, found, strict=True)), reach=2.0)
    beyond = max(0.05 * (high - low), 1.1 * (study.margin or 0.0))
    limits = min(low, -beyond), max(high, beyond)
    axes.axvline(0, color="black", linewidth=1.2, zorder=1)
    if study.margin:
        axes.axvspan(-margin, margin, color="#E8E8E8", linewidth=0, zorder=0)
    for y, (row, own, ends, value) in enumerate(zip(rows, pairs, found, reported, strict=True)):
        _row(axes, y, own, ends, limits, style.colour_of(study, row["variant"]), is_decided(row))
        if math.isfinite(value):
            text = f"\N{WHITE DIAMOND} {points(value)}"
            style.point_or_arrow(axes, value, y - 0.3, limits, text, **style.PUBLISHED | {"s": 34})
    label = f"difference in {study.evaluated} accuracy, {endpoint(study, study.endpoint)} (points)"
    axes.set(xlim=limits, xlabel=style.wrapped(label, 2.9, 10))
    style.few_ticks(axes.xaxis)
    style.note_scale(
        figure,
        study,
        "circle: mean of the pairs with its 95 % t interval (filled: significant after Holm's correction, with 3 pairs or more) · "
        "small points: the pairs of equal seed"
        + (" · open diamond: published, single runs" if any(map(math.isfinite, reported)) else "")
        + _beyond(limits, [*reported, *np.ravel(found), *pd.concat(pairs)])
        + (f" · band: differences of at most {margin:g} points, too small to matter" if study.margin else ""),
    )
    return figure


def pair_differences(
    runs: pd.DataFrame, variant: str, against: str, column: str, by: str | list[str] = "seed"
) -> pd.Series:
    """Differences of a column in points, by seed."""
    values = 100 * runs.pivot(index=by, columns="variant", values=column)
    return (values[variant] - values[against]).dropna()


def final_accuracy(study: Study, tables: Tables) -> Figure:
    """Test accuracy at the primary endpoint: every seed, mean and 95 % interval; the published values beside."""
    primary = study.endpoint
    values = {name: 100 * tables.runs.loc[tables.runs["variant"] == name, primary] for name in study.variants}
    found = {name: style.interval(own, tables.test_set) for name, own in values.items()}
    columns = {"mean ± sd": [mean_sd(own.mean() / 100, own.std() / 100) for own in values.values()]}
    reported = {name: published.accuracy(study, name) for name in study.variants}
    if not all(map(math.isnan, reported.values())):
        columns["published"] = [percent(value) for value in reported.values()]
    figure, axes = _rows([style.label_of(study, name, 2.8) for name in values], columns)
    limits = style.span(style.extent(own, *found[name][::2]) for name, own in values.items())
    for y, (name, own) in enumerate(values.items()):
        _row(axes, y, own, found[name], limits, style.colour_of(study, name))
    axes.set(xlim=limits, xlabel=style.wrapped(f"{study.evaluated} accuracy, {endpoint(study, primary)} (%)", 3.0, 10))
    style.few_ticks(axes.xaxis)
    note = "small points: seeds · large: their mean with its 95 % t interval"
    note += _beyond(limits, [*np.ravel(list(found.values())), *pd.concat(values)])
    note += " · published: one run, best epoch" if "published" in columns else ""
    if not tables.test_set.is_balanced:
        note += f" · chance: {percent(tables.test_set.chance)}, the share of the largest class"
    style.note_scale(figure, study, note)
    return figure


def _beyond(limits: tuple[float, float], shown: Iterable[float]) -> str:
    """What the note says of arrows and triangles, where one is drawn."""
    return " · arrow, triangle: off the axis" if any(value < limits[0] or value > limits[1] for value in shown) else ""


def _rows(labels: list[str], columns: Mapping[str, Iterable[str]]) -> tuple[Figure, Axes]:
    """A figure with labelled rows, and beside them columns of numbers, as wide as their widest text."""
    figure = style.new_figure(1.6 + max(0.42, 0.2 * style.lines_of(labels)) * len(labels))
    edges = np.cumsum([max(style.width(text, 9) for text in (head, *texts)) + 0.15 for head, texts in columns.items()])
    label = max(style.width(line, 9.5) for text in labels for line in text.splitlines())
    left = style.WIDTH - 0.5 - label - edges[-1]
    axes, numbers = figure.subplots(1, 2, sharey=True, width_ratios=[left, edges[-1]])
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0, pad=8)
    axes.grid(axis="y", visible=False)
    numbers.set_xlim(0, edges[-1])
    numbers.set_axis_off()
    for edge, (head, texts) in zip(edges, columns.items(), strict=True):
        numbers.text(edge, -0.75, head, ha="right", va="bottom", fontsize=9, color="#444444")
        for y, text in enumerate(texts):
            numbers.text(edge, y, text, ha="right", va="center", fontsize=9)
    return figure, axes


def _row(
    axes: Axes,
    y: float,
    values: pd.Series,
    found: Interval,
    limits: tuple[float, float],
    colour: str,
    is_filled: bool = True,
) -> None:
    """A mean with its interval, and each value as a small point below it, at the edge where it lies beyond; of a mean beyond an arrow."""
    low, mean, high = found
    look = {"facecolors": colour if is_filled else "white", "edgecolors": colour, "linewidths": 1.6, "s": 52}
    if style.point_or_arrow(axes, mean, y, limits, "", **look, zorder=5):
        small = {"s": 13, "color": colour, "alpha": 0.55, "linewidths": 0, "zorder": 3, "clip_on": False}
        for marker, own in (("o", values.between(*limits)), ("<", values < limits[0]), (">", values > limits[1])):
            axes.scatter(values[own].clip(*limits), np.full(own.sum(), y + 0.27), marker=marker, **small)
        style.interval_line(axes, low, high, y, limits, colour)
