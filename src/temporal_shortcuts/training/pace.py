"""How long an epoch takes here, measured on a part of the images."""

from __future__ import annotations

import time
from dataclasses import replace

from temporal_shortcuts.data.images import Images
from temporal_shortcuts.study import Segment, Study
from temporal_shortcuts.training import numerics
from temporal_shortcuts.training.trainer import Trainer

BATCHES = 20
"""Of training that are measured."""


def seconds_per_epoch(study: Study, images: Images) -> float:
    """Seconds of an epoch of the study's benchmark, training and evaluation: from one on some of the images, after one to warm up.

    The instruction set must have been pinned (`numerics.pin`) before torch was imported.
    """
    settings = study.variant_runs(study.benchmark)[0].trajectory
    device = numerics.prepare(settings.settings["device"], settings.settings["precision"])
    train, test = len(images.train_labels), len(images.test_labels)
    part = min(1.0, BATCHES * settings.settings["batch_size"] / train)
    n, m = max(1, round(part * train)), max(1, round(part * test))
    some = replace(
        images,
        train_images=images.train_images[:n],
        train_labels=images.train_labels[:n],
        test_images=images.test_images[:m],
        test_labels=images.test_labels[:m],
    )
    trainer = Trainer(Segment(settings, 0, study.epochs, True, None), some, device)
    trainer.train_epoch()
    started = time.perf_counter()
    trainer.train_epoch()
    return (time.perf_counter() - started) * train / n
