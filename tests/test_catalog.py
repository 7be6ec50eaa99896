"""What Snakemake's workflow catalog looks for: workflow/Snakefile and config/README.md lead to what is in the root."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import programs
import pytest
import yaml
from tiny_study import ROOT, Workplace

MODULE = """
module shortcuts:
    snakefile: "../place/workflow/Snakefile"
    config: config


use rule * from shortcuts as shortcuts_*
"""


def snakemake(place: Workplace, folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-m", "snakemake", *arguments, "--cores", "2", "--configfile", "../place/tiny.yaml"]
    environment = place.environment() | {"PYTHONPATH": str(programs.PRELOAD)}  # without the package
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout + done.stderr


def planned(output: str) -> dict[str, int]:
    counts = re.findall(r"^(?:shortcuts_)?([a-z]\w*) +(\d+)$", output, re.MULTILINE)
    return {rule: int(count) for rule, count in counts if rule not in ("all", "default", "total")}


def test_its_snakefile_plans_what_the_roots_does(tmp_path: Path) -> None:
    place, elsewhere = Workplace(tmp_path / "place"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    expected = planned(snakemake(place, elsewhere, "-n", "-s", "../place/Snakefile"))
    assert "segment" in expected
    assert not {"page", "crate"} & set(expected)
    assert planned(snakemake(place, elsewhere, "-n", "-s", "../place/workflow/Snakefile")) == expected
    (elsewhere / "Snakefile").write_text(MODULE)
    assert planned(snakemake(place, elsewhere, "-n")) == expected


@pytest.mark.slow
def test_as_a_module_it_makes_everything(tmp_path: Path) -> None:
    place, elsewhere = Workplace(tmp_path / "place"), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "Snakefile").write_text(MODULE)
    snakemake(place, elsewhere)
    assert (elsewhere / "results" / "tiny" / "README.md").is_file()
    assert not (place.folder / "results").exists()
    snakemake(place, elsewhere, "shortcuts_page")
    assert (elsewhere / "build" / "tiny.html").is_file()


def test_each_link_of_its_readme_leads_somewhere() -> None:
    text = (ROOT / "config" / "README.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert links
    for link in links:
        assert (ROOT / "config" / link).exists(), link
    config = yaml.safe_load((ROOT / "config.yaml").read_text(encoding="utf-8"))
    table = "".join(line for line in text.splitlines() if line.startswith("|"))
    assert set(re.findall(r"`(\w+)`", table)) <= set(config)
