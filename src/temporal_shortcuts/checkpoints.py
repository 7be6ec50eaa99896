"""Files that survive a kill and cannot be silently wrong.

A state file is one line, `temporal-shortcuts state <sha256 of the rest>`, and then a safetensors file: tensors, and facts as JSON
in its metadata. Nothing in it can execute, and one flipped bit or missing byte anywhere makes `read` refuse it.
"""

from __future__ import annotations

import fcntl
import glob
import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_MAGIC = b"temporal-shortcuts state "


class Damaged(Exception):
    """A state file is not what was written; the message names it and says what is wrong."""


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


def write_state(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write tensors and facts (anything that JSON can hold) to a state file, atomically."""
    import safetensors.torch

    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}
    body = safetensors.torch.save(flat, metadata={"facts": json.dumps(facts, sort_keys=True)})
    write_atomically(path, _MAGIC, hashlib.sha256(body).hexdigest().encode(), b"\n", body)


def read_facts(path: Path) -> dict[str, Any]:
    """The facts of a state file, checked as a whole, without torch. Raises `Damaged` or `FileNotFoundError`."""
    return _facts(_body(path))


def read_state(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors (on the CPU) and facts of a state file. Raises `Damaged` or `FileNotFoundError`."""
    import safetensors.torch

    body = _body(path)
    return safetensors.torch.load(body), _facts(body)


def _body(path: Path) -> bytes:
    content = path.read_bytes()
    head, _, body = content.partition(b"\n")
    if not re.fullmatch(re.escape(_MAGIC) + rb"[0-9a-f]{64}", head):
        raise Damaged(f"{path} is not a state file: its first line is not one")
    if hashlib.sha256(body).hexdigest().encode() != head[len(_MAGIC) :]:
        raise Damaged(f"{path} is damaged: its checksum does not agree")
    return body


def _facts(body: bytes) -> dict[str, Any]:
    length = int.from_bytes(body[:8], "little")
    return json.loads(json.loads(body[8 : 8 + length])["__metadata__"]["facts"])


class Progress:
    """The states that a job leaves on its way, in a folder: the newest two are kept, so that one damaged file costs one step back."""

    _NAME = re.compile(r"epoch(\d{6})-step(\d{8})\.state")

    def __init__(self, folder: Path):
        self.folder = folder

    def save(self, epoch: int, step: int, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        write_state(self.folder / f"epoch{epoch:06d}-step{step:08d}.state", tensors, facts)
        for old in self._files()[2:]:
            old.unlink(missing_ok=True)

    def newest(self, say: Callable[[str], None]) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The newest state that is whole, or None. What is damaged is said and removed."""
        for path in self._files():
            try:
                return read_state(path)
            except Damaged as damage:
                say(f"{damage}; going on from the state before it")
                path.unlink(missing_ok=True)
        return None

    def clear(self) -> None:
        for path in self.folder.glob("*.state"):
            path.unlink(missing_ok=True)
        for path in self.folder.glob(".*.state.*"):  # left by a job that was killed while it wrote
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return sorted((path for path in self.folder.glob("*.state") if self._NAME.fullmatch(path.name)), reverse=True)


@contextmanager
def lock(path: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Hold an exclusive lock on a file; the kernel releases it when the process ends, however it ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another job holds {path}; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
