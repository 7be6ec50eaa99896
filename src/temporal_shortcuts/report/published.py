"""What the report ran, what it found, and under which protocol: its values are compared with nothing else without saying so."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from temporal_shortcuts.study import Study

PROTOCOL: Mapping[str, Any] = {
    "model": "resnet18",
    "width": 64,
    "epochs": 50,
    "batch_size": 128,
    "learning_rate": 0.01,
    "momentum": 0.9,
    "weight_decay": 0.0005,
    "schedule_epochs": 200,
    "augmentation": {"crop_padding": 4, "flip": True},
}
IMAGES_PER_CLASS = 5_000
FLOP = "8.3e15"
"""Of one of the report's runs: ResNet-18 of width 64, 50,000 images, 50 epochs."""


@dataclass(frozen=True)
class Run:
    """One run of the report: the best test accuracy over its epochs, and what set it apart from the other runs."""

    accuracy: float
    learning_rate: float = 0.01
    kind: str | None = None
    onset: int | None = None
    strength: float | None = None


RUNS = (
    Run(0.9198),
    Run(0.8947, learning_rate=0.001),
    Run(0.8703, learning_rate=0.1),
    Run(0.9172, kind="batch_res", onset=0, strength=0.05),
    Run(0.1, kind="epoch_res", onset=0, strength=0.05),
    Run(0.9205, kind="batch_res", onset=41, strength=0.05),
    Run(0.9136, kind="epoch_res", onset=41, strength=0.05),
)


@dataclass(frozen=True)
class Effect:
    """What the report found of a shortcut: points from its benchmark, whose accuracy is a fraction, and what a run took."""

    kind: str
    onset: int
    strength: float
    accuracy: float
    difference: float
    flop: float


EFFECTS = [
    Effect(
        run.kind,
        run.onset or 0,
        run.strength or 0.0,
        RUNS[0].accuracy,
        100 * (run.accuracy - RUNS[0].accuracy),
        float(FLOP),
    )
    for run in RUNS
    if run.kind is not None
]


def run_elsewhere(study: Study, name: str) -> Run | None:
    """The report's run that a variant's published value comes from, if that run was another than the variant.

    A study inherits the values with the variants of `config.yaml`: a variant that begins its shortcut at another epoch is then not
    what the report ran. A value that is none of the report's is the study's own.
    """
    runs = [run for run in RUNS if run.accuracy == study.variants[name].published]
    variant = study.variants[name]
    kind = None if variant.shortcut is None else variant.shortcut.kind
    own = (variant.settings.learning_rate, kind, variant.onset, variant.strength)
    same = any((run.learning_rate, run.kind, run.onset, run.strength) == own for run in runs)
    return None if same or not runs else runs[0]


def accuracy(study: Study, name: str) -> float:
    """The published accuracy of a variant, a fraction; nan without one, and where the report ran something else."""
    value = study.variants[name].published
    return math.nan if value is None or run_elsewhere(study, name) else value


def difference(study: Study, name: str, against: str) -> float:
    """Points between the published accuracies of two variants; nan where one of them has none."""
    return 100 * (accuracy(study, name) - accuracy(study, against))
