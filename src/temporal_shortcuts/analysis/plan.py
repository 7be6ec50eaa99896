"""A plan from a pilot: how many more seeds each undecided claim needs, which runs these are, and what they cost.

The sizes are those of claims.csv: seeds that would decide with 80 % probability if the truth were as the pilot saw it. New runs of
one seed share their epochs as the workflow trains them. Knows no torch; seconds come from whoever measured them.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from temporal_shortcuts.analysis.statistics import MOST_N, SMALLEST_N
from temporal_shortcuts.study import Study, forest

Runs = dict[int, frozenset[str]]
"""The variants to train, by seed."""


@dataclass(frozen=True)
class Need:
    """What an undecided claim needs."""

    claim: Mapping[str, Any]
    """Its row of claims.csv."""
    seeds: int
    """In all, those that it has included; 10,000 means that or more."""
    pilot: bool
    """Whether that is only the fewest that can be tested, as there is no standard deviation yet."""
    new: Runs
    epochs: int
    """Trained for this claim alone."""

    @property
    def runs(self) -> int:
        return sum(map(len, self.new.values()))

    @property
    def of_accuracy(self) -> bool:
        """Whether the claim's estimate is an accuracy, not a difference."""
        return self.claim["test"] == "fails_to_converge"

    @property
    def endless(self) -> bool:
        return self.seeds >= MOST_N


def needs(study: Study, claims: pd.DataFrame) -> list[Need]:
    """What each undecided claim of claims.csv needs, the cheapest first."""
    found = [_need(study, row) for row in claims.to_dict("records") if row["verdict"] == "undecided"]
    return sorted(found, key=lambda need: need.epochs)


def _need(study: Study, row: Mapping[str, Any]) -> Need:
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


def measured_pace(study: Study, work: Path) -> tuple[float, int] | None:
    """Seconds of an epoch in the study's training jobs here, as Snakemake measured them, and the number of jobs; None without any."""
    paces = []
    for state, segment in study.segments.items():
        path = work / "benchmarks" / "segment" / f"{state}.tsv"
        if path.is_file():
            paces += list(pd.read_csv(path, sep="\t")["s"] / (segment.stop - segment.start))
    return (statistics.median(paces), len(paces)) if paces else None
