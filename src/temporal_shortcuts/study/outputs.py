"""Which files a study's results hold, and what kind each variant is: pure functions of study.json.

The Snakefile asks here, each time it is read, so nothing heavier than the standard library is imported.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

COLLECTED = ("metrics.csv", "runs.csv")
TABULATED = ("summary.csv", "stability.csv", "comparisons.csv", "image_bootstrap.csv", "claims.csv")
"""What every study has; `tables_of` lists what its variants add."""
BLOCKS = ("headline", "figure", "verdicts", "comparisons", "discussion", "figures")
LANGUAGES = {"en": ".md", "zh": ".zh.md"}
DIAGRAMS = ("batch_res", "epoch_res")
SWEEP_AT_LEAST = 4
NULL_ARMS_AT_LEAST = 2
PAIRS_AT_LEAST = 3
"""As many as a verdict needs (`statistics.SMALLEST_N`, which is too heavy to import here)."""

Resolved = Mapping[str, Any]
"""What study.json holds (`json.load`)."""


def figures_of(resolved: Resolved) -> list[str]:
    """The names of the study's figures (files of its `figures/`), in the order in which its README shows them."""
    kinds = {kind_of(resolved, name) for name in resolved["variants"]}
    compared = any(variant["against"] is not None for variant in resolved["variants"].values())
    drawn = {
        "forest.svg": compared,
        "sweep.svg": bool(sweep_kinds(resolved)),
        "carry.svg": bool(carry_variants(resolved)),
        **{f"{kind}.svg": kind in kinds for kind in DIAGRAMS},
        "final_accuracy.svg": True,
        "learning_curves.svg": True,
        "late_differences.svg": bool(late_variants(resolved)),
        "learning_rates.svg": "learning_rate" in kinds,
        "stable_epoch.svg": True,
    }
    return [name for name, applies in drawn.items() if applies]


def tables_of(resolved: Resolved) -> list[str]:
    """The names of the tables that are made from runs.csv and metrics.csv."""
    added = {
        "decision_cost.csv": bool(costed_variants(resolved)),
        "learning_rates.csv": bool(rate_variants(resolved)),
        "variance.csv": len(null_arms(resolved)) >= NULL_ARMS_AT_LEAST,
    }
    return [*TABULATED, *(name for name, applies in added.items() if applies)]


def headline_figures_of(resolved: Resolved) -> list[str]:
    """The figures that stand with the headline; the others stand together. A sweep's forest has a row a cell: its heat maps lead alone."""
    figures = figures_of(resolved)
    leading = ("sweep.svg",) if "sweep.svg" in figures else ("forest.svg", "carry.svg")
    return [name for name in figures if name in leading]


def blocks_of(resolved: Resolved) -> list[str]:
    """The names of the pieces for the repository's READMEs (files of the study's `blocks/`)."""
    return [name + suffix for name in BLOCKS for suffix in LANGUAGES.values()]


def shortcut_of(resolved: Resolved, name: str) -> Mapping[str, Any] | None:
    """The temporal shortcut (kind, strength, onset, accounting) that a variant's settings declare."""
    return resolved["variants"][name]["settings"]["shortcut"]


def reference_of(resolved: Resolved, name: str) -> str:
    """The variant that a variant is compared with; a reference's is itself."""
    return resolved["variants"][name]["against"] or name


def kind_of(resolved: Resolved, name: str) -> str:
    """`reference`, `null`, `learning_rate`, the kind of the variant's temporal shortcut, or `other`: it decides a colour."""
    variant = resolved["variants"][name]
    shortcut = shortcut_of(resolved, name)
    if variant["against"] is None:
        return "reference"
    if variant["null_arm"]:
        return "null"
    if shortcut is not None:
        return shortcut["kind"]
    reference = resolved["variants"][variant["against"]]
    changed = variant["settings"]["learning_rate"] != reference["settings"]["learning_rate"]
    return "learning_rate" if changed else "other"


def is_late(resolved: Resolved, name: str) -> bool:
    """Whether the variant's temporal shortcut begins after the first epoch."""
    shortcut = shortcut_of(resolved, name)
    return shortcut is not None and shortcut["onset"] > 0


def late_variants(resolved: Resolved) -> list[str]:
    """The variants that leave their reference late and with enough pairs to speak of a difference; none of a sweep's cells."""
    cells = {name for kind in sweep_kinds(resolved) for name in sweep_cells(resolved, kind).values()}
    return [
        name
        for name, variant in resolved["variants"].items()
        if variant["against"] is not None
        and is_late(resolved, name)
        and name not in cells
        and len(set(variant["seeds"]) & set(resolved["variants"][variant["against"]]["seeds"])) >= PAIRS_AT_LEAST
    ]


def costed_variants(resolved: Resolved) -> dict[str, list[str]]:
    """The late variants of a published kind, by the reference that they share epochs with."""
    costed: dict[str, list[str]] = {}
    for name in late_variants(resolved):
        if kind_of(resolved, name) in DIAGRAMS:
            costed.setdefault(reference_of(resolved, name), []).append(name)
    return costed


def rate_variants(resolved: Resolved) -> list[str]:
    """The variants that differ from their reference, the study's benchmark, in the learning rate."""
    return [
        name
        for name in resolved["variants"]
        if kind_of(resolved, name) == "learning_rate" and reference_of(resolved, name) == resolved["benchmark"]
    ]


def null_arms(resolved: Resolved) -> list[str]:
    """The variants that differ from their reference in chance alone."""
    return [name for name in resolved["variants"] if kind_of(resolved, name) == "null"]


def sweep_kinds(resolved: Resolved) -> list[str]:
    """The kinds of which the study varies onset and strength over at least four variants."""
    kinds = dict.fromkeys(kind_of(resolved, name) for name in resolved["variants"])
    return [kind for kind in kinds if len(sweep_cells(resolved, kind)) >= SWEEP_AT_LEAST]


def sweep_cells(resolved: Resolved, kind: str) -> dict[tuple[int, float], str]:
    """(onset, strength) -> variant, of one kind, against the study's benchmark, everything else as in the benchmark."""
    cells = {}
    benchmark = dict(resolved["variants"][resolved["benchmark"]]["settings"])
    for name, variant in resolved["variants"].items():
        shortcut = shortcut_of(resolved, name)
        same = dict(variant["settings"]) | {"shortcut": benchmark["shortcut"]} == benchmark
        if shortcut is None or shortcut["kind"] != kind or not same or variant["against"] != resolved["benchmark"]:
            continue
        if shortcut.get("accounting") == "published":
            continue
        cells[shortcut["onset"], shortcut["strength"]] = name
    return cells


def carry_variants(resolved: Resolved) -> list[str]:
    """The variants with a carry that are also evaluated with it left on."""
    return [
        name
        for name, variant in resolved["variants"].items()
        if variant["settings"].get("evaluate_with_carry")
        and shortcut_of(resolved, name)
        and kind_of(resolved, name) != "null"
    ]
