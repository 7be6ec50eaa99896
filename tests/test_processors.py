"""The same bits on other processors: golden steps on an emulated Intel one, and under AVX-512 on those that have it.

And what is said where a processor lacks what a study needs.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import golden
import pytest
from synthetic import run_program

from temporal_shortcuts.catalogue import Catalogue
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.study import load_resolved
from temporal_shortcuts.terminal import arguments
from temporal_shortcuts.training import numerics

ROOT = Path(__file__).parents[1]
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


HASWELL = "processor\t: 0\nmodel name\t: Haswell\nflags\t\t: fpu sse2 avx avx2 fma\n"
OLDEST = HASWELL.replace(" avx avx2 fma", "")
FEW = HASWELL.replace("fma", "fma avx512f avx512cd")
ARM = "processor\t: 0\nFeatures\t: fp asimd\n"


@pytest.mark.parametrize(
    ("said", "refused"),
    [
        (HASWELL, {"avx512": "(Haswell) has no avx512f"}),
        (FEW, {"avx512": "(Haswell) has no avx512bw"}),
        (OLDEST, {"avx2": "(Haswell) has no avx2", "avx512": "(Haswell) has no avx512f"}),
        (HASWELL.replace("fma", "fma avx512f avx512bw avx512dq avx512vl"), {}),
        (ARM, {}),
        (None, {}),
    ],
)
def test_a_processor_without_the_instructions_is_refused_before_torch_could_crash(
    said: str | None, refused: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numerics, "_CPU", tmp_path / "cpuinfo")
    if said is not None:
        (tmp_path / "cpuinfo").write_text(said)
    for name in ("avx2", "avx512", "native"):
        if name not in refused:
            numerics.check_processor(name)
            continue
        for check in (numerics.check_processor, numerics.pin):
            with pytest.raises(
                UserError, match=f"instruction_set is {name}, but this processor {re.escape(refused[name])}: run it"
            ):
                check(name)


def test_a_study_is_refused_before_anything_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cpuinfo").write_text(HASWELL)
    monkeypatch.setattr(numerics, "_CPU", tmp_path / "cpuinfo")
    path = ROOT / "results" / "scale_width16_full" / "study.json"
    assert load_resolved(path).needed_processor == "AVX-512"
    assert load_resolved(ROOT / "results" / "demo" / "study.json").needed_processor is None
    with pytest.raises(UserError, match="has no avx512f"):
        arguments.check_device(load_resolved(path), Catalogue())
    monkeypatch.setattr(subprocess, "run", None)
    assert run_program("verify", "--study", path, "--folder", tmp_path / "build", "benchmark/seed25") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: protocol.instruction_set is avx512, but this processor (Haswell) has no avx512f: ")
    assert said.count("\n") == 1
    assert not (tmp_path / "build").exists()
