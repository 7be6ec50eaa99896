"""Small data sets in the formats of torchvision's, as they lie under its root after a download."""

from __future__ import annotations

import bz2
import hashlib
import io
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from made_archives import cifar_files
from PIL import Image
from torchvision import datasets

SPLITS = ("train", "test")


@dataclass
class Made:
    """What is in a set: images `[H, W]` or `[H, W, 3]` and labels of each split, and its classes."""

    classes: tuple[str, ...]
    images: dict[str, list[np.ndarray]] = field(default_factory=dict)
    labels: dict[str, list[int]] = field(default_factory=dict)

    def fill(self, shape: tuple[int, ...], counts: tuple[int, int] = (9, 5), kinds: int = 3) -> Made:
        """Random images; every one of the first `kinds` classes is there in each split, in turn."""
        source = np.random.default_rng(len(self.classes))
        for split, count in zip(SPLITS, counts, strict=True):
            self.images[split] = list(source.integers(0, 256, (count, *shape), dtype=np.uint8))
            self.labels[split] = [index % kinds for index in range(count)]
        return self

    @property
    def splits(self) -> list[tuple[str, list[np.ndarray], list[int]]]:
        return [(split, self.images[split], self.labels[split]) for split in SPLITS]


def digest(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def put(file: Path, content: bytes) -> str:
    """Write a file; its md5."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return digest(content)


def official_cifar10(files: dict[str, bytes], patch: pytest.MonkeyPatch) -> None:
    """Make the small files of `made_archives.cifar_files` those that torchvision knows."""
    md5 = {name.rpartition("/")[2]: digest(content) for name, content in files.items()}
    patch.setattr(datasets.CIFAR10, "train_list", [[f"data_batch_{k}", md5[f"data_batch_{k}"]] for k in range(1, 6)])
    patch.setattr(datasets.CIFAR10, "test_list", [["test_batch", md5["test_batch"]]])
    patch.setattr(datasets.CIFAR10, "meta", datasets.CIFAR10.meta | {"md5": md5["batches.meta"]})


def cifar10(root: Path, patch: pytest.MonkeyPatch) -> Made:
    files, batches = cifar_files()
    official_cifar10(files, patch)
    made = Made(("airplane", "automobile", "bird"))
    for name, content in files.items():
        put(root / name, content)
    for split, names in (("train", [f"data_batch_{k}" for k in range(1, 6)]), ("test", ["test_batch"])):
        rows = [row for name in names for row in batches[name][0]]
        made.images[split] = [row.reshape(3, 32, 32).transpose(1, 2, 0) for row in rows]
        made.labels[split] = [label for name in names for label in batches[name][1]]
    return made


def cifar100(root: Path, patch: pytest.MonkeyPatch) -> Made:
    made = Made(tuple(f"fine {index}" for index in range(4))).fill((32, 32, 3), kinds=4)
    folder = root / "cifar-100-python"
    for split, images, labels in made.splits:
        rows = np.stack(images).transpose(0, 3, 1, 2).reshape(-1, 3072)
        md5 = put(folder / split, pickle.dumps({"data": rows, "fine_labels": labels, "coarse_labels": labels}, 2))
        patch.setattr(datasets.CIFAR100, f"{split}_list", [[split, md5]])
    names = {"fine_label_names": list(made.classes), "coarse_label_names": ["coarse"]}
    md5 = put(folder / "meta", pickle.dumps(names, 2))
    patch.setattr(datasets.CIFAR100, "meta", datasets.CIFAR100.meta | {"md5": md5})
    return made


def idx(array: np.ndarray) -> bytes:
    """The format of MNIST: magic, sizes and numbers, big-endian."""
    kind = {"uint8": 8, "int32": 12}[str(array.dtype)]
    sizes = np.array([kind << 8 | array.ndim, *array.shape], dtype=">i4")
    return sizes.tobytes() + array.astype(array.dtype.newbyteorder(">")).tobytes()


def mnist(name: str) -> Callable[[Path, pytest.MonkeyPatch], Made]:
    def make(root: Path, patch: pytest.MonkeyPatch) -> Made:
        made = Made(tuple(getattr(datasets, name).classes)).fill((28, 28))
        for prefix, (_, images, labels) in zip(("train", "t10k"), made.splits, strict=True):
            put(root / name / "raw" / f"{prefix}-images-idx3-ubyte", idx(np.stack(images)))
            put(root / name / "raw" / f"{prefix}-labels-idx1-ubyte", idx(np.array(labels, np.uint8)))
        return made

    return make


def qmnist(root: Path, patch: pytest.MonkeyPatch) -> Made:
    made = Made(tuple(datasets.QMNIST.classes)).fill((28, 28))
    for split, images, labels in made.splits:
        put(root / "QMNIST" / "raw" / f"qmnist-{split}-images-idx3-ubyte", idx(np.stack(images)))
        rows = np.zeros((len(labels), 8), np.int32)
        rows[:, 0] = labels
        put(root / "QMNIST" / "raw" / f"qmnist-{split}-labels-idx2-int", idx(rows))
    return made


def emnist(root: Path, patch: pytest.MonkeyPatch) -> Made:
    made = Made(tuple(datasets.EMNIST.classes_split_dict["balanced"])).fill((28, 28))
    for split, images, labels in made.splits:
        put(root / "EMNIST" / "raw" / f"emnist-balanced-{split}-images-idx3-ubyte", idx(np.stack(images)))
        put(root / "EMNIST" / "raw" / f"emnist-balanced-{split}-labels-idx1-ubyte", idx(np.array(labels, np.uint8)))
    return made


def usps(root: Path, patch: pytest.MonkeyPatch) -> Made:
    made = Made(("0", "1", "2")).fill((16, 16))
    for name, (_, images, labels) in zip(("usps.bz2", "usps.t.bz2"), made.splits, strict=True):
        lines = []
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            values = (image.ravel() / 127.5 - 1).astype(np.float32)
            images[index] = ((values + 1) / 2 * 255).astype(np.uint8).reshape(16, 16)
            lines.append(f"{label + 1} " + " ".join(f"{place}:{value!s}" for place, value in enumerate(values, 1)))
        put(root / name, bz2.compress("\n".join(lines).encode() + b"\n"))
    return made


def svhn(root: Path, patch: pytest.MonkeyPatch) -> Made:
    made = Made(("0", "1", "2")).fill((32, 32, 3))
    split_list = dict(datasets.SVHN.split_list)
    for split, images, labels in made.splits:
        file = io.BytesIO()
        numbers = np.array([label or 10 for label in labels], np.uint8)[:, None]
        scipy.io.savemat(file, {"X": np.stack(images).transpose(1, 2, 3, 0), "y": numbers})
        split_list[split] = [*split_list[split][:2], put(root / f"{split}_32x32.mat", file.getvalue())]
    patch.setattr(datasets.SVHN, "split_list", split_list)
    return made


def stl10(root: Path, patch: pytest.MonkeyPatch) -> Made:
    made = Made(("airplane", "bird", "car")).fill((96, 96, 3), (4, 3))
    folder, known = root / "stl10_binary", {"train": [], "test": []}
    put(folder / "class_names.txt", "\n".join(made.classes).encode())
    for split, images, labels in made.splits:
        content = np.stack(images).transpose(0, 3, 2, 1).tobytes()
        known[split].append([f"{split}_X.bin", put(folder / f"{split}_X.bin", content)])
        known[split].append([f"{split}_y.bin", put(folder / f"{split}_y.bin", bytes(label + 1 for label in labels))])
    known["train"].append(["unlabeled_X.bin", put(folder / "unlabeled_X.bin", b"")])
    for split in SPLITS:
        patch.setattr(datasets.STL10, f"{split}_list", known[split])
    return made


def picture(image: np.ndarray, form: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, form)
    return file.getvalue()


def decoded(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def tree(
    made: Made, root: Path, path: Callable[[str, int, int], str], form: str, shape: tuple[int, ...] = (40, 60, 3)
) -> Made:
    """One file an image, sorted by class; `path` is made of split, label and number."""
    made.fill(shape, (6, 4), len(made.classes))
    for split, images, labels in made.splits:
        labels.sort()
        for index, label in enumerate(labels):
            content = picture(images[index], form)
            images[index] = decoded(content)
            put(root / path(split, label, index), content)
    return made


def gtsrb(root: Path, patch: pytest.MonkeyPatch) -> Made:
    def path(split: str, label: int, index: int) -> str:
        folder = f"Training/{label:05}" if split == "train" else "Final_Test/Images"
        return f"gtsrb/GTSRB/{folder}/{index:05}.ppm"

    made = tree(Made(("0", "1", "2")), root, path, "PPM", (40, 36, 3))
    rows = [f"{index:05}.ppm; {label}" for index, label in enumerate(made.labels["test"])]
    put(root / "gtsrb" / "GT-final_test.csv", "\n".join(["Filename; ClassId", *rows]).encode())
    return made


def country211(root: Path, patch: pytest.MonkeyPatch) -> Made:
    made = Made(("AD", "AE", "AF"))
    return tree(made, root, lambda split, label, index: f"country211/{split}/{made.classes[label]}/{index}.jpg", "JPEG")


def rendered_sst2(root: Path, patch: pytest.MonkeyPatch) -> Made:
    made = Made(("negative", "positive"))
    return tree(
        made, root, lambda split, label, index: f"rendered-sst2/{split}/{made.classes[label]}/{index}.png", "PNG"
    )


def imagenette(root: Path, patch: pytest.MonkeyPatch) -> Made:
    wnids, parts = ("n01440764", "n02102040"), {"train": "train", "test": "val"}
    made = Made(("tench", "English springer"))
    return tree(
        made, root, lambda split, label, index: f"imagenette2/{parts[split]}/{wnids[label]}/{index}.jpeg", "JPEG"
    )


def dtd(root: Path, patch: pytest.MonkeyPatch) -> Made:
    made = Made(("banded", "blotchy"))

    def name(split: str, label: int, index: int) -> str:
        return f"{made.classes[label]}/{split}_{index:04}.jpg"

    tree(made, root, lambda *which: f"dtd/dtd/images/{name(*which)}", "JPEG")
    for split, _, labels in made.splits:
        lines = [name(split, label, index) for index, label in enumerate(labels)]
        put(root / "dtd" / "dtd" / "labels" / f"{split}1.txt", "\n".join(lines).encode())
    return made


def food101(root: Path, patch: pytest.MonkeyPatch) -> Made:
    made = Made(("apple_pie", "baby_back_ribs"))

    def name(split: str, label: int, index: int) -> str:
        return f"{made.classes[label]}/{split}{index}"

    tree(made, root, lambda *which: f"food-101/images/{name(*which)}.jpg", "JPEG")
    for split, _, labels in made.splits:
        listed: dict[str, list[str]] = {}
        for index, label in enumerate(labels):
            listed.setdefault(made.classes[label], []).append(name(split, label, index))
        put(root / "food-101" / "meta" / f"{split}.json", json.dumps(listed).encode())
    return made


def flowers102(root: Path, patch: pytest.MonkeyPatch) -> Made:
    first = {"train": 1, "test": 7}
    made = Made(tuple(datasets.Flowers102.classes))
    tree(made, root, lambda split, _, index: f"flowers-102/jpg/image_{first[split] + index:05}.jpg", "JPEG")
    labels = [label + 1 for _, _, labels in made.splits for label in labels]
    contents = {
        "label": {"labels": labels},
        "setid": {"trnid": list(range(1, 7)), "valid": [1, 2], "tstid": list(range(7, 11))},
    }
    known = dict(datasets.Flowers102._file_dict)
    for key, content in contents.items():
        file = io.BytesIO()
        scipy.io.savemat(file, content)
        known[key] = (known[key][0], put(root / "flowers-102" / known[key][0], file.getvalue()))
    patch.setattr(datasets.Flowers102, "_file_dict", known)
    return made


def oxford_iiit_pet(root: Path, patch: pytest.MonkeyPatch) -> Made:
    names, parts = ("Abyssinian", "american_bulldog"), {"train": "trainval", "test": "test"}
    made = Made(("Abyssinian", "American Bulldog"))

    def name(split: str, label: int, index: int) -> str:
        return f"{names[label]}_{split}{index}"

    tree(made, root, lambda *which: f"oxford-iiit-pet/images/{name(*which)}.jpg", "JPEG")
    for split, _, labels in made.splits:
        lines = [f"{name(split, label, index)} {label + 1} 1 1" for index, label in enumerate(labels)]
        put(root / "oxford-iiit-pet" / "annotations" / f"{parts[split]}.txt", "\n".join(lines).encode())
    return made


MADE: dict[str, Callable[[Path, pytest.MonkeyPatch], Made]] = {
    "CIFAR10": cifar10,
    "CIFAR100": cifar100,
    **{name: mnist(name) for name in ("FashionMNIST", "KMNIST", "MNIST")},
    "Country211": country211,
    "DTD": dtd,
    "EMNIST": emnist,
    "Flowers102": flowers102,
    "Food101": food101,
    "GTSRB": gtsrb,
    "Imagenette": imagenette,
    "OxfordIIITPet": oxford_iiit_pet,
    "QMNIST": qmnist,
    "RenderedSST2": rendered_sst2,
    "STL10": stl10,
    "SVHN": svhn,
    "USPS": usps,
}
"""Makes the files of a set under a root, teaches torchvision their md5, and returns what is in them."""
