"""Which candidate of an exploring study is confirmed, and the study that confirms it: a rule, so that no hand chooses.

The rule (`RULE`) looks at comparisons.csv alone. What the confirming study has beside the chosen candidate, the exploring one declares
beforehand (`confirm` in its file): fresh seeds, and the schedules. It is evaluated on the test images.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd
import yaml
from scipy import special

from temporal_shortcuts.analysis.statistics import LEVEL, SMALLEST_N
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import Study, Variant, resolve
from temporal_shortcuts.study.declared import Data, Protocol, Settings, StudyKeys
from temporal_shortcuts.study.model import plain
from temporal_shortcuts.study.outputs import CONFIRMING

RULE = (
    "Of all variants that are the benchmark with a temporal shortcut (apart from controls, null arms and what a claim of the study "
    "names), the one whose paired difference from the benchmark has the highest lower bound, at the study's endpoint on its validation "
    "images; of equal ones the first by {ties}. The bound is the lower end of the 95 % t interval with the standard deviation pooled "
    "over all these variants: it ranks them, and nothing is concluded from it."
)
TIES = {"spread": "the standard deviation of its own differences, and then by name", "name": "name"}


@dataclass(frozen=True)
class Choice:
    """A candidate and its paired difference from the benchmark on validation images, in points."""

    variant: Variant
    n: int
    mean: float
    low: float
    """What ranks: a standard deviation that is pooled over candidates of all kinds covers none of them in particular."""
    among: int
    """How many candidates there were."""
    equal: tuple[str, ...]
    """Those whose bound is the same, and that come later."""


def choose(study: Study, comparisons: pd.DataFrame) -> Choice:
    """What `RULE` chooses from comparisons.csv. Raises `UserError` where no candidate has enough pairs of seeds for a test.

    A candidate's own standard deviation, from three seeds, is small by chance for some of many: with it the choice would be worse
    (docs/statistics.md has how much).
    """
    names = [variant.name for variant in study.candidates]
    rows = comparisons[(comparisons["endpoint"] == study.endpoint) & comparisons["variant"].isin(names)]
    rows = rows[rows["n"] >= SMALLEST_N]
    if rows.empty:
        raise UserError(
            f"{study.name}: none of its {len(names)} candidates has {SMALLEST_N} pairs of seeds with the benchmark, which a choice "
            "needs; give the study more seeds."
        )
    freedom = rows["n"] - 1
    pooled = math.sqrt((freedom * rows["sd_difference"] ** 2).sum() / freedom.sum())
    reach = float(special.stdtrit(freedom.sum(), 1 - LEVEL / 2)) * pooled / rows["n"] ** 0.5
    rows = rows.assign(low=rows["mean_difference"] - reach)
    ties = ["variant"] if study.confirm and study.confirm.ties == "name" else ["sd_difference", "variant"]
    best, *others = rows.sort_values(["low", *ties], ascending=[False, *(True for _ in ties)]).to_dict("records")
    equal = tuple(row["variant"] for row in others if row["low"] == best["low"])
    return Choice(study.variants[best["variant"]], best["n"], best["mean_difference"], best["low"], len(names), equal)


def confirming(study: Study, comparisons: pd.DataFrame, data: Mapping[str, Any]) -> str:
    """The file of the study that confirms the choice, as YAML. `data` is the exploring study's, with where to get it.

    Raises `UserError` where nothing can be chosen, or where what comes out is no valid study.
    """
    choice = choose(study, comparisons)
    declared = _declared(study, choice.variant, data)
    resolve(declared)
    assert study.confirm is not None
    rule = RULE.format(ties=TIES[study.confirm.ties])
    said = (
        f"{CONFIRMING.removeprefix('# ')} from results/{study.name}/comparisons.csv, and made again by `make tables`: do not edit it, but "
        f"the study {study.name}. {rule}"
    )
    found = (
        f"Chosen of {choice.among}: {choice.variant.name}, with a difference of {choice.mean:+.2f} points, n = "
        f"{choice.n}, at the endpoint {study.endpoint}."
    ) + (f" Its bound is also that of {', '.join(choice.equal)}." if choice.equal else "")
    head = "\n#\n".join(textwrap.fill(text, 120, initial_indent="# ", subsequent_indent="# ") for text in (said, found))
    body = yaml.safe_dump(declared, sort_keys=False, allow_unicode=True, width=120, default_flow_style=None)
    return f"{head}\n{body}"


def _declared(study: Study, candidate: Variant, data: Mapping[str, Any]) -> dict[str, Any]:
    """The confirming study: the benchmark and the candidate with each schedule, and a claim for each."""
    confirm, benchmark = study.confirm, study.variants[study.benchmark]
    if confirm is None:
        raise UserError(f"{study.name}: it does not say how it is confirmed; add the key confirm to its file.")
    own = benchmark.settings.schedule_epochs
    variants: dict[str, Any] = {}
    claims = []
    for schedule in confirm.schedules or [own]:
        suffix = "" if schedule == own else f"-schedule-{schedule}"
        names = [f"{variant.name}{suffix}" for variant in (benchmark, candidate)]
        settings = benchmark.settings.model_copy(update={"schedule_epochs": schedule})
        changed = _changed(settings, study.protocol)
        shortcut = plain(candidate.shortcut)
        variants[names[0]] = changed | {"against": None}
        variants[names[1]] = changed | {"against": names[0], "shortcut": shortcut}
        claims.append({"id": f"gain{suffix}", "test": "better", "variant": names[1], "than": names[0]})
    kept = {key: data[key] for key in sorted(Data.model_fields.keys() & data.keys()) if data[key] is not None}
    del kept["validation_per_class"]
    defaults = {key: StudyKeys.model_fields[key].default for key in ("endpoint", "margin", "tolerance")}
    return {
        "study": confirm.study,
        "title": confirm.title or f"What did best in {study.name}, on fresh seeds and the test images",
        "data": kept | {"checksum": confirm.checksum},
        "protocol": _changed(study.protocol, Protocol()),
        **{key: getattr(study, key) for key in defaults if getattr(study, key) != defaults[key]},
        "seeds": confirm.seeds,
        "variants": variants,
        "claims": claims,
    }


def _changed(ours: Settings, theirs: Settings) -> dict[str, Any]:
    """The settings in which ours differ, those at a default too, sorted by key."""
    usual = theirs.model_dump()
    return {key: value for key, value in sorted(ours.model_dump().items()) if usual[key] != value}
