"""What a network is to the rest of the package."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

from torch import Tensor, nn

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

    def forward(self, images: Tensor, hook: Hook | None = None) -> Tensor:
        raise NotImplementedError

    def folded(self) -> Network:
        """A copy for evaluation, which may be quicker: equal logits but for rounding."""
        return copy.deepcopy(self).eval()
