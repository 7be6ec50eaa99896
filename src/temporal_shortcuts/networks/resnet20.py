"""ResNet-20 for CIFAR-10 (He et al., 2016, section 4.2), with parameter-free shortcuts (their option A).

Three stages of three basic blocks, with 1, 2 and 4 times `width` channels. Width 16 and 10 classes: 269,722 parameters.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from temporal_shortcuts.networks.parts.residual import BasicBlock, ResNet


class Padding(nn.Module):
    """The shortcut where a stage begins: every second pixel, and zeros for the channels that x does not have."""

    def __init__(self, channels: int):
        super().__init__()
        self.channels = channels

    def forward(self, x: Tensor) -> Tensor:
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 0, self.channels))


def build(width: int, classes: int) -> ResNet:
    return ResNet(width, classes, blocks(width, 3))


def blocks(width: int, depth: int, shortcuts: bool = True) -> list[BasicBlock]:
    """Three stages of `depth` blocks."""
    made = []
    inputs = width
    for stage in range(3):
        outputs = width * 2**stage
        for _ in range(depth):
            shortcut = nn.Identity() if inputs == outputs else Padding(outputs - inputs)
            stride = outputs // inputs
            made.append(BasicBlock(inputs, outputs, stride, shortcut if shortcuts else None))
            inputs = outputs
    return made
