"""What is asked of the folders before anything runs: can they take files, and is another Snakemake making the same ones?"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from temporal_shortcuts.errors import UserError

LEAST = 1 << 20
"""Bytes; a disk with less counts as full."""


def check(folder: Path) -> None:
    """Raise `UserError` if no file can be written to `folder`, or to the one in which it will be made."""
    there = _nearest(folder)
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{there}: nothing can be written here; make it writable, or name another folder in the study.")
    check_space(there)


def check_space(folder: Path) -> None:
    """Raise `UserError` if the disk of `folder` is full."""
    if is_full(folder):
        raise UserError(f"{_nearest(folder)}: its disk is full; free some space and run the same command again.")


def is_full(folder: Path) -> bool:
    """Whether the disk of a folder has no room for another file."""
    usage = shutil.disk_usage(_nearest(folder))
    return usage.total > 0 and usage.free < LEAST


def _nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that is there."""
    return next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())


def claim(files: Iterable[str | Path], work: Path) -> None:
    """Hold the files that this process will make until it ends, however it ends: no other process can hold them meanwhile.

    Each file is a byte of `work`/making, which the kernel locks and which nobody writes. Bytes are taken in order, so that of two
    processes that want the same files at the same moment one gets all of its own. Raises `UserError` naming a file that is held.
    """
    work.mkdir(parents=True, exist_ok=True)
    held = os.open(work / "making", os.O_RDWR | os.O_CREAT, 0o666)  # never closed: that would release what is held
    for place, file in sorted((_place(file), str(file)) for file in files):
        try:
            fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):
            raise UserError(
                f"{file}: another Snakemake is making it; wait until that has ended, and run the same command again."
            ) from None


def _place(file: str | Path) -> int:
    return int.from_bytes(hashlib.sha256(os.path.abspath(file).encode()).digest()[:7])
