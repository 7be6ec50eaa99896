"""The prepared form of a data set: uint8 images and labels, named by their checksum, opened memory-mapped.

Knows no source and no torch.
"""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from temporal_shortcuts.errors import UserError
from temporal_shortcuts.files import write_atomically

SHAPE = (3, 32, 32)
"""Channels (red, green, blue), height, width."""

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


@dataclass(frozen=True)
class Images:
    """A data set. Labels are indices into `classes`."""

    train_images: np.ndarray
    """uint8 `[N, 3, 32, 32]`"""
    train_labels: np.ndarray
    """int64 `[N]`"""
    test_images: np.ndarray
    """uint8 `[M, 3, 32, 32]`: those to evaluate on, which are training images where a study validates (`validating`)"""
    test_labels: np.ndarray
    """int64 `[M]`"""
    classes: tuple[str, ...]
    mean: tuple[float, ...] | None = None
    """Of each channel of the training images, as fractions of 255: what a network's input is normalised by."""
    deviation: tuple[float, ...] | None = None

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, name) for name in ARRAYS}

    @property
    def test_set(self) -> dict[str, Any]:
        """What a record says of the images that a run was evaluated on: classes, images of each, images that it was trained on too."""
        counts = np.bincount(self.test_labels, minlength=len(self.classes)).tolist()
        return {
            "classes": list(self.classes),
            "test_classes": counts,
            "test_images": len(self.test_labels),
            "shared_images": self.shared_images,
        }

    @property
    def shared_images(self) -> int:
        """How many of the images to evaluate on are, pixel by pixel, training images too."""
        trained = {hashlib.sha256(image.tobytes()).digest() for image in self.train_images}
        return sum(hashlib.sha256(image.tobytes()).digest() in trained for image in self.test_images)

    @property
    def shapes(self) -> dict[str, list[int]]:
        return {name: list(array.shape) for name, array in self.arrays.items()}


def checksum(images: Images) -> str:
    """The identity of the data, `sha256:<64 hexadecimal digits>`: equal for equal pixels, labels and class names.

    Where images are normalised by a mean and deviation of their own, these are part of the identity, for they change what a
    network sees. The digest is taken over one line of JSON, then the bytes of `train_images`, `train_labels`, `test_images`
    and `test_labels` in C order, labels as little-endian int64. The line is `{"classes":[...],"shapes":{...}}`, with the
    shape of each array by its name, and `deviation` and `mean` where there are any; keys are sorted, there are no spaces,
    other than ASCII characters are escaped, and a newline ends it.
    """
    described = {"classes": images.classes, "shapes": images.shapes} | _statistics(images)
    line = json.dumps(described, sort_keys=True, separators=(",", ":"))
    digest = hashlib.sha256(f"{line}\n".encode("ascii"))
    for name, array in images.arrays.items():
        digest.update(np.ascontiguousarray(array, dtype="u1" if name.endswith("images") else "<i8").data)
    return f"sha256:{digest.hexdigest()}"


def subset(images: Images, images_per_class: int) -> Images:
    """The first `images_per_class` training images of each class, in their order; the images to evaluate on stay all.

    Raises `UserError` if a class has fewer.
    """
    kept = [of_class[:images_per_class] for of_class in _by_class(images, "images_per_class", images_per_class)]
    order = np.sort(np.concatenate(kept))
    return replace(images, train_images=images.train_images[order], train_labels=images.train_labels[order])


def validating(images: Images, validation_per_class: int) -> Images:
    """The images with the last `validation_per_class` training images of each class, in their order, as those to evaluate on.

    The others are left to train on, and the test images are gone: what is prepared so cannot look at them. Raises `UserError` if a
    class has no image left to train on.
    """
    held = np.zeros(len(images.train_labels), dtype=bool)
    for of_class in _by_class(images, "validation_per_class", validation_per_class, left=1):
        held[of_class[-validation_per_class:]] = True
    images_of, labels_of = images.train_images, images.train_labels
    return replace(
        images,
        train_images=images_of[~held],
        train_labels=labels_of[~held],
        test_images=images_of[held],
        test_labels=labels_of[held],
    )


def _by_class(images: Images, key: str, asked: int, left: int = 0) -> Iterator[np.ndarray]:
    """The training images of each class, of which so many are asked for and so many others must be `left`."""
    for label, name in enumerate(images.classes):
        of_class = np.flatnonzero(images.train_labels == label)
        if not 1 <= asked <= len(of_class) - left:
            raise UserError(
                f"data.{key}: {asked} asked for, but the class {name!r} has {len(of_class)} training images"
                f"{', of which at least one is to train on' * left}; ask for 1 to {len(of_class) - left}."
            )
        yield of_class


def with_statistics(images: Images) -> Images:
    """The images with mean and deviation of their training images, by whole numbers until the last step.

    The deviation of a channel that never varies is 1.
    """
    mean, deviation = [], []
    for channel in range(SHAPE[0]):
        counts = np.bincount(images.train_images[:, channel].ravel(), minlength=256).tolist()
        n = sum(counts)
        total = sum(value * count for value, count in enumerate(counts))
        squares = sum(value * value * count for value, count in enumerate(counts))
        mean.append(total / (255 * n))
        deviation.append(math.sqrt(n * squares - total * total) / (255 * n) or 1.0)
    return replace(images, mean=tuple(mean), deviation=tuple(deviation))


def _statistics(images: Images) -> dict[str, tuple[float, ...]]:
    return {} if images.mean is None else {"mean": images.mean, "deviation": images.deviation}


def write(images: Images, folder: Path, pinned: str | None = None) -> None:
    """Write the arrays (`<name>.npy`) and `data.json` into a folder; `data.json` comes last and stands for the whole.

    `pinned` is the checksum by which a study knows the data, where that is not the one of the arrays.
    """
    (folder / "data.json").unlink(missing_ok=True)
    for name, array in images.arrays.items():
        file = io.BytesIO()
        np.save(file, array, allow_pickle=False)
        write_atomically(folder / f"{name}.npy", file.getvalue())
    found = checksum(images)
    described = {"checksum": found, "pinned": pinned or found, "classes": images.classes, "shapes": images.shapes}
    described |= _statistics(images)
    write_atomically(folder / "data.json", f"{json.dumps(described, sort_keys=True, indent=1)}\n".encode())


def open_images(folder: Path, pinned: str) -> Images:
    """Open what `write` wrote, memory-mapped and read-only.

    All of it is read and compared with its checksum, a fraction of a second. Raises `UserError` if it is incomplete, damaged, or other
    data than `pinned`, the checksum that the study states.
    """
    try:
        described = json.loads((folder / "data.json").read_bytes())
        found, known_as = described["checksum"], described["pinned"]
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in ARRAYS}
        statistics = {key: tuple(map(float, described[key])) for key in ("mean", "deviation") if "mean" in described}
        images = Images(**arrays, classes=tuple(described["classes"]), **statistics)
        _check(images, found)
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError, TypeError, EOFError) as error:
        why = str(error) if isinstance(error, (OSError, ValueError)) else f"data.json: {error!r}"
        raise UserError(f"{folder}: the prepared data is incomplete or damaged ({why}); delete this folder.") from error
    if pinned not in (found, known_as):
        raise UserError(f"{folder}: the prepared data is {found}, but the study names {pinned}; delete this folder.")
    return images


def _check(images: Images, stated: str) -> None:
    """Raise ValueError unless the arrays are of a data set, and of the one with the stated checksum."""
    for name, array in images.arrays.items():
        dtype, tail = (np.uint8, SHAPE) if name.endswith("images") else (np.int64, ())
        if array.dtype != dtype or array.shape[1:] != tail or not len(array):
            raise ValueError(f"{name}.npy holds {array.dtype} {list(array.shape)}")
    if (found := checksum(images)) != stated:
        raise ValueError(f"the checksum of its arrays is {found}, in data.json it is {stated}")
