"""The files of a folder, tar or zip archive, one after the other, in memory: nothing is extracted or followed.

Archives are told by their content, not by their name: tar, plain or compressed by gzip, bzip2 or xz, and zip.
"""

from __future__ import annotations

import bz2
import gzip
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

_COMPRESSED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_TAR_EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_ZIP_ENCRYPTED, _ZIP_UTF8 = 0x1, 0x800


class DamagedArchive(UserError):
    """The archive is truncated or damaged, or is none."""


@dataclass(frozen=True)
class Limits:
    """What an archive or a folder may hold at most; more is refused before it takes memory."""

    file: int = 1 << 20
    """Bytes of a file that is read."""
    total: int = 8 << 30
    """Bytes of the whole archive, decompressed."""
    files: int = 1_000_000


@dataclass(frozen=True)
class Entry:
    """A file or a folder."""

    name: str
    """As the archive gives it: for complaints."""
    parts: tuple[str, ...]
    """The path, from the top: no empty part, `.` or `..`; Unicode in NFC."""
    read: Callable[[], bytes] | None
    """The content, to be called before the next entry is asked for; None for a folder."""


def entries(path: Path, limits: Limits) -> Iterator[Entry]:
    """The entries of the folder or archive, in its order, without those that are `IGNORED`.

    Raises `UserError`, with the entry's name, for absolute names, `..`, backslashes, names that are not UTF-8, links,
    devices, encrypted files and what goes over the limits, and `DamagedArchive` for what cannot be read to its end.
    """
    if path.is_dir():
        yield from _folder(path, path, limits)
        return
    with path.open("rb") as file:
        magic = file.read(8)
    reader = _zip if magic.startswith(b"PK") else _tar
    with _damage(path):
        for count, entry in enumerate(reader(path, limits, magic)):
            if count == limits.files:
                raise UserError(f"{path}: more than {limits.files} files; give an archive with fewer.")
            yield entry


def _folder(path: Path, top: Path, limits: Limits) -> Iterator[Entry]:
    for found in sorted(os.scandir(path), key=lambda found: found.name):
        name = Path(found.path).relative_to(top).as_posix()
        parts = _parts(name, top)
        if _ignored(parts):
            continue
        if found.is_dir(follow_symlinks=False):
            yield Entry(name, parts, None)
            yield from _folder(Path(found.path), top, limits)
        elif found.is_file(follow_symlinks=False):
            yield Entry(name, parts, partial(_file_content, Path(found.path), name, top, limits))
        else:
            raise _refusal(top, name, "is a link or a device; put the file itself there")


def _file_content(file: Path, name: str, path: Path, limits: Limits) -> bytes:
    return _content(file.open("rb"), name, path, limits)


def _tar(path: Path, limits: Limits, magic: bytes) -> Iterator[Entry]:
    class Member(tarfile.TarInfo):
        """A member's header, of which `tarfile` alone would take a damaged one for the end of the archive."""

        @classmethod
        def frombuf(cls, buf: bytes, encoding: str, errors: str) -> tarfile.TarInfo:
            if buf == bytes(tarfile.BLOCKSIZE):
                return super().frombuf(buf, encoding, errors)  # raises what `tarfile` knows as the end
            try:
                member = super().frombuf(buf, encoding, errors)
            except tarfile.HeaderError as error:
                raise tarfile.ReadError(str(error)) from error
            if member.type in _TAR_EXTENSIONS and member.size > limits.file:
                raise tarfile.ReadError(f"a header of {member.size} bytes")
            return member

    opener = next((opener for start, opener in _COMPRESSED.items() if magic.startswith(start)), open)
    with opener(path, "rb") as stream:
        counted = _Counted(stream, path, limits)
        with tarfile.open(fileobj=counted, mode="r|", tarinfo=Member, encoding="utf-8") as tar:
            for member in tar:
                parts = _parts(member.name, path)
                if _ignored(parts):
                    continue
                if member.isdir():
                    yield Entry(member.name, parts, None)
                elif member.isreg():
                    yield Entry(member.name, parts, partial(_tar_content, tar, member, path, limits))
                else:
                    raise _refusal(path, member.name, "is a link or a device; pack the file itself")
        while counted.read(1 << 20):  # the rest: the compression's own checksum stands at its end
            pass


def _tar_content(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path, limits: Limits) -> bytes:
    if member.size > limits.file:
        raise _too_large(path, member.name, limits)
    with _damage(path):
        content = tar.extractfile(member)
        assert content is not None  # a regular file has content
        return _content(content, member.name, path, limits)


def _zip(path: Path, limits: Limits, magic: bytes) -> Iterator[Entry]:
    with zipfile.ZipFile(path) as archive:
        left = limits.total
        for info in archive.infolist():
            name = _zip_name(info, path)
            parts = _parts(name, path)
            if _ignored(parts):
                continue
            kind = stat.S_IFMT(info.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refusal(path, name, "is a link or a device; pack the file itself")
            if info.is_dir():
                yield Entry(name, parts, None)
                continue
            if info.flag_bits & _ZIP_ENCRYPTED:
                raise _refusal(path, name, "is encrypted; pack it without a password")
            left -= info.file_size
            if left < 0:
                raise _too_large_as_a_whole(path, limits)
            yield Entry(name, parts, partial(_zip_content, archive, info, name, path, limits))


def _zip_name(info: zipfile.ZipInfo, path: Path) -> str:
    """The name in UTF-8, also where the archive does not say that it is."""
    if info.flag_bits & _ZIP_UTF8 or info.orig_filename.isascii():
        return info.orig_filename
    try:
        return info.orig_filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        raise _refusal(path, info.orig_filename, "has a name that is not UTF-8; pack it with UTF-8 names") from None


def _zip_content(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, path: Path, limits: Limits) -> bytes:
    if info.file_size > limits.file:
        raise _too_large(path, name, limits)
    with _damage(path):
        return _content(archive.open(info), name, path, limits)


def _content(file: BinaryIO, name: str, path: Path, limits: Limits) -> bytes:
    with file:
        content = file.read(limits.file + 1)
    if len(content) > limits.file:
        raise _too_large(path, name, limits)
    return content


class _Counted:
    """A stream of decompressed bytes that ends in a refusal when it gives more than the limit."""

    def __init__(self, stream: BinaryIO, path: Path, limits: Limits):
        self.stream, self.path, self.limits = stream, path, limits
        self.count = 0

    def read(self, size: int) -> bytes:
        content = self.stream.read(size)
        self.count += len(content)
        if self.count > self.limits.total:
            raise _too_large_as_a_whole(self.path, self.limits)
        return content


def _parts(name: str, path: Path) -> tuple[str, ...]:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise _refusal(path, name, "has a name that is not UTF-8; rename it") from None
    parts = tuple(unicodedata.normalize("NFC", part) for part in name.split("/") if part not in ("", "."))
    absolute = name.startswith("/") or name[1:3] == ":/"
    if absolute or ".." in parts or "\\" in name or "\0" in name:
        raise _refusal(path, name, "has a name that leads out of the archive; take it out or rename it")
    return parts


def _ignored(parts: tuple[str, ...]) -> bool:
    return not parts or any(part.startswith(".") or part in IGNORED for part in parts)


DAMAGE = (
    *(tarfile.TarError, zipfile.BadZipFile, lzma.LZMAError, zlib.error, EOFError, NotImplementedError),
    *(ValueError, OverflowError, RecursionError, struct.error),
)
"""What the libraries raise for bytes that are no archive; the last four where a header's number, name or chain makes no sense."""


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn what the libraries raise for bytes that they cannot read into one sentence."""
    try:
        yield
    except DAMAGE as error:
        raise _damaged(path, error) from error
    except OSError as error:
        if error.errno is not None:  # the disk's doing, not the content's
            raise
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> DamagedArchive:
    return DamagedArchive(f"{path}: no whole tar or zip archive ({' '.join(str(error).split())}); get it again.")


def _refusal(path: Path, name: str, why: str) -> UserError:
    return UserError(f"{path}: {name!r} {why}.")


def _too_large(path: Path, name: str, limits: Limits) -> UserError:
    return _refusal(path, name, f"is larger than {limits.file} bytes, which no image here needs")


def _too_large_as_a_whole(path: Path, limits: Limits) -> UserError:
    return UserError(f"{path}: more than {limits.total} bytes when decompressed; give an archive with less.")
