"""Wrong studies: each gets one sentence with the key, what was found and what is allowed, and nothing is written.

From `study_keys` come wrong values for each key; here follow missing and misspelt keys, what is wrong only in its place (a
name that no variant has, an onset that is too late), and any value anywhere.
"""

from __future__ import annotations

import datetime
import re
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from study_keys import (
    DELETED,
    ELSEWHERE,
    KEYS,
    NAMES,
    NO_NAMES,
    PUBLISHED,
    RICH,
    SUMS,
    Key,
    at,
    changed,
    is_simple,
    refused,
    shown,
    sound,
)
from study_keys import nothing_is_written as nothing_is_written
from synthetic import ROOT, merged

from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import resolve
from temporal_shortcuts.study.checks import RESERVED

pytestmark = pytest.mark.usefixtures("nothing_is_written")
SHIPPED = ("config.yaml", *sorted(f"studies/{path.name}" for path in (ROOT / "studies").glob("*.yaml")))


@pytest.mark.parametrize("key", KEYS, ids=lambda key: ".".join(map(str, key)))
def test_each_wrong_value_of_each_key_is_refused(key: Key) -> None:
    name = ".".join(map(str, key))
    for value in KEYS[key].wrong:
        assert not KEYS[key].allows(value)
        refused(changed(RICH, key, value), name, *([shown(value)] if is_simple(value) else []))


@pytest.mark.parametrize("key", KEYS, ids=lambda key: ".".join(map(str, key)))
def test_each_right_value_at_the_limits_of_each_key_is_accepted(key: Key) -> None:
    for value in KEYS[key].right:
        assert KEYS[key].allows(value)
        if value not in ELSEWHERE.get(key, []):
            assert sound(resolve(changed(RICH, key, value)))


# -- missing, unknown and misspelt keys --------------------------------------------------------------------------------

OPTIONAL = {
    *((key,) for key in ("grid",)),
    *(("data", key) for key in ("images_per_class", "path", "urls", "archive_checksum")),
    *(key for key in KEYS if key[:2] == ("variants", "rich") and len(key) == 3),
    ("variants", "rich", "shortcut", "accounting"),
    ("claims", 0),
    ("claims", 0, "published"),
    ("claims", 1, "margin"),
}


HOLDERS = [key for key in ((), *KEYS) if key != ("variants",) and isinstance(at(key), dict)]


def misspelt(holder: Key) -> list[tuple[str, str]]:
    names = [name for name in at(holder) if len(name) > 2]
    changes = [(n, {n[:-1], n + "s", n[1:], n.replace("_", "-"), n.capitalize()} - set(at(holder))) for n in names]
    return [(name, wrong) for name, wrongs in changes for wrong in sorted(wrongs)]


@pytest.mark.parametrize("key", [key for key in KEYS if key not in (("variants", "rich"), ("claims", 0))], ids=str)
def test_a_missing_key_is_named_unless_it_is_optional(key: Key) -> None:
    config = changed(RICH, key, DELETED)
    if key == ("grid",):
        refused(config, "claims.2.among.1", "noise-0.1-3")
    elif key in OPTIONAL:
        assert sound(resolve(config))
    else:
        refused(config, repr(key[-1]), "is missing", ".".join(map(str, key[:-1])))


@pytest.mark.parametrize("holder", HOLDERS, ids=str)
def test_an_unknown_key_is_named_with_those_that_are_allowed(holder: Key) -> None:
    for extra in ("nonsense", "Ünï", "__use_yte__", "pathvars", "x" * 1000, "../../x", ""):
        refused(
            changed(RICH, (*holder, extra), 1), ".".join(map(str, holder)), repr(extra)[:20], *sorted(at(holder))[:1]
        )
    for extra in (3, 1.5, True, None, ("a", "b"), datetime.date(2024, 1, 1)):
        refused(changed(RICH, (*holder, extra), 1), shown(extra), "quotes")


@pytest.mark.parametrize("holder", HOLDERS, ids=str)
def test_a_misspelt_key_gets_the_nearest_right_one(holder: Key) -> None:
    for name, wrong in misspelt(holder):
        config = changed(changed(RICH, (*holder, name), DELETED), (*holder, wrong), at((*holder, name)))
        refused(config, repr(wrong), "did you mean", "allowed are")


def test_there_are_many_wrong_studies() -> None:
    """The systematic ones of above alone."""
    assert sum(len(kind.wrong) for kind in KEYS.values()) > 1500
    assert sum(len(misspelt(holder)) for holder in HOLDERS) > 200


# -- what is wrong only in its place -----------------------------------------------------------------------------------


def overlaid(*overlays: dict[str, Any]) -> dict[str, Any]:
    config = RICH
    for overlay in overlays:
        config = merged(config, overlay)
    return config


def shipped(name: str) -> dict[str, Any]:
    return PUBLISHED if name == "config.yaml" else merged(PUBLISHED, yaml.safe_load((ROOT / name).read_text()))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_studies_are_right_and_an_onset_beyond_their_epochs_is_not(name: str) -> None:
    config = shipped(name)
    files = dict.fromkeys([str(ROOT / "config.yaml"), str(ROOT / name)])
    study = resolve(config, files)
    assert sound(study)
    published = [variant for variant in PUBLISHED["variants"] if config["variants"][variant] is not None]
    assert list(study.resolved["variants"])[: len(published)] == published, "overlays add their variants at the end"
    epochs = config["protocol"]["epochs"]
    late = {
        key: variant["shortcut"] for key, variant in config["variants"].items() if variant and "shortcut" in variant
    }
    for variant, shortcut in late.items():
        for onset in (epochs, epochs + 1, 100_000):
            wrong = changed(config, ("variants", variant, "shortcut", "onset"), onset)
            refused(
                wrong, f"variants.{variant}.shortcut.onset", f"found {onset}", "protocol.epochs", f"less than {epochs}"
            )
        if shortcut["onset"] > 0:
            refused(changed(config, ("protocol", "epochs"), shortcut["onset"]), "onset", "less than", "variants")


@pytest.mark.parametrize("name", [*NO_NAMES, "", " a", "a ", "a\n", "a\nb", "a\u2028", "\ud800", "x" * 1000])
def test_a_variant_whose_name_is_no_file_name_is_refused(name: str) -> None:
    refused(overlaid({"variants": {name: {"learning_rate": 0.3}}}), "variants", shown(name))


@pytest.mark.parametrize(
    "name", ["a", "A-b.c_d", "9", "x" * 64, "lr_0.1.", "a..b", "con", "allx", "rules", "None", "if"]
)
def test_other_names_are_accepted(name: str) -> None:
    assert sound(resolve(overlaid({"variants": {name: {"learning_rate": 0.3}}})))


def test_names_that_differ_by_case_only_are_refused() -> None:
    for name in [*NAMES.right, "batch_res-0.1-3"]:
        for other in {name.upper(), name.capitalize(), name.swapcase()} - {name}:
            refused(overlaid({"variants": {other: {"learning_rate": 0.3}}}), repr(other), repr(name), "case only")


def test_no_variant_can_have_the_name_of_a_rule() -> None:
    text = "".join(path.read_text() for path in [ROOT / "Snakefile", *(ROOT / "workflow" / "rules").glob("*.smk")])
    rules = set(re.findall(r"^ *rule (\w+):", text, re.MULTILINE))
    assert len(rules) > 10
    assert rules <= set(RESERVED), "schema.RESERVED lacks a rule"
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
    for wrong in (name[:-1], name + "x", name.upper(), name.replace("_", "-") + "-"):
        refused(
            changed(RICH, key, wrong),
            ".".join(map(str, key)),
            f"found {wrong!r}",
            "must be one of the variants benchmark",
        )
    refused(changed(RICH, key, name + "x"), f"did you mean {name!r}?")
    refused(changed(RICH, key, "nobody at all"), "found 'nobody at all'")


@pytest.mark.parametrize("index", range(4))
def test_a_claim_has_the_keys_of_its_test_and_no_others(index: int) -> None:
    has = {
        "better": ["than", "margin"],
        "not_better": ["than", "margin"],
        "best_of": ["among", "margin"],
        "fails_to_converge": ["threshold"],
    }
    values = {"than": "bare", "margin": 0.5, "among": ["lr_0.1"], "threshold": 0.2}
    claim = at(("claims", index))
    refused(
        changed(RICH, ("claims", index, has[claim["test"]][0]), DELETED), f"claims.{index}", "missing", claim["test"]
    )
    for key in set(values) - set(has[claim["test"]]):
        wrong = changed(RICH, ("claims", index, key), values[key])
        refused(wrong, f"claims.{index}.{key}", shown(values[key]), f"the test {claim['test']} has no such key")
    for other in set(has) - {claim["test"]}:
        if has[other][0] != has[claim["test"]][0]:
            refused(changed(RICH, ("claims", index, "test"), other), f"claims.{index}", other)


def test_a_claim_compares_different_variants_and_is_named_once() -> None:
    refused(changed(RICH, ("claims", 0, "than"), "rich"), "claims.0.than", "found 'rich'")
    refused(changed(RICH, ("claims", 2, "among"), ["benchmark"]), "claims.2.among", "found ['benchmark']")
    assert sound(resolve(changed(RICH, ("claims", 2, "among"), ["benchmark", "lr_0.1"])))
    for index in range(1, 4):
        refused(changed(RICH, ("claims", index, "id"), "a"), f"claims.{index}.id", "found 'a'", "twice")


@pytest.mark.parametrize("kind", ["batch_res", "epoch_res", "shuffled", "noise", "one_bit"])
def test_a_shortcut_has_the_keys_of_its_kind_and_no_others(kind: str) -> None:
    def study(**shortcut: Any) -> dict[str, Any]:
        return overlaid({"variants": {"new": {"shortcut": {"kind": kind, "onset": 1} | shortcut}}})

    key = "variants.new.shortcut"
    if kind == "one_bit":
        assert sound(resolve(study()))
        refused(study(strength=0.05), f"{key}.strength", "found 0.05", kind)
        refused(study(accounting="corrected"), f"{key}.accounting", "found 'corrected'", kind)
        return
    assert sound(resolve(study(strength=0)))
    refused(study(), key, "'strength' is missing", kind)
    if kind == "epoch_res":
        shortcut = resolve(study(strength=1)).resolved["variants"]["new"]["settings"]["shortcut"]
        assert shortcut == {"kind": kind, "onset": 1, "strength": 1.0, "accounting": "corrected"}
    else:
        refused(study(strength=0.05, accounting="published"), f"{key}.accounting", "found 'published'", kind)


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
    refused(
        overlaid(
            {
                "variants": {
                    "rich": {"shortcut": None},
                    "same": at(("variants", "rich")) | {"shortcut": None, "against": "rich"},
                }
            }
        ),
        "variants.same",
        "differs in nothing",
    )


def test_an_archive_has_a_checksum_that_its_source_knows() -> None:
    for source in ("image_folder", "digits"):
        wrong = overlaid({"data": {"source": source, "checksum": SUMS[1]}})
        refused(wrong, "data.checksum", "found 'md5:fff", source, "sha256")


def test_a_grid_makes_only_variants_that_can_be() -> None:
    assert len(resolve(RICH).resolved["variants"]) == len(NAMES.right) + 4
    refused(overlaid({"grid": {"onsets": [3, 50]}}), "grid.onsets", "found 50", "less than 50")
    refused(overlaid({"grid": {"kinds": ["noise", "one_bit"]}}), "grid.kinds", "found 'one_bit'", "strength")
    refused(overlaid({"grid": {"strengths": [0.1, 0.1000000001]}}), "grid", "'batch_res-0.1-3'")
    refused(overlaid({"variants": {"noise-0.1-3": {"learning_rate": 0.3}}}), "grid", "'noise-0.1-3'", "rename")
    without = resolve(overlaid({"variants": {"noise-0.1-5": None}})).resolved["variants"]
    assert len(without) == len(NAMES.right) + 3
    assert "noise-0.1-5" not in without


def test_equal_numbers_are_one_number() -> None:
    def fingerprints(**settings: Any) -> list[str]:
        return [run.fingerprint for run in resolve(overlaid({"variants": {"rich": settings}})).runs]

    assert fingerprints(width=7.0, momentum=0, learning_rate=1) == fingerprints(momentum=-0.0, learning_rate=1.0)
    assert fingerprints(seeds=[0.0, 1.0, 2.0]) == fingerprints()
    assert fingerprints(width=8) != fingerprints()


# -- any value anywhere ------------------------------------------------------------------------------------------------

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.dates())
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | SCALARS, inner, max_size=3),
    max_leaves=5,
)
KNOWN = [value for kind in KEYS.values() for value in (*kind.right, *kind.wrong)]


@settings(max_examples=150)
@given(key=st.sampled_from(sorted(KEYS, key=str)), value=VALUES | st.sampled_from(KNOWN))
def test_any_value_anywhere_is_refused_or_right(key: Key, value: Any) -> None:
    config = changed(RICH, key, value)
    if KEYS[key].allows(value):
        try:
            assert sound(resolve(config))
        except UserError:
            refused(config)
    else:
        refused(config, key[0])


@settings(max_examples=40)
@given(data=st.data())
def test_two_wrong_things_are_one_sentence(data: st.DataObject) -> None:
    config, wrong = RICH, [key for key in KEYS if len(key) > 1]
    for key in data.draw(st.lists(st.sampled_from(wrong), min_size=2, max_size=4, unique=True)):
        try:
            config = changed(config, key, data.draw(st.sampled_from(KEYS[key].wrong)))
        except (TypeError, LookupError):
            continue  # what held it is already something else
    refused(config)
