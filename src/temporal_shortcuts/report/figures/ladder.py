"""The ladder's figure: each rung's effects over width, as trained and with recalibrated batch-norm statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from temporal_shortcuts.report.figures import style
from temporal_shortcuts.study.ladder import READINGS
from temporal_shortcuts.study.published import PROTOCOL, Run

MARKERS = ("o", "s", "^", "v", "P", "X")
LINES = {"averaged": "-", "re_estimated": "--"}
STEP = 0.15
"""Between marks beside each other, in doublings of the width."""


def effect(table: pd.DataFrame, published: Sequence[Run], pending: Sequence[str] = ()) -> Figure:
    """Paired differences with 95 % intervals over width: a panel a kind, a shade for each number of images, a marker for the epochs.

    `table` has the rows of ladder.csv; filled marks are as trained, open ones recalibrated. `pending` names rungs that are not finished.
    """
    rows = table[table["endpoint"].isin(LINES)].assign(doublings=table["width"].map(math.log2))
    kinds, curves = list(dict.fromkeys(rows["kind"])), _curves(rows)
    figure = style.new_figure(4.7)
    grid = figure.subplots(1, len(kinds), sharex=True, sharey=True, squeeze=False)[0]
    for axes, kind in zip(grid, kinds, strict=True):
        axes.axhline(0, color="black", linewidth=1.2, zorder=1)
        axes.grid(axis="x", visible=False)
        shown = rows[rows["kind"] == kind]
        for curve, endpoint in product(reversed(curves), LINES):
            own = shown[_of_curve(shown, curve) & (shown["endpoint"] == endpoint)]
            at = [_beside(shown[shown["doublings"] == width], curves, curve, endpoint) for width in own["doublings"]]
            colour = style.shaded(style.COLOURS.get(kind, style.COLOURS["other"]), curves[curve]["shade"])
            face = colour if endpoint == "averaged" else "white"
            mark = {"marker": curves[curve]["marker"], "s": 44, "facecolors": face, "edgecolors": colour}
            axes.plot(at, own["mean_difference"], color=colour, linewidth=1, linestyle=LINES[endpoint], alpha=0.7)
            axes.vlines(at, own["t_low"], own["t_high"], color=colour, linewidth=1.6, zorder=3)
            axes.scatter(at, own["mean_difference"], linewidths=1.4, zorder=4, **mark)
        reported = [one.difference for one in published if one.kind == kind]
        axes.scatter([math.log2(PROTOCOL.width)] * len(reported), reported, clip_on=False, **style.PUBLISHED)
        axes.set(title=style.KIND_NAMES.get(kind, kind), xlabel="width")
    widths = [*rows["doublings"], *[math.log2(PROTOCOL.width)] * bool(published)]
    ticks = range(math.floor(min(widths)), math.ceil(max(widths)) + 1)
    grid[0].set_xlim(min(widths) - 0.65, max(widths) + 0.65)
    grid[0].set_xticks(ticks, [f"{2**tick}" for tick in ticks])
    grid[0].set_ylim(style.at_least(*grid[0].get_ylim()))
    grid[0].set_ylabel("difference from the baseline (points)")
    figure.legend(handles=_keys(curves, bool(published)), loc="outside upper left", ncols=2, handlelength=2.6)
    note = "mean of the pairs of equal seed with its 95 % t interval · recalibrated: batch-norm statistics gathered again without a carry"
    note += " · published: single runs, each its best epoch, not annealed to 0" if published else ""
    note += f" · not finished: {', '.join(pending)}" if pending else ""
    style.note_below(figure, note)
    return figure


Curve = tuple[int, int]
Curves = dict[Curve, dict[str, Any]]


def _of_curve(rows: pd.DataFrame, curve: Curve) -> pd.Series:
    return (rows["images"] == curve[0]) & (rows["epochs"] == curve[1])


def _beside(rows: pd.DataFrame, curves: Curves, curve: Curve, endpoint: str) -> float:
    """Where a mark stands, in doublings: those of one width side by side around it, the readings of a rung together."""
    slots = [slot for slot in product(reversed(curves), LINES) if _of_curve(rows, slot[0]).any()]
    return float(rows["doublings"].iloc[0]) + STEP * (slots.index((curve, endpoint)) - (len(slots) - 1) / 2)


def _curves(rows: pd.DataFrame) -> Curves:
    """Each number of images and of epochs, the most first, with its look: lighter for fewer images, a marker for the epochs."""
    found = sorted({*zip(rows["images"], rows["epochs"], strict=True)}, reverse=True)
    images, epochs = (sorted({one[part] for one in found}, reverse=True) for part in (0, 1))
    return {
        one: {
            "shade": 0.9 * images.index(one[0]) / max(len(images) - 1, 1),
            "marker": MARKERS[epochs.index(one[1]) % len(MARKERS)],
        }
        for one in found
    }


def _keys(curves: Curves, is_published: bool) -> list[Line2D]:
    """What shade and marker mean, and what filled and open marks."""
    keys = [
        Line2D(
            [],
            [],
            marker=look["marker"],
            color=style.shaded("#555555", look["shade"]),
            label=f"{images:,} images, {n} epochs",
        )
        for (images, n), look in curves.items()
    ]
    for endpoint, line in LINES.items():
        face = "#555555" if endpoint == "averaged" else "white"
        look = {"marker": "o", "color": "#555555", "markerfacecolor": face, "linestyle": line, "linewidth": 1}
        keys.append(Line2D([], [], label=READINGS[endpoint], **look))
    diamond = {"marker": "D", "markerfacecolor": "white", "markeredgecolor": "black", "linestyle": "none"}
    return [*keys, *([Line2D([], [], label="published", **diamond)] if is_published else [])]
