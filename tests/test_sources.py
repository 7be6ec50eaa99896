"""The sources: what they give, and what the user is told when it is not what the study names."""

from __future__ import annotations

import io
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_data import PACKINGS, folder, good_files, picture, refusal
from PIL import Image
from sklearn.datasets import load_digits

from temporal_shortcuts.data import image_folder
from temporal_shortcuts.data.images import checksum, open_images, subset
from temporal_shortcuts.data.sources import digits, load, prepare

ROOT = Path(__file__).parents[1]
REAL = ROOT.parent / "shared" / "data" / "cifar10-jpeg.tar.xz"
REAL_CHECKSUM = "sha256:ef04f3a95b978d932c15406b498ee9c99496d21429478c150489ab15ae3d69dc"
REAL_CHECKSUM_OF_1000 = "sha256:155d5f5c7676193730ef217c66cc46f38a581814ba1262f1e7c01d8f8f07798c"
DIGITS = "sha256:4c6d61df646d23b9db4ab6599c40c32da516e2449cc6e0eb8c23649737cfe87c"
NOT_PINNED = "sha256:" + "0" * 64


# digits


def test_digits_are_brought_to_32x32_by_integer_arithmetic() -> None:
    images = digits()
    assert images.shapes == {
        "train_images": [1438, 3, 32, 32],
        "train_labels": [1438],
        "test_images": [359, 3, 32, 32],
        "test_labels": [359],
    }
    assert images.train_images.dtype == np.uint8
    assert images.train_labels.dtype == np.int64
    assert images.classes == tuple("0123456789")
    given = load_digits()
    test = np.arange(1797) % 5 == 4
    assert images.test_labels.tolist() == given.target[test].tolist()
    enlarged = np.kron((given.images[~test] * 255 + 8) // 16, np.ones((4, 4)))
    np.testing.assert_array_equal(images.train_images, np.stack([enlarged] * 3, axis=1))
    assert checksum(images) == DIGITS


def test_digits_need_no_network_and_no_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*arguments: Any) -> None:
        raise AssertionError("a connection was asked for")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    prepare({"source": "digits", "checksum": DIGITS}, tmp_path / "cache", tmp_path / "data")
    assert checksum(open_images(tmp_path / "data", DIGITS)) == DIGITS
    assert not (tmp_path / "cache").exists()


# prepare


def test_an_unpinned_checksum_is_stated(tmp_path: Path) -> None:
    for pinned in (None, NOT_PINNED):
        data = {"source": "digits", "name": "digits (scikit-learn)", "checksum": pinned}
        sentence = refusal(prepare, data, tmp_path / "cache", tmp_path / "data", watched=tmp_path)
        assert "'digits (scikit-learn)'" in sentence
        assert f"not {pinned}" in sentence
        assert sentence.endswith(f"pin it in the study as data.checksum: {DIGITS}")
    assert not (tmp_path / "data").exists()


def test_a_subset_is_other_data(tmp_path: Path) -> None:
    data = {"source": "digits", "checksum": DIGITS, "images_per_class": 100}
    assert "data.checksum" in refusal(prepare, data, tmp_path / "cache", tmp_path / "data", watched=tmp_path)
    found = checksum(load(data, tmp_path / "cache"))
    prepare(data | {"checksum": found}, tmp_path / "cache", tmp_path / "data")
    assert np.bincount(open_images(tmp_path / "data", found).train_labels).tolist() == [100] * 10
    data["images_per_class"] = 10_000
    sentence = refusal(prepare, data, tmp_path / "cache", tmp_path / "data", watched=tmp_path)
    assert "data.images_per_class: 10000" in sentence


def test_validation_images_take_the_place_of_the_test_images(tmp_path: Path) -> None:
    data = {"source": "digits", "checksum": DIGITS, "images_per_class": 100, "validation_per_class": 20}
    assert "data.checksum" in refusal(prepare, data, tmp_path / "cache", tmp_path / "data", watched=tmp_path)
    found = checksum(load(data, tmp_path / "cache"))
    prepare(data | {"checksum": found}, tmp_path / "cache", tmp_path / "data")
    images = open_images(tmp_path / "data", found)
    assert np.bincount(images.train_labels).tolist() == [100] * 10
    assert np.bincount(images.test_labels).tolist() == [20] * 10
    rows = {image.tobytes() for image in digits().train_images}
    assert all(image.tobytes() in rows for image in images.test_images), "no test image is among what is prepared"


def test_unknown_source(tmp_path: Path) -> None:
    assert "data.source: found 'cifar100'" in refusal(load, {"source": "cifar100"}, tmp_path, watched=tmp_path)


# images of one's own: what is the same


@pytest.mark.parametrize("pack", PACKINGS.values(), ids=PACKINGS.keys())
def test_packings_of_the_same_files_are_the_same_data(
    pack: Callable[[Path, dict[str, bytes]], Path], tmp_path: Path
) -> None:
    files = good_files(("Käse", "test", "狗"))
    (tmp_path / "packed").mkdir()
    images = image_folder.read(pack(tmp_path / "packed", files))
    assert images.classes == ("Käse", "test", "狗")
    assert images.train_labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert images.test_labels.tolist() == [0, 0, 1, 1, 2, 2]
    for split in ("train", "test"):
        expected = []
        for name in sorted(name for name in files if name.startswith(split)):
            with Image.open(io.BytesIO(files[name])) as image:
                expected.append(np.asarray(image).transpose(2, 0, 1))
        np.testing.assert_array_equal(images.arrays[f"{split}_images"], np.stack(expected))


@pytest.mark.parametrize(
    ("form", "mode"), [("JPEG", "L"), *((form, mode) for form in ("PNG", "BMP", "WEBP") for mode in ("L", "1", "P"))]
)
def test_grey_and_palettes_are_brought_to_rgb(form: str, mode: str, tmp_path: Path) -> None:
    options = {"lossless": True} if form == "WEBP" else {}
    content = picture(3, mode=mode, form=form, **options)
    images = image_folder.read(folder(tmp_path / "images", good_files() | {"train/cat/0000.jpg": content}))
    with Image.open(io.BytesIO(content)) as image:
        np.testing.assert_array_equal(images.train_images[0], np.asarray(image.convert("RGB")).transpose(2, 0, 1))
    if mode != "P":
        assert (images.train_images[0] == images.train_images[0, :1]).all()


TURNED = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: np.rot90(pixels, -1),
    7: lambda pixels: np.rot90(pixels, 2).swapaxes(0, 1),
    8: lambda pixels: np.rot90(pixels),
}
"""EXIF orientation -> what a viewer shows, of pixels `[H, W, C]`."""


@pytest.mark.parametrize("orientation", [0, 1, *TURNED, 9])
@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_an_image_is_turned_as_its_orientation_says(form: str, orientation: int, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = picture(3, form=form, exif=exif)
    images = image_folder.read(folder(tmp_path / "images", good_files() | {"train/cat/0000.jpg": content}))
    with Image.open(io.BytesIO(content)) as image:
        upright = TURNED.get(orientation, lambda pixels: pixels)(np.asarray(image.convert("RGB")))
    np.testing.assert_array_equal(images.train_images[0], upright.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("copied", "shared"), [((), 0), (("train/cat/0001.png",), 1), (("train/cat/0001.png", "train/dog/0000.jpg"), 2)]
)
def test_images_of_both_splits_are_counted_and_said(
    copied: tuple[str, ...], shared: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under any name and class, and in any format of the same pixels."""
    files = good_files(("cat", "dog", "10", "2"))
    for k, name in enumerate(copied):
        with Image.open(io.BytesIO(files[name])) as image:
            file = io.BytesIO()
            image.save(file, "BMP")
        files[f"test/dog/copy{k}.bmp"] = file.getvalue()
    data = {"source": "image_folder", "path": str(folder(tmp_path / "images", files))}
    images = load(data, tmp_path)
    counts = {"test_classes": [2, 2, 2, 2 + shared], "test_images": 8 + shared, "shared_images": shared}
    assert images.test_set == {"classes": ["10", "2", "cat", "dog"]} | counts
    prepare(data | {"checksum": checksum(images)}, tmp_path, tmp_path / "data")
    warned = f"warning: {shared} of the {8 + shared} test images are training images too" in capsys.readouterr().err
    assert warned == bool(shared)


@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_file(), reason="the 60,000 real images of ../shared/data are not there")
def test_the_real_images() -> None:
    images = image_folder.read(REAL)
    assert np.bincount(images.train_labels).tolist() == [5000] * 10
    assert np.bincount(images.test_labels).tolist() == [1000] * 10
    assert images.classes[0] == "airplane"
    assert checksum(images) == REAL_CHECKSUM
    assert checksum(subset(images, 1000)) == REAL_CHECKSUM_OF_1000
