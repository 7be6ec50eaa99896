"""The same bits on processors of two makers: golden steps on an emulated Intel processor, next to those of the one that is here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import golden
import pytest

PROGRAM = """
import sys, tempfile
from pathlib import Path
from temporal_shortcuts.training import numerics
numerics.pin("avx2")
sys.path.insert(0, sys.argv[1])
import golden
for name in sys.argv[2:]:
    with tempfile.TemporaryDirectory() as work:
        print(name, golden.steps(name, Path(work))["hash"])
"""
NAMES = ("benchmark", "epoch_res", "published_network")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="needs qemu-x86_64, an emulator (Debian: qemu-user)")
def test_an_emulated_intel_processor_gives_the_same_bits() -> None:
    """Haswell has AVX2 and nothing newer, and is Intel's: libraries that choose their kernels by maker or cache take its."""
    command = ["qemu-x86_64", "-cpu", "Haswell", sys.executable, "-c", PROGRAM, str(Path(__file__).parent), *NAMES]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    stored = json.loads(golden.FILE.read_text())["hashes"]
    assert dict(line.split() for line in output.splitlines()) in [
        {name: hashes[name] for name in NAMES} for hashes in stored.values()
    ]
