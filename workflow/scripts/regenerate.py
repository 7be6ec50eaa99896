"""Make every finished study's tables, figures and README again, and the repository's README, without training.

A study is finished when all its records are there and its README is committed. With --check, the files are compared with what
was there before, and any difference ends the program with a diff and status 1, and leaves the committed bytes as they were.
"""

from __future__ import annotations

import argparse
import difflib
import subprocess
import sys
from pathlib import Path

import yaml

from temporal_shortcuts import errors
from temporal_shortcuts.analysis import records
from temporal_shortcuts.study import load_resolved

STAGES = ["collect", "analyse", "draw", "write_readme"]


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    finished = [path for path in [Path("config.yaml"), *sorted(Path("studies").glob("*.yaml"))] if _is_finished(path)]
    before = _content()
    for path in finished:
        _regenerate(path)
    if args.check:
        _compare(before, _content())
    print(f"{len(finished)} studies regenerated: {', '.join(path.stem for path in finished)}")


def _folder(study: Path) -> Path:
    return Path("results") / yaml.safe_load(study.read_text(encoding="utf-8"))["study"]


def _is_finished(study: Path) -> bool:
    folder = _folder(study)
    if not (folder / "study.json").is_file():
        return False
    runs = load_resolved(folder / "study.json").runs
    there = sum(records.is_there(run, folder) for run in runs)
    if there < len(runs):
        print(f"{study}: {there} of {len(runs)} records are there; its tables are not made until it is finished")
    return there == len(runs)


def _regenerate(study: Path) -> None:
    """Run the cheap stages whatever the times of files are. A segment would need data: this must never train."""
    command = ["snakemake", "readme", "figures", "--cores", "1", "--configfile", str(study)]
    done = subprocess.run([*command, "--forcerun", *STAGES], capture_output=True, text=True)
    if done.returncode != 0:
        raise errors.UserError(f"{study} could not be regenerated:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")


def _content() -> dict[Path, bytes]:
    paths = [path for path in Path("results").rglob("*") if path.is_file()]
    return {path: path.read_bytes() for path in [*sorted(paths), Path("README.md"), Path("README.zh.md")]}


def _compare(before: dict[Path, bytes], after: dict[Path, bytes]) -> None:
    changed = [path for path in before | after if before.get(path) != after.get(path)]
    for path in changed:
        old, new = (side.get(path, b"").decode(errors="replace").splitlines() for side in (before, after))
        print(
            "\n".join([*difflib.unified_diff(old, new, f"committed {path}", f"regenerated {path}", "", "", 1, "")][:40])
        )
        if path in before:
            path.write_bytes(before[path])
    if changed:
        print(f"{len(changed)} files differ from what their records give: {', '.join(map(str, changed))}")
        sys.exit(1)


if __name__ == "__main__":
    errors.main(program)
