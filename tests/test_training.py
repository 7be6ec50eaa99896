"""The loop over epochs: schedule, augmentation, optimiser, evaluation, divergence, and what a job refuses."""

from __future__ import annotations

import json
import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch
from forks import TRAIN, Forks
from torch.nn import functional as F

from temporal_shortcuts.analysis import records
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import Study
from temporal_shortcuts.study.declared import Settings
from temporal_shortcuts.training import numerics
from temporal_shortcuts.training.states import read_facts
from temporal_shortcuts.training.trainer import Batches, learning_rate, weights_hash


class Killed(Exception):
    pass


# -- batches -----------------------------------------------------------------------------------------------------------


def batches_of(seed: int = 0, n: int = 50, **settings: Any) -> tuple[Batches, Any]:
    images = tiny.images_of_noise(n)
    return Batches(images, Settings.model_validate({"batch_size": 16} | settings), seed, torch.device("cpu")), images


def normalised(pixels: np.ndarray) -> np.ndarray:
    """`[3, 32, 32]` uint8 -> the same in the published normalisation, in double precision."""
    mean, deviation = np.array([0.4914, 0.4822, 0.4465]), np.array([0.2023, 0.1994, 0.2010])
    return (pixels / 255 - mean[:, None, None]) / deviation[:, None, None]


@pytest.mark.parametrize(("padding", "flip"), [(4, True), (4, False), (0, True), (0, False), (2, True)])
def test_a_batch_is_each_image_padded_cropped_and_flipped(padding: int, flip: bool) -> None:
    """Against a crop and flip of one image after the other, for the corners and flips that were drawn."""
    batches, images = batches_of(augmentation={"crop_padding": padding, "flip": flip})
    seen: set[tuple[int, int, bool]] = set()
    for epoch in range(3):
        batches.start_epoch(epoch)
        for step in range(batches.steps):
            got, labels = batches.training_batch(step)
            assert got.is_contiguous(memory_format=torch.channels_last)
            for row in range(len(got)):
                k = step * 16 + row
                image, top, left = int(batches.order[k]), int(batches.corners[0, k]), int(batches.corners[1, k])
                mirrored = bool(batches.mirrored[k])
                padded = np.zeros((3, 32 + 2 * padding, 32 + 2 * padding), dtype=np.uint8)
                padded[:, padding : padding + 32, padding : padding + 32] = images.train_images[image]
                cropped = padded[:, top : top + 32, left : left + 32]
                wanted = normalised(cropped[:, :, ::-1] if mirrored else cropped)
                np.testing.assert_allclose(got[row].numpy(), wanted, rtol=0, atol=2e-6)
                assert labels[row] == images.train_labels[image]
                seen.add((top, left, mirrored))
    assert {top for top, _, _ in seen} == {left for _, left, _ in seen} == set(range(2 * padding + 1))
    assert {mirrored for _, _, mirrored in seen} == ({False, True} if flip else {False})


def test_each_image_comes_once_an_epoch_and_each_epoch_is_another() -> None:
    batches, _ = batches_of()
    orders = []
    for epoch in range(3):
        batches.start_epoch(epoch)
        assert sorted(batches.order.tolist()) == list(range(50))
        assert sum(len(batches.training_batch(step)[0]) for step in range(batches.steps)) == 50
        orders.append(batches.order.tolist())
    assert orders[0] != orders[1] != orders[2] != orders[0]
    again, _ = batches_of()
    again.start_epoch(2)
    assert again.order.tolist() == orders[2]  # without the epochs before it
    other, _ = batches_of(seed=1)
    other.start_epoch(2)
    assert other.order.tolist() != orders[2]


def test_test_images_are_normalised_and_nothing_else() -> None:
    batches, images = batches_of()
    wanted = np.stack([normalised(image) for image in images.test_images[3:7]])
    np.testing.assert_allclose(batches.test_batch(3, 4).numpy(), wanted, rtol=0, atol=2e-6)


# -- evaluation --------------------------------------------------------------------------------------------------------


def test_evaluation_is_over_all_test_images_by_the_plain_network() -> None:
    """260 images: one batch of 250 and a rest."""
    images = tiny.images_of_noise(20, 260)
    trainer = tiny.trainer_of(tiny.tiny_study(width=4), images=images)
    trainer.train_epoch()
    loss, right = trainer.evaluate()
    with torch.no_grad():
        pixels = np.stack([normalised(image) for image in images.test_images])
        logits = trainer.network.eval()(torch.from_numpy(pixels).float())
    labels = torch.from_numpy(images.test_labels)
    assert loss == pytest.approx(float(F.cross_entropy(logits, labels)), rel=1e-5)
    assert right.shape == (260,)
    margins = logits.topk(2).values
    sure = margins[:, 0] - margins[:, 1] > 1e-4
    assert int(sure.sum()) > 250
    assert torch.equal(right[sure], (logits.argmax(1) == labels)[sure])
    row = trainer.rows[-1]
    assert row["test_loss"] == loss
    assert row["test_accuracy"] == int(right.sum()) / 260


def test_training_loss_and_accuracy_are_means_over_the_images() -> None:
    trainer = tiny.trainer_of(tiny.tiny_study())
    logits: list[tuple[torch.Tensor, torch.Tensor]] = []
    forward = trainer.forward

    def watched(images: torch.Tensor, hook: Any) -> torch.Tensor:
        result = forward(images, hook)
        logits.append((result.detach(), trainer.batches.training_batch(trainer.step)[1]))
        return result

    trainer.forward = watched
    trainer.train_epoch()
    both = [torch.cat(part) for part in zip(*logits, strict=True)]
    assert trainer.rows[0]["train_loss"] == pytest.approx(float(F.cross_entropy(*both)), rel=1e-5)
    assert trainer.rows[0]["train_accuracy"] == pytest.approx(float((both[0].argmax(1) == both[1]).float().mean()))


# -- divergence --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def diverged(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, dict[str, Path]]:
    """A study whose learning rate is too large, with branches after the divergence."""
    variants = {"benchmark": {}, "after": tiny.variant("batch_res", 3), "at": tiny.variant("epoch_res", 2)}
    study = tiny.tiny_study(variants=variants, learning_rate=100.0, weight_decay=1.0, epochs=5)
    work = tmp_path_factory.mktemp("diverged")
    return study, tiny.train_study(study, work)


def test_a_diverged_run_goes_on_as_nan_at_chance(diverged: tuple[Study, dict[str, Path]], tmp_path: Path) -> None:
    """nan from the epoch on in which the loss stopped being finite; the network says class 0 to everything then."""
    study, states = diverged
    for name, state in states.items():
        rows = read_facts(state)["rows"]
        assert [row["epoch"] for row in rows] == [1, 2, 3, 4, 5]
        assert [math.isnan(row["train_loss"]) for row in rows] == [False, False, True, True, True]
        for row in rows[2:]:
            assert row["test_accuracy"] == row["test_accuracy_with_carry"] == 0.1
            assert row["learning_rate"] == learning_rate(study.protocol, row["epoch"] - 1)
        run = tiny.run_of(study, name)
        records.write(run, state, tmp_path)
        lines = [line.split(",") for line in (tmp_path / run.record).read_text().splitlines()]
        assert [line[2] for line in lines[3:]] == ["nan"] * 3
        assert records.correct_images(tmp_path / run.record).sum() == 1  # the one image of class 0


def test_a_diverged_run_resumes_as_it_was(diverged: tuple[Study, dict[str, Path]], tmp_path: Path) -> None:
    study, _ = diverged
    lines: list[str] = []

    def die(line: str) -> None:
        lines.append(line)
        if line.startswith("epoch"):
            raise Killed

    for _ in range(5):
        with pytest.raises(Killed):
            tiny.train(tiny.scratch(study, "at"), tmp_path / "killed", say=die)
    killed = tiny.train(tiny.scratch(study, "at"), tmp_path / "killed")
    assert killed.read_bytes() == tiny.train(tiny.scratch(study, "at"), tmp_path / "alone").read_bytes()


# -- environments --------------------------------------------------------------------------------------------------------


def begin(study: Study, work: Path) -> None:
    """Train a run's first epoch and die."""

    def die(_: str) -> None:
        raise Killed

    with pytest.raises(Killed):
        tiny.train(tiny.scratch(study), work, say=die)


def elsewhere(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    found = numerics.environment
    monkeypatch.setattr(numerics, "environment", lambda *arguments: found(*arguments) | changes)


@pytest.mark.parametrize("key", ["torch", "device", "instruction_set", "precision"])
def test_another_numeric_environment_is_refused_with_the_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    study = tiny.tiny_study()
    begin(study, tmp_path)
    elsewhere(monkeypatch, **{key: "another"})
    with pytest.raises(UserError, match=f"begun with {key} '.*' and would go on with 'another'.*force_environment"):
        tiny.train(tiny.scratch(study), tmp_path)
    assert not list((tmp_path / "states").glob("*.state"))


def test_forced_environments_are_marked_in_the_sidecar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = tiny.tiny_study()
    begin(study, tmp_path)
    elsewhere(monkeypatch, torch="1.0")
    state = tiny.train(tiny.scratch(study), tmp_path, force=True)
    run = tiny.run_of(study, "benchmark")
    records.write(run, state, tmp_path)
    sidecar = json.loads((tmp_path / run.record).with_suffix(".json").read_text())
    assert sidecar["forced"] is True
    assert [one["torch"] for one in sidecar["environments"]] == [torch.__version__, "1.0"]


def test_another_processor_or_python_is_admitted_and_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tiny.tiny_study()
    begin(study, tmp_path)
    elsewhere(monkeypatch, processor="another", python="3.99.0")
    facts = read_facts(tiny.train(tiny.scratch(study), tmp_path))
    assert len(facts["environments"]) == 2
    assert facts["forced"] is False
    alone = read_facts(tiny.train(tiny.scratch(study), tmp_path / "alone"))
    assert len(alone["environments"]) == 1


def test_a_parents_environment_counts_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = tiny.tiny_study(variants={"benchmark": {}, "it": tiny.variant("batch_res", 1)})
    trunk, branch = study.chain(tiny.run_of(study, "it"))
    tiny.train(trunk, tmp_path)
    elsewhere(monkeypatch, torch="1.0")
    with pytest.raises(UserError, match=r"torch '.*' and would go on with '1\.0'"):
        tiny.train(branch, tmp_path)
    assert read_facts(tiny.train(branch, tmp_path, force=True))["forced"] is True


def test_pinning_after_torch_is_refused() -> None:
    with pytest.raises(UserError, match="torch was imported before"):
        numerics.pin("avx512")
    numerics.pin("avx2")  # as it is pinned already


# -- states that do not fit ----------------------------------------------------------------------------------------------


def test_a_missing_or_damaged_parent_is_said(tmp_path: Path) -> None:
    study = tiny.tiny_study(variants={"benchmark": {}, "it": tiny.variant("batch_res", 1)})
    trunk, branch = study.chain(tiny.run_of(study, "it"))
    with pytest.raises(UserError, match=f"{trunk.state}.state, the state that this segment starts from, is not there"):
        tiny.train(branch, tmp_path)
    parent = tiny.train(trunk, tmp_path)
    whole = parent.read_bytes()
    parent.write_bytes(whole[:-1])
    with pytest.raises(UserError, match=f"{trunk.state}.state is damaged.*delete it"):
        tiny.train(branch, tmp_path)
    parent.write_bytes(whole)
    tiny.train(branch, tmp_path)


def test_a_state_of_another_run_is_refused(tmp_path: Path) -> None:
    study = tiny.tiny_study(variants={"benchmark": {}, "it": tiny.variant("batch_res", 1)}, epochs=2)
    trunk, branch = study.chain(tiny.run_of(study, "it"))
    other = tiny.train(tiny.scratch(tiny.tiny_study(learning_rate=0.5, epochs=1)), tmp_path)
    other.rename(tmp_path / "states" / f"{trunk.state}.state")
    with pytest.raises(UserError, match="belongs to another run"):
        tiny.train(branch, tmp_path)


def test_an_output_is_kept_when_whole_and_made_again_when_damaged(tmp_path: Path) -> None:
    segment = tiny.scratch(tiny.tiny_study(epochs=2))
    output = tiny.train(segment, tmp_path)
    whole, lines = output.read_bytes(), []
    before = output.stat().st_mtime_ns
    tiny.train(segment, tmp_path, say=lines.append)
    assert lines == [f"{output} is already there"]
    assert output.stat().st_mtime_ns == before
    output.write_bytes(whole[:-5])
    tiny.train(segment, tmp_path, say=lines.append)
    assert "damaged" in lines[1]
    assert output.read_bytes() == whole
    assert [path.name for path in (tmp_path / "segments" / segment.state).iterdir()] == ["lock"]
    assert not list((tmp_path / "progress").iterdir())


# -- two at once ---------------------------------------------------------------------------------------------------------


def test_a_second_job_waits_and_goes_on_when_the_first_is_killed(forks: Forks, data: Path, tmp_path: Path) -> None:
    study = tiny.tiny_study(variants={"it": tiny.variant("epoch_res", 1)})
    segment = tiny.scratch(study, "it")
    study.write(tmp_path / "study.json")
    command = [TRAIN, "--study", tmp_path / "study.json", "--state", segment.state, "--data", data, "--work", tmp_path]
    logs = [tmp_path / "first.log", tmp_path / "second.log"]
    first = forks.start(*command, log=logs[0], at="step 1 1", send=signal.SIGSTOP)
    assert forks.wait(first) == -signal.SIGSTOP, logs[0].read_text()
    second = forks.start(*command, log=logs[1])
    while "waiting for it" not in (logs[1].read_text() if logs[1].exists() else ""):
        time.sleep(0.02)
    time.sleep(0.2)
    assert "going on" not in logs[1].read_text()
    os.kill(first, signal.SIGKILL)
    assert forks.wait(first) == -signal.SIGKILL
    assert forks.wait(second) == 0, logs[1].read_text()
    assert "going on from epoch 1, step 0" in logs[1].read_text()
    state = tmp_path / "states" / f"{segment.state}.state"
    assert state.read_bytes() == tiny.train(segment, tmp_path / "alone").read_bytes()


def test_a_second_job_finds_the_firsts_output(forks: Forks, data: Path, tmp_path: Path) -> None:
    study = tiny.tiny_study()
    segment = tiny.scratch(study)
    study.write(tmp_path / "study.json")
    command = [TRAIN, "--study", tmp_path / "study.json", "--state", segment.state, "--data", data, "--work", tmp_path]
    log = tmp_path / "log"
    children = [forks.start(*command, log=log) for _ in range(3)]
    assert [forks.wait(child) for child in children] == [0, 0, 0], log.read_text()
    assert log.read_text().count("epoch   1 of 4") == 1
    assert log.read_text().count("is already there") == 2


# -- for people ----------------------------------------------------------------------------------------------------------


def test_the_hash_of_weights_sees_each_bit_and_no_layout() -> None:
    network = tiny.trainer_of(tiny.tiny_study()).network
    before = weights_hash(network)
    assert weights_hash(network.to(memory_format=torch.contiguous_format)) == before
    with torch.no_grad():
        network.norm.running_var.view(torch.int32)[1] ^= 1
    assert weights_hash(network) != before


# -- settings of the protocol that a GPU wants, as far as a CPU can run them -----------------------------------------------


BF16 = [None, "batch_res", "epoch_res"]
BF16 += [pytest.param(kind, marks=pytest.mark.slow) for kind in tiny.KINDS if kind not in BF16]


@pytest.mark.parametrize("kind", BF16)
def test_bf16_repeats_and_is_an_arithmetic_of_its_own(tmp_path: Path, kind: str | None) -> None:
    shortcut = None if kind is None else tiny.KINDS[kind] | {"onset": 1}
    hashes = [
        read_facts(tiny.train_alone(tmp_path / name, shortcut, precision=precision))["final"]
        for name, precision in (("one", "bf16"), ("two", "bf16"), ("full", "fp32"))
    ]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["batch_res", "epoch_res"])
def test_a_compiled_run_is_the_same_in_a_study_and_alone(tmp_path: Path, kind: str) -> None:
    """Width 8, since the compiler's kernels of narrower layers take minutes to build."""
    study = tiny.tiny_study(variants={"benchmark": {}, "it": tiny.variant(kind, 2)}, compile=True, width=8)
    finals = tiny.train_study(study, tmp_path / "shared")
    for name, final in finals.items():
        alone = tiny.train(tiny.scratch(study, name), tmp_path / "alone")
        assert tiny.numbers(final) == tiny.numbers(alone)
    eager = tiny.tiny_study(variants={"it": tiny.variant(kind, 2)}, width=8)
    others = tiny.train(tiny.scratch(eager, "it"), tmp_path)
    assert read_facts(others)["final"] != read_facts(finals["it"])["final"]
