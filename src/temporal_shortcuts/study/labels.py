"""What variants and claims are called: from their settings, or in a person's words where these still hold.

Words that a file has hold for the settings beside them, in that file with what it extends: whoever changes the settings on top of it gets
what is said of the new ones.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from itertools import accumulate
from typing import Any

from temporal_shortcuts.study.declared import Claim, Protocol, Settings, Shortcut
from temporal_shortcuts.study.kinds import KINDS
from temporal_shortcuts.study.model import Variant
from temporal_shortcuts.study.published import BESIDE, PROTOCOL, differing
from temporal_shortcuts.study.reading import Key, Source, at, merged

BASELINE = "baseline"
STRENGTH = 0.05
"""The published one, which a label names only where a study has others too."""

_NONE = {
    "momentum": "no momentum",
    "weight_decay": "no weight decay",
    "label_smoothing": "no label smoothing",
    "crop_padding": "no random crops",
    "flip": "no flips",
    "compile": "not compiled",
}
"""What it means that a setting is 0 or false."""
_SETTINGS: Mapping[str, Callable[[Any], str]] = {
    "model": lambda model: "published network" if model == "resnet18_published" else f"network {model}",
    "width": "width {}".format,
    "epochs": lambda epochs: "1 epoch" if epochs == 1 else f"{epochs} epochs",
    "batch_size": "batch size {}".format,
    "learning_rate": "learning rate {:g}".format,
    "momentum": "momentum {:g}".format,
    "weight_decay": "weight decay {:g}".format,
    "schedule": lambda schedule: "constant learning rate" if schedule == "constant" else f"{schedule} schedule",
    "schedule_epochs": "schedule of {} epochs".format,
    "optimizer": {"sgd": "SGD", "nesterov": "Nesterov momentum", "adamw": "AdamW"}.__getitem__,
    "label_smoothing": "label smoothing {:g}".format,
    "crop_padding": "crops padded by {}".format,
    "flip": lambda flip: "flips",
    "precision": "precision {}".format,
    "compile": lambda compiled: "compiled",
}


def setting(key: str, value: Any) -> str:
    """A setting in a few words: `no momentum`, `learning rate 0.1`; one that has no words here by its key."""
    if not value and key in _NONE:
        return _NONE[key]
    return _SETTINGS[key](value) if key in _SETTINGS else f"{key.replace('_', ' ')} {value}"


def changes(settings: Protocol, usual: Protocol) -> list[str]:
    """What is not as usual, each in a few words; a schedule that ends with the run is called by what it does."""
    ends = settings.schedule == "cosine" and settings.schedule_epochs == settings.epochs
    return [
        "annealed to 0" if ends and one.key == "schedule_epochs" else setting(one.key, one.ours)
        for one in differing(settings, usual)
    ]


# -- variants ----------------------------------------------------------------------------------------------------------


def labels(variants: Mapping[str, Variant], benchmark: str, source: Source) -> dict[str, str]:
    """What each variant is called. Two that would be called the same have their names in brackets."""
    found = {}
    for name, variant in variants.items():
        written = at(source.config, ("variants", name, "label"))
        holds = isinstance(written, str) and not _changed(("variants", name, "label"), name, source)
        found[name] = written if holds else described(variant, variants, variants[benchmark])
    while twice := {label for label, count in Counter(found.values()).items() if count > 1}:
        found = {name: f"{label} ({name})" if label in twice else label for name, label in found.items()}
    return found


def described(variant: Variant, variants: Mapping[str, Variant], benchmark: Variant) -> str:
    """A variant's label from its settings: its shortcut, and in what it is not the baseline."""
    parts = changes(variant.settings, benchmark.settings)
    is_reference = variant.against is None or variant.name in {one.against for one in variants.values()}
    if variant.shortcut is not None:
        parts.insert(0, _shortcut(variant.shortcut, [one.shortcut for one in variants.values() if one.shortcut]))
    elif is_reference or not parts:
        parts.insert(0, BASELINE)
    return ", ".join(parts)


def _shortcut(shortcut: Shortcut, others: list[Shortcut]) -> str:
    """`batch_res after 41 epochs`, with what sets it apart from others of its kind in the study."""
    kind, alike = KINDS[shortcut.kind], [one for one in others if one.kind == shortcut.kind]
    parts = [kind.label or shortcut.kind]
    if kind.strength and ({one.strength for one in alike} | {shortcut.strength} != {STRENGTH}):
        parts.append(f"strength {shortcut.strength:g}")
    if shortcut.accounting == "published" or len({one.accounting for one in alike}) > 1:
        parts.append("published accounting" if shortcut.accounting == "published" else "corrected")
    if shortcut.stream != 1:
        parts.append(f"stream {shortcut.stream}")
    parts.append(_onset(shortcut.onset))
    text = ", ".join(parts) if len(parts) > 2 else " ".join(parts)
    return f"A/A control ({text})" if kind.role == "null_arm" else text


def _onset(onset: int) -> str:
    return "from the start" if onset == 0 else "after 1 epoch" if onset == 1 else f"after {onset} epochs"


# -- claims ------------------------------------------------------------------------------------------------------------


def claim_text(claim: Claim, variants: Mapping[str, Variant], endpoint: str, source: Source) -> str:
    """A claim in the words of the study's file where these hold, else from its test and its variants."""
    names = [name for name in (claim.variant, claim.than, *(claim.among or ())) if name is not None]
    if claim.text is not None and _text_holds(claim.text, names, source):
        return claim.text
    called = [variants[name].label for name in names]
    variant, *rivals = (f"the {label}" if label.startswith(BASELINE) else label for label in called)
    than = " and ".join(filter(None, (", ".join(rivals[:-1]), *rivals[-1:])))
    says = {
        "better": "beats",
        "best_of": "beats",
        "not_better": "does not beat",
        "negligible": "is equivalent to",
        "fails_to_converge": "does not converge",
    }
    by = "" if claim.endpoint in (None, endpoint) else f"by {claim.endpoint}"
    return " ".join(filter(None, (variant, says[claim.test], than, by)))


def _text_holds(text: str, names: list[str], source: Source) -> bool:
    """Whether a claim's text is still about its variants.

    It is not where a later file changes one of them, or changes a number that the text names in the protocol, or as the study's margin.
    """
    numbers = {
        float(number) for number in re.findall(r"\d+(?:\.\d+)?(?:e-?\d+)?", re.sub(r"(?<=\d),(?=\d{3})", "", text))
    }
    written = _when_written(("claims",), source)
    if written is not None and written.get("margin") in numbers and written["margin"] != source.config.get("margin"):
        return False
    for name in names:
        for before, is_own in _changed(("claims",), name, source).values():
            if is_own or (isinstance(before, int | float) and before in numbers):
                return False
    return True


# -- the study ---------------------------------------------------------------------------------------------------------


def words_of(key: str, source: Source) -> str | None:
    """A study's title or scale as a file has it, where protocol and images are still those that it was written for; else None."""
    written, text = _when_written((key,), source), at(source.config, (key,))
    holds = written is None or _conditions(written) == _conditions(source.config)
    return text if holds and isinstance(text, str) else None


def _conditions(config: Mapping[str, Any]) -> list[dict[str, Any]]:
    data = _mapping(config, "data")
    kept = ("source", "dataset", "checksum", "images_per_class", "validation_per_class")
    return [_settings(config, "")[0], {key: data.get(key) for key in kept}]


# -- what later files change -------------------------------------------------------------------------------------------


def _changed(key: Key, name: str, source: Source) -> dict[str, tuple[Any, bool]]:
    """The settings of a variant that are others now than in the file that wrote a key: what they were, and whether they are its own."""
    written = _when_written(key, source)
    if written is None:
        return {}
    (before, own_before), (after, own_after) = _settings(written, name), _settings(source.config, name)
    return {
        key: (before.get(key), own_before.get(key) != own_after.get(key))
        for key in before | after
        if before.get(key) != after.get(key)
    }


def _when_written(key: Key, source: Source) -> Mapping[str, Any] | None:
    """The configuration of the last file that has a key as it counts, with what that file is put upon; None where no file has it."""
    layers = [layer if isinstance(layer, Mapping) else {} for layer in source.contents.values()]
    stacks = list(accumulate(layers, merged))
    value = at(source.config, key)
    return next((stacks[i] for i in reversed(range(len(layers))) if at(layers[i], key) == value), None)


def _settings(config: Mapping[str, Any], name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A variant's settings as a configuration has them, flat, and those of them that it has itself."""
    protocol, variant = _mapping(config, "protocol"), _mapping(config.get("variants"), name)
    own = {key: value for key, value in variant.items() if key in Settings.model_fields or key == "shortcut"}
    usual = {key: value for key, value in protocol.items() if key not in BESIDE}
    return _flat(merged(merged(PROTOCOL.model_dump(exclude=set(BESIDE)), usual), own)), _flat(own)


def _flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    parts = {key: value if isinstance(value, Mapping) else {"": value} for key, value in settings.items()}
    return {f"{key} {name}".strip(): value for key, part in parts.items() for name, value in part.items()}


def _mapping(holder: Any, key: str) -> Mapping[str, Any]:
    found = at(holder, (key,))
    return found if isinstance(found, Mapping) else {}
