"""The figure of a sweep: a heat map of the paired difference, with a row for each kind and strength and a column for each onset."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import seaborn
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.report.facts import is_decided
from temporal_shortcuts.report.figures import style
from temporal_shortcuts.report.numbers import points
from temporal_shortcuts.report.wording import endpoint
from temporal_shortcuts.study import Study
from temporal_shortcuts.study.outputs import sweep_cells, sweep_kinds


def sweep(study: Study, tables: Tables) -> Figure:
    """Undecided cells are hatched; where nothing was tried nothing is drawn. A kind that learns its strength has a row, too."""
    cells = {
        (f"{kind} {strength:g}", onset): name
        for kind in sweep_kinds(study)
        for (onset, strength), name in sorted(sweep_cells(study, kind).items(), key=lambda cell: -cell[0][1])
    }
    learnt = [one for one in study.candidates if one.shortcut is not None and one.shortcut.strength is None]
    cells |= {(one.kind, one.onset or 0): one.name for one in learnt}
    names, onsets = list(dict.fromkeys(row for row, _ in cells)), sorted({onset for _, onset in cells})
    rows = tables.comparisons[tables.comparisons["endpoint"] == study.endpoint].set_index("variant")
    figure = style.new_figure(1.4 + 0.37 * len(names))
    axes = figure.subplots()
    values = pd.DataFrame(math.nan, index=names, columns=onsets)
    texts = pd.DataFrame("", index=names, columns=onsets)
    for (name, onset), variant in cells.items():
        row = rows.loc[variant]
        half = (row["t_high"] - row["t_low"]) / 2
        values.loc[name, onset] = row["mean_difference"]
        texts.loc[name, onset] = points(row["mean_difference"]) + (f"\n±{half:.2f}" if math.isfinite(half) else "")
        if not is_decided(row):
            corner = onsets.index(onset), names.index(name)
            axes.add_patch(Rectangle(corner, 1, 1, fill=False, hatch="//", edgecolor="#999999", linewidth=0, zorder=2))
    reach = max(abs(limit) for limit in style.span((value, value) for value in values.stack().dropna()))
    label = style.wrapped("difference from the baseline (points)", 0.6 * figure.get_figheight(), 10)
    bar = {"label": label, "extend": "both", "aspect": 40}
    colours = {"cmap": "RdBu", "center": 0, "vmin": -reach, "vmax": reach, "cbar_kws": bar}
    size = min(8.5, 80 / len(onsets))
    look = {
        "linewidths": 1.5,
        "linecolor": "white",
        "xticklabels": 1,
        "yticklabels": 1,
        "annot_kws": {"fontsize": size},
    }
    seaborn.heatmap(values, annot=texts, fmt="", ax=axes, **look, **colours)
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.tick_params(axis="y", rotation=0)
    axes.set_xlabel("onset (epochs completed before)")
    style.note_scale(
        figure,
        study,
        f"in each cell: mean paired difference ({endpoint(study, study.endpoint)}) ± half its 95 % t interval, in points · "
        "hatched: undecided, Holm's p above 0.05, or fewer than 3 pairs"
        + (" · blank: not tried" if np.isnan(values).any(axis=None) else ""),
    )
    return figure
