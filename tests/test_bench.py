"""`make bench` leaves out what it cannot measure, and ends well. Nothing is timed here."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    import bench

    return bench


def test_without_the_images_only_the_study_is_left_out(bench, tmp_path: Path) -> None:
    names, left_out = bench.plan([], tmp_path / "cifar10-jpeg.tar.xz")
    assert names == [name for name in bench.PARTS if name != "study"]
    assert list(left_out) == ["study"]
    assert "cifar10-jpeg.tar.xz, the images that it is timed with, is not there" in left_out["study"]


def test_with_the_images_all_is_measured_and_of_named_parts_only_these(bench, tmp_path: Path) -> None:
    archive = tmp_path / "images.tar.xz"
    archive.touch()
    assert bench.plan([], archive) == (list(bench.PARTS), {})
    assert bench.plan(["study", "full8", "full16", "graph"], tmp_path / "none")[0] == ["graph"]
    assert bench.plan(["graph"], tmp_path / "none") == (["graph"], {})


def rows(value: float) -> list[dict[str, object]]:
    ratio = {"part": "study", "what": "width 8, 3 epochs: textbook / pipeline", "value": value, "unit": "x"}
    return [ratio | {"goal": "at least 1", "met": value >= 1}, ratio | {"what": "seconds", "goal": "", "met": None}]


def test_a_part_takes_the_place_of_what_it_measured_before_and_of_nothing_else(
    bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measured = {"study": rows(2.0), "graph": [row | {"part": "graph"} for row in rows(3.0)]}
    monkeypatch.setattr(bench, "PARTS", {name: lambda name=name: measured[name] for name in measured})
    monkeypatch.setattr(bench, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(bench, "machine", lambda: "a machine")
    archive = tmp_path / "images.tar.xz"
    archive.touch()
    monkeypatch.setattr(bench.plan, "__defaults__", (archive,))
    monkeypatch.setattr(sys, "argv", ["bench.py"])
    bench.main()
    archive.unlink()
    measured |= {"study": rows(4.0), "graph": [row | {"part": "graph"} for row in rows(5.0)]}
    monkeypatch.setattr(bench, "machine", lambda: "another")
    bench.main()
    assert "study is left out: " in capsys.readouterr().out
    made = pd.read_csv(tmp_path / "results" / "measurements.csv")
    assert made[["measured_by", "value", "machine"]].drop_duplicates().values.tolist() == [
        ["study", 2.0, "a machine"],
        ["graph", 5.0, "another"],
    ]
    text = (tmp_path / "results" / "README.md").read_text()
    assert "| width 8, 3 epochs: textbook / pipeline | 2 x | at least 1 | met |" in text
    assert text.index("a machine.") < text.index("## The graph") < text.index("another.")
    assert (tmp_path / "results" / "speed.svg").stat().st_size > 5_000


def test_the_committed_report_is_that_of_the_committed_measurements(bench, tmp_path: Path) -> None:
    results = ROOT / "benchmarks" / "results"
    bench.report.write(tmp_path, pd.read_csv(results / "measurements.csv"))
    assert (tmp_path / "README.md").read_text() == (results / "README.md").read_text()


def test_the_study_is_compared_under_each_instruction_set_with_the_same_textbook_by_medians(
    bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = {"avx2": iter([50.0, 20.0, 90.0]), "avx512": iter([30.0, 30.0, 31.0])}
    monkeypatch.setattr(bench, "instruction_sets", lambda: list(seconds))
    monkeypatch.setattr(bench, "pipeline", lambda width, epochs, onset, one: (next(seconds[one]), tmp_path))
    data = tmp_path / "data" / "identity"
    data.mkdir(parents=True)
    shown = []
    monkeypatch.setattr(bench, "textbook", lambda *given: shown.append(given))
    clock = iter([0.0, 100.0, 0.0, 80.0, 0.0, 400.0])
    monkeypatch.setattr(bench.time, "perf_counter", lambda: next(clock))
    returned = []

    def rows() -> Iterator[dict[str, object]]:
        returned.append((yield from bench.compared(16, 50, 41, 2.5, turns=3)))

    found = list(rows())
    assert returned == [tmp_path]
    assert shown == 3 * [(data, 16, 50, 41)]
    ratios = {one["what"]: (one["value"], one["met"]) for one in found if one["unit"] == "x"}
    assert ratios == {
        "width 16, 50 epochs: textbook / pipeline": (2.0, False),
        "width 16, 50 epochs, avx512: textbook / pipeline": (100 / 30, True),
    }
