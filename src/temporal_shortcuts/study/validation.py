"""A configuration brought to declared types; the first thing that is wrong becomes one sentence: key, what was found, what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NoReturn

from pydantic import ValidationError

from temporal_shortcuts.study.declared import StudyKeys
from temporal_shortcuts.study.reading import Key, Source, at, nearest, short

_KINDS = {
    "object": "a mapping of keys",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_LIMITS = {
    "minimum": "at least {}",
    "exclusiveMinimum": "greater than {}",
    "maximum": "at most {}",
    "exclusiveMaximum": "less than {}",
    "minLength": "not empty",
    "minItems": "not empty",
    "minProperties": "not empty",
    "maxLength": "at most {} characters long",
    "maxItems": "at most {} entries long",
}


def declared(source: Source) -> StudyKeys:
    """The study that a configuration declares. Raises `UserError`."""
    try:
        return StudyKeys.model_validate(source.config)
    except ValidationError as error:
        wrong = error.errors()
    first = min(wrong, key=lambda one: (one["type"] == "missing", len(one["loc"])))
    return _refuse(first, source)


@cache
def schema() -> dict[str, Any]:
    """The JSON Schema of a study's file, for editors."""
    made = StudyKeys.model_json_schema()
    variant = made["$defs"]["VariantKeys"]["properties"]
    for key in made["$defs"]["Settings"]["properties"] if "Settings" in made["$defs"] else variant:
        variant[key].pop("default", None)  # it is the protocol's
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_untitled(made)}


def _untitled(value: Any) -> Any:
    """Without the titles that pydantic makes of names, and without defaults of null."""
    if isinstance(value, list):
        return [_untitled(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {
        key: item
        for key, item in value.items()
        if not (key == "title" and isinstance(item, str)) and not (key == "default" and item is None) and key != "added"
    }
    return {key: _untitled(item) for key, item in kept.items()}


def _refuse(error: Any, source: Source) -> NoReturn:
    """Say what is wrong with a key, in words that follow from its schema."""
    kind, key = error["type"], tuple(error["loc"])
    if kind == "missing":
        rule = rule_of(key)
        about = f" ({rule['description']})" if "description" in rule else ""
        hint = (
            ", or let it extend a study that has it (extends: FILE)"
            if len(key) == 1 and len(source.contents) == 1
            else ""
        )
        source.refuse(key[:-1], f"the key {key[-1]!r} is missing; add it{about}{hint}.")
    if kind == "extra_forbidden":
        allowed = sorted(rule_of(key[:-1])["properties"])
        sentence = (
            f"the key {short(key[-1])} is not known{nearest(key[-1], allowed)}; allowed are {', '.join(allowed)}."
        )
        source.refuse(key[:-1], sentence, key)
    if key[-1:] == ("[key]",):
        rule = rule_of(key[:-2])["propertyNames"]
        source.refuse(key[:-2], f"found {short(key[-2])}, but it must be {rule['form']}.", key[:-1])
    found, rule = at(source.config, key), rule_of(key)
    if kind == "value_error":
        source.refuse(key, f"found {short(found)}, but {error['ctx']['error']}.")
    near = nearest(found, rule.get("enum", []))
    hint = (
        "; YAML reads 1e-3 as text: write 1.0e-3 or 0.001"
        if rule.get("type") == "number" and isinstance(found, str)
        else ""
    )
    about = f" ({rule['description']})" if "description" in rule else ""
    source.refuse(key, f"found {short(found)}{near}, but it must be {_allowed(rule)}{about}{hint}.")


def rule_of(key: Key) -> dict[str, Any]:
    """The part of the schema that is about a key; the choice between something and null is in `nullable`."""
    whole = schema()
    rule = whole
    for part in (*key, None):
        about = {name: rule[name] for name in ("description",) if name in rule}
        while "$ref" in rule or "anyOf" in rule:
            if "anyOf" in rule:
                about["nullable"] = True
                rule = next(one for one in rule["anyOf"] if one.get("type") != "null")
            else:
                rule = whole["$defs"][rule["$ref"].split("/")[-1]]
        rule = rule | about
        if part is not None:
            named = rule.get("properties", {}).get(part)
            rule = named or rule.get("items") or next(iter(rule.get("patternProperties", {}).values()), {})
    return rule


def _allowed(rule: Mapping[str, Any]) -> str:
    """What a key may be, in words."""
    if "enum" in rule:
        words = f"one of {', '.join(rule['enum'])}"
    else:
        limits = " and ".join(text.format(rule[name]) for name, text in _LIMITS.items() if name in rule)
        words = f"{rule.get('form') or _KINDS[rule['type']]}{', ' if limits else ''}{limits}"
    return words + (" or null" if rule.get("nullable") else "")
