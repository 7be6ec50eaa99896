"""The table and the figure of `make bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import seaborn

matplotlib.use("Agg")

from matplotlib import pyplot as plt

TITLES = {
    "study": "The seven published variants: this pipeline against the textbook way",
    "step": "A training step: images a second, and the share of what the machine's product of matrices reaches",
    "price": "What a temporal shortcut costs a step",
    "memory": "Memory",
    "input": "The input",
    "start": "The start of a job",
    "graph": "The graph",
    "sharing": "Shared prefixes",
}


def write(folder: Path, rows: pd.DataFrame, machine: dict[str, Any]) -> None:
    """Write measurements.csv, speed.svg and README.md."""
    folder.mkdir(exist_ok=True)
    rows.to_csv(folder / "measurements.csv", index=False, float_format="%.4g")
    draw(rows, folder / "speed.svg", f"{machine['processor']}, {machine['cores']} cores, {machine['date']}")
    lines = [
        "# Speed",
        "",
        f"Measured by `make bench` on {machine['date']}, in {machine['minutes']} minutes, on {machine['cores']} cores of a processor that "
        f"calls itself {machine['processor']}. Ratios are of measurements made one after the other in that run.",
        "",
        "The study is timed with 3 epochs of 2,000 images, where starting the jobs weighs much. Its 50 epochs, the published length, are "
        "reckoned from the seconds of an epoch and from the seconds around the epochs, both as measured here.",
        "",
        "![speed](speed.svg)",
    ]
    for part, title in TITLES.items():
        here = rows[rows["part"] == part]
        if len(here):
            lines += ["", f"## {title}", "", "| | | goal | |", "| --- | ---: | --- | --- |"]
            lines += [
                f"| {one.what} | {one.value:.3g} {one.unit} | {one.goal} | {mark(one.met)} |"
                for one in here.itertuples()
            ]
    (folder / "README.md").write_text("\n".join([*lines, ""]))


def mark(met: bool | None) -> str:
    return "" if pd.isna(met) else "met" if met else "not met"


def draw(rows: pd.DataFrame, path: Path, machine: str) -> None:
    """Three panels: the study's ratio, the share of the product of matrices, and the time of the dry run."""
    seaborn.set_theme(style="whitegrid", context="notebook")
    plt.rcParams["svg.hashsalt"] = "temporal-shortcuts"
    figure, (left, middle, right) = plt.subplots(
        1, 3, figsize=(13, 4), width_ratios=[1.4, 2, 1.3], layout="constrained"
    )
    blue, grey = seaborn.color_palette("colorblind")[0], "0.6"

    ratios = rows[rows["what"].str.endswith("textbook / pipeline")]
    left.barh(ratios["what"].str.extract(r"(width \d+, \d+ epochs)")[0], ratios["value"], color=blue)
    left.bar_label(left.containers[0], fmt="%.1fx", padding=3)
    left.axvline(1, color=grey, linestyle="--")
    left.invert_yaxis()
    left.set(title="The study, times as fast", xlabel="textbook seconds / ours", xlim=(0, 1.2 * ratios["value"].max()))

    shares = rows[rows["what"].str.endswith("share of the product of matrices")]
    middle.barh(shares["what"].str.split(":").str[0], shares["value"], color=blue)
    middle.bar_label(middle.containers[0], fmt="%.0f %%", padding=3)
    middle.invert_yaxis()
    middle.set(title="A training step", xlabel="% of the product of matrices", xlim=(0, 125))

    graph = rows[rows["what"].str.startswith("snakemake -n")]
    runs = graph["what"].str.extract(r"(\d+) runs")[0].astype(int)
    right.loglog(runs, graph["value"], marker="o", color=blue)
    right.axhline(120, color=grey, linestyle="--")
    right.annotate("goal at 10,000 runs", (runs.min(), 120), xytext=(0, -14), textcoords="offset points", color="0.4")
    right.set(title="The dry run", xlabel="runs", ylabel="seconds")
    figure.suptitle(machine, fontsize=10, color="0.4")
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
