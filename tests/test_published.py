"""In what a study differs from the report follows from its settings and its data's identity, whatever it calls them."""

from __future__ import annotations

from typing import Any

import pytest
from synthetic import study_of

from temporal_shortcuts.report import wording
from temporal_shortcuts.study import published, resolve
from temporal_shortcuts.study.declared import Protocol
from temporal_shortcuts.study.image_sets import called, image_set
from temporal_shortcuts.study.labels import setting
from temporal_shortcuts.study.published import BESIDE, differences

CIFAR10 = {"source": "cifar10", "checksum": "md5:c58f30108f718f92721af3b95e74349a"}
SHA = "sha256:" + "0" * 64
JPEG = "sha256:155d5f5c7676193730ef217c66cc46f38a581814ba1262f1e7c01d8f8f07798c"


def study(data: dict[str, Any] = CIFAR10, protocol: dict[str, Any] | None = None, **variants: dict[str, Any]) -> Any:
    keys = {"study": "own", "seeds": [0], "variants": variants or {"base": {}}}
    return resolve(keys | {"data": data, "protocol": protocol or {}})


OTHER: dict[str, Any] = {
    "model": "resnet20",
    "width": 8,
    "epochs": 20,
    "batch_size": 64,
    "learning_rate": 0.1,
    "momentum": 0.8,
    "weight_decay": 0,
    "schedule": "constant",
    "schedule_epochs": 100,
    "optimizer": "adamw",
    "label_smoothing": 0.1,
    "augmentation": {"crop_padding": 0, "flip": False},
    "precision": "bf16",
    "compile": True,
}


def test_every_setting_that_differs_is_named():
    assert OTHER.keys() | set(BESIDE) == Protocol.model_fields.keys(), "a new setting is tried here too"
    for key, value in OTHER.items():
        found = differences(study(protocol={key: value}))
        expected = value if key == "augmentation" else {key: value}
        assert {one.key: one.ours for one in found} == expected
        scale = wording.scale(study(protocol={key: value}))
        assert "all settings as in the report" not in scale
        assert all(setting(*one) in scale for one in expected.items())
    found = differences(study(protocol=OTHER))
    assert {one.key for one in found} == {*OTHER, "crop_padding", "flip"} - {"augmentation"}
    assert next(one.theirs for one in found if one.key == "precision") is None, "of which the report says nothing"


def test_a_protocol_that_only_the_variants_have_is_named_too():
    narrow = study(base={"width": 8}, wide={"width": 16})
    assert [(one.key, one.ours, one.theirs) for one in differences(narrow)] == [("width", 8, 64)]
    beside = study(protocol={"device": "cpu", "instruction_set": "avx512", "average_from": 42})
    assert differences(beside) == differences(study_of()) == []
    assert wording.scale(beside) == "CIFAR-10, all settings as in the report"


@pytest.mark.parametrize(
    ("data", "name", "is_cifar10"),
    [
        (CIFAR10, "CIFAR-10", True),
        ({"source": "torchvision", "dataset": "CIFAR10", "checksum": SHA}, "CIFAR-10", True),
        ({"source": "torchvision", "dataset": "CIFAR100", "checksum": SHA}, "CIFAR-100", False),
        ({"source": "torchvision", "dataset": "MNIST", "checksum": SHA}, "MNIST", False),
        ({"source": "image_folder", "checksum": JPEG}, "CIFAR-10 (JPEG)", True),
        ({"source": "image_folder", "checksum": SHA}, "a folder of images", False),
        ({"source": "digits", "checksum": SHA}, "digits (scikit-learn)", False),
    ],
)
def test_what_the_images_are_does_not_follow_from_their_name(data: dict[str, Any], name: str, is_cifar10: bool):
    own = study(data)
    assert (own.data.name, image_set(own.data).name) == (name, name)
    for called_by_study in ("CIFAR-100", "CIFAR-10 and more", "flowers"):
        named = study(data | {"name": called_by_study})
        assert image_set(named.data).is_cifar10 is is_cifar10
        assert ("no result about CIFAR-10" in wording.scale(named)) is not is_cifar10
        if data["source"] != "image_folder" or is_cifar10:
            assert image_set(named.data).name == name
            assert name in called(named.data)
        else:
            assert image_set(named.data).name == called(named.data) == called_by_study


def test_images_per_class_are_compared_with_the_reports_where_they_are_the_reports():
    for data, theirs in ((CIFAR10, 5_000), ({"source": "digits", "checksum": SHA}, None)):
        found = differences(study(data | {"images_per_class": 20, "validation_per_class": 30}))
        values = {one.key: (one.ours, one.theirs) for one in found}
        assert values["images_per_class"] == (20, theirs)
        assert values["validation_per_class"] == (30, None)
    assert differences(study(CIFAR10 | {"images_per_class": 5_000})) == []
    own_mean = study({"source": "torchvision", "dataset": "CIFAR10", "checksum": SHA})
    assert [one.key for one in differences(own_mean)] == ["normalisation"]


def test_published_values_are_the_studys_own_but_for_those_of_the_report():
    """0.1 is what the report found for epoch_res from the start, and what chance gives of ten classes in any paper."""
    digits = {"source": "digits", "checksum": SHA}
    shortcut = {"kind": "batch_res", "strength": 0.05, "onset": 3}
    own = study(digits, base={"published": 0.96}, one={"published": 0.1, "shortcut": shortcut})
    assert not any(published.is_of_report(own, name) for name in own.variants)
    assert [published.run_elsewhere(own, name) for name in own.variants] == [None, None]
    assert published.difference(own, "one", "base") == pytest.approx(-86)
    demo = study_of("demo.yaml", {"variants": {"mine": {"learning_rate": 0.3, "published": 0.5}}})
    assert [name for name in demo.variants if not published.is_of_report(demo, name)] == ["mine"]
    assert published.run_elsewhere(demo, "batch_res_late") is not None, "which began after 41 epochs there"
