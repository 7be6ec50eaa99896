"""What all figures share: colours, type, the wording of labels, and SVG files that come out the same byte for byte.

Colours are Okabe and Ito's with a violet and a grey, and stay apart for colour-blind readers; a kind keeps its colour in every
figure and a reference is black.
Files hold no date and no version, glyphs are drawn as paths of DejaVu Sans, coordinates are rounded to a hundredth of a point,
and identifiers are numbered in their order, so that neither the fonts nor the last bit of a processor show.
"""

from __future__ import annotations

import io
import math
import re
import statistics
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import seaborn
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.ticker import MaxNLocator

from temporal_shortcuts.analysis.outcomes import TestSet
from temporal_shortcuts.analysis.statistics import SMALLEST_N, resolution, t_interval
from temporal_shortcuts.files import write_atomically
from temporal_shortcuts.report.wording import scale
from temporal_shortcuts.study import Study
from temporal_shortcuts.study.kinds import KINDS

WIDTH = 8.33
"""Inches: 800 pixels in a browser, the width of a README."""

SMALLEST_SPAN = 0.2
"""Points that an axis of accuracies or differences spans at least, so that nothing looks large that is not."""

COLOURS = {
    **{name: kind.colour for name, kind in KINDS.items() if kind.role != "null_arm"},
    "reference": "#000000",
    "null_arm": "#666666",
    "learning_rate": "#009E73",
    "other": "#E69F00",
}
PUBLISHED = {"marker": "D", "facecolors": "white", "edgecolors": "black", "linewidths": 1.3, "s": 42, "zorder": 6}
"""The published value is an open diamond everywhere."""

KIND_NAMES = {
    **{name: f"{name} (control)" for name, kind in KINDS.items() if kind.role == "control"},
    "null_arm": "A/A control",
    "learning_rate": "learning rate",
    "reference": "baseline",
    "other": "other",
}

LINE_STYLES = ("-", "--", "-.", ":")
MARKERS = ("", "o", "s", "^", "D", "v", "P", "X")

_STYLE = {
    "svg.hashsalt": "temporal-shortcuts",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 10.5,
    "axes.labelsize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.edgecolor": "#444444",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#E4E4E4",
    "grid.linewidth": 0.8,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9.5,
    "legend.frameon": False,
    "lines.solid_capstyle": "round",
    "hatch.linewidth": 0.4,
    "text.parse_math": False,  # a label with $ is text
    "axes.formatter.useoffset": False,  # a tick shows its whole number
}


@contextmanager
def style() -> Iterator[None]:
    """The figures' look, whatever matplotlibrc or earlier code has set."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(seaborn.axes_style("ticks") | _STYLE)
        yield


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure, `height` and `width` in inches, its layout made when it is saved."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06, wspace=0.04, hspace=0.04)
    return figure


def save(figure: Figure, path: Path, title: str) -> None:
    """Write a figure as SVG, the same bytes for the same drawing. `title` is what a screen reader says."""
    buffer = io.StringIO()
    metadata = {"Title": title, "Date": None, "Creator": None, "Format": None, "Type": None}
    figure.savefig(buffer, format="svg", facecolor="white", metadata=metadata)
    write_atomically(path, steady(buffer.getvalue()).encode())


def note_scale(figure: Figure, study: Study, note: str) -> None:
    """Below the figure: how to read it, and the study's scale, since a figure is looked at without its text."""
    note_below(figure, note, f"Scale: {scale(study)}")


def note_below(figure: Figure, *paragraphs: str) -> None:
    """Paragraphs in small letters below the figure."""
    text = "\n".join(wrapped(paragraph, figure.get_figwidth() - 0.3, 8.5) for paragraph in paragraphs)
    figure.supxlabel(text, fontsize=8.5, color="#444444", x=0.01, ha="left", linespacing=1.35)


def wrapped(text: str, inches: float, size: float) -> str:
    """Text in lines that are at most so wide in the figures' font at that size; a word that is wider is broken."""
    lines = [""]
    for word in text.split():
        if width(f"{lines[-1]} {word}", size) > inches and lines[-1]:
            lines.append("")
        while width(word, size) > inches:
            fits = max(n for n in range(1, len(word)) if n == 1 or width(word[:n], size) <= inches)
            lines[-1], word = word[:fits], word[fits:]
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return "\n".join(lines)


@cache
def width(text: str, size: float) -> float:
    """Inches that a line of text takes in the figures' font."""
    font = FontProperties(family="DejaVu Sans", size=size)
    return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0] / 72


def steady(svg: str) -> str:
    """SVG text with coordinates rounded to two decimals and generated identifiers numbered in order of appearance."""
    drawn = re.compile(r'( (?:d|x|y|width|height)="|translate\()([^")]*)')
    svg = drawn.sub(lambda found: found[1] + _rounded(found[2]), svg)
    names: dict[str, str] = {}
    generated = re.compile(r"\b([A-Za-z]+(?:\d+_\d+_)?)[0-9a-f]{10}\b")
    declared = {name for name in re.findall(r'id="([^"]+)"', svg) if generated.fullmatch(name)}
    return re.sub(
        r'(?<=id=")[^"]+|(?<=href="#)[^"]+|(?<=url\(#)[^)]+',
        lambda found: names.setdefault(found[0], f"i{len(names)}") if found[0] in declared else found[0],
        svg,
    )


def _rounded(numbers: str) -> str:
    return re.sub(r"-?\d+\.\d+", lambda found: f"{round(float(found[0]), 2) + 0.0:g}", numbers)


# -- how a variant looks -----------------------------------------------------------------------------------------------


def colour_of(study: Study, name: str) -> str:
    """The colour of a variant's kind."""
    return COLOURS[study.variants[name].kind]


def looks_of(study: Study, names: list[str]) -> dict[str, dict[str, Any]]:
    """How each of the variants of one panel is drawn as a line: no two alike, however many there are.

    Each has a shade of its kind's colour of its own; line styles repeat after four, with another marker then.
    """
    looks = {}
    for index, name in enumerate(names):
        shade = 2 * index / (len(names) - 1) - 1 if len(names) > 1 else 0.0
        style_, marker = LINE_STYLES[index % len(LINE_STYLES)], MARKERS[index // len(LINE_STYLES) % len(MARKERS)]
        looks[name] = {"color": shaded(colour_of(study, name), shade), "linestyle": style_, "marker": marker}
    return looks


def shaded(colour: str, shade: float) -> str:
    """A colour from darker (-1) over itself (0) to lighter (1)."""
    other, part = ("white", 0.55 * shade) if shade > 0 else ("black", -0.55 * shade)
    own, towards = to_rgb(colour), to_rgb(other)
    return to_hex([(1 - part) * one + part * two for one, two in zip(own, towards, strict=True)])


def label_of(study: Study, name: str, inches: float = 7.0, size: float = 9.5) -> str:
    """A variant's label, broken into lines that are at most so wide."""
    return wrapped(study.variants[name].label, inches, size)


def against_line(study: Study, name: str, inches: float = 7.0, size: float = 9.5) -> str:
    """A line to follow a variant's label: its reference, if that isn't the study's benchmark; else nothing."""
    reference = study.variants[name].reference.name
    if reference == study.benchmark:
        return ""
    return "\n" + wrapped(f"against: {study.variants[reference].label}", inches, size)


def lines_of(labels: Iterable[str]) -> int:
    """The lines of the label that has most."""
    return max((label.count("\n") + 1 for label in labels), default=1)


# -- axes that one far value must not flatten ----------------------------------------------------------------------------


def span(extents: Iterable[tuple[float, float]], reach: float = 4.0) -> tuple[float, float]:
    """Limits of an axis for (low, high) pairs, without those that go `reach` times as far from the median as most do.

    They are kept, too, where the axis with all of them is less than half as long again.
    """
    pairs = list(extents)
    middle = statistics.median(value for pair in pairs for value in pair)
    far = [max(abs(low - middle), abs(high - middle)) for low, high in pairs]
    limit = reach * max(statistics.median(far), 1e-9)
    kept = [pair for pair, distance in zip(pairs, far, strict=True) if distance <= limit]
    low, high = _hull(kept)
    lowest, highest = _hull(pairs)
    if highest - lowest < 1.5 * (high - low):
        low, high = lowest, highest
    margin = 0.06 * (high - low)
    return at_least(low - margin, high + margin)


def _hull(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    return min(low for low, _ in pairs), max(high for _, high in pairs)


def few_ticks(axis: Axis, most: int = 5) -> None:
    """At most so many steps on an axis of accuracies or differences, so that their numbers have room."""
    axis.set_major_locator(MaxNLocator(most, steps=[1, 2, 5, 10]))


def at_least(low: float, high: float) -> tuple[float, float]:
    """Limits of an axis in points, moved apart where they are nearer than `SMALLEST_SPAN`."""
    lacking = max(0.0, SMALLEST_SPAN - (high - low)) / 2
    return low - lacking, high + lacking


def interval(values: pd.Series, test_set: TestSet) -> tuple[float, float, float]:
    """(low, mean, high): a mean in percent or points with its 95 % t interval; the value itself where there is only one."""
    low, mean, high = t_interval(values, resolution(test_set.images))
    return (low, mean, high) if len(values) > 1 else (mean, mean, mean)


def extent(values: Iterable[float], low: float, high: float) -> tuple[float, float]:
    """What an axis should hold of a row: its seeds, and their interval where there are enough of them for it to mean something."""
    values = list(values)
    if len(values) < SMALLEST_N:
        return min(values), max(values)
    return min(*values, low), max(*values, high)


def point_or_arrow(axes: Axes, value: float, row: float, limits: tuple[float, float], text: str, **look: Any) -> bool:
    """A point at (value, row), or an arrow, as filled, at the axis' edge with a text where it is beyond; whether it is a point."""
    low, high = limits
    if low <= value <= high:
        axes.scatter([value], [row], clip_on=False, **look)
        return True
    edge, inwards, side = (low, 1, "left") if value < low else (high, -1, "right")
    colour = look.get("color") or look["edgecolors"]
    arrow = {"arrowstyle": "-|>", "edgecolor": colour, "facecolor": look.get("facecolors", colour)}
    arrow |= {"linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", (edge, row), (14 * inwards, 0), textcoords="offset points", arrowprops=arrow)
    axes.annotate(text, (edge, row), (18 * inwards, 0), textcoords="offset points", va="center", ha=side, fontsize=9)
    return False


def interval_line(axes: Axes, low: float, high: float, row: float, limits: tuple[float, float], colour: str) -> None:
    """A line from low to high in a row, with an arrowhead where it goes on beyond the axis; nothing for a missing interval."""
    if not (math.isfinite(low) and math.isfinite(high)):
        return
    axes.plot([max(low, limits[0]), min(high, limits[1])], [row, row], color=colour, linewidth=2, zorder=4)
    for beyond, edge, marker in ((low < limits[0], limits[0], "<"), (high > limits[1], limits[1], ">")):
        if beyond:
            axes.scatter([edge], [row], marker=marker, s=30, color=colour, zorder=4, clip_on=False)
