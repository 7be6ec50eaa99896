"""The plain network of He et al. (2016, section 4.2) with 20 layers: ResNet-20 without its shortcuts in depth.

So that a shortcut through training time can be asked about where there is none through depth. A place is what a pair of
convolutions gives before its last ReLU, where a residual block would have its sum.
"""

from __future__ import annotations

from temporal_shortcuts.networks.parts.residual import ResNet
from temporal_shortcuts.networks.resnet20 import blocks


def build(width: int, classes: int) -> ResNet:
    return ResNet(width, classes, blocks(width, 3, shortcuts=False))
