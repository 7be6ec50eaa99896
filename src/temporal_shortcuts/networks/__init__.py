"""Networks for 32x32 images: each is a file here, found by its name, with a function `build(width, classes)`.

A network is a `parts.network.Network`: it calls a hook at places of its own, names them, and says how it is evaluated.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

from temporal_shortcuts.errors import UserError

if TYPE_CHECKING:
    import torch

    from temporal_shortcuts.networks.parts.network import Network


def names() -> tuple[str, ...]:
    """The networks that there are; needs no torch."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg))


def build(model: str, width: int, classes: int, generator: torch.Generator) -> Network:
    """The named network with PyTorch's usual initial weights, drawn from `generator` in the order of its modules."""
    from torch import nn

    if model not in names():
        raise UserError(f"model: found {model!r}, but it must be one of {', '.join(names())}.")
    network = importlib.import_module(f"{__name__}.{model}").build(width, classes)
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=generator)
        if isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            nn.init.uniform_(module.bias, -bound, bound, generator=generator)
    return network
