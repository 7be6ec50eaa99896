"""Archives and images from outside: each is read as documented or refused with the file's name, and nothing is ever written."""

from __future__ import annotations

import io
import os
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
from made_data import PACKINGS, folder, good_files, member, picture, refusal, tar, under, unflagged, zip_
from PIL import Image

from temporal_shortcuts.data import image_folder
from temporal_shortcuts.data.archives import DamagedArchive, Limits
from temporal_shortcuts.data.images import checksum, open_images
from temporal_shortcuts.data.sources import prepare
from temporal_shortcuts.errors import UserError


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


# images and their tree


def chunk(content: bytes) -> bytes:
    """A part of a PNG file, of its name and content."""
    return struct.pack(">I", len(content) - 4) + content + struct.pack(">I", zlib.crc32(content))


def text_bomb() -> bytes:
    """A PNG whose text grows to 64 MiB."""
    return picture(0)[:33] + chunk(b"zTXtComment\0\0" + zlib.compress(bytes(64 << 20))) + picture(0)[33:]


def png_of(width: int, height: int) -> bytes:
    """A PNG that states a size and holds next to nothing."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(map(chunk, (head, b"IDAT" + zlib.compress(bytes(1000)), b"IEND")))


def animated(form: str) -> bytes:
    frames = [Image.open(io.BytesIO(picture(seed))) for seed in (1, 2)]
    file = io.BytesIO()
    frames[0].save(file, form, save_all=True, append_images=frames[1:])
    return file.getvalue()


BAD_IMAGES: dict[str, tuple[bytes, str]] = {
    "text": (b"not an image, whatever its name says\n", "is no image"),
    "postscript": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n(executed) (w) file\n", "is no image"),
    "GIF": (picture(0, mode="P", form="GIF"), "is no image"),
    "JPEG cut to half": (picture(0, form="JPEG")[:600], "is damaged or truncated"),
    "PNG with a wrong CRC": (picture(0)[:-20] + b"\0" + picture(0)[-19:], "is damaged or truncated"),
    "PNG with a text bomb": (text_bomb(), "is"),
    "33x31": (picture(0, size=(33, 31)), "has 33x31 pixels; make it 32x32"),
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
def test_bad_images(content: bytes, says: str, tmp_path: Path) -> None:
    path = folder(tmp_path / "images", good_files() | {"train/dog/Zoë 1.jpg": content})
    with little_memory():
        sentence = refusal(image_folder.read, path, watched=tmp_path)
    assert sentence.startswith(f"{path}: 'train/dog/Zoë 1.jpg' ")
    assert says in sentence


BAD_TREES: dict[str, tuple[dict[str, bytes], str, str]] = {
    "only others": ({"a/b/c.jpg": picture(0)}, "images", "no train/<class>/"),
    "a class missing in test": (good_files() | {"train/ant/1.png": picture(0)}, "test/ant", "has no images"),
    "one class": (good_files(("cat",)), "'cat'", "is the only class"),
    "an empty class": (good_files() | {"train/ant/": b"", "test/ant/1.png": picture(0)}, "train/ant", "has no images"),
    "no test": ({name: content for name, content in good_files().items() if "train" in name}, "test/cat", "no images"),
    "an image beside the classes": (good_files() | {"train/1.png": picture(0)}, "'train/1.png'", "does not stand in"),
    "a folder in a class": (good_files() | {"train/cat/x/": b""}, "train/cat/x", "is a folder in a class folder"),
    "two pairs": (good_files() | under("more/", good_files()), "images", "second pair"),
}


@pytest.mark.parametrize(("files", "names", "says"), BAD_TREES.values(), ids=BAD_TREES.keys())
@pytest.mark.parametrize("pack", ["folder", "zip"])
def test_bad_trees(files: Any, names: str, says: str, pack: str, tmp_path: Path) -> None:
    (tmp_path / "packed").mkdir()
    path = PACKINGS[pack](tmp_path / "packed", files)
    sentence = refusal(image_folder.read, path, watched=tmp_path)
    assert names in sentence
    assert says in sentence


# what an archive can hold besides


@pytest.mark.parametrize("pack", [tar, zip_])
def test_names_that_lead_outside_are_names_alone(pack: Any, tmp_path: Path) -> None:
    outside = dict.fromkeys(("../outside.png", "/outside.png", "C:/outside.png"), picture(0))
    path = pack(tmp_path / "images", good_files() | outside)
    assert image_folder.read(path).classes == ("cat", "dog")
    assert list(tmp_path.iterdir()) == [path]
    inside = "train/cat/../../../outside.png"
    path = pack(tmp_path / "images", good_files() | {inside: picture(0)})
    assert f"{inside!r} does not stand in train/<class>/" in refusal(image_folder.read, path, watched=tmp_path)


def test_names_that_are_no_text(tmp_path: Path) -> None:
    archive = tmp_path / "images.tar"
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape") as file:
        for name, content in (good_files() | {"train/cat/\udcff.png": picture(0)}).items():
            file.addfile(member(name, content)[0], io.BytesIO(content))
    own = folder(tmp_path / "own", good_files())
    Path(os.fsdecode(os.fsencode(own) + b"/train/cat/\xff.png")).write_bytes(picture(0))
    for path in (archive, own):
        said = refusal(image_folder.read, path, watched=tmp_path)
        assert "'train/cat/\\udcff.png' has a name that is not UTF-8" in said
    latin = unflagged(zip_(tmp_path / "latin.zip", good_files() | {"train/cat/é.png": picture(0)}))
    latin.write_bytes(latin.read_bytes().replace("é".encode(), b"\xff\xfe"))
    assert "utf-8" in refusal(image_folder.read, latin, watched=tmp_path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, b"Z"])
@pytest.mark.parametrize("name", ["train/cat/link.png", "beside.png"])
def test_links_and_devices_in_a_tar(kind: bytes, name: str, tmp_path: Path) -> None:
    path = tar(tmp_path / "images.tar.gz", good_files(), [member(name, kind=kind, linkname="train/cat/0000.jpg")])
    assert f"{name!r} is a link or a device" in refusal(image_folder.read, path, watched=tmp_path)


def test_links_and_devices_in_a_folder(tmp_path: Path) -> None:
    path, outside = folder(tmp_path / "images", good_files()), folder(tmp_path / "outside", {"a.png": picture(0)})
    odd = path / "train" / "ant"
    for make in (
        lambda: odd.symlink_to(outside / "a.png"),
        lambda: odd.symlink_to(outside),
        lambda: odd.symlink_to("nowhere"),
        lambda: os.mkfifo(odd),
    ):
        make()
        assert "'train/ant' is a link or a device" in refusal(image_folder.read, path, watched=tmp_path)
        odd.unlink()


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO])
def test_links_and_devices_in_a_zip(kind: int, tmp_path: Path) -> None:
    def change(info: zipfile.ZipInfo) -> None:
        info.external_attr = (kind | 0o644 if info.filename == "train/cat/link.png" else 0) << 16

    path = zip_(tmp_path / "images.zip", good_files() | {"train/cat/link.png": b"/etc/passwd"}, change)
    assert "'train/cat/link.png' is a link or a device" in refusal(image_folder.read, path, watched=tmp_path)


def test_an_encrypted_zip(tmp_path: Path) -> None:
    path = zip_(tmp_path / "images.zip", good_files())
    content = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.find(signature) + offset] |= 1
    path.write_bytes(content)
    assert "File 'train/cat/0000.jpg' is encrypted" in refusal(image_folder.read, path, watched=tmp_path)


def test_the_same_file_twice(tmp_path: Path) -> None:
    composed, decomposed = (unicodedata.normalize(form, "train/cat/é.png") for form in ("NFC", "NFD"))
    path = zip_(tmp_path / "images.zip", good_files() | {composed: picture(0), decomposed: picture(1)})
    assert f"{decomposed!r} is there twice" in refusal(image_folder.read, path, watched=tmp_path)


@pytest.mark.parametrize(("pack", "name"), [(tar, "a.tar.gz"), (zip_, "a.zip")])
def test_a_file_that_grows(pack: Any, name: str, tmp_path: Path) -> None:
    path = pack(tmp_path / name, good_files() | {"train/cat/huge.png": bytes(64 << 20)})
    assert path.stat().st_size < 1 << 17
    with little_memory():
        assert "'train/cat/huge.png' is larger than 1048576 bytes" in refusal(image_folder.read, path, watched=tmp_path)


def test_too_many_files(tmp_path: Path) -> None:
    path = tar(tmp_path / "images.tar", good_files())
    assert "more than 9 files" in refusal(image_folder.read, path, Limits(files=9), watched=tmp_path)
    assert image_folder.read(path, Limits(files=10)).classes == ("cat", "dog")


# damaged archives: the same images, or a sentence


@pytest.mark.parametrize("name", ["tar", "tar.gz", "tar.xz", "zip"])
def test_a_truncated_archive_is_never_taken_for_the_whole(name: str, tmp_path: Path) -> None:
    path = PACKINGS[name](tmp_path, good_files(("ant", "bee"), train=2, test=1))
    whole = path.read_bytes()
    end = len(whole.rstrip(b"\0") if name == "tar" else whole)
    borders = range(0, end, 512 if name == "tar" else end // 40)  # of a tar also those between two files
    for length in (*borders, end - 8, end - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(DamagedArchive, match=r"no whole tar or zip archive .*; get it again"):
            image_folder.read(path)


@pytest.mark.parametrize("name", ["tar", "tar.gz", "zip"])
def test_flipped_bits_never_give_other_data(name: str, tmp_path: Path) -> None:
    """What the archive's own checksums do not show, the one of the study does."""
    path = PACKINGS[name](tmp_path, good_files(("ant", "bee"), train=2, test=1))
    whole, choose, refused = path.read_bytes(), random.Random(8), 0
    pinned = checksum(image_folder.read(path))
    for number in range(100):
        changed = bytearray(whole)
        changed[choose.randrange(len(whole))] ^= 1 << choose.randrange(8)
        path.write_bytes(changed)
        prepared = tmp_path / f"data{number}"
        try:
            prepare({"source": "image_folder", "path": str(path), "checksum": pinned}, tmp_path / "cache", prepared)
            assert checksum(open_images(prepared, pinned)) == pinned
        except UserError:
            refused += 1
            assert not prepared.exists()
    assert refused > 20


def test_what_is_no_archive(tmp_path: Path) -> None:
    deep = tar(tmp_path / "deep", {}, [member("header", b"x" * 100 + b"\0", tarfile.GNUTYPE_LONGNAME)] * 3000)
    for content in (b"", b"hello", b"PK\x03\x04", b"\x1f\x8b", bytes(10240), picture(0), deep.read_bytes()):
        (tmp_path / "file").write_bytes(content)
        assert str(tmp_path / "file") in refusal(image_folder.read, tmp_path / "file", watched=tmp_path)
