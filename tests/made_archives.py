"""Small folders, archives and pickles for tests of the sources, made by hand, good and bad."""

from __future__ import annotations

import hashlib
import io
import struct
import tarfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

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
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def tar(
    path: Path, files: Files, more: Iterable[tuple[tarfile.TarInfo, bytes]] = (), form: int = tarfile.PAX_FORMAT
) -> Path:
    """A tar archive, compressed as its name says, with `more` members after the files."""
    compression = path.suffix.removeprefix(".")
    mode: Any = f"w:{compression}" if compression in ("gz", "bz2", "xz") else "w"
    with tarfile.open(path, mode, format=form) as archive:
        for name, content in files.items():
            kind = tarfile.DIRTYPE if name.endswith("/") else tarfile.REGTYPE
            info, content = member(name.rstrip("/"), content, kind)
            archive.addfile(info, io.BytesIO(content))
        for info, content in more:
            archive.addfile(info, io.BytesIO(content))
    return path


def zip_(
    path: Path, files: Files, change: Callable[[zipfile.ZipInfo], None] = lambda info: None, stored: bool = False
) -> Path:
    """A zip archive; `change` may alter each header before it is written."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED) as archive:
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
    "tar.bz2": lambda path, files: tar(path / "images.tar.bz2", files),
    "tar.xz": lambda path, files: tar(path / "images.tar.xz", files),
    "GNU tar": lambda path, files: tar(path / "images.tar", files, form=tarfile.GNU_FORMAT),
    "tar with a folder on top": lambda path, files: tar(path / "a.tar.gz", {"a-main/": b"", **under("a-main/", files)}),
    "tar with ./": lambda path, files: tar(path / "images.tar", {"./": b"", **under("./", files)}),
    "tar in another order": lambda path, files: tar(path / "images.tar", dict(reversed(files.items()))),
    "tar named .zip": lambda path, files: tar(path / "images.gz", files).rename(path / "images.zip"),
    "zip": lambda path, files: zip_(path / "images.zip", files),
    "zip, stored": lambda path, files: zip_(path / "images.zip", files, stored=True),
    "zip with folders": lambda path, files: zip_(path / "a.zip", {"a/": b"", "a/train/": b"", **under("a/", files)}),
    "zip with names not said to be UTF-8": lambda path, files: unflagged(zip_(path / "images.zip", files)),
    "NFD names": lambda path, files: tar(path / "images.tar", nfd(files)),
    "NFD folder": lambda path, files: folder(path / "images", nfd(files)),
    "with junk, folder": lambda path, files: folder(path / "images", files | JUNK),
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


def text(value: bytes) -> bytes:
    """A Python 2 string in pickle protocol 2."""
    return b"U" + bytes([len(value)]) + value if len(value) < 256 else b"T" + struct.pack("<i", len(value)) + value


def batch(data: np.ndarray, labels: Iterable[int]) -> bytes:
    """A batch as Python 2's cPickle wrote it for the official archive: protocol 2, with numpy's names of that time."""
    rows, columns = data.shape
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        + (b"J" + struct.pack("<i", rows) + b"J" + struct.pack("<i", columns) + b"\x86")
        + b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89"
        + text(data.tobytes())
        + b"tb"
    )
    numbers = b"".join(b"K" + bytes([label]) for label in labels)
    names = b"".join(text(b"image_%d.png" % index) for index in range(rows))
    items = (
        (text(b"batch_label") + text(b"training batch 1 of 5"))
        + (text(b"labels") + b"](" + numbers + b"e")
        + (text(b"data") + array)
        + (text(b"filenames") + b"](" + names + b"e")
    )
    return b"\x80\x02}(" + items + b"u."


def meta(classes: Iterable[str]) -> bytes:
    """batches.meta, in the text protocol that the official archive has there."""
    names = b"".join(b"S'%s'\na" % name.encode() for name in classes)
    return b"(dS'num_cases_per_batch'\nI4\nsS'label_names'\n(l" + names + b"sS'num_vis'\nI3072\ns."


CIFAR_CLASSES = ("airplane", "automobile", "bird")
CIFAR_FOLDER = "cifar-10-batches-py"


def cifar_files(rows: int = 4) -> tuple[dict[str, bytes], dict[str, tuple[np.ndarray, list[int]]]]:
    """The files of a small archive of the official format, and what stands in its batches."""
    random = np.random.default_rng(0)
    files, batches = {f"{CIFAR_FOLDER}/batches.meta": meta(CIFAR_CLASSES), f"{CIFAR_FOLDER}/readme.html": b"<html>"}, {}
    for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
        data = random.integers(0, 256, (rows, 3072), dtype=np.uint8)
        labels = [int(label) for label in random.integers(0, len(CIFAR_CLASSES), rows)]
        files[f"{CIFAR_FOLDER}/{name}"] = batch(data, labels)
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
