"""Checking a study's configuration: every complaint is one sentence with the file, the key, what was found and what is allowed."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from temporal_shortcuts.study.complaints import Complaints, Key, at, nearest, read, short

SCHEMA = Path(__file__).parents[3] / "workflow" / "schemas" / "study.schema.yaml"
RESERVED = (
    *("all", "data", "prepare", "segment", "record", "records", "collect", "analyse", "tables"),
    *("draw", "figures", "write_readme", "readme", "front_page", "study"),
)
"""Names of rules, which a variant cannot have because each variant is a target too."""

_FLOATS = (
    *("learning_rate", "momentum", "weight_decay", "strength", "strengths", "tolerance", "published", "margin"),
    *("threshold", "checkpoint_minutes"),
)
WITHOUT_STRENGTH = ("one_bit", "fresh_order")
_DEEPEST = 6
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CLAIM_KEYS = {
    "better": ("than", "margin", "endpoint"),
    "not_better": ("than", "margin", "endpoint"),
    "negligible": ("than", "margin", "endpoint"),
    "best_of": ("among", "margin", "endpoint"),
    "fails_to_converge": ("threshold", "endpoint"),
}
"""The keys that each test of a claim has beside those that all have; the first must be there."""


def check(config: Mapping[str, Any], files: list[str]) -> dict[str, Any]:
    """The configuration, checked and in one form: null variants removed, the grid expanded, defaults filled in.

    `files` are those that it was merged from, the one that counts last at the end; they decide the order of the variants
    and are named in complaints. Raises `UserError`.
    """
    contents = {file: read(file) for file in files}
    complaints = Complaints(config, contents)
    config = _plain(config, (), complaints)
    removed = _order_variants(config, contents)
    _check_schema(config, complaints)
    config = _typed(config)
    _expand_grid(config, removed, complaints)
    _check_removed(removed, contents, complaints)
    for name, variant in config["variants"].items():
        variant.setdefault("against", None if name == config["benchmark"] else config["benchmark"])
        _check_variant(name, config, complaints)
    _check_names(config["variants"], complaints)
    _check_name(config["benchmark"], config["variants"], ("benchmark",), complaints)
    for name in config["variants"]:
        _check_against(name, config, complaints)
    _check_claims(config, complaints)
    average_from, epochs = config["protocol"].get("average_from"), config["protocol"]["epochs"]
    if average_from is not None and average_from > epochs:
        sentence = f"found {average_from}, but with protocol.epochs {epochs} it must be at most {epochs}."
        complaints.raise_(("protocol", "average_from"), sentence)
    source, checksum = config["data"]["source"], config["data"]["checksum"]
    if checksum.startswith("md5:") and source != "cifar10":
        sentence = f"found {checksum!r}, but the source {source} needs the sha256 of its prepared arrays, not an md5."
        complaints.raise_(("data", "checksum"), sentence)
    return config


# -- form --------------------------------------------------------------------------------------------------------------


def _plain(value: Any, key: Key, complaints: Complaints) -> Any:
    """A copy in plain dicts and lists, of what can stand in a study at all: finite numbers and text of one line."""
    if len(key) > _DEEPEST:
        complaints.raise_(key[:1], "it is nested too deeply, or an alias that contains itself; write it out.")
    if isinstance(value, Mapping):
        for name in value:
            if not isinstance(name, str):
                complaints.raise_(key, f"the key {short(name)} is not text; write it in quotes.", (*key, name))
            _check_text(name, key, complaints, (*key, name))
        return {name: _plain(item, (*key, name), complaints) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, (*key, index), complaints) for index, item in enumerate(value)]
    if isinstance(value, str):
        _check_text(value, key, complaints)
    elif isinstance(value, float) and not math.isfinite(value):
        complaints.raise_(key, f"found {value}, but a number must be finite.")
    elif isinstance(value, int) and abs(value) >= 2**63:
        complaints.raise_(key, "found a whole number of 2^63 or more, but it must be smaller.")
    return value


def _check_text(text: str, key: Key, complaints: Complaints, cause: Key = ()) -> None:
    if text != text.strip() or _CONTROL.search(text):
        sentence = "but text must be one line, without spaces at its ends or control characters (in YAML, >- not >)."
        complaints.raise_(key, f"found {short(text)}, {sentence}", cause)


@cache
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(yaml.safe_load(SCHEMA.read_text(encoding="utf-8")))


def _check_schema(config: dict[str, Any], complaints: Complaints) -> None:
    errors = sorted(
        _validator().iter_errors(config),
        key=lambda error: (error.validator == "required", len(error.absolute_path), str(list(error.absolute_path))),
    )
    if errors:
        error, key = errors[0], tuple(errors[0].absolute_path)
        is_key = error.validator == "pattern" and "propertyNames" in error.absolute_schema_path
        cause = _unknown(error) if error.validator == "additionalProperties" else error.instance if is_key else None
        complaints.raise_(key, _sentence(error), (*key, cause) if cause is not None else ())


def _sentence(error: jsonschema.ValidationError) -> str:
    found, rule, limit = short(error.instance), str(error.validator), error.validator_value
    about = f" ({error.schema['description']})" if "description" in error.schema else ""
    match rule:
        case "additionalProperties":
            allowed, key = sorted(error.schema["properties"]), _unknown(error)
            return f"the key {short(key)} is not known{nearest(key, allowed)}; allowed are {', '.join(allowed)}."
        case "required":
            missing = next(key for key in limit if key not in error.instance)
            about = error.schema["properties"][missing].get("description")
            return f"the key {missing!r} is missing; add it{f' ({about})' if about else ''}."
        case "enum":
            return f"found {found}{nearest(error.instance, limit)}, but it must be one of {', '.join(limit)}."
        case "type":
            kinds = limit if isinstance(limit, list) else [limit]
            hint = "; after --config, write True or False" if error.instance in ("true", "false") else ""
            return f"found {found}, but it must be {' or '.join(_KINDS[kind] for kind in kinds)}{about}{hint}."
        case "pattern":
            return f"found {found}, but it must be {error.schema['form']}{about}."
        case "uniqueItems":
            return f"found {found}, but nothing may stand in it twice."
        case "minItems" | "minProperties" | "minLength":
            return f"found {found}, but it must not be empty{about}."
        case "maxItems" | "maxLength":
            things = "characters" if rule == "maxLength" else "entries"
            return f"found {found} of {len(error.instance)} {things}, but at most {limit} are allowed{about}."
        case _:
            return f"found {found}, but it must be {_LIMITS[rule]} {limit}{about}."


_KINDS = {
    "object": "a mapping of keys",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number (YAML reads 1e-3 as text: write 1.0e-3 or 0.001)",
    "boolean": "true or false",
    "null": "null",
}
_LIMITS = {
    "minimum": "at least",
    "maximum": "at most",
    "exclusiveMinimum": "greater than",
    "exclusiveMaximum": "less than",
}


def _unknown(error: jsonschema.ValidationError) -> str:
    return sorted(set(error.instance) - set(error.schema["properties"]))[0]


def _typed(value: Any, key: str = "") -> Any:
    """Numbers in the type of their key, so that 1, 1.0 and 1e0 are one value with one fingerprint, and so are 0 and -0."""
    if isinstance(value, dict):
        return {name: _typed(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_typed(item, key) for item in value]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    return value + 0.0 if key in _FLOATS else int(value)


# -- variants ----------------------------------------------------------------------------------------------------------


def _order_variants(config: dict[str, Any], contents: Mapping[str, Any]) -> dict[str, None]:
    """Put the variants in the order in which the files name them first, and take out those that are null: their names.

    Snakemake's merging would put an overlay's variants first.
    """
    variants = at(config, ("variants",))
    if not isinstance(variants, dict):
        return {}
    named = [at(content, ("variants",)) for content in contents.values()]
    order = dict.fromkeys(itertools.chain(*(names for names in named if isinstance(names, dict)), variants))
    config["variants"] = {name: variants[name] for name in order if variants.get(name) is not None}
    return {name: None for name in order if name in variants and variants[name] is None}


def _check_removed(removed: dict[str, None], contents: Mapping[str, Any], complaints: Complaints) -> None:
    """What null removes must be declared by another file, or made by the grid; without files this cannot be known."""
    named = [at(content, ("variants",)) for content in contents.values()]
    declared = [
        name for names in named if isinstance(names, dict) for name, variant in names.items() if variant is not None
    ]
    for name in removed if contents else ():
        if name not in declared:
            sentence = f"null removes a variant, but no file declares one of this name{nearest(name, declared)}."
            complaints.raise_(("variants", name), sentence)


def _expand_grid(config: dict[str, Any], removed: dict[str, None], complaints: Complaints) -> None:
    """Add a variant for each combination of the grid; null variants of the same name leave combinations out."""
    grid, variants, epochs = config.get("grid"), config["variants"], config["protocol"]["epochs"]
    for kind, strength, onset in (
        itertools.product(*(grid[key] for key in ("kinds", "strengths", "onsets"))) if grid else ()
    ):
        name = f"{kind}-{strength:g}-{onset}"
        if name in removed:
            del removed[name]
            continue
        if kind in WITHOUT_STRENGTH:
            sentence = f"found {kind!r}, but it has no strength; write it as a variant instead."
            complaints.raise_(("grid", "kinds"), sentence)
        if onset >= epochs:
            complaints.raise_(("grid", "onsets"), _too_late(onset, epochs))
        if name in variants:
            sentence = f"the grid makes a variant {name!r}, but there is one of this name; rename it, or leave one out."
            complaints.raise_(("grid",), sentence)
        label = f"{kind}, strength {strength:g}, after {onset} epochs"
        variants[name] = {"label": label, "shortcut": {"kind": kind, "strength": strength, "onset": onset}}


def _check_variant(name: str, config: dict[str, Any], complaints: Complaints) -> None:
    """Check a variant by itself, and bring its shortcut to every key that its kind has, and no other."""
    variant, key, epochs = config["variants"][name], ("variants", name), config["protocol"]["epochs"]
    if name in RESERVED:
        sentence = f"a variant cannot be named {name!r}, which is a target of the workflow; rename it."
        complaints.raise_(key, sentence)
    if not variant.get("shortcut"):
        return
    shortcut, key = variant["shortcut"], (*key, "shortcut")
    kind = shortcut["kind"]
    if kind in WITHOUT_STRENGTH and "strength" in shortcut:
        sentence = f"found {shortcut['strength']}, but the kind {kind} has no strength; remove the key."
        complaints.raise_((*key, "strength"), sentence)
    if kind != "epoch_res" and "accounting" in shortcut:
        sentence = f"found {shortcut['accounting']!r}, but only the kind epoch_res has an accounting, not {kind}; remove the key."
        complaints.raise_((*key, "accounting"), sentence)
    if kind != "fresh_order" and "stream" in shortcut:
        sentence = (
            f"found {shortcut['stream']}, but only the kind fresh_order has a stream, not {kind}; remove the key."
        )
        complaints.raise_((*key, "stream"), sentence)
    if kind not in WITHOUT_STRENGTH and "strength" not in shortcut:
        complaints.raise_(
            key, f"the key 'strength' is missing, which the kind {kind} needs; the published study has 0.05."
        )
    if shortcut["onset"] >= epochs:
        complaints.raise_((*key, "onset"), _too_late(shortcut["onset"], epochs))
    defaults = {"accounting": "corrected"} if kind == "epoch_res" else {}
    variant["shortcut"] = dict(sorted((defaults | shortcut).items()))


def _too_late(onset: int, epochs: int) -> str:
    return f"found {onset}, but with protocol.epochs {epochs} an onset must be less than {epochs}."


def _check_names(variants: Mapping[str, Any], complaints: Complaints) -> None:
    """Names are names of folders, also where case does not distinguish them."""
    folded: dict[str, str] = {}
    for name in variants:
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            complaints.raise_(("variants", name), f"{name!r} differs from {other!r} by case only; rename one of them.")


def _check_against(name: str, config: dict[str, Any], complaints: Complaints) -> None:
    """A comparison is with another variant, that is not compared with this one in turn, by seeds that both have."""
    variants, key = config["variants"], ("variants", name, "against")
    against = variants[name]["against"]
    _check_name(against, variants, key, complaints)
    if against is None:
        return
    if against == name:
        complaints.raise_(key, f"found {name!r}, but a variant cannot be compared with itself; name another, or null.")
    chain = [name]
    while variants[chain[-1]]["against"] in variants and chain[-1] not in chain[:-1]:
        chain.append(variants[chain[-1]]["against"])
    if chain[-1] == name:
        complaints.raise_(
            key, f"found {against!r}, but {' against '.join(chain)} is a circle; set one of them to null."
        )
    _check_seeds(name, against, config, ("variants", name), complaints)
    if _settings(name, config) == _settings(against, config):
        sentence = (
            f"{name!r} differs in nothing from {against!r}{nearest(name, [against])}; give it a setting or a shortcut."
        )
        complaints.raise_(("variants", name), sentence)


def _settings(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    protocol, variant = config["protocol"], config["variants"][name]
    return {key: variant.get(key, protocol.get(key)) for key in (*protocol, "shortcut")}


def _check_seeds(name: str, other: str, config: Mapping[str, Any], key: Key, complaints: Complaints) -> None:
    ours, theirs = (config["variants"][one].get("seeds", config["seeds"]) for one in (name, other))
    if not set(ours) & set(theirs):
        sentence = (
            f"{name!r} has the seeds {short(ours)}, but a comparison with {other!r} needs some of {short(theirs)}."
        )
        complaints.raise_(key, sentence)


def _check_name(name: str | None, variants: Mapping[str, Any], key: Key, complaints: Complaints) -> None:
    if name is not None and name not in variants:
        allowed = list(variants)
        some = ", ".join(allowed[:12]) + (f" and {len(allowed) - 12} others" if len(allowed) > 12 else "")
        complaints.raise_(
            key, f"found {short(name)}{nearest(name, allowed)}, but it must be one of the variants {some}."
        )


# -- claims ------------------------------------------------------------------------------------------------------------


def _check_claims(config: dict[str, Any], complaints: Complaints) -> None:
    seen = set()
    for index, claim in enumerate(config["claims"]):
        key, test = ("claims", index), claim["test"]
        if claim["id"] in seen:
            complaints.raise_((*key, "id"), f"found {claim['id']!r}, which stands twice; rename one of them.")
        seen.add(claim["id"])
        needed, *optional = _CLAIM_KEYS[test]
        if needed not in claim:
            complaints.raise_(key, f"the key {needed!r} is missing, which the test {test} needs; add it.")
        for other in sorted(set(itertools.chain(*_CLAIM_KEYS.values())) & set(claim) - {needed, *optional}):
            complaints.raise_(
                (*key, other), f"found {short(claim[other])}, but the test {test} has no such key; remove it."
            )
        _check_name(claim["variant"], config["variants"], (*key, "variant"), complaints)
        for name, where in _rivals(claim):
            _check_name(name, config["variants"], (*key, *where), complaints)
            _check_seeds(claim["variant"], name, config, key, complaints)
        if needed in ("than", "among") and not any(name != claim["variant"] for name, _ in _rivals(claim)):
            complaints.raise_(
                (*key, needed), f"found {short(claim[needed])}, but a claim compares a variant with others."
            )


def _rivals(claim: Mapping[str, Any]) -> Iterator[tuple[str, Key]]:
    if "than" in claim:
        yield claim["than"], ("than",)
    for index, name in enumerate(claim.get("among", ())):
        yield name, ("among", index)
