"""Figures of paired differences: the forest plot, and the heat maps of a sweep."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from temporal_shortcuts.analysis.endpoints import PRIMARY
from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.report.facts import is_decided
from temporal_shortcuts.report.figures.style import (
    PUBLISHED,
    against_line,
    colour_of,
    extent,
    interval_line,
    label_of,
    new_figure,
    note_scale,
    point_or_arrow,
    span,
)
from temporal_shortcuts.study.outputs import Resolved, sweep_cells, sweep_kinds


def forest(resolved: Resolved, tables: Tables) -> Figure:
    """The paired difference of each variant from its reference, with its 95 % interval, every pair, and the published one."""
    rows = tables.comparisons[tables.comparisons["endpoint"] == PRIMARY].reset_index(drop=True)
    labels = [label_of(resolved, name, 44) + against_line(resolved, name, 44) for name in rows["variant"]]
    lines = max(label.count("\n") + 1 for label in labels)
    figure = new_figure(1.5 + max(0.42, 0.2 * lines) * len(rows))
    axes, numbers = figure.subplots(1, 2, width_ratios=[1, 0.84])
    limits = _limits(rows, tables.runs)
    axes.axvline(0, color="black", linewidth=1.2, zorder=1)
    for index, row in rows.iterrows():
        _forest_row(axes, resolved, tables, row, float(index), limits)
    axes.set_yticks(range(len(rows)), labels)
    axes.set(xlim=limits, xlabel="difference in test accuracy,\nmean of the last 5 epochs (points)")
    axes.tick_params(axis="y", length=0, pad=8)
    axes.grid(axis="y", visible=False)
    _numbers(numbers, rows)
    for one in (axes, numbers):
        one.set_ylim(len(rows) - 0.4, -0.6)
    note_scale(
        figure,
        resolved,
        "circle: mean of the pairs with its 95 % t interval (filled: told apart from 0 after Holm's correction, with 3 pairs or more) · "
        "small points: the pairs of equal seed · open diamond: published, single runs · arrow, triangle: off the axis",
    )
    return figure


def _limits(rows: pd.DataFrame, runs: pd.DataFrame) -> tuple[float, float]:
    """Limits that hold most rows' intervals and pairs, so that rows of many seeds stay legible beside rows of few; 0 always among them."""
    low, high = span(
        (
            extent(pair_differences(runs, row["variant"], row["against"]), row["t_low"], row["t_high"])
            for _, row in rows.iterrows()
        ),
        reach=2.0,
    )
    reach = 0.05 * (high - low)
    return min(low, -reach), max(high, reach)


def _forest_row(
    axes: Axes, resolved: Resolved, tables: Tables, row: pd.Series, y: float, limits: tuple[float, float]
) -> None:
    colour, mean = colour_of(resolved, row["variant"]), row["mean_difference"]
    pairs = pair_differences(tables.runs, row["variant"], row["against"])
    face = colour if is_decided(row) else "white"
    look = {"facecolors": face, "edgecolors": colour, "linewidths": 1.6, "s": 52, "zorder": 5}
    if point_or_arrow(axes, mean, y, limits, "", **look):
        small = {"s": 13, "color": colour, "alpha": 0.55, "linewidths": 0, "zorder": 3, "clip_on": False}
        for marker, of_it in (("o", pairs.between(*limits)), ("<", pairs < limits[0]), (">", pairs > limits[1])):
            axes.scatter(pairs[of_it].clip(*limits), np.full(of_it.sum(), y + 0.27), marker=marker, **small)
        interval_line(axes, row["t_low"], row["t_high"], y, limits, colour)
    if math.isfinite(row["published_difference"]):
        text = f"\N{WHITE DIAMOND} {signed(row['published_difference'])}"
        point_or_arrow(axes, row["published_difference"], y - 0.3, limits, text, **PUBLISHED | {"s": 34})


def pair_differences(
    runs: pd.DataFrame, variant: str, against: str, column: str = PRIMARY, by: str | list[str] = "seed"
) -> pd.Series:
    """Differences of a column in points, by seed; of the primary endpoint, unless another is named."""
    values = 100 * runs.pivot(index=by, columns="variant", values=column)
    return (values[variant] - values[against]).dropna()


def _numbers(axes: Axes, rows: pd.DataFrame) -> None:
    """Beside the axis, in columns: n, the mean difference with its interval, and Holm's p."""
    axes.set(xlim=(0, 1))
    axes.set_axis_off()
    columns = (0.03, 0.74, 1.0)
    for x, head in zip(columns, ("n", "difference [95 %]", "p (Holm)"), strict=True):
        axes.text(x, -0.75, head, ha="right", va="bottom", color="#444444", fontsize=9)
    for index, row in rows.iterrows():
        texts = (f"{row['n']}", _with_interval(row), _p(row["p_holm"]))
        for x, text in zip(columns, texts, strict=True):
            axes.text(x, index, text, ha="right", va="center", fontsize=9)


def _with_interval(row: pd.Series) -> str:
    if math.isnan(row["t_low"]):
        return signed(row["mean_difference"])
    return f"{signed(row['mean_difference'])} [{signed(row['t_low'])}, {signed(row['t_high'])}]"


def _p(value: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.3f}" if value >= 0.001 else "< 0.001"


def signed(points: float) -> str:
    """A difference in points with its sign and two decimals."""
    return f"{points:+.2f}".replace("-", "\N{MINUS SIGN}")


# -- a sweep -----------------------------------------------------------------------------------------------------------


def sweep(resolved: Resolved, tables: Tables) -> Figure:
    """For each kind a heat map of the paired difference over onset and strength; undecided cells are hatched."""
    kinds = sweep_kinds(resolved)
    rows = tables.comparisons[tables.comparisons["endpoint"] == PRIMARY].set_index("variant")
    cells = {kind: sweep_cells(resolved, kind) for kind in kinds}
    shown = rows.loc[[name for of_kind in cells.values() for name in of_kind.values()], "mean_difference"]
    reach = max(abs(limit) for limit in span((value, value) for value in shown))
    strengths = max(len({strength for _, strength in of_kind}) for of_kind in cells.values())
    figure = new_figure(1.6 + 0.72 * strengths)
    grid = figure.subplots(1, len(kinds), squeeze=False)[0]
    for axes, kind in zip(grid, kinds, strict=True):
        _heat_map(axes, cells[kind], rows, reach)
        axes.set_title(kind)
    label = "difference from the benchmark (points)"
    bar = figure.colorbar(grid[-1].collections[0], ax=list(grid), label=label, extend="both", shrink=0.9)
    bar.outline.set_visible(False)
    note_scale(
        figure,
        resolved,
        "in each cell: mean paired difference of the last 5 epochs ± half its 95 % t interval, in points · hatched: undecided, "
        "Holm's p above 0.05, or fewer than 3 pairs",
    )
    return figure


def _heat_map(axes: Axes, cells: dict[tuple[int, float], str], rows: pd.DataFrame, reach: float) -> None:
    onsets, strengths = sorted({onset for onset, _ in cells}), sorted({strength for _, strength in cells}, reverse=True)
    values = pd.DataFrame(np.nan, index=[f"{strength:g}" for strength in strengths], columns=onsets)
    texts = values.astype(object)
    for (onset, strength), name in cells.items():
        row, place = rows.loc[name], (f"{strength:g}", onset)
        half = (row["t_high"] - row["t_low"]) / 2
        values.loc[place] = row["mean_difference"]
        texts.loc[place] = signed(row["mean_difference"]) + (f"\n±{half:.2f}" if math.isfinite(half) else "")
        if not is_decided(row):
            corner = onsets.index(onset), strengths.index(strength)
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, hatch="//", edgecolor="#999999", linewidth=0, zorder=2))
    colours = {"cmap": "RdBu", "center": 0, "vmin": -reach, "vmax": reach, "cbar": False}
    seaborn.heatmap(
        values, annot=texts, fmt="", annot_kws={"fontsize": 9}, linewidths=1.5, linecolor="white", ax=axes, **colours
    )
    for text in axes.texts:
        text.set_zorder(3)
    axes.set(xlabel="onset (epochs completed before)", ylabel="strength")
    axes.tick_params(length=0)
    axes.tick_params(axis="y", rotation=0)
