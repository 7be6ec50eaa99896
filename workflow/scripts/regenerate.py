"""Make the tables, figures and READMEs of all studies again from their records, the ladder, and the repository's README. Never trains.

Of a study that is confirmed by another, that one's file too, which says what was chosen.

With --check this is done in a copy, and what differs from the files that are there ends the program with a diff and status 1.
A study whose results are there must have every record; one that has records only is in progress, and left alone by --check.
"""

from __future__ import annotations

import argparse
import difflib
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from temporal_shortcuts import api, errors, files, folders
from temporal_shortcuts.analysis import records
from temporal_shortcuts.study import Study, ladder, outputs

STAGES = ("collect", "analyse", "draw", "readme")
SCRIPTS = Path(__file__).parent
ROOT = SCRIPTS.parents[1]
TEXTS = ("README.in.md", "README.zh.in.md")
READMES = ("README.md", "README.zh.md")


def program() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    studies = {file: study for file, study in api.declared(ROOT) if _can_be_made(file, study, args.check)}
    if args.check:
        with tempfile.TemporaryDirectory(prefix="temporal-shortcuts-") as folder:
            _check(studies, Path(folder))
    else:
        _regenerate(studies, ROOT)
    print(f"{len(studies)} studies regenerated: {', '.join(study.name for study in studies.values())}")


def _can_be_made(file: Path, study: Study, check: bool) -> bool:
    """Whether all records of a study are there. Raises `UserError` where some are not and tables show them."""
    folder = Path("results") / study.name
    missing = [run.record for run in study.runs if not records.is_there(run, ROOT / folder)]
    there = len(study.runs) - len(missing)
    tables = [*outputs.COLLECTED, *outputs.TABULATED, "README.md"]
    if any((ROOT / folder / name).is_file() for name in tables):
        if missing:
            raise errors.UserError(
                f"{folder}: {len(missing)} of {len(study.runs)} records are missing ({', '.join(missing[:5])}"
                f"{', ...' if len(missing) > 5 else ''}), which its tables need: bring them back with git, or train them with "
                f"`snakemake --cores 2 --configfile {file}`."
            )
        return True
    confirming = study.confirm and file.with_name(study.confirm.file)
    is_confirmed = confirming and (ROOT / confirming).is_file()
    if there:
        print(f"{folder}: in progress: {there} of {len(study.runs)} records are there")
    elif is_confirmed:
        print(
            f"{folder} is not here, as in an archive of another study: what {confirming.name} confirms is not checked"
        )
        return False
    if is_confirmed and (missing or check):
        raise errors.UserError(
            f"{confirming}: it confirms a choice from the tables of {study.name}, which are not there; make them "
            f"with `snakemake --cores 2 --configfile {file}`, or delete this file."
        )
    return not missing and not check


def _regenerate(studies: Mapping[Path, Study], root: Path) -> None:
    """Run the cheap stages in a folder that has results/ and the READMEs; `studies` by their files."""
    for file, study in studies.items():
        resolved = root / "results" / study.name / "study.json"
        if root == ROOT:
            folders.hold_study(resolved, ROOT / "work", edited=not files.holds(resolved, study.text()))
        study.write(resolved)
        text = ROOT / file.with_suffix(".md")
        for stage in STAGES:
            said = ["--text", str(text)] if stage == "readme" and text.is_file() else []
            _run(stage, "--study", str(resolved), *said)
        if study.confirm:
            place, data = root / file.with_name(study.confirm.file), json.dumps(study.data.model_dump())
            _run("confirm", "--study", str(resolved), "--data", data, "--output", str(place))
    rungs = ladder.rungs_of(ROOT / ladder.FILE) if (ROOT / ladder.FILE).is_file() else []
    if any(study.name in rungs for study in studies.values()):
        _run("ladder", "--ladder", str(ROOT / ladder.FILE), "--results", str(root / "results"))
    texts = [str(root / name) for name in TEXTS if (root / name).is_file()]
    if texts:
        _run("front_page", "--results", str(root / "results"), *texts)


def _run(script: str, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, str(SCRIPTS / f"{script}.py"), *arguments], stderr=subprocess.PIPE, text=True
    )
    if done.returncode != 0:
        complaint = done.stderr.removeprefix("error: ").rstrip()
        raise errors.UserError(complaint if "Traceback" not in complaint else f"{script}.py failed:\n{complaint}")


def _check(studies: Mapping[Path, Study], copy: Path) -> None:
    shutil.copytree(ROOT / "results", copy / "results")
    for name in (*TEXTS, *READMES):
        if (ROOT / name).is_file():
            shutil.copy(ROOT / name, copy / name)
    _regenerate(studies, copy)
    paths = sorted({path.relative_to(root) for root in (ROOT, copy) for path in _files(root)})
    paths += [file.with_name(study.confirm.file) for file, study in studies.items() if study.confirm]
    changed = [path for path in paths if _content(ROOT / path) != _content(copy / path)]
    for path in changed:
        old, new = (_content(root / path).decode(errors="replace").splitlines() for root in (ROOT, copy))
        lines = difflib.unified_diff(old, new, f"committed {path}", f"regenerated {path}", "", "", 1, "")
        print("\n".join([*lines][:40]))
    if changed:
        print(f"{len(changed)} files differ from what their records give: {', '.join(map(str, changed))}")
        sys.exit(1)


def _files(root: Path) -> Iterator[Path]:
    yield from (path for path in (root / "results").rglob("*") if path.is_file())
    yield from (root / name for name in READMES)


def _content(path: Path) -> bytes:
    """The bytes of a file, of a text with the line ends that this project writes; nothing where there is none."""
    content = path.read_bytes() if path.is_file() else b""
    return content if path.suffix == ".npy" else content.replace(b"\r\n", b"\n")


if __name__ == "__main__":
    errors.main(program)
