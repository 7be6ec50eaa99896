"""ResNet-18 (He et al., "Deep Residual Learning for Image Recognition", 2016) in the shape used on CIFAR-10.

Four stages of two basic blocks, with 1, 2, 4 and 8 times `width` channels. Width 64 and 10 classes: 11,173,962 parameters.
"""

from __future__ import annotations

from torch import nn

from temporal_shortcuts.networks.parts.residual import BasicBlock, Projection, ResNet


def build(width: int, classes: int) -> ResNet:
    blocks = []
    inputs = width
    for stage, stride in enumerate((1, 2, 2, 2)):
        outputs = width * 2**stage
        shortcut = nn.Identity() if stride == 1 else Projection(inputs, outputs, stride)
        blocks += [BasicBlock(inputs, outputs, stride, shortcut), BasicBlock(outputs, outputs, 1, nn.Identity())]
        inputs = outputs
    return ResNet(width, classes, blocks)
