"""What a network costs, counted and not measured."""

from __future__ import annotations

import importlib

from temporal_shortcuts import networks


def training_flop(model: str, width: int, classes: int) -> int:
    """Floating-point operations to train on one image once: three times those of the forward pass, a multiply-add being two.

    The network has shapes and no numbers (torch's device "meta"), so this takes no time at any width.
    """
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        network = importlib.import_module(f"{networks.__name__}.{model}").build(width, classes)
        image = torch.empty(1, 3, 32, 32)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(image)
    return 3 * counter.get_total_flops()
