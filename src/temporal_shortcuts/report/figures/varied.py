"""The figure of a number that a study varies: accuracy, speed, steadiness and the gap between training and test, over that number.

Panels share the number as their axis. Of one series each variant keeps its colour; several, such as the strengths of two kinds of
shortcut, each have a colour and a line of their own, with the reference as a black line across.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Set
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.analysis.varied import SWING, judged_level
from temporal_shortcuts.report.figures.style import (
    COLOURS,
    colour_of,
    extent,
    few_ticks,
    interval,
    looks_of,
    new_figure,
    note_scale,
    span,
    width,
    wrapped,
)
from temporal_shortcuts.report.wording import endpoint, number_name
from temporal_shortcuts.study import Study
from temporal_shortcuts.study.varied import Series, varied

TREND = {"color": "#999999", "linewidth": 0.9, "zorder": 1}
Means = dict[str, tuple[float, float, float]]
"""Variant -> (low, mean, high)."""


@dataclass(frozen=True)
class Number:
    """A number that a study varies, and how its axis shows it."""

    key: str
    series: list[Series]

    @property
    def values(self) -> list[float]:
        return sorted({value for one in self.series for value in one.values.values()})

    @property
    def is_logarithmic(self) -> bool:
        return all(one.is_logarithmic for one in self.series)

    def beside(self, value: float, steps: float) -> float:
        """A place so many small steps to the right of a value."""
        if self.is_logarithmic:
            return value * (self.values[-1] / self.values[0]) ** (0.016 * steps)
        return value + 0.016 * steps * (self.values[-1] - self.values[0])


def effects(key: str, study: Study, tables: Tables) -> Figure:
    """Accuracy at the primary endpoint, the first epoch that passes a level of training accuracy, swing, and gap, over the number."""
    number, table = Number(key, varied(study)[key]), tables.varied[key]
    panels: list[Callable[[Axes], None]] = [
        partial(_accuracy, study=study, number=number, tables=tables),
        partial(_speed, study=study, number=number, table=table),
        partial(_measure, study=study, number=number, table=table, measure="swing"),
        partial(_measure, study=study, number=number, table=table, measure="gap"),
    ]
    many = len(number.series) > 1
    figure = new_figure(5.3 + (0.19 * -(-len(number.series) // 3) if many else 0))
    for axes, draw in zip(figure.subplots(2, 2).flat, panels, strict=True):
        draw(axes)
        axes.set_title(wrapped(axes.get_title(loc="left"), 3.7, 9.5), fontsize=9.5)
        axes.set(xscale="log" if number.is_logarithmic else "linear", xlabel=number_name(key))
        axes.set_xlim(number.beside(number.values[0], -8), number.beside(number.values[-1], 8))
        _ticks(axes, number, 3.1)
    note = f"points: means over the seeds (accuracy: {endpoint(study, study.endpoint)}) with 95 % t intervals"
    if many:
        figure.legend(handles=_keys(study, number), loc="outside upper left", ncols=3, fontsize=8.6, handlelength=2.4)
        note += " · black line: the reference"
    else:
        note += " · small points: seeds"
    note += " · hollow in the speed: not every seed gets there, and the epoch after the last counts"
    if tables.runs["diverged_epoch"].notna().any():
        note += " · swing and gap without runs that diverged"
    note_scale(figure, study, note)
    return figure


# -- panels ------------------------------------------------------------------------------------------------------------


def _accuracy(axes: Axes, study: Study, number: Number, tables: Tables) -> None:
    names = [name for one in number.series for name in one.names]
    seeds = {name: 100 * tables.runs.loc[tables.runs["variant"] == name, study.endpoint] for name in names}
    means = {name: interval(values, tables.test_set) for name, values in seeds.items()}
    _draw(axes, study, number, means)
    for name, value in number.series[0].values.items() if len(number.series) == 1 else ():
        place = number.beside(value, 2)
        axes.scatter(
            [place] * len(seeds[name]), seeds[name], s=12, color=colour_of(study, name), alpha=0.5, linewidths=0
        )
    axes.set_ylim(
        span([extent(values, means[name][0], means[name][2]) for name, values in seeds.items()], reach=math.inf)
    )
    axes.set(title=f"{study.evaluated} accuracy (%)")


def _speed(axes: Axes, study: Study, number: Number, table: pd.DataFrame) -> None:
    """The first epoch whose training accuracy passes the highest level that the reference passes with each seed."""
    level = judged_level(table, number.series[0].reference)
    own = table[(table["measure"] == "first_epoch") & (table["level"] == level)].set_index("variant")
    unreached = {name for name, row in own.iterrows() if row["reached"] < row["n"]}
    _draw(axes, study, number, _means(own), hollow=unreached)
    said = (
        f"first epoch above {level} % training accuracy"
        if level
        else "no level is passed by each seed of the reference"
    )
    axes.set(title=f"speed: {said}")
    axes.set_ylim(0, max(axes.get_ylim()[1], 2))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))


def _measure(axes: Axes, study: Study, number: Number, table: pd.DataFrame, measure: str) -> None:
    _draw(axes, study, number, _means(table[table["measure"] == measure].set_index("variant")))
    epochs = min(SWING, study.epochs)
    titles = {
        "swing": f"swing of {study.evaluated} accuracy from epoch to epoch (points, last {epochs} epochs)",
        "gap": f"training less {study.evaluated} accuracy (points)",
    }
    axes.set(title=titles[measure])
    few_ticks(axes.yaxis)
    if measure == "swing":
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))


# -- parts of a panel --------------------------------------------------------------------------------------------------


def _draw(axes: Axes, study: Study, number: Number, means: Means, hollow: Set[str] = frozenset()) -> None:
    """The series in one panel, each with a line through its means and an interval at each; of what has no mean nothing."""
    many, looks = len(number.series) > 1, _looks(study, number)
    for index, one in enumerate(number.series):
        offset = 1.2 * (index - (len(number.series) - 1) / 2) if many else 0.0
        places = {name: number.beside(value, offset) for name, value in one.values.items() if name in means}
        line = (
            {"color": looks[index]["color"], "linestyle": looks[index]["linestyle"], "linewidth": 1.2}
            if many
            else TREND
        )
        axes.plot(list(places.values()), [means[name][1] for name in places], **line)
        for name, place in places.items():
            low, mean, high = means[name]
            colour = looks[index]["color"] if many else colour_of(study, name)
            axes.vlines(
                place, low, high, color=colour, linewidth=0.9 if many else 1.8, alpha=0.6 if many else 1, zorder=3
            )
            face = "white" if name in hollow else colour
            axes.scatter(
                [place], [mean], s=18 if many else 40, facecolors=face, edgecolors=colour, linewidths=1.3, zorder=4
            )
        if one.reference not in one.values and one.reference in means:
            axes.axhline(means[one.reference][1], color=COLOURS["reference"], linewidth=1.2, zorder=2)


def _means(rows: pd.DataFrame) -> Means:
    """An interval without ends, of a single seed, is the mean itself."""
    rows = rows.dropna(subset="mean")
    filled = rows.assign(low=rows["low"].fillna(rows["mean"]), high=rows["high"].fillna(rows["mean"]))
    return {name: (row["low"], row["mean"], row["high"]) for name, row in filled.iterrows()}


def _looks(study: Study, number: Number) -> list[dict[str, Any]]:
    looks = looks_of(study, [next(iter(one.values)) for one in number.series])
    return [looks[next(iter(one.values))] for one in number.series]


def _keys(study: Study, number: Number) -> list[Line2D]:
    looks = _looks(study, number)
    return [
        Line2D([], [], color=look["color"], linestyle=look["linestyle"], label=_series_name(one))
        for look, one in zip(looks, number.series, strict=True)
    ]


def _series_name(one: Series) -> str:
    """What a series has in common; of the two accountings only the published one is said."""
    said = {key: value for key, value in one.common.items() if value != "corrected"}
    return ", ".join(
        str(value) if key in ("kind", "model") else f"{number_name(key)} {value}" for key, value in said.items()
    )


def _ticks(axes: Axes, number: Number, inches: float) -> None:
    """A tick at each value; only those are written that have room beside the last one written, the largest value's always."""
    values, logarithmic = number.values, number.is_logarithmic
    place = math.log if logarithmic else float
    scale = inches / 1.3 / (place(values[-1]) - place(values[0]))
    need = max(width(f"{value:g}", 9.5) for value in values) + 0.12
    written = [values[-1]]
    for value in reversed(values[:-1]):
        if scale * (place(written[-1]) - place(value)) >= need:
            written.append(value)
    axes.set_xticks(values, [f"{value:g}" if value in written else "" for value in values])
    axes.minorticks_off()
