"""The results page: what it holds, and that it can be read, sorted and chosen from in a real browser without a network."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import browser
import pandas as pd
import pytest
from synthetic import SMALL, study_of, tabulated

from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.report import numbers
from temporal_shortcuts.report import page as pages
from temporal_shortcuts.study import Study, load_resolved

ROOT = Path(__file__).parents[1]
DEMO = ROOT / "results" / "demo"
PROGRAM = browser.installed()
HOSTILE = "a <b>bold</b> & $x$ | <script>document.title='no'</script> drop %{y}%"

in_a_browser = pytest.mark.skipif(PROGRAM is None, reason="no Chromium is installed (apt-get install chromium)")


def read(folder: Path) -> tuple[Study, Tables]:
    study = load_resolved(folder / "study.json")
    return study, Tables.read(folder, study)


def write(folder: Path, path: Path) -> str:
    pages.write_page(*read(folder), folder, path)
    return path.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "demo.html"
    write(DEMO, path)
    return path


def content(text: str) -> dict[str, Any]:
    """The numbers that the page's figures are drawn from."""
    found = re.search(r'<script type="application/json" id="content">(.*?)</script>', text, re.DOTALL)
    assert found is not None
    return json.loads(found[1], parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))


# -- the file ----------------------------------------------------------------------------------------------------------


def test_the_same_tables_give_the_same_bytes_and_nothing_is_fetched(demo: Path, tmp_path: Path) -> None:
    text = demo.read_text(encoding="utf-8")
    assert write(DEMO, tmp_path / "again.html") == text
    assert "default-src 'none'" in text
    own = re.sub(r"<script>.*?</script>", "", text, flags=re.DOTALL)
    assert not re.search(r"(src|href)=\"(?!#)", own)


def test_it_holds_every_claim_run_and_measure(demo: Path) -> None:
    text, tables = demo.read_text(encoding="utf-8"), read(DEMO)[1]
    for claim in tables.claims["text"]:
        assert f">{claim}</td>" in text
    for fingerprint in tables.runs["fingerprint"]:
        assert f">{fingerprint}</td>" in text
    drawn = content(text)
    assert {"test accuracy (%)", "train accuracy (%)", "test loss", "train loss", "learning rate"} <= set(
        drawn["curves"]
    )
    measured = {column for column in tables.summary if column.endswith("_mean")}
    assert len(drawn["differences"]) == len(measured)
    table = text[text.index('id="comparisons"') :].partition("</table>")[0]
    assert table.count("<tr>") == 1 + len(tables.comparisons), "each difference stands in a table, too"
    rows = tables.comparisons.to_dict("records")
    assert all(numbers.interval(row["t_low"], row["t_high"]) in table for row in rows)


def test_the_declared_endpoint_comes_first_and_another_is_named(tmp_path: Path) -> None:
    folder = DEMO.parent / "decide"
    write(folder, tmp_path / "decide.html")
    text = (tmp_path / "decide.html").read_text(encoding="utf-8")
    assert re.search(r'data-figures="differences"><option[^>]*>([^<]*)<', text)[1] == "averaged weights"
    assert "decided by averaged weights unless another endpoint is named" in text
    assert text.count(">last 5 epochs</span></td>") == 1, "the claim on the learning rates"
    assert text.count(">averaged weights, recalibrated</span></td>") == 2


def test_what_has_too_few_seeds_is_not_tested_rather_than_undecided(tmp_path: Path) -> None:
    tabulated(tmp_path, SMALL, {"seeds": [0, 1]})
    text = write(tmp_path, tmp_path / "page.html")
    assert "not tested</span>" in text
    assert "2 of 3 seeds" in text
    assert "? undecided" not in text
    assert "would need" not in text


def test_a_seed_is_a_name_and_the_margin_that_decided_is_shown(tmp_path: Path) -> None:
    claim = {"id": "same", "test": "negligible", "variant": "batch_res_late", "than": "benchmark"}
    claims = [claim | {"margin": 1.5}, claim | {"id": "other"}]
    tabulated(tmp_path, SMALL, {"seeds": [20231105, 1, 2], "margin": 40, "claims": claims})
    text = write(tmp_path, tmp_path / "page.html")
    assert ">20231105</td>" in text
    assert "20,231,105" not in text
    assert ("margin ±1.50 points" in text, "margin ±40.00 points" in text) == (True, True)
    assert "Nothing tells whether claims" in text, "no declared.json stands beside invented records"


@pytest.mark.parametrize("shared", [0, 7])
def test_images_that_were_trained_on_are_said(shared: int, tmp_path: Path) -> None:
    study, _ = tabulated(tmp_path, SMALL)
    path = (tmp_path / study.runs[0].record).with_suffix(".json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"shared_images": shared}))
    said = f"{shared} of these images are training images too" in write(tmp_path, tmp_path / "page.html")
    assert said == bool(shared)


def test_a_curve_is_the_mean_over_the_seeds(demo: Path) -> None:
    metrics = read(DEMO)[1].metrics
    own = metrics[metrics["variant"] == "lr_0.1"].groupby("epoch")["test_accuracy"]
    figure = content(demo.read_text(encoding="utf-8"))["curves"]["test accuracy (%)"]
    (line,) = [trace for trace in figure["data"] if trace["legendgroup"] == "lr_0.1" and "fill" not in trace]
    assert line["y"] == pytest.approx(100 * own.mean().to_numpy(), rel=1e-5)
    assert line["customdata"] == [pytest.approx(pair, rel=1e-5) for pair in (100 * own.agg(["min", "max"])).to_numpy()]


def test_a_study_of_one_variant_and_one_epoch_has_points_and_leaves_sections_out(tmp_path: Path) -> None:
    none = {name: None for name in study_of(SMALL).variants if name != "benchmark"}
    tabulated(tmp_path, SMALL, {"variants": none, "claims": [], "protocol": {"epochs": 1}})
    text = write(tmp_path, tmp_path / "alone.html")
    assert 'id="verdicts"' not in text
    assert 'id="differences"' not in text
    assert re.findall(r"<option>(.*?)</option>", text)[0] == "test accuracy (%)"
    traces = content(text)["curves"]["test accuracy (%)"]["data"]
    assert {trace["mode"] for trace in traces if "fill" not in trace} == {"markers"}
    assert "last 5 epochs" not in text


def test_a_run_that_diverged_is_a_gap_and_not_a_number(tmp_path: Path) -> None:
    tabulated(tmp_path, SMALL, {"variants": {"lr_diverged": {"label": "wild", "learning_rate": 0.7}}, "claims": []})
    metrics = pd.read_csv(tmp_path / "metrics.csv")
    wild = (metrics["variant"] == "lr_diverged") & (metrics["epoch"] > 2)
    metrics.loc[wild, ["test_loss", "test_accuracy"]] = [float("inf"), 0.9]
    metrics.to_csv(tmp_path / "metrics.csv", index=False)
    drawn = content(write(tmp_path, tmp_path / "page.html"))["curves"]
    shown = {
        name: next(one["y"] for one in drawn[name]["data"] if one["legendgroup"] == "lr_diverged" and "fill" not in one)
        for name in ("train loss", "test loss", "test accuracy (%)")
    }
    for name in ("train loss", "test loss"):
        assert [value is None for value in shown[name]] == [False] * 2 + [True] * 6
    assert shown["test accuracy (%)"][2:] == [10] * 6, "as it counts in the tables: one in ten classes"


# -- in a browser ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[browser.Browser]:
    assert PROGRAM is not None
    with browser.Browser(PROGRAM, tmp_path_factory.mktemp("profile")) as one:
        yield one


@pytest.fixture
def page(demo: Path, chromium: browser.Browser) -> browser.Browser:
    """The demo's page, opened anew."""
    chromium.open(demo)
    chromium.wait_for(f"{lines('curves-figure')} === 7")
    return chromium


def lines(figure: str) -> str:
    """How many curves a figure shows, bands not counted, as soon as all its traces are drawn."""
    traces, drawn = f"document.getElementById('{figure}').data", f"document.querySelectorAll('#{figure} .trace').length"
    seen = f"{traces}.filter(trace => trace.visible === true)"
    return f"({traces} && {seen}.length === {drawn} && {seen}.filter(trace => !trace.fill).length)"


def column(table: str, at: int) -> str:
    """A column of a table as it is shown."""
    return f"[...document.querySelectorAll('#{table} tbody tr')].map(r => r.cells[{at}].textContent.trim())"


def choose(page: browser.Browser, figures: str, option: str) -> None:
    page.evaluate(
        f"(() => {{ const m = document.querySelector('[data-figures={figures}]'); m.value = {json.dumps(option)};"
        " m.dispatchEvent(new Event('change')); })()"
    )


def click_legend(page: browser.Browser, at: int) -> None:
    """A click on a variant's name below the curves."""
    page.evaluate("document.getElementById('curves').scrollIntoView()")
    x, y = page.evaluate(
        "(({x, y, width, height}) => [x + width / 2, y + height / 2])"
        f"(document.querySelectorAll('#curves-figure .legendtoggle')[{at}].getBoundingClientRect())"
    )
    for kind in ("mousePressed", "mouseReleased"):
        page.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)


@in_a_browser
def test_it_is_drawn_without_a_network(page: browser.Browser) -> None:
    assert page.evaluate("performance.getEntriesByType('resource').length") == 0
    assert page.evaluate("document.querySelectorAll('#differences-figure .errorbar').length") == 6
    shown = page.evaluate("document.querySelector('#differences-figure .annotation').textContent")
    assert shown.startswith("learning rate 0.001")


@in_a_browser
def test_numbers_are_sorted_up_and_down_as_they_are_written_and_a_missing_one_is_last(page: browser.Browser) -> None:
    written = ["< 0.001", "–", "+1,234.50", "−0.68 [−0.96, +0.41]", "74.82 ± 0.40 %", "–", "2", "3", "4", "5", "6", "7"]
    up = [written[at] for at in (3, 0, 6, 7, 8, 9, 10, 11, 4, 2)]
    cells = "document.querySelectorAll('#runs tbody tr')"
    page.evaluate(f"{cells}.forEach((row, i) => row.cells[2].textContent = {json.dumps(written)}[i] ?? '–')")
    header = "document.querySelectorAll('#runs th')[2]"
    for order, values in (("ascending", up), ("descending", up[::-1])):
        page.click(f"{header}.querySelector('button')")
        assert page.evaluate(f"{header}.getAttribute('aria-sort')") == order
        assert page.evaluate(column("runs", 2)) == [*values, *["–"] * 4]


@in_a_browser
def test_verdicts_are_sorted_by_their_words(page: browser.Browser) -> None:
    page.click("document.querySelectorAll('#claims th button')[0]")
    shown = page.evaluate(column("claims", 0))
    assert sorted(shown, key=str.lower) == sorted(read(DEMO)[1].claims["text"], key=str.lower)
    assert page.evaluate(f"{json.dumps(shown)}.every((t, i, all) => !i || all[i - 1].localeCompare(t, 'en') <= 0)")


@in_a_browser
def test_a_variant_is_hidden_by_a_click_on_its_name_and_stays_so_in_another_measure(page: browser.Browser) -> None:
    click_legend(page, 2)
    page.wait_for(f"{lines('curves-figure')} === 6")
    choose(page, "curves", "learning rate")
    page.wait_for(
        "document.getElementById('curves-figure').data.filter(t => t.visible === true).every(t => Math.max(...t.y) < 0.1)"
    )
    assert page.wait_for(f"{lines('curves-figure')}") == 6


@in_a_browser
def test_another_endpoint_is_drawn(page: browser.Browser) -> None:
    before = page.evaluate("document.querySelector('#differences-figure .annotation').textContent")
    choose(page, "differences", "best epoch")
    page.wait_for(f"document.querySelector('#differences-figure .annotation').textContent !== {json.dumps(before)}")


@in_a_browser
def test_hovering_shows_the_numbers(page: browser.Browser) -> None:
    page.evaluate("document.getElementById('curves').scrollIntoView()")
    box = page.evaluate(
        "(({x, y, width, height}) => [x, y, width, height])"
        "(document.querySelector('#curves-figure .nsewdrag').getBoundingClientRect())"
    )
    point = {"x": box[0] + box[2] - 3, "y": box[1] + box[3] / 2}
    page.send("Input.dispatchMouseEvent", type="mouseMoved", **point)
    shown = page.wait_for("document.querySelector('#curves-figure .hoverlayer').textContent")
    metrics = read(DEMO)[1].metrics
    last = metrics[(metrics["variant"] == "benchmark") & (metrics["epoch"] == 10)]["test_accuracy"].mean()
    assert "epoch 10" in shown
    assert f"{read(DEMO)[0].variants['benchmark'].label} : {100 * last:.4g}" in shown


@in_a_browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_and_follows_the_readers_colours(
    chromium: browser.Browser, demo: Path, width: int, scheme: str
) -> None:
    page = chromium
    page.send("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=width < 600)
    page.send("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.open(demo)
    page.wait_for(f"{lines('curves-figure')} === 7")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("innerWidth") == width
    colours = [page.evaluate(f"getComputedStyle(document.body).{which}") for which in ("backgroundColor", "color")]
    paper, ink = (sum(map(int, re.findall(r"\d+", colour))) for colour in colours)
    assert (paper > ink) == (scheme == "light")
    turned = page.evaluate("getComputedStyle(document.getElementById('curves-figure')).filter")
    assert turned.startswith("invert") == (scheme == "dark")
    page.send("Emulation.clearDeviceMetricsOverride")


@in_a_browser
def test_a_label_is_text_whatever_it_holds(chromium: browser.Browser, tmp_path: Path) -> None:
    hostile, tables = tabulated(tmp_path, SMALL, {"variants": {"lr_0.1": {"label": HOSTILE}}})
    write(tmp_path, tmp_path / "hostile.html")
    chromium.open(tmp_path / "hostile.html")
    chromium.wait_for(f"{lines('curves-figure')} > 1")
    assert chromium.evaluate("document.title") == hostile.title
    names = chromium.evaluate("[...document.querySelectorAll('#curves-figure .legendtext')].map(a => a.textContent)")
    assert HOSTILE in names
    notes = chromium.evaluate(
        "[...document.querySelectorAll('#differences-figure .annotation')].map(a => a.textContent)"
    )
    assert any(note.startswith(HOSTILE) for note in notes)
    place = list(tables.summary["variant"]).index("lr_0.1") - 1
    point = f"document.querySelectorAll('#differences-figure .scatterlayer .trace')[{place}].querySelector('.point')"
    chromium.evaluate("document.getElementById('differences').scrollIntoView()")
    chromium.evaluate("Plotly.relayout('differences-figure', {'xaxis.range': [-100, 100]})")
    box = chromium.evaluate(f"(({{x, y}}) => [x, y])({point}.getBoundingClientRect())")
    for step in (0, 5):
        chromium.send("Input.dispatchMouseEvent", type="mouseMoved", x=box[0] + step, y=box[1] + step)
    shown = chromium.wait_for("document.querySelector('#differences-figure .hoverlayer').textContent")
    assert shown.startswith(HOSTILE + " against ")


@in_a_browser
def test_printed_it_shows_every_run_and_every_column(chromium: browser.Browser, tmp_path: Path) -> None:
    """On screen the window's width and the tables' height cut them off."""
    write(DEMO.parent / "decide", tmp_path / "decide.html")
    chromium.open(tmp_path / "decide.html")
    chromium.wait_for(f"{lines('curves-figure')} > 1")
    cut = "[...document.querySelectorAll('.wide')].filter(e => e.scrollWidth > e.clientWidth || e.scrollHeight > e.clientHeight + 1).length"
    assert chromium.evaluate(cut) > 0
    chromium.send("Emulation.setEmulatedMedia", media="print")
    chromium.send("Emulation.setDeviceMetricsOverride", width=1032, height=700, deviceScaleFactor=1, mobile=False)
    chromium.evaluate("dispatchEvent(new Event('beforeprint'))")
    visible = "[...document.querySelectorAll('#runs tbody tr')].filter(r => r.offsetHeight > 0).length"
    assert chromium.evaluate(visible) == len(read(DEMO.parent / "decide")[1].runs) == 124
    assert chromium.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert chromium.evaluate(cut) == 0
    chromium.evaluate("dispatchEvent(new Event('afterprint'))")
    chromium.send("Emulation.setEmulatedMedia", media="")
    chromium.send("Emulation.clearDeviceMetricsOverride")
