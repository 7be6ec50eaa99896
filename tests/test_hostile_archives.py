"""Archives and images from outside: each is read as documented or refused with the file's name, and nothing is ever written."""

from __future__ import annotations

import io
import os
import pickle
import random
import stat
import struct
import tarfile
import tracemalloc
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from made_archives import PACKINGS, folder, good_files, listing, member, picture, refusal, tar, under, unflagged, zip_
from PIL import Image

from temporal_shortcuts.data import image_folder
from temporal_shortcuts.data.archives import DamagedArchive, Limits
from temporal_shortcuts.data.images import checksum, open_images
from temporal_shortcuts.data.sources import prepare
from temporal_shortcuts.errors import UserError


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in a folder that is watched too."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


# images and their tree


@contextmanager
def little_memory() -> Iterator[None]:
    """Fails if more than 20 MiB are taken at a time."""
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 << 20


def text_chunk_bomb() -> bytes:
    """A PNG whose text grows to 64 MiB."""
    good = picture(0)
    body = b"zTXtComment\0\0" + zlib.compress(bytes(64 << 20))
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    return good[:33] + chunk + good[33:]


def png_of(width: int, height: int) -> bytes:
    """A PNG that states a size and holds next to nothing."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [head, b"IDAT" + zlib.compress(bytes(1000)), b"IEND"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) for chunk in chunks
    )


def animated(form: str) -> bytes:
    frames = [Image.open(io.BytesIO(picture(seed))) for seed in (1, 2)]
    file = io.BytesIO()
    frames[0].save(file, form, save_all=True, append_images=frames[1:])
    return file.getvalue()


BAD_IMAGES: dict[str, tuple[bytes, str]] = {
    "text": (b"not an image, whatever its name says\n", "is no image"),
    "empty": (b"", "is no image"),
    "a script": (b"#!/bin/sh\ntouch executed\n", "is no image"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n(executed) (w) file\n", "is no image"),
    "a pickle": (pickle.dumps([1, 2, 3]), "is no image"),
    "GIF": (picture(0, mode="P", form="GIF"), "is no image"),
    "JPEG cut to half": (picture(0, form="JPEG")[:600], "is damaged or truncated"),
    "JPEG cut by 20 bytes": (picture(0, form="JPEG", quality=95)[:-20], "is damaged or truncated"),
    "JPEG cut in its header": (picture(0, form="JPEG")[:100], "is"),
    "PNG cut": (picture(0)[:-500], "is damaged or truncated"),
    "PNG with a wrong CRC": (picture(0)[:-20] + b"\0" + picture(0)[-19:], "is damaged or truncated"),
    "PNG with a text bomb": (text_chunk_bomb(), "is"),
    "33x31": (picture(0, size=(33, 31)), "has 33x31 pixels; make it 32x32"),
    "32x33 JPEG": (picture(0, size=(32, 33), form="JPEG"), "has 32x33 pixels; make it 32x32"),
    "1x1": (picture(0, size=(1, 1)), "has 1x1 pixels"),
    "5000x5000 pixels stated": (png_of(5000, 5000), "has 5000x5000 pixels"),
    "a gigapixel stated": (png_of(40_000, 40_000), "is"),
    "CMYK": (picture(0, mode="CMYK", form="JPEG"), "kind CMYK"),
    "RGBA": (picture(0, mode="RGBA"), "kind RGBA"),
    "grey with transparency": (picture(0, mode="LA"), "kind LA"),
    "16 bit": (picture(0, mode="I;16"), "kind I;16"),
    "one colour transparent": (picture(0, transparency=(0, 0, 0)), "with transparency"),
    "a transparent palette": (picture(0, mode="P", transparency=3), "with transparency"),
    "animated PNG": (animated("PNG"), "more than one frame"),
    "animated WEBP": (animated("WEBP"), "more than one frame"),
    "2 MiB": (picture(0) + bytes(2 << 20), "is larger than 1048576 bytes"),
}


@pytest.mark.parametrize(("content", "says"), BAD_IMAGES.values(), ids=BAD_IMAGES.keys())
@pytest.mark.parametrize("pack", [PACKINGS[name] for name in ("folder", "tar.gz", "zip")], ids=["folder", "tar", "zip"])
def test_bad_images(content: bytes, says: str, pack: Any, tmp_path: Path) -> None:
    (tmp_path / "packed").mkdir()
    path = pack(tmp_path / "packed", good_files() | {"train/dog/Zoë 1.jpg": content})
    with little_memory():
        sentence = refusal(image_folder.read, path, watched=tmp_path)
    assert sentence.startswith(f"{path}: 'train/dog/Zoë 1.jpg' ")
    assert says in sentence


BAD_TREES: dict[str, tuple[dict[str, bytes], str, str]] = {
    "nothing": ({}, "images", "no train/<class>/"),
    "only others": ({"a/b/c.jpg": picture(0)}, "images", "no train/<class>/"),
    "a class missing in test": (good_files() | {"train/ant/1.png": picture(0)}, "test/ant", "has no images"),
    "a class missing in train": (good_files() | {"test/ant/1.png": picture(0)}, "train/ant", "has no images"),
    "one class": (good_files(("cat",)), "'cat'", "is the only class"),
    "one class beside hidden ones": (good_files(("cat", ".dog")), "'cat'", "is the only class"),
    "an empty class": (good_files() | {"train/ant/": b"", "test/ant/1.png": picture(0)}, "train/ant", "has no images"),
    "a class that is empty in both": (
        good_files() | {"train/ant/": b"", "test/ant/": b""},
        "train/ant",
        "has no images",
    ),
    "a class of ignored files": (
        good_files() | {"train/ant/.1.png": picture(0), "test/ant/1.png": picture(0)},
        "train/ant",
        "has no images",
    ),
    "no test": ({name: content for name, content in good_files().items() if "train" in name}, "test/cat", "no images"),
    "an image beside the classes": (good_files() | {"train/1.png": picture(0)}, "'train/1.png'", "does not stand in"),
    "an image deeper": (good_files() | {"train/cat/x/1.png": picture(0)}, "train/cat/x", "folder"),
    "two pairs": (good_files() | under("more/", good_files()), "images", "second pair"),
    "two pairs in folders": (under("a/", good_files()) | under("b/", good_files()), "b/", "second pair"),
    "a note in a class": (good_files() | {"test/cat/notes.txt": b"hello"}, "'test/cat/notes.txt'", "is no image"),
}


@pytest.mark.parametrize(("files", "names", "says"), BAD_TREES.values(), ids=BAD_TREES.keys())
@pytest.mark.parametrize("pack", [PACKINGS[name] for name in ("folder", "tar", "zip")], ids=["folder", "tar", "zip"])
def test_bad_trees(files: Any, names: str, says: str, pack: Any, tmp_path: Path) -> None:
    (tmp_path / "packed").mkdir()
    path = pack(tmp_path / "packed", files)
    if names == "train/cat/x" and path.is_file():
        says = "does not stand in"
    sentence = refusal(image_folder.read, path, watched=tmp_path)
    assert names in sentence
    assert says in sentence


@pytest.mark.parametrize("name", ["../outside.png", "train/cat/../../../outside.png", "/outside.png", "C:/outside.png"])
@pytest.mark.parametrize("pack", [tar, zip_])
def test_names_that_lead_outside_are_names_alone(name: str, pack: Any, tmp_path: Path) -> None:
    """`refusal` and this look whether a file was written anywhere."""
    path = pack(tmp_path / ("images.tar" if pack is tar else "images.zip"), good_files() | {name: picture(0)})
    before = listing(tmp_path)
    if name.startswith("train"):
        assert f"{name!r} does not stand in train/<class>/" in refusal(image_folder.read, path, watched=tmp_path)
    else:
        assert image_folder.read(path).classes == ("cat", "dog")
    assert listing(tmp_path) == before


def test_names_that_are_no_text(tmp_path: Path) -> None:
    surrogate = "train/cat/\udcff.png"
    archive = tmp_path / "images.tar"
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape") as file:
        for name, content in (good_files() | {surrogate: picture(0)}).items():
            file.addfile(member(name, content)[0], io.BytesIO(content))
    assert "'train/cat/\\udcff.png' has a name that is not UTF-8" in refusal(
        image_folder.read, archive, watched=tmp_path
    )
    with open(os.fsencode(folder(tmp_path / "own", good_files())) + b"/train/cat/\xff.png", "wb") as file:
        file.write(picture(0))
    assert "'train/cat/\\udcff.png' has a name that is not UTF-8" in refusal(
        image_folder.read, tmp_path / "own", watched=tmp_path
    )
    latin = unflagged(zip_(tmp_path / "latin.zip", good_files() | {"train/cat/é.png": picture(0)}))
    latin.write_bytes(latin.read_bytes().replace("é".encode(), b"\xff\xfe"))
    assert "utf-8" in refusal(image_folder.read, latin, watched=tmp_path)


LINKS = {
    "symbolic link": {"kind": tarfile.SYMTYPE, "linkname": "../../../../etc/passwd"},
    "symbolic link inside": {"kind": tarfile.SYMTYPE, "linkname": "0000.jpg"},
    "hard link": {"kind": tarfile.LNKTYPE, "linkname": "train/cat/0000.jpg"},
    "character device": {"kind": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5},
    "block device": {"kind": tarfile.BLKTYPE, "devmajor": 8, "devminor": 0},
    "pipe": {"kind": tarfile.FIFOTYPE},
    "of no known kind": {"kind": b"Z"},
}


@pytest.mark.parametrize("fields", LINKS.values(), ids=LINKS.keys())
@pytest.mark.parametrize("name", ["train/cat/link.png", "beside.png"])
def test_links_and_devices_in_a_tar(fields: dict[str, Any], name: str, tmp_path: Path) -> None:
    path = tar(tmp_path / "images.tar.gz", good_files(), [member(name, **fields)])
    assert f"{name!r} is a link or a device" in refusal(image_folder.read, path, watched=tmp_path)


@pytest.mark.parametrize("name", ["train/cat/link.png", "beside.png", "train/ant"])
def test_links_and_devices_in_a_folder(name: str, tmp_path: Path) -> None:
    path = folder(tmp_path / "images", good_files())
    outside = folder(tmp_path / "outside", {"secret.png": picture(0)})
    odd = path / name
    for make in (
        lambda: odd.symlink_to(outside / "secret.png"),
        lambda: odd.symlink_to(outside),
        lambda: odd.symlink_to("nowhere"),
        lambda: os.mkfifo(odd),
    ):
        make()
        assert f"{name!r} is a link or a device" in refusal(image_folder.read, path, watched=tmp_path)
        odd.unlink()
    assert image_folder.read(path).classes == ("cat", "dog")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFIFO])
def test_links_and_devices_in_a_zip(kind: int, tmp_path: Path) -> None:
    def change(info: zipfile.ZipInfo) -> None:
        info.external_attr = (kind | 0o644 if info.filename == "train/cat/link.png" else 0) << 16

    path = zip_(tmp_path / "images.zip", good_files() | {"train/cat/link.png": b"/etc/passwd"}, change)
    assert "'train/cat/link.png' is a link or a device" in refusal(image_folder.read, path, watched=tmp_path)


def test_an_encrypted_zip(tmp_path: Path) -> None:
    path = zip_(tmp_path / "images.zip", good_files())
    path.write_bytes(flagged(path.read_bytes(), 0x1))
    assert "File 'train/cat/0000.jpg' is encrypted" in refusal(image_folder.read, path, watched=tmp_path)


def flagged(content: bytes, flag: int) -> bytes:
    """A zip with a flag set in its first file's headers."""
    changed = bytearray(content)
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        changed[content.find(signature) + offset] |= flag
    return bytes(changed)


def test_the_same_file_twice(tmp_path: Path) -> None:
    twice = [member("train/cat/0000.jpg", picture(0))]
    path = tar(tmp_path / "images.tar", good_files(), twice)
    assert "'train/cat/0000.jpg' is there twice" in refusal(image_folder.read, path, watched=tmp_path)
    composed, decomposed = (unicodedata.normalize(form, "train/cat/é.png") for form in ("NFC", "NFD"))
    path = zip_(tmp_path / "images.zip", good_files() | {composed: picture(0), decomposed: picture(1)})
    assert f"{decomposed!r} is there twice" in refusal(image_folder.read, path, watched=tmp_path)


@pytest.mark.parametrize("pack", [tar, zip_])
def test_a_file_that_grows(pack: Any, tmp_path: Path) -> None:
    path = pack(
        tmp_path / ("a.tar.gz" if pack is tar else "a.zip"), good_files() | {"train/cat/huge.png": bytes(64 << 20)}
    )
    assert path.stat().st_size < 1 << 17
    with little_memory():
        assert "'train/cat/huge.png' is larger than 1048576 bytes" in refusal(image_folder.read, path, watched=tmp_path)


def test_headers_that_make_no_sense(tmp_path: Path) -> None:
    """Python's readers raise what they like for these: no errors of theirs, but ValueError, OverflowError, RecursionError."""
    name = "train/cat/é.png"
    no_text = zip_(tmp_path / "no_text.zip", good_files() | {name: picture(0)})
    no_text.write_bytes(no_text.read_bytes().replace("é".encode(), b"\xff\xfe"))
    chain = [member("header", b"x" * 100 + b"\0", tarfile.GNUTYPE_LONGNAME)] * 3000
    deep = tar(tmp_path / "deep.tar", {}, chain)
    sparse = b"29 GNU.sparse.map=x,y\n".replace(b"29", b"22")
    holes = tar(tmp_path / "holes.tar", good_files(), [member("header", sparse, tarfile.XHDTYPE)])
    with holes.open("r+b") as file:  # a header speaks of the entry after it
        content = file.read().rstrip(b"\0")
        content += bytes(-len(content) % 512)
        info, _ = member("train/cat/last.png", picture(0))
        file.seek(0)
        file.write(content + info.tobuf(tarfile.PAX_FORMAT) + picture(0) + bytes(20480))
    for path in (no_text, deep, holes):
        assert "no whole tar or zip archive" in refusal(image_folder.read, path, watched=tmp_path), path


def test_too_many_files(tmp_path: Path) -> None:
    for pack, name in ((tar, "images.tar"), (zip_, "images.zip")):
        path = pack(tmp_path / name, good_files())
        assert "more than 9 files" in refusal(image_folder.read, path, Limits(files=9), watched=tmp_path)
        assert image_folder.read(path, Limits(files=10)).classes == ("cat", "dog")


# damaged archives: the same images, or a sentence

ARCHIVES = {name: PACKINGS[name] for name in ("tar", "tar.gz", "tar.bz2", "tar.xz", "zip", "zip, stored")}


@pytest.mark.parametrize("pack", ARCHIVES.values(), ids=ARCHIVES.keys())
def test_a_truncated_archive_is_never_taken_for_the_whole(pack: Any, tmp_path: Path) -> None:
    files = good_files(("ant", "bee"), train=2, test=1)
    path = pack(tmp_path, files)
    whole = path.read_bytes()
    expected = checksum(image_folder.read(path))
    end = whole.rstrip(b"\0") if path.suffix == ".tar" else whole
    steps = range(0, len(end), max(1, len(end) // 40))
    lengths = {*steps, *(length for length in (len(end) - 1, len(end) - 8) if length > 0)}
    if path.suffix == ".tar":
        lengths |= set(range(0, len(end), 512))  # also between two files
    for length in sorted(lengths):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedArchive, match=r"no whole tar or zip archive .*; get it again"):
            image_folder.read(path)
    path.write_bytes(whole)
    assert checksum(image_folder.read(path)) == expected


@pytest.mark.parametrize("pack", ARCHIVES.values(), ids=ARCHIVES.keys())
def test_flipped_bits_never_give_other_data(pack: Any, tmp_path: Path) -> None:
    """What the archive's own checksums do not show, the one of the study does."""
    path = pack(tmp_path, good_files(("ant", "bee"), train=2, test=1))
    whole = path.read_bytes()
    pinned = checksum(image_folder.read(path))
    data = {"source": "image_folder", "path": str(path), "checksum": pinned}
    choose = random.Random(8)
    refused = 0
    for number in range(100):
        changed = bytearray(whole)
        changed[choose.randrange(len(whole))] ^= 1 << choose.randrange(8)
        path.write_bytes(changed)
        prepared = tmp_path / f"data{number}"
        try:
            prepare(data, tmp_path / "cache", prepared)
            assert checksum(open_images(prepared, pinned)) == pinned
        except UserError:
            refused += 1
            assert not prepared.exists()
    assert refused > 20


def test_what_is_no_archive(tmp_path: Path) -> None:
    for content in (b"", b"hello", b"PK", b"PK\x03\x04", b"\x1f\x8b", b"BZh9", b"\xfd7zXZ\0", bytes(10240), picture(0)):
        (tmp_path / "file").write_bytes(content)
        assert str(tmp_path / "file") in refusal(image_folder.read, tmp_path / "file", watched=tmp_path)
