"""A study's tables: records into metrics.csv and runs.csv, and those into summary, stability, comparisons and verdicts.

metrics.csv and runs.csv hold each number in full. What is computed from them is rounded to six significant digits
(`statistics.rounded`), so that another processor's way of adding up does not show.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from temporal_shortcuts.analysis import costs, endpoints, outcomes, records, statistics, variance, varied, verdicts
from temporal_shortcuts.analysis.columns import is_text
from temporal_shortcuts.analysis.outcomes import TestSet
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.files import write_atomically
from temporal_shortcuts.study import Run, Study
from temporal_shortcuts.study.outputs import tables_of, varied_file
from temporal_shortcuts.study.varied import varied as study_varied

AGAIN = "delete it and run the same command again, which makes it anew"


@dataclass(frozen=True)
class Tables:
    """The tables of a results folder, as they were written; differences in points, accuracies as fractions."""

    test_set: TestSet
    runs: pd.DataFrame
    metrics: pd.DataFrame
    """With the accuracies that count: a diverged run's are capped (`outcomes.capped`)."""
    summary: pd.DataFrame
    stability: pd.DataFrame
    comparisons: pd.DataFrame
    image_bootstrap: pd.DataFrame
    claims: pd.DataFrame
    decision_cost: pd.DataFrame | None = None
    variance: pd.DataFrame | None = None
    """These two are None where the study's variants give no such table (`outputs.tables_of`)."""
    varied: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """A table for each key that the study varies, such as learning_rate (learning_rates.csv)."""

    @classmethod
    def read(cls, folder: Path, study: Study) -> Tables:
        """The tables that a study has; others that lie beside them are an earlier one's."""
        added = [name.removesuffix(".csv") for name in tables_of(study)]
        found = [one.name for one in fields(cls) if one.default is MISSING or one.name in added]
        own = {name: read_table(folder / f"{name}.csv") for name in found if name not in ("varied", "test_set")}
        keys = {key: varied_file(key, ".csv") for key in study_varied(study)}
        test_set = test_set_of(study, folder)
        own["metrics"] = outcomes.capped(own["metrics"], test_set.classes)
        return cls(test_set=test_set, **own, varied={key: read_table(folder / file) for key, file in keys.items()})


# -- records -----------------------------------------------------------------------------------------------------------


def read_sidecar(folder: Path, run: Run) -> dict[str, Any]:
    """What stands beside a record: fingerprint, environments, hashes of the weights. Raises `UserError`."""
    path = (folder / run.record).with_suffix(".json")
    try:
        sidecar = records.sidecar(folder / run.record)
    except FileNotFoundError:
        raise UserError(
            f"{path} is not there, but its record is: delete the record and run the same command again."
        ) from None
    except ValueError:
        raise UserError(f"{path} is not JSON: {AGAIN}.") from None
    if not isinstance(sidecar, dict) or sidecar.get("fingerprint") != run.fingerprint:
        raise UserError(f"{path} does not belong to the run with fingerprint {run.fingerprint}: {AGAIN}.")
    return sidecar


def collect(study: Study, folder: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """All records of a study -> metrics (a row for each run and epoch) and runs (a row for each run), in the study's order.

    Raises `UserError` for a record that is damaged or that its own files contradict.
    """
    parts, facts = [], []
    for run in study.runs:
        path = folder / run.record
        if damage := records.damage(path, run, study.epochs):
            raise UserError(
                f"{path} is damaged: {damage}; bring back its files with git, or delete it and run the study's command again, which "
                "trains the run anew."
            )
        record = pd.read_csv(path)
        record.insert(0, "variant", run.variant)
        record.insert(1, "seed", run.seed)
        parts.append(record)
        facts.append(
            {
                "variant": run.variant,
                "seed": run.seed,
                "fingerprint": run.fingerprint,
                "epochs": len(record),
                "stable_epoch": endpoints.stable_epoch(record["test_accuracy"], study.tolerance),
                "weights_final": read_sidecar(folder, run)["weights"]["final"],
            }
        )
    metrics = pd.concat(parts, ignore_index=True)
    found = endpoints.endpoints(metrics, test_set_of(study, folder).classes)
    runs = pd.DataFrame(facts).merge(found, on=["variant", "seed"], validate="one_to_one")
    runs["stable_epoch"] = runs["stable_epoch"].astype("Int64").mask(outcomes.has_diverged(runs))
    return metrics, runs[run_columns(endpoints.available(found))]


def run_columns(names: list[str]) -> list[str]:
    """The columns of runs.csv, where these endpoints exist."""
    first, last = ["variant", "seed", "fingerprint", "epochs"], ["stable_epoch", "diverged_epoch", "weights_final"]
    return [*first, *names, "best_epoch", *last]


def test_set_of(study: Study, folder: Path) -> TestSet:
    """The study's test images, from the sidecar of its first run."""
    sidecar = read_sidecar(folder, study.runs[0])
    counts = sidecar["test_classes"]
    return TestSet(sidecar["test_images"], len(counts), max(counts) / sum(counts), sidecar["shared_images"])


# -- tables ------------------------------------------------------------------------------------------------------------


def tabulate(study: Study, folder: Path, runs: pd.DataFrame, metrics: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The tables that follow from runs.csv, metrics.csv and the kept bits: file name -> table, as `outputs.tables_of` lists them."""
    test_set = test_set_of(study, folder)
    made = {
        "summary.csv": summary(study, runs, test_set.chance),
        "stability.csv": stability(study, runs),
        "comparisons.csv": statistics.comparisons(study, runs, test_set.images),
        "image_bootstrap.csv": statistics.image_bootstrap(study, correct_images(study, folder), counted=_counted(runs)),
        "claims.csv": verdicts.verdicts(study, runs, test_set.images),
    }
    for name in set(tables_of(study)) - set(made):
        made[name] = _added(name, study, runs, outcomes.capped(metrics, test_set.classes), test_set.images)
    return made


def _added(name: str, study: Study, runs: pd.DataFrame, metrics: pd.DataFrame, test_images: int) -> pd.DataFrame:
    """A table that a study has because of its variants."""
    match name:
        case "decision_cost.csv":
            return costs.decision_cost(study, runs, test_images)
        case "variance.csv":
            return variance.variance(study, runs)
        case _:
            series = next(own for key, own in study_varied(study).items() if varied_file(key, ".csv") == name)
            return varied.effects(series, metrics, test_images)


def _counted(runs: pd.DataFrame) -> dict[tuple[str, int], float]:
    """The accuracy that counts of each run that has diverged, whatever its answers hit: that of its last epoch in runs.csv."""
    diverged = runs[outcomes.has_diverged(runs)]
    return {(row.variant, row.seed): row.final for row in diverged.itertuples()}


def summary(study: Study, runs: pd.DataFrame, chance: float) -> pd.DataFrame:
    """One row a variant: n, how many diverged, mean and standard deviation of each endpoint, the published value, chance (fractions)."""
    rows = []
    for name, variant in study.variants.items():
        own = runs[runs["variant"] == name]
        row = {
            "variant": name,
            "label": variant.label,
            "n": len(own),
            "diverged": int(own["diverged_epoch"].notna().sum()),
        }
        for endpoint in endpoints.available(runs):
            row |= {f"{endpoint}_mean": own[endpoint].mean(), f"{endpoint}_sd": own[endpoint].std(ddof=1)}
        rows.append(row | {"published": variant.published, "chance": chance})
    return statistics.rounded(pd.DataFrame(rows).astype({"published": float}))


def stability(study: Study, runs: pd.DataFrame) -> pd.DataFrame:
    """One row a variant: mean, standard deviation and range of the stable epoch over its seeds that have one (`n`)."""
    rows = []
    for name in study.variants:
        epochs = runs.loc[runs["variant"] == name, "stable_epoch"].dropna().astype(float)
        rows.append(
            {
                "variant": name,
                "n": len(epochs),
                "stable_epoch_mean": epochs.mean(),
                "stable_epoch_sd": epochs.std(ddof=1),
                "stable_epoch_min": epochs.min(),
                "stable_epoch_max": epochs.max(),
                "tolerance": study.tolerance,
            }
        )
    whole = dict.fromkeys(("stable_epoch_min", "stable_epoch_max"), "Int64")
    return statistics.rounded(pd.DataFrame(rows).astype(whole))


def correct_images(study: Study, folder: Path) -> dict[tuple[str, int], np.ndarray]:
    """(variant, seed) -> which test images the run's final model gets right, bool `[N]`. Raises `UserError`."""
    correct = {}
    for run in study.runs:
        try:
            correct[run.variant, run.seed] = records.correct_images(folder / run.record)
        except (OSError, ValueError, TypeError, KeyError, EOFError):
            path = str(folder / run.record).removesuffix(".csv")
            raise UserError(
                f"{path}.correct.npy does not hold a bit for each test image: delete the record and make it anew."
            ) from None
    return correct


# -- files -------------------------------------------------------------------------------------------------------------


def read_table(path: Path) -> pd.DataFrame:
    """A table as it was written: text stays text (missing: empty), an empty number is nan. Raises `UserError` if it is none of ours."""
    text = _read(path)
    header = list(pd.read_csv(io.StringIO(text), nrows=0).columns)
    kinds = {name: is_text(path.name, name) for name in header}
    for name in [name for name, kind in kinds.items() if kind is None]:
        raise UserError(f"{path} has a column {name!r} that no table of this version has: {AGAIN}.")
    words = [name for name in header if kinds[name]]
    missing = {name: [""] for name in header if not kinds[name]}
    table = pd.read_csv(io.StringIO(text), dtype=dict.fromkeys(words, str), keep_default_na=False, na_values=missing)
    for name in missing if len(table) else ():
        if not pd.api.types.is_numeric_dtype(table[name]):  # bool counts as such
            raise UserError(f"{path} holds something that is not a number in its column {name!r}: {AGAIN}.")
    return table


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV: utf-8, one line feed a row, each float in its shortest form that reads back the same."""
    write_atomically(path, table.to_csv(index=False, lineterminator="\n").encode())


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} is not there: run `snakemake` with this study to make it.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not text: {AGAIN}.") from None
