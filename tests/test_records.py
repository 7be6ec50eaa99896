"""Records: what they hold, that they are copied for a renamed variant, and which states are removed after them."""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import synthetic
import tiny
import torch

from temporal_shortcuts.analysis import records, tables
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import Run, Study, load_resolved
from temporal_shortcuts.training.states import read_facts, read_state, write_state
from temporal_shortcuts.training.trainer import weights_hash

ROOT = Path(__file__).parents[1]
VARIANTS = {"benchmark": {}, "batch": tiny.variant("batch_res", 2), "epoch": tiny.variant("epoch_res", 2)}


Trained = tuple[Study, dict[str, Path]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    study = tiny.tiny_study(variants=VARIANTS, epochs=3)
    return study, tiny.train_study(study, tmp_path_factory.mktemp("trained"))


@pytest.fixture
def recorded(trained: Trained, tmp_path: Path) -> tuple[Study, Run]:
    """The study, and the run of its variant `batch`, of which the record stands in `tmp_path`."""
    run = tiny.run_of(trained[0], "batch")
    records.write(run, trained[1]["batch"], tmp_path)
    return trained[0], run


def test_a_sidecar_says_where_test_means_validation(trained: Trained, tmp_path: Path) -> None:
    apart = replace(trained[0], data=trained[0].data.model_copy(update={"validation_per_class": 1}))
    for study, said in ((trained[0], None), (apart, "validation images")):
        run = tiny.run_of(study, "batch")
        records.write(run, tiny.train(tiny.scratch(study, "batch"), tmp_path), tmp_path)
        assert records.sidecar(tmp_path / run.record).get("evaluated_on") == said
        assert records.is_whole(run, tmp_path, study.epochs)


def test_a_record_holds_what_was_declared_found_and_measured(trained: Trained, tmp_path: Path) -> None:
    study, states = trained
    run = tiny.run_of(study, "epoch")
    records.write(run, states["epoch"], tmp_path)
    path = tmp_path / "records" / "epoch" / f"seed0-{run.fingerprint}.csv"
    assert sorted(file.name for file in path.parent.iterdir()) == sorted(Path(name).name for name in run.record_files)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    header = "epoch,learning_rate,train_loss,train_accuracy,test_loss,test_accuracy,test_accuracy_with_carry"
    assert path.read_text().startswith(header + "\n1,")
    facts = read_facts(states["epoch"])
    for row, fact in zip(rows, facts["rows"], strict=True):
        assert {key: float(value) for key, value in row.items()} == fact
        assert row["epoch"] == str(fact["epoch"])
        assert row["test_loss"] == repr(fact["test_loss"])
    sidecar = json.loads(path.with_suffix(".json").read_text())
    assert (sidecar["fingerprint"], sidecar["seed"], sidecar["forced"]) == (run.fingerprint, 0, False)
    assert (sidecar["data"], sidecar["settings"]["width"]) == (study.data.identity, 2)
    assert sidecar["settings"]["shortcut"] == tiny.KINDS["epoch_res"] | {"onset": 2}
    assert sidecar["test_images"] == sum(sidecar["test_classes"]) == 10
    assert (sidecar["classes"], sidecar["shared_images"]) == (list("abcdefghij"), 0)
    (environment,) = sidecar["environments"]
    assert environment["torch"] == torch.__version__
    assert environment["instruction_set"] == "avx2"
    assert not any("second" in key or "time" in key or "host" in key for key in [*sidecar, *environment])


def test_beside_a_record_stand_hashes_of_the_weights_and_a_bit_for_each_right_image(
    recorded: tuple[Study, Run], tmp_path: Path
) -> None:
    study, run = recorded
    weights = records.sidecar(tmp_path / run.record)["weights"]
    trainer = tiny.trainer_of(study, "batch")
    assert weights_hash(trainer.network) == weights["initial"]
    for _ in range(3):
        trainer.train_epoch()
    assert weights_hash(trainer.network) == weights["final"]
    kept = records.correct_images(tmp_path / run.record)
    assert kept.tolist() == trainer.evaluate()[1].tolist()
    assert kept.sum() / 10 == trainer.rows[-1]["test_accuracy"]
    assert np.load(tmp_path / run.record_files[2]).nbytes == 2


def test_a_damaged_or_foreign_state_gives_no_record(trained: Trained, tmp_path: Path) -> None:
    study, states = trained
    run = tiny.run_of(study, "batch")
    with pytest.raises(UserError, match="state of another run"):
        records.write(run, states["epoch"], tmp_path)
    damaged = tmp_path / "a.state"
    damaged.write_bytes(states["batch"].read_bytes()[:-1])
    with pytest.raises(UserError, match=r"a\.state is damaged.*delete it"):
        records.write(run, damaged, tmp_path)
    assert not (tmp_path / "records").exists()


def _edited(old: str, new: str) -> Callable[[Path], Any]:
    return lambda path: path.write_text(re.sub(old, new, path.read_text(), count=1))


def _sidecar_with(**changes: Any) -> Callable[[Path], None]:
    return lambda path: path.with_suffix(".json").write_text(json.dumps(records.sidecar(path) | changes))


def _cut(suffix: str, share: float) -> Callable[[Path], Any]:
    def cut(path: Path) -> None:
        content = path.with_suffix(suffix).read_bytes()
        path.with_suffix(suffix).write_bytes(content[: int(len(content) * share)])

    return cut


CONTRADICTIONS: dict[str, tuple[Callable[[Path], Any], str]] = {
    **{f"half of {name}": (_cut(name, 0.5), ".") for name in records.SUFFIXES},
    **{f"nothing of {name}": (_cut(name, 0), "none of a record") for name in records.SUFFIXES},
    **{f"no {name}": (lambda path, name=name: path.with_suffix(name).unlink(), "missing") for name in records.SUFFIXES},
    "a line short": (_edited("\n3,.*\n", "\n"), "epochs 1 to 3"),
    "accuracies set by hand": (
        lambda path: path.write_text(re.sub(r"(?m)^(\d.*,)[^,]+(,[^,]*)$", r"\g<1>0.55\2", path.read_text())),
        r"last epoch is 0\.55, but of the images in its \.correct\.npy \S+ are right",
    ),
    "another run's correct images": (
        lambda path: np.save(path.with_suffix(".correct.npy"), np.full(2, 255, np.uint8)),
        r"1\.0 are right",
    ),
    "another learning rate": (_sidecar_with(settings={}), "another settings"),
    "another seed": (_sidecar_with(seed=7), "another seed"),
    "more test images": (_sidecar_with(test_classes=[2] * 10), "contradict each other"),
    "a name too few": (_sidecar_with(classes=["a"]), "contradict each other"),
    "no hash": (_sidecar_with(weights={"final": "0"}), "no hash"),
    "an epoch twice": (_edited("\n3,", "\n2,"), "epochs 1 to 3"),
    "an epoch missing": (_edited(r"\n2,.*", ""), "epochs 1 to 3"),
    "a word": (_edited(r"\n2,[^,]*,", "\n2,two,"), "none of a record"),
    "a value more": (_edited("\n2,", "\n2,0.1,"), "no fraction from 0 to 1"),
    "another column": (_edited("test_accuracy,", "accuracy,"), "its columns are"),
    "more than all": (_edited(r",[^,]*\n3,", ",1.01\n3,"), "no fraction from 0 to 1"),
    "no accuracy": (_edited(r"[^,]*(,[^,]*)\n3,", r"nan\1\n3,"), "no fraction from 0 to 1"),
    "a file of before": (lambda path: path.with_suffix(".json").write_text("{}"), "none of a record"),
}


@pytest.mark.parametrize("contradiction", CONTRADICTIONS)
def test_a_record_that_its_own_files_contradict_is_named(
    recorded: tuple[Study, Run], tmp_path: Path, contradiction: str
) -> None:
    study, run = recorded
    change, said = CONTRADICTIONS[contradiction]
    assert records.is_there(run, tmp_path)
    assert records.is_whole(run, tmp_path, study.epochs)
    assert not records.is_whole(run, tmp_path, study.epochs + 1)
    change(tmp_path / run.record)
    assert records.is_there(run, tmp_path) == (not contradiction.startswith("no ."))
    assert re.search(said, records.damage(tmp_path / run.record, run, study.epochs) or "")
    one = replace(study, variants={"batch": study.variants["batch"]})
    with pytest.raises(UserError, match=rf"{re.escape(run.record)} .*{said}"):
        tables.collect(one, tmp_path)


def test_a_state_of_an_earlier_version_gives_no_record(tmp_path: Path) -> None:
    study = tiny.tiny_study(epochs=1)
    tensors, facts = read_state(tiny.train(tiny.scratch(study), tmp_path))
    del facts["test_set"]
    write_state(tmp_path / "old.state", tensors, facts)
    with pytest.raises(UserError, match=r"old\.state was made by an earlier version.*delete it"):
        records.write(study.runs[0], tmp_path / "old.state", tmp_path)
    assert not (tmp_path / "records").exists()


STUDIES = sorted((ROOT / "results").glob("*/study.json"))


@pytest.mark.parametrize("path", STUDIES, ids=lambda path: path.parent.name)
def test_committed_records_are_what_is_written_today(trained: Trained, tmp_path: Path, path: Path) -> None:
    """A change of what a record holds must come with all committed ones completed, and a line in CHANGELOG.md."""
    tiny_one = tiny.run_of(trained[0], "batch")
    records.write(tiny_one, trained[1]["batch"], tmp_path)
    today = records.sidecar(tmp_path / tiny_one.record)
    found_today = {key: value for key, value in today.items() if key not in records.declared(tiny_one)}
    study = load_resolved(path)
    for run in study.runs:
        record = path.parent / run.record
        if not records.is_there(run, path.parent):
            continue
        assert records.damage(record, run, study.epochs) is None, "columns among others"
        text, beside = record.with_suffix(".json").read_text(), records.sidecar(record)
        assert text == json.dumps(beside, indent=1, sort_keys=True) + "\n"
        declared = records.declared(run)
        assert {key: beside[key] for key in declared} == declared
        assert beside.keys() == declared.keys() | found_today.keys()
        assert beside["weights"].keys() == today["weights"].keys()
        for environment in beside["environments"]:
            assert environment.keys() == today["environments"][0].keys()


def test_line_endings_of_another_system_leave_a_record_whole(recorded: tuple[Study, Run], tmp_path: Path) -> None:
    study, run = recorded
    for name in run.record_files[:2]:
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes().replace(b"\n", b"\r\n"))
    assert records.is_whole(run, tmp_path, study.epochs)


def test_a_record_is_complete_once_its_csv_is_there(trained: Trained, tmp_path: Path) -> None:
    """Killed anywhere in the writing of the three files, what is there is never a record without its companions."""
    study, states = trained
    run = tiny.run_of(study, "batch")
    write, order = records.write_atomically, []
    records.write_atomically = lambda path, content: (order.append(path.name), write(path, content))
    try:
        records.write(run, states["batch"], tmp_path)
        records.copy(tmp_path / run.record, tmp_path / "records" / "copy" / Path(run.record).name)
    finally:
        records.write_atomically = write
    assert [name.endswith(".csv") for name in order] == [False, False, True] * 2


# -- states that nothing needs any more --------------------------------------------------------------------------------


def states_of(study: Study, folder: Path) -> set[str]:
    folder.mkdir()
    for name in study.segments:
        (folder / f"{name}.state").touch()
    (folder / "0123456789abcdef-final.state").touch()
    return {path.stem for path in folder.iterdir()}


def test_a_state_is_removed_when_the_last_run_that_needs_it_has_its_record(tmp_path: Path) -> None:
    study = tiny.tiny_study(seeds=(0, 1), variants=VARIANTS, epochs=3)
    left = states_of(study, tmp_path / "states")
    waiting = list(study.runs)
    while waiting:
        run = waiting.pop(0)
        synthetic.write_record(run, study, tmp_path)
        records.remove_spent_states(study, run, tmp_path, tmp_path / "states")
        needed = {segment.state for other in waiting for segment in study.chain(other)}
        done = {segment.state for segment in study.chain(run)}
        left -= done - needed
        assert {path.stem for path in (tmp_path / "states").iterdir()} == left
    assert left == {"0123456789abcdef-final"}  # of another study: not ours to remove


def test_a_state_stays_while_one_file_of_a_record_is_missing(tmp_path: Path) -> None:
    study = tiny.tiny_study(variants=VARIANTS, epochs=3)
    states_of(study, tmp_path / "states")
    run = tiny.run_of(study, "batch")
    synthetic.write_record(run, study, tmp_path)
    (tmp_path / run.record_files[2]).unlink()
    records.remove_spent_states(study, run, tmp_path, tmp_path / "states")
    assert (tmp_path / "states" / f"{run.fingerprint}-final.state").exists()


def test_no_loss_is_written_as_anything_but_a_number_or_nan() -> None:
    text = records._rows([{"epoch": 1, "learning_rate": 0.1, "train_loss": math.nan, "train_accuracy": 0.5} | TEST])
    assert text.splitlines()[1] == "1,0.1,nan,0.5,2.302585092994046,0.1"


TEST = {"test_loss": 2.302585092994046, "test_accuracy": 0.1}
