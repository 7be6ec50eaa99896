"""The package without Snakemake: train one run in a notebook, and load weights that were kept.

The numbers are those of the workflow: a run that is trained alone ends with the same bytes as one that shares its prefix.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import Segment, Study, resolve
from temporal_shortcuts.study.checks import SCHEMA
from temporal_shortcuts.study.complaints import read
from temporal_shortcuts.training import numerics

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from torch import Tensor

    from temporal_shortcuts.networks.resnet import ResNet18

CONFIG = SCHEMA.parents[2] / "config.yaml"


def read_config(*overlays: str | Path | Mapping[str, Any]) -> dict[str, Any]:
    """config.yaml with overlays, files or mappings, merged key by key as `snakemake --configfile` does."""
    config = read(CONFIG)
    for overlay in overlays:
        config = _merged(config, overlay if isinstance(overlay, Mapping) else read(overlay))
    return config


def declared(root: Path) -> Iterator[tuple[Path, Study]]:
    """The studies of a clone, each with its file: config.yaml, and the overlays in studies/. Raises `UserError`."""
    names: dict[str, Path] = {}
    for path in _study_files(root):
        study = _declared_in(root, path)
        if study.name in names:
            raise UserError(f"{path}: study: found {study.name!r}, as in {names[study.name]}; rename one of them.")
        names[study.name] = path
        yield path, study


def declared_as(name: str, root: Path) -> tuple[Path, Study]:
    """The file of the study of a name, or whose file has that name, and the study. Raises `UserError`."""
    sound = sound_studies(root)
    for path, study in sorted(sound, key=lambda found: found[1].name != name):
        if name in (study.name, path.stem):
            return path, study
    if (root / "studies" / f"{name}.yaml").is_file():
        _declared_in(root, Path("studies", f"{name}.yaml"))  # says what is wrong with it
    raise UserError(f"there is no study {name!r}: name one of {', '.join(study.name for _, study in sound)}.")


def sound_studies(root: Path) -> list[tuple[Path, Study]]:
    """The studies of a clone whose files have no fault."""
    found = []
    for path in _study_files(root):
        with suppress(UserError):
            found.append((path, _declared_in(root, path)))
    return found


def _study_files(root: Path) -> list[Path]:
    return [Path("config.yaml"), *(path.relative_to(root) for path in sorted((root / "studies").glob("*.yaml")))]


def _declared_in(root: Path, path: Path) -> Study:
    own = read(root / path)
    if not isinstance(own, Mapping) or "study" not in own:
        raise UserError(f"{path}: the key 'study' is missing; add it, since a study's results stand under its name.")
    return resolve(read_config(own), [root / "config.yaml", root / path])


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


def load_network(path: str | Path) -> ResNet18:
    """The network of kept weights (`keep_weights: true`, a .safetensors file) or of a state, in evaluation mode.

    Model, width and number of classes follow from the weights. Give it images through `normalise`.
    """
    import safetensors.torch

    from temporal_shortcuts.analysis.records import network_weights
    from temporal_shortcuts.networks.resnet import ResNet18
    from temporal_shortcuts.training.states import read_state

    path = Path(path)
    weights = network_weights(read_state(path)[0]) if path.suffix == ".state" else safetensors.torch.load_file(path)
    width, classes = weights["conv.weight"].shape[0], weights["linear.weight"].shape[0]
    network = ResNet18(width, classes, published="blocks.7.conv1.weight" not in weights)
    network.load_state_dict(weights)
    return network.eval()


def normalise(images: np.ndarray) -> Tensor:
    """uint8 images `[N, 3, 32, 32]` -> what a network was trained on: float32, each channel with the protocol's mean and deviation."""
    import numpy as np
    import torch

    from temporal_shortcuts.training.trainer import DEVIATION, MEAN

    mean, deviation = (torch.tensor(values).view(3, 1, 1) for values in (MEAN, DEVIATION))
    return (torch.from_numpy(np.array(images)).float() / 255 - mean) / deviation


def _merged(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in overlay.items():
        both = isinstance(value, Mapping) and isinstance(result.get(key), Mapping)
        result[key] = _merged(result[key], value) if both else value
    return result
