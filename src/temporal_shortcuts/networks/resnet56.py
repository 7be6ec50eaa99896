"""ResNet-56 for CIFAR-10 (He et al., 2016, section 4.2): as ResNet-20, with nine blocks a stage.

Width 16 and 10 classes: 853,018 parameters.
"""

from __future__ import annotations

from temporal_shortcuts.networks.parts.residual import ResNet
from temporal_shortcuts.networks.resnet20 import blocks


def build(width: int, classes: int) -> ResNet:
    return ResNet(width, classes, blocks(width, 9))
