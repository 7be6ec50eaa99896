"""A ladder's table, from the tables of its studies, the test of a trend over its rungs, and what changes from one to another.

A rung is finished where its study has its tables. Each effect with its interval is the study's own, from its comparisons.csv, so
that no number can differ from the study's. Rungs that are not finished have no row.
"""

from __future__ import annotations

from itertools import combinations
from math import nan, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from temporal_shortcuts.analysis.statistics import LEVEL, SMALLEST_N, holm, rounded
from temporal_shortcuts.analysis.tables import read_table, test_set_of
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.files import holds
from temporal_shortcuts.networks.parts.cost import training_flop
from temporal_shortcuts.study.ladder import NEEDED, Ladder, Rung

COLUMNS = [
    *("study", "benchmark", "variant", "kind", "width", "images", "epochs", "flop"),
    *("benchmark_n", "accuracy", "accuracy_sd", "n", "difference", "sd_difference", "low", "high"),
]
TREND_COLUMNS = ["kind", "rungs", "pairs", "slope", "low", "high", "df", "p", "p_holm"]
STEP_COLUMNS = ["setting", "smaller", "larger", "kind", "from", "to", "change", "low", "high", "df", "p", "p_holm"]
LEAST_RUNGS = 3
"""Two rungs lie on a straight line whatever they are."""


def finished(rung: Rung, results: Path) -> bool:
    """Whether a rung's tables are there. Raises `UserError` where they are those of another study than is declared."""
    folder = results / rung.study.name
    if not all((folder / name).is_file() for name in NEEDED):
        return False
    if not holds(folder / "study.json", rung.study.text()):
        raise UserError(
            f"{folder}: its tables are not those of {rung.file} as it is now; run `snakemake --cores 2 --configfile {rung.file}`."
        )
    return True


def table(ladder: Ladder, results: Path) -> pd.DataFrame:
    """`ladder.csv`: a row for each finished rung and variant, in the ladder's order.

    `accuracy` is the benchmark's mean, a fraction; `difference`, its standard deviation and its 95 % t interval are in points; `flop`
    is what training one run takes, a multiply-add being two. Raises `UserError` where a rung's number of images is not its records'.
    """
    rows = [row for rung in ladder.rungs if finished(rung, results) for row in _rows(rung, ladder.endpoint, results)]
    return rounded(pd.DataFrame(rows, columns=COLUMNS))


def _rows(rung: Rung, endpoint: str, results: Path) -> list[dict[str, Any]]:
    study, folder, settings = rung.study, results / rung.study.name, rung.reference.settings
    _check_images(rung, folder)
    summary = read_table(folder / "summary.csv").set_index("variant").loc[rung.reference.name]
    comparisons = read_table(folder / "comparisons.csv").set_index(["endpoint", "variant"]).loc[endpoint]
    per_image = training_flop(settings.model, settings.width, test_set_of(study, folder).classes)
    about = {
        "study": study.name,
        "benchmark": rung.reference.name,
        "width": settings.width,
        "images": rung.images,
        "epochs": study.epochs,
        "flop": float(per_image * rung.images * study.epochs),
        "benchmark_n": int(summary["n"]),
        "accuracy": summary[f"{endpoint}_mean"],
        "accuracy_sd": summary[f"{endpoint}_sd"],
    }
    names = {
        "n": "n",
        "mean_difference": "difference",
        "sd_difference": "sd_difference",
        "t_low": "low",
        "t_high": "high",
    }
    return [
        about
        | {"variant": one.name, "kind": one.kind}
        | {ours: comparisons.loc[one.name, theirs] for theirs, ours in names.items()}
        for one in rung.variants
    ]


def _check_images(rung: Rung, folder: Path) -> None:
    """A training accuracy is a whole number of images, so a wrong number of images does not fit the records."""
    metrics = read_table(folder / "metrics.csv")
    right = metrics.loc[metrics["variant"] == rung.reference.name, "train_accuracy"] * rung.images
    if not np.allclose(right, right.round(), rtol=0, atol=1e-4):
        raise UserError(
            f"studies/ladder.yaml: the rung {rung.study.name} has images: {rung.images}, but the training accuracies in "
            f"{folder}/metrics.csv are no shares of that many; write the number of its training images."
        )


def trend(rows: pd.DataFrame) -> pd.DataFrame:
    """`trend.csv`: for each kind, the slope of its effect over the benchmark's accuracy, in points for ten points of accuracy.

    The straight line is that through all pairs of all rungs (least squares, each rung weighted by its number of pairs). Its standard
    error takes each rung's own spread, with degrees of freedom by Satterthwaite (1946), because rungs differ in it; the accuracies
    count as known. nan below `LEAST_RUNGS` rungs, and where a rung has too few pairs. `p_holm` is Holm's over the kinds, null
    arms apart.
    """
    found = [_slope(kind, own) for kind, own in rows.groupby("kind", sort=False)]
    made = pd.DataFrame(found, columns=TREND_COLUMNS).astype(dict.fromkeys(TREND_COLUMNS[3:], float))
    return rounded(_corrected(made))


def _slope(kind: str, own: pd.DataFrame) -> dict[str, Any]:
    n, row = own["n"].to_numpy(float), {"kind": kind, "rungs": len(own), "pairs": int(own["n"].sum())}
    accuracy = 10 * own["accuracy"].to_numpy(float)
    if len(own) < LEAST_RUNGS or np.ptp(accuracy) == 0:
        return row | dict.fromkeys(TREND_COLUMNS[3:], nan)
    away = n * (accuracy - np.average(accuracy, weights=n))
    return row | _weighted("slope", own, away / (away @ accuracy))


def steps(ladder: Ladder, rows: pd.DataFrame) -> pd.DataFrame:
    """`steps.csv`: how each kind's effect changes, in points, between two finished rungs that differ in one of `SCALES` alone.

    The interval and the test are Welch's (1947), since rungs have fresh seeds and differ in spread; nan where a rung has too few
    pairs. `p_holm` is Holm's over all of them, null arms apart.
    """
    found = []
    for smaller, larger in combinations(ladder.rungs, 2):
        for kind in dict.fromkeys(rows["kind"]):
            setting = smaller.alone(larger, kind)
            own = pd.concat([_of(rows, rung, kind) for rung in (smaller, larger)])
            if setting is None or len(own) < 2:
                continue
            about = {"setting": setting, "smaller": smaller.study.name, "larger": larger.study.name, "kind": kind}
            about |= {"from": int(own[setting].iloc[0]), "to": int(own[setting].iloc[1])}
            found.append(about | _weighted("change", own, np.array([-1.0, 1.0])))
    made = pd.DataFrame(found, columns=STEP_COLUMNS).astype(dict.fromkeys(STEP_COLUMNS[6:], float))
    return rounded(_corrected(made))


def _of(rows: pd.DataFrame, rung: Rung, kind: str) -> pd.DataFrame:
    """The rung's row of a kind, or none."""
    own = (rows["study"] == rung.study.name) & (rows["benchmark"] == rung.reference.name) & (rows["kind"] == kind)
    return rows[own]


def _weighted(name: str, own: pd.DataFrame, weights: np.ndarray) -> dict[str, float]:
    """A weighted sum of rungs' effects with its interval and test, each rung by its own spread."""
    n = own["n"].to_numpy(float)
    if n.min() < SMALLEST_N:
        return dict.fromkeys((name, "low", "high", "df", "p", "p_holm"), nan)
    error = (own["high"] - own["low"]).to_numpy(float) / 2 / stats.t.isf(LEVEL / 2, n - 1)
    parts = (weights * error) ** 2
    value, df = float(weights @ own["difference"]), float(parts.sum() ** 2 / (parts**2 / (n - 1)).sum())
    reach = float(stats.t.isf(LEVEL / 2, df)) * sqrt(parts.sum())
    p = float(2 * stats.t.sf(abs(value) / sqrt(parts.sum()), df))
    return {name: value, "low": value - reach, "high": value + reach, "df": df, "p": p, "p_holm": nan}


def _corrected(made: pd.DataFrame) -> pd.DataFrame:
    family = made.index[made["kind"] != "null_arm"]
    made.loc[family, "p_holm"] = holm(made.loc[family, "p"])
    return made
