"""The official format of CIFAR-10: read as Python and numpy read it, but without executing anything of it."""

from __future__ import annotations

import contextlib
import os
import pickle
import random
import struct
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_archives import CIFAR_CLASSES, CIFAR_FOLDER, batch, cifar_files, md5, member, meta, refusal, sha256, tar, text

from temporal_shortcuts.data import cifar10
from temporal_shortcuts.data.images import checksum, open_images
from temporal_shortcuts.data.sources import load, prepare
from temporal_shortcuts.errors import UserError

FIRST = f"{CIFAR_FOLDER}/data_batch_1"


@pytest.fixture
def files() -> dict[str, bytes]:
    return cifar_files()[0]


@pytest.fixture
def archive(files: dict[str, bytes], tmp_path: Path) -> Path:
    return tar(tmp_path / "cifar-10-python.tar.gz", files)


def test_the_made_batches_are_what_numpy_and_pickle_understand(files: dict[str, bytes]) -> None:
    _, batches = cifar_files()
    for name, (data, labels) in batches.items():
        whole = pickle.loads(files[f"{CIFAR_FOLDER}/{name}"], encoding="bytes")
        np.testing.assert_array_equal(whole[b"data"], data)
        assert whole[b"data"].dtype == np.uint8
        assert whole[b"labels"] == labels
    names = pickle.loads(files[f"{CIFAR_FOLDER}/batches.meta"], encoding="bytes")[b"label_names"]
    assert [name.decode() for name in names] == list(CIFAR_CLASSES)


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
    # red first, then green and blue, each in rows
    assert images.train_images[0, 1, 2, 3] == train[0][0][0, 1024 + 2 * 32 + 3]


@pytest.mark.parametrize("protocol", [0, 1, 2])
def test_batches_that_python_3_wrote(protocol: int, files: dict[str, bytes], archive: Path, tmp_path: Path) -> None:
    expected = checksum(cifar10.read(archive))
    for name, (data, labels) in cifar_files()[1].items():
        files[f"{CIFAR_FOLDER}/{name}"] = pickle.dumps({b"data": data, b"labels": labels}, protocol=protocol)
    assert checksum(cifar10.read(tar(tmp_path / "other.tar", files))) == expected


def test_columns_first(files: dict[str, bytes], archive: Path, tmp_path: Path) -> None:
    expected = checksum(cifar10.read(archive))
    data, labels = cifar_files()[1]["data_batch_1"]
    files[FIRST] = pickle.dumps({b"data": np.asfortranarray(data), b"labels": labels}, protocol=2)
    assert checksum(cifar10.read(tar(tmp_path / "other.tar", files))) == expected


# pickles that would execute something


class Call:
    """Pickles as a call."""

    def __init__(self, function: Callable[..., Any], *arguments: Any):
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def global_(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def hostile(marker: str) -> dict[str, bytes]:
    """Pickles of which each would make the marker, or reach for more than an array needs."""
    command = f"touch {marker}"
    python = f"open({marker!r}, 'w').close()"
    good = batch(*cifar_files()[1]["data_batch_1"])
    return {
        "os.system": pickle.dumps(Call(os.system, command), protocol=2),
        "os.system, text protocol": pickle.dumps(Call(os.system, command), protocol=0),
        "os.system, newest protocol": pickle.dumps(Call(os.system, command)),
        "builtins.exec": pickle.dumps(Call(exec, python), protocol=2),
        "builtins.eval": pickle.dumps(Call(eval, python), protocol=4),
        "Python 2's __builtin__": b"c__builtin__\neval\n(V" + python.encode() + b"\ntR.",
        "subprocess by INST": b"(V" + command.encode() + b"\nios\nsystem\n.",
        "subprocess by OBJ": b"(" + global_("os", "system") + b"V" + command.encode() + b"\no.",
        "before a good batch": pickle.dumps(Call(os.system, command), protocol=2)[:-1] + b"0" + good[2:],
        "within a good batch": good[:-2]
        + text(b"x")
        + pickle.dumps(Call(os.system, command), protocol=2)[2:-1]
        + b"su.",
        "as data": pickle.dumps({b"data": Call(os.system, command), b"labels": []}, protocol=2),
        "by way of numpy": global_("numpy", "load") + b"V/dev/null\n\x85R.",
        "by a dotted name": b"\x80\x04\x8c\x05numpy\x8c\x11dtype.__class__\x93.",
        "numpy's private _os": global_("numpy.core.multiarray", "os.system") + b"V" + command.encode() + b"\n\x85R.",
        "codecs beside encode": global_("_codecs", "lookup") + b"Vrot13\n\x85R.",
        "getattr": global_("builtins", "getattr") + global_("numpy", "dtype") + b"V__class__\n\x86R.",
        "a memo of gigabytes": b"\x80\x02K\x01r\xff\xff\xff\x7f.",
        "a memo of gigabytes, text protocol": b"I1\np4000000000\n.",
        "an extension code": b"\x80\x02\x82\x01.",
        "a persistent id": b"Pos.system\n.",
        "attributes of a stand-in": global_("_codecs", "encode") + b"}(V__defaults__\nK\x01\x85ub.",
        "a class's attributes": global_("numpy", "ndarray") + b"N}(V__setstate__\nK\x01u\x86b.",
        "an array of objects": pickle.dumps({b"data": np.array([[1, "a"]], object), b"labels": [0]}, protocol=2),
        "an array that calls": pickle.dumps(
            {b"data": np.array([Call(os.system, command)], object), b"labels": [0]}, protocol=2
        ),
        "a ladder of tuples": b"(" * 100_000 + b"t" * 100_000 + b".",
        "a list in itself": b"]\x94h\0a.",
        "nothing": b"",
        "only a stop": b".",
        "text": b"hello",
    }


REFUSED_UNREAD = {
    "subprocess by INST": "the operation INST",
    "subprocess by OBJ": "the operation OBJ",
    "by a dotted name": "the operation",
    "an extension code": "the operation EXT1",
    "a persistent id": "the operation PERSID",
    "a memo of gigabytes": "the memo index 2147483647",
    "a memo of gigabytes, text protocol": "the memo index 4000000000",
    "os.system": "it asks for 'posix.system'",
    "numpy's private _os": "it asks for 'numpy.core.multiarray.os.system'",
}


@pytest.mark.parametrize("kind", hostile("marker"))
@pytest.mark.parametrize("name", ["data_batch_1", "test_batch", "batches.meta"])
def test_hostile_pickles(
    kind: str, name: str, files: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    files[f"{CIFAR_FOLDER}/{name}"] = hostile(str(tmp_path / "marker"))[kind]
    path = tar(tmp_path / "cifar-10-python.tar.gz", files)
    sentence = refusal(cifar10.read, path, watched=tmp_path)
    assert sentence.startswith(f"{path}: ")
    assert name in sentence
    assert REFUSED_UNREAD.get(kind, "") in sentence
    assert not (tmp_path / "marker").exists()


def test_the_hostile_pickles_would_execute_something(tmp_path: Path) -> None:
    """So that the test above is not passed by pickles that are merely broken."""
    executed = set()
    for kind, content in hostile(str(tmp_path / "marker")).items():
        if b"touch " in content or b"open(" in content:
            with contextlib.suppress(Exception):
                pickle.loads(content, encoding="bytes")
            if (tmp_path / "marker").exists():
                executed.add(kind)
                (tmp_path / "marker").unlink()
    assert len(executed) >= 10, executed


# batches of another content


def changed(files: dict[str, bytes], **items: Any) -> dict[str, bytes]:
    data, labels = cifar_files()[1]["data_batch_1"]
    whole = {b"data": data, b"labels": labels} | {key.encode(): value for key, value in items.items()}
    return files | {FIRST: pickle.dumps({key: value for key, value in whole.items() if value is not None}, protocol=2)}


ROWS = np.zeros((4, 3072), np.uint8)
OTHERS: dict[str, tuple[dict[str, Any], str]] = {
    "no data": ({"data": None}, "no data of 3072 bytes"),
    "data as bytes": ({"data": ROWS.tobytes()}, "no data of 3072 bytes"),
    "data as a list": ({"data": [[0] * 3072] * 4}, "no data of 3072 bytes"),
    "data of floats": ({"data": ROWS.astype(float)}, "an array of other than bytes"),
    "data of signed bytes": ({"data": ROWS.astype(np.int8)}, "an array of other than bytes"),
    "too narrow": ({"data": ROWS[:, :3071]}, "no data of 3072 bytes"),
    "one row": ({"data": ROWS[0]}, "no data of 3072 bytes"),
    "three dimensions": ({"data": ROWS.reshape(2, 2, 3072)}, "no data of 3072 bytes"),
    "no labels": ({"labels": None}, "not 4 labels"),
    "too few labels": ({"labels": [0, 1, 2]}, "not 4 labels"),
    "labels as an array": ({"labels": np.zeros(4, np.uint8)}, "not 4 labels"),
    "a label too large": ({"labels": [0, 1, 2, 3]}, "labels other than 0 to 2"),
    "a negative label": ({"labels": [0, 1, 2, -1]}, "labels other than 0 to 2"),
    "a label that is true": ({"labels": [0, 1, 2, True]}, "labels other than 0 to 2"),
    "a label that is text": ({"labels": [0, 1, 2, b"0"]}, "labels other than 0 to 2"),
    "a huge label": ({"labels": [0, 1, 2, 10**30]}, "labels other than 0 to 2"),
}


@pytest.mark.parametrize(("items", "says"), OTHERS.values(), ids=OTHERS.keys())
def test_other_content(items: dict[str, Any], says: str, files: dict[str, bytes], tmp_path: Path) -> None:
    path = tar(tmp_path / "cifar.tar", changed(files, **items))
    sentence = refusal(cifar10.read, path, watched=tmp_path)
    assert says in sentence
    assert "data_batch_1" in sentence


@pytest.mark.parametrize(
    "content", [meta(()), pickle.dumps([1], protocol=2), pickle.dumps({b"label_names": [1]}, protocol=2)]
)
def test_other_meta(content: bytes, files: dict[str, bytes], tmp_path: Path) -> None:
    path = tar(tmp_path / "cifar.tar", files | {f"{CIFAR_FOLDER}/batches.meta": content})
    assert "batches.meta has no list of label_names" in refusal(cifar10.read, path, watched=tmp_path)


@pytest.mark.parametrize("name", ["batches.meta", "data_batch_1", "data_batch_5", "test_batch"])
def test_a_file_is_missing(name: str, files: dict[str, bytes], tmp_path: Path) -> None:
    del files[f"{CIFAR_FOLDER}/{name}"]
    path = tar(tmp_path / "cifar.tar.gz", files)
    assert f"{name} is missing" in refusal(cifar10.read, path, watched=tmp_path)


def test_links_huge_files_and_names_that_lead_outside(files: dict[str, bytes], tmp_path: Path) -> None:
    for more, says in (
        (member(f"{CIFAR_FOLDER}/link", kind=tarfile.SYMTYPE, linkname="/etc/passwd"), "is a link or a device"),
        (member("../outside"), "leads out of the archive"),
    ):
        path = tar(tmp_path / "cifar.tar.gz", files, [more])
        assert says in refusal(cifar10.read, path, watched=tmp_path)
    huge = member(FIRST)[0]
    huge.size = 1 << 40
    (tmp_path / "huge.tar").write_bytes(huge.tobuf() + bytes(10240))
    assert "is larger than" in refusal(cifar10.read, tmp_path / "huge.tar", watched=tmp_path)


def test_mutated_pickles_give_a_sentence_or_an_array(files: dict[str, bytes], tmp_path: Path) -> None:
    """Other bytes in the part before the pixels: no other exception, and never another shape."""
    head = files[FIRST].index(b"T" + struct.pack("<i", 4 * 3072)) + 5
    choose = random.Random(3)
    refused = 0
    for _ in range(300):
        content = bytearray(files[FIRST])
        for _ in range(choose.choice((1, 1, 2, 4))):
            content[choose.randrange(head)] = choose.randrange(256)
        try:
            images = cifar10.read(tar(tmp_path / "cifar.tar", files | {FIRST: bytes(content)}))
        except UserError:
            refused += 1
        else:
            assert images.train_images.shape == (20, 3, 32, 32)
    assert refused > 150


def test_a_batch_without_images(files: dict[str, bytes], tmp_path: Path) -> None:
    path = tar(tmp_path / "cifar.tar", files | {FIRST: batch(ROWS[:0], [])})
    assert "no data of 3072 bytes" in refusal(cifar10.read, path, watched=tmp_path)


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
    assert "is a folder" in refusal(load, data | {"path": str(tmp_path)}, tmp_path / "cache", watched=tmp_path)


def test_the_official_md5_is_asked_for(archive: Path, tmp_path: Path) -> None:
    """A file of the official size with another content."""
    os.truncate(archive, 170_498_071)
    data = {"source": "cifar10", "path": str(archive), "checksum": cifar10.OFFICIAL.checksum}
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
