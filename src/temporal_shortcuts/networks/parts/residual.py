"""Residual blocks of two 3x3 convolutions, and the network that is a chain of them (He et al., 2016)."""

from __future__ import annotations

import copy
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import fuse_conv_bn_eval

from temporal_shortcuts.networks.parts.network import Hook, Network


def conv3x3(inputs: int, outputs: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)


class Projection(nn.Sequential):
    """The shortcut of a block that changes the shape: a 1x1 convolution, and a batch norm unless `normed` is false."""

    def __init__(self, inputs: int, outputs: int, stride: int, normed: bool = True):
        # oneDNN's AVX2 kernel for strided 1x1 convolutions writes out of bounds where the channels are no multiple of 8
        every = stride if inputs % 8 else 1
        conv = nn.Conv2d(inputs, outputs, 1, stride // every, bias=False)
        super().__init__(conv, *([nn.BatchNorm2d(outputs)] if normed else []))
        self.every = every

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x[:, :, :: self.every, :: self.every])


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: a module, or None for a block without one."""

    def __init__(self, inputs: int, outputs: int, stride: int, shortcut: nn.Module | None):
        super().__init__()
        self.conv1 = conv3x3(inputs, outputs, stride)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = conv3x3(outputs, outputs)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = shortcut

    def forward(self, x: Tensor, hook: Hook | None, place: int) -> Tensor:
        out = F.relu(self.norm1(self.first(x)), inplace=True)
        out = self.norm2(self.conv2(out))
        if self.shortcut is not None:
            out += self.shortcut(x)
        if hook is None:
            return F.relu(out, inplace=True)
        return F.relu(hook(place, out))  # not in place: the hook may keep what it was given

    def first(self, x: Tensor) -> Tensor:
        return self.conv1(x)

    def fold(self) -> None:
        """Put each batch norm into the convolution before it, for evaluation."""
        self.fold_first()
        self.conv2 = fuse_conv_bn_eval(self.conv2, self.norm2)
        self.norm1 = self.norm2 = nn.Identity()
        if isinstance(self.shortcut, Projection):
            self.shortcut[0], self.shortcut[1] = fuse_conv_bn_eval(*self.shortcut), nn.Identity()

    def fold_first(self) -> None:
        self.conv1 = fuse_conv_bn_eval(self.conv1, self.norm1)


class ResNet(Network):
    """A 3x3 stem, no pooling at the start, basic blocks, the mean over all pixels and a linear layer."""

    def __init__(self, width: int, classes: int, blocks: Sequence[BasicBlock]):
        super().__init__()
        self.conv = conv3x3(3, width)
        self.norm = nn.BatchNorm2d(width)
        self.blocks = nn.ModuleList(blocks)
        self.linear = nn.Linear(blocks[-1].conv2.out_channels, classes)
        self.places = tuple(f"blocks.{place}" for place in range(len(blocks)))

    def forward(self, images: Tensor, hook: Hook | None = None) -> Tensor:
        x = F.relu(self.norm(self.conv(images)), inplace=True)
        for place, block in enumerate(self.blocks):
            x = block(x, hook, place)
        return self.linear(x.mean((2, 3)))

    def folded(self) -> ResNet:
        """A copy for evaluation, with each batch norm folded into the convolution before it."""
        network = copy.deepcopy(self).eval()
        network.conv, network.norm = fuse_conv_bn_eval(network.conv, network.norm), nn.Identity()
        for block in reversed(network.blocks):  # a convolution that a later block uses too is still as it was
            block.fold()
        return network
