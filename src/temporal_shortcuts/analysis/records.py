"""Records: what a run leaves for good. A record is a pure function of the run's fingerprint and the environment's arithmetic.

Three files: `seed<k>-<fingerprint>.csv`, one row an epoch; `.json`, the sidecar with what was declared, what was found and the
hashes of the weights; `.correct.npy`, one bit for each test image that the final model gets right (`numpy.packbits`).
Where the data sets validation images apart, these are what `test` means in its columns, and the sidecar says so (`evaluated_on`).
"""

from __future__ import annotations

import base64
import csv
import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from temporal_shortcuts.errors import UserError
from temporal_shortcuts.files import write_atomically
from temporal_shortcuts.study import Run, Study
from temporal_shortcuts.study.columns import COLUMNS
from temporal_shortcuts.study.segments import evaluated_images
from temporal_shortcuts.training.states import Damaged, read_facts, read_state

if TYPE_CHECKING:
    from torch import Tensor

SUFFIXES = (".json", ".correct.npy", ".csv")
"""In the order in which they are written: a record that is there has the others beside it."""


def write(run: Run, state: Path, folder: Path, *, keep_weights: bool = False) -> None:
    """Write the run's record from its final state into the study's results folder."""
    try:
        facts = read_facts(state)
    except Damaged as damage:
        raise UserError(f"{damage}: delete it and run the same command again, which makes it anew.") from None
    if facts["fingerprint"] != run.fingerprint:
        raise UserError(
            f"{state} is the state of another run ({facts['fingerprint']}): delete it and run the same command again."
        )
    trajectory = run.trajectory
    average = {} if trajectory.average_from is None else {"average_from": trajectory.average_from}
    kind = evaluated_images(trajectory.data)
    evaluated = {} if kind == "test" else {"evaluated_on": f"{kind} images"}
    sidecar = {
        "fingerprint": run.fingerprint,
        "seed": run.seed,
        "data": trajectory.data,
        "settings": dict(trajectory.settings)
        | {"shortcut": trajectory.shortcut and dict(trajectory.shortcut)}
        | average,
        "weights": {"initial": facts["initial"], "final": facts["final"]},
        "environments": facts["environments"],
        "forced": facts["forced"],
        "test_images": facts["test_images"],
        "test_classes": facts.get("test_classes"),
        **evaluated,
    }
    correct = io.BytesIO()
    np.save(correct, np.frombuffer(base64.b64decode(facts["correct"]), dtype=np.uint8))
    content = {
        ".json": (json.dumps(sidecar, indent=1, sort_keys=True) + "\n").encode(),
        ".correct.npy": correct.getvalue(),
        ".csv": _rows(facts["rows"]).encode(),
    }
    stem = str(folder / run.record).removesuffix(".csv")
    if keep_weights:
        save_weights(*read_state(state), Path(f"{stem}.safetensors"))
    for suffix in SUFFIXES:
        write_atomically(Path(stem + suffix), content[suffix])


def save_weights(tensors: Mapping[str, Tensor], facts: Mapping[str, Any], path: Path) -> None:
    """Write a state's network as a plain safetensors file, for use elsewhere; its metadata say which network it is."""
    import safetensors.torch

    metadata = {"network": json.dumps(facts["network"], sort_keys=True)} if "network" in facts else None
    write_atomically(path, safetensors.torch.save(network_weights(tensors), metadata))


def network_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The network's parameters and buffers among a state's tensors, by the names that the network gives them."""
    return {name.removeprefix("network."): tensor for name, tensor in tensors.items() if name.startswith("network.")}


def copy(source: Path, target: Path) -> None:
    """A record under another variant's name: equal fingerprints, equal bytes."""
    for suffix in SUFFIXES:
        path = source.with_name(source.name.removesuffix(".csv") + suffix)
        write_atomically(target.with_name(target.name.removesuffix(".csv") + suffix), path.read_bytes())


def is_there(run: Run, folder: Path) -> bool:
    """Whether all three files of the run's record are there."""
    return all((folder / name).is_file() for name in run.record_files)


def is_whole(run: Run, folder: Path, epochs: int) -> bool:
    """Whether the run's record is there and its three files hold what was once written, as far as a look at them can say."""
    return _is_whole(folder / run.record, run.fingerprint, epochs)


def equal_record(run: Run, folder: Path, epochs: int) -> Path | None:
    """A whole record of the same fingerprint under another variant's name, as after a renaming."""
    for path in sorted(folder.glob(f"records/*/seed{run.seed}-{run.fingerprint}.csv")):
        if path != folder / run.record and _is_whole(path, run.fingerprint, epochs):
            return path
    return None


def _is_whole(path: Path, fingerprint: str, epochs: int) -> bool:
    try:
        header, *rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
        beside = sidecar(path)
        return (
            beside["fingerprint"] == fingerprint
            and len(correct_images(path)) == beside["test_images"]
            and isinstance(beside["weights"]["final"], str)
            and tuple(header[: len(COLUMNS)]) == COLUMNS
            and [row[0] for row in rows] == [str(epoch) for epoch in range(1, epochs + 1)]
            and all(len([float(value) for value in row]) == len(header) for row in rows)
        )
    except (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, csv.Error):
        return False


def remove_spent_states(study: Study, run: Run, folder: Path, states: Path) -> None:
    """Remove the states of the run's chain that no run without a whole record needs."""
    open_runs = [other for other in study.runs if not is_whole(other, folder, study.epochs)]
    open_states = {segment.state for other in open_runs for segment in study.chain(other)}
    for segment in study.chain(run):
        if segment.state not in open_states:
            (states / f"{segment.state}.state").unlink(missing_ok=True)


def sidecar(path: Path) -> dict[str, Any]:
    """The sidecar of a record, given the record's path."""
    return json.loads(path.with_suffix(".json").read_text())


def correct_images(path: Path) -> np.ndarray:
    """Which test images a record's final model gets right: bool `[N]`, in the order of the test set."""
    bits = np.load(path.with_name(path.name.removesuffix(".csv") + ".correct.npy"), allow_pickle=False)
    return np.unpackbits(bits, count=sidecar(path)["test_images"]).astype(bool)


def _rows(rows: list[dict[str, Any]]) -> str:
    columns = [*COLUMNS, *sorted(set().union(*rows) - set(COLUMNS))]
    lines = [",".join(columns)]
    lines += [",".join(repr(row.get(column, math.nan)) for column in columns) for row in rows]
    return "\n".join(lines) + "\n"
