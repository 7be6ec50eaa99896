"""Figures: which a study has, that they come out the same byte for byte, and that they show what the tables say."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib import colors
from matplotlib.figure import Figure
from matplotlib.text import Text
from scipy import stats
from synthetic import CARRY, ROOT, SMALL, SWEEP, run_program, study_of, tabulated

from temporal_shortcuts.analysis.outcomes import TestSet
from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.report import numbers, texts, wording
from temporal_shortcuts.report.figures import curves, drawing, heatmap, style
from temporal_shortcuts.report.figures.rows import final_accuracy, forest, pair_differences
from temporal_shortcuts.study import Study, load_resolved, published
from temporal_shortcuts.study.outputs import (
    carry_variants,
    figures_of,
    late_variants,
    sweep_cells,
    sweep_kinds,
    varied_file,
)
from temporal_shortcuts.study.varied import KEYS

ALWAYS = {"forest.svg", "final_accuracy.svg", "learning_curves.svg"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def small(folder: Path) -> tuple[Study, Tables]:
    return tabulated(folder / "small", SMALL)


@pytest.fixture(scope="module")
def carry(folder: Path) -> tuple[Study, Tables]:
    return tabulated(folder / "carry", CARRY)


@pytest.fixture(scope="module")
def sweep(folder: Path) -> tuple[Study, Tables]:
    return tabulated(folder / "sweep", SWEEP)


# -- which figures there are -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overlays", "more"),
    [
        ((), {"learning_rates.svg", "late_differences.svg"}),
        (("demo.yaml",), {"learning_rates.svg"}),
        (("slips.yaml",), {"carry.svg"}),
        (("sweep.yaml",), {"sweep.svg"}),
        (("explore.yaml",), {"sweep.svg", "late_differences.svg", "strengths.svg"}),
        (("batch_size.yaml",), {"batch_sizes.svg"}),
    ],
)
def test_a_study_has_the_figures_that_apply(overlays, more):
    assert set(figures_of(study_of(*overlays))) == ALWAYS | more


def test_every_figure_can_be_drawn_and_no_other():
    named = {name for study in (SMALL, CARRY, SWEEP) for name in figures_of(study_of(study))}
    assert named | {varied_file(key, ".svg") for key in KEYS} == set(drawing.DRAWINGS)


def test_the_list_needs_nothing_heavy():
    code = "import sys; import temporal_shortcuts.study.outputs; print(*sys.modules)"
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True
    ).stdout.split()
    assert "temporal_shortcuts.study.outputs" in loaded
    assert not {"matplotlib", "seaborn", "pandas", "numpy", "torch"} & set(loaded)


def test_a_sweep_leaves_out_what_is_not_comparable():
    study = study_of(SWEEP)
    assert sweep_kinds(study) == ["batch_res", "epoch_res"]
    assert sweep_cells(study, "batch_res") == {
        (onset, strength): f"batch_res-{strength:g}-{onset}" for strength in (0.05, 0.2) for onset in (0, 4)
    }
    other = study_of(
        SWEEP, {"variants": {"odd": {"momentum": 0.5, "shortcut": {"kind": "batch_res", "strength": 0.9, "onset": 2}}}}
    )
    assert sweep_cells(other, "batch_res") == sweep_cells(study, "batch_res")


# -- the same bytes ----------------------------------------------------------------------------------------------------


def test_figures_are_the_same_bytes_in_another_process_and_with_other_defaults(small, carry, sweep, folder, tmp_path):
    (tmp_path / "matplotlibrc").write_text(
        "font.size: 20\nsvg.fonttype: none\naxes.grid: False\npath.simplify: False\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "PYTHONHASHSEED": "7", "TZ": "Asia/Shanghai"}
    environment |= {"MATPLOTLIBRC": str(tmp_path / "matplotlibrc"), "SOURCE_DATE_EPOCH": "1"}
    code = (
        "import json, sys; from pathlib import Path; from temporal_shortcuts.study import load_resolved\n"
        "from temporal_shortcuts.report.figures import drawing\n"
        "from temporal_shortcuts.analysis.tables import Tables\n"
        "for source in json.loads(sys.argv[1]):\n"
        "    study, target = load_resolved(Path(source, 'study.json')), Path(sys.argv[2], Path(source).name)\n"
        "    drawing.draw(study, Tables.read(Path(source), study), target)\n"
    )
    drawn = [str(folder / name) for name in ("small", "carry", "sweep")]
    other = subprocess.Popen([sys.executable, "-c", code, json.dumps(drawn), str(tmp_path)], env=environment)
    for source in drawn:
        assert run_program("draw", "--study", Path(source) / "study.json") == 0
    assert other.wait() == 0
    for study, _ in (small, carry, sweep):
        made = sorted((folder / study.name / "figures").iterdir())
        assert made
        for path in made:
            assert (tmp_path / study.name / path.name).read_bytes() == path.read_bytes(), f"{study.name}/{path.name}"
            _check_svg(path.read_text())


def _check_svg(text: str) -> None:
    tree = ElementTree.fromstring(text)
    space = "{http://www.w3.org/2000/svg}"
    assert not list(tree.iter(f"{space}text")), "letters must be paths"
    assert "<dc:date>" not in text
    assert "<dc:creator>" not in text
    assert tree.find(f"{space}title").text
    assert 780 < float(tree.get("width").removesuffix("pt")) * 96 / 72 < 820
    assert not re.search(r' (d|x|y|width|height)="[^"]*\.\d{3}', text)
    names = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(names) == len(set(names))
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', text))
    assert used <= set(names)
    assert not [one for one in names if re.search(r"[0-9a-f]{10}$", one)]
    assert "<!-- Scale: " in text


def test_steady_rounds_coordinates_and_numbers_identifiers():
    svg = '<g id="p0123456789"/><path id="C0_1_aaaaabbbbb" d="M 1.23456 -0.001L 2 3"/><use x="1.9999" href="#C0_1_aaaaabbbbb" id="axes_1"/>'
    assert style.steady(svg) == '<g id="i0"/><path id="i1" d="M 1.23 0L 2 3"/><use x="2" href="#i1" id="axes_1"/>'


# -- what they show ----------------------------------------------------------------------------------------------------


def test_the_forest_has_a_row_for_each_comparison_and_marks_the_published(small):
    study, tables = small
    rows = tables.comparisons[tables.comparisons["endpoint"] == "last5"].reset_index(drop=True)
    axes, numbers = forest(study, tables).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        study.variants[name].label for name in rows["variant"]
    ]
    low, high = axes.get_xlim()
    assert low < 0 < high
    drawn = {
        tuple(np.round(point, 6)) for collection in axes.collections for point in collection.get_offsets().tolist()
    }
    for index, row in rows.iterrows():
        inside = low <= row["mean_difference"] <= high
        assert ((round(row["mean_difference"], 6), index) in drawn) == inside
        for pair in pair_differences(tables.runs, row["variant"], row["against"], "last5"):
            place = round(float(np.clip(pair, low, high)), 6), round(index + 0.27, 6)
            assert (place in drawn) == inside, "each pair is in sight, at the edge if it lies beyond"
        reported = published.difference(study, row["variant"], row["against"])
        if low <= reported <= high:
            assert (round(reported, 6), round(index - 0.3, 6)) in drawn
    assert not low <= -81.98, "one published value is far off and must not flatten the rest"
    assert "\N{WHITE DIAMOND} \N{MINUS SIGN}81.98" in {text.get_text() for text in axes.texts}
    texts = {text.get_text() for text in numbers.texts}
    assert any("[" in text and "]" in text for text in texts)
    assert "3" in texts


def test_pairs_are_of_equal_seeds(small):
    runs = small[1].runs
    runs = runs[~((runs["variant"] == "benchmark") & (runs["seed"] == 1))]
    found = pair_differences(runs, "lr_0.1", "benchmark", "last5")
    values = runs.set_index(["variant", "seed"])["last5"]
    assert found.to_dict() == pytest.approx({s: 100 * (values["lr_0.1", s] - values["benchmark", s]) for s in (0, 2)})


def test_an_interval_is_of_one_image_at_least_and_of_one_seed_the_value_itself():
    values, half = pd.Series([70.0] * 3), stats.t.isf(0.025, 2) * (100 / 10_000) / 3**0.5
    assert style.interval(values, TestSet(10_000, 10, 0.1)) == pytest.approx((70 - half, 70, 70 + half))
    assert style.interval(values[:1], TestSet(10_000, 10, 0.1)) == (70, 70, 70)


def test_span_leaves_out_one_far_value_only():
    low, high = style.span([(-0.5, 0.3), (-0.2, 0.9), (-60, -59), (0.1, 0.4)])
    assert -0.8 < low < -0.5
    assert 0.9 < high < 1.2
    low, high = style.span([(1.0, 1.0)])
    assert low < 1 < high
    low, high = style.span([(-13.2, -7.8), (-8.8, -6.1), (-3.4, -2.3), (-0.3, 1.2)], reach=2.0)
    assert low < -13.2, "a value that makes the axis little longer stays on it"


def test_an_interval_of_two_seeds_does_not_stretch_the_axis():
    assert style.extent([1.0, 2.0], -9, 12) == (1, 2)
    assert style.extent([1.0, 2.0, 3.0], -9, 12) == (-9, 12)
    assert style.extent([1.0, 2.0, 30.0], -9, 12) == (-9, 30)


@pytest.mark.parametrize("name", ["decide", "explore", "recipes", "slips", "confirm"])
def test_a_note_names_what_is_drawn_and_nothing_else(name):
    study = load_resolved(ROOT / "results" / name / "study.json")
    tables = Tables.read(ROOT / "results" / name, study)
    figure, rows = forest(study, tables), tables.comparisons[tables.comparisons["endpoint"] == study.endpoint]
    low, high = figure.axes[0].get_xlim()
    reported = [published.difference(study, row.variant, row.against) for row in rows.itertuples()]
    assert ("open diamond" in figure.get_supxlabel()) == bool(np.isfinite(reported).any())
    pairs = [
        pair_differences(tables.runs, row.variant, row.against, study.endpoint).to_numpy() for row in rows.itertuples()
    ]
    drawn = np.concatenate([reported, *pairs, *(rows[key] for key in ("t_low", "mean_difference", "t_high"))])
    beyond = bool(((drawn < low) | (drawn > high)).any())
    assert ("off the axis" in figure.get_supxlabel()) == beyond
    onsets = [variant.onset for variant in study.variants.values() if variant.onset]
    assert ("onset" in curves.learning_curves(study, tables).get_supxlabel()) == bool(onsets)


def test_each_panel_of_the_curves_repeats_its_reference(small):
    study, tables = small
    panels = curves.curve_panels(study)
    assert sorted(name for names in panels for name in names) == sorted(set(study.variants) - {"benchmark"})
    assert ["batch_res_start", "batch_res_late"] in panels
    drawn = curves.learning_curves(study, tables).axes
    for axes, names in zip(drawn, panels, strict=False):
        lines = [line for line in axes.lines if len(line.get_xdata()) > 2]
        starts = [6 if name.endswith(("_late", "_arm")) else 1 for name in names]
        assert [list(line.get_xdata()) for line in lines] == [list(range(start, 9)) for start in (1, *starts)], (
            "a curve begins where it parts from its reference"
        )
        assert colors.to_hex(lines[0].get_color()) == "#000000"
        mean = tables.metrics[tables.metrics["variant"] == "benchmark"].groupby("epoch")["test_accuracy"].mean()
        np.testing.assert_allclose(lines[0].get_ydata(), 100 * mean)
        assert len(axes.collections) == 1 + len(names), "a band for each curve"
        onsets = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 2]
        assert onsets == ([6] if any(name.endswith(("_late", "_arm")) for name in names) else [])


def test_differences_after_a_late_onset_are_of_equal_seeds(small):
    study, tables = small
    names = late_variants(study)
    assert names == ["batch_res_late", "epoch_res_late", "null_arm"]
    accuracy = tables.metrics.set_index(["variant", "seed", "epoch"])["test_accuracy"]
    drawn = curves.late_differences(study, tables).axes
    for axes, name in zip(drawn, names, strict=True):
        zero, *pairs, mean = axes.lines
        assert set(zero.get_ydata()) == {0}
        by_seed = [
            [100 * (accuracy[name, seed, epoch] - accuracy["benchmark", seed, epoch]) for epoch in (6, 7, 8)]
            for seed in (0, 1, 2)
        ]
        assert all(list(line.get_xdata()) == [6, 7, 8] for line in (*pairs, mean))
        np.testing.assert_allclose([line.get_ydata() for line in pairs], by_seed, atol=1e-9)
        np.testing.assert_allclose(mean.get_ydata(), np.mean(by_seed, axis=0), atol=1e-9)
        low, high = stats.t.interval(0.95, 2, np.mean(by_seed, axis=0)[2], stats.sem([pair[2] for pair in by_seed]))
        (band,) = (path.vertices for path in axes.collections[0].get_paths())
        np.testing.assert_allclose(sorted(set(band[band[:, 0] == 8][:, 1])), [low, high])
        np.testing.assert_allclose([pair[0] for pair in by_seed], 0, err_msg="what is shared does not differ")


@pytest.mark.parametrize("when", ["each_epoch", "last_epoch"])
def test_differences_are_of_averaged_weights_where_these_decide_and_are_evaluated(tmp_path, when):
    protocol = {"average_from": 7, "extra_evaluations": when}
    study, tables = tabulated(tmp_path, SMALL, {"protocol": protocol, "endpoint": "averaged", "margin": 0.3})
    figure = curves.late_differences(study, tables)
    followed = "averaged_test_accuracy" if when == "each_epoch" else "test_accuracy"
    accuracy = tables.metrics.set_index(["variant", "seed", "epoch"])[followed]
    mean = figure.axes[0].lines[-1]
    assert list(mean.get_xdata()) == ([7, 8] if when == "each_epoch" else [6, 7, 8])
    expected = np.mean([accuracy["batch_res_late", seed, 8] - accuracy["benchmark", seed, 8] for seed in (0, 1, 2)])
    assert mean.get_ydata()[-1] == pytest.approx(100 * expected)
    assert ("of averaged weights" in figure.get_supylabel()) == (when == "each_epoch")
    assert ("averaged weights" in wording.caption(study, "late_differences.svg")) == (when == "each_epoch")


def test_no_difference_is_drawn_of_fewer_pairs_than_a_verdict_needs():
    assert late_variants(study_of(SMALL, {"seeds": [0, 1]})) == []
    assert late_variants(study_of(SMALL, {"variants": {"null_arm": {"seeds": [0, 7, 8]}}})) == [
        "batch_res_late",
        "epoch_res_late",
    ]


def test_the_carry_figure_shows_each_shortcut_that_is_evaluated_with_it(carry):
    study, tables = carry
    names = carry_variants(study)
    assert "epoch_res_published" in names
    assert "benchmark" not in names
    drawn = curves.carry(study, tables).axes
    assert [axes.get_title() for axes in drawn[: len(names)]] == [study.variants[n].label for n in names]
    assert all(len(axes.lines) == 4 for axes in drawn[: len(names)])


def cells_of(axes) -> dict[tuple[str, str], str]:
    """(kind and strength, onset) -> what is written there."""
    lines, onsets = (
        [label.get_text() for label in labels()] for labels in (axes.get_yticklabels, axes.get_xticklabels)
    )
    at = {text.get_position(): text.get_text() for text in axes.texts}
    return {(lines[int(y)], onsets[int(x)]): text for (x, y), text in at.items() if text}


def test_undecided_cells_of_a_sweep_are_hatched(sweep):
    study, tables = sweep
    rows = tables.comparisons[tables.comparisons["endpoint"] == "last5"].set_index("variant")
    assert rows.loc["epoch_res-0.2-0", "p_holm"] <= 0.05
    axes = heatmap.sweep(study, tables).axes[0]
    lines = ["batch_res 0.2", "batch_res 0.05", "epoch_res 0.2", "epoch_res 0.05"]
    hatched = {(lines[patch.get_y()], 4 * patch.get_x()) for patch in axes.patches if patch.get_hatch()}
    names = {
        (f"{kind} {strength:g}", onset): name
        for kind in sweep_kinds(study)
        for (onset, strength), name in sweep_cells(study, kind).items()
    }
    assert hatched == {cell for cell, name in names.items() if rows.loc[name, "p_holm"] > 0.05}
    shown = cells_of(axes)
    assert set(shown) == {(line, str(onset)) for line, onset in names}
    for (line, onset), name in names.items():
        assert shown[line, str(onset)].startswith(numbers.points(rows.loc[name, "mean_difference"]) + "\n±")


def test_a_sweep_leaves_blank_what_was_not_tried_and_has_a_row_for_what_learns_its_strength(tmp_path):
    more = {"mixed-0.5-2": {"shortcut": {"kind": "mixed", "strength": 0.5, "onset": 2}}}
    more["learnt"] = {"shortcut": {"kind": "learnt", "onset": 4}}
    study, tables = tabulated(tmp_path, SWEEP, {"variants": SWEEP["variants"] | more})
    figure = heatmap.sweep(study, tables)
    shown = cells_of(figure.axes[0])
    assert [onset for line, onset in shown if line == "mixed 0.5"] == ["2"]
    assert [onset for line, onset in shown if line == "learnt"] == ["4"]
    assert len(shown) == 10
    assert "blank: not tried" in figure.get_supxlabel()


def test_two_seeds_decide_nothing(sweep):
    study, tables = sweep
    two = replace(tables, comparisons=tables.comparisons.assign(n=2, p_holm=0.001))
    assert sum(bool(patch.get_hatch()) for patch in heatmap.sweep(study, two).axes[0].patches) == 8


# -- figures of unusual studies ------------------------------------------------------------------------------------------

NOTHING = dict.fromkeys(
    ("lr_0.001", "lr_0.1", "batch_res_start", "epoch_res_start", "batch_res_late", "epoch_res_late")
)
LONG = "DonaudampfschifffahrtsgesellschaftskapitänsmützenabzeichenverordnungsparagrafenM"
RATES = (0.001, 0.002, 0.003, 0.004, 0.005, 0.02, 0.04, 0.05, 0.1)
UNUSUAL: dict[str, dict[str, Any]] = {
    "one epoch": {
        "protocol": {"epochs": 1},
        "seeds": [0],
        "variants": dict.fromkeys(("batch_res_late", "epoch_res_late")),
    },
    "long words": {
        "variants": {
            "lr_0.001": {"label": LONG},
            "batch_res_start": {"label": "_M" * 40},
            "batch_res_late": {"label": "spot instance, $5 to $7 a run", "shortcut": {"onset": 6}},
            "epoch_res_late": {"label": "W" * 80, "shortcut": {"onset": 6}, "against": "lr_0.001"},
        }
    },
    "averaged weights": {
        "endpoint": "averaged",
        "margin": 0.3,
        "protocol": {"average_from": 7},
        "variants": {name: {"shortcut": {"onset": 6}} for name in ("batch_res_late", "epoch_res_late")},
    },
    "validation images": {
        "data": {"validation_per_class": 10},
        "variants": NOTHING | {"epoch_res_late": {"shortcut": {"onset": 6}}},
    },
    "nine rates": {
        "variants": NOTHING
        | {"benchmark": {"published": None}}
        | {
            f"rate{index}": {"label": f"learning rate {rate}", "learning_rate": rate}
            for index, rate in enumerate(RATES)
        }
    },
    "many onsets": SWEEP
    | {"protocol": {"epochs": 14}, "grid": {"kinds": ["noise"], "strengths": [0.05], "onsets": list(range(1, 13))}},
}


def drawn(tables: Tables, study: Study) -> dict[str, Figure]:
    """Every figure of the study, laid out as it is saved."""
    figures = {}
    with style.style():
        for name in figures_of(study):
            figures[name] = drawing.DRAWINGS[name](study, tables)
            figures[name].draw_without_rendering()
    return figures


def texts_of(figure: Figure) -> list[tuple[str, Any]]:
    """Each text that can be seen, with its box in pixels."""
    axes = [text for one in figure.axes if one.get_visible() for text in one.findobj(Text)]
    own = [text for text in figure.findobj(Text) if text not in axes and text.axes is None]
    ticks = {
        label
        for one in figure.axes
        for axis, (low, high) in ((one.xaxis, sorted(one.get_xlim())), (one.yaxis, sorted(one.get_ylim())))
        for tick, place in zip(axis.get_major_ticks(), axis.get_majorticklocs(), strict=False)
        if not low <= place <= high
        for label in (tick.label1, tick.label2)
    }
    seen = [text for text in {*axes, *own} - ticks if text.get_visible() and text.get_text().strip()]
    return [(text.get_text(), text.get_window_extent()) for text in seen]


def check_layout(figures: dict[str, Figure]) -> None:
    """No text leaves its figure, and none overprints another."""
    for file, figure in figures.items():
        texts = texts_of(figure)
        for text, box in texts:
            assert box.x0 > -1, (file, text)
            assert box.y0 > -1, (file, text)
            assert box.x1 < figure.bbox.x1 + 1, (file, text)
            assert box.y1 < figure.bbox.y1 + 1, (file, text)
        for (one, first), (other, second) in combinations(texts, 2):
            across = min(first.x1, second.x1) - max(first.x0, second.x0)
            down = min(first.y1, second.y1) - max(first.y0, second.y0)
            assert across < 1.5 or down < 1.5, (file, one, other)


@pytest.mark.parametrize("name", UNUSUAL)
def test_no_text_is_clipped_and_none_overprints_another(tmp_path, name):
    eight = {"protocol": {"epochs": 8, "width": 8}, "seeds": [0, 1, 2], "claims": []}
    study, tables = tabulated(tmp_path, eight, UNUSUAL[name])
    check_layout(drawn(tables, study))


@pytest.mark.parametrize("name", [*UNUSUAL, "sixty of a kind"])
def test_each_curve_of_a_panel_differs_from_every_other_and_is_named(tmp_path, name):
    one = {"batch_size": 64, "shortcut": {"kind": "batch_res", "strength": 0.05, "onset": 0}}
    sixty = {"variants": NOTHING | {f"v{index}": {"momentum": index / 100, **one} for index in range(60)}, "seeds": [0]}
    unusual = UNUSUAL.get(name, sixty)
    study, tables = tabulated(
        tmp_path, {"protocol": {"epochs": 8, "width": 8}, "seeds": [0, 1, 2], "claims": []}, unusual
    )
    with style.style():
        figure = curves.learning_curves(study, tables)
    for axes, names in zip(figure.axes, curves.curve_panels(study), strict=False):
        entries = axes.get_legend().get_lines()
        looks = [(line.get_color(), line.get_linestyle(), line.get_marker()) for line in entries]
        assert len(set(looks)) == len(looks) == 1 + len(names)
        labels = ["".join(text.get_text().split()) for text in axes.get_legend().get_texts()]
        assert labels[1:] == ["".join(study.variants[one].label.split()) for one in names]


def test_one_epoch_is_a_point(tmp_path):
    study, tables = tabulated(tmp_path, {"protocol": {"width": 8}, "claims": []}, UNUSUAL["one epoch"])
    for axes in drawn(tables, study)["learning_curves.svg"].axes:
        if axes.get_visible():
            assert all(line.get_marker() == "o" for line in axes.lines if len(line.get_xdata()) == 1)
            assert [tick for tick in axes.get_xticks() if 0.5 <= tick <= 1.5] == [1]


def test_axes_span_enough_that_nothing_looks_large_and_have_no_offset(tmp_path):
    late = {"label": "late", "shortcut": {"kind": "batch_res", "strength": 0.05, "onset": 2}}
    variants = NOTHING | {"batch_res_late": late}
    overlay = {"protocol": {"epochs": 3, "width": 8}, "seeds": [0], "claims": [], "variants": variants}
    study, tables = tabulated(tmp_path, overlay)
    runs = tables.runs.assign(**dict.fromkeys(("last5", "final", "best"), 0.07799442))
    rows = tables.comparisons.assign(**dict.fromkeys(("mean_difference", "t_low", "t_high"), 1e-09))
    equal = replace(tables, runs=runs, comparisons=rows, metrics=tables.metrics.assign(test_accuracy=0.07799442))
    figures = drawn(equal, study)
    check_layout(figures)
    for file, direction in (("forest.svg", "x"), ("final_accuracy.svg", "x"), ("learning_curves.svg", "y")):
        axes = figures[file].axes[0]
        low, high = getattr(axes, f"get_{direction}lim")()
        assert high - low >= 0.2 - 1e-9, file
        axis = getattr(axes, f"{direction}axis")
        assert not axis.get_offset_text().get_text(), file
        assert not any("e" in label.get_text() for label in axis.get_ticklabels()), file
        if direction == "x":
            points = [point for drawn_ in axes.collections for point in drawn_.get_offsets()[:, 0].tolist()]
            assert all(low + 0.02 < point < high - 0.02 for point in points), "no point is cut by the axis"


def test_published_accuracies_stand_beside_if_there_are_any(tmp_path, small):
    own = tabulated(
        tmp_path, {"protocol": {"epochs": 8, "width": 8}, "seeds": [0], "claims": []}, UNUSUAL["nine rates"]
    )
    for given, shown in ((own, False), (small, True)):
        texts = {text.get_text() for text in final_accuracy(*given).axes[1].texts}
        assert ("published" in texts, "91.98 %" in texts) == (shown, shown)


def test_a_margin_is_a_band_in_the_forest(small):
    study, tables = small
    assert not forest(study, tables).axes[0].patches
    (band,) = forest(replace(study, margin=0.3), tables).axes[0].patches
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((-0.3, 0.3))


def test_a_word_that_is_too_wide_is_broken():
    with style.style():
        for text in (LONG, "W" * 80, "a word " + LONG):
            lines = style.wrapped(text, 2.0, 9.5).splitlines()
            assert all(style.width(line, 9.5) <= 2.0 for line in lines)
            assert "".join(lines).replace(" ", "") == text.replace(" ", "")
        assert style.wrapped("two words", 5.0, 9.5) == "two words"


# -- colours -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overlay", ["laptop.yaml", "decide.yaml", "explore.yaml"])
def test_a_kind_has_one_colour_in_every_study_and_only_the_baseline_is_black(overlay: str) -> None:
    study, demo = study_of(overlay), study_of("demo.yaml")
    for kind in ("batch_res", "epoch_res"):
        names = [name for name, variant in study.variants.items() if variant.kind == kind]
        assert {style.colour_of(study, name) for name in names} == {style.colour_of(demo, f"{kind}_late")}
    assert {name for name in study.variants if style.colour_of(study, name) == "#000000"} == {study.benchmark}


def test_what_differs_in_more_than_its_learning_rate_is_not_drawn_as_another_learning_rate():
    study = load_resolved(ROOT / "results/recipes/study.json")
    assert study.variants["lr_0.01"].kind == "learning_rate"
    assert study.variants["adamw"].kind == "other"
    assert ["adamw"] in curves.curve_panels(study)


# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
PROTANOPIA = [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
DEUTERANOPIA = [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def _lab(colour: str, vision: np.ndarray) -> np.ndarray:
    rgb = np.array(colors.to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(vision @ linear, 0, 1) / (TO_XYZ @ np.ones(3))
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", [np.eye(3), PROTANOPIA, DEUTERANOPIA])
def test_colours_stay_apart_for_colour_blind_readers(vision):
    """Candidates share one."""
    for one, other in combinations(set(style.COLOURS.values()), 2):
        assert np.linalg.norm(_lab(one, np.array(vision)) - _lab(other, np.array(vision))) > 15, (one, other)


def test_a_study_of_one_variant_and_one_seed_has_figures(tmp_path):
    nothing = {name: None for name in study_of().variants if name != "benchmark"}
    study, tables = tabulated(tmp_path, {"variants": nothing, "claims": [], "seeds": [3], "protocol": {"epochs": 3}})
    assert figures_of(study) == ["final_accuracy.svg", "learning_curves.svg"]
    drawing.draw(study, tables, tmp_path / "figures")
    assert {path.name for path in (tmp_path / "figures").iterdir()} == set(figures_of(study))


@pytest.mark.parametrize("seeds", [[0, 1], [0], [0, 1, 2]])
def test_figure_text_and_table_count_the_same_significant_differences(tmp_path, seeds):
    """A variant of two seeds that is far behind is significant in none of them, one of three seeds in all."""
    overlay = {"seeds": [0, 1, 2, 3, 4], "variants": {"epoch_res_start": {"seeds": seeds}}, "claims": []}
    study, tables = tabulated(tmp_path, SMALL, overlay)
    rows = tables.comparisons[tables.comparisons["endpoint"] == study.endpoint]
    decided = list(rows.loc[(rows["p_holm"] <= 0.05), "variant"])
    assert ("epoch_res_start" in decided) == (len(seeds) >= 3)
    axes = forest(study, tables).axes[0]
    circles = [one.get_facecolor() for one in axes.collections if one.get_sizes()[:1] == 52]
    arrows = [one.arrow_patch.get_facecolor() for one in axes.texts if getattr(one, "arrow_patch", None)]
    filled = [one for one in (*circles, *arrows) if not np.allclose(one, 1)]
    assert len(filled) == len(decided)
    said = f"{len(decided)} of {len(rows) - rows['null_arm'].sum()} differences are significant"
    assert said in texts.page(study, tables, tmp_path)
