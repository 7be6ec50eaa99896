"""The package in a notebook: the same numbers as the workflow's, and a network that can be used."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import made_data
import numpy as np
import pandas as pd
import pytest
import tiny
import torch
import yaml
from safetensors import safe_open
from tiny_study import ROOT, tiny_study

import temporal_shortcuts
from temporal_shortcuts import networks
from temporal_shortcuts.analysis import records
from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.data import images, sources
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.report import texts
from temporal_shortcuts.study import load_resolved, reading
from temporal_shortcuts.training.states import read_state, write_state
from temporal_shortcuts.training.trainer import DEVIATION, MEAN, weights_hash

VARIANT, SEED = "epoch_res_late", 3


def overlay() -> dict[str, Any]:
    """A study of seconds, whose late variant shares its first two epochs with the benchmark in the workflow."""
    return tiny_study() | {"seeds": [SEED], "extends": str(ROOT / "config.yaml")}


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("notebook")
    return temporal_shortcuts.train(overlay(), VARIANT, SEED, folder)


@pytest.fixture(scope="module")
def workflow(record: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The record that the workflow's segments give, with kept weights."""
    folder = tmp_path_factory.mktemp("workflow")
    study = temporal_shortcuts.read_study(overlay())
    run = tiny.run_of(study, VARIANT, SEED)
    data = images.open_images(_work(record) / "data" / study.data_folder, study.data.identity)
    assert len(study.chain(run)) > 1, "the run must share its prefix"
    states = [tiny.train(segment, folder, data) for segment in study.chain(run)]
    records.write(run, states[-1], folder, keep_weights=True)
    return folder / run.record


def _work(record: pd.DataFrame) -> Path:
    return Path(record.attrs["state"]).parents[1]


def test_a_run_in_a_notebook_has_the_bytes_of_the_workflow(record: pd.DataFrame, workflow: Path) -> None:
    pd.testing.assert_frame_equal(record, pd.read_csv(workflow), check_exact=True)
    assert record.attrs["fingerprint"] in workflow.name
    assert record.to_csv(index=False) == workflow.read_text()


def test_training_again_trains_nothing(record: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    again = temporal_shortcuts.train(overlay(), VARIANT, SEED, _work(record))
    pd.testing.assert_frame_equal(again, record, check_exact=True)
    assert "already there" in capsys.readouterr().out


def test_kept_weights_and_a_state_give_the_network_that_was_recorded(record: pd.DataFrame, workflow: Path) -> None:
    (weights,) = workflow.parent.glob("*.safetensors")
    kept, state = (temporal_shortcuts.load_network(path) for path in (weights, record.attrs["state"]))
    assert all(torch.equal(kept.state_dict()[name], tensor) for name, tensor in state.state_dict().items())
    study = temporal_shortcuts.read_study(overlay())
    data = images.open_images(_work(record) / "data" / study.data_folder, study.data.identity)
    right = kept.predict(data.test_images).argmax(1).numpy() == data.test_labels
    # a different order of summation may turn an image on the border, not more
    assert np.sum(right != records.correct_images(workflow)) <= 1
    assert right.mean() > 0.12, "the network must have learned something for this to mean anything"


@pytest.mark.parametrize("model", networks.names())
def test_a_file_says_which_network_it_is(tmp_path: Path, model: str) -> None:
    state = tiny.train_alone(tmp_path, model=model, epochs=1)
    records.save_weights(*read_state(state), tmp_path / "kept.safetensors")
    with safe_open(tmp_path / "kept.safetensors", "pt") as file:
        described = json.loads(file.metadata()["network"])
    names = {"classes": 10, "class_names": list(tiny.IMAGES.classes)}
    assert described == {"model": model, "width": 2, "mean": list(MEAN), "deviation": list(DEVIATION)} | names
    for path in (state, tmp_path / "kept.safetensors"):
        network = temporal_shortcuts.load_network(path)
        assert type(network) is type(networks.build(model, 2, 10, torch.Generator()))
        assert weights_hash(network) == read_state(state)[1]["final"]
        assert network(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


@pytest.mark.parametrize("model", ["resnet18", "resnet18_published"])
def test_files_of_an_earlier_version_say_nothing(tmp_path: Path, model: str) -> None:
    tensors, facts = read_state(tiny.train_alone(tmp_path, model=model, epochs=1))
    del facts["network"]
    records.save_weights(tensors, facts, tmp_path / "kept.safetensors")
    write_state(tmp_path / "kept.state", tensors, facts)
    for name in ("kept.safetensors", "kept.state"):
        assert weights_hash(temporal_shortcuts.load_network(tmp_path / name)) == facts["final"]


def digits(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    return {"source": "digits", "images_per_class": 20}


def image_folder(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Classes that are numbers: in the order of text, 10 comes before 2."""
    files = made_data.good_files(("1", "2", "10"), train=40, test=20)
    return {"source": "image_folder", "path": str(made_data.folder(folder / "numbers", files))}


def torchvision(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    """MNIST's own format, with dark images: their mean is far from CIFAR-10's."""
    source = np.random.default_rng(0)
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", 100), ("t10k", 50)):
        labels = np.arange(count, dtype=np.uint8) % 10
        pixels = source.integers(0, 40, (count, 28, 28), dtype=np.uint8)
        pixels[labels % 2 == 0, ::4] += 200
        (raw / f"{part}-images-idx3-ubyte").write_bytes(made_data.idx(pixels))
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(made_data.idx(labels))
    return {"source": "torchvision", "dataset": "MNIST", "path": str(folder)}


def cifar10(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Any]:
    files, _ = made_data.cifar_files(20)
    made_data.official_cifar10(files, patch)
    return {"source": "cifar10", "path": str(made_data.folder(folder / made_data.CIFAR_FOLDER, files))}


@pytest.mark.parametrize("source", [digits, image_folder, torchvision, cifar10])
def test_the_documented_lines_give_the_records_accuracy(
    source: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Image by image, for each source: with CIFAR-10's mean and deviation, the toy of torchvision was at 0.25 instead of 0.97."""
    data = source(tmp_path, monkeypatch)
    loaded = sources.load(data, tmp_path / "downloads")
    study = tiny.tiny_study(epochs=2, learning_rate=0.1, batch_size=16)
    run = study.runs[0]
    records.write(run, tiny.train(tiny.scratch(study), tmp_path, loaded), tmp_path, keep_weights=True)
    (path,) = (tmp_path / run.record).parent.glob("*.safetensors")
    for page in ("running.md", "adapting.md"):
        text = (ROOT / "docs" / page).read_text()
        (lines,) = re.findall(
            r"^(from temporal_shortcuts import load_network\n.*?)^```$", text, re.MULTILINE | re.DOTALL
        )
        names = {"path": path, "images": loaded.test_images}
        exec(re.sub(r"load_network\(.*\)", "load_network(path)", lines), names)
        right = names["probabilities"].argmax(1).numpy() == loaded.test_labels
        assert right.tolist() == records.correct_images(tmp_path / run.record).tolist()
        assert right.mean() == pd.read_csv(tmp_path / run.record)["test_accuracy"].iloc[-1]
        assert names["network"].classes == loaded.classes
        assert torch.allclose(names["probabilities"].sum(1), torch.ones(len(right)))


def test_images_of_another_form_are_refused(tmp_path: Path) -> None:
    network = temporal_shortcuts.load_network(tiny.train_alone(tmp_path, epochs=1))
    pixels = tiny.IMAGES.test_images
    for wrong in (pixels / 255, pixels.transpose(0, 2, 3, 1), pixels[0], pixels[:, :, :16], pixels.astype(int)):
        with pytest.raises(UserError, match=r"^images: found .* must be uint8 \[N, 3, 32, 32\]"):
            network.predict(wrong)
    assert network.predict(torch.from_numpy(pixels.copy())).equal(network.predict(pixels))
    assert network.predict(pixels[:1]).shape == (1, 10)
    with pytest.raises(UserError, match="load_network"):
        networks.build("resnet18", 2, 10, torch.Generator()).predict(pixels)


def test_configurations_are_merged_as_snakemake_merges_them() -> None:
    from snakemake.utils import update_config

    for path in sorted((ROOT / "studies").glob("*.yaml")):
        theirs = yaml.safe_load((ROOT / "config.yaml").read_text())
        update_config(theirs, yaml.safe_load(path.read_text()))
        assert reading.merged(reading.read(ROOT / "config.yaml"), reading.read(path)) == theirs, path


@pytest.mark.parametrize("seed", [1.0, True, "1", -1, 2**31, None])
def test_a_seed_is_a_plain_whole_number(seed: Any) -> None:
    with pytest.raises(UserError, match=r"seed: found .* must be a whole number from 0"):
        temporal_shortcuts.train(overlay(), "benchmark", seed)


def test_what_is_not_there_is_said_in_a_sentence() -> None:
    with pytest.raises(UserError, match="no variant 'batch_res': name one of benchmark,"):
        temporal_shortcuts.train(overlay(), "batch_res")
    with pytest.raises(UserError, match=r"studies/none.yaml cannot be read"):
        temporal_shortcuts.train("studies/none.yaml", "benchmark")
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        temporal_shortcuts.trian  # noqa: B018


def test_what_the_snakefile_imports_imports_no_torch() -> None:
    """It is read again for each job of a cluster, and checks its studies."""
    code = (
        "import sys, temporal_shortcuts.notebook, temporal_shortcuts.analysis.records, temporal_shortcuts.data.sources\n"
        "from temporal_shortcuts import networks; networks.names(); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_wheel_is_whole(tmp_path: Path) -> None:
    """What is installed needs no file of the repository: it reads a study and writes its texts, byte for byte."""
    source = tmp_path / "source"
    shutil.copytree(ROOT / "src", source / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for name in ("pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", tmp_path / "installed", source], check=True, capture_output=True)
    shutil.rmtree(source)
    shutil.copytree(ROOT / "results" / "demo", tmp_path / "demo", ignore=shutil.ignore_patterns("README*"))
    code = (
        "import sys; from pathlib import Path; from temporal_shortcuts.analysis.tables import Tables\n"
        "from temporal_shortcuts.report import texts; from temporal_shortcuts.study import load_resolved\n"
        "study = load_resolved('study.json'); texts.write_page(study, Tables.read(Path(), study), Path()); print(texts.__file__)"
    )
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "demo", env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.startswith(str(tmp_path / "installed"))
    study = load_resolved(tmp_path / "demo" / "study.json")
    ours = texts.page(study, Tables.read(tmp_path / "demo", study), tmp_path / "demo")
    assert (tmp_path / "demo" / "README.md").read_text(encoding="utf-8") == ours
