"""A plan from a pilot: how many more seeds each undecided claim needs, which runs these are, and what they cost.

The sizes are those of claims.csv: seeds that would decide with 80 % probability if the truth were as the pilot saw it, or, where two
are claimed to be equal, if they are. New runs of one seed share their epochs as the workflow trains them.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from temporal_shortcuts.analysis.costs import DIFFERENCE
from temporal_shortcuts.analysis.statistics import MOST_N, SMALLEST_N, pairs_in_table
from temporal_shortcuts.analysis.verdicts import cannot_be_planned, why_not_tested
from temporal_shortcuts.study import Study, forest

Runs = dict[int, frozenset[str]]
"""The variants to train, by seed."""


@dataclass(frozen=True)
class Need:
    """What an undecided claim needs."""

    claim: Mapping[str, Any]
    """Its row of claims.csv."""
    seeds: int
    """In all, those that it has included; 10,000 means that or more, 0 that no number can be named."""
    pilot: bool
    """Whether that is only the fewest that can be tested, as there is no standard deviation yet."""
    new: Runs
    epochs: int
    """Trained for this claim alone."""
    why: str = ""
    """Why no number of seeds can be named."""

    @property
    def runs(self) -> int:
        return sum(map(len, self.new.values()))

    @property
    def of_accuracy(self) -> bool:
        """Whether the claim's estimate is an accuracy, not a difference."""
        return self.claim["test"] == "fails_to_converge"

    @property
    def endless(self) -> bool:
        return bool(self.why) or self.seeds >= MOST_N


def needs(study: Study, claims: pd.DataFrame) -> list[Need]:
    """What each undecided claim of claims.csv needs, the cheapest first and last those for which nothing can be planned."""
    found = [_need(study, row) for row in claims.to_dict("records") if row["verdict"] == "undecided"]
    return sorted(found, key=lambda need: (bool(need.why), need.epochs))


def _need(study: Study, row: Mapping[str, Any]) -> Need:
    why = why_not_tested(row) if row["n"] >= SMALLEST_N else ""
    if why := why or ("too near the margin" if cannot_be_planned(row) else ""):
        return Need(row, 0, False, {}, 0, why)
    others = [name for name in str(row["than"]).split(", ") if name in study.variants]
    pilot = pd.isna(row["needed_n"])
    seeds = SMALLEST_N if pilot else int(row["needed_n"])
    new = new_runs(study, [row["variant"], *others], seeds)
    return Need(row, seeds, pilot, new, epochs_of(study, new))


def new_runs(study: Study, variants: Iterable[str], n: int) -> Runs:
    """The runs that the variants lack to have `n` seeds in common: at seeds that most of them have, then at fresh ones."""
    variants = list(dict.fromkeys(variants))
    own = {name: set(study.variants[name].seeds) for name in variants}
    known = sorted(set.union(*own.values()), key=lambda seed: (-sum(seed in seeds for seeds in own.values()), seed))
    first = 1 + max(seed for variant in study.variants.values() for seed in variant.seeds)
    chosen = [*known, *range(first, first + max(0, n - len(known)))][:n]
    lacking = {seed: frozenset(name for name in variants if seed not in own[name]) for seed in chosen}
    return {seed: names for seed, names in lacking.items() if names}


def epochs_of(study: Study, runs: Runs) -> int:
    """Epochs that training the runs takes: those that runs of one seed have in common are trained once."""
    cost: dict[frozenset[str], int] = {}
    for names in set(runs.values()):
        trajectories = [replace(study.variant_runs(name)[0].trajectory, seed=0) for name in sorted(names)]
        segments = forest(trajectories, study.epochs).values()
        cost[names] = sum(segment.stop - segment.start for segment in segments)
    return sum(cost[names] for names in runs.values())


def together(runs: Iterable[Runs]) -> Runs:
    """All of these runs, each once."""
    union: Runs = {}
    for one in runs:
        for seed, names in one.items():
            union[seed] = union.get(seed, frozenset()) | names
    return union


def affordable(study: Study, found: list[Need], epochs: float) -> list[Need]:
    """The needs that can be met with so many trained epochs, taken cheapest first; what one trains is free for the next."""
    taken: list[Need] = []
    for need in found:
        if not need.endless and epochs_of(study, together([*(one.new for one in taken), need.new])) <= epochs:
            taken.append(need)
    return taken


def table_needs(study: Study, comparisons: pd.DataFrame) -> tuple[int, float, float, int, int] | None:
    """What a new study with this one's comparisons needs to find a difference of the margin as the first of them (Holm's first step).

    The number of comparisons, the difference and their median standard deviation at the study's endpoint (points), and the seeds that it
    takes with own and with moderated variances, in four studies of five. None where no standard deviation is known.
    """
    rows = comparisons[comparisons["endpoint"] == study.endpoint]
    tested = rows[~rows["null_arm"].astype(bool)]
    sd = tested.loc[tested["n"] >= SMALLEST_N, "sd_difference"].median()
    if pd.isna(sd):
        return None
    difference = study.margin or DIFFERENCE
    return len(tested), difference, float(sd), *pairs_in_table(difference, float(sd), len(tested), len(rows))


def measured_pace(study: Study, work: Path) -> tuple[float | None, int]:
    """Seconds of an epoch in the study's training jobs here, as Snakemake measured them, and the number of jobs."""
    paces = []
    for state, segment in study.segments.items():
        path = work / "benchmarks" / "segment" / f"{state}.tsv"
        if path.is_file():
            paces += list(pd.read_csv(path, sep="\t")["s"] / (segment.stop - segment.start))
    return statistics.median(paces) if paces else None, len(paces)
