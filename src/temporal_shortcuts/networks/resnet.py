"""ResNet-18 for 32x32 images, by hand, at any width, with one hook before each residual block's last ReLU.

The network of He et al., "Deep Residual Learning for Image Recognition" (2016), in the shape used on CIFAR-10: a 3x3 stem,
no pooling at the start, four stages of two basic blocks. `resnet18_published` differs from it in the two ways in which the
published study's network does; see `docs/method.md`.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Hook = Callable[[int, Tensor], Tensor]
"""Called as hook(place, x) with place 0..7 and x `[N, C, H, W]`, a block's sum before its last ReLU; returns the sum to use."""

PLACES = 8
"""Residual blocks, and so places for a temporal shortcut."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: the identity, or a 1x1 convolution where the shape changes.

    `project` puts the 1x1 convolution there even where the shape does not change. `borrowed` is a convolution of another
    block, used in the place of the block's own first one; it is held in a tuple so that its weights belong to one block only.
    """

    def __init__(self, place: int, inputs: int, outputs: int, stride: int, project: bool, borrowed: nn.Conv2d | None):
        super().__init__()
        self.place = place
        if borrowed is None:
            self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.borrowed = () if borrowed is None else (borrowed,)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module | None = None
        if project or stride != 1 or inputs != outputs:
            # oneDNN's AVX2 kernel for strided 1x1 convolutions writes out of bounds where the channels are no multiple of 8
            self.every = stride if inputs % 8 else 1
            conv = nn.Conv2d(inputs, outputs, 1, stride // self.every, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor, hook: Hook | None = None) -> Tensor:
        conv1 = self.borrowed[0] if self.borrowed else self.conv1
        out = F.relu(self.norm1(conv1(x)), inplace=True)
        out = self.norm2(self.conv2(out))
        out += x if self.shortcut is None else self.shortcut(x[:, :, :: self.every, :: self.every])
        if hook is None:
            return F.relu(out, inplace=True)
        return F.relu(hook(self.place, out))  # not in place: the hook may keep what it was given


class ResNet18(nn.Module):
    """ResNet-18 for 32x32 images: `[N, 3, 32, 32]` -> logits `[N, classes]`. Width 64 and 10 classes: 11,173,962 parameters."""

    def __init__(self, width: int = 64, classes: int = 10, published: bool = False):
        super().__init__()
        self.conv = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)
        blocks: list[BasicBlock] = []
        inputs = width
        for stage, stride in enumerate((1, 2, 2, 2)):
            outputs = width * 2**stage
            blocks.append(BasicBlock(2 * stage, inputs, outputs, stride, False, None))
            borrowed = blocks[-1].conv2 if published and stage == 3 else None
            blocks.append(BasicBlock(2 * stage + 1, outputs, outputs, 1, published and stage > 0, borrowed))
            inputs = outputs
        self.blocks = nn.ModuleList(blocks)
        self.linear = nn.Linear(inputs, classes)

    def forward(self, images: Tensor, hook: Hook | None = None) -> Tensor:
        x = F.relu(self.norm(self.conv(images)), inplace=True)
        for block in self.blocks:
            x = block(x, hook)
        return self.linear(x.mean((2, 3)))


def build(model: str, width: int, classes: int, generator: torch.Generator) -> ResNet18:
    """The named network (`resnet18` or `resnet18_published`) with PyTorch's usual initial weights, drawn from `generator`."""
    network = ResNet18(width, classes, published=model == "resnet18_published")
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_uniform_(module.weight, a=5**0.5, generator=generator)
        if isinstance(module, nn.Linear):
            bound = module.in_features**-0.5
            nn.init.uniform_(module.bias, -bound, bound, generator=generator)
    return network
