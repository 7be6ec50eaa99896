"""A study with every key, and what must hold of a study that is refused or accepted."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from synthetic import ROOT

from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import Study, resolve, study_of
from temporal_shortcuts.study.reading import merged

Key = tuple[str | int, ...]
PUBLISHED = yaml.safe_load((ROOT / "config.yaml").read_text())


@pytest.fixture
def nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The test starts in an empty folder, and leaves it empty."""
    empty = tmp_path / "empty" / "here"
    empty.mkdir(parents=True)
    monkeypatch.chdir(empty)
    yield
    assert list((tmp_path / "empty").rglob("*")) == [empty]


def refused(config: Any, *words: Any, files: tuple[str | Path, ...] = ()) -> str:
    """The sentence with which a study is refused; it must be one, and hold these words."""
    try:
        resolve(config, files)
    except UserError as error:
        sentence = str(error)
    else:
        pytest.fail(f"passed silently: {words}")
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert len(sentence) < 700
    assert re.search(
        "must|allowed|may|cannot|needs|no such|has no|rename|remove|add it|give it|write|set |compares", sentence
    ), sentence
    assert all(str(word) in sentence for word in words), (words, sentence)
    return sentence


def changed(config: dict[str, Any], key: Key, value: Any) -> dict[str, Any]:
    """A copy with a value at a key; `DELETED` takes the key out."""
    config = copy.deepcopy(config)
    holder: Any = config
    for part in key[:-1]:
        holder = holder[part]
    if value is DELETED:
        del holder[key[-1]]
    else:
        holder[key[-1]] = value
    return config


DELETED = object()


def sound(study: Study) -> bool:
    """What must hold for every study that passes: it can be written, and every name stays within its folder."""
    assert study_of(json.loads(study.text())).text() == study.text()
    for run in study.runs:
        assert Path(os.path.normpath(f"results/{study.name}/{run.record}")).parts[:3] == (
            "results",
            study.name,
            "records",
        )
        assert len(Path(run.record).parts) == 3
        assert study.chain(run)[-1].stop == study.epochs
    for name, variant in study.variants.items():
        assert variant.against in {None, *study.variants} - {name}
    return True


def shown(value: Any) -> str:
    """How a sentence shows what was found, at least its beginning."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int) and abs(value) >= 2**63:
        return "2^63"
    return (ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value))[:40]


def is_simple(value: Any) -> bool:
    """Whether a complaint must be about the value itself, and not something in it."""
    return not isinstance(value, list | dict) or not value


RICH = merged(
    PUBLISHED,
    {
        "seeds": [0, 1],
        "protocol": {"average_from": 42},
        "endpoint": "averaged",
        "margin": 0.3,
        "data": {
            "checksum": "sha256:" + "0" * 64,
            "images_per_class": 100,
            "path": "../../my copy.tar.gz",
            "urls": ["https://example.org/x.tar.gz"],
            "archive_checksum": "md5:" + "f" * 32,
        },
        "variants": {
            "rich": {
                "label": "everything",
                "published": 0.9,
                "against": "bare",
                "seeds": [0, 1, 2],
                "model": "resnet18_published",
                "width": 7,
                "batch_size": 99,
                "learning_rate": 0.3,
                "momentum": 0.8,
                "weight_decay": 0.1,
                "schedule_epochs": 77,
                "augmentation": {"crop_padding": 2, "flip": False},
                "shortcut": {"kind": "epoch_res", "strength": 0.05, "onset": 3, "accounting": "published"},
            },
            "bare": {"learning_rate": 0.2, "seeds": [0, 1, 5, 2147483647], "against": None},
            "null_arm": {"shortcut": {"kind": "one_bit", "onset": 2}},
            "fresh": {"shortcut": {"kind": "fresh_order", "onset": 2, "stream": 3}},
            **dict.fromkeys(("lr_0.001", "batch_res_start", "epoch_res_start", "epoch_res_late")),
        },
        "grid": {"kinds": ["batch_res", "noise"], "strengths": [0.1], "onsets": [3, 5]},
        "claims": [
            {"id": "a", "text": "A", "test": "better", "variant": "rich", "than": "bare", "published": "1 against 2"},
            {
                "id": "b",
                "text": "B",
                "test": "not_better",
                "variant": "rich",
                "than": "bare",
                "margin": 0.5,
                "endpoint": "last5",
            },
            {"id": "c", "text": "C", "test": "best_of", "variant": "benchmark", "among": ["lr_0.1", "noise-0.1-3"]},
            {"id": "d", "text": "D", "test": "fails_to_converge", "variant": "lr_0.1", "threshold": 0.2},
        ],
    },
)
"""A study with every key."""


def at(key: Key) -> Any:
    value: Any = RICH
    for part in key:
        value = value[part]
    return value
