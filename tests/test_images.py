"""The prepared form: what its checksum covers, and that nothing incomplete, damaged or other is ever opened."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from temporal_shortcuts.data import images as images_module
from temporal_shortcuts.data.images import ARRAYS, Images, checksum, open_images, subset, validating, write
from temporal_shortcuts.errors import UserError

PINNED_MD5 = "md5:" + "0" * 32


@pytest.fixture
def images() -> Images:
    random = np.random.default_rng(1)
    labels = np.array([2, 0, 1, 0, 2, 1, 0, 1, 2, 0])
    return Images(
        random.integers(0, 256, (10, 3, 32, 32), dtype=np.uint8),
        labels.astype(np.int64),
        random.integers(0, 256, (4, 3, 32, 32), dtype=np.uint8),
        np.array([0, 1, 2, 0]),
        ("cat", "dog", "Käse"),
    )


def test_checksum_is_as_documented(images: Images) -> None:
    line = (
        '{"classes":["cat","dog","K\\u00e4se"],"shapes":{"test_images":[4,3,32,32],"test_labels":[4],'
        '"train_images":[10,3,32,32],"train_labels":[10]}}\n'
    )
    labels = [
        b"".join(int(label).to_bytes(8, "little") for label in array)
        for array in (images.train_labels, images.test_labels)
    ]
    content = line.encode() + images.train_images.tobytes() + labels[0] + images.test_images.tobytes() + labels[1]
    assert checksum(images) == f"sha256:{hashlib.sha256(content).hexdigest()}"


def test_checksum_is_of_the_content_not_of_its_place_in_memory(images: Images) -> None:
    same = replace(
        images, train_images=np.asfortranarray(images.train_images), train_labels=images.train_labels.astype(">i8")
    )
    assert checksum(same) == checksum(images)


def test_round_trip(images: Images, tmp_path: Path) -> None:
    write(images, tmp_path / "data")
    opened = open_images(tmp_path / "data", checksum(images))
    assert opened.classes == images.classes
    for name, array in opened.arrays.items():
        assert isinstance(array, np.memmap)
        assert not array.flags.writeable
        assert array.dtype == images.arrays[name].dtype
        np.testing.assert_array_equal(array, images.arrays[name])
    assert checksum(opened) == checksum(images)
    assert sorted(path.name for path in (tmp_path / "data").iterdir()) == sorted(
        [*(f"{name}.npy" for name in ARRAYS), "data.json"]
    )


def test_data_is_known_by_its_own_checksum_and_its_archives(images: Images, tmp_path: Path) -> None:
    write(images, tmp_path, PINNED_MD5)
    assert checksum(open_images(tmp_path, PINNED_MD5)) == checksum(images)
    assert checksum(open_images(tmp_path, checksum(images))) == checksum(images)
    found = f"{tmp_path}: the prepared data is {checksum(images)}"
    with pytest.raises(UserError, match=f"{found}, but the study names md5:1"):
        open_images(tmp_path, "md5:" + "1" * 32)
    with pytest.raises(UserError, match=r"nowhere: the prepared data is incomplete .*data.json.*; delete this folder"):
        open_images(tmp_path / "nowhere", PINNED_MD5)


class Payload:
    """A pickle of this makes a folder when it is loaded."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


def save(folder: Path, name: str, array: np.ndarray) -> None:
    np.save(folder / f"{name}.npy", array)


def edit(folder: Path, **changes: Any) -> None:
    path = folder / "data.json"
    described = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({key: value for key, value in described.items() if value is not None}))


def cut(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])


def flip(path: Path) -> None:
    """One bit, of the first label or the last pixel."""
    content = bytearray(path.read_bytes())
    content[128 if "labels" in path.name else -1] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], Any]] = {
    **{f"no {name}": lambda folder, name=name: (folder / f"{name}.npy").unlink() for name in ARRAYS},
    "cut": lambda folder: cut(folder / "test_labels.npy", 140),
    "empty": lambda folder: cut(folder / "train_labels.npy", 0),
    "a byte short": lambda folder: cut(folder / "train_images.npy", -1),
    "float images": lambda folder: save(folder, "test_images", np.zeros((4, 3, 32, 32), np.float32)),
    "channels last": lambda folder: save(folder, "test_images", np.zeros((4, 32, 32, 3), np.uint8)),
    "fewer images": lambda folder: save(folder, "test_images", np.zeros((3, 3, 32, 32), np.uint8)),
    "int32 labels": lambda folder: save(folder, "test_labels", np.zeros(4, np.int32)),
    "another label": lambda folder: flip(folder / "test_labels.npy"),
    "another pixel": lambda folder: flip(folder / "train_images.npy"),
    "another mean": lambda folder: edit(folder, mean=[0.5] * 3, deviation=[0.5] * 3),
    "classes swapped": lambda folder: edit(folder, classes=["dog", "cat", "K\u00e4se"]),
    "labels of another shape": lambda folder: save(folder, "test_labels", np.zeros((4, 1), np.int64)),
    "json cut": lambda folder: cut(folder / "data.json", 50),
    "json not UTF-8": lambda folder: (folder / "data.json").write_bytes(b'{"classes": "\xff"}'),
    "json a list": lambda folder: (folder / "data.json").write_text("[]"),
    "no checksum": lambda folder: edit(folder, checksum=None),
    "classes a number": lambda folder: edit(folder, classes=3),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_damage_is_refused(images: Images, tmp_path: Path, damage: Callable[[Path], Any]) -> None:
    write(images, tmp_path)
    damage(tmp_path)
    with pytest.raises(UserError, match=r"the prepared data is incomplete or damaged .*; delete this folder"):
        open_images(tmp_path, checksum(images))


def test_a_pickle_in_place_of_an_array_is_not_executed(images: Images, tmp_path: Path) -> None:
    write(images, tmp_path)
    np.save(tmp_path / "test_labels.npy", np.array([Payload(tmp_path / "executed")]), allow_pickle=True)
    with pytest.raises(UserError, match="damaged"):
        open_images(tmp_path, checksum(images))
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("step", range(5))
def test_interrupted_write(images: Images, tmp_path: Path, monkeypatch: Any, step: int) -> None:
    """Whatever was written over older data before the interruption is not taken for the whole, and writing again repairs it."""
    older = replace(images, classes=("one", "two", "three"))
    write(older, tmp_path)
    written = []

    def failing(path: Path, *pieces: bytes) -> None:
        if len(written) == step:
            raise OSError(28, "No space left on device", str(path))
        written.append(path)
        original(path, *pieces)

    original = images_module.write_atomically
    monkeypatch.setattr(images_module, "write_atomically", failing)
    with pytest.raises(OSError, match="No space left"):
        write(images, tmp_path)
    monkeypatch.undo()
    for known_as in (checksum(images), checksum(older)):
        with pytest.raises(UserError, match="incomplete"):
            open_images(tmp_path, known_as)
    write(images, tmp_path)
    assert checksum(open_images(tmp_path, checksum(images))) == checksum(images)


def test_subset_takes_the_first_of_each_class_in_their_order(images: Images) -> None:
    taken = subset(images, 2)
    assert taken.train_labels.tolist() == [2, 0, 1, 0, 2, 1]
    np.testing.assert_array_equal(taken.train_images, images.train_images[:6])
    np.testing.assert_array_equal(taken.test_images, images.test_images)
    assert taken.classes == images.classes
    skipping = subset(images, 3)
    np.testing.assert_array_equal(skipping.train_images, images.train_images[:9])
    assert checksum(skipping) != checksum(taken)


@pytest.mark.parametrize(("key", "part"), [("images_per_class", subset), ("validation_per_class", validating)])
@pytest.mark.parametrize("count", [4, 0, -1])
def test_no_more_images_than_there_are(images: Images, key: str, part: Any, count: int) -> None:
    with pytest.raises(UserError, match=rf"data.{key}: {count} asked for, but the class '(cat|dog)' has [34] training"):
        part(images, count)


def test_validation_images_are_the_last_of_each_class_and_the_test_images_are_gone(images: Images) -> None:
    apart = validating(images, 1)
    last = [np.flatnonzero(images.train_labels == label)[-1] for label in range(3)]
    kept = np.setdiff1d(np.arange(len(images.train_labels)), last)
    np.testing.assert_array_equal(apart.test_images, images.train_images[sorted(last)])
    np.testing.assert_array_equal(apart.test_labels, images.train_labels[sorted(last)])
    np.testing.assert_array_equal(apart.train_images, images.train_images[kept])
    np.testing.assert_array_equal(apart.train_labels, images.train_labels[kept])


def test_validation_images_do_not_depend_on_how_many_are_trained_on(images: Images) -> None:
    few, all_of_them = subset(validating(images, 1), 1), validating(images, 1)
    np.testing.assert_array_equal(few.test_images, all_of_them.test_images)
    np.testing.assert_array_equal(few.train_images, images.train_images[:3])
    with pytest.raises(UserError, match=r"data.validation_per_class: 3 asked for, but the class '(Käse|dog)' has 3"):
        validating(images, 3)
