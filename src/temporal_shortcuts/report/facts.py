"""What a study's generated texts and figures show of its tables: rows picked from them, or means of what stands there.

No sentence is written here. Rows are plain mappings; differences in points, accuracies as fractions.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from temporal_shortcuts.analysis import choice
from temporal_shortcuts.analysis.endpoints import of_runs
from temporal_shortcuts.analysis.moderation import WORDS as VARIANCES  # noqa: F401 (for templates)
from temporal_shortcuts.analysis.statistics import LEVEL, SMALLEST_N
from temporal_shortcuts.analysis.tables import Tables, read_sidecar
from temporal_shortcuts.analysis.varied import STATEMENTS, judged_level
from temporal_shortcuts.analysis.verdicts import VERDICTS, why_not_tested
from temporal_shortcuts.analysis.verdicts import cannot_be_planned as cannot_be_planned
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.report.numbers import percent, points
from temporal_shortcuts.report.wording import averaged_epochs
from temporal_shortcuts.study import Study, published
from temporal_shortcuts.study.columns import WITH_CARRY
from temporal_shortcuts.study.endpoints import CONTRASTS
from temporal_shortcuts.study.kinds import KINDS
from temporal_shortcuts.study.outputs import carry_variants, explained_variants
from temporal_shortcuts.study.varied import varied

Row = dict[str, Any]


def claims_of(study: Study, tables: Tables) -> list[Row]:
    """The claims in the study's order, each with the endpoint that it is about."""
    return [row | {"endpoint": row.get("endpoint") or study.endpoint} for row in rows_of(tables.claims)]


def by_verdict(study: Study, tables: Tables) -> dict[str, list[Row]]:
    """The claims, by verdict, in the study's order; those that were not tested are `untested`, not undecided."""
    found: dict[str, list[Row]] = {word: [] for word in (*VERDICTS, "untested")}
    for row in claims_of(study, tables):
        found["untested" if why_not_tested(row) else row["verdict"]].append(row)
    return found


def reversed_at(study: Study, tables: Tables, claim: Row) -> list[Row]:
    """Significant comparisons at the primary endpoint that say the opposite of a supported claim that another endpoint decided."""
    if (
        claim["endpoint"] == study.endpoint
        or claim["test"] not in ("better", "best_of")
        or claim["verdict"] != "supported"
    ):
        return []
    rows = {(row["variant"], row["against"]): row for row in primary(study, tables) if row["decided"]}
    found = []
    for rival in claim["than"].split(", "):
        there, back = rows.get((claim["variant"], rival)), rows.get((rival, claim["variant"]))
        found += [row for row, sign in ((there, 1), (back, -1)) if row and sign * row["mean_difference"] < 0]
    return found


def is_decided(comparison: Mapping[str, Any]) -> bool:
    """Whether a comparison is significant after Holm's correction, with enough seeds for a verdict."""
    return bool(comparison["p_holm"] <= LEVEL and comparison["n"] >= SMALLEST_N)


def primary(study: Study, tables: Tables) -> list[Row]:
    """The comparisons at the primary endpoint, each with whether it `is_decided`, or has too few seeds for a test.

    Their `published_difference` is missing where the report ran something else.
    """
    rows = rows_of(tables.comparisons[tables.comparisons["endpoint"] == study.endpoint])
    for row in rows:
        row |= {"decided": is_decided(row), "untested": why_not_tested(row)}
        row["published_difference"] = published.difference(study, row["variant"], row["against"])
    return rows


def main_claim(study: Study, tables: Tables) -> Row | None:
    """The claim that a study's headline is about: the first that a temporal shortcut, no control, beats a variant without; else the first.

    With it the paired difference `beside` at each other endpoint that says something of its own, and the A/A control.
    """
    claims = claims_of(study, tables)
    main = next((row for row in claims if row["test"] == "better" and _asks(study, row)), None)
    main = main or next(iter(claims), None)
    if main is None or main["test"] in ("best_of", "fails_to_converge"):
        return main and main | {"beside": [], "control": None}
    rows = {
        row["endpoint"]: row
        for row in rows_of(tables.comparisons)
        if (row["variant"], row["against"]) == (main["variant"], main["than"])
    }
    beside = [rows[name] for name in BESIDE if name in rows and name != main["endpoint"]]
    return main | {"beside": beside, "control": null_arm(study, tables, main["variant"], main["than"])}


def _asks(study: Study, claim: Mapping[str, Any]) -> bool:
    """Whether a claim compares a temporal shortcut that is no control with a variant that has none."""
    shortcut = study.variants[claim["variant"]].shortcut
    is_candidate = shortcut is not None and KINDS[shortcut.kind].role == "shortcut"
    return is_candidate and study.variants[claim["than"]].shortcut is None


def chosen(study: Study, tables: Tables) -> Row | None:
    """What an exploring study hands on to be confirmed: the candidate's comparison, and how many `candidates` it was chosen from.

    Of these, `better` and `worse` differ significantly from the baseline. None where nothing is to be confirmed, or nothing can be
    chosen yet.
    """
    if study.confirm is None:
        return None
    try:
        found = choice.choose(study, tables.comparisons)
    except UserError:
        return None
    rows = {row["variant"]: row for row in primary(study, tables)}
    candidates = [rows[one.name] for one in study.candidates]
    signs = Counter(row["mean_difference"] > 0 for row in candidates if row["decided"])
    return rows[found.variant.name] | {
        "candidates": len(candidates),
        "better": signs[True],
        "worse": signs[False],
    }


def null_arm(study: Study, tables: Tables, variant: str, reference: str) -> Row | None:
    """The A/A control that leaves the same reference at the same onset as a variant: what no effect looks like there.

    Of several, one whose images come in another order: it differs in all that chance decides, not in one bit.
    """
    onset = study.variants[variant].onset
    arms = [
        (study.variants[row["variant"]], row)
        for row in primary(study, tables)
        if row["null_arm"] and row["against"] == reference
    ]
    same = [
        (arm.shortcut is not None and arm.shortcut.kind != "fresh_order", row)
        for arm, row in arms
        if arm.onset == onset
    ]
    return min(same, key=lambda one: one[0])[1] if same else None


# -- why ---------------------------------------------------------------------------------------------------------------

BESIDE = ("averaged", "re_estimated", "best")
"""The endpoints that a headline shows beside its own: as trained, recalibrated, and the report's measure."""
WAYS = ("averaged", "averaged_with_carry", "re_estimated")
"""The endpoints that evaluate the same averaged weights: as trained, with the carry left on, with statistics re-estimated."""


def mechanism(study: Study, tables: Tables) -> list[Row]:
    """For each of `explained_variants` its comparison by each of `WAYS`, and `training`.

    `training` is the mean difference of the training accuracy over the last epochs, in points.
    """
    rows = []
    for name in explained_variants(study):
        variant = study.variants[name]
        own = tables.comparisons[tables.comparisons["variant"] == name]
        by_way = {row["endpoint"]: row for row in rows_of(own) if row["endpoint"] in WAYS}
        rows.append(
            {"variant": name, "against": variant.reference.name, "n": by_way["averaged"]["n"]}
            | by_way
            | {"training": _training_difference(study, tables, name)}
        )
    return rows


def _training_difference(study: Study, tables: Tables, name: str) -> float:
    last = tables.metrics[tables.metrics["epoch"] > study.epochs - averaged_epochs(study)]
    seeds = last.groupby(["variant", "seed"])["train_accuracy"].mean()
    return float(100 * (seeds[name] - seeds[study.variants[name].reference.name]).dropna().mean())


# -- the carry at evaluation -------------------------------------------------------------------------------------------


def carried(study: Study, tables: Tables) -> list[Row]:
    """For each variant evaluated with its carry too its accuracies over the last epochs, means over the seeds.

    `highest` is the highest training accuracy of an epoch, averaged over the seeds, and `highest_epoch` that epoch.
    """
    rows = []
    last = tables.metrics[tables.metrics["epoch"] > study.epochs - averaged_epochs(study)]
    for name in carry_variants(study):
        seeds = last[last["variant"] == name].groupby("seed")[["train_accuracy", "test_accuracy", WITH_CARRY]].mean()
        own = tables.metrics[tables.metrics["variant"] == name]
        training = own.groupby("epoch")["train_accuracy"].mean()
        rows.append(
            {"variant": name, "against": study.variants[name].reference.name, "n": len(seeds)}
            | {column: float(seeds[column].mean()) for column in seeds}
            | {"highest": float(training.max()), "highest_epoch": int(training.idxmax())}
        )
    return rows


# -- where the records come from ---------------------------------------------------------------------------------------


def environments(study: Study, folder: Path) -> tuple[list[Row], int]:
    """The environments of all records, most frequent first, each with its number of `runs`; and how many runs mixed them by force."""
    count: Counter[str] = Counter()
    forced = 0
    for run in study.runs:
        sidecar = read_sidecar(folder, run)
        forced += bool(sidecar["forced"])
        count.update(json.dumps(environment, sort_keys=True) for environment in sidecar["environments"])
    ordered = sorted(count.items(), key=lambda item: (-item[1], item[0]))
    return [json.loads(environment) | {"runs": runs} for environment, runs in ordered], forced


def means(study: Study, tables: Tables, claim: Mapping[str, Any]) -> list[Row]:
    """The means that a claim compares, as shown too, its variant's first: over the seeds that all of them have."""
    runs = tables.runs.assign(value=of_runs(tables.runs, claim["endpoint"]))
    values = runs.pivot(index="seed", columns="variant", values="value")
    variant, rivals = claim["variant"], [name for name in claim["than"].split(", ") if name]
    common = values[[variant, *rivals]].dropna()
    rows = [{"variant": name, "mean": float(common[name].mean())} for name in common]
    is_contrast = claim["endpoint"] in CONTRASTS  # in points, since it is no accuracy
    return [row | {"shown": points(100 * row["mean"]) if is_contrast else percent(row["mean"])} for row in rows]


def endpoints(study: Study, tables: Tables) -> list[str]:
    """The endpoints that the tables hold, the primary one first."""
    names = [name.removesuffix("_mean") for name in tables.summary.columns if name.endswith("_mean")]
    return sorted(names, key=lambda name: name != study.endpoint)


def numbers_varied(study: Study, tables: Tables) -> list[Row]:
    """Each number that the study varies: its `key`, its `series` if that is the only one, and the `statements` that are judged of it.

    `measures` has the rows of the table by variant and measure, of the first epochs those at the `level` that is judged.
    """
    found = []
    for key, series in varied(study).items():
        table, one = tables.varied[key], series[0]
        level = judged_level(table, one.reference)
        shown = rows_of(table[table["level"].isna() | (table["level"] == level)])
        statements = {row["statement"]: row for row in rows_of(table) if row["outcome"] and row["statement"]}
        found.append(
            {
                "key": key,
                "series": one if len(series) == 1 else None,
                "level": level,
                "measures": {(row["variant"], row["measure"]): row for row in shown},
                "statements": [statements[name] for name in STATEMENTS if name in statements],
            }
        )
    return found


def rows_of(table: Any) -> list[Row]:
    """A table's rows as mappings, in order."""
    return table.to_dict("records")
