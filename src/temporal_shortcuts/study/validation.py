"""A configuration brought to declared types; the first thing that is wrong becomes one sentence: key, what was found, what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError
from pydantic.json_schema import GenerateJsonSchema

from temporal_shortcuts.study.declared import Declared, Settings, StudyKeys
from temporal_shortcuts.study.reading import Key, Source, at, nearest, short

Keys = TypeVar("Keys", bound=Declared)

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


def declared_as(kind: type[Keys], source: Source) -> Keys:
    """What a configuration declares, where its keys are those of `kind`. Raises `UserError`."""
    try:
        return kind.model_validate(source.config)
    except ValidationError as error:
        wrong = error.errors()
    first = min(wrong, key=lambda one: (one["type"] == "missing", len(one["loc"])))
    return _refuse(first, source, kind)


class _Untitled(GenerateJsonSchema):
    """Without a title for each key, which would be its name once more."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


@cache
def schema(kind: type[Declared] = StudyKeys) -> dict[str, Any]:
    """The JSON Schema of a study's file, or of a file of another kind, for editors."""
    made = kind.model_json_schema(schema_generator=_Untitled)
    for key in Settings.model_fields if kind is StudyKeys else ():  # their default in a variant is the protocol's
        made["$defs"]["VariantKeys"]["properties"][key].pop("default")
    return {"$schema": GenerateJsonSchema.schema_dialect, **made}


def _refuse(error: Any, source: Source, kind: type[Declared]) -> NoReturn:
    """Say what is wrong with a key, in words that follow from its schema."""
    key, found = tuple(error["loc"]), short(at(source.config, error["loc"]))
    if error["type"] == "extra_forbidden":
        allowed = sorted(rule_of(key[:-1], kind)["properties"])
        known = f"is not known{nearest(key[-1], allowed)}; allowed are {', '.join(allowed)}"
        source.refuse(key[:-1], f"the key {short(key[-1])} {known}.", key)
    if key[-1:] == ("[key]",):
        form = rule_of(key[:-2], kind)["propertyNames"]["form"]
        source.refuse(key[:-2], f"found {short(key[-2])}, but it must be {form}.", key[:-1])
    if error["type"] == "value_error":
        source.refuse(key, f"found {found}, but {error['ctx']['error']}.")
    rule = rule_of(key, kind)
    about = f" ({rule['description']})" if "description" in rule else ""
    if error["type"] == "missing":
        alone = len(key) == 1 and len(source.contents) == 1
        hint = ", or let it extend a study that has it (extends: FILE)" if alone and kind is StudyKeys else ""
        source.refuse(key[:-1], f"the key {key[-1]!r} is missing; add it{about}{hint}.")
    near = nearest(error["input"], rule.get("enum", []))
    is_text = rule.get("type") == "number" and isinstance(error["input"], str)
    hint = "; YAML reads 1e-3 as text: write 1.0e-3 or 0.001" if is_text else ""
    source.refuse(key, f"found {found}{near}, but it must be {_allowed(rule)}{about}{hint}.")


def rule_of(key: Key, kind: type[Declared] = StudyKeys) -> dict[str, Any]:
    """The part of the schema that is about a key; the choice between something and null is in `nullable`."""
    whole = schema(kind)
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
