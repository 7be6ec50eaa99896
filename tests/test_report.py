"""Snakemake's HTML report of the committed demo, in a real browser: its pages show the text, the workflow, each figure, each table."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import browser
import pytest
from tiny_study import ROOT, Workplace

DEMO = ROOT / "results" / "demo"
PROGRAM = browser.installed()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed (apt-get install chromium)"),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = Workplace(tmp_path_factory.mktemp("report") / "place")
    shutil.copytree(DEMO, place.folder / "results" / "demo")
    text = (ROOT / "studies" / "demo.yaml").read_text()
    (place.folder / "tiny.yaml").write_text(text.replace("extends: ../config", "extends: config"))
    place.run(options=("--report", "report.html"))
    return place.folder / "report.html"


@pytest.fixture
def page(report: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    assert PROGRAM is not None
    with browser.Browser(PROGRAM, tmp_path_factory.mktemp("profile")) as page:
        page.open(report)
        yield page


def link(text: str) -> str:
    return f"[...document.querySelectorAll('a')].find(a => a.innerText.trim() === {json.dumps(text)})"


def row(name: str) -> str:
    return f"[...document.querySelectorAll('tr')].find(r => r.innerText.trim() === {json.dumps(name)})"


def content(address: str) -> bytes:
    return base64.b64decode(address.partition(";base64,")[2])


def test_the_first_page_names_the_study_and_draws_the_workflow(page: browser.Browser) -> None:
    text = page.wait_for("document.body.innerText")
    assert "The demo, on handwritten digits" in text
    assert "which says nothing about CIFAR-10" in " ".join(text.split())
    assert "{{" not in text
    page.wait_for("[...document.querySelectorAll('canvas')].some(c => c.clientHeight > 200)")
    drawn = page.evaluate("JSON.stringify(rulegraph_spec.data.flatMap(d => d.values || []).map(v => v.rule))")
    assert {"collect", "analyse", "draw", "write_readme"} <= set(json.loads(drawn)), drawn  # whole records are sources


def test_each_figure_is_shown(page: browser.Browser) -> None:
    page.click(link("Figures"))
    figures = sorted((DEMO / "figures").glob("*.svg"))
    assert len(figures) == 4
    for figure in figures:
        page.click(f"{row(figure.stem)}?.querySelectorAll('a')[0]")
        shown = f"[...document.images].find(i => i.src.includes('filename={figure.name};') && i.naturalWidth > 300)"
        page.wait_for(f"!!{shown}")
        assert content(page.evaluate(f"{shown}.src")) == figure.read_bytes()
        assert page.evaluate(f"{shown}.clientWidth") > 300


def test_each_table_can_be_taken_and_is_described(page: browser.Browser) -> None:
    page.click(link("Tables"))
    for name in ("claims", "comparisons", "image_bootstrap", "stability", "summary"):
        address = page.wait_for(f"{row(name)}?.querySelectorAll('a')[0].href")
        assert content(address) == (DEMO / f"{name}.csv").read_bytes()
    page.click(f"{row('claims')}?.querySelectorAll('a')[1]")
    page.wait_for("document.body.innerText.includes('docs/statistics.md explains each column')")
