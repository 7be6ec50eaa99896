"""Wrong files of studies: one sentence that names the file, also for a user of Snakemake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from rich_study import DELETED, PUBLISHED, changed, refused, sound
from rich_study import nothing_is_written as nothing_is_written
from synthetic import ROOT
from tiny_study import Workplace

from temporal_shortcuts.catalogue import read_study
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import resolve
from temporal_shortcuts.study.reading import merged, read

pytestmark = pytest.mark.usefixtures("nothing_is_written")
NOTICES = ("Using workflow specific profile", "Config file config.yaml is extended")
DEMO = (ROOT / "studies" / "demo.yaml").read_text()


def from_file(path: Path, text: str | bytes) -> tuple[Any, tuple[Path, ...]]:
    """The configuration as Snakemake would merge it, as far as the file can be read at all, and its files."""
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        overlay = yaml.safe_load(text)
    except Exception:  # whatever the reader does with it
        overlay = {}
    return merged(PUBLISHED, overlay if isinstance(overlay, dict) else {}), (ROOT / "config.yaml", path)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("study: a\nstudy: b\n", ["line 2", "'study'", "duplicate"]),
        ("protocol:\n  width: 1\n  epochs: 50\n  width: 2\n", ["line 4", "'width'", "duplicate"]),
        (DEMO + "\nseeds: [3]\n", ["'seeds'", "duplicate"]),
        ("seeds: [1, 2\n", ["YAML", "line 2"]),
        ("study: !!python/object/apply:os.system ['touch hacked']\n", ["YAML", "python/object"]),
        ("study: 2024-13-45\n", ["YAML", "month"]),
        (b"study: \xff\xfe\n", ["YAML", "utf-8"]),
        ("[" * 1000, ["YAML", "recursion"]),
        ("seeds: &a [*a]\n", ["seeds", "contains itself"]),
        ("protocol: &a {width: *a}\n", ["protocol: ", "contains itself"]),
        ("? {a: 1}\n: 1\n", ["YAML", "unhashable"]),
        ("variants: {lr_0.01: null}\n", ["variants.lr_0.01", "null removes", "did you mean 'lr_0.001'?"]),
        ("protocol: {learning_rate: 1e-3}\n", ["protocol.learning_rate", "found '1e-3'", "0.001"]),
        *(
            (f"{key}{number}{end}\n", [f"line 1: found {number}", f"write {meant},"])
            for key, end in (("seeds: [1, ", "]"), ("tolerance: ", ""), ("variants: {", "}"))
            for number, meant in {"010": 8, "3:20": 200, "1_0": 10, "0b11": 3, "0x1F": 31, "-07": -7}.items()
        ),
        ("tolerance: 1:30.5\n", ["line 1: found 1:30.5", "write 90.5,"]),
        ("seeds: [1,000]\n", ["found 000", "write 0,"]),
        ("seeds: [0o10]\n", ["seeds.0", "found '0o10'", "whole number"]),
        ("seeds: [08]\n", ["seeds.0", "found '08'", "whole number"]),
        ("data: {name: no}\n", ["data.name", "found false"]),
        ("title: 2026-01-01\n", ["title", "2026"]),
        (
            "variants: {batch_res_late: {shortcut: {kind: one_bit}}}\n",
            ["batch_res_late.shortcut.strength", "found 0.05"],
        ),
    ],
)
def test_a_wrong_file_is_named(text: str | bytes, words: list[str], tmp_path: Path) -> None:
    config, files = from_file(tmp_path / "mine.yaml", text)
    sentence = refused(config, *words, files=files)
    if "found 0.05" not in words:  # which stands in config.yaml
        assert sentence.startswith(str(tmp_path / "mine.yaml"))


def test_the_file_that_is_named_is_the_one_with_the_mistake(tmp_path: Path) -> None:
    base = tmp_path / "config.yaml"
    wrong = changed(PUBLISHED, ("protocol", "width"), -1)
    base.write_text(yaml.safe_dump(wrong, sort_keys=False))
    overlay = {"protocol": {"epochs": 50}}
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(overlay))
    files = (base, tmp_path / "mine.yaml")
    assert refused(merged(wrong, overlay), "found -1", files=files).startswith(f"{base}: protocol.width: ")
    right = merged(PUBLISHED, overlay)
    given_elsewhere = changed(right, ("tolerance",), 5)
    base.write_text(yaml.safe_dump(PUBLISHED, sort_keys=False))
    assert refused(given_elsewhere, "found 5", files=files).startswith("--config: tolerance: ")
    assert refused(right | {"foo": 1}, "'foo'", files=files).startswith("--config: ")
    missing = changed(right, ("data", "checksum"), DELETED)
    assert refused(missing, "'checksum' is missing", files=files).startswith(f"{base}: data: ")
    refused(right, "cannot be read", files=(*files, tmp_path / "nowhere.yaml"))
    refused(right, "cannot be read", files=(*files, tmp_path))


OWN = {
    "study": "own",
    "data": {"source": "digits", "checksum": "sha256:" + "0" * 64},
    "seeds": [0],
    "variants": {"base": {}, "wide": {"width": 128}},
}


def write(path: Path, **keys: Any) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(keys, sort_keys=False))
    return path


def test_a_study_extends_another_and_is_seen_from_its_own_folder(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", **OWN)
    write(tmp_path / "a" / "middle.yaml", extends="../base.yaml", protocol={"width": 8}, title="In the middle")
    variants = {"wide": None, "new": {"width": 4}}
    last = write(tmp_path / "b" / "last.yaml", extends="../a/middle.yaml", study="last", variants=variants)
    study = read_study(last)
    assert (study.name, study.title, study.protocol.width) == ("last", "In the middle", 8)
    assert list(study.variants) == ["base", "new"]
    refused(yaml.safe_load(last.read_text()) | {"tolerance": 5}, "--config: tolerance", files=(last,))
    write(tmp_path / "base.yaml", **OWN | {"tolerance": 5})
    assert refused(yaml.safe_load(last.read_text()), "found 5", files=(last,)).startswith(f"{tmp_path / 'base.yaml'}: ")


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"extends": "nowhere.yaml"}, ["mine.yaml: extends", "found 'nowhere.yaml'", "a study's file"]),
        ({"extends": "."}, ["mine.yaml: extends", "found '.'", "a study's file"]),
        ({"extends": [1]}, ["mine.yaml: extends", "found [1]", "a study's file"]),
        ({"extends": "mine.yaml"}, ["mine.yaml: extends", "extend itself"]),
        ({"extends": "circle.yaml"}, ["circle.yaml: extends: found 'mine.yaml'", "extend itself"]),
        ({"extends": "list.yaml"}, ["list.yaml: found [1]", "mapping"]),
        ({"extends": "twice.yaml"}, ["twice.yaml, line 2", "duplicate key 'study'"]),
        ({"seeds": [0]}, ["mine.yaml: the key 'study' is missing", "extends"]),
    ],
)
def test_a_study_that_extends_nothing_sensible_is_refused(keys: Any, words: list[str], tmp_path: Path) -> None:
    write(tmp_path / "circle.yaml", extends="mine.yaml")
    (tmp_path / "list.yaml").write_text("- 1\n")
    (tmp_path / "twice.yaml").write_text("study: a\nstudy: b\n")
    mine = write(tmp_path / "mine.yaml", **keys)
    refused(keys, *words, files=(mine,))


def test_text_of_the_command_line_becomes_numbers_and_that_of_files_does_not(tmp_path: Path) -> None:
    """Snakemake leaves what stands in lists and mappings after --config as text."""
    named = {"data": OWN["data"] | {"name": "3"}}
    mine = write(tmp_path / "mine.yaml", **OWN | named)
    given = OWN | named | {"seeds": ["0", "1"], "protocol": {"width": "4", "augmentation": {"flip": "false"}}}
    study = resolve(given | {"keep_weights": "true", "margin": "0.5"}, (mine,))
    assert (study.data.name, study.seeds, study.protocol.width) == ("3", [0, 1], 4)
    assert (study.protocol.augmentation.flip, study.running.keep_weights, study.margin) == (False, True, 0.5)
    for key, value in {"seeds": ["0", "010"], "protocol": {"width": "no"}}.items():
        refused(given | {key: value}, f"--config: {key}.", "whole number", files=(mine,))
    write(mine, **OWN | {"seeds": ["0"]})
    refused(OWN | {"seeds": ["0"]}, "mine.yaml: seeds.0: found '0'", files=(mine,))


@pytest.mark.parametrize("number", ["010", "3:20", "1_000", "0x1F", "0b1"])
def test_a_number_of_the_command_line_is_what_it_looks_like(number: str, tmp_path: Path) -> None:
    mine = write(tmp_path / "mine.yaml", **OWN)
    refused(OWN | {"protocol": {"epochs": number}}, "--config: protocol.epochs", f"found '{number}'", files=(mine,))
    assert resolve(OWN | {"data": OWN["data"] | {"name": number}}, (mine,)).data.name == number, "text stays text"


def test_plain_numbers_are_read_as_before(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(text := "a: [0, 7, +7, 0.05, .5, 5., 1.0e-3, 1.0E+2, -0.0]\n")
    assert repr(read(tmp_path / "mine.yaml")) == repr(yaml.safe_load(text))
    assert all(isinstance(number, int | float) for number in read(tmp_path / "mine.yaml")["a"])


@settings(max_examples=25)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_right(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    lines = DEMO.splitlines()[4:]
    for _ in range(data.draw(st.integers(1, 3))):
        index = data.draw(st.integers(0, len(lines) - 1))
        column = data.draw(st.integers(0, len(lines[index])))
        piece = data.draw(
            st.sampled_from(["", " ", "\t", ":", "-", "{", "}", "[", "'", "#", "&a ", "*a", "|", "9", "\0"])
        )
        before, after = lines[index][:column], lines[index][column:]
        lines[index] = data.draw(st.sampled_from([before, before + piece + after, after]))
    config, files = from_file(tmp_path_factory.mktemp("damaged") / "mine.yaml", "\n".join(lines))
    try:
        assert sound(resolve(config, files))
    except UserError:
        refused(config, files=files)


@pytest.mark.parametrize("config", [None, [], "text", 3, {}, {"variants": 3}, {"variants": None, "grid": None}])
def test_what_is_no_study_at_all_is_refused(config: Any) -> None:
    refused(config)


# -- through Snakemake -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Workplace:
    place = Workplace(tmp_path_factory.mktemp("outside") / "clone")
    (place.folder / "blocked").write_text("a file where a folder should be")
    return place


@pytest.mark.parametrize(
    ("overlay", "options", "words"),
    [
        ("protocol: {width: -1}", [], ["mine.yaml: protocol.width: found -1", "at least 1"]),
        ("results: blocked", [], ["blocked", "run the same command again"]),
        ("seeds: [0]", ["--config", "seeds=[0,1]", "protocol={'width': 0}"], ["--config: protocol.width: found 0"]),
    ],
)
def test_a_user_sees_one_sentence(place: Workplace, overlay: str, options: list[str], words: list[str]) -> None:
    (place.folder / "mine.yaml").write_text(overlay + "\n")
    status, said = place.attempt(*place.command(options=("mine.yaml", "-n", *options)))
    assert status == 2
    lines = [line for line in said.splitlines() if not line.startswith(NOTICES)]
    assert len(lines) == 1, said
    assert lines[0].startswith("error: ")
    assert all(word in lines[0] for word in words), lines[0]


def test_names_and_folders_at_their_limits_are_planned(place: Workplace) -> None:
    variants = {"A-b.c_d": {"learning_rate": 0.3}, "x" * 64: {"learning_rate": 0.4, "label": "long"}, "lr_0.1": None}
    grid = {"kinds": ["noise"], "strengths": [1e-07, 100], "onsets": [2]}
    mine = {"results": "./results//", "work": "work/", "variants": variants, "grid": grid}
    (place.folder / "mine.yaml").write_text(yaml.safe_dump(mine))
    assert "prepare" in place.run(options=("mine.yaml", "-n"))
    names = ["batch_res_late", "epoch_res_late", "A-b.c_d", "x" * 64, "noise-1e-07-2", "noise-100-2"]
    assert list(read_study(place.folder / "tiny.yaml", place.folder / "mine.yaml").variants)[1:] == names
