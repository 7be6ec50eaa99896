"""A step of the optimiser, by its name in the study. The published protocol is `sgd`.

An optimiser's state is a few tensors a parameter, and its rate a closed form of the epoch, so a resumed run needs nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim.adamw import adamw
from torch.optim.sgd import sgd

from temporal_shortcuts.study.declared import Settings

BETA2, EPSILON = 0.999, 1e-8
"""AdamW's, as torch and the paper (Loshchilov and Hutter, 2019) have them; its beta1 is the protocol's momentum."""


class Sgd:
    """SGD with momentum, Nesterov's on request: what `torch.optim.SGD` does, which imports the compiler first, two seconds a job."""

    def __init__(self, parameters: Mapping[str, Tensor], settings: Settings):
        self.parameters, self.settings = dict(parameters), settings
        self.nesterov = settings.optimizer == "nesterov"
        self.momentum: list[Tensor | None] = [None] * len(self.parameters)

    @torch.no_grad()
    def step(self, rate: float) -> None:
        sgd(
            list(self.parameters.values()),
            [parameter.grad for parameter in self.parameters.values()],
            self.momentum,
            fused=True,
            lr=rate,
            momentum=self.settings.momentum,
            weight_decay=self.settings.weight_decay,
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

    def __init__(self, parameters: Mapping[str, Tensor], settings: Settings):
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
            beta1=self.settings.momentum,
            beta2=BETA2,
            lr=rate,
            weight_decay=self.settings.weight_decay,
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


def make(parameters: Mapping[str, Tensor], settings: Settings) -> Sgd | AdamW:
    """The optimiser that the settings name: `sgd`, `nesterov` or `adamw`."""
    return (AdamW if settings.optimizer == "adamw" else Sgd)(parameters, settings)
