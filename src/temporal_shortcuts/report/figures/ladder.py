"""The ladder's figure: each rung's effects with their intervals, over its benchmark's accuracy and over what a run takes."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator

from temporal_shortcuts.report.figures.style import COLOURS, KIND_NAMES, PUBLISHED, at_least, new_figure, wrapped
from temporal_shortcuts.study.published import Effect

MARKERS = ("o", "s", "^", "v", "P", "X")
RUNG = ["study", "benchmark"]


def effect(table: pd.DataFrame, published: list[Effect]) -> Figure:
    """Paired differences with 95 % intervals, kinds beside each other at each rung, whose number is in the mark.

    The published values are open diamonds.
    """
    figure = new_figure(4.6)
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.25, 1])
    kinds = list(dict.fromkeys(table["kind"]))
    _panel(left, table, kinds, 100 * table["accuracy"], [(100 * one.accuracy, one) for one in published], log=False)
    _panel(right, table, kinds, table["flop"], [(one.flop, one) for one in published], log=True)
    ends = [*table["low"], *table["high"], *table["difference"], *(one.difference for one in published), 0.0]
    ends = [value for value in ends if math.isfinite(value)]
    room = 0.08 * (max(ends) - min(ends))
    left.set_ylim(at_least(min(ends) - room, max(ends) + room))
    left.set(xlabel="test accuracy of the rung's benchmark (%)", ylabel="difference from the benchmark (points)")
    left.xaxis.set_major_locator(MaxNLocator(7, steps=[1, 2, 5, 10]))
    right.set(xscale="log", xlabel="operations to train a run (FLOP)")
    right.xaxis.set_major_locator(
        LogLocator(subs=(1.0,) if table["flop"].max() > 100 * table["flop"].min() else (1.0, 3.0))
    )
    right.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0e}".replace("e+", "e")))
    right.minorticks_off()
    figure.legend(
        handles=_keys(kinds, bool(published)), loc="outside upper left", ncols=len(kinds) + 1, handletextpad=0.4
    )
    note = f"{_rungs(table)} · marks that would cover each other are beside each other · line: 95 % t interval of the pairs of equal seed"
    note += " · open diamond: published, single runs, each its best epoch, not annealed to 0" if published else ""
    figure.supxlabel(wrapped(note, 8.0, 8.5), fontsize=8.5, color="#444444", x=0.01, ha="left", linespacing=1.35)
    return figure


def _panel(
    axes: Axes, table: pd.DataFrame, kinds: list[str], x: pd.Series, published: list[tuple[float, Effect]], *, log: bool
) -> None:
    axes.axhline(0, color="black", linewidth=1.2, zorder=1)
    places = [*x, *(value for value, _ in published)]
    low, high = min(places), max(places)
    numbers = table.groupby(RUNG, sort=False).ngroup() + 1
    step = 0.034 * ((math.log(high / low) or 2.0) if log else ((high - low) or 5.0))
    order = table["kind"].map(kinds.index)
    beside = np.exp(_beside(np.log(x), numbers, order, step)) if log else _beside(x, numbers, order, step)
    for index, kind in enumerate(kinds):
        own = table.loc[beside[table["kind"] == kind].sort_values().index]
        at = beside[own.index]
        colour = COLOURS.get(kind, "#56B4E9")
        axes.vlines(at, own["low"], own["high"], color=colour, linewidth=2, zorder=3)
        axes.plot(at, own["difference"], color=colour, linewidth=0.9, alpha=0.5, zorder=2)
        axes.scatter(at, own["difference"], color=colour, marker=MARKERS[index % len(MARKERS)], s=110, zorder=4)
        for row, place in at.items():
            text = {"ha": "center", "va": "center_baseline", "color": "white", "fontsize": 7, "fontweight": "bold"}
            axes.text(place, own.loc[row, "difference"], str(numbers[row]), zorder=5, **text)
    for value, one in published:
        axes.scatter([value], [one.difference], **PUBLISHED | {"edgecolors": COLOURS.get(one.kind, "black")})
    axes.margins(x=0.1)


def _beside(x: pd.Series, rung: pd.Series, kind: pd.Series, step: float) -> pd.Series:
    """x of each row, moved by steps: a rung's kinds, numbered from 0, are beside each other, and so are rungs nearer than these need."""
    kinds = kind.max() + 1
    at = x.groupby(rung).first().sort_values()
    close = (at.diff() > kinds * step).cumsum()
    many, order = rung.map(close.map(close.value_counts())), rung.map(at.groupby(close).cumcount())
    return rung.map(at.groupby(close).transform("mean")) + step * (kind * many + order - (kinds * many - 1) / 2)


def _keys(kinds: list[str], published: bool) -> list[Line2D]:
    keys = [
        Line2D(
            [],
            [],
            color=COLOURS.get(kind, "#56B4E9"),
            marker=MARKERS[index % len(MARKERS)],
            label=KIND_NAMES.get(kind, kind),
        )
        for index, kind in enumerate(kinds)
    ]
    look = {"marker": "D", "markerfacecolor": "white", "markeredgecolor": "black", "linestyle": "none"}
    return keys + ([Line2D([], [], label="published", **look)] if published else [])


def _rungs(table: pd.DataFrame) -> str:
    rungs = table.drop_duplicates(RUNG)
    return "; ".join(
        f"{number}: width {one.width}, {one.images:,} images, {one.epochs} epochs"
        for number, one in enumerate(rungs.itertuples(), 1)
    )
