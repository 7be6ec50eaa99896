"""Committed tables regenerate byte for byte, and a changed digit is found and named; verify compares what is trained again."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the repository with the demo as its only study."""
    folder = tmp_path_factory.mktemp("regenerate") / "clone"
    folder.mkdir()
    for name in ("Snakefile", "config.yaml", "README.md", "README.zh.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        (folder / name).write_text(re.sub(r"<!-- block .*?<!-- end -->", "", text, flags=re.DOTALL), encoding="utf-8")
    for name in ("workflow", "profiles", "src", "envs"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "studies").mkdir()
    shutil.copy(ROOT / "studies" / "demo.yaml", folder / "studies")
    shutil.copytree(ROOT / "results" / "demo", folder / "results" / "demo")
    return folder


def check(clone: Path) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(clone / "src")}
    command = [sys.executable, "workflow/scripts/regenerate.py", "--check"]
    return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)


def test_a_changed_digit_is_named_with_its_file_and_stays_as_it_was(clone: Path) -> None:
    done = check(clone)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not (clone / "work" / "states").exists(), "regenerating must not train"

    table = clone / "results" / "demo" / "summary.csv"
    text = table.read_text()
    digit = re.search(r"0\.\d\d(\d)", text)
    assert digit is not None
    wrong = text[: digit.start(1)] + str((int(digit[1]) + 1) % 10) + text[digit.end(1) :]
    table.write_text(wrong)
    done = check(clone)
    assert done.returncode == 1
    assert "results/demo/summary.csv" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert table.read_text() == wrong, "a check must not mend what it checks"
