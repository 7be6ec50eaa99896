"""The package without Snakemake: train one run in a notebook, and load weights that were kept.

The numbers are those of the workflow: a run that is trained alone ends with the same bytes as one that shares its prefix.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import Segment, resolve
from temporal_shortcuts.study.checks import SCHEMA
from temporal_shortcuts.study.complaints import read
from temporal_shortcuts.training import numerics

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import Tensor

    from temporal_shortcuts.networks.parts.network import Network

CONFIG = SCHEMA.parents[2] / "config.yaml"


def read_config(*overlays: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """config.yaml with overlays, files or mappings, merged key by key as `snakemake --configfile` does."""
    config = read(CONFIG)
    for overlay in overlays:
        config = _merged(config, overlay if isinstance(overlay, Mapping) else read(overlay))
    return config


def train(
    study: str | Path | Mapping[str, Any], variant: str, seed: int = 0, folder: str | Path = "work"
) -> pd.DataFrame:
    """Train one run from epoch 0 and return its record, one row an epoch; a run that was interrupted goes on.

    `study` is a study's file (studies/demo.yaml) or what `read_config` gave. `folder` keeps the prepared data, the states of an
    interrupted run and the final state, whose path is `record.attrs["state"]`. Raises `UserError` for a study that is not valid,
    and if torch was imported before with another instruction set than the study's.
    """
    config = read_config(study)
    declared = resolve(config)
    if variant not in declared.resolved["variants"]:
        raise UserError(
            f"the study has no variant {variant!r}: name one of {', '.join(declared.resolved['variants'])}."
        )
    trajectory = replace(declared.variant_runs(variant)[0].trajectory, seed=seed)
    segment = Segment(trajectory, 0, declared.epochs, True, None)
    numerics.pin(segment.settings["instruction_set"])

    import pandas as pd

    from temporal_shortcuts.analysis import records
    from temporal_shortcuts.data import images, sources
    from temporal_shortcuts.training.job import train_segment
    from temporal_shortcuts.training.states import read_facts

    folder = Path(folder)
    data = folder / "data" / declared.data_folder
    if not (data / "data.json").is_file():
        sources.prepare(config["data"], folder / "downloads", data)
    output = folder / "states" / f"{segment.state}.state"
    train_segment(segment, images.open_images(data, config["data"]["checksum"]), folder, None, output)
    rows = pd.DataFrame(read_facts(output)["rows"])
    record = rows[[*records.COLUMNS, *rows.columns.difference(records.COLUMNS)]]
    record.attrs |= {"fingerprint": segment.fingerprint_at(segment.stop), "state": str(output)}
    return record


def load_network(path: str | Path) -> Network:
    """The network of kept weights (`keep_weights: true`, a .safetensors file) or of a state, in evaluation mode.

    Which network it is stands in the file's metadata. Give it images through `normalise`.
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
    return network.eval()


def normalise(images: np.ndarray, network: Network | None = None) -> Tensor:
    """uint8 images `[N, 3, 32, 32]` -> what a network was trained on: float32, each channel with a mean and deviation.

    They are those of a network that `load_network` gave, or the protocol's.
    """
    import numpy as np
    import torch

    from temporal_shortcuts.training.trainer import DEVIATION, MEAN

    given = (network.normalisation if network is not None else None) or (MEAN, DEVIATION)
    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in given)
    return (torch.from_numpy(np.array(images)).float() / 255 - mean) / deviation


def _described_by(weights: Mapping[str, Tensor]) -> dict[str, Any]:
    """Of files of version 0.1, which have no metadata: one of the two networks that there were."""
    from temporal_shortcuts.training.trainer import DEVIATION, MEAN

    model = "resnet18" if "blocks.7.conv1.weight" in weights else "resnet18_published"
    width, classes = weights["conv.weight"].shape[0], weights["linear.weight"].shape[0]
    return {"model": model, "width": width, "classes": classes, "mean": MEAN, "deviation": DEVIATION}


def _merged(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in overlay.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = _merged(result[key], value) if both else value
    return result
