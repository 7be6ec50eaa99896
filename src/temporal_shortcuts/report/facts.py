"""What a study's tables say, as facts for its texts: which claim holds, which control differs, what the 10 % was.

No sentence is written here and no number: each fact is picked or averaged from the tables, so that a text cannot say more than
they do. Rows are plain mappings; differences in points, accuracies as fractions.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from temporal_shortcuts.analysis import choice, costs
from temporal_shortcuts.analysis.endpoints import of_runs
from temporal_shortcuts.analysis.statistics import LEVEL, SMALLEST_N, deciding_difference, pairs_needed
from temporal_shortcuts.analysis.tables import Tables, read_sidecar
from temporal_shortcuts.analysis.varied import STATEMENTS, judged_level
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.report.wording import VERDICTS, averaged_epochs
from temporal_shortcuts.study import Study, Variant, published
from temporal_shortcuts.study.columns import WITH_CARRY
from temporal_shortcuts.study.kinds import KINDS
from temporal_shortcuts.study.outputs import carry_variants, explained_variants, null_arms, varied_file
from temporal_shortcuts.study.varied import Series, varied

Row = dict[str, Any]

FULL_PROTOCOL_SD = 0.15
"""Points: standard deviation of test accuracy over seeds in 60,000 full-size CIFAR-10 trainings (Jordan, ICLR 2024)."""
CONTROLS = ("null_arm", *(name for name, kind in KINDS.items() if kind.role == "control"))
CHANCE = {"cifar10": 0.1, "digits": 0.1}
"""The share of the test set's largest class, for sources whose classes are known without the tables."""


def claims_of(study: Study, tables: Tables) -> list[Row]:
    """The claims in the study's order, each with the endpoint that it is about."""
    return [row | {"endpoint": row.get("endpoint") or study.endpoint} for row in rows_of(tables.claims)]


def by_verdict(study: Study, tables: Tables) -> dict[str, list[Row]]:
    """The claims, by verdict, in the study's order; those with too few seeds for a test are `untested`, not undecided."""
    claims = claims_of(study, tables)
    found = {word: [row for row in claims if row["verdict"] == word] for word in VERDICTS}
    found["untested"] = [row for row in found["undecided"] if is_untested(row)]
    found["undecided"] = [row for row in found["undecided"] if not is_untested(row)]
    return found


def by_origin(study: Study, tables: Tables) -> list[Row]:
    """`by_verdict`, first for the claims that are `published` and then for those that the study adds, if there are any; `n` of each."""
    found, parts = by_verdict(study, tables), []
    for from_report in (True, False):
        own = {word: [row for row in rows if bool(row["published"]) == from_report] for word, rows in found.items()}
        parts.append({"published": from_report, "verdicts": own, "n": sum(map(len, own.values()))})
    return [part for part in parts if part["n"]]


def reversed_at_primary(study: Study, tables: Tables) -> list[Row]:
    """Significant comparisons at the primary endpoint that say the opposite of a supported claim that another endpoint decided."""
    rows = {(row["variant"], row["against"]): row for row in primary(study, tables) if row["decided"]}
    found = []
    for claim in claims_of(study, tables):
        if (
            claim["endpoint"] != study.endpoint
            and claim["test"] in ("better", "best_of")
            and claim["verdict"] == "supported"
        ):
            for rival in claim["than"].split(", "):
                there, back = rows.get((claim["variant"], rival)), rows.get((rival, claim["variant"]))
                found += [row for row, sign in ((there, 1), (back, -1)) if row and sign * row["mean_difference"] < 0]
    return found


def is_untested(row: Mapping[str, Any]) -> bool:
    """Whether a claim or a comparison has too few seeds for a test."""
    return bool(row["n"] < row.get("smallest_n", SMALLEST_N))


def is_decided(comparison: Mapping[str, Any]) -> bool:
    """Whether a comparison is significant after Holm's correction, with enough seeds for a verdict."""
    return bool(comparison["p_holm"] <= LEVEL and comparison["n"] >= SMALLEST_N)


def primary(study: Study, tables: Tables) -> list[Row]:
    """The comparisons at the primary endpoint, each with whether it `is_decided`, or is not by Holm's correction alone.

    Their `published_difference` is missing where the report ran something else.
    """
    rows = rows_of(tables.comparisons[tables.comparisons["endpoint"] == study.endpoint])
    for row in rows:
        row |= {"decided": is_decided(row), "corrected_away": _corrected_away(row), "untested": is_untested(row)}
        row["published_difference"] = published.difference(study, row["variant"], row["against"])
    return rows


def _corrected_away(comparison: Mapping[str, Any]) -> bool:
    """Whether the interval by itself leaves out zero, but Holm's p does not."""
    return bool(comparison["p_holm"] > LEVEL and (comparison["t_low"] > 0 or comparison["t_high"] < 0))


def decidable(study: Study, tables: Tables) -> Row:
    """What the comparisons, corrected together, could decide: `family`, their number, the fewest pairs `n` of one, and `deviations`.

    So many standard deviations of its differences the first of the family must be away from 0 to be significant.
    """
    family = [row for row in primary(study, tables) if not row["null_arm"]]
    n = min((row["n"] for row in family), default=0)
    enough = n >= SMALLEST_N
    return {"family": len(family), "n": n} | {
        "deviations": deciding_difference(n, LEVEL / len(family)) if enough else math.nan
    }


def winner(study: Study, tables: Tables) -> Row | None:
    """The comparison of the temporal shortcut that the report found best, if it found one better than its benchmark."""
    rows = [
        row
        for row in primary(study, tables)
        if row["published_difference"] > 0 and study.variants[row["variant"]].shortcut
    ]
    return max(rows, key=lambda row: row["published_difference"], default=None)


def answer(study: Study, tables: Tables) -> Row | None:
    """What the study says to its question, does a temporal shortcut help: a comparison, with a claim's `verdict` on it.

    It is the winner's. Without a claim that this is better, the verdict is that of the comparison: supported, contradicted or
    undecided. Where the report found no winner among the variants, it is that of the first shortcut that the study itself claims to
    be better.
    """
    best = winner(study, tables)
    rows = {(row["variant"], row["against"]): row for row in ([best] if best else primary(study, tables))}
    for claim in claims_of(study, tables):
        row = rows.get((claim["variant"], claim["than"]))
        if row and claim["test"] == "better" and claim["endpoint"] == study.endpoint and (best or _asks(study, claim)):
            return row | {"verdict": claim["verdict"], "claim": claim}
    if best is None:
        return None
    decided = "supported" if best["mean_difference"] > 0 else "contradicted"
    return best | {"verdict": decided if best["decided"] else "undecided", "claim": None}


def _asks(study: Study, claim: Mapping[str, Any]) -> bool:
    """Whether a claim of the study's own compares a temporal shortcut that is no control with a variant that has none."""
    shortcut = study.variants[claim["variant"]].shortcut
    is_candidate = shortcut is not None and KINDS[shortcut.kind].role == "shortcut"
    return is_candidate and not claim["published"] and study.variants[claim["than"]].shortcut is None


def chosen(study: Study, tables: Tables) -> Row | None:
    """What an exploring study hands on to be confirmed: the candidate's comparison, with what the choice says of it.

    `bound` is what the rule went by, `equal` are candidates that did as well, and `candidates` is their number. Of these, `better` and
    `worse` differ significantly from the benchmark, `below` have a 95 % interval below 0 and `above` a mean above it. None where
    nothing is to be confirmed, or nothing can be chosen yet.
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
        "bound": found.low,
        "equal": found.equal,
        "candidates": len(candidates),
        "better": signs[True],
        "worse": signs[False],
        "below": sum(row["t_high"] < 0 for row in candidates),
        "above": sum(row["mean_difference"] > 0 for row in candidates),
    }


def null_arm(study: Study, tables: Tables, beside: Row) -> Row | None:
    """The null arm that leaves the same reference at the same onset as a comparison's variant: what no effect looks like there.

    Of several, one whose images come in another order: it differs in all that chance decides, not in one bit.
    """
    onset = study.variants[beside["variant"]].onset
    arms = [
        (study.variants[row["variant"]], row)
        for row in primary(study, tables)
        if row["null_arm"] and row["against"] == beside["against"]
    ]
    same = [
        (arm.shortcut is not None and arm.shortcut.kind != "fresh_order", row)
        for arm, row in arms
        if arm.onset == onset
    ]
    return min(same, key=lambda one: one[0])[1] if same else None


def controls(study: Study, tables: Tables) -> list[Row]:
    """The comparisons of the null arm and of the controls; the null arm's is decided by its own t interval."""
    rows = [row | {"kind": study.variants[row["variant"]].kind} for row in primary(study, tables)]
    for row in rows:
        if row["kind"] == "null_arm":
            row["decided"] = is_decided(row | {"p_holm": row["p_t"]})
    return [row for row in rows if row["kind"] in CONTROLS]


def rescheduled(study: Study, tables: Tables) -> list[Row]:
    """The comparisons of variants whose learning rate follows another schedule than the protocol's, with its `schedule_epochs`."""
    usual = study.protocol.schedule_epochs
    rows = [
        row | {"schedule_epochs": study.variants[row["variant"]].settings.schedule_epochs}
        for row in primary(study, tables)
    ]
    return [row for row in rows if row["schedule_epochs"] != usual]


def late(study: Study, tables: Tables) -> list[Row]:
    """The comparisons of published kinds of shortcut that begin late."""
    kinds = [row for row in primary(study, tables) if study.variants[row["variant"]].kind not in CONTROLS]
    return [row for row in kinds if study.variants[row["variant"]].is_late]


def full_protocol(study: Study, tables: Tables) -> Row | None:
    """Pairs that the full protocol would need for the report's winner, without correlation and with the one measured here."""
    best = winner(study, tables)
    if best is None:
        return None
    correlation, sd = best["pair_correlation"], FULL_PROTOCOL_SD * math.sqrt(2)
    measured = math.isfinite(correlation)
    narrowed = sd * math.sqrt(1 - min(max(correlation, 0.0), 0.99)) if measured else sd
    return best | {
        "sd": FULL_PROTOCOL_SD,
        "flop": published.FLOP,
        "unpaired": pairs_needed(best["published_difference"], sd),
        "paired": pairs_needed(best["published_difference"], narrowed) if measured else None,
    }


# -- why ---------------------------------------------------------------------------------------------------------------

WAYS = ("averaged", "averaged_with_carry", "re_estimated")
"""The endpoints that evaluate the same averaged weights: as trained, with the carry left on, with statistics re-estimated."""


def mechanism(study: Study, tables: Tables) -> list[Row]:
    """For each of `explained_variants` its comparison by each of `WAYS`, `training`, and what follows from them, the `outcome`.

    `training` is the mean difference of the training accuracy over the last epochs, in points. `outcome` is `none` where evaluation
    as trained shows no difference; else `carry` where the one with the carry left on is negligible (or, without a margin, its interval
    holds 0), `statistics` where that holds 0 with statistics re-estimated, `partly` where it is only smaller then, and `weights`.
    """
    rows = []
    for name in explained_variants(study):
        variant = study.variants[name]
        own = tables.comparisons[tables.comparisons["variant"] == name]
        by_way = {row["endpoint"]: row for row in rows_of(own) if row["endpoint"] in WAYS}
        rows.append(
            {"variant": name, "against": variant.reference.name, "n": by_way["averaged"]["n"]}
            | by_way
            | {"training": _training_difference(study, tables, name), "outcome": _why(study.margin, by_way)}
        )
    return rows


def _training_difference(study: Study, tables: Tables, name: str) -> float:
    last = tables.metrics[tables.metrics["epoch"] > study.epochs - averaged_epochs(study)]
    seeds = last.groupby(["variant", "seed"])["train_accuracy"].mean()
    return float(100 * (seeds[name] - seeds[study.variants[name].reference.name]).dropna().mean())


def _why(margin: float | None, by_way: Mapping[str, Row]) -> str:
    trained, carried, estimated = (by_way[way] for way in WAYS)
    holds_0 = {way: row["t_low"] <= 0 <= row["t_high"] for way, row in by_way.items()}
    if holds_0["averaged"]:
        return "none"
    within = -margin < carried["t_low"] and carried["t_high"] < margin if margin else holds_0["averaged_with_carry"]
    if within:
        return "carry"
    if holds_0["re_estimated"]:
        return "statistics"
    return "partly" if abs(estimated["mean_difference"]) < abs(trained["mean_difference"]) else "weights"


# -- the carry at evaluation -------------------------------------------------------------------------------------------


def chance(study: Study, tables: Tables) -> float | None:
    """What guessing the test set's largest class gets right, a fraction, where it is known."""
    if "chance" in tables.summary and tables.summary["chance"].notna().any():
        return float(tables.summary["chance"].max())
    return CHANCE.get(study.data.source)


def chance_limit(study: Study, tables: Tables) -> float | None:
    """The accuracy up to which a network counts as stuck at chance: of the study's first claim that has one.

    Otherwise a ninth of the way from chance to 100 %, which is 20 % of ten equal classes. None where chance is not known.
    """
    limits = [claim.threshold for claim in study.claims if claim.test == "fails_to_converge"]
    level = chance(study, tables)
    if level is not None:
        limits.append(level + (1 - level) / 9)
    return limits[0] if limits else None


def carried(study: Study, tables: Tables) -> list[Row]:
    """For each variant evaluated with its carry too: accuracies over the last epochs, and what they amount to.

    `highest` is the highest training accuracy of an epoch, averaged over the seeds, and `highest_epoch` that epoch.
    `outcome` is `learns`, `stuck` (its training accuracy stays at chance too), `misled` (stuck only without the carry it learned
    with), `lost` (learns in training, stuck in evaluation either way), `mixed` where the seeds do not agree, or `unknown` where
    chance is not known.
    """
    limit, rows = chance_limit(study, tables), []
    last = tables.metrics[tables.metrics["epoch"] > study.epochs - averaged_epochs(study)]
    for name in carry_variants(study):
        seeds = last[last["variant"] == name].groupby("seed")[["train_accuracy", "test_accuracy", WITH_CARRY]].mean()
        own = tables.metrics[tables.metrics["variant"] == name]
        training = own.groupby("epoch")["train_accuracy"].mean()
        rows.append(
            {"variant": name, "against": study.variants[name].reference.name, "n": len(seeds)}
            | {column: float(seeds[column].mean()) for column in seeds}
            | {"highest": float(training.max()), "highest_epoch": int(training.idxmax())}
            | {"accounting": study.variants[name].accounting, "outcome": _agreed(seeds.to_numpy(), limit)}
        )
    return rows


def _agreed(seeds: Iterable[Iterable[float]], limit: float | None) -> str:
    """The outcome in which all seeds agree, from train, test and test accuracy with the carry of each."""
    if limit is None:
        return "unknown"
    outcomes = {_outcome(*(float(value) > limit for value in seed)) for seed in seeds}
    return outcomes.pop() if len(outcomes) == 1 else "mixed"


def _outcome(train: bool, test: bool, with_carry: bool) -> str:
    if test:
        return "learns"
    if not train:
        return "stuck"
    return "misled" if with_carry else "lost"


def accountings(study: Study, tables: Tables) -> list[Row]:
    """The two accountings of epoch_res side by side on each network, and where the 10 % comes from: `cause`.

    `cause` is `slip` (only the published accounting fails), `idea` (both fail), `neither`, `odd` (only the corrected one fails) or
    `mixed`. To fail is to stay at chance in evaluation.
    """
    rows = [row for row in carried(study, tables) if row["outcome"] != "unknown"]
    causes = {(False, True): "slip", (True, True): "idea", (False, False): "neither", (True, False): "odd"}
    pairs = []
    for corrected in [row for row in rows if row["accounting"] == "corrected"]:
        for slipped in [row for row in rows if row["accounting"] == "published"]:
            if slipped["against"] == corrected["against"]:
                outcomes = corrected["outcome"], slipped["outcome"]
                cause = "mixed" if "mixed" in outcomes else causes[tuple(one != "learns" for one in outcomes)]
                pairs.append({"corrected": corrected, "published": slipped, "cause": cause})
    return pairs


def unexplained(study: Study, tables: Tables) -> list[Row]:
    """Summaries of variants that end at chance by the slip, but had better epochs, although the report's best one is at chance."""
    limit, summaries = chance_limit(study, tables), {row["variant"]: row for row in rows_of(tables.summary)}
    slips = [pair["published"]["variant"] for pair in accountings(study, tables) if pair["cause"] == "slip"]
    return [row for name in slips if (row := summaries[name])["published"] <= limit < row["best_mean"]]


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
    """The mean accuracies that a claim compares, its variant's first: over the seeds that the variant has in common with a rival."""
    runs = tables.runs.assign(value=of_runs(tables.runs, claim["endpoint"]))
    values = runs.pivot(index="seed", columns="variant", values="value")
    variant, rivals = claim["variant"], [name for name in claim["than"].split(", ") if name]
    common = values[[variant, *rivals]].dropna()
    return [{"variant": name, "mean": float(common[name].mean())} for name in common]


def endpoints(study: Study, tables: Tables) -> list[str]:
    """The endpoints that the tables hold, the primary one first."""
    names = [name.removesuffix("_mean") for name in tables.summary.columns if name.endswith("_mean")]
    return sorted(names, key=lambda name: name != study.endpoint)


def numbers_varied(study: Study, tables: Tables) -> list[Row]:
    """Each number that the study varies: its `key`, `series`, and for each of these its `rows`, one a variant.

    A row has the variant's `value`, the `mean` and `sd` of its accuracy at the primary endpoint and of `last5`, with `n`, and by measure
    (`first_epoch`, at the level that is judged, `swing`, `gap`, `train_accuracy`) the row of the table. A series has the rows that are
    `best` and `best_last5` by these means. `judged` are the rows with an outcome.
    """
    found = []
    for key, series in varied(study).items():
        table = tables.varied[key]
        parts = [_series_facts(study, tables, one) for one in series]
        judged = [row for row in rows_of(table) if row["outcome"]]
        statements = {row["statement"]: row for row in judged if row["statement"]}
        found.append(
            {"key": key, "file": varied_file(key, ".csv"), "figure": varied_file(key, ".svg"), "series": parts}
            | {"statements": [statements[name] for name in STATEMENTS if name in statements]}
            | {"judged": [row for row in judged if not row["statement"]]}
        )
    return found


def _series_facts(study: Study, tables: Tables, series: Series) -> Row:
    table, summary = tables.varied[series.key], tables.summary.set_index("variant")
    level = judged_level(table, series.reference)
    rows = []
    for name in series.names:
        own = table[table["variant"] == name]
        measures = {row["measure"]: row for row in rows_of(own[own["level"].isna() | (own["level"] == level)])}
        accuracy = {
            "mean": summary.loc[name, f"{study.endpoint}_mean"],
            "sd": summary.loc[name, f"{study.endpoint}_sd"],
            "last5": {key: summary.loc[name, f"last5_{key}"] for key in ("mean", "sd")},
        }
        rows.append(
            {"variant": name, "value": series.values.get(name), "n": summary.loc[name, "n"]} | accuracy | measures
        )
    best = {
        "best": max(rows, key=lambda row: row["mean"]),
        "best_last5": max(rows, key=lambda row: row["last5"]["mean"]),
    }
    return {"common": series.common, "reference": series.reference, "level": level, "rows": rows} | best


def decision_costs(tables: Tables) -> Row | None:
    """What it takes to find the `difference`, in points: for each of `designs` (reference, design, df) and endpoint a row of the table.

    `textbook` is the row of the report's way, and `least` that of the fewest epochs.
    """
    if tables.decision_cost is None:
        return None
    rows = rows_of(tables.decision_cost)
    return _by_endpoint(rows, ("reference", "design", "df")) | {
        "difference": rows[0]["difference"],
        "textbook": next(row for row in rows if (row["endpoint"], row["design"]) == costs.TEXTBOOK),
        "least": min(rows, key=lambda row: row["epochs"]),
    }


def chance_shares(study: Study, tables: Tables) -> Row | None:
    """The share of the variance that lies within a seed: for each of `designs`, a trunk's null `arm`, and endpoint a row of the table."""
    if tables.variance is None:
        return None
    rows = rows_of(tables.variance)
    for row in rows:
        trunk = row["reference"], row["kind"], row["onset"]
        row["arm"] = next(name for name in null_arms(study) if _trunk(study.variants[name]) == trunk)
    return _by_endpoint(rows, ("arm",))


def _trunk(arm: Variant) -> tuple[str, str, int]:
    assert arm.shortcut is not None
    return arm.reference.name, arm.shortcut.kind, arm.shortcut.onset


def _by_endpoint(rows: list[Row], columns: tuple[str, ...]) -> Row:
    """Rows of a table arranged as `endpoints` (name -> a row for each design) and `designs` (what the columns say)."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["endpoint"], []).append(row)
    return {"endpoints": found, "designs": list(dict.fromkeys(tuple(row[key] for key in columns) for row in rows))}


def rows_of(table: Any) -> list[Row]:
    """A table's rows as mappings, in order."""
    return table.to_dict("records")
