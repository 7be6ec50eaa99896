"""The package without Snakemake: train one run in a notebook, and load weights that were kept.

The numbers are those of the workflow: a run that is trained alone ends with the same bytes as one that shares its prefix.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from temporal_shortcuts.catalogue import read_study
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import Segment, Study
from temporal_shortcuts.study.checks import check_full_batches
from temporal_shortcuts.study.columns import ordered
from temporal_shortcuts.training import numerics

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from temporal_shortcuts.networks.parts.network import Network


def train(
    study: str | Path | Mapping[str, Any] | Study, variant: str, seed: int = 0, folder: str | Path = "work"
) -> pd.DataFrame:
    """Train one run from epoch 0 and return its record, one row an epoch; a run that was interrupted goes on.

    `study` is a study's file (studies/demo.yaml), its content, or what `read_study` gave. `folder` keeps the prepared data, the states
    of an interrupted run and the final state, whose path is `record.attrs["state"]`. Raises `UserError` for what is not valid, and if
    torch was imported before with another instruction set than the study's.
    """
    declared = study if isinstance(study, Study) else read_study(study)
    if variant not in declared.variants:
        raise UserError(f"the study has no variant {variant!r}: name one of {', '.join(declared.variants)}.")
    if type(seed) is not int or not 0 <= seed < 2**31:
        raise UserError(f"seed: found {seed!r}, but it must be a whole number from 0 to 2147483647.")
    trajectory = replace(declared.variant_runs(variant)[0].trajectory, seed=seed)
    segment = Segment(trajectory, 0, declared.epochs, True, None)
    numerics.pin(segment.settings["instruction_set"])

    import pandas as pd

    from temporal_shortcuts.data import images, sources
    from temporal_shortcuts.training.job import train_segment
    from temporal_shortcuts.training.states import read_facts

    folder = Path(folder)
    data = folder / "data" / declared.data_folder
    if not (data / "data.json").is_file():
        sources.prepare(declared.data.model_dump(), folder / "downloads", data)
    output = folder / "states" / f"{segment.state}.state"
    opened = images.open_images(data, declared.data.checksum)
    check_full_batches(declared, len(opened.train_images))
    train_segment(segment, opened, folder, None, output)
    rows = pd.DataFrame(read_facts(output)["rows"])
    record = rows[ordered(rows.columns)]
    record.attrs |= {"fingerprint": segment.fingerprint_at(segment.stop), "state": str(output)}
    return record


def load_network(path: str | Path) -> Network:
    """The network of kept weights (`keep_weights: true`, a .safetensors file) or of a state, in evaluation mode.

    Which network it is, its mean and deviation and the names of its classes stand in the file's metadata. `predict` takes images as they
    are: `network.predict(images)`, uint8 `[N, 3, 32, 32]`, gives probabilities in the order of `network.classes`.
    """
    import torch
    from safetensors import safe_open

    from temporal_shortcuts import networks
    from temporal_shortcuts.analysis.records import network_weights
    from temporal_shortcuts.training.states import read_state

    path = Path(path)
    if path.suffix == ".state":
        tensors, facts = read_state(path)
        weights, described = network_weights(tensors), facts.get("network")
    else:
        with safe_open(path, "pt") as file:
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            described = json.loads((file.metadata() or {}).get("network", "null"))
    described = described or _described_by(weights)
    network = networks.build(described["model"], described["width"], described["classes"], torch.Generator())
    network.load_state_dict(weights)
    network.normalisation = (described["mean"], described["deviation"])
    network.classes = tuple(described["class_names"]) if "class_names" in described else None
    return network.eval()


def _described_by(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Of files of version 0.1, which have no metadata: one of the two networks that there were, and the one normalisation."""
    from temporal_shortcuts.training.trainer import DEVIATION, MEAN

    model = "resnet18" if "blocks.7.conv1.weight" in weights else "resnet18_published"
    width, classes = weights["conv.weight"].shape[0], weights["linear.weight"].shape[0]
    return {"model": model, "width": width, "classes": classes, "mean": MEAN, "deviation": DEVIATION}
