"""What is wrong only in its place: a name that no variant has, an onset that is too late, a comparison that cannot be."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping

from temporal_shortcuts.study.declared import Claim, Protocol, Shortcut
from temporal_shortcuts.study.endpoints import CONTRASTS
from temporal_shortcuts.study.image_sets import image_set
from temporal_shortcuts.study.kinds import KINDS
from temporal_shortcuts.study.model import Study, Variant
from temporal_shortcuts.study.reading import Key, Source, at, nearest, short
from temporal_shortcuts.study.schedules import rates, steps_from
from temporal_shortcuts.study.segments import canonical

_RULES_AND_TARGETS = """
all data prepare segment record records collect analyse tables draw figures readme
write_readme front_page page write_page crate pack confirm choose ladder gather default
"""
RESERVED = tuple(_RULES_AND_TARGETS.split())
"""Names of rules, which a variant cannot have because each variant is a target too."""

_MISSING_VALUES = ("na", "nan", "none", "null")
DRAWN = re.compile(
    "[\\u0020-\\u007e\\u00a0-\\u024f\\u0391-\\u03a1\\u03a3-\\u03ce\\u0400-\\u045f"  # Latin, Greek, Cyrillic
    "\\u2010-\\u2027\\u2030-\\u205e\\u2074-\\u208e\\u20a0-\\u20b5\\u2190-\\u22ff]*"  # punctuation, currencies, arrows, mathematics
)
"""Text that the figures can show: of these characters, their font (DejaVu Sans) has all."""

_TESTS = {
    "better": ("than", "margin"),
    "not_better": ("than", "margin"),
    "negligible": ("than", "margin"),
    "best_of": ("among", "margin"),
    "fails_to_converge": ("threshold",),
}
"""The keys that each test of a claim has beside those that all have; the first must be there."""


def check(study: Study, source: Source) -> None:
    """Raises `UserError` for the first thing that is wrong."""
    if study.name == "ladder":
        source.refuse(("study",), "found 'ladder', as the ladder of studies is called; give it another name.")
    _check_protocol(study, source)
    for key in (("data", "name"), *(("variants", name, "label") for name in study.variants)):
        _check_drawn(key, source)
    for variant in study.variants.values():
        _check_variant(variant, study, source)
    images = image_set(study.data)
    if images.training_images is not None and images.classes is not None:
        most = images.training_images - images.classes * (study.data.validation_per_class or 0)
        check_full_batches(study, min(most, images.classes * (study.data.images_per_class or most)), source)
    _check_case(study, source)
    for variant in study.variants.values():
        _check_comparison(variant, study, source)
    _check_same_runs(study, source)
    _check_claims(study, source)
    _check_confirm(study, source)


def _check_protocol(study: Study, source: Source) -> None:
    data, average_from, epochs = study.data, study.protocol.average_from, study.epochs
    if data.checksum.startswith("md5:") and data.source != "cifar10":
        sentence = f"found {data.checksum!r}, but the source {data.source} needs the sha256 of its prepared arrays, not an md5."
        source.refuse(("data", "checksum"), sentence)
    if data.source == "torchvision" and data.dataset is None:
        needs = "which the source torchvision needs: the name of its set, such as CIFAR100."
        source.refuse(("data",), f"the key 'dataset' is missing, {needs}")
    if data.source != "torchvision" and data.dataset is not None:
        sentence = f"found {data.dataset!r}, but only the source torchvision has a dataset; remove the key."
        source.refuse(("data", "dataset"), sentence)
    if average_from is not None and average_from > epochs:
        sentence = f"found {average_from}, but with protocol.epochs {epochs} it must be at most {epochs}."
        source.refuse(("protocol", "average_from"), sentence)


# -- variants ----------------------------------------------------------------------------------------------------------


def check_shortcut(name: str, shortcut: Shortcut, protocol: Protocol, source: Source) -> None:
    """A shortcut has the keys of its kind and no others, and begins before the end."""
    kind, key = shortcut.kind, ("variants", name, "shortcut")
    for option in ("strength", "accounting", "stream"):
        if option in shortcut.model_fields_set and not getattr(KINDS[kind], option):
            found = short(getattr(shortcut, option))
            source.refuse((*key, option), f"found {found}, but the kind {kind} has no {option}; remove the key.")
    if KINDS[kind].strength and shortcut.strength is None:
        source.refuse(key, f"the key 'strength' is missing, which the kind {kind} needs; the published study has 0.05.")
    if late := too_late(kind, shortcut.onset, protocol.epochs):
        source.refuse((*key, "onset"), late)


def too_late(kind: str, onset: int, epochs: int) -> str | None:
    """What to say of an onset after which a kind could not act before the last epoch is over, or None."""
    needed = KINDS[kind].epochs
    if onset + needed <= epochs:
        return None
    why = "an onset" if needed == 1 else f"the onset of {kind}, which acts only over {needed} epochs or more,"
    return f"found {onset}, but with protocol.epochs {epochs} {why} must be less than {epochs - needed + 1}."


def _check_variant(variant: Variant, study: Study, source: Source) -> None:
    key, settings = ("variants", variant.name), variant.settings
    if variant.name in RESERVED:
        source.refuse(key, f"a variant cannot be named {variant.name!r}, which is a target of the workflow; rename it.")
    if variant.name.casefold() in _MISSING_VALUES:
        source.refuse(key, f"a variant cannot be named {variant.name!r}, a missing value in tables; rename it.")
    _check_acting(variant, source)
    if settings.schedule_epochs < settings.epochs:
        lasts = f"but the run has {settings.epochs} epochs, and after its schedule a cosine rises again"
        sentence = f"found {settings.schedule_epochs}, {lasts}; it must be at least {settings.epochs}."
        source.refuse(_where(variant, "schedule_epochs", source), sentence)


def _check_acting(variant: Variant, source: Source) -> None:
    """Refuse settings of which one does nothing because of another, so that a comparison would be of equal runs."""
    settings = variant.settings
    if settings.optimizer == "nesterov" and settings.momentum == 0:
        sentence = "found 0, with which Nesterov momentum is plain SGD; write more than 0, or optimizer: sgd."
        source.refuse(_where(variant, "momentum", source), sentence)
    if settings.schedule == "step" and steps_from(settings.schedule_epochs) >= settings.epochs:
        most = 2 * (settings.epochs - 1)
        smaller = f"write schedule_epochs of at most {most}, or " if most else "write "
        never = f"found 'step', but its first step comes after {steps_from(settings.schedule_epochs)} epochs of the {settings.epochs}"
        source.refuse(_where(variant, "schedule", source), f"{never}; {smaller}schedule: constant.")


def _where(variant: Variant, setting: str, source: Source) -> Key:
    """Where a variant's setting is written: with the variant, or in the protocol."""
    own: Key = ("variants", variant.name, setting)
    return own if source.holds(own) else ("protocol", setting)


def _check_same_runs(study: Study, source: Source) -> None:
    """Refuse two variants that are trained alike and compared with the same one: one hypothesis would count as two."""
    alike: dict[str, list[Variant]] = {}
    for variant in study.variants.values():
        alike.setdefault(_but_for_schedule(variant), []).append(variant)
    for group in alike.values():
        for one, other in itertools.combinations(group if len(group) > 1 else [], 2):
            if rates(one.settings) != rates(other.settings):
                continue
            reference, compared = (one, other) if other.against == one.name else (other, one)
            if compared.against == reference.name:
                sentence = f"it trains exactly as {reference.name!r}, with which it is compared; change or remove it."
                source.refuse(("variants", compared.name), sentence)
            if one.against == other.against is not None:
                is_written = source.holds(("variants", other.name))
                same = f"{other.name!r} trains exactly as {one.name!r} and is compared with the same variant"
                source.refuse(("variants", other.name) if is_written else ("grid",), f"{same}; remove one of them.")


def _but_for_schedule(variant: Variant) -> str:
    """All that decides how a variant is trained, but for its learning rate over the epochs."""
    shortcut = variant.shortcut.model_dump() if variant.shortcut is not None and variant.strength != 0 else None
    if shortcut is not None:
        shortcut["onset"] = max(shortcut["onset"], KINDS[shortcut["kind"]].first_epoch)
    schedule = {"learning_rate", "schedule", "schedule_epochs"}
    return canonical([variant.settings.model_dump(exclude=schedule), shortcut])


def check_full_batches(study: Study, images: int, source: Source | None = None) -> None:
    """Refuse a shortcut that would never act, because an epoch over so many training images has too few full batches."""
    for variant in study.variants.values():
        if variant.shortcut is None:
            continue
        needed, size = KINDS[variant.shortcut.kind].full_batches, variant.settings.batch_size
        if images // size < needed:
            sentence = (
                f"{variant.shortcut.kind} acts only in epochs of {needed} full batches or more, but of {images} training images and "
                f"batch_size {size} there are {images // size}; give it a smaller batch_size, or more images."
            )
            (source or Source({})).refuse(("variants", variant.name, "shortcut"), sentence)


def _check_drawn(key: Key, source: Source) -> None:
    """What a study calls its variants and images is in figures."""
    text = at(source.config, key)
    shown = len(DRAWN.match(text)[0]) if isinstance(text, str) else None
    if shown is not None and shown < len(text):
        sentence = f"but the figures' font cannot show {text[shown]!r}; write Latin, Greek or Cyrillic letters."
        source.refuse(key, f"found {short(text)}, {sentence}")


def _check_case(study: Study, source: Source) -> None:
    """Names are names of folders, also where case does not distinguish them."""
    folded: dict[str, str] = {}
    for name in study.variants:
        other = folded.setdefault(name.casefold(), name)
        if other != name:
            source.refuse(("variants", name), f"{name!r} differs from {other!r} by case only; rename one of them.")


def _check_comparison(variant: Variant, study: Study, source: Source) -> None:
    """A comparison is with another variant, that is not compared with this one in turn, by seeds that both have."""
    name, against, key = variant.name, variant.against, ("variants", variant.name, "against")
    if against is None:
        return
    check_known(against, study.variants, key, source)
    if against == name:
        source.refuse(key, f"found {name!r}, but a variant cannot be compared with itself; name another, or null.")
    chain = [name]
    while (after := study.variants[chain[-1]].against) in study.variants and chain[-1] not in chain[:-1]:
        chain.append(after)
    if chain[-1] == name:
        source.refuse(key, f"found {against!r}, but {' against '.join(chain)} is a circle; set one of them to null.")
    _check_seeds(variant, study.variants[against], ("variants", name), source)
    if not variant.differences:
        sentence = f"{name!r} differs in nothing from {against!r}{nearest(name, [against])}; give it a difference."
        source.refuse(("variants", name), sentence)


def _check_seeds(one: Variant, other: Variant, key: Key, source: Source) -> None:
    if not set(one.seeds) & set(other.seeds):
        needs = f"but a comparison with {other.name!r} needs some of {short(other.seeds)}."
        source.refuse(key, f"{one.name!r} has the seeds {short(one.seeds)}, {needs}")


def check_known(name: str, variants: Mapping[str, Variant], key: Key, source: Source) -> None:
    """Refuse the name of a variant that there is none of."""
    if name not in variants:
        allowed = list(variants)
        some = ", ".join(allowed[:12]) + (f" and {len(allowed) - 12} others" if len(allowed) > 12 else "")
        source.refuse(key, f"found {short(name)}{nearest(name, allowed)}, but it must be one of the variants {some}.")


# -- claims ------------------------------------------------------------------------------------------------------------


def _check_claims(study: Study, source: Source) -> None:
    seen = set()
    for index, claim in enumerate(study.claims):
        key, test = ("claims", index), claim.test
        if claim.id in seen:
            source.refuse((*key, "id"), f"found {claim.id!r}, which is used more than once; rename one of them.")
        seen.add(claim.id)
        needed, *optional = _TESTS[test]
        if getattr(claim, needed) is None:
            source.refuse(key, f"the key {needed!r} is missing, which the test {test} needs; add it.")
        for other in sorted(set(itertools.chain(*_TESTS.values())) - {needed, *optional}):
            found = getattr(claim, other)
            if found is not None:
                source.refuse((*key, other), f"found {short(found)}, but the test {test} has no such key; remove it.")
        if test == "fails_to_converge" and claim.endpoint in CONTRASTS:
            sentence = f"found {claim.endpoint!r}, a difference of two accuracies, but {test} needs an accuracy."
            source.refuse((*key, "endpoint"), sentence)
        check_known(claim.variant, study.variants, (*key, "variant"), source)
        rivals = dict(_rivals(claim))
        for where, name in rivals.items():
            check_known(name, study.variants, (*key, *where), source)
            _check_seeds(study.variants[claim.variant], study.variants[name], key, source)
        if rivals and set(rivals.values()) == {claim.variant}:
            found = short(getattr(claim, needed))
            source.refuse((*key, needed), f"found {found}, but a claim compares a variant with others.")


def _rivals(claim: Claim) -> Iterator[tuple[Key, str]]:
    """Where a claim names variants to compare with, and the names."""
    if claim.than is not None:
        yield ("than",), claim.than
    for index, name in enumerate(claim.among or ()):
        yield ("among", index), name


# -- confirming --------------------------------------------------------------------------------------------------------


def _check_confirm(study: Study, source: Source) -> None:
    """What is confirmed was chosen on other seeds and on other images."""
    confirm = study.confirm
    if confirm is None:
        return
    if study.evaluated == "test":
        why = "a study that is confirmed chooses on validation images, but this one is evaluated on the test images"
        source.refuse(("confirm",), f"{why}; set data.validation_per_class.")
    if confirm.study == study.name:
        source.refuse(("confirm", "study"), f"found {confirm.study!r}, which is this study; give it a name of its own.")
    if used := sorted({seed for variant in study.variants.values() for seed in variant.seeds} & set(confirm.seeds)):
        sentence = f"found {short(confirm.seeds)}, but this study has chosen with {short(used)}; give it fresh seeds."
        source.refuse(("confirm", "seeds"), sentence)
    for index, schedule in enumerate(confirm.schedules or ()):
        if schedule < study.epochs:
            sentence = f"found {schedule}, but a run has {study.epochs} epochs; it must be at least {study.epochs}."
            source.refuse(("confirm", "schedules", index), sentence)
    if not study.candidates:
        sentence = (
            "no variant is the benchmark with a temporal shortcut, so there is nothing to choose from; write some."
        )
        source.refuse(("confirm",), sentence)
