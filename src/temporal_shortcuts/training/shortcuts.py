"""Temporal shortcuts: what a residual block receives from its own past, and what it leaves for its future.

At each place of the network, with x a block's sum before the activation that follows: `x <- x + strength * carry`, and then x, detached
and with the carry in it, is what a later step can carry. The idea and the strength 0.05 are the published study's; what its code
did differently is `accounting: published` (see docs/method.md).

A kind is one class below and a line in study/kinds.py. The training loop calls, in this order,
`start` once when the kind becomes active, `start_epoch`, then for each full batch `start_batch` and the shortcut itself as the
network's hook, and `end_epoch`. Batches smaller than the rest are trained without it. `state` and `load` hold what must live on
in a checkpoint, within an epoch or across its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from temporal_shortcuts.networks.parts.network import Network
from temporal_shortcuts.training.numerics import generator

LAYOUT = torch.channels_last

PUBLISHED_DIVISOR = 80
"""The published code divides an epoch's sum by 80, the size of CIFAR-10's last batch, instead of its 390 full batches."""


class Shortcut:
    """The common part of all kinds. `recorded`: the sums of the epoch before the onset, for the kinds that need them."""

    carries = True
    """Whether blocks receive anything, so that an evaluation with the carry differs from one without."""
    stream = 0
    """Which of the seed's streams of order and augmentation the epochs draw from: 0 is every run's own."""

    def __init__(self, settings: Mapping[str, Any], seed: int):
        self.strength = float(settings.get("strength") or 0.0)
        self.settings = settings
        self.seed = seed
        self.kept: dict[str, Tensor] = {}

    def start(self, network: Network, recorded: Mapping[str, Tensor]) -> None:
        """The kind becomes active, before the first epoch after its onset."""

    def start_epoch(self, epoch: int) -> None:
        """An epoch begins; `epoch` counts the epochs completed before it."""
        self.epoch = epoch

    def start_batch(self, step: int) -> None:
        """A full batch begins; `step` counts from 0 in each epoch."""
        self.step = step

    def resume(self, epoch: int, step: int) -> None:
        """Go on within an epoch after `load`; `step` is that of the last full batch so far."""
        self.epoch, self.step = epoch, step

    def carry(self, place: int, x: Tensor) -> Tensor | None:
        """What the block at `place` receives: a tensor of the shape of x, or None."""
        return None

    def leave(self, place: int, x: Tensor) -> None:
        """What the block at `place` leaves: x `[N, C, H, W]`, detached, the carry included. Keep it, but do not change it."""

    def end_epoch(self) -> None:
        """An epoch ends, before its evaluation."""

    def __call__(self, place: int, x: Tensor) -> Tensor:
        x = self.with_carry(place, x)
        self.leave(place, x.detach())
        return x

    def with_carry(self, place: int, x: Tensor) -> Tensor:
        """x with the carry added, and nothing left: also how a network is evaluated with its carry left on."""
        carry = self.carry(place, x)
        if carry is None:
            return x
        return torch.add(x, carry[: len(x)], alpha=self.strength)

    def state(self) -> dict[str, Tensor]:
        return dict(self.kept)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` gave, in the memory layout that the network works in."""
        self.kept = {
            key: value.contiguous(memory_format=LAYOUT) if value.dim() == 4 else value for key, value in state.items()
        }


class Recorder(Shortcut):
    """Sums what each place leaves over an epoch's full batches and gives nothing back: the epoch before an onset."""

    carries = False

    def start_epoch(self, epoch: int) -> None:
        super().start_epoch(epoch)
        self.kept = {}

    def start_batch(self, step: int) -> None:
        super().start_batch(step)
        self.kept["count"] = self.kept.get("count", torch.zeros((), dtype=torch.int64)) + 1

    def leave(self, place: int, x: Tensor) -> None:
        _add(self.kept, f"sum.{place}", x)


class BatchRes(Shortcut):
    """`batch_res`: the block's output of the previous batch; none for an epoch's first batch."""

    def start_epoch(self, epoch: int) -> None:
        super().start_epoch(epoch)
        self.kept = {}

    def carry(self, place: int, x: Tensor) -> Tensor | None:
        return self.kept.get(str(place))

    def leave(self, place: int, x: Tensor) -> None:
        self.kept[str(place)] = x


class EpochRes(Shortcut):
    """`epoch_res`: the mean of the block's outputs over the full batches of the previous epoch; none while there is no such epoch.

    `accounting: published` divides by 80 instead of the number of batches and never resets the sum. (The published code takes the
    strength into the sum; here it multiplies the quotient, which is the same number but for rounding.)
    """

    def start(self, network: Network, recorded: Mapping[str, Tensor]) -> None:
        self.load(recorded)

    def start_epoch(self, epoch: int) -> None:
        super().start_epoch(epoch)
        published = self.settings["accounting"] == "published"
        sums = {key: value for key, value in self.kept.items() if key.startswith("sum.")}
        count = self.kept.get("count", torch.zeros((), dtype=torch.int64))
        divisor = PUBLISHED_DIVISOR if published else int(count)
        self.kept = {f"mean.{key.removeprefix('sum.')}": value / divisor for key, value in sums.items()}
        if published:
            self.kept |= sums | {"count": count}

    def start_batch(self, step: int) -> None:
        super().start_batch(step)
        self.kept["count"] = self.kept.get("count", torch.zeros((), dtype=torch.int64)) + 1

    def carry(self, place: int, x: Tensor) -> Tensor | None:
        return self.kept.get(f"mean.{place}")

    def leave(self, place: int, x: Tensor) -> None:
        _add(self.kept, f"sum.{place}", x)


class Shuffled(BatchRes):
    """`shuffled`, a control: the carry of `batch_res` with its rows permuted, so that no image meets the same predecessor everywhere."""

    rows: Tensor | None = None

    def start_batch(self, step: int) -> None:
        super().start_batch(step)
        self.rows = None

    def carry(self, place: int, x: Tensor) -> Tensor | None:
        carry = super().carry(place, x)
        if carry is None:
            return None
        if self.rows is None:
            self.rows = torch.randperm(len(carry), generator=generator(self.seed, "shuffled", self.epoch, self.step))
            self.rows = self.rows.to(carry.device)
        return carry[self.rows]


class Noise(BatchRes):
    """`noise`, a control: Gaussian noise with the mean and standard deviation that the carry of `batch_res` has in each channel."""

    def carry(self, place: int, x: Tensor) -> Tensor | None:
        carry = super().carry(place, x)
        if carry is None:
            return None
        deviation, mean = torch.std_mean(carry.float(), dim=(0, 2, 3), keepdim=True)
        n, c, h, w = carry.shape
        source = generator(self.seed, "noise", self.epoch, self.step, place)
        noise = torch.randn((n, h, w, c), generator=source).permute(0, 3, 1, 2).to(carry.device)
        return (noise * deviation + mean).to(carry.dtype)


class OneBit(Shortcut):
    """`one_bit`, the null arm: the lowest bit of one weight is flipped at the onset, and nothing else happens."""

    def start(self, network: Network, recorded: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            network.linear.weight.view(-1)[:1].view(torch.int32).bitwise_xor_(1)


class FreshOrder(Shortcut):
    """`fresh_order`, a null arm: from the onset on, order and augmentation are drawn from another stream, and nothing else happens.

    Two such runs of one seed differ in nothing but chance, by as much as two shortcuts do that change every step.
    """

    carries = False

    def __init__(self, settings: Mapping[str, Any], seed: int):
        super().__init__(settings, seed)
        self.stream = settings.get("stream", 1)


KINDS: dict[str, type[Shortcut]] = {
    "batch_res": BatchRes,
    "epoch_res": EpochRes,
    "shuffled": Shuffled,
    "noise": Noise,
    "one_bit": OneBit,
    "fresh_order": FreshOrder,
}


def make(settings: Mapping[str, Any], seed: int) -> Shortcut:
    """The temporal shortcut that the settings (kind, strength, accounting) declare."""
    return KINDS[settings["kind"]](settings, seed)


def _add(kept: dict[str, Tensor], key: str, x: Tensor) -> None:
    if key in kept:
        kept[key] += x
    else:
        kept[key] = x.to(torch.float32, copy=True)
