"""The official archive of CIFAR-10 and the folder that it unpacks to: read by torchvision, and nothing else is unpickled."""

from __future__ import annotations

import os
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_data import (
    CIFAR_CLASSES,
    CIFAR_FOLDER,
    PACKINGS,
    cifar_files,
    folder,
    md5,
    member,
    official_cifar10,
    refusal,
    sha256,
    tar,
)

from temporal_shortcuts.data import cifar10
from temporal_shortcuts.data.images import checksum, open_images
from temporal_shortcuts.data.sources import load, prepare
from temporal_shortcuts.errors import UserError

OFFICIAL = cifar10.OFFICIAL.checksum
CHECKSUM = "sha256:3d55d4ec46752e1da8e2e67eeb57a77ed12609cdf9ae95e57abe04bb5bd68963"
"""Of the small archive, as it was before torchvision read it."""


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Small files, which torchvision takes for the official ones."""
    files = cifar_files()[0]
    official_cifar10(files, monkeypatch)
    return files


@pytest.fixture
def archive(files: dict[str, bytes], tmp_path: Path) -> Path:
    return tar(tmp_path / "cifar-10-python.tar.gz", files)


def test_the_official_files_are_those_of_torchvision() -> None:
    assert OFFICIAL == "md5:c58f30108f718f92721af3b95e74349a"
    assert cifar10._official()["data_batch_1"] == "c99cafc152244af753f735de768cd75f"
    assert len(cifar10._official()) == 7


def test_images_and_labels_in_the_order_of_the_archive(archive: Path) -> None:
    _, batches = cifar_files()
    images = cifar10.read(archive)
    assert images.classes == CIFAR_CLASSES
    train = [batches[f"data_batch_{number}"] for number in range(1, 6)]
    np.testing.assert_array_equal(images.train_images.reshape(-1, 3072), np.concatenate([data for data, _ in train]))
    assert images.train_labels.tolist() == [label for _, labels in train for label in labels]
    np.testing.assert_array_equal(images.test_images.reshape(-1, 3072), batches["test_batch"][0])
    assert images.test_labels.tolist() == batches["test_batch"][1]
    assert checksum(images) == CHECKSUM
    # red first, then green and blue, each in rows
    assert images.train_images[0, 1, 2, 3] == train[0][0][0, 1024 + 2 * 32 + 3]


@pytest.mark.parametrize("name", ["folder", "folder with one on top", "tar.xz", "zip", "with junk, tar"])
def test_other_packings_of_the_same_files(name: str, files: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "packed").mkdir()
    path = PACKINGS[name](tmp_path / "packed", files)
    if path.is_dir() and not (path / CIFAR_FOLDER).is_dir():
        path = next(path.rglob(CIFAR_FOLDER))
    assert checksum(cifar10.read(path)) == CHECKSUM


def test_a_folder_that_is_there_already(files: dict[str, bytes], tmp_path: Path, monkeypatch: Any) -> None:
    """torchvision's root, or the folder in it, also by a relative path."""
    root = folder(tmp_path / "root", files)
    monkeypatch.chdir(root)
    for path in (root, root / CIFAR_FOLDER, Path(CIFAR_FOLDER), Path()):
        data = {"source": "cifar10", "checksum": OFFICIAL, "path": str(path)}
        assert checksum(load(data, tmp_path / "cache")) == CHECKSUM
    sentence = refusal(load, data | {"path": str(tmp_path)}, tmp_path / "cache", watched=tmp_path)
    assert f"{tmp_path}: there is no folder {CIFAR_FOLDER} in it" in sentence
    sentence = refusal(load, data | {"checksum": "md5:" + "0" * 32}, tmp_path / "cache", watched=tmp_path)
    assert "is a folder, which cannot be compared with md5:0000" in sentence


# what is not official


class Touch:
    """A pickle of this makes a file when it is loaded."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("name", ["data_batch_5", "test_batch", "batches.meta"])
@pytest.mark.parametrize("packed", [True, False])
def test_no_other_pickle_is_loaded_and_none_may_be_missing(
    name: str, packed: bool, files: dict[str, bytes], tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    content = pickle.dumps({"data": Touch(marker), "labels": []}, 2)
    pickle.loads(content)
    marker.unlink()  # so that the test is not passed by a pickle that is merely broken

    def path(number: int) -> Path:
        return tar(tmp_path / f"{number}.tar.gz", files) if packed else folder(tmp_path / f"{number}", files)

    files[f"{CIFAR_FOLDER}/{name}"] = content
    sentence = refusal(cifar10.read, path(1), watched=tmp_path)
    assert sentence.startswith(f"{tmp_path / '1'}{'.tar.gz' * packed}: {name} is not CIFAR-10's (its md5 is not ")
    del files[f"{CIFAR_FOLDER}/{name}"]
    assert f"{name} is missing" in refusal(cifar10.read, path(2), watched=tmp_path)


def test_links_and_huge_files(files: dict[str, bytes], tmp_path: Path) -> None:
    link = member(f"{CIFAR_FOLDER}/link", kind=tarfile.SYMTYPE, linkname="/etc/passwd")
    path = tar(tmp_path / "cifar.tar.gz", files, [link])
    assert "is a link or a device" in refusal(cifar10.read, path, watched=tmp_path)
    path = tar(tmp_path / "huge.tar.gz", files | {f"{CIFAR_FOLDER}/data_batch_1": bytes(65 << 20)})
    assert "is larger than" in refusal(cifar10.read, path, watched=tmp_path)


# which archive


def test_a_copy_is_checked_before_it_is_read(archive: Path, tmp_path: Path) -> None:
    data = {"source": "cifar10", "path": str(archive)}
    sentence = refusal(load, data, tmp_path / "cache", watched=tmp_path)
    assert f"data.path: {archive} is not the archive that the study names" in sentence
    assert f"{archive.stat().st_size} bytes instead of 170498071" in sentence
    for known in (md5(archive), sha256(archive.read_bytes())):
        assert load(data | {"archive_checksum": known}, tmp_path / "cache").classes == CIFAR_CLASSES
    other = "md5:" + "0" * 32
    for wrong in ({"archive_checksum": other}, {"checksum": other, "archive_checksum": md5(archive)}):
        sentence = refusal(load, data | wrong, tmp_path / "cache", watched=tmp_path)
        assert f"md5 {md5(archive)[4:]} instead of {other[4:]}" in sentence


def test_the_official_md5_is_asked_for(archive: Path, tmp_path: Path) -> None:
    """A file of the official size with another content."""
    os.truncate(archive, 170_498_071)
    data = {"source": "cifar10", "path": str(archive), "checksum": OFFICIAL}
    with pytest.raises(UserError, match=r"md5 [0-9a-f]{32} instead of c58f30108f718f92721af3b95e74349a"):
        load(data, tmp_path / "cache")


def test_a_study_may_pin_the_archive_or_the_arrays(archive: Path, tmp_path: Path) -> None:
    data = {"source": "cifar10", "path": str(archive), "name": "CIFAR-10", "images_per_class": 2}
    by_archive = data | {"checksum": md5(archive)}
    prepare(by_archive, tmp_path / "cache", tmp_path / "data")
    images = open_images(tmp_path / "data", md5(archive))
    assert np.bincount(images.train_labels).tolist() == [2, 2, 2]
    by_arrays = data | {"checksum": checksum(images), "archive_checksum": md5(archive)}
    prepare(by_arrays, tmp_path / "cache", tmp_path / "again")
    assert checksum(open_images(tmp_path / "again", checksum(images))) == checksum(images)
    assert not (tmp_path / "cache").exists()
