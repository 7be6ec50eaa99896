"""Small folders, archives and sets of torchvision for tests of the sources, made by hand, good and bad."""

from __future__ import annotations

import hashlib
import io
import pickle
import struct
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from PIL import Image
from torchvision import datasets

from temporal_shortcuts.errors import UserError

Files = Mapping[str, bytes]
"""Path inside of the archive -> content. A path that ends with / is a folder."""


def picture(seed: int, size: tuple[int, int] = (32, 32), mode: str = "RGB", form: str = "PNG", **options: Any) -> bytes:
    """A file with a random image."""
    channels = {"RGB": 3, "CMYK": 4, "RGBA": 4, "LA": 2}.get(mode)
    shape = (size[1], size[0]) if channels is None else (size[1], size[0], channels)
    numbers = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    image = Image.fromarray(numbers, "L" if mode in ("1", "P", "I;16") else mode)
    if mode in ("1", "P", "I;16"):
        image = image.convert("I;16" if mode == "I;16" else mode)
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def good_files(classes: Iterable[str] = ("cat", "dog"), train: int = 3, test: int = 2) -> dict[str, bytes]:
    """A good set of JPEG and PNG images."""
    files = {}
    for split, count in (("train", train), ("test", test)):
        for name in classes:
            for index in range(count):
                seed = int.from_bytes(hashlib.sha256(f"{split}/{name}/{index}".encode()).digest()[:4])
                form, ending = (("JPEG", "jpg"), ("PNG", "png"))[index % 2]
                files[f"{split}/{name}/{index:04}.{ending}"] = picture(seed, form=form)
    return files


def folder(path: Path, files: Files) -> Path:
    path.mkdir(parents=True)
    for name, content in files.items():
        file = path / name
        if name.endswith("/"):
            file.mkdir(parents=True, exist_ok=True)
        else:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    return path


def member(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, **fields: Any
) -> tuple[tarfile.TarInfo, bytes]:
    """A member of a tar archive; `fields` overwrite those of its header."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def tar(path: Path, files: Files, more: Iterable[tuple[tarfile.TarInfo, bytes]] = ()) -> Path:
    """A tar archive, compressed as its name says, with `more` members after the files."""
    compression = path.suffix.removeprefix(".")
    mode: Any = f"w:{compression}" if compression in ("gz", "xz") else "w"
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            kind = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info, content = member(name.rstrip("/"), content, kind)
            archive.addfile(info, io.BytesIO(content))
        for info, content in more:
            archive.addfile(info, io.BytesIO(content))
    return path


def zip_(path: Path, files: Files, change: Callable[[zipfile.ZipInfo], None] = lambda info: None) -> Path:
    """A zip archive; `change` may alter each header before it is written."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
            info.compress_type = archive.compression
            change(info)
            archive.writestr(info, content)
    return path


def nfd(files: dict[str, bytes]) -> dict[str, bytes]:
    return {unicodedata.normalize("NFD", name): content for name, content in files.items()}


def under(top: str, files: dict[str, bytes]) -> dict[str, bytes]:
    return {f"{top}{name}": content for name, content in files.items()}


JUNK = {
    ".DS_Store": b"x",
    ".git/objects/pack": b"x" * (2 << 20),
    "README.md": b"not an image",
    "LICENSE": b"x" * (2 << 20),
    "labels/notes.txt": b"x",
    "__MACOSX/train/cat/._0000.jpg": b"x",
    "train/.hidden": b"x",
    "train/cat/Thumbs.db": b"x",
    "train/cat/.0000.jpg.swp": b"x",
    "train/.ipynb_checkpoints/0000.jpg": b"x",
    "test/desktop.ini": b"x",
}

PACKINGS: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {
    "folder": lambda path, files: folder(path / "images", files),
    "folder with one on top": lambda path, files: folder(path / "images", under("all of them/", files)),
    "tar": lambda path, files: tar(path / "images.tar", files),
    "tar.gz": lambda path, files: tar(path / "images.tar.gz", files),
    "tar.xz": lambda path, files: tar(path / "images.tar.xz", files),
    "tar with a folder on top": lambda path, files: tar(path / "a.tar.gz", {"a-main/": b"", **under("a-main/", files)}),
    "tar with ./": lambda path, files: tar(path / "images.tar", {"./": b"", **under("./", files)}),
    "tar in another order": lambda path, files: tar(path / "images.tar", dict(reversed(files.items()))),
    "tar named .zip": lambda path, files: tar(path / "images.gz", files).rename(path / "images.zip"),
    "zip": lambda path, files: zip_(path / "images.zip", files),
    "zip with folders": lambda path, files: zip_(path / "a.zip", {"a/": b"", "a/train/": b"", **under("a/", files)}),
    "zip with names not said to be UTF-8": lambda path, files: unflagged(zip_(path / "images.zip", files)),
    "NFD names": lambda path, files: tar(path / "images.tar", nfd(files)),
    "NFD folder": lambda path, files: folder(path / "images", nfd(files)),
    "with junk, tar": lambda path, files: tar(path / "images.tar.gz", JUNK | files),
    "with junk, zip": lambda path, files: zip_(path / "images.zip", under("top/", files | JUNK)),
}


def unflagged(path: Path) -> Path:
    """A zip as some programs write it: names in UTF-8 without saying so."""
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = content.find(signature)
        while start >= 0:
            (flags,) = struct.unpack_from("<H", content, start + offset)
            struct.pack_into("<H", content, start + offset, flags & ~0x800)
            start = content.find(signature, start + 4)
    path.write_bytes(content)
    return path


CIFAR_CLASSES = ("airplane", "automobile", "bird")
CIFAR_FOLDER = "cifar-10-batches-py"


def cifar_files(rows: int = 4) -> tuple[dict[str, bytes], dict[str, tuple[np.ndarray, list[int]]]]:
    """The files of a small archive of the official format, and what stands in its batches."""
    random = np.random.default_rng(0)
    meta = pickle.dumps({"label_names": list(CIFAR_CLASSES)}, 2)
    files, batches = {f"{CIFAR_FOLDER}/batches.meta": meta, f"{CIFAR_FOLDER}/readme.html": b"<html>"}, {}
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        data = random.integers(0, 256, (rows, 3072), dtype=np.uint8)
        labels = [int(label) for label in random.integers(0, len(CIFAR_CLASSES), rows)]
        files[f"{CIFAR_FOLDER}/{name}"] = pickle.dumps({"data": data, "labels": labels}, 2)
        batches[name] = data, labels
    return files, batches


def md5(path: Path) -> str:
    return f"md5:{hashlib.md5(path.read_bytes()).hexdigest()}"


def sha256(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def listing(path: Path) -> dict[str, str]:
    """Everything under a folder, with a digest of each file's content."""
    return {str(found): sha256(found.read_bytes()) if found.is_file() else "" for found in path.rglob("*")}


def refusal(function: Callable[..., Any], *arguments: Any, watched: Path) -> str:
    """The one sentence of the `UserError` that a call must end in, without a change under the watched folder."""
    before = listing(watched)
    with pytest.raises(UserError) as caught:
        function(*arguments)
    sentence = str(caught.value)
    assert "\n" not in sentence
    assert listing(watched) == before
    return sentence


# sets in the formats of torchvision's, as they lie under its root after a download

SPLITS = ("train", "test")


@dataclass
class Made:
    """What is in a set: images `[H, W]` or `[H, W, 3]` and labels of each split, and its classes."""

    classes: tuple[str, ...]
    images: dict[str, list[np.ndarray]] = field(default_factory=dict)
    labels: dict[str, list[int]] = field(default_factory=dict)

    def fill(self, shape: tuple[int, ...], counts: tuple[int, int] = (9, 5), kinds: int = 3) -> Made:
        """Random images; every one of the first `kinds` classes is there in each split, in turn."""
        source = np.random.default_rng(len(self.classes))
        for split, count in zip(SPLITS, counts, strict=True):
            self.images[split] = list(source.integers(0, 256, (count, *shape), dtype=np.uint8))
            self.labels[split] = [index % kinds for index in range(count)]
        return self

    @property
    def splits(self) -> list[tuple[str, list[np.ndarray], list[int]]]:
        return [(split, self.images[split], self.labels[split]) for split in SPLITS]


def digest(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def put(file: Path, content: bytes) -> str:
    """Write a file; its md5."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return digest(content)


def official_cifar10(files: dict[str, bytes], patch: pytest.MonkeyPatch) -> None:
    """Make the small files of `made_archives.cifar_files` those that torchvision knows."""
    md5 = {name.rpartition("/")[2]: digest(content) for name, content in files.items()}
    patch.setattr(datasets.CIFAR10, "train_list", [[f"data_batch_{k}", md5[f"data_batch_{k}"]] for k in range(1, 6)])
    patch.setattr(datasets.CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
    patch.setattr(datasets.CIFAR10, "meta", datasets.CIFAR10.meta | {"md5": md5["batches.meta"]})


def cifar10(root: Path, patch: pytest.MonkeyPatch) -> Made:
    files, batches = cifar_files()
    official_cifar10(files, patch)
    made = Made(("airplane", "automobile", "bird"))
    for name, content in files.items():
        put(root / name, content)
    for split, names in (("train", [f"data_batch_{k}" for k in range(1, 6)]), ("test", ["test_batch"])):
        rows = [row for name in names for row in batches[name][0]]
        made.images[split] = [row.reshape(3, 32, 32).transpose(1, 2, 0) for row in rows]
        made.labels[split] = [label for name in names for label in batches[name][1]]
    return made


def idx(array: np.ndarray) -> bytes:
    """The format of MNIST, of uint8: magic, sizes and numbers, big-endian."""
    return np.array([8 << 8 | array.ndim, *array.shape], dtype=">i4").tobytes() + array.tobytes()


def mnist(name: str) -> Callable[[Path, pytest.MonkeyPatch], Made]:
    def make(root: Path, patch: pytest.MonkeyPatch) -> Made:
        made = Made(tuple(getattr(datasets, name).classes)).fill((28, 28))
        for prefix, (_, images, labels) in zip(("train", "t10k"), made.splits, strict=True):
            put(root / name / "raw" / f"{prefix}-images-idx3-ubyte", idx(np.stack(images)))
            put(root / name / "raw" / f"{prefix}-labels-idx1-ubyte", idx(np.array(labels, np.uint8)))
        return made

    return make


def svhn(root: Path, patch: pytest.MonkeyPatch) -> Made:
    made = Made(("0", "1", "2")).fill((32, 32, 3))
    split_list = dict(datasets.SVHN.split_list)
    for split, images, labels in made.splits:
        file = io.BytesIO()
        numbers = np.array([label or 10 for label in labels], np.uint8)[:, None]
        scipy.io.savemat(file, {"X": np.stack(images).transpose(1, 2, 3, 0), "y": numbers})
        split_list[split] = [*split_list[split][:2], put(root / f"{split}_32x32.mat", file.getvalue())]
    patch.setattr(datasets.SVHN, "split_list", split_list)
    return made


def imagenette(root: Path, patch: pytest.MonkeyPatch) -> Made:
    made = Made(("tench", "English springer")).fill((40, 60, 3), (6, 4), kinds=2)
    for split, images, labels in made.splits:
        labels.sort()
        for index, label in enumerate(labels):
            folder = root / "imagenette2" / {"train": "train", "test": "val"}[split] / ("n01440764", "n02102040")[label]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(images[index]).save(folder / f"{index}.jpeg")
            images[index] = np.asarray(Image.open(folder / f"{index}.jpeg"))
    return made


MADE: dict[str, Callable[[Path, pytest.MonkeyPatch], Made]] = {
    "CIFAR10": cifar10,
    **{name: mnist(name) for name in ("FashionMNIST", "KMNIST", "MNIST")},
    "Imagenette": imagenette,
    "SVHN": svhn,
}
"""Makes the files of a set under a root, teaches torchvision their md5, and returns what is in them."""
