"""Runs, their fingerprints, and the forest of segments that trains them, each span of epochs once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from temporal_shortcuts.study.kinds import KINDS

RECIPE = 1
"""Version of the training arithmetic. Raise it when a change makes other numbers: all fingerprints change with it."""

VALIDATION = "/validation/"
"""In the identity of data whose runs are evaluated on training images that are kept apart, before their number in each class."""


def evaluated_images(data: str) -> Literal["test", "validation"]:
    """Which images runs on data of this identity are evaluated on."""
    return "validation" if VALIDATION in data else "test"


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
        return max(self.shortcut["onset"], KINDS[self.shortcut["kind"]].first_epoch)

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
