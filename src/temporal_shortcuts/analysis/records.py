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
import re
from collections.abc import Mapping, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from temporal_shortcuts.errors import UserError
from temporal_shortcuts.files import write_atomically
from temporal_shortcuts.study import Run, Study
from temporal_shortcuts.study.columns import COLUMNS, columns_of, ordered
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
    if "test_set" not in facts:
        raise UserError(
            f"{state} was made by an earlier version, which did not write down the names of the classes: delete it and run the same "
            "command again, which trains the run anew."
        )
    measured = {"initial": facts["initial"], "final": facts["final"]}
    found = {"weights": measured, "environments": facts["environments"], "forced": facts["forced"]}
    sidecar = declared(run) | found | facts["test_set"]
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


def declared(run: Run) -> dict[str, Any]:
    """The part of a run's sidecar that follows from its study."""
    trajectory = run.trajectory
    average = {} if trajectory.average_from is None else {"average_from": trajectory.average_from}
    shortcut = {"shortcut": trajectory.shortcut and dict(trajectory.shortcut)}
    kind = evaluated_images(trajectory.data)
    return {
        "fingerprint": run.fingerprint,
        "seed": run.seed,
        "data": trajectory.data,
        "settings": dict(trajectory.settings) | shortcut | average,
        **({} if kind == "test" else {"evaluated_on": f"{kind} images"}),
    }


def is_whole(run: Run, folder: Path, epochs: int) -> bool:
    """Whether the run's record is there and undamaged."""
    return damage(folder / run.record, run, epochs) is None


def equal_record(run: Run, folder: Path, epochs: int) -> Path | None:
    """A whole record of the same fingerprint under another variant's name, as after a renaming."""
    for path in sorted(folder.glob(f"records/*/seed{run.seed}-{run.fingerprint}.csv")):
        if path != folder / run.record and damage(path, run, epochs) is None:
            return path
    return None


def damage(path: Path, run: Run, epochs: int) -> str | None:
    """What is wrong with the record of a run, as far as its three files and the study tell; None if nothing is."""
    try:
        header, *rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))
        beside, right = sidecar(path), correct_images(path)
        other = [key for key, value in declared(run).items() if beside[key] != value]
        if other:
            return f"its sidecar (.json) is of a run with another {other[0]}"
        if len(right) != sum(beside["test_classes"]) or len(beside["classes"]) != len(beside["test_classes"]):
            return "the numbers of test images and classes in its sidecar (.json) contradict each other"
        if not re.fullmatch("[0-9a-f]{64}", beside["weights"]["final"]):
            return "its sidecar (.json) has no hash of the final weights"
        if header != (expected := columns_of(run.trajectory)):
            return f"its columns are {','.join(header)} instead of {','.join(expected)}"
        if [row[0] for row in rows] != [str(epoch) for epoch in range(1, epochs + 1)]:
            return f"it does not hold the epochs 1 to {epochs}, one row each"
        for row in rows:
            for name, value in zip(header, map(float, row), strict=True):
                known = name in COLUMNS or not math.isnan(value)  # nan before there are averaged weights
                if "accuracy" in name and known and not 0 <= value <= 1:
                    return f"it has a {name} that is no fraction from 0 to 1"
        stated, counted = float(rows[-1][COLUMNS.index("test_accuracy")]), int(right.sum()) / len(right)
        if stated != counted:
            return f"the test_accuracy of its last epoch is {stated}, but of the images in its .correct.npy {counted} are right"
    except (OSError, ValueError, TypeError, KeyError, IndexError, EOFError, csv.Error) as error:
        return f"one of its three files is missing, cut short or none of a record ({type(error).__name__}: {error})"
    return None


def open_states(study: Study, folder: Path) -> set[str]:
    """The states of a study that its runs without a whole record need."""
    runs = [run for run in study.runs if not is_whole(run, folder, study.epochs)]
    return {segment.state for run in runs for segment in study.chain(run)}


def remove_spent_states(study: Study, run: Run, folder: Path, states: Path, needed: Set[str] = frozenset()) -> None:
    """Remove the states of the run's chain that no run without a whole record needs; `needed` are those of other studies."""
    kept = open_states(study, folder) | needed
    for segment in study.chain(run):
        if segment.state not in kept:
            (states / f"{segment.state}.state").unlink(missing_ok=True)


def sidecar(path: Path) -> dict[str, Any]:
    """The sidecar of a record, given the record's path."""
    return json.loads(path.with_suffix(".json").read_text())


def correct_images(path: Path) -> np.ndarray:
    """Which test images a record's final model gets right: bool `[N]`, in the order of the test set."""
    bits = np.load(path.with_name(path.name.removesuffix(".csv") + ".correct.npy"), allow_pickle=False)
    return np.unpackbits(bits, count=sidecar(path)["test_images"]).astype(bool)


def _rows(rows: list[dict[str, Any]]) -> str:
    columns = ordered(set().union(*rows))
    lines = [",".join(columns)]
    lines += [",".join(repr(row.get(column, math.nan)) for column in columns) for row in rows]
    return "\n".join(lines) + "\n"
