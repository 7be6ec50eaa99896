"""The one loop over epochs: train a segment of a run, save its state as it goes, and end with the state that it declares.

SGD with momentum, a cosine schedule with a horizon of its own, random crop and flip, cross entropy: the published protocol
(docs/method.md). Everything random about epoch e is drawn from (seed, purpose, e), so a state needs no generator.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.nn.utils import fuse_conv_bn_eval
from torch.optim.sgd import sgd

from temporal_shortcuts import numerics, resnet, shortcuts
from temporal_shortcuts.checkpoints import Damaged, Progress, lock, read_state, write_atomically, write_state
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.images import Images
from temporal_shortcuts.study import Segment

MEAN = (0.4914, 0.4822, 0.4465)
DEVIATION = (0.2023, 0.1994, 0.2010)
EVALUATION_BATCH = 250

Say = Callable[[str], None]


def learning_rate(settings: Mapping[str, Any], epoch: int) -> float:
    """The rate of an epoch (`epoch` completed before it): cosine annealing from `learning_rate` to 0 at `schedule_epochs`."""
    return 0.5 * settings["learning_rate"] * (1.0 + math.cos(math.pi * epoch / settings["schedule_epochs"]))


class Batches:
    """Images and labels on the device, and their order and augmentation in each epoch, as whole-batch tensor operations."""

    def __init__(self, images: Images, settings: Mapping[str, Any], seed: int, device: torch.device):
        self.train = _pixels(images.train_images, device)
        self.train_labels = _labels(images.train_labels, device)
        self.test = _pixels(images.test_images, device)
        self.test_labels = _labels(images.test_labels, device)
        self.classes = len(images.classes)
        self.size = settings["batch_size"]
        self.padding = settings["augmentation"]["crop_padding"]
        self.flip = settings["augmentation"]["flip"]
        self.seed = seed
        self.height, self.width = images.train_images.shape[2:]
        deviation = torch.tensor(DEVIATION).repeat(self.width)
        self.scale = (1 / (255 * deviation)).to(device)
        self.shift = (-torch.tensor(MEAN).repeat(self.width) / deviation).to(device)
        self.here = torch.arange(self.size, device=device)
        self.steps = math.ceil(len(self.train) / self.size)

    def start_epoch(self, epoch: int) -> None:
        """Draw the epoch's order, crops and flips: for CPU and GPU the same, from (seed, "order", epoch) and (seed, "augment", epoch)."""
        n, device = len(self.train), self.train.device
        self.order = torch.randperm(n, generator=numerics.generator(self.seed, "order", epoch)).to(device)
        source = numerics.generator(self.seed, "augment", epoch)
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

    def test_batch(self, start: int, size: int) -> Tensor:
        return self._normalise(self.test[start : start + size])

    def _normalise(self, pixels: Tensor) -> Tensor:
        """uint8 `[B, H, W * 3]` -> normalised float `[B, 3, H, W]` in channels_last; one flat row of channels is quick to go through."""
        rows = torch.addcmul(self.shift, pixels.float(), self.scale)
        return rows.unflatten(2, (self.width, 3)).permute(0, 3, 1, 2)


class Trainer:
    """A run between two epochs: network, optimiser, temporal shortcut, and the rows of its record so far."""

    def __init__(self, segment: Segment, images: Images, device: torch.device):
        self.segment, self.settings, self.device = segment, segment.settings, device
        self.batches = Batches(images, self.settings, segment.seed, device)
        source = numerics.generator(segment.seed, "init")
        network = resnet.build(self.settings["model"], self.settings["width"], self.batches.classes, source)
        self.network = network.to(device, memory_format=torch.channels_last)
        self.forward = self.network
        if self.settings["compile"]:
            torch.use_deterministic_algorithms(True)  # numerics.prepare has told torch; this tells the compiler too
            self.forward = torch.compile(self.network)
        self.parameters = dict(self.network.named_parameters())
        self.momentum: list[Tensor | None] = [None] * len(self.parameters)
        self.epoch, self.step = 0, 0
        self.loss = torch.zeros((), dtype=torch.float64, device=device)
        self.right = torch.zeros((), dtype=torch.int64, device=device)
        self.rows: list[dict[str, float]] = []
        self.initial = weights_hash(self.network)
        self.environments: list[dict[str, Any]] = []
        self.forced = False
        self.shortcut: shortcuts.Shortcut | None = None
        self.recorded: dict[str, Tensor] = {}
        self.last_right: Tensor | None = None

    # -- an epoch ------------------------------------------------------------------------------------------------------

    def train_epoch(self, between: Callable[[], None] = lambda: None) -> None:
        """Train from the current step to the end of the epoch, evaluate, and add a row. `between` is called after each step."""
        if self.step == 0:
            self._start_epoch()
        elif self.shortcut is not None:
            self.shortcut.resume(self.epoch, min(self.step, len(self.batches.train) // self.batches.size) - 1)
        self.batches.start_epoch(self.epoch)
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
            self.shortcut = shortcuts.make(declared, self.segment.seed)
            self.shortcut.start(self.network, self.recorded)
        if self.shortcut is not None:
            self.shortcut.start_epoch(self.epoch)

    def _train_step(self) -> None:
        images, labels = self.batches.training_batch(self.step)
        full = len(images) == self.batches.size
        hook = self.shortcut if full else None
        if hook is not None:
            hook.start_batch(self.step)
        for parameter in self.parameters.values():
            parameter.grad = None
        with self._autocast():
            logits = self.forward(images, hook)
            loss = F.cross_entropy(logits, labels)
        loss.backward()
        self._update()
        self.loss += loss.detach().double() * len(images)
        self.right += (logits.detach().argmax(1) == labels).sum()

    @torch.no_grad()
    def _update(self) -> None:
        """A step of SGD with momentum; `torch.optim.SGD` does the same, but imports the compiler first: two seconds a job."""
        sgd(
            list(self.parameters.values()),
            [parameter.grad for parameter in self.parameters.values()],
            self.momentum,
            fused=True,
            lr=learning_rate(self.settings, self.epoch),
            momentum=self.settings["momentum"],
            weight_decay=self.settings["weight_decay"],
            dampening=0.0,
            nesterov=False,
            maximize=False,
        )

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
            "test_accuracy": int(right.sum()) / len(right),
        }
        if self.settings["evaluate_with_carry"]:
            row["test_accuracy_with_carry"] = self._accuracy_with_carry(row["test_accuracy"])
        self.rows.append(row)
        self.recorded = self.shortcut.state() if isinstance(self.shortcut, shortcuts.Recorder) else {}
        self.epoch, self.step = self.epoch + 1, 0

    def diverged(self) -> bool:
        """Whether the training loss has stopped being finite; there is nothing to train any more then."""
        return bool(self.rows) and math.isnan(self.rows[-1]["train_loss"])

    def stand_still(self) -> None:
        """An epoch of a diverged run: the row of the last one again, with no step taken."""
        self.rows.append(
            self.rows[-1] | {"epoch": self.epoch + 1, "learning_rate": learning_rate(self.settings, self.epoch)}
        )
        self.epoch += 1

    # -- evaluation ----------------------------------------------------------------------------------------------------

    @torch.no_grad()
    def evaluate(self) -> tuple[float, Tensor]:
        """Mean test loss, and which test images are right, `[N]` bool on the CPU. Changes no state of the run.

        The batch norms are folded into their convolutions. Logits that are not finite count as zero, so that a network that has
        diverged says class 0 to everything: chance, on a balanced test set.
        """
        network = folded(self.network)
        loss, right = 0.0, []
        for start in range(0, len(self.batches.test), EVALUATION_BATCH):
            with self._autocast():
                logits = network(self.batches.test_batch(start, EVALUATION_BATCH)).float()
            labels = self.batches.test_labels[start : start + EVALUATION_BATCH]
            loss += float(F.cross_entropy(logits, labels, reduction="sum").double())
            right.append(torch.nan_to_num(logits, 0.0, 0.0, 0.0).argmax(1) == labels)
        return loss / len(self.batches.test), torch.cat(right).cpu()

    @torch.no_grad()
    def _accuracy_with_carry(self, without: float) -> float:
        """Test accuracy with the carry of the epoch's training left on, row by row of the batch; `without` where there is none."""
        if self.shortcut is None or isinstance(self.shortcut, shortcuts.Recorder):
            return without
        self.network.eval()
        right = 0
        for start in range(0, len(self.batches.test), self.batches.size):
            with self._autocast():
                logits = self.network(
                    self.batches.test_batch(start, self.batches.size), self.shortcut.with_carry
                ).float()
            labels = self.batches.test_labels[start : start + self.batches.size]
            right += int((torch.nan_to_num(logits, 0.0, 0.0, 0.0).argmax(1) == labels).sum())
        return right / len(self.batches.test)

    def _autocast(self) -> Any:
        if self.settings["precision"] == "bf16":
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()

    # -- state ---------------------------------------------------------------------------------------------------------

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that the rest of the run depends on: tensors and facts, of a moment after a step or an epoch."""
        tensors = {f"network.{name}": tensor for name, tensor in self.network.state_dict().items()}
        moved = zip(self.parameters, self.momentum, strict=True)
        tensors |= {f"momentum.{name}": buffer for name, buffer in moved if buffer is not None}
        if isinstance(self.shortcut, shortcuts.Recorder) and self.step == 0:
            tensors |= {f"recorded.{name}": tensor for name, tensor in self.recorded.items()}
        elif self.shortcut is not None:
            tensors |= {f"shortcut.{name}": tensor for name, tensor in self.shortcut.state().items()}
        facts = {
            "fingerprint": self.segment.fingerprint_at(self.epoch),
            "epoch": self.epoch,
            "step": self.step,
            "loss": float(self.loss).hex(),
            "right": int(self.right),
            "rows": self.rows,
            "initial": self.initial,
            "environments": self.environments,
            "forced": self.forced,
            "shortcut": None if self.shortcut is None else type(self.shortcut).__name__,
        }
        return tensors, facts

    def load(self, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
        """Take up a state of this run; raises `UserError` if it is one of another."""
        if facts["fingerprint"] != self.segment.fingerprint_at(facts["epoch"]):
            raise UserError(
                f"a state found for {self.segment.state} belongs to another run ({facts['fingerprint']}): delete that file "
                "from the work folder and run the same command again."
            )
        parts: dict[str, dict[str, Tensor]] = {"network": {}, "momentum": {}, "recorded": {}, "shortcut": {}}
        for key, tensor in tensors.items():
            part, name = key.split(".", 1)
            parts[part][name] = tensor if name == "count" else tensor.to(self.device)
        self.network.load_state_dict(parts["network"])
        for index, (name, parameter) in enumerate(self.parameters.items()):
            if name in parts["momentum"]:
                self.momentum[index] = torch.empty_like(parameter).copy_(parts["momentum"][name])
        self.epoch, self.step, self.rows = facts["epoch"], facts["step"], list(facts["rows"])
        self.loss.fill_(float.fromhex(facts["loss"]))
        self.right.fill_(facts["right"])
        self.initial, self.environments, self.forced = facts["initial"], list(facts["environments"]), facts["forced"]
        self.recorded = parts["recorded"]
        self.shortcut = self._shortcut_of(facts, parts["shortcut"])

    def _shortcut_of(self, facts: Mapping[str, Any], state: Mapping[str, Tensor]) -> shortcuts.Shortcut | None:
        """The shortcut as it stood, within an epoch or at the end of one."""
        if facts["shortcut"] is None:
            return None
        declared = self.segment.shortcut_at(self.epoch if self.step else self.epoch - 1)
        shortcut = (
            shortcuts.Recorder({}, self.segment.seed)
            if declared is None
            else shortcuts.make(declared, self.segment.seed)
        )
        shortcut.load(state)
        return shortcut


def folded(network: resnet.ResNet18) -> resnet.ResNet18:
    """A copy of the network for evaluation, with each batch norm folded into the convolution before it."""
    network = copy.deepcopy(network).eval()
    identity = torch.nn.Identity()
    network.conv, network.norm = fuse_conv_bn_eval(network.conv, network.norm), identity
    for block in network.blocks:
        if block.borrowed:
            block.borrowed = (fuse_conv_bn_eval(block.borrowed[0], block.norm1),)
    for block in network.blocks:
        if not block.borrowed:
            block.conv1 = fuse_conv_bn_eval(block.conv1, block.norm1)
        block.conv2 = fuse_conv_bn_eval(block.conv2, block.norm2)
        block.norm1 = block.norm2 = identity
        if block.shortcut is not None:
            block.shortcut = torch.nn.Sequential(fuse_conv_bn_eval(*block.shortcut))
    return network


# -- a segment ---------------------------------------------------------------------------------------------------------


def train_segment(
    segment: Segment,
    images: Images,
    work: Path,
    parent: Path | None,
    output: Path,
    *,
    force: bool = False,
    checkpoint_minutes: float = 5.0,
    say: Say = print,
) -> None:
    """Train a segment and write its state to `output`; go on from where a killed job of the same segment left off.

    `parent` is the state that the segment starts from, None for epoch 0. `force` goes on from a state that another numeric
    environment made (and marks the record). Raises `UserError` when a state does not fit.
    """
    device = numerics.prepare(segment.settings["device"], segment.settings["precision"])
    here = numerics.environment(device, segment.settings["instruction_set"], segment.settings["precision"])
    folder = work / "segments" / output.stem
    with lock(folder / "lock", say):
        progress = Progress(folder)
        if _is_whole(output, say):
            say(f"{output} is already there")
            progress.clear()
            return
        trainer = Trainer(segment, images, device)
        found = progress.newest(say)
        if found is not None:
            say(f"going on from epoch {found[1]['epoch']}, step {found[1]['step']}")
        elif parent is not None:
            found = _read_parent(parent)
        if found is not None:
            trainer.load(*found)
        _admit(trainer, here, force)
        _train(trainer, progress, work, checkpoint_minutes, say)
        tensors, facts = trainer.state()
        if segment.final:
            right = trainer.evaluate()[1] if trainer.last_right is None else trainer.last_right
            facts |= {
                "final": weights_hash(trainer.network),
                "correct": base64.b64encode(np.packbits(right.numpy()).tobytes()).decode(),
                "test_images": len(right),
            }
        write_state(output, tensors, facts)
        progress.clear()


def _train(trainer: Trainer, progress: Progress, work: Path, checkpoint_minutes: float, say: Say) -> None:
    watch = Watch(trainer, work)
    saved = time.monotonic()

    def between() -> None:
        nonlocal saved
        watch.step()
        if time.monotonic() - saved > 60 * checkpoint_minutes:
            progress.save(trainer.epoch, trainer.step, *trainer.state())
            saved = time.monotonic()

    while trainer.epoch < trainer.segment.stop:
        started = time.monotonic()
        if trainer.diverged():
            trainer.stand_still()
        else:
            trainer.train_epoch(between)
        progress.save(trainer.epoch, 0, *trainer.state())
        saved = time.monotonic()
        row = trainer.rows[-1]
        say(
            f"epoch {trainer.epoch:>3} of {trainer.segment.stop}  train loss {row['train_loss']:.4f}  "
            f"test accuracy {row['test_accuracy']:.2%}  {saved - started:.1f} s"
        )
        watch.epoch(saved - started)
    watch.close()


class Watch:
    """A small file beside the states that says how far a job is, for people; nothing reads it back into a result."""

    def __init__(self, trainer: Trainer, work: Path):
        self.trainer, self.path = trainer, work / "progress" / f"{trainer.segment.state}.json"
        self.written, self.seconds = 0.0, math.nan
        self._write()

    def step(self) -> None:
        if time.monotonic() - self.written > 2:
            self._write()

    def epoch(self, seconds: float) -> None:
        self.seconds = seconds
        self._write()

    def close(self) -> None:
        self.path.unlink(missing_ok=True)

    def _write(self) -> None:
        trainer, segment = self.trainer, self.trainer.segment
        content = {
            "state": segment.state,
            "seed": segment.seed,
            "start": segment.start,
            "stop": segment.stop,
            "epoch": trainer.epoch,
            "step": trainer.step,
            "steps": trainer.batches.steps,
            "test_accuracy": trainer.rows[-1]["test_accuracy"] if trainer.rows else None,
            "seconds_per_epoch": None if math.isnan(self.seconds) else self.seconds,
            "time": time.time(),
        }
        with suppress(OSError):  # it is only for people; the state's file says what is wrong
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary = self.path.with_suffix(".writing")
            temporary.write_text(json.dumps(content))
            temporary.replace(self.path)
        self.written = time.monotonic()


def _is_whole(output: Path, say: Say) -> bool:
    try:
        read_state(output)
    except FileNotFoundError:
        return False
    except Damaged as damage:
        say(f"{damage}; making it again")
        return False
    return True


def _read_parent(parent: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    try:
        return read_state(parent)
    except Damaged as damage:
        raise UserError(f"{damage}: delete it and run the same command again, which makes it anew.") from None
    except FileNotFoundError:
        raise UserError(
            f"{parent}, the state that this segment starts from, is not there: run the same command again."
        ) from None


def _admit(trainer: Trainer, here: dict[str, Any], force: bool) -> None:
    """Refuse to mix numeric environments in one run unless forced, and write down where it was trained."""
    for there in trainer.environments:
        different = [key for key in numerics.INSISTED if there[key] != here[key]]
        if different and not force:
            key = different[0]
            raise UserError(
                f"this run was begun with {key} {there[key]!r} and would go on with {here[key]!r}: use the same environment, "
                "delete its states in the work folder to begin anew, or set force_environment: true to mix them."
            )
        trainer.forced |= bool(different)
    if here not in trainer.environments:
        trainer.environments.append(here)


def weights_hash(network: torch.nn.Module) -> str:
    """sha256 over names, shapes and bytes of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def save_weights(tensors: Mapping[str, Tensor], path: Path) -> None:
    """Write a state's network as a plain safetensors file, for use elsewhere."""
    import safetensors.torch

    weights = {name.removeprefix("network."): tensor for name, tensor in tensors.items() if name.startswith("network.")}
    write_atomically(path, safetensors.torch.save(weights))


def _pixels(images: np.ndarray, device: torch.device) -> Tensor:
    """`[N, 3, H, W]` uint8 -> a tensor `[N, H, W * 3]` on the device: batches cut from it are channels_last without a copy."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 2, 3, 1))).flatten(2).to(device)


def _labels(labels: np.ndarray, device: torch.device) -> Tensor:
    return torch.from_numpy(np.array(labels, dtype=np.int64)).to(device)
