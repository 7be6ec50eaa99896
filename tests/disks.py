"""A small file system that a test fills, or makes read-only, and repairs again. Needs root; without it the test is skipped."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


class Disk:
    """A tmpfs, which holds pages of 4096 bytes."""

    def __init__(self, path: Path):
        self.path = path

    def fill(self, left: int = 0) -> None:
        """Leave room for so many bytes."""
        filler = self.path / ".filler"
        with filler.open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
            except OSError:
                pass
            if left:
                file.truncate(filler.stat().st_size - left)

    def forbid(self) -> None:
        self._mount("-o", "remount,ro")

    def repair(self) -> None:
        self._mount("-o", "remount,rw")
        (self.path / ".filler").unlink(missing_ok=True)

    def _mount(self, *options: str) -> None:
        subprocess.run(["mount", *options, self.path], check=True, capture_output=True)


@contextmanager
def disk(path: Path, megabytes: int) -> Iterator[Disk]:
    path.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "none", path]
    if subprocess.run(command, capture_output=True).returncode != 0:
        pytest.skip("only root may mount the small file system that this test fills")
    try:
        yield Disk(path)
    finally:
        subprocess.run(["umount", "--lazy", path], check=True)
