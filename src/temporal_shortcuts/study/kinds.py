"""The kinds of temporal shortcut, as far as a study must know them: one line each. What they compute is in training/shortcuts.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Kind:
    """What a kind needs and when it can act."""

    role: Literal["shortcut", "control", "null_arm"] = "shortcut"
    """A control has a carry without its information; a null arm has none, and differs from its reference by chance alone."""
    strength: bool = True
    first_epoch: int = 0
    """The first epoch in which it can act: an earlier onset is the same as this one."""
    full_batches: int = 0
    """As many full batches must an epoch have for the shortcut to act at all."""
    accounting: bool = False
    """Whether it has a mean that the published code took in another way."""
    stream: bool = False
    """Whether it draws order and augmentation from another stream."""


KINDS = {
    "batch_res": Kind(full_batches=2),
    "epoch_res": Kind(first_epoch=1, full_batches=1, accounting=True),
    "shuffled": Kind("control", full_batches=2),
    "noise": Kind("control", full_batches=2),
    "one_bit": Kind("null_arm", strength=False),
    "fresh_order": Kind("null_arm", strength=False, stream=True),
}
