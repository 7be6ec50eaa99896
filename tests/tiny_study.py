"""A study that trains in seconds, in a copy of the repository's workflow, for tests that run Snakemake as a user does."""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import programs
import yaml

ROOT = programs.ROOT


@cache
def digits_checksum(images_per_class: int) -> str:
    from temporal_shortcuts.data import images, sources

    data = {"source": "digits", "name": "digits", "images_per_class": images_per_class}
    return images.checksum(sources.load(data, Path()))


def tiny_study() -> dict[str, Any]:
    """Four of the published variants on 200 digits, three epochs, width 2, one seed."""
    return {
        "study": "tiny",
        "extends": "config.yaml",
        "title": "A study that trains in seconds",
        "scale": "a toy",
        "data": {"name": "digits", "source": "digits", "images_per_class": 20, "checksum": digits_checksum(20)},
        "protocol": {"width": 2, "epochs": 3, "batch_size": 64, "device": "cpu"},
        "seeds": [0],
        "variants": {
            **dict.fromkeys(("lr_0.001", "batch_res_start", "epoch_res_start")),
            "batch_res_late": {"shortcut": {"onset": 2}},
            "epoch_res_late": {"shortcut": {"onset": 2}},
        },
        "claims": [],
    }


class Workplace:
    """A folder with the workflow and one study, as a clone has them."""

    def __init__(self, folder: Path, study: dict[str, Any] | None = None, *, new: bool = True, preloaded: bool = True):
        self.folder, self.preloaded = folder, preloaded
        if new:
            programs.copy_parts(folder)
        self.study = study or tiny_study()
        if new:
            self.save()

    @property
    def results(self) -> Path:
        return self.folder / "results" / "tiny"

    def save(self) -> None:
        (self.folder / "tiny.yaml").write_text(yaml.safe_dump(self.study, sort_keys=False))

    def command(self, *targets: str, cores: int = 2, options: tuple[str, ...] = ()) -> list[str]:
        head = [sys.executable, "-m", "snakemake", *targets, "--cores", str(cores), "--configfile", "tiny.yaml"]
        return [*head, *options]

    def environment(self) -> dict[str, str]:
        return programs.environment(self.folder, preloaded=self.preloaded)

    def run(self, *targets: str, cores: int = 2, options: tuple[str, ...] = ()) -> str:
        """Run Snakemake to its end; its output. Fails the test if Snakemake fails."""
        status, said = self.attempt(*self.command(*targets, cores=cores, options=options))
        assert status == 0, said[-6000:]
        return said

    def attempt(self, *command: str, **environment: str) -> tuple[int, str]:
        """Exit status of a command, as a list of words or as `Workplace.command` gives it, and all that it says."""
        options = {"cwd": self.folder, "env": self.environment() | environment, "text": True}
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
        return done.returncode, done.stdout

    def planned(self, *targets: str) -> dict[str, int]:
        """Number of jobs of each rule that Snakemake would run."""
        output = self.run(*targets, options=("-n",))
        return {rule: int(count) for rule, count in re.findall(r"^([a-z]\w*) +(\d+)$", output, re.MULTILINE)}

    def files(self) -> dict[str, bytes]:
        """Every file of the study's results."""
        paths = sorted(path for path in self.results.rglob("*") if path.is_file())
        return {str(path.relative_to(self.results)): path.read_bytes() for path in paths}

    def copy(self, folder: Path) -> Workplace:
        """All of it as it is, times and .snakemake included."""
        shutil.copytree(self.folder, folder)
        return Workplace(
            folder, yaml.safe_load((folder / "tiny.yaml").read_text()), new=False, preloaded=self.preloaded
        )

    def clone(self, folder: Path, seed: int) -> Workplace:
        """What git would give: the committed files, no work folder, no .snakemake, and times in some order."""
        study = yaml.safe_load((self.folder / "tiny.yaml").read_text())
        other = Workplace(folder, study, preloaded=self.preloaded)
        shutil.copytree(self.results, other.results)
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        random.Random(seed).shuffle(paths)
        for order, path in enumerate(paths):
            os.utime(path, (1_700_000_000 + order, 1_700_000_000 + order))
        return other
