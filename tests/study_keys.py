"""What each key of a study allows, said apart from the schema: its wrong values, and the right ones at its limits."""

from __future__ import annotations

import copy
import datetime
import itertools
import json
import math
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from synthetic import ROOT, merged

from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import Study, resolve

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
    assert json.loads(study.text()) == study.resolved
    for run in study.runs:
        assert Path(os.path.normpath(f"results/{study.name}/{run.record}")).parts[:3] == (
            "results",
            study.name,
            "records",
        )
        assert len(Path(run.record).parts) == 3
        assert study.chain(run)[-1].stop == study.epochs
    for name, variant in study.resolved["variants"].items():
        assert variant["against"] in {None, *study.resolved["variants"]} - {name}
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


# -- kinds of values ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    right: list[Any]
    wrong: list[Any]
    allows: Callable[[Any], bool]


JUNK: list[Any] = [{}, {"a": 1}, {1: 2}, datetime.date(2024, 1, 1), b"bytes", math.nan, math.inf, -math.inf, 10**400]


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63


def number(low: float, high: float, *, whole: bool = False, without: tuple[float, ...] = ()) -> Kind:
    beyond = [low - 1, high + 1, -(2**62), 2**62, -(2**70), 1e308, *without]
    words = ["", "x", str(high), "1e-3", "0x10", None, True, False, [], [high]]
    inner = [value for value in (low, high) if value not in without] or [(low + high) / 2]
    return Kind(
        [*inner, *map(float, inner)],
        [*JUNK, *beyond, *words, *([low + 0.5, 1e-300] if whole else [])],
        lambda value: (
            is_number(value)
            and low <= value <= high
            and value not in without
            and (not whole or float(value).is_integer())
        ),
    )


def text(most: int | None = None, right: tuple[str, ...] = ("x", "Ünïcode, 文字"), wrong: tuple[str, ...] = ()) -> Kind:
    long = ["x" * (most + 1), "x" * 100_000] if most else []
    bad = ["", " ", " x", "x\n", "a\nb", "a\0b", "\x1b[31m", "\ud800", "a\u2028b"]
    return Kind(
        [*right, *(["x" * most] if most and not wrong else [])],
        [*JUNK, *bad, *long, *wrong, 3, 1.5, True, None, [], ["x"]],
        lambda value: (
            isinstance(value, str)
            and bool(value)
            and len(value) <= (most or len(value))
            and value not in (*bad, *wrong)
            and value == value.strip()
            and not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", value)
        ),
    )


def form(right: tuple[str, ...], wrong: tuple[str, ...], pattern: str) -> Kind:
    """Text of which the whole matches a pattern."""
    kind = text(None, right, wrong)
    return Kind(kind.right, kind.wrong, lambda value: isinstance(value, str) and bool(re.fullmatch(pattern, value)))


def one_of(*words: str) -> Kind:
    wrong = [*JUNK, *(word.upper() for word in words), *(word + "x" for word in words), "", None, True, 3, [], [*words]]
    return Kind([*words], wrong, lambda value: isinstance(value, str) and value in words)


def nullable(kind: Kind) -> Kind:
    wrong = [value for value in kind.wrong if value is not None]
    return Kind([*kind.right, None], wrong, lambda value: value is None or kind.allows(value))


def listing(kind: Kind, *, least: int = 1, most: int | None = None) -> Kind:
    one = kind.right[0]
    wrong = [*JUNK, one, None, True, "x", [one, one], [[one]], *([value] for value in kind.wrong)]
    wrong += [[]] * least + ([list(range(most + 1))] if most else [])
    return Kind(
        [[value] for value in kind.right] + [[]] * (not least),
        wrong,
        lambda value: (
            isinstance(value, list)
            and least <= len(value) <= (most or len(value))
            and all(map(kind.allows, value))
            and all(a != b for a, b in itertools.combinations(value, 2))
        ),
    )


def mapping(wrong: tuple[Any, ...] = (None,)) -> Kind:
    """A mapping, of which the keys have kinds of their own."""
    bad = [value for value in JUNK if not isinstance(value, dict)]
    return Kind([], [*bad, "x", "", 3, True, [], [{}], *wrong], lambda value: isinstance(value, dict))


def is_list_of_mappings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, dict) and item for item in value)


TRUTH = Kind(
    [True, False], [*JUNK, "true", "yes", "", 0, 1, 1.0, None, [], [True]], lambda value: isinstance(value, bool)
)
NO_NAMES = (
    "../x",
    "..",
    ".",
    "a/b",
    "/etc",
    "a b",
    "-a",
    "_a",
    ".a",
    "a\\b",
    "ä",
    "a:b",
    "a*",
    "{a}",
    "a\0",
    "~",
    "%2e%2e",
    "x" * 65,
)
SMALL_NAMES = (*NO_NAMES, "A", "aB")
NAME = form(("a", "9", "x" * 40, "a-b_c"), (*SMALL_NAMES, "a.b", "x" * 41), r"[a-z0-9][a-z0-9_-]{0,39}")
ID = form(("a", "9", "x" * 64, "a-b_c.d"), SMALL_NAMES, r"[a-z0-9][a-z0-9_.-]{0,63}")
FOLDER = form(
    ("out", "../out", "/tmp/out", "a b"),
    ("", "~", "~/x", "{x}", "a{b", "a}b", "<x>", "a>b"),
    r"(?!~)(?! )[^{}<>\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+(?<! )",
)
SUMS = ("sha256:" + "0" * 64, "md5:" + "f" * 32)
NO_SUMS = (
    "0" * 64,
    "sha256:",
    "sha256:" + "0" * 63,
    "sha256:" + "0" * 65,
    "sha256:" + "G" * 64,
    "md5:" + "F" * 32,
    "sha1:" + "0" * 40,
)
SUM = form(SUMS, NO_SUMS, "sha256:[0-9a-f]{64}|md5:[0-9a-f]{32}")
ADDRESS = form(
    ("https://example.org/x", "http://localhost:8000/x.tar"),
    (
        "file:///etc/passwd",
        "ftp://example.org/x",
        "example.org/x",
        "/etc/passwd",
        "https://",
        "http:///x",
        "HTTPS://X",
        "javascript:alert(1)",
    ),
    r"https?://[^/ \x00-\x20\x7f-\x9f]+[^\x00-\x1f\x7f-\x9f]*",
)
SEED = number(0, 2**31 - 1, whole=True)
KIND = one_of("batch_res", "epoch_res", "shuffled", "noise", "one_bit")
MODEL = one_of("resnet18", "resnet18_published")
SETTINGS: dict[str, Kind] = {
    "model": MODEL,
    "width": number(1, 1024, whole=True),
    "batch_size": number(2, 65536, whole=True),
    "learning_rate": number(0, 100, without=(0,)),
    "momentum": number(0, 1, without=(1,)),
    "weight_decay": number(0, 1),
    "schedule_epochs": number(1, 100_000, whole=True),
    "augmentation": mapping(),
}
AUGMENTATION = {"crop_padding": number(0, 16, whole=True), "flip": TRUTH}

RICH = merged(
    PUBLISHED,
    {
        "seeds": [0, 1],
        "data": {
            "checksum": SUMS[0],
            "images_per_class": 100,
            "path": "../../my copy.tar.gz",
            "urls": ["https://example.org/x.tar.gz"],
            "archive_checksum": SUMS[1],
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
            **dict.fromkeys(("lr_0.001", "batch_res_start", "epoch_res_start", "epoch_res_late")),
        },
        "grid": {"kinds": ["batch_res", "noise"], "strengths": [0.1], "onsets": [3, 5]},
        "claims": [
            {"id": "a", "text": "A", "test": "better", "variant": "rich", "than": "bare", "published": "1 against 2"},
            {"id": "b", "text": "B", "test": "not_better", "variant": "rich", "than": "bare", "margin": 0.5},
            {"id": "c", "text": "C", "test": "best_of", "variant": "benchmark", "among": ["lr_0.1", "noise-0.1-3"]},
            {"id": "d", "text": "D", "test": "fails_to_converge", "variant": "lr_0.1", "threshold": 0.2},
        ],
    },
)
"""A study with every key."""
NAMES = one_of(*(name for name, variant in RICH["variants"].items() if variant))

KEYS: dict[Key, Kind] = {
    ("study",): NAME,
    ("title",): text(200),
    ("scale",): text(300),
    ("results",): FOLDER,
    ("work",): FOLDER,
    **{(key,): TRUTH for key in ("keep_states", "keep_weights", "force_environment", "front_page")},
    ("checkpoint_minutes",): number(0, 1_000_000, without=(0,)),
    ("jobs_per_gpu",): number(1, 1000, whole=True),
    ("benchmark",): NAMES,
    ("seeds",): listing(SEED, most=10_000),
    ("tolerance",): number(0, 1, without=(0, 1)),
    **{(key,): mapping() for key in ("data", "protocol", "variants", "grid")},
    ("data", "name"): text(80),
    ("data", "source"): one_of("cifar10", "image_folder", "digits"),
    ("data", "checksum"): SUM,
    ("data", "images_per_class"): nullable(number(1, 10_000_000, whole=True)),
    ("data", "path"): nullable(text()),
    ("data", "urls"): nullable(listing(ADDRESS, least=0)),
    ("data", "archive_checksum"): nullable(SUM),
    ("protocol", "epochs"): number(1, 100_000, whole=True),
    ("protocol", "device"): one_of("cpu", "cuda", "auto"),
    ("protocol", "precision"): one_of("fp32", "tf32", "bf16"),
    ("protocol", "instruction_set"): one_of("avx2", "avx512", "native"),
    **{("protocol", key): TRUTH for key in ("compile", "evaluate_with_carry")},
    ("variants", "rich"): mapping(()),
    ("variants", "rich", "label"): text(80),
    ("variants", "rich", "published"): nullable(number(0, 1)),
    ("variants", "rich", "against"): nullable(NAMES),
    ("variants", "rich", "seeds"): listing(SEED, most=10_000),
    ("variants", "rich", "shortcut"): mapping(()),
    ("variants", "rich", "shortcut", "kind"): KIND,
    ("variants", "rich", "shortcut", "strength"): number(0, 100),
    ("variants", "rich", "shortcut", "onset"): number(0, 49, whole=True),
    ("variants", "rich", "shortcut", "accounting"): one_of("corrected", "published"),
    ("grid", "kinds"): listing(KIND),
    ("grid", "strengths"): listing(number(0, 100), most=100),
    ("grid", "onsets"): listing(number(0, 49, whole=True), most=100),
    ("claims",): Kind([[]], [*JUNK, None, "x", 3, True, [None], ["x"], [[]], [{}]], is_list_of_mappings),
    ("claims", 0): mapping(),
    ("claims", 0, "id"): ID,
    ("claims", 0, "text"): text(300),
    ("claims", 0, "test"): one_of("better", "not_better", "best_of", "fails_to_converge"),
    ("claims", 0, "variant"): NAMES,
    ("claims", 0, "than"): NAMES,
    ("claims", 0, "published"): text(200),
    ("claims", 1, "margin"): number(0.001, 100),
    ("claims", 2, "among"): listing(NAMES),
    ("claims", 3, "threshold"): number(0, 1),
}
for holder in (("protocol",), ("variants", "rich")):
    KEYS |= {(*holder, key): kind for key, kind in SETTINGS.items()}
    KEYS |= {(*holder, "augmentation", key): kind for key, kind in AUGMENTATION.items()}

ELSEWHERE: dict[Key, list[Any]] = {
    ("protocol", "epochs"): [1, 1.0],  # onsets stand beyond it
    ("variants", "rich", "against"): ["rich"],
    ("variants", "rich", "shortcut", "kind"): ["batch_res", "shuffled", "noise", "one_bit"],  # which have no accounting
    ("grid", "kinds"): [
        ["one_bit"],
        ["epoch_res"],
        ["shuffled"],
        ["batch_res"],
    ],  # a claim names noise, one_bit has no strength
    ("grid", "strengths"): [[0], [100], [0.0], [100.0]],  # a claim names 0.1
    ("grid", "onsets"): [[0], [49], [0.0], [49.0]],
    ("claims", 0, "test"): ["not_better", "best_of", "fails_to_converge"],
    ("claims", 0, "variant"): ["bare"],
    ("claims", 0, "than"): ["rich"],
    ("claims", 2, "among"): [["benchmark"]],
}
"""Right values that are wrong in RICH, or that RICH does not need."""


def at(key: Key) -> Any:
    value: Any = RICH
    for part in key:
        value = value[part]
    return value
