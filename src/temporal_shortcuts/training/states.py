"""States: what a training job saves, in files that survive a kill and cannot be silently wrong.

A state file is one line, `temporal-shortcuts state <sha256 of the rest>`, and then a safetensors file: tensors, and facts as JSON
in its metadata. Nothing in it can execute, and one flipped bit or missing byte anywhere makes `read` refuse it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from temporal_shortcuts.files import write_atomically

if TYPE_CHECKING:
    from torch import Tensor

_MAGIC = b"temporal-shortcuts state "


class Damaged(Exception):
    """A state file is not what was written; the message names it and says what is wrong."""


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


class Checkpoints:
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
