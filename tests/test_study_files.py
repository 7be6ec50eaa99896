"""Wrong files of studies: one sentence that names the file, also for a user of Snakemake."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from rich_study import DELETED, PUBLISHED, changed, refused, sound
from rich_study import nothing_is_written as nothing_is_written
from synthetic import ROOT

from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import resolve
from temporal_shortcuts.study.reading import merged

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
        ("study: a\n'study': b\n", ["line 2", "'study'", "duplicate"]),
        ("protocol:\n  width: 1\n  epochs: 50\n  width: 2\n", ["line 4", "'width'", "duplicate"]),
        ("variants: {a: {width: 1}, b: {}, a: {width: 2}}\n", ["line 1", "'a'", "duplicate"]),
        ("claims:\n- {id: a, id: b}\n", ["line 2", "'id'", "duplicate"]),
        (DEMO + "\nseeds: [3]\n", ["'seeds'", "duplicate"]),
        ("seeds: [1, 2\n", ["YAML", "line 2"]),
        ("protocol:\n\twidth: 1\n", ["YAML", "line 2"]),
        ("a: *nowhere\n", ["YAML", "nowhere"]),
        ("study: !!python/object/apply:os.system ['touch hacked']\n", ["YAML", "python/object"]),
        ("study: 2024-13-45\n", ["YAML", "month"]),
        ("a: 1\n---\nb: 2\n", ["YAML", "document"]),
        ("? [a, b]\n: 1\n", ["YAML", "unhashable"]),
        (b"study: \xff\xfe\n", ["YAML", "utf-8"]),
        (b"study: a\0b\n", ["YAML", "special characters"]),
        ("[" * 1000, ["YAML", "recursion"]),
        ("seeds: [" + "9" * 5000 + "]\n", ["YAML", "digits"]),
        ("a: &a {b: *a}\n", ["a: ", "contains itself"]),
        ("seeds: &a [*a]\n", ["seeds", "contains itself"]),
        ("protocol: &a {width: *a}\n", ["protocol: ", "contains itself"]),
        ("? {a: 1}\n: 1\n", ["YAML", "unhashable"]),
        ("3: 1\n", ["the key 3", "quotes"]),
        ("protocol:\n  wdth: 3\n", ["protocol", "'wdth'", "did you mean 'width'?"]),
        ("variants: {../x: {width: 3}}\n", ["variants", "'../x'"]),
        ("variants: {lr_0.01: null}\n", ["variants.lr_0.01", "null removes", "did you mean 'lr_0.001'?"]),
        ("protocol: 3\n", ["protocol", "found 3"]),
        ("protocol: {width: .nan}\n", ["protocol.width", "found nan"]),
        ("protocol: {learning_rate: 1e-3}\n", ["protocol.learning_rate", "found '1e-3'", "0.001"]),
        ("protocol: {flip: no}\n", ["protocol", "'flip'"]),
        (
            "variants: {batch_res_late: {shortcut: {onset: 50}}}\n",
            ["variants.batch_res_late.shortcut.onset", "found 50"],
        ),
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


@settings(max_examples=25)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_right(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    lines = DEMO.splitlines()[4:]
    for _ in range(data.draw(st.integers(1, 3))):
        index = data.draw(st.integers(0, len(lines) - 1))
        column = data.draw(st.integers(0, len(lines[index])))
        piece = data.draw(
            st.sampled_from(
                ["", " ", "  ", "\t", ":", ": ", "-", "{", "}", "[", "]", "'", "#", "&a ", "*a", "|", "9", "\0"]
            )
        )
        lines[index] = data.draw(
            st.sampled_from(
                [lines[index][:column], lines[index][:column] + piece + lines[index][column:], lines[index][column:]]
            )
        )
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
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("outside") / "clone"
    for part in ("workflow", "profiles", "src", "studies"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    for part in ("Snakefile", "config.yaml"):
        shutil.copy(ROOT / part, folder)
    (folder / "blocked").write_text("a file where a folder should be")
    return folder


def plan(clone: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """`snakemake -n` in the clone; nothing but results, work and Snakemake's own folder changes."""
    before = everything(clone)
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "-n", "--cores", "1", *options],
        cwd=clone,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert everything(clone) == before
    return done


def everything(clone: Path) -> dict[str, bytes]:
    own = ("results", "work", ".snakemake")
    files = (path for path in clone.parent.rglob("*") if path.is_file())
    return {str(path): path.read_bytes() for path in files if not {*path.relative_to(clone.parent).parts[1:2]} & {*own}}


@pytest.mark.parametrize(
    ("overlay", "options", "words"),
    [
        ("protocol: {width: -1}", [], ["mine.yaml: protocol.width: found -1", "at least 1"]),
        ("seeds: [0]\nseeds: [1]", [], ["mine.yaml, line 2", "'seeds'", "duplicate"]),
        ("variants: {../../../up: {width: 9}}", [], ["mine.yaml: variants: found '../../../up'", "letters"]),
        ("results: blocked", [], ["blocked", "run the same command again"]),
        ("seeds: [0]", ["--config", "tolerance=5"], ["--config: tolerance: found 5", "less than 1"]),
    ],
)
def test_a_user_sees_one_sentence(clone: Path, overlay: str, options: list[str], words: list[str]) -> None:
    (clone / "mine.yaml").write_text(overlay + "\n")
    done = plan(clone, "--configfile", "studies/demo.yaml", "mine.yaml", *options)
    assert done.returncode == 2
    said = [line for line in (done.stdout + done.stderr).splitlines() if not line.startswith(NOTICES)]
    assert len(said) == 1, done.stdout + done.stderr
    assert said[0].startswith("error: ")
    assert all(word in said[0] for word in words), said[0]


def test_a_slip_in_config_yaml_is_one_sentence_too(clone: Path) -> None:
    config = (clone / "config.yaml").read_text()
    (clone / "config.yaml").write_text(config.replace("study: published", "study: 2024-13-45"))
    done = plan(clone)
    (clone / "config.yaml").write_text(config)
    assert done.returncode == 2
    assert "Traceback" not in done.stdout + done.stderr
    assert "error: config.yaml cannot be read as YAML: month must be in 1..12.\n" in done.stderr


def test_names_and_folders_at_their_limits_are_planned(clone: Path) -> None:
    mine = {
        "results": "./results//",
        "work": "work/",
        "variants": {
            "A-b.c_d": {"learning_rate": 0.3},
            "x" * 64: {"learning_rate": 0.4, "label": "long"},
            "lr_0.1": None,
        },
        "grid": {"kinds": ["noise"], "strengths": [1e-07, 100], "onsets": [9]},
        "claims": [],
    }
    (clone / "mine.yaml").write_text(yaml.safe_dump(mine))
    done = plan(clone, "--configfile", "studies/demo.yaml", "mine.yaml")
    assert done.returncode == 0, done.stderr
    assert "prepare" in done.stdout
    study = json.loads((clone / "results" / "demo" / "study.json").read_text())
    published = [name for name in PUBLISHED["variants"] if name != "lr_0.1"]
    assert list(study["variants"]) == [*published, "A-b.c_d", "x" * 64, "noise-1e-07-9", "noise-100-9"]
