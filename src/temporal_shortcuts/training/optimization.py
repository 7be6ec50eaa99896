"""The rate of each epoch, and a step of the optimiser, each by its name in the study. The published protocol is `sgd` and `cosine`.

A rate is a closed form of the epoch and an optimiser's state a few tensors a parameter, so a resumed run needs nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

SHARE_OF_COOL_DOWN = 0.2
BETA2, EPSILON = 0.999, 1e-8
"""AdamW's, as torch and the paper (Loshchilov and Hutter, 2019) have them; its beta1 is the protocol's momentum."""


def learning_rate(settings: Mapping[str, Any], epoch: int) -> float:
    """The rate of an epoch (`epoch` completed before it), from `learning_rate` and `schedule_epochs`.

    `cosine` anneals to 0 at `schedule_epochs` (Loshchilov and Hutter, 2017). `step` takes a tenth after half of them and again after
    three quarters (He et al., 2016). `constant` stays, and falls linearly to 0 over their last fifth (Hägele et al., 2024).
    """
    rate, done = settings["learning_rate"], epoch / settings["schedule_epochs"]
    match settings.get("schedule", "cosine"):
        case "cosine":
            return 0.5 * rate * (1.0 + math.cos(math.pi * epoch / settings["schedule_epochs"]))
        case "step":
            return rate * 0.1 ** ((done >= 0.5) + (done >= 0.75))
        case "constant":
            return rate * max(0.0, min(1.0, (1.0 - done) / SHARE_OF_COOL_DOWN))
        case unknown:
            raise ValueError(unknown)


class Sgd:
    """SGD with momentum, Nesterov's on request: what `torch.optim.SGD` does, which imports the compiler first, two seconds a job."""

    def __init__(self, parameters: Mapping[str, Tensor], settings: Mapping[str, Any]):
        self.parameters, self.settings = dict(parameters), settings
        self.nesterov = settings.get("optimizer", "sgd") == "nesterov"
        self.momentum: list[Tensor | None] = [None] * len(self.parameters)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        sgd(
            list(self.parameters.values()),
            [parameter.grad for parameter in self.parameters.values()],
            self.momentum,
            fused=True,
            lr=rate,
            momentum=self.settings["momentum"],
            weight_decay=self.settings["weight_decay"],
            dampening=0.0,
            nesterov=self.nesterov,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        """`momentum.<parameter>`, as soon as there is one."""
        moved = zip(self.parameters, self.momentum, strict=True)
        return {f"momentum.{name}": buffer for name, buffer in moved if buffer is not None}

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` gave, in the memory layout of the parameters."""
        for index, (name, parameter) in enumerate(self.parameters.items()):
            if f"momentum.{name}" in state:
                self.momentum[index] = torch.empty_like(parameter).copy_(state[f"momentum.{name}"])


class AdamW:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019), by `torch.optim.adamw`'s function."""

    def __init__(self, parameters: Mapping[str, Tensor], settings: Mapping[str, Any]):
        self.parameters, self.settings = dict(parameters), settings
        self.mean = [torch.zeros_like(parameter) for parameter in self.parameters.values()]
        self.square = [torch.zeros_like(parameter) for parameter in self.parameters.values()]
        self.steps = [torch.zeros((), device=parameter.device) for parameter in self.parameters.values()]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        adamw(
            list(self.parameters.values()),
            [parameter.grad for parameter in self.parameters.values()],
            self.mean,
            self.square,
            [],
            self.steps,
            fused=True,
            amsgrad=False,
            beta1=self.settings["momentum"],
            beta2=BETA2,
            lr=rate,
            weight_decay=self.settings["weight_decay"],
            eps=EPSILON,
            maximize=False,
        )

    def state(self) -> dict[str, Tensor]:
        parts = {"mean": self.mean, "square": self.square, "steps": self.steps}
        return {f"{part}.{name}": t for part, ts in parts.items() for name, t in zip(self.parameters, ts, strict=True)}

    def load(self, state: Mapping[str, Tensor]) -> None:
        for part, tensors in (("mean", self.mean), ("square", self.square), ("steps", self.steps)):
            for name, tensor in zip(self.parameters, tensors, strict=True):
                tensor.copy_(state[f"{part}.{name}"])


def make(parameters: Mapping[str, Tensor], settings: Mapping[str, Any]) -> Sgd | AdamW:
    """The optimiser that the settings name: `sgd`, `nesterov` or `adamw`."""
    return (AdamW if settings.get("optimizer") == "adamw" else Sgd)(parameters, settings)
