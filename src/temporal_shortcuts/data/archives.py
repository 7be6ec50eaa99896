"""The files of a folder, tar or zip archive, one after the other, in memory: nothing is extracted, so a name can lead nowhere.

Archives are told by their content, not by their name: zip, or tar, plain or compressed by gzip, bzip2 or xz.
"""

from __future__ import annotations

import lzma
import os
import stat
import struct
import tarfile
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from temporal_shortcuts.errors import UserError

IGNORED = ("__MACOSX", "Thumbs.db", "desktop.ini")
"""Names that operating systems leave behind: passed over wherever they stand, as are those that begin with a dot."""


class DamagedArchive(UserError):
    """The archive is truncated or damaged, or is none."""


@dataclass(frozen=True)
class Limits:
    """What an archive or a folder may hold at most; more is refused before it takes memory."""

    file: int = 1 << 20
    """Bytes of a file that is read."""
    files: int = 1_000_000


@dataclass(frozen=True)
class Entry:
    """A file or a folder."""

    name: str
    """As the archive gives it: for complaints."""
    parts: tuple[str, ...]
    """The path, from the top: no empty part and no `.`; Unicode in NFC."""
    read: Callable[[], bytes] | None
    """The content, to be called before the next entry is asked for; None for a folder."""


Found = Iterator[tuple[str, bool, bool, Callable[[], BinaryIO]]]
"""Of each entry its name, whether it is a folder, whether it is a file, and what opens it."""


def entries(path: Path, limits: Limits) -> Iterator[Entry]:
    """The entries of the folder or archive, without those that are `IGNORED`.

    Raises `UserError`, with the entry's name, for links, devices, names that are not UTF-8 and what goes over the limits, and
    `DamagedArchive` for what cannot be read to its end.
    """
    count = 0
    with _damage(path):
        for name, is_folder, is_file, opener in _reader(path)(path):
            try:
                parts = unicodedata.normalize("NFC", name.encode().decode()).split("/")
            except UnicodeEncodeError:
                raise refusal(path, name, "has a name that is not UTF-8; rename it") from None
            parts = tuple(part for part in parts if part not in ("", "."))
            if not parts or any(map(_is_ignored, parts)):
                continue
            if not is_folder and not is_file:
                raise refusal(path, name, "is a link or a device; put the file itself there")
            if (count := count + 1) > limits.files:
                raise UserError(f"{path}: more than {limits.files} files; give fewer.")
            yield Entry(name, parts, partial(_content, opener, name, path, limits) if is_file else None)


def _reader(path: Path) -> Callable[[Path], Found]:
    if path.is_dir():
        return _folder
    with path.open("rb") as file:
        return _zip if file.read(2) == b"PK" else _tar


def _folder(path: Path) -> Found:
    for top, folders, files in os.walk(path):
        folders[:] = sorted(name for name in folders if not _is_ignored(name))
        for name in (*folders, *sorted(files)):
            found = Path(top, name)
            is_link = found.is_symlink()
            relative = found.relative_to(path).as_posix()
            yield relative, found.is_dir() and not is_link, found.is_file() and not is_link, partial(found.open, "rb")


class _Member(tarfile.TarInfo):
    """A member's header; where it is damaged or missing `tarfile` alone would take that for the end of the archive."""

    @classmethod
    def frombuf(cls, buf: bytes, encoding: str, errors: str) -> tarfile.TarInfo:
        try:
            return super().frombuf(buf, encoding, errors)
        except tarfile.EOFHeaderError:  # a block of zeros is the end
            raise
        except tarfile.HeaderError as error:
            raise tarfile.ReadError(str(error)) from error


def _tar(path: Path) -> Found:
    with tarfile.open(path, tarinfo=_Member, encoding="utf-8") as tar:
        for member in tar:
            yield member.name, member.isdir(), member.isreg(), partial(tar.extractfile, member)
        while tar.fileobj.read(1 << 20):  # the rest: the compression's own checksum stands at its end
            pass


def _zip(path: Path) -> Found:
    with zipfile.ZipFile(path, metadata_encoding="utf-8") as archive:
        for info in archive.infolist():
            kind = stat.S_IFMT(info.external_attr >> 16)
            is_file = kind in (0, stat.S_IFREG) and not info.is_dir()
            yield info.filename, info.is_dir(), is_file, partial(archive.open, info.filename)


def _content(opener: Callable[[], BinaryIO], name: str, path: Path, limits: Limits) -> bytes:
    with _damage(path), opener() as file:
        content = file.read(limits.file + 1)
    if len(content) > limits.file:
        raise refusal(path, name, f"is larger than {limits.file} bytes, which no image here needs")
    return content


def _is_ignored(name: str) -> bool:
    return (name.startswith(".") and name not in (".", "..")) or name in IGNORED


DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, RuntimeError),
    *(ValueError, OverflowError, struct.error),
)
"""What the libraries raise for bytes that are no archive, or are encrypted; the last where a header's number or name makes no sense."""


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn what the libraries raise for bytes that they cannot read into one sentence."""
    try:
        yield
    except (*DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's doing, not the content's
            raise
        why = " ".join(str(error).split())
        raise DamagedArchive(f"{path}: no whole tar or zip archive ({why}); get it again.") from error


def refusal(path: Path, name: str, why: str) -> UserError:
    """What is wrong with an entry, as a sentence."""
    return UserError(f"{path}: {name!r} {why}.")
