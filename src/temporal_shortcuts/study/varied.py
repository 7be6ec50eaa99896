"""The numbers that a study varies: which of its variants differ in one number alone, over three values or more.

Such variants are a series. What the others of a study's variants set apart from their reference, such as the kind of a shortcut whose
strength is varied, a series has in common.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from temporal_shortcuts.study.model import Study, Variant, plain

KEYS = (
    *("learning_rate", "batch_size", "momentum", "weight_decay", "schedule_epochs", "label_smoothing"),
    *("width", "crop_padding", "strength", "onset"),
)
"""The keys of a variant that are numbers, in the order in which a study's texts show them."""
VALUES_AT_LEAST = 3


@dataclass(frozen=True)
class Series:
    """Variants that differ in one number alone, and the reference of all of them, which is one of them or stands beside."""

    key: str
    reference: str
    values: dict[str, float]
    """Variant -> its number, ascending."""
    common: dict[str, Any] = field(compare=False)
    """What the variants have that their reference has not, apart from the key: of a shortcut its kind, strength or onset."""

    @property
    def names(self) -> list[str]:
        """The variants, after their reference where that is none of them."""
        return [*([] if self.reference in self.values else [self.reference]), *self.values]


def varied(study: Study) -> dict[str, list[Series]]:
    """Each key that the study varies, with its series, in the order of `KEYS`. Null arms vary nothing."""
    found = {key: list(_series(study, key)) for key in KEYS}
    return {key: series for key, series in found.items() if series}


def _series(study: Study, key: str) -> Iterator[Series]:
    groups: dict[str, list[Variant]] = {}
    for variant in study.variants.values():
        flat = _flat(variant)
        if not variant.is_null_arm and flat.pop(key, None) is not None:
            groups.setdefault(f"{variant.reference.name} {sorted(flat.items(), key=str)}", []).append(variant)
    for group in groups.values():
        values = {variant.name: _flat(variant)[key] for variant in group}
        if len(set(values.values())) >= VALUES_AT_LEAST:
            own, reference = _flat(group[0]), group[0].reference
            usual = _flat(reference)
            common = {name: value for name, value in own.items() if name != key and usual.get(name) != value}
            yield Series(key, reference.name, dict(sorted(values.items(), key=lambda item: item[1])), common)


def _flat(variant: Variant) -> dict[str, Any]:
    """All that a variant declares, the keys of the augmentation and of the shortcut among the others."""
    settings = variant.settings.model_dump()
    augmentation = settings.pop("augmentation")
    return {**settings, **augmentation, **(plain(variant.shortcut) if variant.shortcut else {})}
