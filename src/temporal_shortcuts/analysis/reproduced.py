"""What was made again from nothing beside what is committed: which files differ, and whether another environment explains it.

Other last bits are possible where the processor or torch is another one. So a run with other weights is explained if its environment
differs, and is not if it was trained in the same one; with equal weights every other byte of its record must be equal. Of what is derived
from the records, a difference is explained if a run's is; of a README, which names the environments, also if only these differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from temporal_shortcuts.analysis import records
from temporal_shortcuts.study import Run
from temporal_shortcuts.training.numerics import INSISTED

DECIDING = (*INSISTED, "processor", "system")
"""What of an environment can change the last bits of a number; the versions of Python and NumPy cannot."""


@dataclass(frozen=True)
class Difference:
    """A file that is not the committed one."""

    file: str
    """Its path in the study's folder."""
    what: str
    is_explained: bool
    """Whether another processor, torch or device accounts for it."""


def environments(runs: Iterable[Run], committed: Path, made: Path) -> dict[str, tuple[str, str]]:
    """What differs between the environments of the runs: key -> the committed values and those found here, in words."""
    found: dict[str, tuple[set[str], set[str]]] = {}
    for run in runs:
        for side, folder in enumerate((committed, made)):
            for environment in _sidecar(folder, run).get("environments", ()):
                for key, value in environment.items():
                    found.setdefault(key, (set(), set()))[side].add(str(value))
    return {key: (", ".join(sorted(old)), ", ".join(sorted(new))) for key, (old, new) in found.items() if old != new}


def of_run(run: Run, committed: Path, made: Path) -> list[Difference]:
    """The files of a run's record that differ; of its sidecar all but the environments counts."""
    if not records.is_there(run, committed):
        return [Difference(run.record, "there is no committed record to compare it with", False)]
    if not records.is_there(run, made):
        return [Difference(run.record, "it was not made", False)]
    old, new = (_sidecar(folder, run) for folder in (committed, made))
    weights = [side.get("weights", {}).get("final") for side in (old, new)]
    explained = weights[0] != weights[1] and _deciding(old) != _deciding(new)
    record, sidecar, correct = run.record_files
    keys = sorted(key for key in {**old, **new} if key != "environments" and old.get(key) != new.get(key))
    found = [Difference(sidecar, f"other {', '.join(keys)}", explained)] if keys else []
    texts = [json.dumps(side | {"environments": []}) for side in (old, new)]
    if not keys and texts[0] != texts[1]:
        found.append(Difference(sidecar, "another order of keys", False))
    return found + [
        Difference(name, what, explained) for name in (record, correct) if (what := _what(name, committed, made))
    ]


def of_study(runs: list[Run], committed: Path, made: Path) -> list[Difference]:
    """The files of a study's whole folder that differ, those of its records first."""
    own = {name for run in runs for name in run.record_files}
    found = [difference for run in runs for difference in of_run(run, committed, made)]
    changed = any(difference.is_explained for difference in found)
    elsewhere = bool(environments(runs, committed, made))
    for name in sorted({*_files(committed), *_files(made)} - own):
        if what := _what(name, committed, made):
            found.append(Difference(name, what, changed or (elsewhere and name.startswith("README"))))
    return found


def _what(name: str, committed: Path, made: Path) -> str | None:
    """How a file differs, with any system's line ends; None if it does not."""
    for folder, what in ((committed, "it is not committed"), (made, "it was not made")):
        if not (folder / name).is_file():
            return what
    old, new = ((folder / name).read_bytes() for folder in (committed, made))
    if name.endswith(".npy"):
        return None if old == new else "other bytes"
    lines = [content.replace(b"\r\n", b"\n").split(b"\n") for content in (old, new)]
    if lines[0] == lines[1]:
        return None
    same = next((k for k, (one, other) in enumerate(zip(*lines, strict=False)) if one != other), min(map(len, lines)))
    return f"from line {same + 1} on"


def _files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.name.startswith("."):
            yield path.relative_to(folder).as_posix()


def _sidecar(folder: Path, run: Run) -> dict[str, Any]:
    """A sidecar as it is, or an empty one where it cannot be read."""
    try:
        return dict(records.sidecar(folder / run.record))
    except (OSError, ValueError, TypeError):
        return {}


def _deciding(sidecar: dict[str, Any]) -> set[str]:
    return {json.dumps([one.get(key) for key in DECIDING]) for one in sidecar.get("environments", ())}
