"""The studies of a clone, by name: config.yaml, and the files of studies/. A file with a fault is one only for who asks for it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from temporal_shortcuts.analysis import records
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.files import write_atomically
from temporal_shortcuts.study import Study, ladder, resolve
from temporal_shortcuts.study.declared import Running
from temporal_shortcuts.study.reading import merged, read

ARCHIVED = ("Snakefile", "config.yaml", "*.md", "*.toml", "Makefile", "LICENSE", "CITATION.cff")
ARCHIVED += tuple(f"{folder}/**/*" for folder in ("config", "docs", "envs", "profiles", "src", "workflow"))
"""The files of a clone that an archive holds beside a study's own: enough to make its results again."""


@dataclass
class Catalogue:
    """Studies that are declared, each with its file; and what is wrong with the other files."""

    studies: dict[str, Study] = field(default_factory=dict)
    files: dict[str, Path] = field(default_factory=dict)
    """As seen from here."""
    faults: dict[str, UserError] = field(default_factory=dict)
    """By the name of a file without .yaml, or by the name that two files have."""

    def __getitem__(self, name: str) -> Study:
        """The study of a name, or else of a file of that name. Raises `UserError`."""
        named = (study for study, file in self.files.items() if file.stem == name)
        for one in (name, *named):
            if one in self.studies:
                return self.studies[one]
        if name in self.faults:
            raise self.faults[name]
        raise UserError(f"there is no study {name!r}: name one of {', '.join(self.studies)}.")

    def declared_as(self, name: str) -> tuple[Path, Study]:
        """The file of the study of a name, and the study. Raises `UserError`."""
        study = self[name]
        return self.files[study.name], study

    def add(self, study: Study, file: Path) -> None:
        """Add a study. One whose name is taken is a fault, and so is then the one that had it. Raises `UserError`."""
        if study.name in self.files:
            self.studies.pop(study.name, None)
            first = self.files[study.name]
            fault = UserError(f"{file}: study: found {study.name!r}, as in {first}; rename one of them.")
            self.faults[study.name] = fault
            raise fault
        self.studies[study.name] = study
        self.files[study.name] = file

    def archived(self, root: Path, name: str) -> list[Path]:
        """What made a study's results: the workflow, and of studies its own file alone, with what that extends and a person's text."""
        own = [Path(os.path.abspath(self.files[name]))]
        while base := read(own[-1]).get("extends"):
            own.append(Path(os.path.abspath(own[-1].parent / base)))
        found = [
            *(path for pattern in ARCHIVED for path in sorted(root.glob(pattern))),
            *own,
            own[0].with_suffix(".md"),
        ]
        left_out = (".pyc", ".in.md")  # texts whose numbers are of several studies
        here = [path for path in dict.fromkeys(found) if path.is_file() and path.is_relative_to(root)]
        return [path for path in here if not path.name.endswith(left_out) and ".egg-info" not in str(path)]

    def place(self, results: Path, work: Path) -> None:
        """Leave out the studies whose files name other folders than these, and no default: they are run by their file."""
        ours = {"results": results, "work": work}
        for name, study in [*self.studies.items()]:
            for key, folder in ours.items():
                if getattr(study.running, key) not in (folder, Path(Running.model_fields[key].default)):
                    why = "the study has a folder of its own; give its file to --configfile."
                    self.faults[name] = UserError(f"{self.files[name]}: {key}: {why}")
                    self.studies.pop(name, None)

    def check(self) -> None:
        """Raise `UserError` for the first file with a fault."""
        for fault in self.faults.values():
            raise fault

    def finished(self, results: Path) -> list[Study]:
        """The studies that have all their records. Raises `UserError` where some are missing and tables show them."""
        return [study for study in self.studies.values() if self._is_finished(study, results / study.name)]

    def _is_finished(self, study: Study, folder: Path) -> bool:
        missing = [run.record for run in study.runs if not records.is_there(run, folder)]
        if missing and (folder / "README.md").is_file():
            raise UserError(
                f"{folder}: {len(missing)} of {len(study.runs)} records are missing ({', '.join(missing[:5])}"
                f"{', ...' if len(missing) > 5 else ''}), which its tables need: bring them back with git, or train them with "
                f"`snakemake --cores 2 --configfile {self.files[study.name]}`."
            )
        if 0 < len(missing) < len(study.runs):
            print(f"{folder}: in progress: {len(study.runs) - len(missing)} of {len(study.runs)} records are there")
        return not missing


def catalogue(root: Path, given: Iterable[Path] = (), changes: Mapping[str, Any] | None = None) -> Catalogue:
    """The studies of a clone but for the files `given`, which are read elsewhere; `changes` are put on top of each."""
    found, left_out = Catalogue(), [root / ladder.FILE, *(path.resolve() for path in given)]
    for path in [root / "config.yaml", *sorted((root / "studies").glob("*.yaml"))]:
        if path in left_out or path.resolve() in left_out or not path.is_file():
            continue
        try:
            file = Path(os.path.relpath(path))
            found.add(read_study(file, *([changes] if changes else [])), file)
        except UserError as fault:
            found.faults[path.stem] = fault
    return found


def read_study(*layers: str | Path | Mapping[str, Any]) -> Study:
    """A study from its file, with further files or mappings merged on top key by key, as `snakemake --configfile` does."""
    config: Any = {}
    for layer in layers:
        content = layer if isinstance(layer, Mapping) else read(layer)
        config = merged(config, content) if isinstance(content, Mapping) else content
    return resolve(config, [layer for layer in layers if not isinstance(layer, Mapping)])


def kept(path: Path, content: Mapping[str, Any], current: bool) -> str:
    """A file that jobs read what they make something of; its path. It is new where that is not `current`, and else old.

    New also in its bytes: Snakemake knows the checksum of the file that it has seen, and passes over one that was only touched.
    """
    if not current or not path.is_file():
        new = {} if current else {"read": time.time_ns()}
        write_atomically(path, json.dumps(dict(content) | new, indent=1, allow_nan=False).encode())
    if current:
        os.utime(path, (0, 0))
    return str(path)
