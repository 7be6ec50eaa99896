"""Files that a kill cannot leave half written, and locks that end with the process that holds them."""

from __future__ import annotations

import errno
import fcntl
import glob
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from temporal_shortcuts.errors import UserError

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)


def write_atomically(path: Path, *pieces: bytes) -> None:
    """Write a file so that its name holds the old bytes or all the new ones, also after a power cut."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with naming(path):
        temporary = _temporary(path)
        try:
            with temporary.open("wb") as file:
                for piece in pieces:
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):  # the file system may take no change at all
                temporary.unlink()
            raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def holds(path: Path, text: str) -> bool:
    """Whether a file is there and holds a text, with line ends of any system."""
    return path.is_file() and path.read_text(encoding="utf-8", errors="replace") == text


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """A failure of the file system names this file: that of a full disk names none, others a temporary one."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:
            error.filename = str(path)
        raise


def _temporary(path: Path) -> Path:
    """A name beside `path` for this process alone. What killed processes of this machine left under such names is removed."""
    ours = f".{path.name}.{os.uname().nodename.partition('.')[0]}-"
    for left in path.parent.glob(f"{glob.escape(ours)}*"):
        if not _is_alive(left.name.removeprefix(ours)):
            left.unlink(missing_ok=True)
    return path.with_name(f"{ours}{os.getpid()}")


def _is_alive(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True


@contextmanager
def lock(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold an exclusive lock on a file; the kernel releases it when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        with locking(path.parent):
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"another job holds {path}; waiting for it")
                fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def locking(folder: Path) -> Iterator[None]:
    """Raise `UserError` where the file system of a folder knows no locks."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        raise UserError(
            f"{folder}: its file system takes no locks ({error.strerror}), which keep two jobs from writing one file; "
            "put the work folder on a local disk (--config work=DIR) and run the same command again."
        ) from None
