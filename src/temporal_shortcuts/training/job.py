"""A segment's job, and the one loop over epochs: train from the parent's state on, save as it goes, end with the declared state.

A job that is killed goes on from its newest whole checkpoint, and ends with the same bytes.
"""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from temporal_shortcuts.data.images import Images
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.files import lock
from temporal_shortcuts.study import Segment
from temporal_shortcuts.study.segments import evaluated_images
from temporal_shortcuts.training import numerics
from temporal_shortcuts.training.states import Checkpoints, Damaged, read_state, write_state
from temporal_shortcuts.training.trainer import Trainer, weights_hash

Say = Callable[[str], None]


def train_segment(
    segment: Segment,
    images: Images,
    work: Path,
    parent: Path | None,
    output: Path,
    *,
    force: bool = False,
    checkpoint_minutes: float = 5.0,
    say: Say = print,
) -> None:
    """Train a segment and write its state to `output`; go on from where a killed job of the same segment left off.

    `parent` is the state that the segment starts from, None for epoch 0. `force` goes on from a state that another numeric
    environment made (and marks the record). Raises `UserError` when a state does not fit.
    """
    device = numerics.prepare(segment.settings["device"], segment.settings["precision"])
    here = numerics.environment(device, segment.settings["instruction_set"], segment.settings["precision"])
    folder = work / "segments" / output.stem
    with lock(folder / "lock", say):
        checkpoints = Checkpoints(folder)
        if _is_whole(output, say):
            say(f"{output} is already there")
            checkpoints.clear()
            return
        trainer = Trainer(segment, images, device)
        found = checkpoints.newest(say)
        if found is not None:
            say(f"going on from epoch {found[1]['epoch']}, step {found[1]['step']}")
        elif parent is not None:
            found = _read_parent(parent)
        if found is not None:
            trainer.load(*found)
        _admit(trainer, here, force)
        _train(trainer, checkpoints, work, checkpoint_minutes, say)
        tensors, facts = trainer.state()
        if segment.final:
            right = trainer.evaluate()[1] if trainer.last_right is None else trainer.last_right
            facts |= {
                "final": weights_hash(trainer.network),
                "correct": base64.b64encode(np.packbits(right.numpy()).tobytes()).decode(),
                "test_set": images.test_set,
            }
        write_state(output, tensors, facts)
        checkpoints.clear()


def _train(trainer: Trainer, checkpoints: Checkpoints, work: Path, checkpoint_minutes: float, say: Say) -> None:
    shown, evaluated = ProgressFile(trainer, work), evaluated_images(trainer.segment.trajectory.data)
    saved = time.monotonic()

    def between() -> None:
        nonlocal saved
        shown.step()
        if time.monotonic() - saved > 60 * checkpoint_minutes:
            checkpoints.save(trainer.epoch, trainer.step, *trainer.state())
            saved = time.monotonic()

    while trainer.epoch < trainer.segment.stop:
        started = time.monotonic()
        if trainer.diverged():
            trainer.stand_still()
        else:
            trainer.train_epoch(between)
        checkpoints.save(trainer.epoch, 0, *trainer.state())
        saved = time.monotonic()
        row = trainer.rows[-1]
        say(
            f"epoch {trainer.epoch:>3} of {trainer.segment.stop}  train loss {row['train_loss']:.4f}  "
            f"{evaluated} accuracy {row['test_accuracy']:.2%}  {saved - started:.1f} s"
        )
        shown.epoch(saved - started)
    shown.close()


class ProgressFile:
    """A small file beside the states that says how far a job is, for people; nothing reads it back into a result."""

    def __init__(self, trainer: Trainer, work: Path):
        self.trainer, self.path = trainer, work / "progress" / f"{trainer.segment.state}.json"
        self.written, self.seconds = 0.0, math.nan
        self._write()

    def step(self) -> None:
        if time.monotonic() - self.written > 2:
            self._write()

    def epoch(self, seconds: float) -> None:
        self.seconds = seconds
        self._write()

    def close(self) -> None:
        self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        trainer, segment = self.trainer, self.trainer.segment
        content = {
            "state": segment.state,
            "epoch": trainer.epoch,
            "step": trainer.step,
            "steps": trainer.batches.steps,
            "test_accuracy": trainer.rows[-1]["test_accuracy"] if trainer.rows else None,
            "seconds_per_epoch": None if math.isnan(self.seconds) else self.seconds,
            "time": time.time(),
        }
        with suppress(OSError):  # it is only for people; the state's file says what is wrong
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.path.with_suffix(".writing")
            temporary.write_text(json.dumps(content))
            temporary.replace(self.path)
        self.written = time.monotonic()


def _is_whole(output: Path, say: Say) -> bool:
    try:
        read_state(output)
    except FileNotFoundError:
        return False
    except Damaged as damage:
        say(f"{damage}; making it again")
        return False
    return True


def _read_parent(parent: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        return read_state(parent)
    except Damaged as damage:
        raise UserError(f"{damage}: delete it and run the same command again, which makes it anew.") from None
    except FileNotFoundError:
        raise UserError(
            f"{parent}, the state that this segment starts from, is not there: run the same command again."
        ) from None


def _admit(trainer: Trainer, here: dict[str, Any], force: bool) -> None:
    """Refuse to mix numeric environments in one run unless forced, and write down where it was trained."""
    for there in trainer.environments:
        different = [key for key in numerics.INSISTED if there[key] != here[key]]
        if different and not force:
            key = different[0]
            raise UserError(
                f"this run was begun with {key} {there[key]!r} and would go on with {here[key]!r}: use the same environment, "
                "delete its states in the work folder to begin anew, or set force_environment: true to mix them."
            )
        trainer.forced |= bool(different)
    if here not in trainer.environments:
        trainer.environments.append(here)
