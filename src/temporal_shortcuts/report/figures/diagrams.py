"""One drawing of each temporal shortcut: depth runs upwards, training time to the right, and the shortcut is what goes right.

Units are hundredths of the figure's width, in both directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyArrowPatch, FancyBboxPatch

from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.report.figures.style import COLOURS, WIDTH
from temporal_shortcuts.study import Study

INK, FAINT, FILL = "#222222", "#9A9A9A", "#F3F3F3"
HEIGHT = 56.0
ENTRY, FIRST, SECOND, OWN_SUM, CARRY_SUM, RELU, EXIT = 7.0, 14.0, 23.0, 30.0, 36.5, 43.0, 49.0
"""Heights of what a residual block consists of, from its input to its output."""


@dataclass(frozen=True)
class Block:
    """A residual block, drawn around a vertical line at `x`; faint where it is only the continuation."""

    axes: Axes
    x: float
    colour: str
    faint: bool = False

    def draw(self) -> None:
        ink = FAINT if self.faint else INK
        heights = [ENTRY, FIRST - 2.4, FIRST + 2.4, SECOND - 2.4, SECOND + 2.4, OWN_SUM - 1.5, OWN_SUM + 1.5]
        heights += [CARRY_SUM - 1.5, CARRY_SUM + 1.5, RELU - 1.8, RELU + 1.8, EXIT]
        for low, high in zip(heights[::2], heights[1::2], strict=True):
            arrow(self.axes, (self.x, low), (self.x, high), ink)
        box(self.axes, self.x, FIRST, 15, 4.8, "conv · norm · ReLU", ink)
        box(self.axes, self.x, SECOND, 15, 4.8, "conv · norm", ink)
        box(self.axes, self.x, RELU, 8, 3.6, "ReLU", ink)
        plus(self.axes, self.x, OWN_SUM, ink)
        plus(self.axes, self.x, CARRY_SUM, self.colour if not self.faint else FAINT)
        self._own_shortcut(ink)

    def _own_shortcut(self, ink: str) -> None:
        """The shortcut in depth that a ResNet has anyway: from the input around the convolutions, to the first sum."""
        side = self.x + 9.5
        self.axes.plot([self.x, side, side], [ENTRY + 1.6, ENTRY + 1.6, OWN_SUM], color=ink, linewidth=1.3)
        arrow(self.axes, (side, OWN_SUM), (self.x + 1.5, OWN_SUM), ink)
        if not self.faint:
            self.axes.text(
                side + 1, FIRST + 1, "shortcut\nin depth\n(ResNet)", color="#666666", fontsize=8.5, va="center"
            )


def batch_res(study: Study, tables: Tables) -> Figure:
    """What a block has just before its last ReLU goes to the same block in the next batch."""
    figure, axes = _canvas()
    colour, strength = COLOURS["batch_res"], _strength(study, "batch_res")
    xs = (18.0, 53.0, 88.0)
    for x, name, faint in zip(xs, ("batch t − 1", "batch t", "batch t + 1"), (False, False, True), strict=True):
        Block(axes, x, colour, faint).draw()
        axes.text(x, ENTRY - 1.2, name, ha="center", va="top", color=FAINT if faint else INK, fontweight="bold")
    for left, right in pairwise(xs):
        _carry(axes, (left, CARRY_SUM + 2.6), (right, CARRY_SUM), colour)
    middle = (xs[0] + xs[1]) / 2
    label = {"ha": "center", "color": colour, "fontweight": "bold", "fontsize": 9}
    axes.text(middle, CARRY_SUM + 3.4, f"temporal shortcut × {strength}", **label)
    axes.text(middle - 1, CARRY_SUM + 1.8, "detached: no gradient", ha="center", va="top", color=colour, fontsize=8.5)
    _explain(axes, "batch_res: a block also receives its own output from the previous batch")
    return figure


def epoch_res(study: Study, tables: Tables) -> Figure:
    """The mean, over an epoch, of what a block has just before its last ReLU goes to the same block throughout the next."""
    figure, axes = _canvas()
    colour, strength = COLOURS["epoch_res"], _strength(study, "epoch_res")
    for x, name in ((13.0, "batch 1"), (24.0, "batch 2"), (42.0, "last full batch")):
        _small_block(axes, x, name)
        arrow(axes, (x, OWN_SUM + 0.2), (28.0 + (x - 28.0) * 0.35, CARRY_SUM - 2.6), colour)
    axes.text(32.8, 20, "· · ·", ha="center", va="center", color=INK, fontsize=13)
    axes.text(27.5, ENTRY - 1.2, "epoch e − 1", ha="center", va="top", color=INK, fontweight="bold")
    box(axes, 28.0, CARRY_SUM, 24, 5.0, "mean over the full batches", colour)
    Block(axes, 74.0, colour).draw()
    axes.text(74.0, ENTRY - 1.2, "epoch e, each full batch", ha="center", va="top", color=INK, fontweight="bold")
    arrow(axes, (40.2, CARRY_SUM), (74.0 - 1.5, CARRY_SUM), colour, 2.2)
    axes.text(56, CARRY_SUM + 1.2, f"temporal shortcut × {strength}", ha="center", color=colour, fontweight="bold")
    axes.text(56, CARRY_SUM - 1.4, "detached: no gradient", ha="center", va="top", color=colour, fontsize=8.5)
    _explain(axes, "epoch_res: a block also receives the mean of its outputs over the previous epoch")
    return figure


def box(axes: Axes, x: float, y: float, width: float, height: float, text: str, colour: str) -> None:
    corner = (x - width / 2, y - height / 2)
    shape = {"boxstyle": "round,pad=0,rounding_size=0.9", "facecolor": FILL, "edgecolor": colour, "linewidth": 1.2}
    axes.add_patch(FancyBboxPatch(corner, width, height, zorder=3, **shape))
    axes.text(x, y, text, ha="center", va="center", fontsize=9, color=colour, zorder=4)


def plus(axes: Axes, x: float, y: float, colour: str) -> None:
    axes.add_patch(Circle((x, y), 1.5, facecolor="white", edgecolor=colour, linewidth=1.5, zorder=5))
    axes.plot([x - 0.8, x + 0.8], [y, y], color=colour, linewidth=1.5, zorder=6)
    axes.plot([x, x], [y - 0.8, y + 0.8], color=colour, linewidth=1.5, zorder=6)


def arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    colour: str,
    width: float = 1.3,
    bend: str = "arc3",
) -> None:
    look = {"arrowstyle": "-|>", "mutation_scale": 9 + 3 * (width > 2), "shrinkA": 0, "shrinkB": 0, "capstyle": "butt"}
    axes.add_patch(FancyArrowPatch(start, end, color=colour, linewidth=width, connectionstyle=bend, zorder=4, **look))


def _carry(axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str) -> None:
    """From the line between the second sum and the ReLU of a block, to the right, down into the second sum of the next."""
    axes.plot([start[0]], [start[1]], marker="o", markersize=5, color=colour, zorder=7)
    turn = end[0] - 8
    axes.plot([start[0], turn, turn], [start[1], start[1], end[1]], color=colour, linewidth=2.2, zorder=4)
    arrow(axes, (turn, end[1]), (end[0] - 1.5, end[1]), colour, 2.2)


def _small_block(axes: Axes, x: float, name: str) -> None:
    """A block in short: its input, its convolutions and own shortcut, and the point just before its last ReLU."""
    arrow(axes, (x, ENTRY), (x, 14.6), INK)
    box(axes, x, 20, 8.4, 10.8, "same\nblock", INK)
    axes.plot([x, x], [25.4, OWN_SUM], color=INK, linewidth=1.3)
    axes.plot([x], [OWN_SUM], marker="o", markersize=5, color=COLOURS["epoch_res"], zorder=7)
    axes.text(x + 0.9, ENTRY + 1.2, name, fontsize=8.5, color=INK)


def _canvas() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, WIDTH * HEIGHT / 100))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 100), ylim=(0, HEIGHT))
    axes.set_axis_off()
    return figure, axes


def _explain(axes: Axes, title: str) -> None:
    axes.text(1.5, HEIGHT - 1.2, title, ha="left", va="top", fontsize=11, fontweight="bold", color=INK)
    arrow(axes, (1.8, 6), (1.8, 30), FAINT, 1.6)
    axes.text(2.6, 8, "depth", rotation=90, color="#666666", fontsize=9, va="bottom")
    arrow(axes, (1.8, 1.4), (26, 1.4), FAINT, 1.6)
    axes.text(27, 1.4, "training time", color="#666666", fontsize=9, va="center")


def _strength(study: Study, kind: str) -> str:
    """The strength, if the study has one only for this kind."""
    shortcuts = [study.variants[name].shortcut for name in study.variants]
    strengths = {shortcut.strength for shortcut in shortcuts if shortcut and shortcut.kind == kind}
    return f"{strengths.pop():g}" if len(strengths) == 1 else "strength"
