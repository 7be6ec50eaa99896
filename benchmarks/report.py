"""The table and the figure of `make bench`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import matplotlib
import pandas as pd
import seaborn

matplotlib.use("Agg")

from matplotlib import pyplot as plt

TITLES = {
    "study": "The seven published variants: this pipeline against the textbook way",
    "step": "A training step: images a second, and the share of what the machine's fastest product of matrices reaches",
    "exactness": "What equal bits on every processor cost",
    "price": "What a temporal shortcut costs a step",
    "memory": "Memory",
    "input": "The input",
    "start": "The start of a job",
    "graph": "The graph",
    "sharing": "Shared prefixes",
}

STUDY = (
    "Timed whole: 3 epochs of 2,000 images, where starting the jobs weighs much (at width 8 three times by turns, of which the median is "
    "shown), and the published 50 (`full8` and `full16`). The pipeline's jobs are pinned to AVX2, as most of the committed studies are, or "
    "to what the row names, as a study may declare; the textbook takes all that the processor has."
)


def add(folder: Path, name: str, rows: pd.DataFrame, machine: str) -> None:
    """Put a part's measurements into measurements.csv, for those that it made before, and write speed.svg and README.md anew."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "measurements.csv"
    own = rows.assign(measured_by=name, date=datetime.now(UTC).date().isoformat(), machine=machine)
    if path.is_file():
        before = pd.read_csv(path)
        others = before[before["measured_by"] != name]
        own = pd.concat([others, own]) if len(others) else own
    own.to_csv(path, index=False, float_format="%.4g")
    write(folder, pd.read_csv(path))


def write(folder: Path, rows: pd.DataFrame) -> None:
    """Write speed.svg and README.md. Parts may come from different days and machines, which each section says."""
    draw(rows, folder / "speed.svg")
    lines = [
        "# Speed",
        "",
        "Measured by `make bench`. Ratios are of measurements made one after the other in one run.",
        "",
        "![speed](speed.svg)",
    ]
    for part, title in TITLES.items():
        here = rows[rows["part"] == part]
        if here.empty:
            continue
        lines += ["", f"## {title}", "", *([STUDY, ""] if part == "study" else [])]
        lines += ["| | | goal | |", "| --- | ---: | --- | --- |"]
        lines += [
            f"| {one.what} | {number(one.value)} {one.unit} | {one.goal} | {mark(one.met)} |"
            for one in here.fillna({"unit": "", "goal": ""}).itertuples()
        ]
        lines += ["", f"{origin(here)}."]
    (folder / "README.md").write_text("\n".join([*lines, ""]))


def origin(rows: pd.DataFrame) -> str:
    """When and on what these were measured."""
    return "; ".join(
        f"{date}, {machine}" for date, machine in sorted(set(zip(rows["date"], rows["machine"], strict=True)))
    )


def number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def mark(met: bool | None) -> str:
    return "" if pd.isna(met) else "met" if met else "not met"


def draw(rows: pd.DataFrame, path: Path) -> None:
    """A panel for each of: the study's ratio, the share of the product of matrices, the price of equal bits, the dry run; if measured."""
    seaborn.set_theme(style="whitegrid", context="notebook")
    plt.rcParams["svg.hashsalt"] = "temporal-shortcuts"
    what = rows["what"].str
    panels = [
        (1.4, _ratios, rows[what.endswith("textbook / pipeline")]),
        (2.0, _shares, rows[what.endswith("share of the product of matrices")]),
        (1.4, _exactness, rows[rows["part"] == "exactness"]),
        (1.7, _dry_runs, rows[what.startswith("snakemake -n")]),
    ]
    shown: list[tuple[float, Callable[[plt.Axes, pd.DataFrame], None], pd.DataFrame]] = [
        one for one in panels if len(one[2])
    ]
    widths = [one[0] for one in shown]
    figure, axes = plt.subplots(
        1, len(shown), figsize=(13 / 4.7 * sum(widths), 4), width_ratios=widths, layout="constrained", squeeze=False
    )
    for one, (_, panel, own) in zip(axes[0], shown, strict=True):
        panel(one, own)
    figure.supxlabel(origin(pd.concat([one[2] for one in shown])), fontsize=10, color="0.4")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


GREY = "0.6"


def _blue() -> tuple[float, ...]:
    return seaborn.color_palette("colorblind")[0]


def _bars(axes: plt.Axes, labels: pd.Series, values: pd.Series, form: str) -> None:
    """A bar a row, the first on top, with its value at its end."""
    axes.barh(labels, values, color=_blue())
    axes.bar_label(axes.containers[0], fmt=form, padding=3)
    axes.invert_yaxis()


def _times_as_fast(axes: plt.Axes, labels: pd.Series, values: pd.Series, form: str) -> None:
    _bars(axes, labels, values, form)
    axes.axvline(1, color=GREY, linestyle="--")
    axes.set_xlim(0, 1.3 * values.max())


def _ratios(axes: plt.Axes, rows: pd.DataFrame) -> None:
    _times_as_fast(axes, rows["what"].str.split(":").str[0], rows["value"], "%.1fx")
    axes.set(title="The study, times as fast", xlabel="textbook seconds / ours")


def _shares(axes: plt.Axes, rows: pd.DataFrame) -> None:
    _bars(axes, rows["what"].str.split(":").str[0], rows["value"], "%.0f %%")
    axes.set(title="A training step", xlabel="% of the product of matrices", xlim=(0, 125))


def _exactness(axes: plt.Axes, rows: pd.DataFrame) -> None:
    labels = rows["what"].str.replace(": speed of a step", "").str.removesuffix(" / avx2")
    _times_as_fast(axes, labels, rows["value"], "%.2fx")
    axes.set(title="A step, times as fast as avx2", xlabel="avx2 seconds / its own")


def _dry_runs(axes: plt.Axes, rows: pd.DataFrame) -> None:
    runs = rows["what"].str.extract(r"(\d+) runs")[0].astype(int)
    axes.loglog(runs, rows["value"], marker="o", color=_blue())
    axes.axhline(120, color=GREY, linestyle="--")
    axes.annotate("goal at 10,000 runs", (runs.min(), 120), xytext=(0, -14), textcoords="offset points", color="0.4")
    axes.set(title="The dry run", xlabel="runs", ylabel="seconds")
