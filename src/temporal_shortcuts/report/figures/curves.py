"""Figures over epochs: learning curves, paired differences after a late onset, and what a carry does to the evaluation."""

from __future__ import annotations

import textwrap

import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from temporal_shortcuts.analysis.tables import WITH_CARRY, Tables
from temporal_shortcuts.report.figures.differences import pair_differences
from temporal_shortcuts.report.figures.style import (
    COLOURS,
    KIND_NAMES,
    LATE_STYLES,
    against_line,
    colour_of,
    interval,
    label_of,
    new_figure,
    note_scale,
)
from temporal_shortcuts.study.outputs import (
    Resolved,
    carry_variants,
    is_late,
    kind_of,
    late_variants,
    reference_of,
    shortcut_of,
    sweep_kinds,
)


def learning_curves(resolved: Resolved, tables: Tables) -> Figure:
    """Test accuracy over epochs, a panel for each kind with its reference: means, and bands from lowest to highest seed."""
    panels = curve_panels(resolved)
    figure, grid = _grid(len(panels), 2 if len(panels) <= 4 else 3)
    for axes, names in zip(grid, panels, strict=True):
        for name in dict.fromkeys([reference_of(resolved, names[0]), *names]):
            since = _parting(resolved, name)
            draw_curve(axes, tables, name, "test_accuracy", _onset_style(resolved, name), resolved, since)
            if is_late(resolved, name):
                onset = shortcut_of(resolved, name)["onset"]
                axes.axvline(onset, color=colour_of(resolved, name), linewidth=1.2, linestyle=(0, (1, 2)), zorder=1)
        axes.set_title(_panel_title(resolved, names), fontsize=9.5)
    figure.supylabel("test accuracy (%)", fontsize=10)
    figure.legend(handles=_handles(resolved), loc="outside upper left", ncols=4, handlelength=2.2, columnspacing=1.4)
    note = "line: mean of the seeds · band: lowest to highest seed · dotted vertical line: onset"
    note_scale(figure, resolved, note)
    return figure


def curve_panels(resolved: Resolved) -> list[list[str]]:
    """The variants that share a panel: only their onset differs, or their learning rate."""
    panels: dict[tuple[object, ...], list[str]] = {}
    for name, variant in resolved["variants"].items():
        if variant["against"] is not None:
            kind = kind_of(resolved, name)
            shortcut = shortcut_of(resolved, name) or {"strength": name if kind == "other" else ""}
            key = kind, variant["against"], shortcut.get("strength"), shortcut.get("accounting")
            panels.setdefault(key, []).append(name)
    return list(panels.values()) or [[name] for name in resolved["variants"]]


def _parting(resolved: Resolved, name: str) -> int:
    """The last epoch that a variant has in common with its reference, bit for bit, if they differ in a late shortcut alone; else 0."""
    own, reference = (resolved["variants"][one]["settings"] for one in (name, reference_of(resolved, name)))
    alone = is_late(resolved, name) and own | {"shortcut": None} == reference and not own["compile"]
    return own["shortcut"]["onset"] if alone else 0


def draw_curve(
    axes: Axes, tables: Tables, name: str, column: str, linestyle: object, resolved: Resolved, since: int = 0
) -> None:
    """A variant's mean over its seeds, in percent, with a band from the lowest to the highest, from the epoch `since` on."""
    own = tables.metrics[(tables.metrics["variant"] == name) & (tables.metrics["epoch"] >= since)]
    curve = pd.DataFrame({"epoch": own["epoch"], "percent": 100 * own[column]})
    look = {"color": colour_of(resolved, name), "linewidth": 1.6, "err_kws": {"alpha": 0.2, "linewidth": 0}}
    seaborn.lineplot(curve, x="epoch", y="percent", errorbar=("pi", 100), legend=False, ax=axes, **look)
    axes.lines[-1].set_linestyle(linestyle)
    axes.set(ylabel="")


def _grid(panels: int, columns: int) -> tuple[Figure, list[Axes]]:
    """A figure with that many panels of one scale, the epochs written below the lowest of each column."""
    columns = min(columns, panels)
    rows = -(-panels // columns)
    figure = new_figure(1.4 + 2.05 * rows)
    axes = list(figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).flat)
    axes[0].xaxis.set_major_locator(MaxNLocator(6, integer=True, steps=[1, 2, 5, 10]))
    for one in axes[panels:]:
        one.set_visible(False)
    for index, one in enumerate(axes[:panels]):
        lowest = index >= panels - columns
        one.xaxis.set_tick_params(labelbottom=lowest)
        one.set_xlabel("epoch", visible=lowest)
    return figure, axes[:panels]


def _onsets(resolved: Resolved) -> list[int]:
    return sorted({shortcut_of(resolved, name)["onset"] for name in resolved["variants"] if is_late(resolved, name)})


def _onset_style(resolved: Resolved, name: str) -> object:
    """Solid from the start, broken lines for later onsets, the same in each panel."""
    if not is_late(resolved, name):
        return "-"
    return LATE_STYLES[_onsets(resolved).index(shortcut_of(resolved, name)["onset"]) % len(LATE_STYLES)]


def _handles(resolved: Resolved) -> list[Line2D]:
    """The legend: the benchmark, references of other panels, each learning rate, and the line styles of the onsets."""
    references = {reference_of(resolved, name) for name in resolved["variants"]}
    kinds = {name: kind_of(resolved, name) for name in resolved["variants"]}
    names = [
        name for name in kinds if kinds[name] == "learning_rate" or (kinds[name] == "other" and name in references)
    ]
    entries = [("benchmark of the panel", COLOURS["reference"], "-")]
    entries += [(label_of(resolved, name), colour_of(resolved, name), "-") for name in names]
    if any(shortcut_of(resolved, name) and not is_late(resolved, name) for name in resolved["variants"]):
        entries.append(("shortcut from the start", COLOURS["null"], "-"))
    entries += [
        (f"after {onset} epochs", COLOURS["null"], LATE_STYLES[index % len(LATE_STYLES)])
        for index, onset in enumerate(_onsets(resolved))
    ]
    return [
        Line2D([], [], color=colour, linestyle=style, linewidth=1.6, label=label) for label, colour, style in entries
    ]


def _panel_title(resolved: Resolved, names: list[str]) -> str:
    """What the panel's variants have in common, and in a second line the reference if it isn't the study's benchmark."""
    kind, shortcut = kind_of(resolved, names[0]), shortcut_of(resolved, names[0]) or {}
    title = label_of(resolved, names[0]) if kind == "other" else KIND_NAMES.get(kind, kind)
    if shortcut.get("accounting") == "published":
        title += ", published accounting"
    if kind in sweep_kinds(resolved):
        title += f", strength {shortcut['strength']:g}"
    title += against_line(resolved, names[0])
    return "\n".join(textwrap.fill(line, 46) for line in title.splitlines())


def late_differences(resolved: Resolved, tables: Tables) -> Figure:
    """The paired difference from the reference at each epoch after a late onset: every pair, their mean and its 95 % t interval."""
    names = late_variants(resolved)
    figure, grid = _grid(len(names), 3)
    for axes, name in zip(grid, names, strict=True):
        colour, pairs = colour_of(resolved, name), epoch_differences(resolved, tables.metrics, name)
        low, mean, high = zip(*(interval(of_epoch) for _, of_epoch in pairs.iterrows()), strict=True)
        axes.axhline(0, color=COLOURS["reference"], linewidth=1.2, zorder=2)
        axes.plot(pairs.index, pairs, color=colour, linewidth=0.7, alpha=0.4, zorder=1)
        axes.fill_between(pairs.index, low, high, color=colour, alpha=0.25, linewidth=0, zorder=2)
        axes.plot(pairs.index, mean, color=colour, linewidth=2, zorder=3)
        axes.set_title(label_of(resolved, name, 41) + against_line(resolved, name, 32), fontsize=8.6)
    figure.supylabel("difference in test accuracy (points)", fontsize=10)
    note = "black: the reference · line: mean of the pairs of equal seed · band: its 95 % t interval, epoch by epoch · thin: each pair"
    note_scale(figure, resolved, note)
    return figure


def epoch_differences(resolved: Resolved, metrics: pd.DataFrame, name: str) -> pd.DataFrame:
    """Differences of test accuracy in points (rows: epochs from the onset on; columns: seeds) of a variant from its reference."""
    reference = reference_of(resolved, name)
    pairs = pair_differences(metrics, name, reference, "test_accuracy", ["epoch", "seed"]).unstack("seed")
    return pairs[pairs.index >= shortcut_of(resolved, name)["onset"]]


CARRY_CURVES = (
    ("train_accuracy", "train", ":"),
    ("test_accuracy", "test", "-"),
    (WITH_CARRY, "test, carry left on", "--"),
)


def carry(resolved: Resolved, tables: Tables) -> Figure:
    """Train, test, and test accuracy with the carry left on, over epochs, beside the reference's test accuracy."""
    names = carry_variants(resolved)
    figure, grid = _grid(len(names), 2)
    for axes, name in zip(grid, names, strict=True):
        draw_curve(axes, tables, reference_of(resolved, name), "test_accuracy", "-", resolved)
        for column, _, linestyle in CARRY_CURVES:
            draw_curve(axes, tables, name, column, linestyle, resolved)
        axes.set_title(label_of(resolved, name, 58), fontsize=9.5)
    grid[0].set_ylim(0, 100)
    figure.supylabel("accuracy (%)", fontsize=10)
    handles = [Line2D([], [], color=COLOURS["reference"], linewidth=1.6, label="benchmark of the panel, test")]
    colour = colour_of(resolved, names[0])
    handles += [
        Line2D([], [], color=colour, linestyle=style, linewidth=1.6, label=label) for _, label, style in CARRY_CURVES
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=4, handlelength=2.2, columnspacing=1.4)
    note_scale(figure, resolved, "line: mean of the seeds · band: lowest to highest seed")
    return figure
