"""Figures of paired differences: the forest plot, and the heat maps of a sweep."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.report.facts import is_decided
from temporal_shortcuts.report.figures.style import (
    PUBLISHED,
    WIDTH,
    against_line,
    colour_of,
    extent,
    few_ticks,
    interval_line,
    label_of,
    lines_of,
    new_figure,
    note_scale,
    point_or_arrow,
    span,
    width,
    wrapped,
)
from temporal_shortcuts.report.numbers import difference, p_value, points
from temporal_shortcuts.report.wording import endpoint
from temporal_shortcuts.study import Study, published
from temporal_shortcuts.study.outputs import sweep_cells, sweep_kinds


def forest(study: Study, tables: Tables) -> Figure:
    """The paired difference of each variant from its reference, with its 95 % interval, every pair, and the published one."""
    primary = study.endpoint
    rows = tables.comparisons[tables.comparisons["endpoint"] == primary].reset_index(drop=True)
    labels = [label_of(study, name, 2.85) + against_line(study, name, 2.85) for name in rows["variant"]]
    figure = new_figure(1.6 + max(0.42, 0.2 * lines_of(labels)) * len(rows))
    columns = _columns(rows, study.margin)
    beside = sum(inches for _, _, inches in columns)
    axes, numbers = figure.subplots(1, 2, width_ratios=[WIDTH - 0.5 - beside - max(map(_widest, labels)), beside])
    pairs = [pair_differences(tables.runs, row["variant"], row["against"], primary) for _, row in rows.iterrows()]
    margin = study.margin
    limits = _limits(rows, pairs, margin or 0.0)
    axes.axvline(0, color="black", linewidth=1.2, zorder=1)
    if margin:
        axes.axvspan(-margin, margin, color="#E8E8E8", linewidth=0, zorder=0)
    for index, row in rows.iterrows():
        _forest_row(axes, study, row, pairs[index], float(index), limits)
    axes.set_yticks(range(len(rows)), labels)
    axes.set(
        xlim=limits,
        xlabel=wrapped(f"difference in {study.evaluated} accuracy, {endpoint(study, primary)} (points)", 2.9, 10),
    )
    few_ticks(axes.xaxis)
    axes.tick_params(axis="y", length=0, pad=8)
    axes.grid(axis="y", visible=False)
    _numbers(numbers, columns)
    for one in (axes, numbers):
        one.set_ylim(len(rows) - 0.4, -0.6)
    note_scale(
        figure,
        study,
        "circle: mean of the pairs with its 95 % t interval (filled: significant after Holm's correction, with 3 pairs or more) · "
        "small points: the pairs of equal seed · open diamond: published, single runs · arrow, triangle: off the axis"
        + (f" · band: differences of at most {margin:g} points, too small to matter" if margin else ""),
    )
    return figure


def _limits(rows: pd.DataFrame, pairs: list[pd.Series], margin: float) -> tuple[float, float]:
    """Limits that hold most rows' intervals and pairs, so that rows of many seeds stay legible beside rows of few; 0 always among them."""
    extents = [extent(own, row["t_low"], row["t_high"]) for own, (_, row) in zip(pairs, rows.iterrows(), strict=True)]
    low, high = span(extents, reach=2.0)
    reach = max(0.05 * (high - low), 1.1 * margin)
    return min(low, -reach), max(high, reach)


def _forest_row(
    axes: Axes, study: Study, row: pd.Series, pairs: pd.Series, y: float, limits: tuple[float, float]
) -> None:
    colour, mean = colour_of(study, row["variant"]), row["mean_difference"]
    face = colour if is_decided(row) else "white"
    look = {"facecolors": face, "edgecolors": colour, "linewidths": 1.6, "s": 52, "zorder": 5}
    if point_or_arrow(axes, mean, y, limits, "", **look):
        small = {"s": 13, "color": colour, "alpha": 0.55, "linewidths": 0, "zorder": 3, "clip_on": False}
        for marker, of_it in (("o", pairs.between(*limits)), ("<", pairs < limits[0]), (">", pairs > limits[1])):
            axes.scatter(pairs[of_it].clip(*limits), np.full(of_it.sum(), y + 0.27), marker=marker, **small)
        interval_line(axes, row["t_low"], row["t_high"], y, limits, colour)
    reported = published.difference(study, row["variant"], row["against"])
    if math.isfinite(reported):
        text = f"\N{WHITE DIAMOND} {points(reported)}"
        point_or_arrow(axes, reported, y - 0.3, limits, text, **PUBLISHED | {"s": 34})


def pair_differences(
    runs: pd.DataFrame, variant: str, against: str, column: str, by: str | list[str] = "seed"
) -> pd.Series:
    """Differences of a column in points, by seed."""
    values = 100 * runs.pivot(index=by, columns="variant", values=column)
    return (values[variant] - values[against]).dropna()


def _columns(rows: pd.DataFrame, margin: float | None) -> list[tuple[str, list[str], float]]:
    """The columns of numbers beside the axis: head, a text for each row, and inches from the column before."""
    columns = {
        "n": [f"{n}" for n in rows["n"]],
        "difference [95 %]": [
            difference(*row, margin or math.nan)
            for row in zip(rows["mean_difference"], rows["t_low"], rows["t_high"], strict=True)
        ],
        "p (Holm)": [p_value(p) for p in rows["p_holm"]],
    }
    return [(head, texts, max(width(text, 9) for text in (head, *texts)) + 0.15) for head, texts in columns.items()]


def _widest(label: str) -> float:
    return max(width(line, 9.5) for line in label.splitlines())


def _numbers(axes: Axes, columns: list[tuple[str, list[str], float]]) -> None:
    """Beside the axis, in columns that end where the next one's widest text begins: n, the mean difference with its interval, Holm's p."""
    axes.set_axis_off()
    right = 0.0
    for head, texts, inches in reversed(columns):
        look = {
            "xycoords": ("axes fraction", "data"),
            "xytext": (-72 * right, 0),
            "textcoords": "offset points",
            "ha": "right",
        }
        axes.annotate(head, (1, -0.75), va="bottom", color="#444444", fontsize=9, **look)
        for row, text in enumerate(texts):
            axes.annotate(text, (1, row), va="center", fontsize=9, **look)
        right += inches


MOST_ONSETS, MOST_MAPS = 8, 3
"""Onsets beyond which each heat map takes the figure's width, and kinds beyond which one map has a row for each of them."""

# -- a sweep -----------------------------------------------------------------------------------------------------------


def sweep(study: Study, tables: Tables) -> Figure:
    """Heat maps of the paired difference over onset and strength, one a kind, or one for many kinds; undecided cells are hatched."""
    kinds = sweep_kinds(study)
    rows = tables.comparisons[tables.comparisons["endpoint"] == study.endpoint].set_index("variant")
    cells = {kind: sweep_cells(study, kind) for kind in kinds}
    shown = rows.loc[[name for of_kind in cells.values() for name in of_kind.values()], "mean_difference"]
    reach = max(abs(limit) for limit in span((value, value) for value in shown))
    draw = _a_map_a_kind if len(kinds) <= MOST_MAPS else _one_map
    figure, maps, is_sparse = draw(study, cells, rows, reach)
    label = wrapped("difference from the baseline (points)", 0.6 * figure.get_figheight(), 10)
    bar = figure.colorbar(maps[0].collections[0], ax=maps, label=label, extend="both", shrink=0.9)
    bar.outline.set_visible(False)
    note_scale(
        figure,
        study,
        f"in each cell: mean paired difference ({endpoint(study, study.endpoint)}) ± half its 95 % t interval, in points · "
        "hatched: undecided, Holm's p above 0.05, or fewer than 3 pairs" + (" · blank: not tried" if is_sparse else ""),
    )
    return figure


Cells = dict[tuple[int, float], str]


def _a_map_a_kind(
    study: Study, cells: dict[str, Cells], rows: pd.DataFrame, reach: float
) -> tuple[Figure, list[Axes], bool]:
    """A kind's map is over the onsets of all and its own strengths."""
    onsets = sorted({onset for of_kind in cells.values() for onset, _ in of_kind})
    strengths = {kind: sorted({strength for _, strength in own}, reverse=True) for kind, own in cells.items()}
    columns = min(len(cells), 1 if len(onsets) > MOST_ONSETS else 2)
    lines = -(-len(cells) // columns)
    figure = new_figure(0.9 + (0.7 + 0.72 * max(map(len, strengths.values()))) * lines)
    grid = list(figure.subplots(lines, columns, squeeze=False).flat)
    size = min(9.0, 19.0 * 6.0 / columns / len(onsets))
    for axes, (kind, own) in zip(grid, cells.items(), strict=False):
        names = {(f"{strength:g}", onset): name for (onset, strength), name in own.items()}
        _heat_map(axes, names, [f"{strength:g}" for strength in strengths[kind]], onsets, rows, reach, size)
        axes.set(
            title=kind, xlabel=wrapped("onset (epochs completed before)", 6.4 / columns - 0.8, 10), ylabel="strength"
        )
    for axes in grid[len(cells) :]:
        axes.set_visible(False)
    is_sparse = any(len(own) < len(onsets) * len(strengths[kind]) for kind, own in cells.items())
    return figure, grid, is_sparse


def _one_map(
    study: Study, cells: dict[str, Cells], rows: pd.DataFrame, reach: float
) -> tuple[Figure, list[Axes], bool]:
    """A row a kind, and a column an onset and strength; a kind that learns its strength has a column for that."""
    names = {
        (kind, (onset, f"{strength:g}")): name for kind, own in cells.items() for (onset, strength), name in own.items()
    }
    for one in study.candidates:
        if one.shortcut is not None and one.shortcut.strength is None:
            names[one.kind, (one.onset, "learnt")] = one.name
    kinds = list(dict.fromkeys(kind for kind, _ in names))
    strengths = sorted(
        {strength for _, (_, strength) in names},
        key=lambda text: (text == "learnt", 0.0 if text == "learnt" else float(text)),
    )
    columns = sorted({column for _, column in names}, key=lambda column: (column[0], strengths.index(column[1])))
    figure = new_figure(1.2 + 0.46 * len(kinds))
    axes = figure.subplots()
    _heat_map(axes, names, kinds, columns, rows, reach, 8.5)
    axes.set_xticklabels([strength for _, strength in columns], rotation=0)
    axes.set_xlabel("strength")
    for onset in sorted({onset for onset, _ in columns}):
        own = [place for place, column in enumerate(columns) if column[0] == onset]
        axes.text(own[0] + len(own) / 2, -0.15, f"after {onset} epochs", ha="center", va="bottom", fontsize=9.5)
        if own[0]:
            axes.axvline(own[0], color="black", linewidth=1.2, zorder=4)
    return figure, [axes], len(names) < len(kinds) * len(columns)


def _heat_map(
    axes: Axes,
    names: dict[tuple[Any, Any], str],
    index: list[str],
    columns: list[Any],
    rows: pd.DataFrame,
    reach: float,
    size: float,
) -> None:
    """The variants at (row, column) by their differences; where nothing was tried nothing is drawn."""
    values = np.full((len(index), len(columns)), np.nan)
    texts = np.full(values.shape, "", dtype=object)
    for (line, column), name in names.items():
        row, place = rows.loc[name], (index.index(line), columns.index(column))
        half = (row["t_high"] - row["t_low"]) / 2
        values[place] = row["mean_difference"]
        texts[place] = points(row["mean_difference"]) + (f"\n±{half:.2f}" if math.isfinite(half) else "")
        if not is_decided(row):
            corner = place[1], place[0]
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, hatch="//", edgecolor="#999999", linewidth=0, zorder=2))
    colours = {"cmap": "RdBu", "center": 0, "vmin": -reach, "vmax": reach, "cbar": False}
    look = {
        "annot_kws": {"fontsize": size},
        "linewidths": 1.5,
        "linecolor": "white",
        "xticklabels": 1,
        "yticklabels": 1,
    }
    frame = pd.DataFrame(values, index=index, columns=list(map(str, columns)))
    seaborn.heatmap(frame, annot=texts, fmt="", ax=axes, **look, **colours)
    for text in axes.texts:
        text.set_zorder(3)
    if np.isnan(values).any():
        axes.grid(visible=False)  # it would show where nothing is
    axes.tick_params(length=0)
    axes.tick_params(axis="y", rotation=0)
