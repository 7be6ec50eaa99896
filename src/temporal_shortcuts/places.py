"""Whether a folder can take files, asked before anything runs: Snakemake's own complaint of a full disk is a traceback."""

from __future__ import annotations

import os
import shutil
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
