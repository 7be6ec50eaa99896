"""The textbook way, the peer of `make bench`: one script that trains the seven published variants one after the other.

Written as a course would: torchvision transforms on PIL images in a DataLoader with two workers, contiguous tensors, torch's
default threads, a plain ResNet-18 with the shortcuts by hand, and every run from epoch 0. It imports nothing of the package.
Writes one line an epoch to standard output: variant, epoch, seconds of training, seconds of evaluation, training loss, test
accuracy; and the line `first step` after the first of each run.

    python benchmarks/textbook.py --data work/data/<identity> --width 8 --epochs 3 --onset 2
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

VARIANTS = {
    "benchmark": (0.01, None, False),
    "lr_0.001": (0.001, None, False),
    "lr_0.1": (0.1, None, False),
    "batch_res_start": (0.01, "batch_res", False),
    "epoch_res_start": (0.01, "epoch_res", False),
    "batch_res_late": (0.01, "batch_res", True),
    "epoch_res_late": (0.01, "epoch_res", True),
}
"""Learning rate, kind of the temporal shortcut, and whether it acts only after `--onset` epochs."""

STRENGTH, BATCH, TEST_BATCH = 0.05, 128, 100
NORMALISE = transforms.Normalize((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010))
TRAINING = transforms.Compose(
    [transforms.RandomCrop(32, padding=4), transforms.RandomHorizontalFlip(), transforms.ToTensor(), NORMALISE]
)
TESTING = transforms.Compose([transforms.ToTensor(), NORMALISE])


class Pictures(Dataset):
    """A split of the prepared data as PIL images, as torchvision's CIFAR10 gives them."""

    def __init__(self, folder: Path, split: str, transform: transforms.Compose):
        self.images = np.load(folder / f"{split}_images.npy").transpose(0, 2, 3, 1)
        self.labels = np.load(folder / f"{split}_labels.npy")
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(np.ascontiguousarray(self.images[index]))), int(self.labels[index])


class Past:
    """What a temporal shortcut remembers: the blocks' outputs of the previous batch, or their means over the previous epoch."""

    def __init__(self, kind: str | None, onset: int):
        self.kind, self.onset = kind, onset
        self.carried: dict[int, Tensor] = {}
        self.sums: dict[int, Tensor] = {}
        self.batches = 0

    def start_epoch(self, epoch: int) -> bool:
        """Whether anything is to be carried or summed in this epoch."""
        self.acts = epoch >= self.onset
        self.carried = {place: total / self.batches for place, total in self.sums.items()}
        self.sums, self.batches = {}, 0
        return self.kind is not None and (self.acts or (self.kind == "epoch_res" and epoch + 1 == self.onset))

    def __call__(self, place: int, x: Tensor) -> Tensor:
        if self.acts and place in self.carried:
            x = x + STRENGTH * self.carried[place]
        if self.kind == "batch_res":
            self.carried[place] = x.detach()
        else:
            self.sums[place] = self.sums.get(place, 0) + x.detach()
        return x


class Block(nn.Module):
    def __init__(self, place: int, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.place = place
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Sequential()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor, past: Past | None) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out = out + self.shortcut(x)
        if past is not None:
            out = past(self.place, out)
        return F.relu(out)


class ResNet18(nn.Module):
    """`[N, 3, 32, 32]` -> logits `[N, 10]`."""

    def __init__(self, width: int):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        widths = [width, width, width, 2 * width, 2 * width, 4 * width, 4 * width, 8 * width, 8 * width]
        strides = [1, 1, 2, 1, 2, 1, 2, 1]
        self.blocks = nn.ModuleList(Block(k, widths[k], widths[k + 1], strides[k]) for k in range(8))
        self.linear = nn.Linear(8 * width, 10)

    def forward(self, x: Tensor, past: Past | None = None) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        for block in self.blocks:
            out = block(out, past)
        return self.linear(F.adaptive_avg_pool2d(out, 1).flatten(1))


def train_epoch(net: ResNet18, loader: DataLoader, optimiser: torch.optim.SGD, past: Past | None) -> Iterator[float]:
    """One epoch of training; yields each step's loss times its images."""
    net.train()
    for images, labels in loader:
        here = past if len(images) == BATCH else None
        optimiser.zero_grad()
        loss = F.cross_entropy(net(images, here), labels)
        loss.backward()
        optimiser.step()
        if here is not None:
            here.batches += 1
        yield loss.item() * len(images)


def test(net: ResNet18, loader: DataLoader) -> float:
    """The test accuracy."""
    net.eval()
    right = 0
    with torch.no_grad():
        for images, labels in loader:
            right += (net(images).argmax(1) == labels).sum().item()
    return right / len(loader.dataset)


def run(name: str, arguments: argparse.Namespace) -> None:
    """One variant from epoch 0."""
    rate, kind, late = VARIANTS[name]
    torch.manual_seed(0)
    training = DataLoader(Pictures(arguments.data, "train", TRAINING), BATCH, shuffle=True, num_workers=2)
    testing = DataLoader(Pictures(arguments.data, "test", TESTING), TEST_BATCH, num_workers=2)
    net, past = ResNet18(arguments.width), Past(kind, arguments.onset if late else 0)
    optimiser = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=200)
    for epoch in range(arguments.epochs):
        started = time.perf_counter()
        total = 0.0
        for loss in train_epoch(net, training, optimiser, past if past.start_epoch(epoch) else None):
            if epoch == 0 and total == 0:
                print("first step", flush=True)
            total += loss
        trained = time.perf_counter()
        accuracy = test(net, testing)
        tested = time.perf_counter()
        schedule.step()
        seconds = f"{trained - started:.3f},{tested - trained:.3f}"
        print(f"{name},{epoch + 1},{seconds},{total / len(training.dataset):.4f},{accuracy:.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the prepared data")
    parser.add_argument("--width", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--onset", type=int, required=True, help="epochs before a late shortcut acts")
    parser.add_argument("variants", nargs="*", default=list(VARIANTS), help="names; without any, all seven")
    arguments = parser.parse_args()
    for name in arguments.variants:
        run(name, arguments)


if __name__ == "__main__":
    main()
