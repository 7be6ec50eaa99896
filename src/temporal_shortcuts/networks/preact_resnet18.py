"""Pre-activation ResNet-18 (He et al., "Identity Mappings in Deep Residual Networks", 2016) in the shape used on CIFAR-10.

Batch norm and ReLU come before each convolution, and once more after the last block. As in the paper, the first block's
activation is taken before its two paths part. Width 64 and 10 classes: 11,172,170 parameters. A place is a block's sum, which
the next block, or the end, activates.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from temporal_shortcuts.networks.parts.network import Hook, Network
from temporal_shortcuts.networks.parts.residual import Projection, conv3x3


class Block(nn.Module):
    """`shortcut` is given the activated x; None leaves x as it is."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: nn.Module | None):
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inputs)
        self.conv1 = conv3x3(inputs, outputs, stride)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.conv2 = conv3x3(outputs, outputs)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        active = F.relu(self.norm1(x), inplace=True)
        out = F.relu(self.norm2(self.conv1(active)), inplace=True)
        return self.conv2(out) + (x if self.shortcut is None else self.shortcut(active))


class PreActResNet(Network):
    def __init__(self, width: int, classes: int):
        super().__init__()
        self.conv = conv3x3(3, width)
        blocks = [Block(width, width, 1, nn.Identity()), Block(width, width, 1, None)]
        for outputs in (2 * width, 4 * width, 8 * width):
            first = Projection(outputs // 2, outputs, 2, normed=False)
            blocks += [Block(outputs // 2, outputs, 2, first), Block(outputs, outputs, 1, None)]
        self.blocks = nn.ModuleList(blocks)
        self.norm = nn.BatchNorm2d(8 * width)
        self.linear = nn.Linear(8 * width, classes)
        self.places = tuple(f"blocks.{place}" for place in range(len(blocks)))

    def forward(self, images: Tensor, hook: Hook | None = None) -> Tensor:
        x = self.conv(images)
        for place, block in enumerate(self.blocks):
            x = block(x)
            if hook is not None:
                x = hook(place, x)
        return self.linear(F.relu(self.norm(x), inplace=True).mean((2, 3)))


def build(width: int, classes: int) -> PreActResNet:
    return PreActResNet(width, classes)
