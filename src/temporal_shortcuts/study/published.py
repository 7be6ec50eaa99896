"""What the report ran and found, and in which settings a study differs from it: its values are compared with nothing else unsaid.

The published protocol is the defaults of `declared.Protocol`, on the official CIFAR-10 images.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from temporal_shortcuts.study.declared import Protocol
from temporal_shortcuts.study.image_sets import CIFAR10, image_set
from temporal_shortcuts.study.model import Study

PROTOCOL = Protocol()
BESIDE = ("device", "instruction_set", "evaluate_with_carry", "average_from", "extra_evaluations")
"""Settings of a protocol that are no part of what is trained: where it is, and what is evaluated beside it."""
_UNSAID = ("precision",)
"""Settings of which the report says nothing, and its code leaves them to the card."""


@dataclass(frozen=True)
class Difference:
    """A setting that is not the report's. `theirs` is None where the report has nothing of the kind."""

    key: str
    ours: Any
    theirs: Any


def differences(study: Study) -> list[Difference]:
    """Everything in which a study's baseline is not the report's run, its images first; empty where it is the same.

    Keys are those of `declared.Settings` and `declared.Protocol` (the augmentation's by themselves), and of the images: `images`, the
    set's name; `images_per_class` and `validation_per_class`; and `normalisation`, where its mean and deviation are not the report's.
    """
    return [*_of_images(study), *_from_report(study.variants[study.benchmark].settings)]


def differing(settings: Protocol, usual: Protocol = PROTOCOL) -> list[Difference]:
    """The settings that differ from the usual ones, those of `BESIDE` apart."""
    theirs = flat(usual)
    return [Difference(key, ours, theirs[key]) for key, ours in flat(settings).items() if ours != theirs[key]]


def _from_report(settings: Protocol) -> Iterator[Difference]:
    for one in differing(settings):
        yield replace(one, theirs=None) if one.key in _UNSAID else one


def flat(settings: Protocol) -> dict[str, Any]:
    """All settings of what is trained, those of the augmentation among the others."""
    given = settings.model_dump(exclude=set(BESIDE))
    return given | given.pop("augmentation")


def _of_images(study: Study) -> Iterator[Difference]:
    data, images = study.data, image_set(study.data)
    if images.name != CIFAR10:
        yield Difference("images", images.name, CIFAR10)
    per_class = 5_000 if images.is_cifar10 else None
    if data.images_per_class not in (None, per_class):
        yield Difference("images_per_class", data.images_per_class, per_class)
    if data.validation_per_class is not None:
        yield Difference("validation_per_class", data.validation_per_class, None)
    if images.is_cifar10 and images.has_own_normalisation:
        yield Difference(
            "normalisation", "mean and deviation of the training images", "the report's mean and deviation"
        )


# -- what it found -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One run of the report: the best test accuracy over its epochs, and what set it apart from the other runs."""

    accuracy: float
    learning_rate: float = PROTOCOL.learning_rate
    kind: str | None = None
    onset: int | None = None
    strength: float | None = None

    @property
    def difference(self) -> float:
        """Points from the report's baseline."""
        return 100 * (self.accuracy - BASELINE.accuracy)


BASELINE = Run(0.9198)
RUNS = (
    BASELINE,
    Run(0.8947, learning_rate=0.001),
    Run(0.8703, learning_rate=0.1),
    Run(0.9172, kind="batch_res", onset=0, strength=0.05),
    Run(0.1, kind="epoch_res", onset=0, strength=0.05),
    Run(0.9205, kind="batch_res", onset=41, strength=0.05),
    Run(0.9136, kind="epoch_res", onset=41, strength=0.05),
)


def is_of_report(study: Study, name: str) -> bool:
    """Whether a variant's published value is the report's, and not the study's own.

    It is where it is the accuracy of one of the report's runs, and the study has the accuracy of the report's baseline too: a study
    inherits both with the variants of `config.yaml`, and one that compares with somebody else's numbers has others.
    """
    found = {variant.published for variant in study.variants.values()}
    return BASELINE.accuracy in found and study.variants[name].published in {run.accuracy for run in RUNS}


def run_elsewhere(study: Study, name: str) -> Run | None:
    """The report's run that a variant's published value comes from, if that run was another than the variant.

    A variant of `config.yaml` that a study lets begin its shortcut at another epoch is not what the report ran. A value that is the
    study's own belongs to its variant.
    """
    if not is_of_report(study, name):
        return None
    variant = study.variants[name]
    runs = [run for run in RUNS if run.accuracy == variant.published]
    kind = None if variant.shortcut is None else variant.shortcut.kind
    own = (variant.settings.learning_rate, kind, variant.onset, variant.strength)
    same = any((run.learning_rate, run.kind, run.onset, run.strength) == own for run in runs)
    return None if same else runs[0]


def accuracy(study: Study, name: str) -> float:
    """The published accuracy of a variant, a fraction; nan without one, and where the report ran something else."""
    value = study.variants[name].published
    return math.nan if value is None or run_elsewhere(study, name) else value


def difference(study: Study, name: str, against: str) -> float:
    """Points between the published accuracies of two variants; nan where one of them has none."""
    return 100 * (accuracy(study, name) - accuracy(study, against))
