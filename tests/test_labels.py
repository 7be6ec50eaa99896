"""Labels and claims' texts say what the runs have: from the settings, or in a person's words while these hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from synthetic import ROOT

from temporal_shortcuts.catalogue import read_study
from temporal_shortcuts.study import Study

DATA = {"source": "digits", "checksum": "sha256:" + "0" * 64}
LATE = {"kind": "batch_res", "strength": 0.05, "onset": 2}


def own(**keys: Any) -> Study:
    return read_study({"study": "own", "data": DATA, "seeds": [0], **keys})


def labels(study: Study) -> dict[str, str]:
    return {name: variant.label for name, variant in study.variants.items()}


def written(folder: Path, name: str, **keys: Any) -> Path:
    path = folder / name
    path.write_text(yaml.safe_dump(keys, sort_keys=False))
    return path


def test_a_study_on_top_of_the_published_one_is_called_what_it_has(tmp_path: Path):
    """Before, tables said "learning rate 0.001" and "batch_res after 41 epochs" of a study of three epochs."""
    variants = {"lr_0.001": {"learning_rate": 0.002}, "batch_res_late": {"shortcut": LATE}, "epoch_res_late": None}
    claims = read_study(ROOT / "config.yaml").resolved["claims"][:4]
    head = {"study": "mine", "extends": str(ROOT / "config.yaml"), "protocol": {"epochs": 3}}
    mine = read_study(written(tmp_path, "mine.yaml", **head, variants=variants, claims=claims))
    assert labels(mine)["lr_0.001"] == "learning rate 0.002"
    assert labels(mine)["batch_res_late"] == "batch_res after 2 epochs"
    assert mine.claims[0].text == "Of the learning rates 0.001, 0.01 and 0.1, 0.01 gives the best accuracy", "by hand"
    variants |= {"epoch_res_late": {"shortcut": {"onset": 2}}}
    inherited = read_study(written(tmp_path, "theirs.yaml", **head, variants=variants))
    texts = {claim.id: claim.text for claim in inherited.claims}
    assert texts["lr_0.01_best"] == "the baseline beats learning rate 0.002 and learning rate 0.1"
    assert texts["epoch_res_start_fails"] == "epoch_res from the start does not converge"
    assert texts["batch_res_late_gain"] == "batch_res after 2 epochs beats the baseline"


BASE = {
    "study": "base",
    "data": DATA,
    "seeds": [0],
    "protocol": {"learning_rate": 0.01},
    "variants": {
        "one": {"label": "a rate of 0.01"},
        "two": {"label": "twice as wide", "width": 128},
        "three": {"width": 32},
    },
    "claims": [
        {"id": "a", "text": "Width 128 beats a rate of 0.01", "test": "better", "variant": "two", "than": "one"},
        {"id": "b", "text": "Wider is better", "test": "better", "variant": "two", "than": "one"},
        {"id": "c", "test": "negligible", "variant": "three", "than": "one", "endpoint": "final"},
    ],
}
BOTH = ["a rate of 0.01", "twice as wide"]
SAID = ["Width 128 beats a rate of 0.01", "Wider is better"]


@pytest.mark.parametrize(
    ("overlay", "expected", "texts"),
    [
        ({}, BOTH, SAID),
        ({"protocol": {"device": "cpu"}, "seeds": [3]}, BOTH, SAID),
        ({"protocol": {"learning_rate": 0.1}}, ["baseline", "width 128"], ["width 128 beats the baseline", "Wider is better"]),
        ({"variants": {"two": {"width": 16}}}, ["a rate of 0.01", "width 16"], ["width 16 beats a rate of 0.01"] * 2),
        ({"variants": {"two": {"label": "narrow", "width": 16}}}, ["a rate of 0.01", "narrow"], ["narrow beats a rate of 0.01"] * 2),
        ({"variants": {"two": {"momentum": 0}}}, [BOTH[0], "width 128, no momentum"], ["width 128, no momentum beats a rate of 0.01"] * 2),
        ({"protocol": {"epochs": 10}}, ["baseline", "width 128"], SAID),
    ],
)  # fmt: skip
def test_words_hold_for_the_settings_beside_them(overlay: Any, expected: list[str], texts: list[str], tmp_path: Path):
    written(tmp_path, "base.yaml", **BASE)
    study = read_study(written(tmp_path, "mine.yaml", extends="base.yaml", study="mine", **overlay))
    assert list(labels(study).values())[:2] == expected
    assert [claim.text for claim in study.claims[:2]] == texts
    than = expected[0].replace("baseline", "the baseline")
    assert study.claims[2].text == f"width 32 is equivalent to {than} by final"
    asked = read_study(tmp_path / "base.yaml", overlay)  # as with --config
    assert (labels(asked), [claim.text for claim in asked.claims]) == (labels(study), [c.text for c in study.claims])


def test_a_title_and_a_scale_hold_for_the_protocol_and_images_that_they_were_written_for(tmp_path: Path):
    words = {"title": "At width 8", "scale": "width 8 instead of 64"}
    written(tmp_path, "base.yaml", **BASE | words | {"protocol": {"width": 8}})
    for overlay, holds in (
        ({}, True),
        ({"study": "mine", "seeds": [5], "variants": {"three": {"width": 4}}, "protocol": {"device": "cpu"}}, True),
        ({"protocol": {"width": 16}}, False),
        ({"data": {"images_per_class": 20}}, False),
    ):
        for study in (
            read_study(tmp_path / "base.yaml", overlay),
            read_study(written(tmp_path, "top.yaml", extends="base.yaml", **overlay)),
        ):
            assert ((study.title, study.scale) == tuple(words.values())) is holds
            assert holds or (study.title, study.scale.partition(",")[0]) == ("base", f"width {study.protocol.width}")


def test_a_margin_that_a_text_names_is_the_studys(tmp_path: Path):
    claim = {"id": "a", "text": "Within 0.3 points", "test": "negligible", "variant": "two", "than": "one"}
    written(tmp_path, "base.yaml", **BASE | {"margin": 0.3, "claims": [claim]})
    assert read_study(tmp_path / "base.yaml").claims[0].text == "Within 0.3 points"
    changed = read_study(tmp_path / "base.yaml", {"margin": 1})
    assert changed.claims[0].text == "twice as wide is equivalent to a rate of 0.01"


def test_a_label_says_all_that_sets_a_variant_apart():
    study = own(
        protocol={"schedule_epochs": 50},
        variants={
            "base": {},
            "plain": {"momentum": 0, "weight_decay": 0, "augmentation": {"crop_padding": 0, "flip": False}},
            "other": {"optimizer": "adamw", "learning_rate": 0.001, "schedule_epochs": 200, "against": None},
            "slip": {"shortcut": {"kind": "epoch_res", "strength": 0.05, "onset": 0, "accounting": "published"}},
            "mean": {"shortcut": {"kind": "epoch_res", "strength": 0.05, "onset": 1}, "against": "other"},
            "strong": {"shortcut": LATE | {"strength": 1}, "label_smoothing": 0.1},
            "weak": {"shortcut": LATE},
            "noise": {"shortcut": LATE | {"kind": "noise"}},
            "order": {"shortcut": {"kind": "fresh_order", "onset": 0, "stream": 2}},
            "bit": {"shortcut": {"kind": "one_bit", "onset": 3}},
        },
        grid={"kinds": ["mixed"], "strengths": [0.05, 0.2], "onsets": [4]},
    )
    assert labels(study) == {
        "base": "baseline",
        "plain": "no momentum, no weight decay, no random crops, no flips",
        "other": "baseline, learning rate 0.001, schedule of 200 epochs, AdamW",
        "slip": "epoch_res, published accounting, from the start",
        "mean": "epoch_res, corrected, after 1 epoch",
        "strong": "batch_res, strength 1, after 2 epochs, label smoothing 0.1",
        "weak": "batch_res, strength 0.05, after 2 epochs",
        "noise": "noise after 2 epochs",
        "order": "A/A control (another order of the images, stream 2, from the start)",
        "bit": "A/A control (one bit flipped after 3 epochs)",
        "mixed-0.05-4": "mixed, strength 0.05, after 4 epochs",
        "mixed-0.2-4": "mixed, strength 0.2, after 4 epochs",
    }


@pytest.mark.parametrize(
    "variants",
    [
        {"one": {}, "two": {"label": "baseline", "width": 8}},
        {"one": {"label": "same (two)"}, "two": {"label": "same", "width": 8}, "three": {"label": "same", "width": 9}},
        {"one": {}, "two": {"shortcut": LATE}, "three": {"label": "batch_res after 2 epochs", "width": 8}},
    ],
)
def test_two_variants_are_told_apart(variants: dict[str, Any]):
    study = own(variants=variants)
    assert len(set(labels(study).values())) == len(variants)
    twice = [name for name, variant in variants.items() if variant.get("label") == "same"]
    assert len(twice) < 2 or all(study.variants[name].label.startswith(f"same ({name})") for name in twice)


def test_every_label_is_in_study_json():
    named = own(variants={"one": {"label": "A"}, "two": {"width": 8, "label": "B"}})
    assert [variant["label"] for variant in named.resolved["variants"].values()] == ["A", "B"]
