"""Which files a study's results hold, and which of its variants they speak of.

The Snakefile asks here, each time it is read, so nothing that is slow to import is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from temporal_shortcuts.files import holds
from temporal_shortcuts.study import declaration
from temporal_shortcuts.study.kinds import KINDS
from temporal_shortcuts.study.model import Study
from temporal_shortcuts.study.varied import KEYS, varied

COLLECTED = ("metrics.csv", "runs.csv")
TABULATED = ("summary.csv", "stability.csv", "comparisons.csv", "image_bootstrap.csv", "claims.csv")
"""What every study has; `tables_of` lists what its variants add."""
SWEEP_AT_LEAST = 3
"""Cells of one kind from which on a study is a sweep: three, since with two it varies onset or strength, and not both."""
NULL_ARMS_AT_LEAST = 2
CONFIRMING = "# Made by `snakemake confirm`"
"""How the file of a study begins that a rule has made, so that no other is ever written over."""
SMALLEST_N = 3
"""Fewest pairs of seeds for a verdict: with two, the standard deviation would rest on a single difference."""
MOST_N = 10_000
"""Where the search for a sample size ends: the answer 10,000 means 10,000 or more."""


def figures_of(study: Study) -> list[str]:
    """The names of the study's figures (files of its `figures/`), in the order in which its README shows them."""
    return [name for name, applies in _figures(study).items() if applies]


def _figures(study: Study) -> dict[str, bool]:
    variants = study.variants.values()
    numbers = varied(study)
    return {
        "forest.svg": any(variant.against is not None for variant in variants),
        "sweep.svg": bool(sweep_kinds(study)),
        "carry.svg": bool(carry_variants(study))
        and not sweep_kinds(study),  # a panel each, which a sweep has too many of
        "final_accuracy.svg": True,
        "learning_curves.svg": True,
        "late_differences.svg": bool(late_variants(study)),
        **{varied_file(key, ".svg"): len(numbers.get(key, ())) == 1 for key in KEYS},  # several would hide each other
    }


def tables_of(study: Study) -> list[str]:
    """The names of the tables that are made from runs.csv and metrics.csv."""
    return [*TABULATED, *(name for name, applies in _added_tables(study).items() if applies)]


def _added_tables(study: Study) -> dict[str, bool]:
    numbers = varied(study)
    return {
        "decision_cost.csv": bool(costed_variants(study)),
        **{varied_file(key, ".csv"): key in numbers for key in KEYS},
        "variance.csv": len(null_arms(study)) >= NULL_ARMS_AT_LEAST,
    }


def varied_file(key: str, suffix: str) -> str:
    """The name of the table (.csv) or figure (.svg) of a key that a study varies: learning_rates.csv."""
    return f"{key}s{suffix}"


def headline_figures_of(study: Study) -> list[str]:
    """The figures that stand with the headline; the others stand together. A sweep's forest has a row a cell: its heat maps lead alone."""
    figures = figures_of(study)
    leading = ("sweep.svg",) if "sweep.svg" in figures else ("forest.svg", "carry.svg")
    return [name for name in figures if name in leading]


def mark(study: Study, folder: Path, others: Iterable[Path] = ()) -> str:
    """The last line of the study's README: the study, and by their content all the files that it was made beside.

    These are the records, tables and figures in its folder, and `others` that its text is made of. Where the mark is another one,
    something there is not of this study or of these records, whatever the times of files say.
    """
    names = [name for run in study.runs for name in run.record_files]
    names += [declaration.FILE, *COLLECTED, *tables_of(study), *(f"figures/{name}" for name in figures_of(study))]
    return f"<!-- of the study {study.fingerprint}, {beside([*(folder / name for name in names), *others])} -->"


def beside(paths: Iterable[Path]) -> str:
    """Files by their content, with line ends of any system."""
    digest = hashlib.sha256()
    for path in paths:
        content = path.read_bytes() if path.is_file() else b"missing"
        digest.update(hashlib.sha256(content if path.suffix == ".npy" else content.replace(b"\r\n", b"\n")).digest())
    return f"beside the files {digest.hexdigest()[:16]}"


def bears(page: Path, mark: str) -> bool:
    """Whether a page is there and bears a mark."""
    return page.is_file() and mark in page.read_text(encoding="utf-8", errors="replace")


def awaits_page(study: Study, folder: Path, asked: Path) -> bool:
    """Whether tables of the study are there and no README that would bear their mark: then times decide, from the file `asked` on.

    That is the study's file, which was written anew for them. It is old where a README was there once, of which nothing can be said now.
    """
    figures = figures_of(study) if (folder / "figures").is_dir() else []
    made = [folder / name for name in (*COLLECTED, *tables_of(study), *(f"figures/{name}" for name in figures))]
    is_known = asked.is_file() and asked.stat().st_mtime > 0 and not (folder / "README.md").exists()
    return is_known and all(path.is_file() for path in made) and holds(folder / "study.json", study.text())


def outdated(study: Study) -> list[str]:
    """The tables that another study has and this one has not: left over where its file was edited."""
    return [name for name, applies in _added_tables(study).items() if not applies]


# -- which variants ----------------------------------------------------------------------------------------------------


def late_variants(study: Study) -> list[str]:
    """The variants that leave their reference late and with enough pairs to speak of a difference; none of a sweep's cells."""
    cells = {name for kind in sweep_kinds(study) for name in sweep_cells(study, kind).values()}
    return [
        name
        for name, variant in study.variants.items()
        if variant.against is not None
        and variant.onset
        and name not in cells
        and len(set(variant.seeds) & set(variant.reference.seeds)) >= SMALLEST_N
    ]


def follows_average(study: Study) -> bool:
    """Whether differences over epochs are those of averaged weights: where these decide, and are evaluated in each epoch."""
    return study.endpoint == "averaged" and study.protocol.extra_evaluations == "each_epoch"


def explained_variants(study: Study) -> list[str]:
    """The late variants with a carry, where averaged weights are evaluated in every way: with it, and with fresh statistics."""
    in_every_way = study.protocol.average_from is not None and study.protocol.evaluate_with_carry
    return [name for name in late_variants(study) if in_every_way and study.variants[name].kind != "null_arm"]


def costed_variants(study: Study) -> dict[str, list[str]]:
    """The late variants of a published kind, by the reference that they share epochs with."""
    costed: dict[str, list[str]] = {}
    for variant in (study.variants[name] for name in late_variants(study)):
        if variant.kind in ("batch_res", "epoch_res"):
            costed.setdefault(variant.reference.name, []).append(variant.name)
    return costed


def null_arms(study: Study) -> list[str]:
    """The variants that differ from their reference in chance alone."""
    return [name for name, variant in study.variants.items() if variant.kind == "null_arm"]


def sweep_kinds(study: Study) -> list[str]:
    """The kinds of which a study has cells, where it varies onset and strength of one at least; else none."""
    cells = {kind: len(sweep_cells(study, kind)) for kind in KINDS}
    return [kind for kind in KINDS if cells[kind]] if max(cells.values()) >= SWEEP_AT_LEAST else []


def sweep_cells(study: Study, kind: str) -> dict[tuple[int, float], str]:
    """(onset, strength) -> variant, of one kind, against the study's benchmark, everything else as in the benchmark."""
    return {
        (variant.shortcut.onset, variant.shortcut.strength): variant.name
        for variant in study.variants.values()
        if variant.shortcut is not None
        and variant.shortcut.kind == kind
        and variant.shortcut.strength is not None
        and variant.shortcut.accounting != "published"
        and variant.against == study.benchmark
        and variant.settings == variant.reference.settings
    }


def carry_variants(study: Study) -> list[str]:
    """The variants with a carry that are also evaluated with it left on, in each epoch."""
    return [
        name
        for name, variant in study.variants.items()
        if variant.settings.evaluate_with_carry
        and variant.settings.extra_evaluations == "each_epoch"
        and variant.shortcut
        and variant.kind != "null_arm"
    ]
