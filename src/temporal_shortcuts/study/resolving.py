"""From a study's file to a study: variants in order, the grid expanded, defaults filled in, and checked as a whole."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from temporal_shortcuts.study.checks import check, check_known, check_shortcut, too_late
from temporal_shortcuts.study.declared import Data, Grid, Protocol, Running, Settings, Shortcut, StudyKeys, VariantKeys
from temporal_shortcuts.study.image_sets import image_set
from temporal_shortcuts.study.kinds import KINDS
from temporal_shortcuts.study.labels import claim_text, labels, words_of
from temporal_shortcuts.study.model import LATER, Study, Variant
from temporal_shortcuts.study.reading import Source, at, nearest
from temporal_shortcuts.study.validation import declared_as


def resolve(config: Mapping[str, Any], files: Sequence[str | Path] = ()) -> Study:
    """The study that a configuration declares; `files` are those that it was merged from, the one that counts last at the end.

    Raises `UserError` with one sentence for anything that is not a valid study.
    """
    source = Source(config, files)
    keys = declared_as(StudyKeys, source)
    given = dict(_variants(keys, source))
    if not given:
        source.refuse(("variants",), "all variants are null; declare one, such as benchmark: {}.")
    benchmark = keys.benchmark or next(iter(given))
    variants: dict[str, Variant] = {}
    for name, one in given.items():
        variants[name] = _variant(name, one, keys, benchmark, variants, source)
    check_known(benchmark, variants, ("benchmark",), source)
    for name, label in labels(variants, benchmark, source).items():
        variants[name] = replace(variants[name], label=label)
    data = keys.data.model_copy(update={"name": keys.data.name or image_set(keys.data).name})
    study = Study(
        name=keys.study,
        title=words_of("title", source) or keys.study,
        scale=words_of("scale", source) or _scale(keys.protocol, data),
        data=data,
        benchmark=benchmark,
        variants=variants,
        running=Running(**{key: getattr(keys, key) for key in Running.model_fields}),
        **{key: getattr(keys, key) for key in ("protocol", "seeds", "claims", "tolerance", *LATER)},
    )
    check(study, source)
    texts = [claim_text(claim, variants, study.endpoint, source) for claim in study.claims]
    return replace(
        study, claims=[claim.model_copy(update={"text": text}) for claim, text in zip(study.claims, texts, strict=True)]
    )


def _variants(keys: StudyKeys, source: Source) -> Iterator[tuple[str, VariantKeys]]:
    """The variants in the order in which the files name them first, then the grid's, without those that are null.

    Snakemake's merging would put an overlay's variants first.
    """
    files = [names for content in source.contents.values() if isinstance(names := at(content, ("variants",)), dict)]
    order = list(dict.fromkeys(name for name in itertools.chain(*files, keys.variants) if name in keys.variants))
    grid = dict(_grid(keys.grid, keys.protocol.epochs, source)) if keys.grid else {}
    declared = [*grid, *(name for names in files for name, one in names.items() if one is not None)]
    for name in order:
        one = keys.variants[name]
        if one is not None:
            if name in grid:
                sentence = f"the grid makes a variant {name!r}, but there is one already; rename it, or leave one out."
                source.refuse(("grid",), sentence)
            yield name, one
        elif files and name not in declared:  # without files this cannot be known
            sentence = f"null removes a variant, but no file declares one of this name{nearest(name, declared)}."
            source.refuse(("variants", name), sentence)
    yield from ((name, one) for name, one in grid.items() if name not in keys.variants)


def _grid(grid: Grid, epochs: int, source: Source) -> Iterator[tuple[str, VariantKeys]]:
    """A variant for each combination."""
    seen = set()
    for kind, strength, onset in itertools.product(grid.kinds, grid.strengths, grid.onsets):
        name = f"{kind}-{strength:g}-{onset}"
        if not KINDS[kind].strength:
            sentence = f"found {kind!r}, but it has no strength; write it as a variant instead."
            source.refuse(("grid", "kinds"), sentence)
        if late := too_late(kind, onset, epochs):
            source.refuse(("grid", "onsets"), late)
        if name in seen:
            source.refuse(
                ("grid",),
                f"it makes a variant {name!r} more than once; leave one strength out, or write it as a variant.",
            )
        seen.add(name)
        yield name, VariantKeys(shortcut=Shortcut(kind=kind, strength=strength, onset=onset))


def _variant(
    name: str, keys: VariantKeys, study: StudyKeys, benchmark: str, others: Mapping[str, Variant], source: Source
) -> Variant:
    """A variant with all its settings: what it does not give is the protocol's."""
    changed = {key: getattr(keys, key) for key in keys.model_fields_set & set(Settings.model_fields)}
    if "augmentation" in changed:
        augmentation = changed["augmentation"].model_dump(exclude_unset=True)
        changed["augmentation"] = study.protocol.augmentation.model_copy(update=augmentation)
    shortcut = keys.shortcut
    if shortcut is not None:
        check_shortcut(name, shortcut, study.protocol, source)
        if KINDS[shortcut.kind].accounting and shortcut.accounting is None:
            shortcut = shortcut.model_copy(update={"accounting": "corrected"})
    default = None if name == benchmark else benchmark
    return Variant(
        name,
        name,
        keys.seeds or study.seeds,
        keys.against if "against" in keys.model_fields_set else default,
        keys.published,
        study.protocol.model_copy(update=changed),
        shortcut,
        others,
    )


def _scale(protocol: Protocol, data: Data) -> str:
    """How a study differs from the published protocol, where its file does not say it."""
    images = f", {data.images_per_class} training images of each class" if data.images_per_class else ""
    epochs = "1 epoch" if protocol.epochs == 1 else f"{protocol.epochs} epochs"
    return f"width {protocol.width}, {epochs}, {data.name}{images}"
