"""A study as the rest of the project knows it: what its file declares, brought together for each variant, and its runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from temporal_shortcuts.files import write_atomically
from temporal_shortcuts.study.declared import Claim, Confirm, Data, Declared, Protocol, Running, Shortcut, StudyKeys
from temporal_shortcuts.study.kinds import KINDS
from temporal_shortcuts.study.segments import RECIPE, Run, Segment, Trajectory, evaluated_images, fingerprint, forest

LATER = {key: StudyKeys.model_fields[key].default for key in ("endpoint", "margin", "variances", "confirm")}
"""Keys of a study that came after recipe 1, with their defaults, at which they are in no study.json."""


@dataclass(frozen=True)
class Variant:
    """A named set of differences from the protocol, with all its settings."""

    name: str
    label: str
    seeds: list[int]
    against: str | None
    """Name of the variant it is compared with, or None for a reference."""
    published: float | None
    settings: Protocol
    shortcut: Shortcut | None
    others: Mapping[str, Variant] = field(repr=False, compare=False)

    @property
    def reference(self) -> Variant:
        """The variant that it is compared with; a reference's is itself."""
        return self.others[self.against] if self.against is not None else self

    @property
    def kind(self) -> str:
        """`reference`, `null_arm`, `learning_rate`, the kind of its temporal shortcut, or `other`: it decides a colour."""
        if self.against is None:
            return "reference"
        if self.is_null_arm:
            return "null_arm"
        if self.shortcut is not None:
            return self.shortcut.kind
        return "learning_rate" if set(self.differences) == {"learning_rate"} else "other"

    @property
    def is_null_arm(self) -> bool:
        """Whether it differs from its reference by chance alone."""
        return self.shortcut is not None and KINDS[self.shortcut.kind].role == "null_arm"

    @property
    def onset(self) -> int | None:
        """Epochs completed before its temporal shortcut acts; None without one."""
        return None if self.shortcut is None else self.shortcut.onset

    @property
    def strength(self) -> float | None:
        """What its carry is multiplied by; None without one."""
        return None if self.shortcut is None else self.shortcut.strength

    @property
    def accounting(self) -> str | None:
        """How its `epoch_res` takes the mean; None of any other kind."""
        return None if self.shortcut is None else self.shortcut.accounting

    @property
    def differences(self) -> dict[str, Any]:
        """The settings that are not its reference's, the shortcut among them."""
        ours, theirs = (dict(one.settings) | {"shortcut": one.shortcut} for one in (self, self.reference))
        return {key: value for key, value in ours.items() if value != theirs[key]}


@dataclass(frozen=True)
class Study:
    """A study, from its file or from study.json."""

    name: str
    title: str
    scale: str
    data: Data
    protocol: Protocol
    seeds: list[int]
    benchmark: str
    tolerance: float
    variants: dict[str, Variant]
    claims: list[Claim]
    endpoint: str
    margin: float | None
    variances: str
    confirm: Confirm | None
    running: Running = field(default_factory=Running)

    @property
    def epochs(self) -> int:
        return self.protocol.epochs

    @property
    def evaluated(self) -> Literal["test", "validation"]:
        """Which images every accuracy of the study is of, but for the training accuracy."""
        return evaluated_images(self.data.identity)

    @property
    def needed_processor(self) -> str | None:
        """What of a processor its records need, where not every x86-64 of today has it; for texts."""
        return "AVX-512" if self.protocol.instruction_set == "avx512" else None

    @property
    def candidates(self) -> list[Variant]:
        """The variants that are the benchmark with a temporal shortcut and are there to be chosen from.

        That is no control and no null arm, nor a variant that a claim names: of that the study has said beforehand what it expects.
        """
        claimed = {name for claim in self.claims for name in (claim.variant, claim.than, *(claim.among or ()))}
        return [
            variant
            for variant in self.variants.values()
            if variant.name not in claimed
            and variant.against == self.benchmark
            and variant.differences.keys() == {"shortcut"}
            and variant.shortcut is not None
            and KINDS[variant.shortcut.kind].role == "shortcut"
        ]

    @cached_property
    def data_folder(self) -> str:
        """Name of the folder of the prepared data."""
        return fingerprint(self.data.identity)

    @cached_property
    def fingerprint(self) -> str:
        """Hash of all that study.json holds."""
        return fingerprint(self.resolved)

    @cached_property
    def all_seeds(self) -> list[int]:
        """Those of its variants too, in the order in which they are trained."""
        return list(dict.fromkeys([*self.seeds, *(run.seed for run in self.runs)]))

    @cached_property
    def runs(self) -> list[Run]:
        runs = []
        for name, variant in self.variants.items():
            settings = {
                key: value for key, value in plain(variant.settings).items() if key not in ("epochs", "average_from")
            }
            shortcut = variant.shortcut and plain(variant.shortcut)
            if shortcut and KINDS[shortcut["kind"]].fades:  # so that states are shared with runs of this length only
                shortcut["fades"] = [shortcut["onset"], self.epochs - 1]
            for seed in variant.seeds:
                trajectory = Trajectory(seed, settings, self.data.identity, shortcut, self.protocol.average_from)
                runs.append(Run(name, trajectory, trajectory.fingerprint_at(self.epochs)))
        return runs

    @cached_property
    def segments(self) -> dict[str, Segment]:
        return forest((run.trajectory for run in self.runs), self.epochs)

    def chain(self, run: Run) -> list[Segment]:
        """The segments of a run, first to last."""
        segment: Segment | None = self.segments[f"{run.fingerprint}-final"]
        chain: list[Segment] = []
        while segment is not None:
            chain.insert(0, segment)
            segment = self.segments[segment.parent] if segment.parent else None
        return chain

    def variant_runs(self, variant: str) -> list[Run]:
        return [run for run in self.runs if run.variant == variant]

    @cached_property
    def sharers(self) -> dict[str, list[Run]]:
        """The runs that each segment is part of, by the name of its state."""
        sharers: dict[str, list[Run]] = {state: [] for state in self.segments}
        for run in self.runs:
            for segment in self.chain(run):
                sharers[segment.state].append(run)
        return sharers

    def name_of(self, segment: Segment) -> str:
        """A segment for people: its first run, and how many others share it."""
        runs = self.sharers[segment.state]
        others = f" + {len(runs) - 1} more" if len(runs) > 1 else ""
        return f"{runs[0].variant} seed {runs[0].seed}{others}"

    @property
    def epochs_trained(self) -> int:
        """Epochs that are trained for the whole study, prefixes shared."""
        return sum(segment.stop - segment.start for segment in self.segments.values())

    @property
    def epochs_shown(self) -> int:
        """Epochs that the records show: runs times epochs."""
        return len(self.runs) * self.epochs

    @cached_property
    def resolved(self) -> dict[str, Any]:
        """The content of study.json, from which all but `running` can be read again."""
        confirm = self.confirm and self.confirm.model_dump(exclude_defaults=True)
        added = {key: getattr(self, key) for key in LATER} | {"confirm": confirm}
        later = {key: getattr(self.data, key) for key in ("dataset", "validation_per_class")}
        return {
            "study": self.name,
            "title": self.title,
            "scale": self.scale,
            "recipe": RECIPE,
            "data": {key: getattr(self.data, key) for key in ("checksum", "images_per_class", "name", "source")}
            | {key: value for key, value in later.items() if value is not None},
            "protocol": plain(self.protocol),
            "seeds": self.seeds,
            "benchmark": self.benchmark,
            "tolerance": self.tolerance,
            "variants": {name: _resolved_variant(variant) for name, variant in self.variants.items()},
            "claims": [_resolved_claim(claim) for claim in self.claims],
            **{key: value for key, value in added.items() if value != LATER[key]},
        }

    def text(self) -> str:
        """study.json: the same bytes for the same study, and other bytes for any other."""
        return json.dumps(self.resolved, indent=1, allow_nan=False) + "\n"

    def write(self, path: Path) -> bool:
        """Write study.json if its content changes; whether it did."""
        text = self.text().encode()
        if path.is_file() and path.read_bytes() == text:
            return False
        write_atomically(path, text)
        return True


def plain(one: Declared) -> dict[str, Any]:
    """Settings or a shortcut as study.json and a fingerprint have them: sorted, without keys that are not there.

    A key that came after recipe 1 is not there at its default, which means what was done before there was such a key.
    """
    about = type(one).model_fields
    shown = {
        key: value
        for key, value in one.model_dump().items()
        if not ((about[key].json_schema_extra or {}).get("added") and value == about[key].default)
    }
    return {key: value for key, value in sorted(shown.items()) if value is not None}


def _resolved_variant(variant: Variant) -> dict[str, Any]:
    return {
        "label": variant.label,
        "seeds": variant.seeds,
        "against": variant.against,
        "published": variant.published,
        "null_arm": variant.is_null_arm,
        "settings": plain(variant.settings) | {"shortcut": variant.shortcut and plain(variant.shortcut)},
    }


def _resolved_claim(claim: Claim) -> dict[str, Any]:
    """A claim as study.json has it: without keys that are not there, or that came later and are at their default."""
    later = {"stage"} if claim.stage == 1 else set()
    return claim.model_dump(exclude_none=True, exclude=later)


def study_of(resolved: Mapping[str, Any]) -> Study:
    """The study of what a study.json holds."""
    variants: dict[str, Variant] = {}
    for name, given in resolved["variants"].items():
        settings = dict(given["settings"])
        shortcut = settings.pop("shortcut")
        variants[name] = Variant(
            name,
            *(given[key] for key in ("label", "seeds", "against", "published")),
            Protocol.model_validate(settings),
            shortcut and Shortcut.model_validate(shortcut),
            variants,
        )
    later = LATER | {key: resolved[key] for key in LATER.keys() & resolved.keys()}
    return Study(
        name=resolved["study"],
        **{key: resolved[key] for key in ("title", "scale", "seeds", "benchmark", "tolerance")},
        data=Data.model_validate(resolved["data"]),
        protocol=Protocol.model_validate(resolved["protocol"]),
        variants=variants,
        claims=[Claim.model_validate(claim) for claim in resolved["claims"]],
        **later | {"confirm": later["confirm"] and Confirm.model_validate(later["confirm"])},
    )


def load_resolved(path: str | Path) -> Study:
    """The study of a study.json, which this project wrote."""
    return study_of(json.loads(Path(path).read_text(encoding="utf-8")))
