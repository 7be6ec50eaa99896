"""The kinds of temporal shortcut, as far as a study and its texts must know them: one line each.

What they compute is in training/shortcuts.py.
"""

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
    epochs: int = 1
    """As many epochs must there be from its onset on for it to act at all."""
    fades: bool = False
    """Whether its strength falls until the last epoch, so that what it does depends on a run's length."""
    colour: str = "#56B4E9"
    """In figures. Candidates share one: a panel or a label tells them apart."""
    label: str | None = None
    """What a label calls it; its name if not given."""


KINDS = {
    "batch_res": Kind(full_batches=2, colour="#0072B2"),
    "epoch_res": Kind(first_epoch=1, full_batches=1, accounting=True, colour="#D55E00"),
    "mixed": Kind(full_batches=2),
    "centred": Kind(full_batches=2),
    "matched": Kind(full_batches=2),
    "fading": Kind(full_batches=2, epochs=2, fades=True),
    "same_class": Kind(full_batches=2),
    "one_block": Kind(full_batches=2),
    "learnt": Kind(strength=False, full_batches=2),
    "same_image": Kind(full_batches=1, epochs=2),
    "shuffled": Kind("control", full_batches=2, colour="#CC79A7", label="shuffled carry"),
    "noise": Kind("control", full_batches=2, colour="#4A2C6B"),
    "one_bit": Kind("null_arm", strength=False, label="one bit flipped"),
    "fresh_order": Kind("null_arm", strength=False, stream=True, label="another order of the images"),
}
