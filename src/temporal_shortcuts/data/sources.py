"""Where images come from: CIFAR-10, another set of torchvision, a folder or archive of images, or scikit-learn's digits.

Every source gives the same form (`images.Images`), in an order that depends on the content alone.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from temporal_shortcuts.data import image_folder
from temporal_shortcuts.data.archives import DamagedArchive
from temporal_shortcuts.data.downloads import PATIENCE, WITHOUT_NETWORK, Expected, Patience, fetch
from temporal_shortcuts.data.images import Images, checksum, subset, validating, with_statistics, write
from temporal_shortcuts.errors import UserError


def prepare(data: Mapping[str, Any], cache: Path, folder: Path, patience: Patience = PATIENCE) -> None:
    """Load the data, compare it with the checksum that the study states, and write it to a folder (`images.write`).

    `data` as for `load`, with `checksum`: that of the arrays, or for `cifar10` the md5 of the archive.
    """
    images = load(data, cache, patience)
    found, pinned = checksum(images), data.get("checksum")
    if pinned != found and not _names_archive(data):
        raise UserError(
            f"data.checksum: the data {data.get('name', data['source'])!r} has the checksum {found}, not {pinned}; "
            f"if it is the data that you mean, pin it in the study as data.checksum: {found}"
        )
    write(images, folder, pinned)
    train, test, classes = len(images.train_images), len(images.test_images), len(images.classes)
    kind = "test" if data.get("validation_per_class") is None else "validation"
    print(f"{train} training and {test} {kind} images of {classes} classes, {found}", file=sys.stderr)
    if shared := images.shared_images:
        print(
            f"warning: {shared} of the {test} {kind} images are training images too, pixel by pixel: an accuracy on them is partly memory",
            file=sys.stderr,
        )


def load(data: Mapping[str, Any], cache: Path, patience: Patience = PATIENCE) -> Images:
    """The images that a study's `data` names (`study.declared.Data`); downloads are kept in `cache`.

    Raises `UserError` for all that is not as it should be.
    """
    source, images_per_class = data["source"], data.get("images_per_class")
    if source == "digits":
        images = digits()
    elif source == "cifar10":
        images = _cifar10(data, cache, patience)
    elif source == "torchvision":
        images = _torchvision(data, cache, patience)
    elif source == "image_folder":
        images = _image_folder(data, cache, patience)
    else:
        raise UserError(f"data.source: found {source!r}; use cifar10, torchvision, image_folder or digits.")
    if data.get("validation_per_class") is not None:
        images = validating(images, data["validation_per_class"])
    images = images if images_per_class is None else subset(images, images_per_class)
    return with_statistics(images) if source == "torchvision" else images


def _cifar10(data: Mapping[str, Any], cache: Path, patience: Patience) -> Images:
    from temporal_shortcuts.data import cifar10  # here, because torchvision takes seconds that not every source needs

    named = data["checksum"] if _names_archive(data) else data.get("archive_checksum")
    expected = cifar10.OFFICIAL if named in (None, cifar10.OFFICIAL.checksum) else Expected(named)
    path = _copy(data, expected)
    if path is not None and path.is_dir() and expected != cifar10.OFFICIAL:
        raise UserError(f"data.path: {path} is a folder, which cannot be compared with {named}; name the archive.")
    return cifar10.read(path or fetch(data.get("urls") or cifar10.URLS, expected, cache, patience))


def _torchvision(data: Mapping[str, Any], cache: Path, patience: Patience) -> Images:
    from temporal_shortcuts.data import vision

    name = data.get("dataset")
    if name not in vision.SETS:
        raise UserError(f"data.dataset: found {name!r}; use one of {', '.join(sorted(vision.SETS))}.")
    if name == "CIFAR10":
        return _cifar10(data, cache, patience)
    for key in ("urls", "archive_checksum"):
        if data.get(key):
            raise UserError(f"data.{key}: torchvision knows where {name} is and what it must be; remove the key.")
    path = Path(data["path"]).expanduser() if data.get("path") else None
    if path is not None and path.exists():
        return vision.read(name, path)
    root = vision.download(name, cache, patience)
    try:
        return vision.read(name, root)
    except UserError:
        shutil.rmtree(root)  # so that the same command downloads it again
        raise


def _image_folder(data: Mapping[str, Any], cache: Path, patience: Patience) -> Images:
    expected = Expected(data.get("archive_checksum"))
    path = _copy(data, expected)
    if path is not None:
        return image_folder.read(path)
    if not data.get("urls"):
        found = f"{data['path']} is not there" if data.get("path") else "none is given"
        raise UserError(f"data.path: {found}, and data.urls gives no address; {WITHOUT_NETWORK}.")
    path = fetch(data["urls"], expected, cache, patience)
    try:
        return image_folder.read(path)
    except DamagedArchive:
        path.unlink()  # so that the same command downloads it again
        raise


def _copy(data: Mapping[str, Any], expected: Expected) -> Path | None:
    """The copy that the user has, an archive only if it is the expected one; None if there is no copy."""
    path = Path(data["path"]).expanduser() if data.get("path") else None
    if path is None or not path.exists():
        return None
    if path.is_dir():
        return path
    complaint = expected.complaint(path)
    if complaint:
        raise UserError(f"data.path: {path} is not the archive that the study names ({complaint}); get it again.")
    return path


def _names_archive(data: Mapping[str, Any]) -> bool:
    """Whether the study's checksum is that of the official archive, not of the arrays."""
    return data["source"] == "cifar10" and str(data.get("checksum")).startswith("md5:")


def digits() -> Images:
    """The 1,797 handwritten digits of scikit-learn, 8x8 pixels of 0 to 16, brought to 32x32x3 by integer arithmetic.

    Each pixel becomes 4x4 equal ones; image i is a test image if i % 5 == 4.
    """
    from sklearn.datasets import load_digits  # here, because it takes seconds that no other source needs

    given = load_digits()
    grey = (given.images.astype(np.int64) * 255 + 8) // 16
    large = grey.astype(np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    pixels = np.repeat(large[:, None], 3, axis=1)
    labels = given.target.astype(np.int64)
    test = np.arange(len(labels)) % 5 == 4
    classes = tuple(str(name) for name in given.target_names)
    return Images(pixels[~test], labels[~test], pixels[test], labels[test], classes)
