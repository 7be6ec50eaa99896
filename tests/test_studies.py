"""Wrong studies: each ends in one sentence that names the key, what was found and what is allowed, and nothing is written.

The JSON Schema that editors use, checked by jsonschema, is asked what is right of each value of each key; here follow missing and
misspelt keys, what is wrong only in its place (a name that no variant has, an onset that is too late), and any value anywhere.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.font_manager import findfont
from matplotlib.ft2font import FT2Font
from rich_study import DELETED, RICH, Key, at, changed, refused, shown, sound
from rich_study import nothing_is_written as nothing_is_written
from synthetic import ROOT

from temporal_shortcuts.catalogue import catalogue, read_study
from temporal_shortcuts.data import vision
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import resolve
from temporal_shortcuts.study.checks import DRAWN, RESERVED, check_full_batches
from temporal_shortcuts.study.kinds import KINDS
from temporal_shortcuts.study.reading import Source, merged, read
from temporal_shortcuts.study.validation import rule_of, schema

pytestmark = pytest.mark.usefixtures("nothing_is_written")
SCHEMA = ROOT / "workflow" / "schemas" / "study.schema.json"
SHIPPED = tuple(str(file) for file in catalogue(ROOT).files.values())
NAMES = [name for name, variant in RICH["variants"].items() if variant]


def keys(value: Any, key: Key = ()) -> Iterator[Key]:
    """Each key of RICH that has a rule of its own; of variants and claims, one with every key."""
    for name, item in value.items() if isinstance(value, dict) else ():
        yield (*key, name)
        if key != ("variants",) or name in ("rich", "fresh"):
            yield from keys(item, (*key, name))
    if key == ("claims",):
        for index, item in enumerate(value):
            yield (*key, index)
            yield from keys(item, (*key, index))


KEYS = list(keys(RICH))
JUNK: list[Any] = [
    *({}, {"a": 1}, {1: 2}, [], [{}], [[]], None, True, False, datetime.date(2024, 1, 1), b"bytes"),
    *(math.nan, math.inf, -math.inf, 10**400, -(2**62), -1, -0.5, 0, 0.5, 1, 1.5, 1e-300, 1e308),
    *("", " ", " x", "x", "x\n", "a\nb", "a\0b", "\x1b[31m", "\ud800", "a\u2028b", "x" * 1000, "1e-3", "0x10", "true"),
    *("~/x", "{x}", "../x", "A", "file:///etc/passwd", "sha256:" + "0" * 63, [1, 1], ["x", "x"], [True], ["../x"]),
]


def beyond(rule: dict[str, Any]) -> list[Any]:
    """Values just outside of what a key allows, and words that are nearly right."""
    wrong = [rule[limit] + step for limit, step in (("minimum", -1), ("maximum", 1)) if limit in rule]
    wrong += [rule[limit] for limit in ("exclusiveMinimum", "exclusiveMaximum") if limit in rule]
    wrong += ["x" * (rule["maxLength"] + 1)] if "maxLength" in rule else []
    return wrong + [change(word) for word in rule.get("enum", ()) for change in (str.upper, lambda word: word + "x")]


def limits(rule: dict[str, Any]) -> list[Any]:
    """The first and last values that a key allows."""
    right = [kind(rule[limit]) for limit in ("minimum", "maximum") if limit in rule for kind in (int, float)]
    right += ["x " * (rule["maxLength"] // 2 - 1) + "x"] if "maxLength" in rule else []
    right += [True, False] if rule.get("type") == "boolean" else []
    return right + rule.get("enum", []) + ([None] if rule.get("nullable") else [])


@cache
def editor() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text()))


def is_right(config: dict[str, Any]) -> bool:
    """What an editor says of it."""

    def is_plain(value: Any) -> bool:
        """Whether YAML could have it, and a study too: no dates, no bytes, finite numbers, text of one line."""
        if isinstance(value, dict):
            return all(isinstance(key, str) and is_plain(key) and is_plain(item) for key, item in value.items())
        if isinstance(value, list):
            return all(map(is_plain, value))
        if isinstance(value, str):
            return value == value.strip() and not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", value)
        return value is None or (isinstance(value, int | float) and abs(value) < 2**63 and math.isfinite(value))

    return is_plain(config) and editor().is_valid(config)


def test_the_schema_for_editors_is_made_from_the_types() -> None:
    assert json.loads(SCHEMA.read_text()) == schema(), "run make schema"
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("key", KEYS, ids=lambda key: ".".join(map(str, key)))
def test_each_wrong_value_of_each_key_is_refused(key: Key) -> None:
    for value in [*JUNK, *beyond(rule_of(key))]:
        config = changed(RICH, key, value)
        if not is_right(config):
            name = ".".join(map(str, key))
            refused(config, name, *([shown(value)] if value == [] or not isinstance(value, list | dict) else []))
        else:
            right_in_its_place(config)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: ".".join(map(str, key)))
def test_each_value_at_the_limits_of_each_key_is_accepted(key: Key) -> None:
    for value in limits(rule_of(key)):
        assert is_right(changed(RICH, key, value))
        right_in_its_place(changed(RICH, key, value))


def right_in_its_place(config: dict[str, Any]) -> None:
    """What the schema allows is accepted, or refused in one sentence for what another key says."""
    try:
        assert sound(resolve(config))
    except UserError:
        refused(config)


# -- missing, unknown and misspelt keys --------------------------------------------------------------------------------

REQUIRED = [
    *((key,) for key in ("study", "data", "seeds", "variants")),
    *(("data", key) for key in ("source", "checksum")),
    *(("variants", "rich", "shortcut", key) for key in ("kind", "strength", "onset")),
    *(("grid", key) for key in ("kinds", "strengths", "onsets")),
    *(("claims", 0, key) for key in ("id", "test", "variant", "than")),
    *(("claims", *key) for key in ((1, "than"), (2, "among"), (3, "threshold"))),
]


HOLDERS = [key for key in ((), *KEYS) if key != ("variants",) and isinstance(at(key), dict)]


def misspelt(holder: Key) -> list[tuple[str, str]]:
    names = [name for name in at(holder) if len(name) > 2]
    changes = [(n, {n[:-1], n + "s", n[1:], n.replace("_", "-"), n.capitalize()} - set(at(holder))) for n in names]
    return [(name, wrong) for name, wrongs in changes for wrong in sorted(wrongs)]


@pytest.mark.parametrize("key", REQUIRED, ids=str)
def test_a_missing_key_is_named(key: Key) -> None:
    refused(changed(RICH, key, DELETED), repr(key[-1]), "is missing", ".".join(map(str, key[:-1])))


def test_a_study_is_as_short_as_it_can_be() -> None:
    """The defaults are the published protocol, the first variant is the benchmark, and labels follow from settings."""
    data = {"source": "digits", "checksum": "sha256:" + "0" * 64}
    study = resolve({"study": "mine", "data": data, "seeds": [0], "variants": {"one": {}, "two": {"width": 8}}})
    assert sound(study)
    two = study.variants["two"]
    assert (study.title, study.benchmark, two.against, two.label) == ("mine", "one", "one", "width 8")
    assert study.protocol == read_study(ROOT / "config.yaml").protocol
    assert study.scale == "width 64, 50 epochs, digits (scikit-learn)"


@pytest.mark.parametrize("holder", HOLDERS, ids=str)
def test_an_unknown_key_is_named_with_those_that_are_allowed(holder: Key) -> None:
    for extra in ("nonsense", "Ünï", "x" * 1000, ""):
        wrong = changed(RICH, (*holder, extra), 1)
        refused(wrong, ".".join(map(str, holder)), repr(extra)[:20], *sorted(at(holder))[:1])
    for extra in (3, 1.5, True, None, datetime.date(2024, 1, 1)):
        refused(changed(RICH, (*holder, extra), 1), shown(extra), "quotes")


@pytest.mark.parametrize("holder", HOLDERS, ids=str)
def test_a_misspelt_key_gets_the_nearest_right_one(holder: Key) -> None:
    for name, wrong in misspelt(holder):
        config = changed(changed(RICH, (*holder, name), DELETED), (*holder, wrong), at((*holder, name)))
        refused(config, repr(wrong), "did you mean", "allowed are")


# -- what is wrong only in its place -----------------------------------------------------------------------------------


def overlaid(*overlays: dict[str, Any]) -> dict[str, Any]:
    config = RICH
    for overlay in overlays:
        config = merged(config, overlay)
    return config


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_studies_are_right(name: str) -> None:
    config = Source(read(ROOT / name), [ROOT / name]).config
    study = resolve(config)
    assert sound(study)
    assert read_study(ROOT / name).runs == study.runs


def test_an_onset_lies_within_the_epochs() -> None:
    for onset in (50, 51, 100_000):
        wrong = changed(RICH, ("variants", "rich", "shortcut", "onset"), onset)
        refused(wrong, "variants.rich.shortcut.onset", f"found {onset}", "protocol.epochs", "less than 50")
    short = {"protocol": {"epochs": 3, "average_from": None}, "endpoint": "last5", "grid": None}
    refused(overlaid(short), "variants.batch_res_late.shortcut.onset: found 41", "less than 3")


NO_NAMES = [
    *["../x", "..", "a/b", "/etc", "-a", "_a", ".a", "ä", "a:b", "a*", "{a}", "~", "%2e"],
    "a b",
    " a",
    "",
    "x" * 65,
]


def test_names_of_variants_are_names_of_files() -> None:
    for name in [*NO_NAMES, "a\n", "a\nb", "a\0", "a\\b", "a\u2028", "\ud800", "x" * 1000]:
        refused(overlaid({"variants": {name: {"learning_rate": 0.3}}}), "variants", shown(name))
    for name in ("NA", "None", "null", "NULL", "nan", "NaN"):
        refused(overlaid({"variants": {name: {"learning_rate": 0.3}}}), f"variants.{name}", "missing value", "rename")
    for name in ("a", "A-b.c_d", "9", "0.01", "x" * 64, "lr_0.1.", "a..b", "allx"):
        assert sound(resolve(overlaid({"variants": {name: {"learning_rate": 0.3, "label": "one"}}})))


@pytest.mark.parametrize("key", [("variants", "rich", "label"), ("data", "name")], ids=str)
def test_text_is_what_figures_can_show(key: Key) -> None:
    for text, sign in {"long 字": "字", "שלום": "ש", "😀 fun": "😀", "e\u0301": "\u0301", "a\u202eb": "\u202e"}.items():
        refused(changed(RICH, key, text), ".".join(key), shown(text), repr(sign), "font cannot show")
    for text in ("$5 to $7 a run", "batch | res", "0.01", "null", "a*b <i> _c_", "½ µ ≥ → −1 “x” …", "Ωβ, Ж"):
        study = resolve(changed(RICH, key, text))
        assert text in (study.variants["rich"].label, study.data.name)


def test_the_font_of_the_figures_has_what_is_accepted() -> None:
    font = FT2Font(findfont("DejaVu Sans")).get_charmap()
    accepted = [code for code in range(0x10000) if DRAWN.fullmatch(chr(code))]
    assert len(accepted) > 1000
    assert not [hex(code) for code in accepted if code not in font]


def test_names_that_differ_by_case_only_are_refused() -> None:
    for name in [*NAMES, "batch_res-0.1-3"]:
        for other in {name.upper(), name.capitalize(), name.swapcase()} - {name}:
            refused(overlaid({"variants": {other: {"learning_rate": 0.3}}}), repr(other), repr(name), "case only")


def test_no_variant_can_have_the_name_of_a_rule() -> None:
    text = "".join(path.read_text() for path in [ROOT / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")])
    rules = set(re.findall(r"^ *rule (\w+):", text, re.MULTILINE))
    assert len(rules) > 10
    assert rules <= set(RESERVED), "checks.RESERVED lacks a rule"
    for name in rules:
        refused(overlaid({"variants": {name: {"learning_rate": 0.3}}}), repr(name), "target", "rename")


PLACES: list[Key] = [
    ("benchmark",),
    ("variants", "rich", "against"),
    *(("claims", index, "variant") for index in range(4)),
    *(("claims", index, "than") for index in range(2)),
    *(("claims", 2, "among", index) for index in range(2)),
]


@pytest.mark.parametrize("key", PLACES, ids=str)
def test_a_name_that_no_variant_has_is_refused_with_the_nearest(key: Key) -> None:
    name = at(key)
    words = (".".join(map(str, key)), "must be one of the variants benchmark")
    refused(changed(RICH, key, name + "x"), f"found '{name}x'", f"did you mean {name!r}?", *words)
    refused(changed(RICH, key, "nobody at all"), "found 'nobody at all'", *words)


@pytest.mark.parametrize("index", range(4))
def test_a_claim_has_the_keys_of_its_test_and_no_others(index: int) -> None:
    has = dict.fromkeys(("better", "not_better"), ("than", "margin"))
    has |= {"best_of": ("among", "margin"), "fails_to_converge": ("threshold",)}
    values = {"than": "bare", "margin": 0.5, "among": ["lr_0.1"], "threshold": 0.2}
    claim = at(("claims", index))
    for key in set(values) - set(has[claim["test"]]):
        wrong = changed(RICH, ("claims", index, key), values[key])
        refused(wrong, f"claims.{index}.{key}", shown(values[key]), f"the test {claim['test']} has no such key")
    for other in set(has) - {claim["test"]}:
        if has[other][0] != has[claim["test"]][0]:
            refused(changed(RICH, ("claims", index, "test"), other), f"claims.{index}", other)


EARLY = {"kind": "epoch_res", "strength": 0.05, "onset": 0}
SHORT = {"study": "own", "seeds": [0], "data": {"source": "digits", "checksum": "sha256:" + "0" * 64}}


@pytest.mark.parametrize(
    ("variants", "protocol", "key", "words"),
    [
        ({"n": {"optimizer": "nesterov", "momentum": 0}}, {}, "variants.n.momentum", ["plain SGD", "optimizer: sgd"]),
        ({"n": {"momentum": 0}}, {"optimizer": "nesterov"}, "variants.n.momentum", ["plain SGD"]),
        ({"n": {}}, {"optimizer": "nesterov", "momentum": 0}, "protocol.momentum", ["plain SGD"]),
        ({"s": {"schedule": "step"}}, {}, "variants.s.schedule", ["after 100 epochs of the 50", "at most 98"]),
        ({"s": {"width": 8}}, {"schedule": "step", "schedule_epochs": 99}, "protocol.schedule", ["after 50 epochs"]),
        ({"s": {"schedule": "step"}}, {"epochs": 1}, "variants.s.schedule", ["write schedule: constant"]),
        ({"c": {"schedule": "constant"}}, {"epochs": 1}, "variants.c", ["trains exactly as 'base'"]),
        ({"a": {"shortcut": EARLY | {"strength": 0}}}, {}, "variants.a", ["trains exactly as 'base'"]),
        ({"a": {"width": 8}, "b": {"width": 8.0}}, {}, "variants.b", ["'b' trains exactly as 'a'"]),
        ({"a": {"shortcut": EARLY}, "b": {"shortcut": EARLY | {"onset": 1}}}, {}, "variants.b", ["exactly as 'a'"]),
    ],
)
def test_settings_that_never_act_and_runs_that_are_the_same_are_refused(variants, protocol, key, words):
    config = SHORT | {"variants": {"base": {}} | variants, "protocol": protocol}
    assert refused(config, *words).startswith(f"{key}: ")


def test_a_shortcut_in_a_grid_and_written_out_is_one_hypothesis():
    written = {"mine": {"shortcut": {"kind": "batch_res", "strength": 0.1, "onset": 3}}}
    grid = {"kinds": ["batch_res"], "strengths": [0.1, 0.2], "onsets": [3]}
    config = SHORT | {"variants": {"base": {}} | written, "grid": grid}
    assert refused(config, "'batch_res-0.1-3'", "'mine'", "remove one of them").startswith("grid: ")
    other = changed(config, ("variants", "mine", "against"), None)
    assert sound(resolve(other)), "compared with nothing, it is no second hypothesis"
    assert sound(resolve(changed(config, ("variants", "mine", "label_smoothing"), 0.1)))


def test_a_claim_compares_different_variants_and_is_named_once() -> None:
    refused(changed(RICH, ("claims", 0, "than"), "rich"), "claims.0.than", "found 'rich'")
    refused(changed(RICH, ("claims", 2, "among"), ["benchmark"]), "claims.2.among", "found ['benchmark']")
    assert sound(resolve(changed(RICH, ("claims", 2, "among"), ["benchmark", "lr_0.1"])))
    for index in range(1, 4):
        refused(changed(RICH, ("claims", index, "id"), "a"), f"claims.{index}.id", "found 'a'", "more than once")


@pytest.mark.parametrize("kind", KINDS)
def test_a_shortcut_has_the_keys_of_its_kind_and_no_others(kind: str) -> None:
    def study(**shortcut: Any) -> dict[str, Any]:
        return overlaid({"variants": {"new": {"shortcut": {"kind": kind, "onset": 1} | shortcut}}})

    key, needed = "variants.new.shortcut", {"strength": 0.05} if KINDS[kind].strength else {}
    shortcut = resolve(study(**needed)).variants["new"].shortcut
    assert shortcut.accounting == ("corrected" if KINDS[kind].accounting else None)
    if needed:
        refused(study(), key, "'strength' is missing", kind)
    for option, value in {"strength": 0.05, "accounting": "published", "stream": 2}.items():
        if getattr(KINDS[kind], option):
            assert getattr(resolve(study(**needed | {option: value})).variants["new"].shortcut, option) == value
        else:
            refused(study(**needed | {option: value}), f"{key}.{option}", shown(value), f"{kind} has no {option}")


def test_a_schedule_is_as_long_as_the_run_and_weights_are_averaged_within_it() -> None:
    refused(overlaid({"protocol": {"average_from": 51}}), "protocol.average_from", "found 51", "at most 50")
    words = ("found 49", "50 epochs", "rises again", "at least 50")
    refused(overlaid({"protocol": {"schedule_epochs": 49}}), "protocol.schedule_epochs", *words)
    refused(overlaid({"variants": {"bare": {"schedule_epochs": 49}}}), "variants.bare.schedule_epochs", *words)
    assert sound(resolve(overlaid({"variants": {"bare": {"schedule_epochs": 50}}})))


@pytest.mark.parametrize(("kind", "most"), [("batch_res", 719), ("noise", 719), ("shuffled", 719), ("epoch_res", 1438)])
def test_an_epoch_has_the_full_batches_without_which_a_shortcut_never_acts(kind: str, most: int) -> None:
    shortcut = {"kind": kind, "strength": 0.05, "onset": 1}
    study = SHORT | {"variants": {"benchmark": {}, "one": {"shortcut": shortcut, "batch_size": most}}}
    assert sound(resolve(study))
    wrong = changed(study, ("variants", "one", "batch_size"), most + 1)
    refused(wrong, "variants.one.shortcut", kind, "full batches", "1438", f"batch_size {most + 1}")
    few = merged(study, {"data": {"images_per_class": 20}, "variants": {"one": {"batch_size": 201}}})
    refused(few, "variants.one.shortcut", kind, "200 training images")
    folder = resolve(merged(study, {"data": {"source": "image_folder"}}))  # their number is known when they are read
    check_full_batches(folder, 1438)
    with pytest.raises(UserError, match=f"^variants.one.shortcut: {kind} acts only in epochs of"):
        check_full_batches(folder, most - 1)


@pytest.mark.parametrize("kind", ["fading", "same_image"])
def test_a_kind_has_the_epochs_without_which_it_never_acts(kind: str) -> None:
    def study(onset: int) -> dict[str, Any]:
        return overlaid({"variants": {"new": {"shortcut": {"kind": kind, "strength": 0.05, "onset": onset}}}})

    words = (
        f"found 49, but with protocol.epochs 50 the onset of {kind}, which acts only over 2 epochs or more",
        "less than 49",
    )
    refused(study(49), "variants.new.shortcut.onset", *words)
    assert sound(resolve(study(48)))
    grid = {"kinds": ["batch_res", kind], "strengths": [0.05], "onsets": [49]}
    refused(overlaid({"grid": grid}), "grid.onsets", *words)


def test_comparisons_in_a_circle_are_refused_and_chains_are_not() -> None:
    def study(**against: str | None) -> dict[str, Any]:
        new = {name: {"learning_rate": 0.3 + len(name), "against": other} for name, other in against.items()}
        return overlaid({"variants": new})

    assert sound(resolve(study(a="bb", bb="ccc", ccc="rich")))
    assert sound(resolve(study(a="bb", bb="ccc", ccc=None)))
    refused(study(a="a"), "variants.a.against", "found 'a'", "itself")
    refused(study(a="bb", bb="a"), "variants.a.against", "a against bb against a", "circle")
    refused(study(a="bb", bb="ccc", ccc="dddd", dddd="bb"), "variants.bb.against", "circle")
    refused(overlaid({"variants": {"benchmark": {"against": "lr_0.1"}}}), "against", "circle")
    assert sound(resolve(overlaid({"variants": {"benchmark": {"against": "lr_0.1"}, "lr_0.1": {"against": None}}})))


def test_what_can_show_nothing_is_refused() -> None:
    refused(overlaid({"variants": {"rich": {"seeds": [7]}}}), "variants.rich", "seeds [7]", "[0, 1, 5, 2147483647]")
    refused(overlaid({"variants": {"lr_0.1": {"seeds": [7]}}}), "variants.lr_0.1", "seeds [7]", "[0, 1]")
    refused(overlaid({"variants": {"bare": {"seeds": [5]}, "rich": {"against": None}}}), "claims.0", "seeds [0, 1, 2]")
    refused(overlaid({"variants": {"benchmrk": {"seeds": [0]}}}), "variants.benchmrk", "did you mean 'benchmark'?")
    rich = at(("variants", "rich")) | {"shortcut": None}
    refused(
        overlaid({"variants": {"rich": rich, "same": rich | {"against": "rich"}}}),
        "variants.same",
        "differs in nothing",
    )


def test_an_archive_has_a_checksum_that_its_source_knows() -> None:
    for source in ("image_folder", "digits"):
        wrong = overlaid({"data": {"source": source, "checksum": "md5:" + "f" * 32}})
        refused(wrong, "data.checksum", "found 'md5:fff", source, "sha256")


def test_a_grid_makes_only_variants_that_can_be() -> None:
    assert len(resolve(RICH).variants) == len(NAMES) + 4
    refused(overlaid({"grid": {"onsets": [3, 50]}}), "grid.onsets", "found 50", "less than 50")
    refused(overlaid({"grid": {"kinds": ["noise", "one_bit"]}}), "grid.kinds", "found 'one_bit'", "strength")
    refused(overlaid({"grid": {"strengths": [0.1, 0.1000000001]}}), "grid", "'batch_res-0.1-3'")
    refused(overlaid({"variants": {"noise-0.1-3": {"learning_rate": 0.3}}}), "grid", "'noise-0.1-3'", "rename")
    without = resolve(overlaid({"variants": {"noise-0.1-5": None}})).variants
    assert len(without) == len(NAMES) + 3
    assert "noise-0.1-5" not in without


# -- any value anywhere ------------------------------------------------------------------------------------------------

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.dates())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | SCALARS, inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=150)
@given(keys=st.lists(st.sampled_from(sorted(KEYS, key=str)), min_size=1, max_size=3, unique=True), data=st.data())
def test_any_values_anywhere_are_refused_in_one_sentence_or_right(keys: list[Key], data: st.DataObject) -> None:
    config = RICH
    for key in keys:
        value = data.draw(VALUES | st.sampled_from([*JUNK, *beyond(rule_of(key))]))
        with suppress(TypeError, LookupError):  # what holds it may be something else already
            config = changed(config, key, value)
    if is_right(config):
        right_in_its_place(config)
    else:
        refused(config, *(keys[0][:1] if len(keys) == 1 else ()))


def test_the_source_torchvision_and_no_other_has_a_dataset() -> None:
    data = {"source": "torchvision", "dataset": "SVHN", "checksum": "sha256:" + "0" * 64}
    assert resolve(changed(RICH, ("data",), data)).resolved["data"]["dataset"] == "SVHN"
    assert "dataset" not in resolve(RICH).resolved["data"]
    without = {key: value for key, value in data.items() if key != "dataset"}
    refused(changed(RICH, ("data",), without), "data", "'dataset' is missing", "such as CIFAR100")
    refused(changed(RICH, ("data",), data | {"dataset": "CIFAR"}), "data.dataset", "found 'CIFAR'", "CIFAR100")
    refused(changed(RICH, ("data",), data | {"source": "digits"}), "data.dataset", "found 'SVHN'", "remove the key")


def test_the_sets_that_a_study_may_name_are_those_that_can_be_read() -> None:
    assert sorted(rule_of(("data", "dataset"))["enum"]) == sorted(vision.SETS)
