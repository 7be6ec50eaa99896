"""The figure of a number that a study varies: accuracy, speed, steadiness and the gap between training and test, at each of its values."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.analysis.varied import judged_level
from temporal_shortcuts.report.figures import style
from temporal_shortcuts.report.wording import endpoint, number_name, swing_epochs
from temporal_shortcuts.study import Study
from temporal_shortcuts.study.varied import varied


def effects(key: str, study: Study, tables: Tables) -> Figure:
    """Accuracy at the primary endpoint, the first epoch that passes a level of training accuracy, swing, and gap, at each value."""
    (series,), table = varied(study)[key], tables.varied[key].set_index("variant")
    level = judged_level(tables.varied[key], series.reference)
    seeds = {name: 100 * tables.runs.loc[tables.runs["variant"] == name, study.endpoint] for name in series.names}
    means = pd.DataFrame.from_dict(
        {name: style.interval(own, tables.test_set) for name, own in seeds.items()},
        orient="index",
        columns=["low", "mean", "high"],
    )
    speed = f"first epoch above {level} % training accuracy"
    first = table[(table["measure"] == "first_epoch") & (table["level"] == level)]
    speed = f"first epoch above {level} % training accuracy" if level else "no level is passed by the reference"
    swing = f"swing of {study.evaluated} accuracy from epoch to epoch (points, last {swing_epochs(study)} epochs)"
    panels = {
        f"{study.evaluated} accuracy (%)": means,
        f"speed: {speed}": first,
        swing: table[table["measure"] == "swing"],
        f"training less {study.evaluated} accuracy (points)": table[table["measure"] == "gap"],
    }
    values = sorted(set(series.values.values()))
    place = {name: values.index(value) for name, value in series.values.items()}
    figure = style.new_figure(5.3)
    grid = figure.subplots(2, 2).flatten()
    for axes, (title, rows) in zip(grid, panels.items(), strict=True):
        rows = rows.dropna(subset="mean")
        if series.reference in rows.index.difference(list(place)):
            axes.axhline(rows.loc[series.reference, "mean"], color=style.COLOURS["reference"], linewidth=1.2, zorder=2)
        own = rows.loc[[name for name in place if name in rows.index]]
        at, colours = [place[name] for name in own.index], [style.colour_of(study, name) for name in own.index]
        axes.plot(at, own["mean"], color="#999999", linewidth=0.9, zorder=1)
        axes.vlines(at, own["low"], own["high"], color=colours, linewidth=1.8, zorder=3)
        axes.scatter(at, own["mean"], s=40, color=colours, linewidths=1.3, zorder=4, clip_on=False)
        axes.set(xlim=(-0.5, len(values) - 0.5), xlabel=number_name(key))
        axes.set_title(style.wrapped(title, 3.7, 9.5), fontsize=9.5)
        axes.set_xticks(range(len(values)), [f"{value:g}" for value in values], rotation=45 if len(values) > 6 else 0)
        style.few_ticks(axes.yaxis)
    accuracies, speeds, swings, _ = grid
    for name, at in place.items():
        accuracies.scatter(
            [at + 0.12] * len(seeds[name]), seeds[name], s=12, color=style.colour_of(study, name), alpha=0.5
        )
    accuracies.set_ylim(style.at_least(*accuracies.get_ylim()))
    hollow = first[(first["reached"] < first["n"]) & first.index.isin(list(place))]
    speeds.scatter([place[name] for name in hollow.index], hollow["mean"], s=16, color="white", zorder=5, clip_on=False)
    speeds.set_ylim(0, max(speeds.get_ylim()[1], 2))
    speeds.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    swings.set_ylim(bottom=min(0.0, swings.get_ylim()[0]))
    note = (
        f"large: means over the seeds (accuracy: {endpoint(study, study.endpoint)}) with 95 % t intervals · small points: seeds"
        " · hollow in the speed: not every seed gets there, and the epoch after the last counts"
    )
    if tables.runs["diverged_epoch"].notna().any():
        note += " · swing and gap without runs that diverged"
    style.note_scale(figure, study, note)
    return figure
