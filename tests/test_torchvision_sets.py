"""The sets of torchvision, each from a small one in its own format: what they give, and what is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
from made_data import MADE, idx, listing, refusal
from PIL import Image

from temporal_shortcuts.data import vision
from temporal_shortcuts.data.images import checksum, open_images, with_statistics
from temporal_shortcuts.data.sources import load, prepare

DEBIAN = Path("/usr/share/datasets/fashion-mnist")


@pytest.mark.parametrize("name", vision.SETS)
def test_torchvision_is_asked_for_the_parts_that_each_set_has(name: str, tmp_path: Path) -> None:
    """Which part that is, and that nothing but the files is missing; formats that differ for us are in MADE."""
    for arguments, words in zip(vision.SETS[name], ((True, "train", "trainval"), (False, "test", "val")), strict=True):
        assert arguments.get("train", arguments.get("split")) in words
        with pytest.raises((RuntimeError, FileNotFoundError), match=r"not found|No such file"):
            vision._part(name, tmp_path, arguments)


def brought(image: np.ndarray) -> np.ndarray:
    """By Pillow alone: RGB, the shorter side to 32, the central square."""
    picture = Image.fromarray(image).convert("RGB")
    width, height = picture.size
    short = min(width, height)
    width, height = 32 * width // short, 32 * height // short
    picture = picture.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - 32) / 2), round((height - 32) / 2)
    return np.asarray(picture.crop((left, top, left + 32, top + 32))).transpose(2, 0, 1)


@pytest.mark.parametrize("name", MADE)
def test_images_labels_and_classes(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = MADE[name](tmp_path / "root", monkeypatch)
    before = listing(tmp_path)
    images = load({"source": "torchvision", "dataset": name, "path": str(tmp_path / "root")}, tmp_path / "cache")
    assert listing(tmp_path) == before  # nothing is written beside a copy that is there
    assert images.classes == made.classes
    for split, pictures, labels in made.splits:
        assert images.arrays[f"{split}_labels"].tolist() == labels
        np.testing.assert_array_equal(images.arrays[f"{split}_images"], np.stack([brought(one) for one in pictures]))


def test_mean_and_deviation_are_those_of_the_training_images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MADE["SVHN"](tmp_path / "root", monkeypatch)
    data = {"source": "torchvision", "dataset": "SVHN", "path": str(tmp_path / "root"), "images_per_class": 2}
    images = load(data, tmp_path / "cache")
    assert len(images.train_images) == 6
    fractions = images.train_images.astype(np.float64) / 255
    np.testing.assert_allclose(images.mean, fractions.mean((0, 2, 3)), rtol=1e-12)
    np.testing.assert_allclose(images.deviation, fractions.std((0, 2, 3)), rtol=1e-12)
    prepare(data | {"checksum": checksum(images)}, tmp_path / "cache", tmp_path / "data")
    described = json.loads((tmp_path / "data" / "data.json").read_text())
    assert (described["mean"], described["deviation"]) == (list(images.mean), list(images.deviation))
    again = open_images(tmp_path / "data", checksum(images))
    assert (again.mean, again.deviation) == (images.mean, images.deviation)


def test_the_same_pixels_with_other_statistics_are_other_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network would see other numbers."""
    MADE["CIFAR10"](tmp_path / "root", monkeypatch)
    path = {"path": str(tmp_path / "root" / "cifar-10-batches-py")}
    constants = load({"source": "cifar10"} | path, tmp_path / "cache")
    own = load({"source": "torchvision", "dataset": "CIFAR10"} | path, tmp_path / "cache")
    assert constants.mean is None
    np.testing.assert_array_equal(constants.train_images, own.train_images)
    assert checksum(own) == checksum(with_statistics(constants)) != checksum(constants)


def test_a_channel_that_never_varies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MADE["MNIST"](tmp_path, monkeypatch)
    black = np.zeros((9, 28, 28), np.uint8)
    (tmp_path / "MNIST" / "raw" / "train-images-idx3-ubyte").write_bytes(idx(black))
    images = load({"source": "torchvision", "dataset": "MNIST", "path": str(tmp_path)}, tmp_path / "cache")
    assert (images.mean, images.deviation) == ((0.0,) * 3, (1.0,) * 3)


@pytest.mark.slow
@pytest.mark.skipif(not DEBIAN.is_dir(), reason="Debian's package dataset-fashion-mnist is not installed")
def test_the_real_fashion_mnist(tmp_path: Path) -> None:
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for file in DEBIAN.glob("*.gz"):
        (raw / file.stem).write_bytes(gzip.decompress(file.read_bytes()))
    images = load({"source": "torchvision", "dataset": "FashionMNIST", "path": str(tmp_path)}, tmp_path / "cache")
    assert np.bincount(images.train_labels).tolist() == [6000] * 10
    assert np.bincount(images.test_labels).tolist() == [1000] * 10
    assert checksum(images) == "sha256:ecd27809d0797d25ce7cf40fef68125e5311da88e336a5e12b526575e6180332"


# what is refused


@pytest.mark.parametrize("name", MADE)
def test_a_copy_that_is_not_there_in_full_or_damaged(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sentence, and never other arrays without a word."""
    root = tmp_path / "root"
    MADE[name](root, monkeypatch)
    data = {"source": "torchvision", "dataset": name, "path": str(root)}
    files = sorted(file for file in root.rglob("*") if file.is_file() and file.stat().st_size)
    for file in files:
        content = file.read_bytes()
        if name != "Imagenette" and file.name != "readme.html":  # of which what there is is the set, or nobody reads it
            file.unlink()
            assert str(root) in refusal(load, data, tmp_path / "cache", watched=tmp_path)
        if len(content) > 1000:  # it holds images
            file.write_bytes(content[: len(content) // 2])
            assert str(root) in refusal(load, data, tmp_path / "cache", watched=tmp_path)
        file.write_bytes(content)
    (tmp_path / "empty").mkdir()
    sentence = refusal(load, data | {"path": str(tmp_path / "empty")}, tmp_path / "cache", watched=tmp_path)
    assert str(tmp_path / "empty") in sentence


def test_labels_beyond_the_classes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    MADE["MNIST"](tmp_path, monkeypatch)
    (tmp_path / "MNIST" / "raw" / "t10k-labels-idx1-ubyte").write_bytes(idx(np.full(5, 10, np.uint8)))
    data = {"source": "torchvision", "dataset": "MNIST", "path": str(tmp_path)}
    assert "labels other than 0 to 9" in refusal(load, data, tmp_path / "cache", watched=tmp_path)


@pytest.mark.parametrize("name", [None, "CIFAR", "ImageFolder", "utils"])
def test_unknown_sets(name: str | None, tmp_path: Path) -> None:
    sentence = refusal(load, {"source": "torchvision", "dataset": name}, tmp_path / "cache", watched=tmp_path)
    assert sentence.startswith(f"data.dataset: found {name!r}; use one of CIFAR10, CIFAR100, ")


def test_keys_of_other_sources(tmp_path: Path) -> None:
    data = {"source": "torchvision", "dataset": "MNIST"}
    for key, value in (("urls", ["https://example.org/x"]), ("archive_checksum", "md5:" + "0" * 32)):
        assert f"data.{key}: " in refusal(load, data | {key: value}, tmp_path / "cache", watched=tmp_path)
