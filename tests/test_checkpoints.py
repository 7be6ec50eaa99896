"""State files: what is damaged is never used silently, whatever the damage and whenever a writing was cut short."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
import tiny
import torch

from temporal_shortcuts import files
from temporal_shortcuts.files import write_atomically
from temporal_shortcuts.training.states import Checkpoints, Damaged, read_facts, read_state, write_state

HEAD = len("temporal-shortcuts state ") + 64 + 1
"""Bytes of the first line."""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A state as training leaves it, with all that a state can hold."""
    shortcut = tiny.KINDS["epoch_res"] | {"onset": 0}
    return tiny.train_alone(tmp_path_factory.mktemp("state"), shortcut, epochs=2).read_bytes()


def flipped(whole: bytes, bit: int) -> bytes:
    content = bytearray(whole)
    content[bit // 8] ^= 1 << bit % 8
    return bytes(content)


def refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    for read in (read_state, read_facts):
        with pytest.raises(Damaged, match=path.name):
            read(path)


def test_a_state_that_is_cut_short_or_holds_something_more_is_refused(state: bytes, tmp_path: Path) -> None:
    """Cut in its first line, in the size of the header, the header, the tensors and at each border."""
    for length in (*range(HEAD + 9), *range(HEAD, len(state), len(state) // 50), len(state) - 1):
        refused(tmp_path / "a.state", state[:length])
    for content in (state + b"\0", state + state, b"\n" + state, os.urandom(5000), state[HEAD:]):
        refused(tmp_path / "a.state", content)


def test_a_state_with_one_flipped_bit_anywhere_is_refused(state: bytes, tmp_path: Path) -> None:
    """Each bit of the first 120 bytes, and 200 bits at random."""
    drawn = random.Random(0).sample(range(120 * 8, len(state) * 8), 200)
    for bit in [*range(120 * 8), *drawn]:
        refused(tmp_path / "a.state", flipped(state, bit))


def test_a_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    tensors = {
        "a": torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last),
        "b": torch.tensor(7),
        "c": torch.tensor([float("nan"), -0.0, float("inf")]),
        "d": torch.zeros(0, 3),
    }
    facts = {"epoch": 3, "rows": [{"x": 0.1, "y": float("nan")}], "text": "ä\n", "none": None}
    write_state(tmp_path / "a.state", tensors, facts)
    read, found = read_state(tmp_path / "a.state")
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype
        assert read[name].shape == tensor.shape
        assert read[name].numpy().tobytes() == tensor.contiguous().numpy().tobytes()
    assert repr(found) == repr(dict(sorted(facts.items()))) == repr(read_facts(tmp_path / "a.state"))
    write_state(tmp_path / "b.state", dict(reversed(tensors.items())), dict(reversed(facts.items())))
    assert (tmp_path / "b.state").read_bytes() == (tmp_path / "a.state").read_bytes()


# -- checkpoints -------------------------------------------------------------------------------------------------------


def checkpoints_of(folder: Path, *states: tuple[int, int]) -> Checkpoints:
    checkpoints = Checkpoints(folder)
    for epoch, step in states:
        checkpoints.save(epoch, step, {"x": torch.tensor([epoch, step])}, {"epoch": epoch, "step": step})
    return checkpoints


def test_the_two_newest_states_are_kept(tmp_path: Path) -> None:
    checkpoints = checkpoints_of(tmp_path, (1, 0), (1, 999), (2, 0), (10, 0), (10, 5))
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "epoch000010-step00000000.state",
        "epoch000010-step00000005.state",
    ]
    assert checkpoints.newest(pytest.fail)[1] == {"epoch": 10, "step": 5}
    checkpoints.clear()
    assert not list(tmp_path.iterdir())
    assert checkpoints.newest(pytest.fail) is None


def test_a_run_goes_on_from_the_state_before_a_damaged_one(tmp_path: Path) -> None:
    """And where both are damaged, begins anew: the same bytes each time."""
    segment = tiny.scratch(tiny.tiny_study(variants={"it": tiny.variant("epoch_res", 1)}), "it")
    expected = tiny.train(segment, tmp_path / "alone").read_bytes()
    for damaged in (1, 2):
        work = tmp_path / str(damaged)
        killed_after(2, segment, work)
        states = sorted((work / "segments" / segment.state).glob("*.state"), reverse=True)
        assert len(states) == 2
        for path in states[:damaged]:
            path.write_bytes(flipped(path.read_bytes(), 12345))
        said: list[str] = []
        assert tiny.train(segment, work, say=said.append).read_bytes() == expected
        assert sum("is damaged" in line for line in said) == damaged
        assert any("going on from epoch 1" in line for line in said) == (damaged == 1)


class Killed(Exception):
    pass


def killed_after(epochs: int, segment: object, work: Path) -> None:
    def die(line: str) -> None:
        if line.startswith(f"epoch {epochs:>3}"):
            raise Killed

    with pytest.raises(Killed):
        tiny.train(segment, work, say=die)


# -- writing -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["write", "fsync", "replace"])
def test_a_writing_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    """As on a full disk; a kill is tried with real processes in test_exactness.py."""
    path = tmp_path / "a"
    write_atomically(path, b"old")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    if stage == "write":
        pieces: tuple[object, ...] = (b"new", object())
    else:
        pieces = (b"new",)
        monkeypatch.setattr(files.os, stage, fail)
    with pytest.raises((OSError, TypeError)):
        write_atomically(path, *pieces)  # type: ignore[arg-type]
    monkeypatch.undo()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_file_is_on_the_disk_before_it_has_its_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    fsync, replace = os.fsync, os.replace

    def watched_fsync(descriptor: int) -> None:
        calls.append(
            "fsync " + Path(os.readlink(f"/proc/self/fd/{descriptor}")).name.split(".")[1 if calls == [] else 0]
        )
        fsync(descriptor)

    def watched_replace(source: Path, target: Path) -> None:
        calls.append(f"replace {target.name}")
        replace(source, target)

    monkeypatch.setattr(files.os, "fsync", watched_fsync)
    monkeypatch.setattr(files.os, "replace", watched_replace)
    write_atomically(tmp_path / "folder" / "a", b"1", b"2")
    assert calls == ["fsync a", "replace a", "fsync folder"]
    assert (tmp_path / "folder" / "a").read_bytes() == b"12"


def test_what_a_killed_writing_left_is_no_state(tmp_path: Path) -> None:
    checkpoints = checkpoints_of(tmp_path, (1, 0))
    shutil.copy(tmp_path / "epoch000001-step00000000.state", tmp_path / ".epoch000002-step00000000.state.4711")
    (tmp_path / "lock").touch()
    assert checkpoints.newest(pytest.fail)[1]["epoch"] == 1
    checkpoints.clear()
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
