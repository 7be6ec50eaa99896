"""What a network is to the rest of the package."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from temporal_shortcuts.errors import UserError

Hook = Callable[[int, Tensor], Tensor]
"""Called as hook(place, x) with a place's index and x `[N, C, H, W]`; returns the x to go on with, and may keep x."""


class Network(nn.Module):
    """Images `[N, 3, 32, 32]` -> logits `[N, classes]`, calling a hook at each of its places."""

    places: tuple[str, ...]
    """Names of the places for a temporal shortcut, in the order in which they are passed: the paths of the blocks whose sums
    the hook is given, before the activation that follows."""
    linear: nn.Linear
    """The last layer."""
    normalisation: tuple[Sequence[float], Sequence[float]] | None = None
    """Mean and deviation of each channel by which its images were normalised, where it comes from a file."""
    classes: tuple[str, ...] | None = None
    """Names of the classes in the order of the logits, where its file has them."""

    def forward(self, images: Tensor, hook: Hook | None = None) -> Tensor:
        raise NotImplementedError

    def folded(self) -> Network:
        """A copy for evaluation, which may be quicker: equal logits but for rounding."""
        return copy.deepcopy(self).eval()

    @torch.no_grad()
    def predict(self, images: Any) -> Tensor:
        """Probabilities `[N, classes]` of images as they are in a file: uint8 `[N, 3, 32, 32]`, RGB.

        They are brought to what the network was trained on by its own mean and deviation, and it is evaluated as in its record: in its
        folded form, in float32, and with logits that are not finite as zero. Raises `UserError` for anything else than such images, and
        for a network that comes from no file.
        """
        pixels = np.asarray(images)
        if pixels.dtype != np.uint8 or pixels.shape[1:] != (3, 32, 32):
            found = f"found {pixels.dtype} of the shape {list(pixels.shape)}"
            raise UserError(f"images: {found}, but they must be uint8 [N, 3, 32, 32], with values from 0 to 255.")
        if self.normalisation is None:
            raise UserError("the network's mean and deviation are unknown: give images to one that load_network gave.")
        network, device = self.folded(), self.linear.weight.device
        mean, deviation = (torch.tensor(values, device=device).view(3, 1, 1) for values in self.normalisation)
        batches = torch.from_numpy(pixels.copy()).split(250)
        logits = [
            network(torch.addcmul(-mean / deviation, batch.to(device).float(), 1 / (255 * deviation)))
            for batch in batches
        ]
        return F.softmax(torch.nan_to_num(torch.cat(logits), 0.0, 0.0, 0.0), 1)
