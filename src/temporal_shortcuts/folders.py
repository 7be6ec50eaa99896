"""What is asked of the folders before anything runs: can they take files, and is another Snakemake making the same ones?"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from temporal_shortcuts.errors import UserError
from temporal_shortcuts.files import locking

LEAST = 1 << 20
"""Bytes; a disk with less counts as full."""


def check_writable(folder: Path) -> None:
    """Raise `UserError` if no file can be written to `folder`, or to the one in which it will be made."""
    there = _nearest(folder)
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError(f"{there}: nothing can be written here; make it writable, or name another folder in the study.")
    check_space(there)


def check_folder(folder: Path) -> None:
    """Raise `UserError` if what should be a folder, or one above it, is a file."""
    there = _nearest(folder)
    if not there.is_dir():
        raise UserError(f"{folder}: {there} is a file; name a folder, and run the same command again.")


def check_prefix(folder: str, placed: str) -> None:
    """Raise `UserError` if a workflow that imports this one would place a folder's files elsewhere."""
    if placed != folder:
        raise UserError(
            f"{folder}: a prefix of the module would place what belongs here in {placed}; remove the prefix, and set the "
            "keys results and work in the module's config instead."
        )


def check_braces(*paths: Path) -> None:
    """Raise `UserError` if a path has braces, which Snakemake takes for wildcards wherever it meets them."""
    for path in map(str, paths):
        if set(path) & set("{}"):
            raise UserError(f"{path}: Snakemake takes the braces for wildcards; rename the folder, or use another one.")


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
    return next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())


def hold_files(files: Iterable[str | Path], work: Path) -> None:
    """Hold the files that this process will make until it ends, however it ends: no other process can hold them meanwhile.

    Each file has a byte of `work`/making, at an offset that is a hash of its path, and the kernel locks that byte: thousands of files
    need one open file and leave no lock files behind, and nothing is ever written. Bytes are locked in order, so that of two processes
    that want the same files at the same moment one gets all of its own. Raises `UserError` naming a file that is held.
    """
    held = _making(work)
    with locking(work):
        for offset, file in sorted((_offset(file), str(file)) for file in files):
            try:
                fcntl.lockf(held, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, offset)
            except (BlockingIOError, PermissionError):
                raise UserError(
                    f"{file}: another Snakemake is making it; wait until that has ended, and run the same command again."
                ) from None


def _making(work: Path) -> int:
    """The file whose bytes are locked, open. It is never closed: that would release what is held.

    Raises `UserError` where the jobs could not take their kind of lock. It is tried on another file: over NFS both kinds are one.
    """
    work.mkdir(parents=True, exist_ok=True)
    with (work / "locks").open("w") as tried, locking(work):
        fcntl.flock(tried, fcntl.LOCK_SH)
    return os.open(work / "making", os.O_RDWR | os.O_CREAT, 0o666)


def _offset(file: str | Path) -> int:
    return int.from_bytes(hashlib.sha256(os.path.abspath(file).encode()).digest()[:7])
