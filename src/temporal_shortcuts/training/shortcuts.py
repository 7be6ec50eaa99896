"""Temporal shortcuts: what a residual block receives from its own past, and what it leaves for its future.

At each place of the network, with x a block's sum before the activation that follows: `x <- x + strength * carry`, and then x, detached
and with the carry in it, is what a later step can carry. The idea and the strength 0.05 are the published study's; what its code
did differently is `accounting: published` (see docs/method.md).

A kind is one class below and a line in study/kinds.py. The training loop calls, in this order,
`start` once when the kind becomes active, `start_epoch`, then for each full batch `start_batch`, the shortcut itself as the
network's hook, and `learn`; and `end_epoch`. Batches smaller than the rest are trained without it. `state` and `load` hold what must
live on in a checkpoint, within an epoch or across its end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from temporal_shortcuts.networks.parts.network import Network
from temporal_shortcuts.training.numerics import generator

LAYOUT = torch.channels_last

PUBLISHED_DIVISOR = 80
"""The published code divides an epoch's sum by 80, the size of CIFAR-10's last batch, instead of its 390 full batches."""
SMALLEST_DEVIATION = 1e-5
"""That a carry is divided by: a channel that does not vary stays what it is."""


@dataclass(frozen=True)
class Batch:
    """A full batch of N training images."""

    step: int
    """Its number, from 0 in each epoch."""
    chosen: Tensor
    """`[N]`: which training images it holds."""
    labels: Tensor
    """`[N]`: their classes."""
    images: int
    """How many training images there are."""


class Shortcut:
    """The common part of all kinds. `recorded`: the sums of the epoch before the onset, for the kinds that need them."""

    carries = True
    """Whether blocks receive anything in an evaluation with the carry, so that it differs from one without."""
    stream = 0
    """Which of the seed's streams of order and augmentation the epochs draw from: 0 is every run's own."""

    def __init__(self, settings: Mapping[str, Any], seed: int, places: int = 0):
        self.strength = float(settings.get("strength") or 0.0)
        self.settings = settings
        self.seed = seed
        self.places = places
        self.kept: dict[str, Tensor] = {}

    def start(self, network: Network, recorded: Mapping[str, Tensor]) -> None:
        """The kind becomes active, before the first epoch after its onset."""

    def start_epoch(self, epoch: int) -> None:
        """An epoch begins; `epoch` counts the epochs completed before it."""
        self.epoch = epoch

    def start_batch(self, batch: Batch) -> None:
        """A full batch begins."""
        self.step = batch.step

    def resume(self, epoch: int, step: int) -> None:
        """Go on within an epoch after `load`; `step` is that of the last full batch so far."""
        self.epoch, self.step = epoch, step

    def carry(self, place: int, x: Tensor) -> Tensor | None:
        """What the block at `place` receives: a tensor of the shape of x, or None."""
        return None

    def leave(self, place: int, x: Tensor) -> None:
        """What the block at `place` leaves: x `[N, C, H, W]`, detached, the carry included. Keep it, but do not change it."""

    def learn(self, rate: float, momentum: float) -> None:
        """A full batch ends, after the optimiser's step: of what the kind itself learns, take a step too."""

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
        return torch.add(x, carry[: len(x)], alpha=self.strength_now())

    def strength_now(self) -> float:
        """What the carry is multiplied by in this epoch."""
        return self.strength

    def state(self) -> dict[str, Tensor]:
        return dict(self.kept)

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Take up what `state` gave, in the memory layout that the network works in."""
        self.kept = {
            key: value.contiguous(memory_format=LAYOUT) if value.dim() == 4 else value for key, value in state.items()
        }


class Summing(Shortcut):
    """Sums what each place leaves over an epoch's full batches, in float32."""

    def start_batch(self, batch: Batch) -> None:
        super().start_batch(batch)
        self.kept["count"] = self.kept.get("count", torch.zeros((), dtype=torch.int64)) + 1

    def leave(self, place: int, x: Tensor) -> None:
        key = f"sum.{place}"
        if key in self.kept:
            self.kept[key] += x
        else:
            self.kept[key] = x.to(torch.float32, copy=True)


class Recorder(Summing):
    """Gives nothing back: the epoch before an onset."""

    carries = False

    def start_epoch(self, epoch: int) -> None:
        super().start_epoch(epoch)
        self.kept = {}


class BatchRes(Shortcut):
    """`batch_res`: the block's output of the previous batch; none for an epoch's first batch."""

    def start_epoch(self, epoch: int) -> None:
        super().start_epoch(epoch)
        self.kept = {}

    def carry(self, place: int, x: Tensor) -> Tensor | None:
        return self.kept.get(str(place))

    def leave(self, place: int, x: Tensor) -> None:
        self.kept[str(place)] = x


class EpochRes(Summing):
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

    def carry(self, place: int, x: Tensor) -> Tensor | None:
        return self.kept.get(f"mean.{place}")


# -- candidates: ways in which a shortcut might help after all (docs/method.md has the reason for each) ------------------------------


class Mixed(BatchRes):
    """`mixed`: a convex combination, x <- (1 - strength) x + strength * carry, so that x keeps the scale that it has without a carry."""

    def with_carry(self, place: int, x: Tensor) -> Tensor:
        carry = self.carry(place, x)
        return x if carry is None else torch.lerp(x, carry[: len(x)].to(x.dtype), self.strength)


class Centred(BatchRes):
    """`centred`: the carry of `batch_res` less its mean in each channel, so that it moves no channel's mean."""

    def carry(self, place: int, x: Tensor) -> Tensor | None:
        carry = super().carry(place, x)
        return None if carry is None else carry - carry.mean((0, 2, 3), keepdim=True)


class Matched(BatchRes):
    """`matched`: the carry of `batch_res`, brought to the mean and standard deviation that x has in each channel of this batch.

    These are detached too: no gradient flows through what is carried. In evaluation there is no carry: it would have the moments of the
    images that are evaluated together, which say of sorted ones what class they are.
    """

    carries = False

    def carry(self, place: int, x: Tensor) -> Tensor | None:
        carry = super().carry(place, x)
        if carry is None:
            return None
        deviation, mean = torch.std_mean(carry.float(), dim=(0, 2, 3), keepdim=True)
        own_deviation, own_mean = torch.std_mean(x.detach().float(), dim=(0, 2, 3), keepdim=True)
        return (carry - mean) / deviation.clamp(min=SMALLEST_DEVIATION) * own_deviation + own_mean


class Fading(BatchRes):
    """`fading`: `batch_res` with a strength that falls from epoch to epoch by equal steps, to 0 in the run's last.

    `fades` in its settings are the first and the last of its epochs (epochs completed before them).
    """

    def strength_now(self) -> float:
        first, last = self.settings["fades"]
        return self.strength * (last - self.epoch) / (last - first)


class SameClass(BatchRes):
    """`same_class`: each image receives the output of an image of its class in the previous batch, drawn anew for each batch.

    All places have the same partners; an image whose class was not in the previous batch receives nothing. In evaluation there
    is no carry, because it would need the label that is asked for.
    """

    carries = False

    def start_batch(self, batch: Batch) -> None:
        super().start_batch(batch)
        before, labels = self.kept.get("labels"), batch.labels.cpu()
        if before is not None:
            source = generator(self.seed, "same_class", self.epoch, self.step)
            drawn = torch.rand((len(labels), len(before)), generator=source)
            highest, partners = drawn.where(labels[:, None] == before.cpu(), -1.0).max(1)
            self.partners = partners.to(batch.labels.device)
            self.found = (highest >= 0).to(batch.labels.device).view(-1, 1, 1, 1)
        self.kept["labels"] = batch.labels

    def carry(self, place: int, x: Tensor) -> Tensor | None:
        carry = super().carry(place, x)
        return None if carry is None else carry[self.partners] * self.found


class OneBlock(BatchRes):
    """`one_block`: the carry of `batch_res` at one place, which is drawn anew for each batch."""

    def carry(self, place: int, x: Tensor) -> Tensor | None:
        carry = super().carry(place, x)
        source = generator(self.seed, "one_block", self.epoch, self.step)
        return carry if place == int(torch.randint(self.places, (), generator=source)) else None


class Learnt(BatchRes):
    """`learnt`: the carry of `batch_res` times a strength for each channel of each place, which begins at 0 and is learnt.

    By SGD at the run's rate and momentum, without weight decay. `kept` holds `strength.<place>` and `momentum.<place>`, `[C]` each.
    """

    def start_epoch(self, epoch: int) -> None:
        learnt = {key: value for key, value in self.kept.items() if "." in key}
        super().start_epoch(epoch)
        self.kept |= learnt

    def start_batch(self, batch: Batch) -> None:
        super().start_batch(batch)
        self.acting: dict[int, Tensor] = {}

    def with_carry(self, place: int, x: Tensor) -> Tensor:
        carry = self.carry(place, x)
        if carry is None:
            return x
        strength = self.kept.get(f"strength.{place}", x.new_zeros(x.shape[1], dtype=torch.float32))
        if torch.is_grad_enabled():
            strength = self.acting[place] = strength.detach().requires_grad_()
        return x + (strength.view(1, -1, 1, 1) * carry[: len(x)]).to(x.dtype)

    def learn(self, rate: float, momentum: float) -> None:
        for place, strength in self.acting.items():
            before = self.kept.get(f"momentum.{place}", torch.zeros_like(strength.grad))
            self.kept[f"momentum.{place}"] = momentum * before + strength.grad
            self.kept[f"strength.{place}"] = strength.detach() - rate * self.kept[f"momentum.{place}"]


class SameImage(Shortcut):
    """`same_image`: at the last two places, what the same training image left there when it last was in a full batch: an epoch before.

    Its first epoch leaves and carries nothing. What is kept takes memory: images x channels x height x width numbers a place. The
    image was cropped and mirrored otherwise then. In evaluation there is no carry, because no image of it was seen before.
    """

    carries = False

    def start_batch(self, batch: Batch) -> None:
        super().start_batch(batch)
        self.batch = batch

    def carry(self, place: int, x: Tensor) -> Tensor | None:
        left = self.kept.get(str(place))
        return None if left is None else left[self.batch.chosen].contiguous(memory_format=LAYOUT)

    def leave(self, place: int, x: Tensor) -> None:
        if place >= self.places - 2:
            shape = (self.batch.images, *x.shape[1:])
            if str(place) not in self.kept:
                self.kept[str(place)] = x.new_zeros(shape).contiguous(memory_format=LAYOUT)
            self.kept[str(place)][self.batch.chosen] = x


# -- controls and null arms --------------------------------------------------------------------------------------------


class Shuffled(BatchRes):
    """`shuffled`, a control: the carry of `batch_res` with its rows permuted, so that no image meets the same predecessor everywhere."""

    rows: Tensor | None = None

    def start_batch(self, batch: Batch) -> None:
        super().start_batch(batch)
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

    carries = False

    def start(self, network: Network, recorded: Mapping[str, Tensor]) -> None:
        with torch.no_grad():
            network.linear.weight.view(-1)[:1].view(torch.int32).bitwise_xor_(1)


class FreshOrder(Shortcut):
    """`fresh_order`, a null arm: from the onset on, order and augmentation are drawn from another stream, and nothing else happens.

    Two such runs of one seed differ in nothing but chance, by as much as two shortcuts do that change every step.
    """

    carries = False

    def __init__(self, settings: Mapping[str, Any], seed: int, places: int = 0):
        super().__init__(settings, seed, places)
        self.stream = settings.get("stream", 1)


def class_of(kind: str) -> type[Shortcut]:
    """The class of a kind of `study.kinds.KINDS`, which has its name: `same_class` is `SameClass`."""
    found: type[Shortcut] = globals()["".join(word.capitalize() for word in kind.split("_"))]
    return found


def make(settings: Mapping[str, Any], seed: int, places: int) -> Shortcut:
    """The temporal shortcut that the settings (kind, strength, accounting) declare, in a network of so many places."""
    return class_of(settings["kind"])(settings, seed, places)
