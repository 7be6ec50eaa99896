"""The ladder's figure: each rung's effects over width, as trained and with recalibrated batch-norm statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from temporal_shortcuts.report.figures.style import (
    COLOURS,
    KIND_NAMES,
    PUBLISHED,
    at_least,
    new_figure,
    shaded,
    wrapped,
)
from temporal_shortcuts.study.published import PROTOCOL, Run

CURVE = ["images", "epochs"]
"""What rungs on one line have in common."""
MARKERS = ("o", "s", "^", "v", "P", "X")
LINES = {"averaged": "-", "re_estimated": "--"}
STEP = 0.17
"""Between marks beside each other, in doublings of the width."""


def effect(table: pd.DataFrame, published: Sequence[Run], pending: Sequence[str] = ()) -> Figure:
    """Paired differences with 95 % intervals over width: a panel a kind, a shade for each number of images, a marker for the epochs.

    `table` has the rows of ladder.csv; filled marks are as trained, open ones recalibrated. `pending` names rungs that are not finished.
    """
    rows = table[table["endpoint"].isin(LINES)].assign(doublings=table["width"].map(math.log2))
    kinds, curves = list(dict.fromkeys(rows["kind"])), _curves(rows)
    reported = {kind: [one for one in published if one.kind == kind] for kind in kinds}
    places = {
        kind: sorted({*rows.loc[rows["kind"] == kind, "doublings"], *_doublings(reported[kind])}) for kind in kinds
    }
    ratios = [places[kind][-1] - places[kind][0] + 1.3 for kind in kinds]
    figure = new_figure(4.7)
    grid = list(figure.subplots(1, len(kinds), sharey=True, squeeze=False, width_ratios=ratios).flat)
    ends = [0.0, *rows["mean_difference"], *rows["t_low"], *rows["t_high"], *(one.difference for one in published)]
    ends = [value for value in ends if math.isfinite(value)]
    room = 0.06 * (max(ends) - min(ends))
    grid[0].set_ylim(at_least(min(ends) - room, max(ends) + room))
    for axes, kind in zip(grid, kinds, strict=True):
        _panel(axes, rows[rows["kind"] == kind], kind, curves)
        for one, place in zip(reported[kind], _doublings(reported[kind]), strict=True):
            axes.scatter([place], [one.difference], clip_on=False, **PUBLISHED)
        axes.set(
            title=KIND_NAMES.get(kind, kind), xlabel="width", xlim=(places[kind][0] - 0.65, places[kind][-1] + 0.65)
        )
        ticks = range(math.floor(places[kind][0]), math.ceil(places[kind][-1]) + 1)
        axes.set_xticks(ticks, [f"{2**tick}" for tick in ticks])
    grid[0].set_ylabel("difference from the baseline (points)")
    figure.legend(
        handles=_keys(curves, bool(published)), loc="outside upper left", ncols=2, handlelength=2.6, columnspacing=1.6
    )
    note = "mean of the pairs of equal seed with its 95 % t interval · recalibrated: batch-norm statistics gathered again without a carry"
    note += " · published: single runs, each its best epoch, not annealed to 0" if published else ""
    note += f" · not finished: {', '.join(pending)}" if pending else ""
    figure.supxlabel(wrapped(note, 8.0, 8.5), fontsize=8.5, color="#444444", x=0.01, ha="left", linespacing=1.35)
    return figure


Curves = dict[tuple[int, int], dict[str, Any]]


def _curves(rows: pd.DataFrame) -> Curves:
    """Each number of images and of epochs, the most first, with its look: lighter for fewer images, a marker for the epochs."""
    found = sorted(
        {(images, epochs) for images, epochs in zip(rows["images"], rows["epochs"], strict=True)}, reverse=True
    )
    images, epochs = (sorted({one[part] for one in found}, reverse=True) for part in (0, 1))
    return {
        one: {
            "shade": 0.9 * images.index(one[0]) / max(len(images) - 1, 1),
            "marker": MARKERS[epochs.index(one[1]) % len(MARKERS)],
        }
        for one in found
    }


def _panel(axes: Axes, rows: pd.DataFrame, kind: str, curves: Curves) -> None:
    axes.axhline(0, color="black", linewidth=1.2, zorder=1)
    axes.grid(axis="x", visible=False)
    for curve, look in curves.items():
        for endpoint in LINES:
            of_curve = rows[(rows[CURVE] == list(curve)).all(axis=1) & (rows["endpoint"] == endpoint)]
            at = of_curve["doublings"] + of_curve.index.map(_beside(rows, curves))
            values, colour = of_curve["mean_difference"], shaded(COLOURS.get(kind, "#56B4E9"), look["shade"])
            axes.plot(at, values, color=colour, linewidth=1, linestyle=LINES[endpoint], alpha=0.7, zorder=2)
            axes.vlines(at, of_curve["t_low"], of_curve["t_high"], color=colour, linewidth=1.6, zorder=3)
            face = colour if endpoint == "averaged" else "white"
            mark = {"marker": look["marker"], "s": 44, "facecolors": face, "edgecolors": colour, "linewidths": 1.4}
            axes.scatter(at, values, zorder=4, **mark)


def _beside(rows: pd.DataFrame, curves: Curves) -> dict[int, float]:
    """How far each row of a panel is moved, so that those of one width stand beside each other around it: readings together."""
    order = {curve: index for index, curve in enumerate(reversed(curves))}
    moved = {}
    for _, own in rows.groupby("width"):
        keys = {row.Index: (order[row.images, row.epochs], list(LINES).index(row.endpoint)) for row in own.itertuples()}
        for index, row in enumerate(sorted(keys, key=keys.__getitem__)):
            moved[row] = STEP * (index - (len(keys) - 1) / 2)
    return moved


def _doublings(published: Sequence[Run]) -> list[float]:
    return [math.log2(PROTOCOL.width) for _ in published]


def _keys(curves: Curves, published: bool) -> list[Line2D]:
    keys = {"averaged": [], "re_estimated": []}
    for endpoint, label in (("averaged", "as trained"), ("re_estimated", "recalibrated")):
        for (images, epochs), look in curves.items():
            colour = shaded("#555555", look["shade"])
            about = {"marker": look["marker"], "color": colour, "linestyle": LINES[endpoint], "linewidth": 1}
            about["markerfacecolor"] = colour if endpoint == "averaged" else "white"
            keys[endpoint].append(Line2D([], [], label=f"{images:,} images, {epochs} epochs, {label}", **about))
    look = {"marker": "D", "markerfacecolor": "white", "markeredgecolor": "black", "linestyle": "none"}
    return [
        *keys["averaged"],
        *([Line2D([], [], label="published", **look)] if published else []),
        *keys["re_estimated"],
    ]
