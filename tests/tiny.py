"""Tiny studies: a network of width 2, 20 images of noise, 4 epochs of 3 steps, of which the last is smaller than the rest."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from synthetic import study_of

from temporal_shortcuts.data.images import Images, checksum
from temporal_shortcuts.study import Run, Segment, Study, kinds
from temporal_shortcuts.training import numerics
from temporal_shortcuts.training.job import train_segment
from temporal_shortcuts.training.states import read_facts
from temporal_shortcuts.training.trainer import Trainer

EPOCHS, STEPS, BATCH, PLACES = 4, 3, 8, 8
ONSETS = (0, 1, 2, EPOCHS - 1)
KINDS: dict[str, dict[str, Any]] = {
    "batch_res": {"kind": "batch_res", "strength": 0.05},
    "epoch_res": {"kind": "epoch_res", "strength": 0.05, "accounting": "corrected"},
    "epoch_res_published": {"kind": "epoch_res", "strength": 0.05, "accounting": "published"},
    **{
        kind: {"kind": kind, "strength": 0.05}
        for kind in ("mixed", "centred", "matched", "fading", "same_class", "one_block", "same_image")
    },
    "learnt": {"kind": "learnt"},
    "shuffled": {"kind": "shuffled", "strength": 0.05},
    "noise": {"kind": "noise", "strength": 0.05},
    "one_bit": {"kind": "one_bit"},
    "fresh_order": {"kind": "fresh_order"},
}

KINDS_AND_ONSETS = [
    (name, onset) for name in KINDS for onset in ONSETS if onset + kinds.KINDS[KINDS[name]["kind"]].epochs <= EPOCHS
]
"""Each kind with each onset after which it can act."""


def images_of_noise(train: int = 20, test: int = 10, name: str = "noise") -> Images:
    """Pixels and labels of ten classes, drawn from a hash: the same with any version of any library."""

    def drawn(part: str, *shape: int) -> np.ndarray:
        size = int(np.prod(shape))
        return np.frombuffer(hashlib.shake_256(f"{name}/{part}".encode()).digest(size), np.uint8).reshape(shape)

    def labels(part: str, n: int) -> np.ndarray:
        return (drawn(part, n).argsort(kind="stable") % 10).astype(np.int64)

    arrays = (drawn("train", train, 3, 32, 32), labels("a", train), drawn("test", test, 3, 32, 32), labels("b", test))
    return Images(*arrays, classes=tuple("abcdefghij"))


IMAGES = images_of_noise()


def variant(kind: str, onset: int, **changes: Any) -> dict[str, Any]:
    """A variant of a study, with a shortcut."""
    return {"shortcut": KINDS[kind] | {"onset": onset} | changes}


def tiny_study(*, seeds: tuple[int, ...] = (0,), variants: Mapping[str, Any] = {}, **protocol: Any) -> Study:
    """A study of these variants alone; `{}` is the benchmark's. Keys of the protocol change the tiny one."""
    published = study_of().variants
    small = {"width": 2, "epochs": EPOCHS, "batch_size": BATCH, "device": "cpu", "evaluate_with_carry": True}
    variants = dict(variants) or {"benchmark": {}}
    overlay = {
        "study": "tiny",
        "data": {"source": "image_folder", "checksum": checksum(IMAGES)},
        "protocol": small | protocol,
        "seeds": list(seeds),
        "benchmark": next(iter(variants)),
        "claims": [],
    }
    return study_of({"variants": dict.fromkeys(published)}, overlay | {"variants": variants})


def run_of(study: Study, name: str, seed: int = 0) -> Run:
    return next(run for run in study.runs if (run.variant, run.seed) == (name, seed))


def scratch(study: Study, name: str = "benchmark", seed: int = 0) -> Segment:
    """A run's whole trajectory as one segment that shares nothing."""
    return Segment(run_of(study, name, seed).trajectory, 0, study.epochs, True, None)


def train(segment: Segment, work: Path, images: Images = IMAGES, **options: Any) -> Path:
    """Train a segment; where its state lies."""
    states = work / "states"
    output = states / f"{segment.state}.state"
    parent = states / f"{segment.parent}.state" if segment.parent else None
    train_segment(segment, images, work, parent, output, **({"say": lambda line: None} | options))
    return output


def train_study(study: Study, work: Path, images: Images = IMAGES) -> dict[str, Path]:
    """Train a study's segments, parents first; the final states of its runs by variant (of its first seed)."""
    for segment in study.segments.values():
        train(segment, work, images)
    return {run.variant: work / "states" / f"{run.fingerprint}-final.state" for run in reversed(study.runs)}


def train_alone(work: Path, shortcut: Mapping[str, Any] | None = None, **protocol: Any) -> Path:
    """The final state of one run that is trained from epoch 0 as one segment."""
    study = tiny_study(variants={"benchmark": {"shortcut": shortcut}}, **protocol)
    return train(scratch(study), work)


def trainer_of(study: Study, name: str = "benchmark", images: Images = IMAGES) -> Trainer:
    """A run before its first epoch, without files."""
    device = numerics.prepare("cpu", "fp32")
    return Trainer(scratch(study, name), images, device)


def numbers(state: Path) -> dict[str, Any]:
    """The facts of a final state without the fingerprint and the name of the shortcut: what runs can have in common."""
    return {key: value for key, value in read_facts(state).items() if key not in ("fingerprint", "shortcut")}
