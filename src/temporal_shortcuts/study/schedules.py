"""The learning rate of each epoch, in closed form, by the name of its schedule in the study. The published protocol is `cosine`."""

from __future__ import annotations

import math

from temporal_shortcuts.study.declared import Protocol, Settings

SHARE_OF_COOL_DOWN = 0.2


def learning_rate(settings: Settings, epoch: int) -> float:
    """The rate of an epoch (`epoch` completed before it), from `learning_rate` and `schedule_epochs`.

    `cosine` anneals to 0 at `schedule_epochs` (Loshchilov and Hutter, 2017). `step` takes a tenth after half of them and again after
    three quarters (He et al., 2016). `constant` stays, and falls linearly to 0 over their last fifth (Hägele et al., 2024).
    """
    rate, done = settings.learning_rate, epoch / settings.schedule_epochs
    match settings.schedule:
        case "cosine":
            return 0.5 * rate * (1.0 + math.cos(math.pi * epoch / settings.schedule_epochs))
        case "step":
            return rate * 0.1 ** ((done >= 0.5) + (done >= 0.75))
        case "constant":
            return rate * max(0.0, min(1.0, (1.0 - done) / SHARE_OF_COOL_DOWN))


def steps_from(schedule_epochs: int) -> int:
    """The first epoch, counted from 0, with a lower rate than the one before, in a schedule of `step`."""
    return math.ceil(schedule_epochs / 2)


def rates(settings: Protocol) -> list[float]:
    """The rate of each epoch of a run."""
    return [learning_rate(settings, epoch) for epoch in range(settings.epochs)]
