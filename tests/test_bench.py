"""`make bench` leaves out what it cannot measure, and ends well. Nothing is timed here."""

from __future__ import annotations

import sys
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
    assert bench.plan(["study", "graph"], tmp_path / "none")[0] == ["graph"]
    assert bench.plan(["graph"], tmp_path / "none") == (["graph"], {})


def test_an_incomplete_measurement_is_reported_and_replaces_no_whole_one(
    bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    measurements = pd.read_csv(ROOT / "benchmarks" / "results" / "measurements.csv")
    rows = measurements[measurements["part"] != "study"].to_dict("records")
    parts = dict.fromkeys(bench.PARTS, list) | {"graph": lambda: rows}
    whole = {path: path.read_bytes() for path in (ROOT / "benchmarks" / "results").glob("*.*")}
    monkeypatch.setattr(bench, "PARTS", parts)
    monkeypatch.setattr(bench, "BUILD", tmp_path)
    monkeypatch.setattr(bench.plan, "__defaults__", (tmp_path / "none.tar.xz",))
    monkeypatch.setattr(sys, "argv", ["bench.py"])
    bench.main()
    said = capsys.readouterr().out
    assert "study is left out: " in said
    text = (tmp_path / "results" / "README.md").read_text()
    assert "Not measured: study, because" in text
    assert "## A training step" in text
    assert (tmp_path / "results" / "speed.svg").stat().st_size > 10_000
    assert {path: path.read_bytes() for path in whole} == whole


def test_a_process_that_cannot_measure_is_said(bench) -> None:
    with pytest.raises(RuntimeError, match="ended with status 2"):
        bench.measured(1, "--nix")
