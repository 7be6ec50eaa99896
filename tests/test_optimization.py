"""Schedules and optimisers by name, against torch's own classes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler

from temporal_shortcuts.study.declared import Settings
from temporal_shortcuts.study.schedules import learning_rate
from temporal_shortcuts.training import optimization

EPOCHS = 20


def schedulers(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    constant = lr_scheduler.ConstantLR(optimizer, 1.0)
    down = lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=4)
    return {
        "cosine": lambda: lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS),
        "step": lambda: lr_scheduler.MultiStepLR(optimizer, [10, 15]),
        "constant": lambda: lr_scheduler.SequentialLR(optimizer, [constant, down], [16]),
    }


@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
def test_a_rate_is_that_of_torchs_scheduler(schedule: str) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    scheduler = schedulers(optimizer)[schedule]()
    for epoch in range(EPOCHS):
        settings = Settings(learning_rate=0.1, schedule_epochs=EPOCHS, schedule=schedule)
        assert learning_rate(settings, epoch) == pytest.approx(optimizer.param_groups[0]["lr"], abs=1e-12), epoch
        optimizer.step()
        scheduler.step()


@pytest.mark.parametrize(
    ("name", "momentum", "cls", "options"),
    [
        ("sgd", 0.8, torch.optim.SGD, {"momentum": 0.8}),
        ("sgd", 0.0, torch.optim.SGD, {}),
        ("nesterov", 0.8, torch.optim.SGD, {"momentum": 0.8, "nesterov": True}),
        ("adamw", 0.8, torch.optim.AdamW, {"betas": (0.8, 0.999)}),
    ],
)
def test_steps_are_those_of_torchs_optimiser_also_after_a_resume(
    name: str, momentum: float, cls: Any, options: dict[str, Any]
) -> None:
    settings = Settings(optimizer=name, momentum=momentum, weight_decay=0.1)
    generator = torch.Generator().manual_seed(0)
    start = {"a": torch.randn(3, 4, generator=generator), "b": torch.randn(5, generator=generator)}
    ours = {key: value.clone() for key, value in start.items()}
    theirs = [value.clone().requires_grad_() for value in start.values()]
    mine = optimization.make(ours, settings)
    torchs = cls(theirs, lr=0.05, weight_decay=0.1, fused=True, **options)
    for step in range(6):
        gradients = [torch.randn(value.shape, generator=generator) for value in theirs]
        for parameter, other, gradient in zip(ours.values(), theirs, gradients, strict=True):
            parameter.grad, other.grad = gradient.clone(), gradient.clone()
        if step == 3:
            again = optimization.make(ours, settings)
            again.load({key: value.clone() for key, value in mine.state().items()})
            mine = again
        mine.step(0.05)
        torchs.step()
        for parameter, other in zip(ours.values(), theirs, strict=True):
            assert torch.equal(parameter, other.detach()), step
