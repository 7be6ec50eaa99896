"""The same bits on other processors: golden steps on an emulated Intel one, and under AVX-512 on those that have it."""

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
numerics.pin(sys.argv[1])
sys.path.insert(0, sys.argv[2])
import golden
for name in sys.argv[3:]:
    with tempfile.TemporaryDirectory() as work:
        print(name, golden.steps(name, Path(work))["hash"])
"""
FLAGS = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
NAMES = ("benchmark", "epoch_res", "published_network")


def hashes(instruction_set: str, *emulator: str) -> dict[str, str]:
    command = [*emulator, sys.executable, "-c", PROGRAM, instruction_set, str(Path(__file__).parent), *NAMES]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return dict(line.split() for line in output.splitlines())


def stored(instruction_set: str) -> list[dict[str, str]]:
    """Of each processor that was tried."""
    every = json.loads(golden.FILE.read_text())["hashes"]
    return [{name: own[name] for name in NAMES} for where, own in every.items() if f", {instruction_set}, " in where]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("qemu-x86_64") is None, reason="needs qemu-x86_64, an emulator (Debian: qemu-user)")
def test_an_emulated_intel_processor_gives_the_same_bits() -> None:
    """Haswell has AVX2 and nothing newer, and is Intel's: libraries that choose their kernels by maker or cache take its."""
    assert hashes("avx2", "qemu-x86_64", "-cpu", "Haswell") in stored("avx2")


@pytest.mark.slow
@pytest.mark.skipif("avx512f" not in FLAGS, reason="needs a processor with AVX-512")
def test_a_processor_with_avx512_gives_the_bits_of_others_that_have_it() -> None:
    assert hashes("avx512") in stored("avx512")
