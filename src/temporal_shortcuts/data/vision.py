"""Image classification sets of torchvision, by name: read from its own files, or downloaded by it.

Every image becomes 32x32 pixels with three channels in one way: to RGB (grey is repeated), scaled by Pillow (bilinear, with
antialiasing) until the shorter side has 32 pixels, and cropped to the central square. What is 32x32 already keeps its bits.
Knows torchvision, and so takes seconds to import.
"""

from __future__ import annotations

import errno
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from torchvision import datasets
from torchvision.transforms import CenterCrop, Compose, PILToTensor, Resize

from temporal_shortcuts.data.downloads import WITHOUT_NETWORK, Patience, say
from temporal_shortcuts.data.images import SHAPE, Images
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.files import lock
from temporal_shortcuts.study.declared import SETS, Arguments

_BROUGHT = Compose([lambda image: image.convert("RGB"), Resize(SHAPE[1]), CenterCrop(SHAPE[1:]), PILToTensor()])
_THE_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)


def read(name: str, root: Path) -> Images:
    """The set whose files are under `root`, the folder that torchvision calls so; nothing is written there.

    Raises `UserError` if they are missing or damaged.
    """
    with _refusals(name, root):
        train, test = (_part(name, root, arguments) for arguments in SETS[name])
        train_images, train_labels = _arrays(train)
        test_images, test_labels = _arrays(test)
        classes = _class_names(train) or tuple(str(label) for label in range(int(train_labels.max()) + 1))
        for labels in (train_labels, test_labels):
            if not 0 <= labels.min() <= labels.max() < len(classes):
                raise ValueError(f"labels other than 0 to {len(classes) - 1}")
        return Images(train_images, train_labels, test_images, test_labels, classes)


def download(name: str, cache: Path, patience: Patience) -> Path:
    """The root of the downloaded set, in `cache`; without any network if it is there already.

    torchvision downloads, checks and unpacks it into a folder that gets its name when all of it is there.
    """
    root = cache / "torchvision" / name
    part = root.with_name(f"{name}.part")
    with lock(root.with_name(f"{name}.lock"), say):
        if root.is_dir():
            return root
        for attempt in range(patience.rounds):
            time.sleep(patience.delay * 2 ** (attempt - 1) if attempt else 0)
            shutil.rmtree(part, ignore_errors=True)  # what a killed job left of an unpacked archive may look whole
            part.mkdir(parents=True)
            say(f"downloading {name} by torchvision")
            reason = _download(name, part, patience)
            if reason is None:
                return part.rename(root)
            say(f"{name}: {reason}")
    shutil.rmtree(part, ignore_errors=True)
    raise UserError(f"data.dataset: torchvision could not download {name} ({reason}); {WITHOUT_NETWORK}.")


def _download(name: str, root: Path, patience: Patience) -> str | None:
    """Download once; why that failed, or None."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(patience.silence)  # torchvision sets none
    try:
        for arguments in SETS[name]:
            _part(name, root, arguments, download=True)
    except Exception as error:  # those of networks, archives and files, and what each set adds
        if _is_the_disks(error):
            raise
        return _reason(error)
    finally:
        socket.setdefaulttimeout(before)
    return None


def _part(name: str, root: Path, arguments: Arguments, **more: Any) -> Any:
    return getattr(datasets, name)(root, **arguments, **more, transform=_BROUGHT)


def _arrays(part: Any) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 `[N, 3, 32, 32]` and labels int64 `[N]`, in the order of torchvision."""
    images = np.empty((len(part), *SHAPE), dtype=np.uint8)
    labels = np.empty(len(part), dtype=np.int64)
    for index in range(len(part)):
        image, labels[index] = part[index]
        images[index] = image.numpy()
    return images, labels


def _class_names(part: Any) -> tuple[str, ...]:
    """As the set names them, of several names the first; none where it numbers them only."""
    return tuple(name if isinstance(name, str) else name[0] for name in getattr(part, "classes", ()))


@contextmanager
def _refusals(name: str, root: Path) -> Iterator[None]:
    """Bytes from outside make a reader raise nearly anything: one sentence."""
    try:
        yield
    except Exception as error:
        if _is_the_disks(error):
            raise
        raise UserError(
            f"{root}: torchvision finds no whole {name} there ({_reason(error)}); give the folder that was its root, "
            "or get the set again."
        ) from error


def _is_the_disks(error: Exception) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _THE_DISKS)


def _reason(error: Exception) -> str:
    said = " ".join(str(error).split()).replace(" You can use download=True to download it", "")
    return said[:300].rstrip(".") or type(error).__name__
