"""The running mean of a run's weights, and batch-norm statistics re-estimated: what a network is worth without the noise of
its last steps.

Averaging the weights over the last epochs is stochastic weight averaging (Izmailov et al., 2018) at the learning rate that the run
has; estimating the statistics again for given weights is what they call `bn_update`, and Wu and Johnson (2021) PreciseBN. Neither
changes a step of training.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

Network = TypeVar("Network", bound=nn.Module)


class WeightAverage:
    """Sums of a network's parameters and batch-norm statistics over epochs, in float64, so that their order does not matter."""

    def __init__(self) -> None:
        self.sums: dict[str, Tensor] = {}

    def add(self, network: nn.Module) -> None:
        """Add the weights as they stand. `num_batches_tracked` is summed with them and means nothing in the mean."""
        for name, tensor in network.state_dict().items():
            value = tensor.to(torch.float64, copy=True)
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def mean_of(self, network: Network, count: int) -> Network:
        """A copy of the network with the mean of the `count` weights that were added, statistics included."""
        averaged = copy.deepcopy(network)
        like = network.state_dict()
        averaged.load_state_dict({name: (value / count).to(like[name].dtype) for name, value in self.sums.items()})
        return averaged

    def state(self) -> dict[str, Tensor]:
        return dict(self.sums)

    def load(self, state: Mapping[str, Tensor]) -> None:
        self.sums = dict(state)


def re_estimated(network: Network, batches: Iterable[Tensor]) -> Network:
    """A copy of the network whose batch-norm statistics are the mean over `batches` of images `[B, 3, H, W]`, without any carry."""
    network = copy.deepcopy(network)
    update_bn(batches, network)
    return network
