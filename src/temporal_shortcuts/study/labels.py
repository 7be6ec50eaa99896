"""What variants and claims are called: from their settings, or in a person's words where these still hold.

Words that a file has hold for the settings beside them, in that file with what it extends: whoever changes the settings on top of it gets
what is said of the new ones.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from temporal_shortcuts.study.declared import Protocol
from temporal_shortcuts.study.published import differing

_NONE = {
    "momentum": "no momentum",
    "weight_decay": "no weight decay",
    "label_smoothing": "no label smoothing",
    "crop_padding": "no random crops",
    "flip": "no flips",
    "compile": "not compiled",
}
"""What it means that a setting is 0 or false."""
_SETTINGS: Mapping[str, Callable[[Any], str]] = {
    "model": "network {}".format,
    "width": "width {}".format,
    "epochs": lambda epochs: "1 epoch" if epochs == 1 else f"{epochs} epochs",
    "batch_size": "batch size {}".format,
    "learning_rate": "learning rate {:g}".format,
    "momentum": "momentum {:g}".format,
    "weight_decay": "weight decay {:g}".format,
    "schedule": lambda schedule: "constant learning rate" if schedule == "constant" else f"{schedule} schedule",
    "schedule_epochs": "schedule of {} epochs".format,
    "optimizer": {"sgd": "SGD", "nesterov": "Nesterov momentum", "adamw": "AdamW"}.__getitem__,
    "label_smoothing": "label smoothing {:g}".format,
    "crop_padding": "crops padded by {}".format,
    "flip": lambda flip: "flips",
    "precision": "precision {}".format,
    "compile": lambda compiled: "compiled",
}


def setting(key: str, value: Any) -> str:
    """A setting in a few words: `no momentum`, `learning rate 0.1`; one that has no words here by its key."""
    if not value and key in _NONE:
        return _NONE[key]
    return _SETTINGS[key](value) if key in _SETTINGS else f"{key.replace('_', ' ')} {value}"


def changes(settings: Protocol, usual: Protocol) -> list[str]:
    """What is not as usual, each in a few words; a schedule that ends with the run is called by what it does."""
    ends = settings.schedule == "cosine" and settings.schedule_epochs == settings.epochs
    return [
        "annealed to 0" if ends and one.key == "schedule_epochs" else setting(one.key, one.ours)
        for one in differing(settings, usual)
    ]
