"""The mean of the weights: what it is, that it changes no step of training, and that a resume and a branch keep it."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tiny
import torch

from temporal_shortcuts.analysis import records
from temporal_shortcuts.study import Study, columns
from temporal_shortcuts.study.outputs import carry_variants
from temporal_shortcuts.training.averaging import WeightAverage, re_estimated
from temporal_shortcuts.training.states import read_facts, read_state

VARIANTS = {"benchmark": {}} | {kind: tiny.variant(kind, 2) for kind in tiny.KINDS}
LAST_ONLY = ("averaged_re_estimated_test_accuracy", "re_estimated_test_accuracy", "averaged_test_accuracy_with_carry")


def without_averages(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in row.items() if key in (*columns.COLUMNS, columns.WITH_CARRY)} for row in rows]


States = Callable[[int | None], tuple[Study, dict[str, Path]]]


@pytest.fixture(scope="module")
def states(tmp_path_factory: pytest.TempPathFactory) -> States:
    """A study of all kinds and its final states, the mean being taken from an epoch on, or not at all; each is trained once."""

    @cache
    def trained(average_from: int | None) -> tuple[Study, dict[str, Path]]:
        averaging = {} if average_from is None else {"average_from": average_from}
        study = tiny.tiny_study(variants=VARIANTS, **averaging)
        return study, tiny.train_study(study, tmp_path_factory.mktemp("states"))

    return trained


@pytest.mark.parametrize(("average_from", "alone"), [(1, ("benchmark", "epoch_res")), (3, tuple(VARIANTS))])
def test_no_step_of_training_changes_and_branches_keep_the_mean(
    states: States, tmp_path: Path, average_from: int, alone: tuple[str, ...]
) -> None:
    """Without the mean, weights and rows are the same. Branches end as runs that share nothing, before, at and after the onset."""
    (study, averaged), (_, bare) = states(average_from), states(None)
    for name in VARIANTS:
        facts, before = read_facts(averaged[name]), read_facts(bare[name])
        assert without_averages(facts["rows"]) == before["rows"]
        assert (facts["final"], facts["correct"]) == (before["final"], before["correct"])
    for name in alone:
        state = tiny.train(tiny.scratch(study, name), tmp_path)
        assert state.read_bytes() == averaged[name].read_bytes(), name


def test_a_run_that_is_stopped_at_each_step_ends_as_one_that_is_not(tmp_path: Path) -> None:
    study = tiny.tiny_study(variants={"it": tiny.variant("epoch_res", 2)}, average_from=2)
    state = tiny.train(tiny.scratch(study, "it"), tmp_path)
    tensors, facts = read_state(state)

    class Stopped(Exception):
        pass

    def stop() -> None:
        raise Stopped

    trainer = tiny.trainer_of(study, "it")
    while trainer.epoch < study.epochs:
        step = trainer.step
        with suppress(Stopped):
            trainer.train_epoch(stop)
        assert trainer.step != step or trainer.epoch == study.epochs
        again = tiny.trainer_of(study, "it")
        again.load(*trainer.state())
        trainer = again
    assert trainer.rows == facts["rows"]
    for name, tensor in trainer.state()[0].items():
        assert torch.equal(tensor, tensors[name]), name


def test_the_mean_is_that_of_the_weights_after_each_epoch(tmp_path: Path) -> None:
    """Against plain numpy, on the weights of runs that are trained to each epoch."""
    weights = []
    for epochs in (2, 3, 4):
        tensors, _ = read_state(tiny.train_alone(tmp_path / str(epochs), epochs=epochs))
        weights.append(records.network_weights(tensors))
    state = tiny.train_alone(tmp_path / "mean", average_from=2)
    sums = {
        key.removeprefix("average."): value for key, value in read_state(state)[0].items() if key.startswith("average.")
    }
    assert set(sums) == set(weights[0])
    for name, value in sums.items():
        np.testing.assert_allclose(value / 3, np.mean([one[name].double().numpy() for one in weights], axis=0))
    trainer = tiny.trainer_of(tiny.tiny_study())
    average = WeightAverage()
    average.load(sums)
    loss, right = trainer.evaluate(average.mean_of(trainer.network, 3))
    row = read_facts(state)["rows"][-1]
    assert (loss, int(right.sum()) / len(right)) == (row["averaged_test_loss"], row["averaged_test_accuracy"])


def test_statistics_estimated_again_are_those_of_the_images_and_the_network_is_left_alone() -> None:
    trainer = tiny.trainer_of(tiny.tiny_study())
    trainer.train_epoch()
    before = {name: tensor.clone() for name, tensor in trainer.network.state_dict().items()}
    batches = list(trainer._full_batches())
    assert [len(batch) for batch in batches] == [tiny.BATCH] * 2, "full batches only"
    network = re_estimated(trainer.network, batches)
    with torch.no_grad():
        stems = [trainer.network.conv(batch) for batch in batches]
    mean = torch.stack([stem.mean((0, 2, 3)) for stem in stems]).mean(0)
    variance = torch.stack([stem.var((0, 2, 3)) for stem in stems]).mean(0)
    torch.testing.assert_close(network.norm.running_mean, mean)
    torch.testing.assert_close(network.norm.running_var, variance)
    assert torch.equal(network.conv.weight, trainer.network.conv.weight)
    assert all(torch.equal(tensor, before[name]) for name, tensor in trainer.network.state_dict().items())


def test_with_carry_and_without_are_one_number_where_nothing_is_carried(states: States) -> None:
    _, averaged = states(3)
    for name in ("benchmark", "fresh_order", "one_bit"):
        row = read_facts(averaged[name])["rows"][-1]
        assert row["averaged_test_accuracy_with_carry"] == row["averaged_test_accuracy"]
        assert row["test_accuracy_with_carry"] == row["test_accuracy"]


def test_the_record_has_the_columns_and_nothing_before_its_time(tmp_path: Path) -> None:
    study = tiny.tiny_study(average_from=3)
    state = tiny.train(tiny.scratch(study), tmp_path)
    run = tiny.run_of(study, "benchmark")
    records.write(run, state, tmp_path)
    record = pd.read_csv(tmp_path / run.record)
    assert list(record.columns) == columns.columns_of(tiny.run_of(study, "benchmark").trajectory)
    for column in record.columns.difference([*columns.COLUMNS, columns.WITH_CARRY]):
        first = tiny.EPOCHS if column in LAST_ONLY else 3
        assert list(record.loc[record[column].notna(), "epoch"]) == list(range(first, tiny.EPOCHS + 1)), column
    assert records.sidecar(tmp_path / run.record)["settings"]["average_from"] == 3


def test_extra_evaluations_of_the_last_epoch_alone_give_the_same_weights_and_endpoints(tmp_path: Path) -> None:
    kinds = {"benchmark": {}, "batch_res": tiny.variant("batch_res", 2), "epoch_res": tiny.variant("epoch_res", 2)}
    often, once = (
        tiny.tiny_study(variants=kinds, average_from=2, extra_evaluations=when) for when in ("each_epoch", "last_epoch")
    )
    of_each, of_last = tiny.train_study(often, tmp_path / "often"), tiny.train_study(once, tmp_path / "once")
    for name in kinds:
        each, last = read_facts(of_each[name]), read_facts(of_last[name])
        assert (each["final"], each["rows"][-1]) == (last["final"], last["rows"][-1])
        for before, row in zip(each["rows"][:-1], last["rows"][:-1], strict=True):
            assert row == {key: before[key] for key in columns.COLUMNS}
        run = tiny.run_of(once, name)
        records.write(run, of_last[name], tmp_path)
        assert records.is_whole(run, tmp_path, once.epochs)
    assert carry_variants(often) == ["batch_res", "epoch_res"]
    assert carry_variants(once) == [], "no curve of the carry, where there is one point of it"


@pytest.mark.parametrize("when", ["each_epoch", "last_epoch"])
def test_a_diverged_run_has_every_column(tmp_path: Path, when: str) -> None:
    """The mean of weights that are not numbers is none: chance, as the run itself."""
    diverging = {"learning_rate": 100.0, "weight_decay": 1.0, "average_from": 2, "extra_evaluations": when}
    row = read_facts(tiny.train_alone(tmp_path, **diverging))["rows"][-1]
    assert math.isnan(row["train_loss"]), "diverged"
    for column in (*LAST_ONLY, "averaged_test_accuracy", "test_accuracy_with_carry"):
        assert row[column] == row["test_accuracy"], column
    assert not math.isfinite(row["averaged_test_loss"])


def test_fresh_orders_part_at_the_onset_and_from_each_other(tmp_path: Path) -> None:
    streams = {f"stream{k}": tiny.variant("fresh_order", 2, stream=k) for k in (1, 2)}
    study = tiny.tiny_study(variants={"benchmark": {}} | streams)
    states = tiny.train_study(study, tmp_path)
    rows = {name: read_facts(state)["rows"] for name, state in states.items()}
    assert rows["stream1"][:2] == rows["stream2"][:2] == rows["benchmark"][:2]
    assert len({row[2]["train_loss"] for row in rows.values()}) == 3
    one, two = (study.chain(tiny.run_of(study, name)) for name in streams)
    assert one[0] == two[0], "one trunk"
