"""Copies of the repository, and how their programs are started."""

from __future__ import annotations

import atexit
import compileall
import os
import py_compile
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
PRELOAD = Path(__file__).parent / "preload"
PARTS = ("Snakefile", "config.yaml", "workflow", "profiles", "envs", "src")
"""What the workflow consists of."""


def copy_parts(folder: Path, parts: tuple[str, ...] = PARTS) -> Path:
    """Copy files and folders of the repository into a folder, which is made if need be; the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts:
        source = _compiled() if part == "src" else ROOT / part
        if source.is_dir():
            ignored = shutil.ignore_patterns(*([] if part == "src" else ["__pycache__"]), "*.egg-info")
            shutil.copytree(source, folder / part, ignore=ignored)
        else:
            shutil.copy(source, folder / part)
    return folder


@cache
def _compiled() -> Path:
    """The package, compiled once for all copies: whether a text is the compiled one is seen by its hash, not by its time."""
    folder = Path(tempfile.mkdtemp(prefix="compiled-"))
    atexit.register(shutil.rmtree, folder)
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    mode = py_compile.PycInvalidationMode.CHECKED_HASH
    compileall.compile_dir(folder, quiet=1, invalidation_mode=mode)
    return folder / "src"


def environment(folder: Path, *, preloaded: bool = True) -> dict[str, str]:
    """The environment in which a copy of the repository is at work.

    Its programs and Snakemake then are children of one process that has imported the libraries, see tests/preload/server.py.
    Where it matters how a program starts, or a signal is sent to it, it must not be `preloaded`.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    plain = {**os.environ, "PATH": path, "PYTHONPATH": str(folder / "src")}
    return plain | {"PYTHONPATH": f"{folder / 'src'}{os.pathsep}{PRELOAD}", "PRELOAD": server()} if preloaded else plain


def run(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `python WORDS` in a copy of the repository to its end."""
    command = [sys.executable, *words]
    return subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=1200)


@cache
def server() -> str:
    """The address of the server, started with the first program and ended with the tests."""
    folder = Path(tempfile.mkdtemp(prefix="preload-"))
    process = subprocess.Popen(
        [sys.executable, PRELOAD / "server.py", folder / "socket"],
        env={key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    atexit.register(shutil.rmtree, folder)
    atexit.register(process.communicate)
    return str(folder / "socket")
