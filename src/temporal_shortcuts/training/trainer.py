"""A run's network, optimizer and batches, an epoch of training, and the state that holds all that the next epoch needs.

Random crop and flip, cross entropy, and by default SGD with momentum at a cosine schedule's rate: the published protocol
(docs/method.md). Everything random about epoch e is drawn from (seed, purpose, e), so a state needs no generator.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from temporal_shortcuts import networks
from temporal_shortcuts.data.images import Images
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.networks.parts.network import Network
from temporal_shortcuts.study import Segment
from temporal_shortcuts.study.columns import AVERAGED, EACH_EPOCH, WITH_CARRY
from temporal_shortcuts.study.declared import Protocol, Settings
from temporal_shortcuts.study.schedules import learning_rate
from temporal_shortcuts.training import numerics, optimization, shortcuts
from temporal_shortcuts.training.averaging import WeightAverage, re_estimated

MEAN = (0.4914, 0.4822, 0.4465)
DEVIATION = (0.2023, 0.1994, 0.2010)
EVALUATION_BATCH = 250


class Batches:
    """Images and labels on the device, and their order and augmentation in each epoch, as whole-batch tensor operations."""

    def __init__(self, images: Images, settings: Settings, seed: int, device: torch.device):
        self.train = _pixels(images.train_images, device)
        self.train_labels = _labels(images.train_labels, device)
        self.test = _pixels(images.test_images, device)
        self.test_labels = _labels(images.test_labels, device)
        self.classes = images.classes
        self.size = settings.batch_size
        self.padding = settings.augmentation.crop_padding
        self.flip = settings.augmentation.flip
        self.seed = seed
        self.height, self.width = images.train_images.shape[2:]
        self.mean, self.deviation = images.mean or MEAN, images.deviation or DEVIATION
        deviation = torch.tensor(self.deviation).repeat(self.width)
        self.scale = (1 / (255 * deviation)).to(device)
        self.shift = (-torch.tensor(self.mean).repeat(self.width) / deviation).to(device)
        self.here = torch.arange(self.size, device=device)
        self.steps = math.ceil(len(self.train) / self.size)

    def start_epoch(self, epoch: int, stream: int = 0) -> None:
        """Draw the epoch's order, crops and flips: for CPU and GPU the same, from (seed, "order", epoch) and (seed, "augment", epoch).

        Another `stream` draws them independently.
        """
        n, device = len(self.train), self.train.device
        when = (epoch, "stream", stream) if stream else (epoch,)
        self.order = torch.randperm(n, generator=numerics.generator(self.seed, "order", *when)).to(device)
        source = numerics.generator(self.seed, "augment", *when)
        self.corners = torch.randint(0, 2 * self.padding + 1, (2, n), generator=source).to(device)
        self.mirrored = torch.randint(0, 2 if self.flip else 1, (n,), generator=source).bool().to(device)

    def training_batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Batch `step` of the epoch: normalised float images `[B, 3, 32, 32]` in channels_last, and labels `[B]`."""
        rows = slice(step * self.size, (step + 1) * self.size)
        chosen, p = self.order[rows], self.padding
        padded = F.pad(self.train.index_select(0, chosen), (3 * p, 3 * p, p, p))
        windows = padded.unfold(1, self.height, 1).unfold(2, 3 * self.width, 3)  # [B, corner, corner, H, W * 3], a view
        cropped = windows[self.here[: len(chosen)], self.corners[0, rows], self.corners[1, rows]]
        if self.flip:
            flipped = cropped.unflatten(2, (self.width, 3)).flip(2).flatten(2)
            cropped = torch.where(self.mirrored[rows, None, None], flipped.view(torch.int64), cropped.view(torch.int64))
        return self._normalise(cropped.view(torch.uint8)), self.train_labels[chosen]

    def described(self, step: int) -> shortcuts.Batch:
        """What a temporal shortcut may know of batch `step`."""
        chosen = self.order[step * self.size : (step + 1) * self.size]
        return shortcuts.Batch(step, chosen, self.train_labels[chosen], len(self.train))

    def test_batch(self, start: int, size: int) -> Tensor:
        return self._normalise(self.test[start : start + size])

    def _normalise(self, pixels: Tensor) -> Tensor:
        """uint8 `[B, H, W * 3]` -> normalised float `[B, 3, H, W]` in channels_last; one flat row of channels is quick to go through."""
        rows = torch.addcmul(self.shift, pixels.float(), self.scale)
        return rows.unflatten(2, (self.width, 3)).permute(0, 3, 1, 2)


class Trainer:
    """A run between two epochs: network, optimiser, temporal shortcut, and the rows of its record so far."""

    def __init__(self, segment: Segment, images: Images, device: torch.device):
        self.segment, self.device = segment, device
        self.settings = Protocol.model_validate(dict(segment.settings))  # what a later version added is at its default
        self.batches = Batches(images, self.settings, segment.seed, device)
        source = numerics.generator(segment.seed, "init")
        network = networks.build(self.settings.model, self.settings.width, len(self.batches.classes), source)
        self.network = network.to(device, memory_format=torch.channels_last)
        self.forward = self.network
        if self.settings.compile:
            torch.use_deterministic_algorithms(True)  # numerics.prepare has told torch; this tells the compiler too
            self.forward = torch.compile(self.network)
        self.parameters = dict(self.network.named_parameters())
        self.optimizer = optimization.make(self.parameters, self.settings)
        self.epoch, self.step = 0, 0
        self.loss = torch.zeros((), dtype=torch.float64, device=device)
        self.right = torch.zeros((), dtype=torch.int64, device=device)
        self.rows: list[dict[str, float]] = []
        self.initial = weights_hash(self.network)
        self.environments: list[dict[str, Any]] = []
        self.forced = False
        self.shortcut: shortcuts.Shortcut | None = None
        self.recorded: dict[str, Tensor] = {}
        self.average = WeightAverage()
        self.last_right: Tensor | None = None

    # -- an epoch ------------------------------------------------------------------------------------------------------

    def train_epoch(self, between: Callable[[], None] = lambda: None) -> None:
        """Train from the current step to the end of the epoch, evaluate, and add a row. `between` is called after each step."""
        if self.step == 0:
            self._start_epoch()
        elif self.shortcut is not None:
            self.shortcut.resume(self.epoch, min(self.step, len(self.batches.train) // self.batches.size) - 1)
        self.batches.start_epoch(self.epoch, 0 if self.shortcut is None else self.shortcut.stream)
        self.network.train()
        while self.step < self.batches.steps:
            self._train_step()
            self.step += 1
            if self.step < self.batches.steps:
                between()
        if self.shortcut is not None:
            self.shortcut.end_epoch()
        self._end_epoch()

    def _start_epoch(self) -> None:
        """Make the shortcut of this epoch: the declared one from its onset on, a recorder in an epoch whose sums may be needed."""
        self.loss.zero_()
        self.right.zero_()
        declared = self.segment.shortcut_at(self.epoch)
        if declared is None:
            ends = self.epoch + 1 == self.segment.stop and not self.segment.final
            following = self.segment.shortcut_at(self.epoch + 1)
            records = ends or (following is not None and self.epoch + 1 < self.segment.stop)
            self.shortcut = shortcuts.Recorder({}, self.segment.seed) if records else None
        elif self.shortcut is None or isinstance(self.shortcut, shortcuts.Recorder):
            self.shortcut = shortcuts.make(declared, self.segment.seed, len(self.network.places))
            self.shortcut.start(self.network, self.recorded)
        if self.shortcut is not None:
            self.shortcut.start_epoch(self.epoch)

    def _train_step(self) -> None:
        images, labels = self.batches.training_batch(self.step)
        full = len(images) == self.batches.size
        hook = self.shortcut if full else None
        if hook is not None:
            hook.start_batch(self.batches.described(self.step))
        for parameter in self.parameters.values():
            parameter.grad = None
        with self._autocast():
            logits = self.forward(images, hook)
            loss = F.cross_entropy(logits, labels, label_smoothing=self.settings.label_smoothing)
        loss.backward()
        rate = learning_rate(self.settings, self.epoch)
        self.optimizer.step(rate)
        if hook is not None:
            hook.learn(rate, self.settings.momentum)
        self.loss += loss.detach().double() * len(images)
        self.right += (logits.detach().argmax(1) == labels).sum()

    def _end_epoch(self) -> None:
        n = len(self.batches.train)
        train_loss = float(self.loss) / n
        test_loss, right = self.evaluate()
        self.last_right = right
        row = {
            "epoch": self.epoch + 1,
            "learning_rate": learning_rate(self.settings, self.epoch),
            "train_loss": train_loss if math.isfinite(train_loss) else math.nan,
            "train_accuracy": int(self.right) / n,
            "test_loss": test_loss,
            "test_accuracy": _share(right),
        }
        if self.settings.evaluate_with_carry and self._evaluates_extra():
            row[WITH_CARRY] = self._accuracy_with_carry(self.network, row["test_accuracy"])
        if self._averages():
            self.average.add(self.network)
            row |= self._evaluate_average() if self._evaluates_extra() else {}
        self.rows.append(row)
        self.recorded = self.shortcut.state() if isinstance(self.shortcut, shortcuts.Recorder) else {}
        self.epoch, self.step = self.epoch + 1, 0

    def diverged(self) -> bool:
        """Whether the training loss has stopped being finite; there is nothing to train any more then."""
        return bool(self.rows) and math.isnan(self.rows[-1]["train_loss"])

    def stand_still(self) -> None:
        """An epoch of a diverged run: the row of the last one again, with no step taken, and no weights whose mean is anything else."""
        before = self.rows[-1]
        row = {key: value for key, value in before.items() if key not in (WITH_CARRY, *AVERAGED)}
        row |= {"epoch": self.epoch + 1, "learning_rate": learning_rate(self.settings, self.epoch)}
        if self._evaluates_extra():
            extra = {WITH_CARRY: before.get(WITH_CARRY, row["test_accuracy"])}
            for key in AVERAGED if self._averages() else ():
                if self._is_last() or key in EACH_EPOCH:
                    extra[key] = row["test_accuracy" if "accuracy" in key else "test_loss"]
            carries = self.settings.evaluate_with_carry
            row |= {key: value for key, value in extra.items() if carries or "carry" not in key}
        self.rows.append(row)
        self.epoch += 1

    # -- averaged weights ----------------------------------------------------------------------------------------------

    def _averages(self) -> bool:
        """Whether this epoch's weights, as they stand at its end, are part of the mean."""
        first = self.segment.trajectory.average_from
        return first is not None and self.epoch + 1 >= first

    def _evaluates_extra(self) -> bool:
        """Whether this epoch is one of those in which more is evaluated than the network as it is."""
        return self._is_last() or self.settings.extra_evaluations == "each_epoch"

    def _is_last(self) -> bool:
        return self.segment.final and self.epoch + 1 == self.segment.stop

    @torch.no_grad()
    def _evaluate_average(self) -> dict[str, float]:
        """Evaluate the mean of the weights; at the run's last epoch also in the ways that `AVERAGED` names."""
        averaged = self.average.mean_of(self.network, self.epoch + 2 - self.segment.trajectory.average_from)
        loss, right = self.evaluate(averaged)
        row = {"averaged_test_loss": loss, "averaged_test_accuracy": _share(right)}
        if self._is_last():
            with self._autocast():
                estimated = [re_estimated(network, self._full_batches()) for network in (averaged, self.network)]
            accuracies = [_share(self.evaluate(network)[1]) for network in estimated]
            row["averaged_re_estimated_test_accuracy"], row["re_estimated_test_accuracy"] = accuracies
            if self.settings.evaluate_with_carry:
                without = row["averaged_test_accuracy"]
                row["averaged_test_accuracy_with_carry"] = self._accuracy_with_carry(averaged, without)
        return row

    def _full_batches(self) -> Iterator[Tensor]:
        """The training images once, in the order and augmentation that the next epoch would have; full batches, if there are any."""
        self.batches.start_epoch(self.epoch + 1)
        for step in range(max(1, len(self.batches.train) // self.batches.size)):
            yield self.batches.training_batch(step)[0]

    # -- evaluation ----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def evaluate(self, network: Network | None = None) -> tuple[float, Tensor]:
        """Mean test loss, and which test images are right, `[N]` bool on the CPU. Changes no state of the run.

        By the network's own form for evaluation (`folded`). Logits that are not finite count as zero, so that a network that has
        diverged says class 0 to everything: chance, on a balanced test set.
        """
        network = (self.network if network is None else network).folded()
        loss, right = 0.0, []
        for logits, labels in self._answers(network, EVALUATION_BATCH):
            loss += float(F.cross_entropy(logits, labels, reduction="sum").double())
            right.append(_is_right(logits, labels))
        return loss / len(self.batches.test), torch.cat(right).cpu()

    @torch.no_grad()
    def _accuracy_with_carry(self, network: Network, without: float) -> float:
        """Test accuracy with the carry of the epoch's training left on, row by row of the batch; `without` where there is none."""
        if self.shortcut is None or not self.shortcut.carries:
            return without
        answers = self._answers(partial(network.eval(), hook=self.shortcut.with_carry), self.batches.size)
        return _share(torch.cat([_is_right(logits, labels) for logits, labels in answers]))

    def _answers(self, network: Callable[[Tensor], Tensor], size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Logits and labels of the test images, so many at a time."""
        for start in range(0, len(self.batches.test), size):
            with self._autocast():
                logits = network(self.batches.test_batch(start, size)).float()
            yield logits, self.batches.test_labels[start : start + size]

    def _autocast(self) -> Any:
        if self.settings.precision == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    # -- state ---------------------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that the rest of the run depends on: tensors and facts, of a moment after a step or an epoch."""
        parts = {
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state(),
            "average": self.average.state(),
        }
        if isinstance(self.shortcut, shortcuts.Recorder) and self.step == 0:
            parts["recorded"] = self.recorded
        elif self.shortcut is not None:
            parts["shortcut"] = self.shortcut.state()
        tensors = {f"{part}.{name}": tensor for part, own in parts.items() for name, tensor in own.items()}
        facts = {
            "fingerprint": self.segment.fingerprint_at(self.epoch),
            "epoch": self.epoch,
            "step": self.step,
            "loss": float(self.loss).hex(),
            "right": int(self.right),
            "rows": self.rows,
            "initial": self.initial,
            "network": self._described(),
            "environments": self.environments,
            "forced": self.forced,
            "shortcut": None if self.shortcut is None else type(self.shortcut).__name__,
        }
        return tensors, facts

    def _described(self) -> dict[str, Any]:
        """What builds the network again, brings images to what it was trained on, and says what its outputs mean."""
        batches = self.batches
        shape = {"model": self.settings.model, "width": self.settings.width, "classes": len(batches.classes)}
        names = {"class_names": list(batches.classes)}
        return shape | names | {"mean": list(batches.mean), "deviation": list(batches.deviation)}

    def load(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Take up a state of this run; raises `UserError` if it is one of another."""
        if facts["fingerprint"] != self.segment.fingerprint_at(facts["epoch"]):
            raise UserError(
                f"a state found for {self.segment.state} belongs to another run ({facts['fingerprint']}): delete that file "
                "from the work folder and run the same command again."
            )
        parts: dict[str, dict[str, Tensor]] = {
            part: {} for part in ("network", "optimizer", "recorded", "shortcut", "average")
        }
        for key, tensor in tensors.items():
            part, name = key.split(".", 1)
            parts[part][name] = tensor if name == "count" else tensor.to(self.device)
        self.network.load_state_dict(parts["network"])
        self.optimizer.load(parts["optimizer"])
        self.epoch, self.step, self.rows = facts["epoch"], facts["step"], list(facts["rows"])
        self.loss.fill_(float.fromhex(facts["loss"]))
        self.right.fill_(facts["right"])
        self.initial, self.environments, self.forced = facts["initial"], list(facts["environments"]), facts["forced"]
        self.recorded = parts["recorded"]
        self.average.load(parts["average"])
        self.shortcut = self._shortcut_of(facts, parts["shortcut"])

    def _shortcut_of(self, facts: Mapping[str, Any], state: Mapping[str, Tensor]) -> shortcuts.Shortcut | None:
        """The shortcut as it stood, within an epoch or at the end of one."""
        if facts["shortcut"] is None:
            return None
        declared = self.segment.shortcut_at(self.epoch if self.step else self.epoch - 1)
        shortcut = (
            shortcuts.Recorder({}, self.segment.seed)
            if declared is None
            else shortcuts.make(declared, self.segment.seed, len(self.network.places))
        )
        shortcut.load(state)
        return shortcut


def weights_hash(network: torch.nn.Module) -> str:
    """sha256 over names, shapes and bytes of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def _is_right(logits: Tensor, labels: Tensor) -> Tensor:
    return torch.nan_to_num(logits, 0.0, 0.0, 0.0).argmax(1) == labels


def _share(right: Tensor) -> float:
    return int(right.sum()) / len(right)


def _pixels(images: np.ndarray, device: torch.device) -> Tensor:
    """`[N, 3, H, W]` uint8 -> a tensor `[N, H, W * 3]` on the device: batches cut from it are channels_last without a copy."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 2, 3, 1))).flatten(2).to(device)


def _labels(labels: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(labels, dtype=np.int64)).to(device)
