"""The official archive of CIFAR-10 and the folder that it unpacks to: read by torchvision, and nothing else is unpickled."""

from __future__ import annotations

import os
import pickle
import random
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_archives import (
    CIFAR_CLASSES,
    CIFAR_FOLDER,
    PACKINGS,
    batch,
    cifar_files,
    folder,
    md5,
    member,
    refusal,
    sha256,
    tar,
)
from made_sets import official_cifar10

from temporal_shortcuts.data import cifar10
from temporal_shortcuts.data.images import checksum, open_images
from temporal_shortcuts.data.sources import load, prepare
from temporal_shortcuts.errors import UserError

FIRST = f"{CIFAR_FOLDER}/data_batch_1"
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
    assert images.train_images.shape == (20, 3, 32, 32)
    assert images.train_labels.dtype == np.int64
    assert checksum(images) == CHECKSUM
    # red first, then green and blue, each in rows
    assert images.train_images[0, 1, 2, 3] == train[0][0][0, 1024 + 2 * 32 + 3]


@pytest.mark.parametrize("pack", PACKINGS.values(), ids=PACKINGS.keys())
def test_other_packings_of_the_same_files(pack: Any, files: dict[str, bytes], tmp_path: Path) -> None:
    (tmp_path / "packed").mkdir()
    path = pack(tmp_path / "packed", files)
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
    data["checksum"] = "md5:" + "0" * 32
    assert "is a folder, which cannot be compared with md5:0000" in refusal(
        load, data, tmp_path / "cache", watched=tmp_path
    )


# what is not official


class Call:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any):
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def hostile(marker: str) -> dict[str, bytes]:
    """Pickles of which each would make the marker."""
    command = f"touch {marker}"
    good = batch(*cifar_files()[1]["data_batch_1"])
    return {
        "os.system": pickle.dumps(Call(os.system, command), protocol=2),
        "Python 2's __builtin__": b"c__builtin__\neval\n(V" + f"open({marker!r}, 'w').close()".encode() + b"\ntR.",
        "before a good batch": pickle.dumps(Call(os.system, command), protocol=2)[:-1] + b"0" + good[2:],
        "as data": pickle.dumps({"data": Call(os.system, command), "labels": []}, protocol=2),
    }


@pytest.mark.parametrize("kind", hostile("marker"))
@pytest.mark.parametrize("name", ["data_batch_1", "test_batch", "batches.meta"])
@pytest.mark.parametrize("packed", [True, False])
def test_hostile_pickles(kind: str, name: str, packed: bool, files: dict[str, bytes], tmp_path: Path) -> None:
    content = hostile(str(tmp_path / "marker"))[kind]
    pickle.loads(content, encoding="latin1")
    (tmp_path / "marker").unlink()  # so that the test is not passed by pickles that are merely broken
    files[f"{CIFAR_FOLDER}/{name}"] = content
    path = tar(tmp_path / "cifar-10-python.tar.gz", files) if packed else folder(tmp_path / "root", files)
    sentence = refusal(cifar10.read, path, watched=tmp_path)
    assert sentence.startswith(f"{path}: {name} is not CIFAR-10's (its md5 is not ")
    assert not (tmp_path / "marker").exists()


def test_changed_bytes(files: dict[str, bytes], tmp_path: Path) -> None:
    choose = random.Random(3)
    names = [name for name in files if "html" not in name]
    for _ in range(50):
        name = choose.choice(names)
        content = bytearray(files[name])
        content[choose.randrange(len(content))] ^= 1 << choose.randrange(8)
        path = tar(tmp_path / "cifar.tar", files | {name: bytes(content)})
        assert name.rpartition("/")[2] in refusal(cifar10.read, path, watched=tmp_path)


@pytest.mark.parametrize("name", ["batches.meta", "data_batch_1", "data_batch_5", "test_batch"])
def test_a_file_is_missing(name: str, files: dict[str, bytes], tmp_path: Path) -> None:
    del files[f"{CIFAR_FOLDER}/{name}"]
    path = tar(tmp_path / "cifar.tar.gz", files)
    assert f"{name} is missing" in refusal(cifar10.read, path, watched=tmp_path)


def test_links_and_huge_files(files: dict[str, bytes], tmp_path: Path) -> None:
    link = member(f"{CIFAR_FOLDER}/link", kind=tarfile.SYMTYPE, linkname="/etc/passwd")
    path = tar(tmp_path / "cifar.tar.gz", files, [link])
    assert "is a link or a device" in refusal(cifar10.read, path, watched=tmp_path)
    path = tar(tmp_path / "huge.tar.gz", files | {FIRST: bytes(65 << 20)})
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
