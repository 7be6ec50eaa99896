"""ResNet-18 as the published study has it, with two slips of its code; see `docs/method.md`.

In the last three stages the second block too has a 1x1 convolution as its shortcut, and in the last stage it convolves first
with the last convolution of the block before it, whose weights both uses train.
"""

from __future__ import annotations

from torch import Tensor
from torch.nn.utils import fuse_conv_bn_eval

from temporal_shortcuts.networks import resnet18
from temporal_shortcuts.networks.parts.residual import BasicBlock, Projection, ResNet


class Borrower(BasicBlock):
    """A block whose first convolution is the last one of another block."""

    def __init__(self, channels: int, owner: BasicBlock):
        super().__init__(channels, channels, 1, Projection(channels, channels, 1))
        del self.conv1
        self.borrowed = (owner.conv2,)  # in a tuple, so that its weights belong to one block only

    def first(self, x: Tensor) -> Tensor:
        return self.borrowed[0](x)

    def fold_first(self) -> None:
        self.borrowed = (fuse_conv_bn_eval(self.borrowed[0], self.norm1),)


def build(width: int, classes: int) -> ResNet:
    network = resnet18.build(width, classes)
    for place, channels in ((3, 2 * width), (5, 4 * width)):
        network.blocks[place].shortcut = Projection(channels, channels, 1)
    network.blocks[7] = Borrower(8 * width, network.blocks[6])
    return network
