"""Images of one's own: a folder or archive with train/<class>/* and test/<class>/*."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from temporal_shortcuts.data.archives import Limits, entries, refusal
from temporal_shortcuts.data.images import SHAPE, Images
from temporal_shortcuts.errors import UserError

SPLITS = ("train", "test")
FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
MODES = ("RGB", "L", "1", "P")
"""What is brought to RGB without a choice: colour, grey, black and white, palette. CMYK needs a colour profile, and
transparency a background, so these are refused."""

LIMITS = Limits()

Found = dict[str, dict[str, dict[str, np.ndarray]]]
"""split -> class -> file name -> uint8 `[3, 32, 32]`"""


def read(path: Path, limits: Limits = LIMITS) -> Images:
    """The images of a folder or archive, classes sorted by name, images by class and file name; names are in NFC.

    `train` and `test` stand at the top or in one folder there; what stands beside them is not read. Names that begin with a dot,
    `__MACOSX`, `Thumbs.db` and `desktop.ini` are passed over. All else must be a 32x32 image in a class folder, and both splits must have
    the same classes, two at least. An image is turned as its EXIF orientation says. Raises `UserError` with the file's name for what is
    not so, and for what `archives.entries` refuses.
    """
    found: Found = {split: {} for split in SPLITS}
    tops: set[tuple[str, ...]] = set()
    for entry in entries(path, limits):
        depth = 0 if entry.parts[0] in SPLITS else 1
        split, *inner = entry.parts[depth:] or ("",)
        if split not in SPLITS:
            continue
        tops.add(entry.parts[:depth])
        if len(tops) > 1:
            raise refusal(path, entry.name, "belongs to a second pair of train and test; give one")
        if entry.read is None:
            if len(inner) == 1:
                found[split].setdefault(inner[0], {})
            elif inner:
                raise refusal(path, entry.name, "is a folder in a class folder; put images there")
            continue
        if len(inner) != 2:
            raise refusal(path, entry.name, "does not stand in train/<class>/ or test/<class>/; put it there")
        name, file = inner
        if file in found[split].setdefault(name, {}):
            raise refusal(path, entry.name, "is there twice; remove one of them")
        found[split][name][file] = _pixels(entry.read(), path, entry.name)
    return _arranged(found, path)


def _arranged(found: Found, path: Path) -> Images:
    classes = sorted(found["train"].keys() | found["test"].keys())
    if not classes:
        raise UserError(f"{path}: there is no train/<class>/ and test/<class>/ in it; arrange the images so.")
    if len(classes) == 1:
        raise UserError(f"{path}: {classes[0]!r} is the only class; a network needs two at least to tell apart.")
    for split in SPLITS:
        for name in classes:
            if not found[split].get(name):
                raise UserError(f"{path}: {split}/{name} has no images; each class needs some in train and in test.")
    arrays = {}
    for split in SPLITS:
        ordered = [[found[split][name][file] for file in sorted(found[split][name])] for name in classes]
        arrays[f"{split}_images"] = np.stack([image for images in ordered for image in images])
        counts = [len(images) for images in ordered]
        arrays[f"{split}_labels"] = np.repeat(np.arange(len(classes), dtype=np.int64), counts)
    return Images(**arrays, classes=tuple(classes))


def _pixels(content: bytes, path: Path, name: str) -> np.ndarray:
    """A decoded image, uint8 `[3, 32, 32]`. Its size is checked before anything is decoded."""
    _, height, width = SHAPE
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if image.size != (width, height):
                raise refusal(path, name, f"has {image.width}x{image.height} pixels; make it {width}x{height}")
            if image.mode not in MODES or image.has_transparency_data:
                raise refusal(path, name, f"is of the kind {image.mode}, or with transparency; save it as RGB or grey")
            if getattr(image, "n_frames", 1) != 1:
                raise refusal(path, name, "has more than one frame; save one of them")
            upright = ImageOps.exif_transpose(image).convert("RGB")
            return np.ascontiguousarray(np.asarray(upright).transpose(2, 0, 1))
    except UserError:
        raise
    except Exception as error:  # bytes from outside make a decoder raise nearly anything
        why = "is no image" if isinstance(error, UnidentifiedImageError) else "is damaged or truncated"
        raise refusal(path, name, f"{why}; replace it by an image ({', '.join(FORMATS)})") from error
