"""What a study's images are, from their source, data set and checksum: never from the name that a study gives them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from temporal_shortcuts.study.declared import Data

CIFAR10 = "CIFAR-10"
JPEG = "CIFAR-10 (JPEG)"
"""Of each image a copy as a JPEG file (docs/method.md): nearly the same pixels."""
_JPEG_COPIES = (
    "sha256:ef04f3a95b978d932c15406b498ee9c99496d21429478c150489ab15ae3d69dc",
    "sha256:155d5f5c7676193730ef217c66cc46f38a581814ba1262f1e7c01d8f8f07798c",
    "sha256:8347e21743666d25b8ed27bd52553b72b77db77aa78788e3ab777a2391a5196f",
)
"""Of all of them, of 1,000 of each class, and of that with 1,000 validation images of each class."""
_SPELLINGS = {"CIFAR10": CIFAR10, "CIFAR100": "CIFAR-100", "FashionMNIST": "Fashion-MNIST", "Flowers102": "Flowers-102"}
"""Of torchvision's sets, where a set is called otherwise than its class."""


@dataclass(frozen=True)
class ImageSet:
    """A set of images, as far as it is known before they are read."""

    name: str
    is_cifar10: bool = False
    """Whether the images are CIFAR-10's, the official ones or their JPEG copies, and so those of the report."""
    classes: int | None = None
    """Their number, where it is known."""
    training_images: int | None = None
    has_own_normalisation: bool = False
    """Whether mean and deviation are those of its training images, and not the published protocol's."""


def image_set(data: Data) -> ImageSet:
    """What a study's images are. A folder that is not known is what the study calls it."""
    if data.source == "cifar10":
        return ImageSet(CIFAR10, True, 10, 50_000)
    if data.source == "digits":
        return ImageSet("digits (scikit-learn)", classes=10, training_images=1_438)
    if data.source == "torchvision":
        is_cifar10 = data.dataset == "CIFAR10"
        known = (10, 50_000) if is_cifar10 else (None, None)
        return ImageSet(_SPELLINGS.get(str(data.dataset), str(data.dataset)), is_cifar10, *known, True)
    if data.checksum in _JPEG_COPIES:
        return ImageSet(JPEG, True, 10, 50_000)
    return ImageSet(data.name or "a folder of images")


def called(data: Data) -> str:
    """How a text calls a study's images: as the study does, with what they are where its name for them does not say it."""
    known = image_set(data).name
    if data.name is None or _says(known, data.name):
        return known
    return data.name if _says(data.name, known) else f"{data.name} ({known})"


def _says(text: str, name: str) -> bool:
    """Whether a name stands in a text as words of its own."""
    return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", text) is not None
