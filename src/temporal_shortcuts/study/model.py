"""A study as data: its file checked and resolved, its runs, their fingerprints, and the forest of segments that trains them.

Knows no torch and no Snakemake; the Snakefile, each program and a notebook read a study through this module.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from temporal_shortcuts.files import write_atomically
from temporal_shortcuts.study.checks import check

RECIPE = 1
"""Version of the training arithmetic. Raise it when a change makes other numbers: all fingerprints change with it."""

NULL_ARMS = ("one_bit", "fresh_order")
"""Kinds that change nothing but chance."""

SINCE_RECIPE_1: dict[str, Any] = {"average_from": None, "endpoint": "last5", "margin": None, "stream": 1}
"""Settings that came after the first records, with the value at which everything is as before. At that value a setting is neither in
study.json nor in a fingerprint, so that a new one leaves all that exists as it is."""

NEVER_CARRIES_AT_FIRST = ("epoch_res",)
"""Kinds that carry nothing in epoch 0, where there is no previous epoch: an onset of 0 is one of 1 for them."""


def canonical(value: Any) -> str:
    """JSON that is the same for equal values: sorted keys, no spaces, ASCII, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def fingerprint(value: Any) -> str:
    """16 hexadecimal digits of the sha256 of the canonical JSON."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Trajectory:
    """What a run is, apart from its names and its length: all that is declared and can change its numbers."""

    seed: int
    settings: Mapping[str, Any]
    """The protocol with the variant's differences, without `epochs`, `shortcut` and `average_from`."""
    data: str
    shortcut: Mapping[str, Any] | None
    average_from: int | None = None
    """The first epoch, counted from 1, whose weights enter the running mean."""

    @cached_property
    def onset(self) -> int | None:
        """Number of epochs completed before the shortcut acts, or None without one."""
        if self.shortcut is None:
            return None
        return max(self.shortcut["onset"], 1 if self.shortcut["kind"] in NEVER_CARRIES_AT_FIRST else 0)

    @cached_property
    def acting(self) -> dict[str, Any] | None:
        """The shortcut's settings while it acts: without the onset, which is a matter of time."""
        return None if self.shortcut is None else {key: self.shortcut[key] for key in self.shortcut if key != "onset"}

    def shortcut_at(self, epoch: int) -> dict[str, Any] | None:
        """The shortcut that acts in an epoch (`epoch` completed before it), or None."""
        return self.acting if self.onset is not None and epoch >= self.onset else None

    @cached_property
    def _base(self) -> dict[str, Any]:
        return {"recipe": RECIPE, "data": self.data, "seed": self.seed, "settings": self.settings}

    def fingerprint_at(self, epoch: int) -> str:
        """Fingerprint of the state after `epoch` epochs: equal for runs that agree until then."""
        past = None if self.onset is None or self.onset >= epoch else {"from": self.onset, "shortcut": self.acting}
        averages = self.average_from is not None and epoch >= self.average_from
        average = {"average_from": self.average_from} if averages else {}
        return fingerprint(self._base | {"epochs": epoch, "past": past} | average)


@dataclass(frozen=True)
class Run:
    """One variant with one seed."""

    variant: str
    trajectory: Trajectory
    fingerprint: str

    @property
    def seed(self) -> int:
        return self.trajectory.seed

    @property
    def record(self) -> str:
        """Path of the record, relative to the study's results folder."""
        return f"records/{self.variant}/seed{self.seed}-{self.fingerprint}.csv"

    @property
    def record_files(self) -> tuple[str, str, str]:
        """The record, its sidecar, and which test images the final model gets right."""
        stem = self.record.removesuffix(".csv")
        return (self.record, f"{stem}.json", f"{stem}.correct.npy")


@dataclass(frozen=True)
class Segment:
    """Epochs `start` (completed before it) to `stop` of one trajectory, or of all that agree until `stop`."""

    trajectory: Trajectory
    start: int
    stop: int
    final: bool
    parent: str | None
    """Name of the state that it starts from; None for the initial weights."""

    @cached_property
    def state(self) -> str:
        """Name of the state that it ends with. What branches carries the sums of its last epoch; what is final does not."""
        return f"{self.trajectory.fingerprint_at(self.stop)}-{'final' if self.final else 'branch'}"

    @property
    def seed(self) -> int:
        return self.trajectory.seed

    @property
    def settings(self) -> Mapping[str, Any]:
        return self.trajectory.settings

    def shortcut_at(self, epoch: int) -> dict[str, Any] | None:
        return self.trajectory.shortcut_at(epoch)

    def fingerprint_at(self, epoch: int) -> str:
        return self.trajectory.fingerprint_at(epoch)


def forest(trajectories: Iterable[Trajectory], epochs: int) -> dict[str, Segment]:
    """The segments that train the trajectories, each stretch of epochs once, by the name of the state that they end with.

    Compiled runs share nothing: with a shared trunk, whose last epoch records for its branches, they ended with other bits than alone.
    """
    trunks: dict[str, dict[str, Trajectory]] = {}
    for one in trajectories:
        own = one.fingerprint_at(epochs)
        trunks.setdefault(own if one.settings.get("compile") else one.fingerprint_at(0), {})[own] = one
    segments: dict[str, Segment] = {}
    for trunk in trunks.values():
        for segment in _grow(list(trunk.values()), 0, epochs, None):
            segments[segment.state] = segment
    return segments


def _grow(agreeing: list[Trajectory], start: int, epochs: int, parent: str | None) -> Iterator[Segment]:
    """Segments for distinct trajectories that agree until `start`: those that act by then part ways, the rest goes on together."""
    waiting: list[Trajectory] = []
    for one in agreeing:
        if one.onset is not None and one.onset <= start:
            yield Segment(one, start, epochs, True, parent)
        else:
            waiting.append(one)
    if len(waiting) == 1:
        yield Segment(waiting[0], start, epochs, True, parent)
    elif waiting:
        stop = min(one.onset for one in waiting if one.onset is not None)
        trunk = Segment(waiting[0], start, stop, False, parent)
        yield trunk
        yield from _grow(waiting, stop, epochs, trunk.state)


@dataclass(frozen=True)
class Study:
    """A resolved study: `resolved` is the content of study.json, from which all else follows."""

    resolved: Mapping[str, Any]

    @property
    def name(self) -> str:
        return self.resolved["study"]

    @property
    def epochs(self) -> int:
        return self.resolved["protocol"]["epochs"]

    @cached_property
    def data(self) -> str:
        """Identity of the data: the checksum of the prepared arrays, or of the archive together with what is taken from it."""
        data = self.resolved["data"]
        if data["checksum"].startswith("sha256:"):
            return data["checksum"]
        return f"{data['checksum']}/{data['source']}/{data['images_per_class'] or 'all'}"

    @property
    def data_folder(self) -> str:
        """Name of the folder of the prepared data."""
        return fingerprint(self.data)

    @cached_property
    def runs(self) -> list[Run]:
        runs = []
        for name, variant in self.resolved["variants"].items():
            declared = variant["settings"]
            apart = ("epochs", "shortcut", "average_from")
            settings = {key: value for key, value in declared.items() if key not in apart}
            for seed in variant["seeds"]:
                trajectory = Trajectory(seed, settings, self.data, declared["shortcut"], declared.get("average_from"))
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


def resolve(config: Mapping[str, Any], files: Iterable[str | Path] = ()) -> Study:
    """The study that a configuration (config.yaml with overlays merged) declares. `files` are named in complaints.

    Raises `UserError` with one sentence for anything that is not a valid study.
    """
    config = check(config, [str(file) for file in files])
    protocol = _without_defaults(dict(sorted(config["protocol"].items())))
    variants = {}
    for name, given in config["variants"].items():
        shortcut = _without_defaults(given["shortcut"]) if given.get("shortcut") else None
        settings = protocol | {key: given[key] for key in protocol if key in given}
        against = given.get("against", None if name == config["benchmark"] else config["benchmark"])
        variants[name] = {
            "label": given.get("label", name),
            "seeds": given.get("seeds", config["seeds"]),
            "against": against,
            "published": given.get("published"),
            "null_arm": shortcut is not None and shortcut["kind"] in NULL_ARMS,
            "settings": settings | {"shortcut": shortcut},
        }
    data = {key: config["data"].get(key) for key in ("checksum", "images_per_class", "name", "source")}
    resolved = {
        "study": config["study"],
        "title": config["title"],
        "scale": config["scale"],
        "recipe": RECIPE,
        "data": data,
        "protocol": protocol,
        "seeds": config["seeds"],
        "benchmark": config["benchmark"],
        "tolerance": config["tolerance"],
        "variants": variants,
        "claims": [_without_defaults(claim) for claim in config["claims"]],
    }
    resolved |= _without_defaults({key: config[key] for key in ("endpoint", "margin") if key in config})
    return Study(resolved)


def _without_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in settings.items() if SINCE_RECIPE_1.get(key, ...) != value}


def load_resolved(path: str | Path) -> Study:
    """The study of a study.json, which this project wrote."""
    return Study(json.loads(Path(path).read_text()))
