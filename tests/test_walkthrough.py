"""docs/adapting.md, tried exactly as written: each of its blocks, in order, in a copy of the repository."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import programs
import pytest
from programs import ROOT

PAGE = ROOT / "docs" / "adapting.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PLACE = re.compile(r"# (at the end of )?(studies/\w+\.(?:yaml|md))\n")
EDITED = ("src/temporal_shortcuts/training/shortcuts.py", "src/temporal_shortcuts/study/kinds.py")


class Reader:
    """Somebody who follows the page in a copy of the repository."""

    def __init__(self, folder: Path):
        self.folder = programs.copy_parts(folder)
        (folder / "studies").mkdir()
        self.environment = programs.environment(folder) | {"HOME": str(folder)}
        self.said: list[str] = []

    def follow(self, language: str, text: str) -> None:
        if language in ("yaml", "markdown"):
            place = PLACE.match(text)
            assert place, f"a block does not say where it stands:\n{text}"
            with (self.folder / place[2]).open("a" if place[1] else "x") as file:
                file.write(text[place.end() :])
        else:
            commands = {
                "sh": ["bash", "-euo", "pipefail", "-s"],
                "diff": ["git", "apply", "-"],
                "python": [sys.executable, "-"],
            }
            done = self.run(*commands[language], given=text)
            assert done.returncode == 0, f"{text}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
            self.said.append(done.stdout + done.stderr)

    def run(self, *command: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, input=given, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=1200
        )


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    reader = Reader(tmp_path_factory.mktemp("reader"))
    for language, text in BLOCK.findall(PAGE.read_text()):
        reader.follow(language, text)
    return reader


def jobs(output: str) -> dict[str, int]:
    """Jobs of each rule that a Snakemake command ran."""
    return {rule: int(count) for rule, count in re.findall(r"^(segment|record) +(\d+)$", output, re.MULTILINE)}


def records(reader: Reader, study: str) -> set[str]:
    return {path.parent.name for path in (reader.folder / "results" / study / "records").glob("*/*.csv")}


def test_each_block_works_as_written(reader: Reader) -> None:
    page = (reader.folder / "results" / "mine" / "README.md").read_text()
    assert "# A study of my own" in page
    assert re.search(r"Late `batch_res` ends at \d+\.\d\d\s%, the baseline at\n\d+\.\d\d\s%\.", page)
    assert records(reader, "mine") == {"benchmark", "batch_res_late", "gentle", "smoothed"}
    assert records(reader, "tried") == {"benchmark", "smoothed-0.05-2", "smoothed-0.2-2", "smoothed-0.5-2"}
    assert records(reader, "sky") == {"benchmark"}
    assert records(reader, "stripes") == {"benchmark", "batch_res_late"}


def test_each_command_trains_what_the_page_says(reader: Reader) -> None:
    study, gentle, text, smoothed, tried, confirmed, sky, stripes = (
        jobs(said) for said in reader.said if "Job stats" in said
    )
    assert study == {"segment": 3, "record": 2}
    assert text == {}
    assert stripes["record"] == 2
    assert (tried["record"], confirmed["record"]) == (4 * 3, 2 * 3)
    assert gentle["record"] == smoothed["record"] == sky["record"] == 1
    logs = [
        path.read_text().splitlines()[0] for path in (reader.folder / "work" / "logs" / "segment").glob("*-final.log")
    ]
    assert "epochs 3 to 3 of gentle seed 0" in logs
    assert "epochs 2 to 3 of smoothed seed 0" in logs


def test_a_kind_is_a_class_and_a_line(reader: Reader) -> None:
    before, after = ((folder / EDITED[1]).read_text().splitlines() for folder in (ROOT, reader.folder))
    assert len(after) == len(before) + 1
    source = Path("src", "temporal_shortcuts")
    changed = [
        str(path.relative_to(ROOT))
        for path in sorted((ROOT / source).rglob("*.py"))
        if path.read_bytes() != (reader.folder / path.relative_to(ROOT)).read_bytes()
    ]
    assert changed == sorted(EDITED)


def test_what_did_best_is_confirmed_on_other_seeds_and_images(reader: Reader) -> None:
    """The file of the confirming study is what the exploring one's table gives, and its results are those of its claim."""
    explored, confirmed = (reader.folder / "results" / name for name in ("tried", "tried_confirmed"))
    text = (reader.folder / "studies" / "tried_confirmed.yaml").read_text()
    assert text.count("# Chosen of 3: smoothed-0.") == 1
    (chosen,) = records(reader, "tried_confirmed") - {"benchmark"}
    table = pd.read_csv(explored / "comparisons.csv").query("endpoint == 'last5'")
    assert chosen == table.sort_values(["mean_difference", "variant"], ascending=[False, True])["variant"].iloc[0]
    assert "validation accuracy" in (explored / "README.md").read_text()
    assert "validation" not in (confirmed / "README.md").read_text()
    assert list(pd.read_csv(confirmed / "claims.csv")[["id", "variant", "n"]].iloc[0]) == ["gain", chosen, 3]
    assert (explored / "figures" / "sweep.svg").is_file()


def test_the_right_checksum_is_named_for_zeros(reader: Reader) -> None:
    text = (reader.folder / "studies" / "sky.yaml").read_text()
    (checksum,) = re.findall(r"sha256:[0-9a-f]{64}", text)
    zeros = text.replace(checksum, "sha256:" + "0" * 64).replace("study: sky", "study: zeros")
    (reader.folder / "studies" / "zeros.yaml").write_text(zeros)
    done = reader.run("snakemake", "data", "--cores", "1", "--configfile", "studies/zeros.yaml")
    assert done.returncode != 0
    assert f"data.checksum: {checksum}" in done.stdout + done.stderr


def test_the_notebook_shows_a_record_and_probabilities(reader: Reader) -> None:
    assert any("test_accuracy" in said and "train_loss" in said for said in reader.said)
    (last,) = re.findall(r"tensor\(\[\[(.*?)\]\]", reader.said[-1])
    assert sum(map(float, last.split(","))) == pytest.approx(1, abs=1e-3)
