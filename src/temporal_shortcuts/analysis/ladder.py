"""A ladder's tables: each rung's effects as trained, with recalibrated statistics, and their difference, and what changes between rungs.

A rung is finished where its study has its tables; one that is not has no row. All is computed from the runs as they were written, and
rounded once, at the end. The ladder is a reading after the fact: its tests are not corrected for one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from math import nan, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from temporal_shortcuts.analysis.endpoints import Floats
from temporal_shortcuts.analysis.statistics import LEVEL, by_seed, compare, resolution, rounded, standard_error
from temporal_shortcuts.analysis.tables import read_table, test_set_of
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.files import holds
from temporal_shortcuts.networks.parts.cost import training_flop
from temporal_shortcuts.study import Variant
from temporal_shortcuts.study.ladder import NEEDED, READINGS, Ladder, Rung

COLUMNS = [
    *("study", "variant", "against", "kind", "width", "images", "epochs", "instruction_set", "flop", "endpoint"),
    *("against_n", "against_mean", "against_sd", "n", "mean_difference", "sd_difference", "t_low", "t_high"),
]
STEP_COLUMNS = [
    *("setting", "from", "to", "smaller", "larger", "beside", "kind", "endpoint", "n_smaller", "n_larger"),
    *("shared_seeds", "change", "low", "high", "df", "p", "p_permutation", "untested"),
]
SMALLEST_PAIRS = 5
"""Pairs that each of two rungs must have for the step between them to be tested: of 5 and 3 the exact p is never below 1/56."""
PERMUTATIONS = 99_999
"""Ways to deal the pairs out to two rungs up to which all are taken; beyond it, so many random ones are."""


@dataclass(frozen=True)
class Effect:
    """What a rung says of a variant by one reading."""

    rung: Rung
    variant: Variant
    endpoint: str
    seeds: list[int]
    differences: Floats
    """In points, one a seed: the variant less its reference."""
    reference: Floats
    """The reference's values in percent, one for each of its seeds."""
    floor: float
    """Points, one test image: the least standard deviation of differences that counts."""


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


def effects(ladder: Ladder, results: Path) -> list[Effect]:
    """The effects of all finished rungs, in the ladder's order. Raises `UserError` where a rung's number of images is not its records'."""
    return [one for rung in ladder.rungs if finished(rung, results) for one in _effects(rung, results)]


def _effects(rung: Rung, results: Path) -> list[Effect]:
    folder = results / rung.study.name
    _check_images(rung, folder)
    runs, floor, found = read_table(folder / "runs.csv"), resolution(test_set_of(rung.study, folder).images), []
    for endpoint in READINGS:
        values = by_seed(runs, endpoint)
        for one in rung.variants:
            ours, theirs = values[one.name], values[rung.reference.name]
            seeds = sorted(ours.keys() & theirs.keys())
            differences = np.array([ours[seed] - theirs[seed] for seed in seeds])
            reference = np.array([theirs[seed] for seed in sorted(theirs)])
            found.append(Effect(rung, one, endpoint, seeds, differences, reference, floor))
    return found


def _check_images(rung: Rung, folder: Path) -> None:
    """A training accuracy is a whole number of images, so a wrong number of images does not fit the records."""
    metrics = read_table(folder / "metrics.csv")
    right = metrics.loc[metrics["variant"] == rung.reference.name, "train_accuracy"] * rung.images
    if not np.allclose(right, right.round(), rtol=0, atol=1e-4):
        raise UserError(
            f"studies/ladder.yaml: the rung {rung.study.name} has images: {rung.images}, but the training accuracies in "
            f"{folder}/metrics.csv are no shares of that many; write the number of its training images."
        )


def table(found: Sequence[Effect], results: Path) -> pd.DataFrame:
    """`ladder.csv`: a row for each effect.

    Differences, their standard deviation and 95 % t interval are in points, the reference's own mean and deviation fractions. `flop` is
    what training one run takes, a multiply-add being two.
    """
    return rounded(pd.DataFrame([_row(one, results) for one in found], columns=COLUMNS))


def _row(one: Effect, results: Path) -> dict[str, Any]:
    rung, settings = one.rung, one.rung.reference.settings
    classes = test_set_of(rung.study, results / rung.study.name).classes
    per_image = training_flop(settings.model, settings.width, classes)
    return {
        "study": rung.study.name,
        "variant": one.variant.name,
        "against": rung.reference.name,
        "kind": one.variant.kind,
        "width": settings.width,
        "images": rung.images,
        "epochs": rung.study.epochs,
        "instruction_set": settings.instruction_set,
        "flop": float(per_image * rung.images * rung.study.epochs),
        "endpoint": one.endpoint,
        "against_n": len(one.reference),
        "against_mean": float(one.reference.mean()) / 100,
        "against_sd": float(one.reference.std(ddof=1)) / 100 if len(one.reference) > 1 else nan,
        **asdict(compare(one.differences, np.zeros_like(one.differences), one.floor)),
    }


# -- from rung to rung -------------------------------------------------------------------------------------------------


def steps(ladder: Ladder, found: Sequence[Effect]) -> pd.DataFrame:
    """`steps.csv`: how each effect changes, in points, between two finished rungs that differ in one of `SCALES` alone.

    Interval and `p` are Welch's (1947), since rungs differ in spread; `p_permutation` is exact (`permutation_p`). Neither the 95 % interval
    nor a p is corrected for the other rows. `beside` names what else differs. Both are missing, and `untested` says why, where a rung
    has fewer than `SMALLEST_PAIRS` pairs, or the rungs share seeds, of which these tests know nothing.
    """
    rows = []
    for smaller, larger in combinations(ladder.rungs, 2):
        for first in found:
            if first.rung is not smaller:
                continue
            step = smaller.step(larger, first.variant.kind)
            others = [one for one in found if one.rung is larger]
            same = [one for one in others if (one.variant.kind, one.endpoint) == (first.variant.kind, first.endpoint)]
            if step is not None and same:
                rows.append({"setting": step.setting, "beside": step.beside} | _step(step.setting, first, same[0]))
    floats = ("change", "low", "high", "df", "p", "p_permutation")
    return rounded(pd.DataFrame(rows, columns=STEP_COLUMNS).astype(dict.fromkeys(floats, float)))


def _step(setting: str, smaller: Effect, larger: Effect) -> dict[str, Any]:
    shared, few = len(set(smaller.seeds) & set(larger.seeds)), min(len(smaller.seeds), len(larger.seeds))
    reason = f"the rungs share {shared} seeds" if shared else ""
    reason = f"fewer than {SMALLEST_PAIRS} pairs on a rung" if few < SMALLEST_PAIRS else reason
    sizes = [{"images": one.rung.images} | one.rung.reference.settings.model_dump() for one in (smaller, larger)]
    return {
        "from": sizes[0][setting],
        "to": sizes[1][setting],
        "smaller": smaller.rung.study.name,
        "larger": larger.rung.study.name,
        "kind": smaller.variant.kind,
        "endpoint": smaller.endpoint,
        "n_smaller": len(smaller.seeds),
        "n_larger": len(larger.seeds),
        "shared_seeds": shared,
        "change": round(float(larger.differences.mean() - smaller.differences.mean()), 9),
        "untested": reason,
        **({} if reason else _tests(smaller, larger)),
    }


def _tests(smaller: Effect, larger: Effect) -> dict[str, float]:
    """Welch's interval and p for the change, and the exact p of a permutation test."""
    samples = smaller.differences, larger.differences
    errors = np.array([standard_error(own, one.floor) for own, one in zip(samples, (smaller, larger), strict=True)])
    change, error = samples[1].mean() - samples[0].mean(), sqrt((errors**2).sum())
    df = error**4 / sum(one**4 / (len(own) - 1) for one, own in zip(errors, samples, strict=True))
    reach = float(stats.t.isf(LEVEL / 2, df)) * error
    return {
        "low": float(change - reach),
        "high": float(change + reach),
        "df": float(df),
        "p": float(2 * stats.t.sf(abs(change) / error, df)),
        "p_permutation": permutation_p(*samples),
    }


def permutation_p(one: Floats, other: Floats) -> float:
    """The share of all ways to deal the values out to two groups of these sizes whose means are at least as far apart.

    It assumes that the values come from one distribution where there is no difference, and nothing of its form.
    """

    def apart(first: Floats, second: Floats, axis: int) -> Floats:
        # accuracies are whole images: ties are ties
        return np.abs(first.mean(axis=axis) - second.mean(axis=axis)).round(9)

    tested = stats.permutation_test(
        (one, other),
        apart,
        alternative="greater",
        n_resamples=PERMUTATIONS,
        vectorized=True,
        rng=np.random.default_rng(0),
    )
    return float(tested.pvalue)
