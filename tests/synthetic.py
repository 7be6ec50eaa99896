"""Results folders with invented records, for the tests of what comes after training."""

from __future__ import annotations

import atexit
import json
import runpy
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from temporal_shortcuts.analysis import records, tables
from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.study import Run, Study, resolve
from temporal_shortcuts.study import study_of as study_of_json
from temporal_shortcuts.study.reading import Source, merged, read

ROOT = Path(__file__).parents[1]


def study_of(*layers: str | Mapping[str, Any]) -> Study:
    """The study of files in studies/ and mappings, one merged on top of the other; without a file, of config.yaml with mappings."""
    files = [ROOT / "studies" / layer for layer in layers if isinstance(layer, str)] or [ROOT / "config.yaml"]
    config = Source(read(files[0]), files[:1]).config
    for layer in (*map(read, files[1:]), *(layer for layer in layers if not isinstance(layer, str))):
        config = merged(config, layer)
    if len(config["data"]["checksum"]) < 64:
        config["data"]["checksum"] = "sha256:" + "0" * 64
    return resolve(config)


EFFECTS = {"batch_res_late": 0.004, "batch_res_start": -0.05, "epoch_res_start": -0.3, "epoch_res-0.2-0": -0.3}
"""Fractions, added to the invented accuracies of a variant while its shortcut acts."""


def write_results(study: Study, folder: Path, test_images: int = 400) -> Path:
    """study.json, which is returned, and records as training would leave them."""
    study.write(folder / "study.json")
    for run in study.runs:
        write_record(run, study, folder, test_images)
    return folder / "study.json"


def write_record(run: Run, study: Study, folder: Path, test_images: int = 400) -> None:
    shared = np.random.default_rng(run.seed)
    own = np.random.default_rng(int(run.fingerprint, 16))
    settings, shortcut = run.trajectory.settings, run.trajectory.shortcut
    stuck = shortcut is not None and shortcut.get("accounting") == "published"
    epochs = np.arange(1, study.epochs + 1)
    top = 0.72 - 0.06 * abs(np.log10(settings["learning_rate"] / 0.01)) + shared.normal(0, 0.005)
    top = top + EFFECTS.get(run.variant, 0.0) * np.array(
        [run.trajectory.shortcut_at(epoch - 1) is not None for epoch in epochs]
    )
    curve = 0.1 + (top - 0.1) * (1 - np.exp(-epochs / (0.12 * study.epochs)))
    noise = [
        np.random.default_rng(int(run.trajectory.fingerprint_at(epoch), 16)).normal(0, 0.008)
        for epoch in epochs.tolist()
    ]
    test = np.clip(curve + noise, 0.05, 1)
    train = np.round(np.clip(curve + 0.05, 0.05, 1), 4)  # of 10,000 images
    test_with = test
    if stuck:
        test, test_with = np.full(study.epochs, 0.1), np.clip(0.8 * curve, 0.1, 1)
    loss = np.exp(-3 * train)
    if run.variant.endswith("diverged"):
        loss, test = np.where(epochs > 2, np.nan, loss), np.where(epochs > 2, 0.1, test)
    columns = {"epoch": epochs, "learning_rate": np.full(study.epochs, settings["learning_rate"]), "train_loss": loss}
    correct = shared.random(test_images) < np.linspace(0, 2, test_images) * test[-1]
    correct ^= own.random(test_images) < 0.05
    surplus = int(correct.sum()) - round(float(test[-1]) * test_images)  # the record's accuracy counts these images
    correct[own.permutation(np.flatnonzero(correct == (surplus > 0)))[: abs(surplus)]] ^= True
    columns |= {"train_accuracy": train, "test_loss": np.exp(-2 * test), "test_accuracy": np.round(test, 4)}
    columns["test_accuracy"][-1] = correct.mean()
    if settings["evaluate_with_carry"] and run.trajectory.average_from is None:
        columns["test_accuracy_with_carry"] = np.round(test_with, 4)
    if run.trajectory.average_from is not None:
        columns |= _averaged(test, epochs, run.trajectory.average_from, settings["evaluate_with_carry"])
    path = folder / run.record
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    path.write_text("\n".join([",".join(columns), *(",".join(map(repr, row)) for row in rows)]) + "\n")
    np.save(str(path).removesuffix(".csv") + ".correct.npy", np.packbits(correct))
    environment = {
        "device": "cpu",
        "instruction_set": "avx2",
        "processor": "a processor",
        "python": "3.11.2",
        "torch": "2.14.1",
    }
    sidecar = records.declared(run) | {
        "environments": [environment],
        "weights": {"initial": "0" * 64, "final": run.fingerprint * 4},
        "forced": False,
        "classes": list("abcdefghij"),
        "test_classes": [test_images // 10] * 10,
        "test_images": test_images,
        "shared_images": 0,
    }
    path.with_suffix(".json").write_text(json.dumps(sidecar))
    assert records.is_there(run, folder)


def _averaged(test: np.ndarray, epochs: np.ndarray, since: int, with_carry: bool) -> dict[str, np.ndarray]:
    """The columns of averaged weights: nan before there are any, and before the last epoch where only that has them."""
    mean = np.array([test[since - 1 : epoch].mean() if epoch >= since else np.nan for epoch in epochs])
    last = np.where(epochs == epochs[-1], np.round(mean + 0.02, 4), np.nan)
    columns = {
        "averaged_re_estimated_test_accuracy": last + 0.01,
        "averaged_test_accuracy": np.round(mean + 0.02, 4),
        "averaged_test_loss": np.exp(-2 * mean),
        "re_estimated_test_accuracy": last - 0.01,
    }
    carry = {"averaged_test_accuracy_with_carry": last, "test_accuracy_with_carry": np.round(test, 4)}
    return dict(sorted((columns | (carry if with_carry else {})).items()))


SMALL: dict[str, Any] = {
    "study": "small",
    "title": "A small invented study",
    "scale": "an invented scale that the tests look for",
    "data": {"name": "digits", "source": "digits", "checksum": "sha256:" + "0" * 64},
    "protocol": {"epochs": 8, "width": 8},
    "seeds": [0, 1, 2],
    "variants": {
        "batch_res_late": {"label": "batch_res after 6 epochs", "shortcut": {"onset": 6}},
        "epoch_res_late": {"label": "epoch_res after 6 epochs", "shortcut": {"onset": 6}},
        "null_arm": {"label": "null arm", "shortcut": {"kind": "one_bit", "onset": 6}},
    },
}
"""An overlay for `study_of`: all seven published variants and a null arm, in eight epochs."""

CARRY: dict[str, Any] = {
    "study": "carry",
    "protocol": {"epochs": 8, "width": 8, "evaluate_with_carry": True},
    "seeds": [0, 1],
    "variants": dict.fromkeys(["lr_0.001", "lr_0.1", "batch_res_start", "batch_res_late", "epoch_res_late"])
    | {
        "epoch_res_published": {
            "shortcut": {"kind": "epoch_res", "strength": 0.05, "onset": 0, "accounting": "published"}
        }
    },
    "claims": [],
}
"""An overlay like studies/slips.yaml: both accountings of epoch_res, evaluated with their carry too."""

SWEEP: dict[str, Any] = {
    "study": "sweep",
    "protocol": {"epochs": 6, "width": 8},
    "seeds": [0, 1, 2],
    "variants": dict.fromkeys(("lr_0.001", "lr_0.1"))
    | {f"{kind}_res_{when}": None for kind in ("batch", "epoch") for when in ("start", "late")},
    "grid": {"kinds": ["batch_res", "epoch_res"], "strengths": [0.05, 0.2], "onsets": [0, 4]},
    "claims": [],
}


def tabulated(folder: Path, *overlays: str | Mapping[str, Any]) -> tuple[Study, Tables]:
    """A study with invented records and its tables, all written into `folder`; made once in a session and copied then."""
    study = study_of(*overlays)
    shutil.copytree(_made(study.text()), folder, dirs_exist_ok=True)
    return study, Tables.read(folder, study)


@cache
def _made(text: str) -> Path:
    study = study_of_json(json.loads(text))
    folder = Path(tempfile.mkdtemp(prefix="synthetic-"))
    atexit.register(shutil.rmtree, folder)
    write_results(study, folder)
    metrics, runs = tables.collect(study, folder)
    tables.write_table(metrics, folder / "metrics.csv")
    tables.write_table(runs, folder / "runs.csv")
    runs, metrics = (tables.read_table(folder / name) for name in ("runs.csv", "metrics.csv"))
    for name, table in tables.tabulate(study, folder, runs, metrics).items():
        tables.write_table(table, folder / name)
    return folder


def run_program(name: str, *arguments: str | Path) -> int:
    """Run a program of workflow/scripts as from the command line, in this process; its exit status."""
    before, path = sys.argv, ROOT / "workflow" / "scripts" / f"{name}.py"
    sys.argv = [str(path), *map(str, arguments)] if path.is_file() else ["stage.py", name, *map(str, arguments)]
    try:
        runpy.run_path(str(path if path.is_file() else path.with_name("stage.py")), run_name="__main__")
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    return 0


def made_study(
    variants: Mapping[str, Mapping[str, Any]], claims: Sequence[Mapping[str, Any]] = (), **keys: Any
) -> Study:
    """A study of nothing but what is given: of each variant any of `against`, `published`, `settings`, as study.json has them."""
    common = {"seeds": [0], "against": None, "published": None, "settings": {}}
    return study_of_json(
        {
            "study": "made",
            "title": "A made study",
            "scale": "none",
            "data": {"source": "digits", "name": "digits", "checksum": "sha256:" + "0" * 64},
            "protocol": {},
            "seeds": [0],
            "benchmark": next(iter(variants)),
            "tolerance": 0.02,
            "variants": {
                name: common | {"label": name} | given | {"settings": {"shortcut": None} | given.get("settings", {})}
                for name, given in variants.items()
            },
            "claims": [{"text": claim["id"]} | claim for claim in claims],
        }
        | keys
    )
