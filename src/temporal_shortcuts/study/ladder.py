"""A ladder: studies that ask one question at a growing scale, the smallest first, and the file that declares them.

Its file is studies/ladder.yaml. A rung is what a study has of one reference: some of its variants, compared with it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from temporal_shortcuts.study.declared import Declared, Distinct, StudyName, Whole
from temporal_shortcuts.study.image_sets import image_set
from temporal_shortcuts.study.model import Study, Variant, plain
from temporal_shortcuts.study.reading import Source, nearest, read
from temporal_shortcuts.study.validation import declared_as

FILE = Path("studies", "ladder.yaml")
"""Seen from the root of a clone. It is no study."""
NEEDED = ("study.json", "runs.csv", "metrics.csv")
"""What a rung is read from, in its study's results."""
FILES = ("ladder.csv", "steps.csv", "effect.svg", "README.md")
"""What is made of them, in results/ladder/."""
READINGS = {"averaged": "as trained", "re_estimated": "recalibrated", "mismatch": "mismatch"}
"""The endpoints by which rungs are read: averaged weights, with the batch-norm statistics that training left or with recalibrated
ones, and what the difference of these two is for the variant more than for the baseline."""
SCALES = ("width", "images", "epochs")
"""What a rung can be larger in."""
_WITH_EPOCHS = {"schedule_epochs", "average_from", "onset"}
_ARITHMETIC = {"instruction_set", "device", "compile"}
"""They change the last bits, and no distribution."""
_BESIDE = {"evaluate_with_carry", "extra_evaluations"}
"""They change what is evaluated beside the readings."""


class RungKeys(Declared):
    study: StudyName
    images: Whole = Field(ge=1, le=10**9, description="training images of an epoch; compared with the records")
    variants: Annotated[Distinct[str], Field(min_length=1)] = Field(
        description="variants of the study, all compared with the same reference"
    )


class LadderKeys(Declared):
    title: Annotated[str, Field(min_length=1, max_length=200)] = Field(description="the question, in one sentence")
    rungs: Annotated[list[RungKeys], Field(min_length=1)]


@dataclass(frozen=True)
class Step:
    """From one rung to another."""

    setting: str
    """The one of `SCALES` that is another."""
    beside: str
    """What else is, in words: settings of the arithmetic, and what goes with the epochs."""


@dataclass(frozen=True)
class Rung:
    """Variants of one study and the reference that all of them are compared with."""

    study: Study
    file: Path
    """Of the study, for a sentence that says how to run it."""
    images: int
    variants: list[Variant]

    @property
    def reference(self) -> Variant:
        return self.variants[0].reference

    def step(self, other: Rung, kind: str) -> Step | None:
        """What sets the rungs' variants of a kind apart, if it is one of `SCALES` alone; None where more is, or a rung has none.

        With a run's length goes when its shortcut begins, its learning rate ends and its weights are averaged.
        """
        ours, theirs = self._conditions(kind), other._conditions(kind)
        if not ours or not theirs:
            return None
        differing = {key for key in ours.keys() | theirs.keys() if ours.get(key) != theirs.get(key)} - _BESIDE
        beside = differing & (_ARITHMETIC | (_WITH_EPOCHS if "epochs" in differing else set()))
        scales = differing - beside
        if len(scales) != 1 or not scales <= set(SCALES):
            return None
        said = [f"{key} {ours.get(key)} to {theirs.get(key)}" for key in sorted(beside)]
        return Step(scales.pop(), ", ".join(said))

    def _conditions(self, kind: str) -> dict[str, Any]:
        """All that bears on the accuracies of the rung's variant of a kind, and of its reference; empty if it has none."""
        return next(
            (
                {"images": self.images, "data": image_set(self.study.data).name}
                | plain(one.reference.settings)
                | (plain(one.shortcut) if one.shortcut else {})
                for one in self.variants
                if one.kind == kind
            ),
            {},
        )


@dataclass(frozen=True)
class Ladder:
    title: str
    rungs: list[Rung]


def read_ladder(path: Path, study_named: Callable[[str], tuple[Path, Study]]) -> Ladder:
    """The ladder of a file; `study_named` gives the file and the study of a name. Raises `UserError`."""
    source = Source(read(path), [path])
    keys = declared_as(LadderKeys, source)
    rungs = []
    for index, one in enumerate(keys.rungs):
        file, study = study_named(one.study)
        variants = [_variant(study, name, index, place, source) for place, name in enumerate(one.variants)]
        rung = Rung(study, file, one.images, variants)
        _check(rung, index, source)
        rungs.append(rung)
    return Ladder(keys.title, rungs)


def rungs_of(path: Path) -> list[str]:
    """The names of the studies that a ladder's file names. Raises `UserError`."""
    return [rung.study for rung in declared_as(LadderKeys, Source(read(path), [path])).rungs]


def _variant(study: Study, name: str, rung: int, place: int, source: Source) -> Variant:
    key = ("rungs", rung, "variants", place)
    if name not in study.variants:
        known = f"{nearest(name, list(study.variants))}, but it must be a variant of the study {study.name}."
        source.refuse(key, f"found {name!r}{known}")
    if study.variants[name].against is None:
        source.refuse(key, f"found {name!r}, but it is compared with no other; name a variant that is.")
    return study.variants[name]


def _check(rung: Rung, index: int, source: Source) -> None:
    key, study = ("rungs", index), rung.study
    if study.evaluated != "test":
        found = f"found {study.name!r}, whose accuracies are of {study.evaluated} images"
        source.refuse((*key, "study"), f"{found}; name a study that is evaluated on test images.")
    references, kinds = [one.against for one in rung.variants], [one.kind for one in rung.variants]
    if len(set(references)) > 1:
        found = ", ".join(map(str, references))
        source.refuse((*key, "variants"), f"they are compared with {found}; name variants of one reference.")
    if len(set(kinds)) < len(kinds):
        source.refuse((*key, "variants"), f"their kinds are {', '.join(kinds)}; name one variant of each kind.")
    if study.protocol.average_from is None:
        found = f"found {study.name!r}, which averages no weights"
        source.refuse((*key, "study"), f"{found}; give its protocol average_from, or leave the rung out.")
