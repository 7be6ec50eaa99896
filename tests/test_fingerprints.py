"""Fingerprints cover what is declared and can change a number, and nothing else; segments are shared exactly where runs agree."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import tiny
import yaml
from hypothesis import given
from hypothesis import strategies as st
from rich_study import Key, changed
from synthetic import ROOT

from temporal_shortcuts.study import Segment, Trajectory, canonical, forest, load_resolved, resolve, study_of
from temporal_shortcuts.study import segments as studies
from temporal_shortcuts.study.declared import Data, Protocol, Shortcut, StudyKeys, VariantKeys

MORE = {  # beside the seven published variants: every kind, and a variant with each key of its own
    "late_published": {"shortcut": {"kind": "epoch_res", "strength": 0.05, "onset": 42, "accounting": "published"}},
    "shuffled_late": {"shortcut": {"kind": "shuffled", "strength": 0.05, "onset": 41}},
    "noise_late": {"shortcut": {"kind": "noise", "strength": 0.05, "onset": 41}},
    "null_arm": {"shortcut": {"kind": "one_bit", "onset": 41}},
    "fresh_order": {"shortcut": {"kind": "fresh_order", "onset": 41}},
    "annealed": {"schedule_epochs": 60},
    "own": {"model": "resnet18_published", "width": 16, "batch_size": 64, "momentum": 0.8, "weight_decay": 0.001}
    | {"augmentation": {"crop_padding": 2, "flip": True}},
}


def published() -> dict[str, Any]:
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    config["variants"] |= copy.deepcopy(MORE)
    config["seeds"] = [0, 1]
    return config


def fingerprints(config: Mapping[str, Any]) -> dict[str, list[str]]:
    runs: dict[str, list[str]] = {}
    for run in resolve(config).runs:
        runs.setdefault(run.variant, []).append(run.fingerprint)
    return runs


ALL = list(published()["variants"])


def those_without(key: str) -> list[str]:
    """The variants that take a key from the protocol."""
    return [name for name, variant in published()["variants"].items() if key not in variant]


CHANGE: list[tuple[Key, Any, list[str]]] = [
    (("protocol", "model"), "resnet18_published", those_without("model")),
    (("protocol", "width"), 32, those_without("width")),
    (("protocol", "epochs"), 51, ALL),
    (("protocol", "batch_size"), 100, those_without("batch_size")),
    (("protocol", "learning_rate"), 0.02, those_without("learning_rate")),
    (("protocol", "momentum"), 0.95, those_without("momentum")),
    (("protocol", "weight_decay"), 0.0, those_without("weight_decay")),
    (("protocol", "schedule_epochs"), 100, those_without("schedule_epochs")),
    (("protocol", "augmentation", "crop_padding"), 0, those_without("augmentation")),
    (("protocol", "augmentation", "flip"), False, those_without("augmentation")),
    (("protocol", "device"), "cpu", ALL),
    (("protocol", "precision"), "bf16", ALL),
    (("protocol", "instruction_set"), "avx512", ALL),
    (("protocol", "compile"), True, ALL),
    (("protocol", "evaluate_with_carry"), True, ALL),
    (("data", "checksum"), "md5:" + "0" * 32, ALL),
    (("data", "images_per_class"), 1000, ALL),
    (("data", "validation_per_class"), 1000, ALL),
    (("variants", "benchmark", "learning_rate"), 0.02, ["benchmark"]),
    (("variants", "lr_0.1", "learning_rate"), 0.2, ["lr_0.1"]),
    (("variants", "own", "model"), "resnet18", ["own"]),
    (("variants", "own", "width"), 8, ["own"]),
    (("variants", "own", "augmentation", "crop_padding"), 3, ["own"]),
    (("variants", "annealed", "schedule_epochs"), 70, ["annealed"]),
    (("variants", "batch_res_late", "shortcut", "kind"), "mixed", ["batch_res_late"]),
    (("variants", "batch_res_late", "shortcut", "strength"), 0.06, ["batch_res_late"]),
    (("variants", "batch_res_late", "shortcut", "onset"), 40, ["batch_res_late"]),
    (("variants", "epoch_res_late", "shortcut", "accounting"), "published", ["epoch_res_late"]),
    (("variants", "null_arm", "shortcut", "onset"), 40, ["null_arm"]),
    (("protocol", "average_from"), 42, ALL),
    (("protocol", "extra_evaluations"), "last_epoch", ALL),
    (("protocol", "optimizer"), "adamw", ALL),
    (("protocol", "schedule"), "constant", ALL),
    (("protocol", "label_smoothing"), 0.1, ALL),
    (("variants", "own", "optimizer"), "nesterov", ["own"]),
    (("variants", "fresh_order", "shortcut", "stream"), 2, ["fresh_order"]),
    (("variants", "own", "shortcut"), {"kind": "batch_res", "strength": 0.05, "onset": 0}, ["own"]),
]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("protocol", "average_from"), None),
        (("protocol", "extra_evaluations"), "each_epoch"),
        (("protocol", "optimizer"), "sgd"),
        (("variants", "own", "schedule"), "cosine"),
        (("variants", "own", "label_smoothing"), 0),
        (("variants", "fresh_order", "shortcut", "stream"), 1),
        (("endpoint",), "last5"),
        (("margin",), None),
        (("data", "validation_per_class"), None),
        (("confirm",), None),
    ],
)
def test_a_setting_newer_than_the_records_is_not_there_at_its_default(path: Key, value: Any) -> None:
    """Neither in a fingerprint nor in study.json: a new setting leaves all that is committed as it is."""
    assert resolve(changed(published(), path, value)).text() == resolve(published()).text()


@pytest.mark.parametrize(("path", "value", "variants"), CHANGE, ids=[".".join(path) for path, *_ in CHANGE])
def test_a_setting_that_matters_changes_exactly_the_fingerprints_it_should(
    path: Key, value: Any, variants: list[str]
) -> None:
    before, after = fingerprints(published()), fingerprints(changed(published(), path, value))
    for name in ALL:
        pairs = zip(before[name], after[name], strict=True)
        assert [one != other for one, other in pairs] == [name in variants] * 2, name


KEEP: list[tuple[Key, Any]] = [
    (("study",), "another"),
    (("title",), "Another"),
    (("scale",), "another"),
    (("results",), "elsewhere"),
    (("work",), "/tmp/elsewhere"),
    (("keep_states",), True),
    (("keep_weights",), True),
    (("force_environment",), True),
    (("checkpoint_minutes",), 1),
    (("jobs_per_gpu",), 2),
    (("benchmark",), "own"),
    (("tolerance",), 0.5),
    (("claims",), []),
    (("endpoint",), "averaged"),
    (("margin",), 0.3),
    (("variances",), "moderated"),
    (("data", "name"), "Another"),
    (("data", "path"), "/tmp/a.tar.gz"),
    (("data", "urls"), ["https://example.org/a.tar.gz"]),
    (("data", "archive_checksum"), "md5:" + "0" * 32),
    (("variants", "own", "label"), "Another"),
    (("variants", "own", "published"), 0.5),
    (("variants", "own", "against"), "annealed"),
    (("variants", "own", "learning_rate"), 0.01),  # what it has from the protocol anyhow
    (("variants", "epoch_res_start", "shortcut", "onset"), 1),  # epoch 0 has no epoch before it
]


@pytest.mark.parametrize(("path", "value"), KEEP, ids=[".".join(path) for path, _ in KEEP])
def test_a_setting_that_does_not_matter_changes_none(path: Key, value: Any) -> None:
    config = changed(published(), path, value)
    assert config != published()
    assert fingerprints(config) == fingerprints(published())


def test_each_key_of_a_study_is_known_to_matter_or_not() -> None:
    """A new key must be put into one of the two lists above."""
    tried = {part for path in [path for path, *_ in CHANGE] + [path for path, _ in KEEP] for part in path}
    apart = {"confirm", "seeds", "grid", "extends", "source", "dataset"}  # have tests of their own
    for holder in (StudyKeys, Data, Protocol, VariantKeys, Shortcut):
        assert set(holder.model_fields) <= tried | apart


def test_the_kind_of_source_matters_where_the_checksum_is_the_archives() -> None:
    """The md5 of the official archive says nothing of how it is read; the sha256 of prepared arrays says all."""
    config = published()
    pinned = changed(config, ("data", "checksum"), "sha256:" + "0" * 64)
    subset = changed(pinned, ("data", "images_per_class"), 1000)
    folder = changed(pinned, ("data", "source"), "image_folder")
    for name in ("SVHN", "MNIST"):
        other = changed(changed(pinned, ("data", "source"), "torchvision"), ("data", "dataset"), name)
        assert fingerprints(pinned) == fingerprints(other)
    assert fingerprints(pinned) == fingerprints(subset) == fingerprints(folder) != fingerprints(config)
    assert resolve(pinned).data_folder == resolve(folder).data_folder != resolve(config).data_folder


def test_validation_images_are_part_of_the_identity_whatever_the_checksum_is_of() -> None:
    """A study that begins to validate without another checksum finds no data that was prepared with test images."""
    for config in (published(), changed(published(), ("data", "checksum"), "sha256:" + "0" * 64)):
        one, other = (resolve(config), resolve(changed(config, ("data", "validation_per_class"), 500)))
        assert (one.evaluated, other.evaluated) == ("test", "validation")
        assert one.data_folder != other.data_folder
        assert study_of(json.loads(other.text())).evaluated == "validation"


def test_a_further_seed_changes_no_other_run() -> None:
    before = fingerprints(published())
    more = fingerprints(changed(published(), ("seeds",), [7, 0, 1]))
    assert {name: one[1:] for name, one in more.items()} == before
    own = fingerprints(changed(published(), ("variants", "own", "seeds"), [1, 5]))
    assert own["own"][0] == before["own"][1]
    assert {name: one for name, one in own.items() if name != "own"} == {n: o for n, o in before.items() if n != "own"}
    assert len({one for runs in (*before.values(), *more.values()) for one in runs}) == len(ALL) * 3


def test_names_order_and_removals_change_no_other_run() -> None:
    before = fingerprints(published())
    config = published()
    config["variants"] = {f"x{name}": variant for name, variant in reversed(config["variants"].items())}
    config["benchmark"], config["claims"] = "xbenchmark", []
    assert {name.removeprefix("x"): one for name, one in fingerprints(config).items()} == before
    config = published()
    config["variants"]["own"] = None
    assert fingerprints(config) == {name: one for name, one in before.items() if name != "own"}


def test_formatting_key_order_and_spelling_of_numbers_change_none() -> None:
    before = fingerprints(published())
    assert fingerprints(reversed_keys(published())) == before
    assert fingerprints(yaml.safe_load(yaml.safe_dump(published(), default_flow_style=True))) == before
    assert fingerprints(json.loads(json.dumps(published(), indent=3))) == before
    for path, spellings in {
        ("protocol", "learning_rate"): (1, 1.0, 1e0),
        ("protocol", "weight_decay"): (0, 0.0),
        ("protocol", "momentum"): (0, 0.0, -0.0),
        ("seeds",): ([2, 3], [2.0, 3.0]),
        ("protocol", "width"): (32, 32.0),
        ("variants", "batch_res_late", "shortcut", "strength"): (1, 1.0),
        ("variants", "batch_res_late", "shortcut", "onset"): (40, 40.0),
    }.items():
        found = [fingerprints(changed(published(), path, value)) for value in spellings]
        assert all(one == found[0] != before for one in found), path


def reversed_keys(value: Any) -> Any:
    """The same with the keys of each mapping in reverse."""
    if not isinstance(value, dict):
        return value
    return {key: reversed_keys(value[key]) for key in reversed(value)}


def test_a_default_may_be_left_out_or_said() -> None:
    other = published()
    for variant in other["variants"].values():
        if variant.setdefault("shortcut", None) and variant["shortcut"].get("accounting") == "corrected":
            del variant["shortcut"]["accounting"]
    assert fingerprints(other) == fingerprints(published())


def test_fewer_epochs_share_the_beginning_of_more() -> None:
    """A state after k epochs is the same whatever the study's length: only what a run ends with is named after it."""
    short, long = (resolve(changed(published(), ("protocol", "epochs"), epochs)) for epochs in (45, 60))
    for one, other in zip(short.runs, long.runs, strict=True):
        for epoch in range(46):
            assert one.trajectory.fingerprint_at(epoch) == other.trajectory.fingerprint_at(epoch)
        assert one.fingerprint != other.fingerprint


def test_what_fades_shares_with_runs_of_another_length_the_epochs_before_its_onset_only() -> None:
    late = {"kind": "fading", "strength": 0.05, "onset": 41}
    config = changed(published(), ("variants", "batch_res_late", "shortcut"), late)
    short, long = (resolve(changed(config, ("protocol", "epochs"), epochs)) for epochs in (45, 60))
    one, other = (study.variant_runs("batch_res_late")[0].trajectory for study in (short, long))
    same = [one.fingerprint_at(epoch) == other.fingerprint_at(epoch) for epoch in range(46)]
    assert same == [True] * 42 + [False] * 4
    assert one.fingerprint_at(41) == short.variant_runs("benchmark")[0].trajectory.fingerprint_at(41)


def test_compiled_runs_share_no_prefix() -> None:
    compiled = resolve(changed(published(), ("protocol", "compile"), True))
    assert len(compiled.segments) == len(compiled.runs)
    assert all(segment.final and segment.parent is None for segment in compiled.segments.values())
    assert compiled.epochs_trained == compiled.epochs_shown > resolve(published()).epochs_trained


def test_the_recipe_changes_all(monkeypatch: pytest.MonkeyPatch) -> None:
    before = fingerprints(published())
    monkeypatch.setattr(studies, "RECIPE", studies.RECIPE + 1)
    after = fingerprints(published())
    assert not {one for runs in before.values() for one in runs} & {one for runs in after.values() for one in runs}


def test_fingerprints_are_the_same_in_each_process(tmp_path: Path) -> None:
    resolve(published()).write(tmp_path / "study.json")
    program = "import sys; from temporal_shortcuts.study import load_resolved as l; print(*[r.record for r in l(sys.argv[1]).runs])"
    command = [sys.executable, "-c", program, str(tmp_path / "study.json")]
    environment = {"PYTHONHASHSEED": "3", "PYTHONPATH": str(ROOT / "src")}
    output = subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout
    assert output.split() == [run.record for run in resolve(published()).runs]


def test_a_study_is_the_same_through_its_file(tmp_path: Path) -> None:
    study = resolve(published())
    assert study.write(tmp_path / "study.json")
    assert not study.write(tmp_path / "study.json")
    again = load_resolved(tmp_path / "study.json")
    assert again.runs == study.runs
    assert again.segments == study.segments
    assert again.text() == study.text()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}])
def test_what_has_no_canonical_form_has_no_fingerprint(value: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        canonical({"a": value})


# -- the forest ----------------------------------------------------------------------------------------------------------


def test_the_published_study_is_267_epochs_a_seed() -> None:
    """Instead of 350: 50 for each of three rates and batch_res from the start, 9 for each late variant, and 49 for epoch_res from
    the start, which can carry nothing in its first epoch and so shares it with the benchmark."""
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    study = resolve(config)
    assert study.epochs_shown == 350 * len(config["seeds"])
    assert study.epochs_trained == 267 * len(config["seeds"]) == (4 * 50 + 2 * 9 + 49) * len(config["seeds"])


def history(one: Trajectory, epoch: int) -> str:
    """All that a run's state after some epochs depends on, epoch by epoch, said naively."""
    kind = one.shortcut["kind"] if one.shortcut else None
    acts = []
    for past in range(epoch):
        active = one.shortcut is not None and past >= one.shortcut["onset"] and not (kind == "epoch_res" and past == 0)
        acts.append({key: value for key, value in one.shortcut.items() if key != "onset"} if active else None)
    return json.dumps([one.seed, dict(one.settings), one.data, acts], sort_keys=True)


def shortcuts(kinds: list[str], **keys: list[Any]) -> st.SearchStrategy[dict[str, Any]]:
    given = {"kind": kinds, "onset": range(6), **keys}
    return st.fixed_dictionaries({key: st.sampled_from(values) for key, values in given.items()})


SHORTCUTS = st.one_of(
    st.none(),
    shortcuts(["batch_res", "noise"], strength=[0.05, 0.1]),
    shortcuts(["epoch_res"], strength=[0.05], accounting=["corrected", "published"]),
    shortcuts(["one_bit"]),
)
RATES = st.fixed_dictionaries({"learning_rate": st.sampled_from([0.01, 0.1])})
TRAJECTORIES = st.builds(Trajectory, st.integers(0, 1), RATES, st.just("sha256:0"), SHORTCUTS)


def chain(segments: Mapping[str, Segment], last: str) -> Iterator[Segment]:
    """A run's segments, last to first."""
    name: str | None = last
    while name is not None:
        yield segments[name]
        name = segments[name].parent


@given(st.lists(TRAJECTORIES, min_size=1, max_size=12), st.integers(6, 8))
def test_segments_are_shared_exactly_where_runs_agree(trajectories: list[Trajectory], epochs: int) -> None:
    segments = forest(trajectories, epochs)
    for one in trajectories:
        covered: list[int] = []
        for segment in chain(segments, f"{one.fingerprint_at(epochs)}-final"):
            assert segment.start < segment.stop
            assert segment.final == (segment.stop == epochs)
            for epoch in range(segment.start, segment.stop):
                assert segment.shortcut_at(epoch) == one.shortcut_at(epoch)
            assert history(segment.trajectory, segment.stop) == history(one, segment.stop)
            parent = segments[segment.parent] if segment.parent else None
            assert segment.start == (parent.stop if parent else 0)
            assert parent is None or not parent.final
            covered = [*range(segment.start, segment.stop), *covered]
        assert covered == list(range(epochs))
    # each epoch of each distinct past once, and none that no run needs
    distinct = {history(one, epoch) for one in trajectories for epoch in range(1, epochs + 1)}
    spans = [(one.trajectory, range(one.start + 1, one.stop + 1)) for one in segments.values()]
    trained = [history(one, epoch) for one, span in spans for epoch in span]
    assert sorted(trained) == sorted(distinct)
    # and a segment ends only where runs part, or all
    children = [segment.parent for segment in segments.values()]
    assert all(segment.final or children.count(segment.state) > 1 for segment in segments.values())
    assert forest(reversed(trajectories), epochs).keys() == segments.keys()


def test_two_variants_that_are_one_run_are_trained_once() -> None:
    """epoch_res has no epoch before its first, so an onset of 0 is one of 1."""
    other = tiny.variant("epoch_res", 1) | {"against": None}
    variants = {"benchmark": {}, "zero": tiny.variant("epoch_res", 0), "one": other}
    study = tiny.tiny_study(variants=variants)
    assert study.epochs_trained == tiny.EPOCHS + 3
    assert study.chain(tiny.run_of(study, "zero")) == study.chain(tiny.run_of(study, "one"))
