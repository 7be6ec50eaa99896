"""The ladder: its table is what its studies say, its steps have known answers, and what has not run is not there."""

from __future__ import annotations

import math
import os
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import programs
import pytest
import yaml
from matplotlib.collections import PathCollection
from scipy import stats
from synthetic import ROOT, SMALL, merged, run_program, tabulated

from temporal_shortcuts.analysis import ladder as ladders
from temporal_shortcuts.catalogue import catalogue
from temporal_shortcuts.networks.parts.cost import training_flop
from temporal_shortcuts.report.figures.ladder import LINES, effect
from temporal_shortcuts.report.figures.style import style
from temporal_shortcuts.study.ladder import FILES, Step, read_ladder

OVERLAYS: dict[str, dict[str, Any]] = {
    f"width{width}": SMALL
    | {"study": f"width{width}", "endpoint": "averaged", "seeds": seeds, "claims": []}
    | {"variants": SMALL["variants"] | dict.fromkeys(("lr_0.001", "lr_0.1", "epoch_res_start"))}
    | {"protocol": {"epochs": epochs, "width": width, "average_from": epochs - 1}}
    for width, seeds, epochs in ((2, [0, 1, 2, 3, 4], 8), (4, [5, 6, 7, 8, 9, 10], 8), (8, [0, 1, 2], 9))
}
LADDER = {
    "title": "Does it hold?",
    "rungs": [
        {"study": name, "images": 10000, "variants": ["batch_res_late", "epoch_res_late", "null_arm"]}
        for name in OVERLAYS
    ],
}


def place(root: Path, finished: int = 3, **changes: Any) -> Path:
    """A folder with the studies' files, the ladder's and the results of so many rungs; the ladder's file."""
    (root / "studies").mkdir(parents=True)
    shutil.copy(ROOT / "config.yaml", root)
    for index, (name, overlay) in enumerate(OVERLAYS.items()):
        (root / "studies" / f"{name}.yaml").write_text(yaml.safe_dump({"extends": "../config.yaml"} | overlay))
        if index < finished:
            tabulated(root / "results" / name, overlay)
    file = root / "studies" / "ladder.yaml"
    file.write_text(yaml.safe_dump(LADDER | changes))
    return file


def edit(file: Path, study: str, **keys: Any) -> None:
    """Change keys of a study's file."""
    path = file.with_name(f"{study}.yaml")
    path.write_text(yaml.safe_dump(merged(yaml.safe_load(path.read_text()), keys)))


def collect(file: Path) -> int:
    return run_program("ladder", "--ladder", file, "--results", file.parents[1] / "results")


def made(file: Path) -> dict[str, bytes]:
    folder = file.parents[1] / "results" / "ladder"
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = place(tmp_path_factory.mktemp("ladder"))
    assert collect(file) == 0
    return file


def test_a_step_is_welchs_test_and_an_exact_one_of_rungs_that_differ_in_one_thing(whole: Path) -> None:
    results = whole.parents[1] / "results"
    made = pd.read_csv(results / "ladder" / "steps.csv", keep_default_na=False, na_values=dict.fromkeys(("p", "low")))
    assert set(zip(made["setting"], made["smaller"], made["larger"], strict=True)) == {("width", "width2", "width4")}
    assert list(made["endpoint"].unique()) == ["averaged", "re_estimated", "mismatch"]
    assert set(made["untested"]) == {""}
    for row in made[made["endpoint"] == "averaged"].astype({"change": float}).itertuples():
        one, other = (exact(results / name, row.kind) for name in ("width2", "width4"))
        tested = stats.ttest_ind(other, one, equal_var=False)
        interval = tested.confidence_interval(0.95)
        values = [float(getattr(row, name)) for name in ("change", "p", "low", "high", "df")]
        known = [other.mean() - one.mean(), tested.pvalue, interval.low, interval.high, tested.df]
        assert values == [float(f"{value:.6g}") for value in known], "rounded once, from what is exact"
        how = {"n_resamples": np.inf, "alternative": "greater"}
        permuted = stats.permutation_test((one, other), lambda a, b: round(abs(a.mean() - b.mean()), 9), **how)
        assert float(row.p_permutation) == pytest.approx(permuted.pvalue, rel=1e-5)


def exact(results: Path, kind: str) -> np.ndarray:
    """A rung's differences in points, from runs.csv."""
    name = {"batch_res": "batch_res_late", "epoch_res": "epoch_res_late", "null_arm": "null_arm"}[kind]
    values = 100 * pd.read_csv(results / "runs.csv").set_index(["variant", "seed"])["averaged"]
    return (values.loc[name] - values.loc["benchmark"]).to_numpy()


def test_of_five_pairs_and_three_the_exact_p_is_never_below_its_limit() -> None:
    apart = ladders.permutation_p(np.arange(5.0), np.arange(3.0) + 100)
    assert apart == pytest.approx(1 / 56), "so such a step is not tested"
    assert ladders.permutation_p(np.arange(5.0), np.arange(5.0) + 100) == pytest.approx(2 / 252)
    assert ladders.permutation_p(np.zeros(5), np.zeros(6)) == 1.0


@pytest.mark.parametrize(
    ("seeds", "why"),
    [
        ({"width2": [0, 1, 2, 3, 4], "width4": [5, 6, 7, 8]}, "fewer than 5 pairs on a rung"),
        ({"width2": [0, 1, 2, 3, 4], "width4": [4, 5, 6, 7, 8]}, "the rungs share 1 seeds"),
    ],
)
def test_a_step_of_few_pairs_or_of_shared_seeds_is_not_tested(
    seeds: dict[str, list[int]], why: str, tmp_path: Path
) -> None:
    file = place(tmp_path, finished=0)
    for name, own in seeds.items():
        edit(file, name, seeds=own)
        tabulated(tmp_path / "results" / name, OVERLAYS[name] | {"seeds": own})
    assert collect(file) == 0
    steps = pd.read_csv(tmp_path / "results" / "ladder" / "steps.csv")
    assert set(steps["untested"]) == {why}
    assert steps["change"].notna().all()
    assert steps[["low", "high", "p", "p_permutation"]].isna().all(axis=None)
    text = made(file)["README.md"].decode()
    assert f"| not tested | {why} |" in text
    assert "nan" not in text


def test_rungs_are_compared_where_one_thing_alone_is_another(tmp_path: Path) -> None:
    def rungs(file: Path) -> list[Any]:
        return read_ladder(file, catalogue(ROOT).declared_as).rungs

    declared = yaml.safe_load((ROOT / "studies" / "ladder.yaml").read_text())
    decide, wide, width8, width16, full, width32 = rungs(ROOT / "studies" / "ladder.yaml")
    pairs = [
        (decide, width8),
        (width8, full),
        (width16, full),
        (decide, full),
        (width8, width16),
        (full, width32),
        (decide, wide),
    ]
    steps = [one.step(two, "batch_res") for one, two in pairs]
    assert [step and step.setting for step in steps] == ["images", "width", "epochs", None, None, "width", "width"]
    assert [step.beside for step in steps if step][:2] == ["", "instruction_set avx2 to avx512"]
    beside = "average_from 14 to 42, instruction_set avx2 to avx512, onset 13 to 41, schedule_epochs 16 to 50"
    assert steps[2] is not None
    assert steps[2].beside == beside
    assert width8.step(width32, "epoch_res") == Step("width", "")
    assert width8.step(width16, "null_arm") is None
    assert width8.step(full, "null_arm") is None, "one of them has none"
    declared["rungs"][0]["variants"] = ["batch_res_late", "epoch_res_late"]
    constant = tmp_path / "ladder.yaml"
    constant.write_text(yaml.safe_dump(declared))
    assert rungs(constant)[0].step(width8, "batch_res") is None, "its learning rate is not annealed to 0"


def test_the_cost_of_a_run_is_the_reports() -> None:
    assert training_flop("resnet18", 64, 10) * 50_000 * 50 == pytest.approx(8.3e15, rel=0.005)


def test_a_rung_that_has_not_run_is_in_progress_and_has_no_number(tmp_path: Path) -> None:
    file = place(tmp_path / "one", finished=1)
    assert collect(file) == 0
    files = made(file)
    assert set(pd.read_csv(tmp_path / "one" / "results" / "ladder" / "ladder.csv")["study"]) == {"width2"}
    text = files["README.md"].decode()
    assert "| width4 | 4 | 10,000 | 8 | avx2 |  | not finished |" in text
    assert "From rung to rung" not in text


def test_without_a_finished_rung_nothing_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = place(tmp_path / "none", finished=0)
    assert collect(file) == 2
    first = os.path.relpath(tmp_path / "none" / "studies" / "width2.yaml")
    assert f"no rung is finished; run one with `snakemake --cores 2 --configfile {first}`" in capsys.readouterr().err
    assert not (tmp_path / "none" / "results").exists()


def test_the_figure_shows_what_is_not_finished_and_both_readings(whole: Path) -> None:
    table = pd.read_csv(whole.parents[1] / "results" / "ladder" / "ladder.csv")
    with style():
        figure = effect(table[table["study"] == "width2"], [], ["width4", "width8"])
    note = " ".join(figure.get_supxlabel().split())
    assert "not finished: width4, width8" in note
    panel = figure.axes[0]
    assert panel.get_title(loc="left") == "batch_res"
    drawn = [one for one in panel.collections if isinstance(one, PathCollection)]
    marks = sorted(float(place) for one in drawn for _, place in one.get_offsets())
    own = table[(table["study"] == "width2") & (table["kind"] == "batch_res") & (table["endpoint"] != "mismatch")]
    assert marks == pytest.approx(sorted(own["mean_difference"]))


def test_the_marks_of_a_width_stand_around_it_whatever_else_runs_at_another() -> None:
    scales = [(8, 10_000), (8, 50_000), (16, 50_000), (32, 10_000)]
    rows = [
        {"kind": "batch_res", "width": width, "images": images, "epochs": 50, "endpoint": endpoint}
        | {"mean_difference": 0.0, "t_low": -1.0, "t_high": 1.0}
        for width, images in scales
        for endpoint in LINES
    ]
    with style():
        panel = effect(pd.DataFrame(rows), []).axes[0]
    places = [float(x) for one in panel.collections if isinstance(one, PathCollection) for x, _ in one.get_offsets()]
    around = {width: [x for x in places if abs(x - math.log2(width)) < 0.5] for width in (8, 16, 32)}
    assert {width: len(found) for width, found in around.items()} == {8: 4, 16: 2, 32: 2}
    for width, found in around.items():
        assert sum(found) / len(found) == pytest.approx(math.log2(width))
        assert len({round(x, 6) for x in found}) == len(found)


@pytest.mark.parametrize(
    ("rung", "study", "sentence"),
    [
        ({"study": "nix"}, {}, "there is no study 'nix'"),
        ({"variants": ["batch_late"]}, {}, "rungs.0.variants.0: found 'batch_late' (did you mean 'batch_res_late'?)"),
        ({"variants": ["benchmark"]}, {}, "rungs.0.variants.0: found 'benchmark', but it is compared with no other"),
        ({"variants": ["batch_res_late", "batch_res_start"]}, {}, "their kinds are batch_res, batch_res; name one"),
        ({"images": 9999}, {}, "the rung width2 has images: 9999, but the training accuracies"),
        ({"image": 9}, {}, "'image' is not known (did you mean 'images'?)"),
        (
            {},
            {"protocol": {"average_from": None}, "endpoint": "last5"},
            "rungs.0.study: found 'width2', which averages no weights",
        ),
        (
            {},
            {"data": {"validation_per_class": 10}},
            "rungs.0.study: found 'width2', whose accuracies are of validation images",
        ),
    ],
)
def test_a_wrong_ladder_ends_in_one_sentence(
    rung: dict[str, Any], study: dict[str, Any], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = place(tmp_path / "wrong", finished=not study, rungs=[LADDER["rungs"][0] | rung])
    edit(file, "width2", **study)
    assert collect(file) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_tables_of_another_study_than_is_declared_are_not_taken(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(whole.parents[1], tmp_path / "edited")
    study = tmp_path / "edited" / "studies" / "width2.yaml"
    study.write_text(study.read_text().replace("title: A small invented study", "title: Another"))
    assert collect(tmp_path / "edited" / "studies" / "ladder.yaml") == 2
    assert "studies/width2.yaml as it is now" in capsys.readouterr().err


def test_the_ladders_file_is_no_study(whole: Path) -> None:
    assert list(catalogue(whole.parents[1]).studies) == ["published", *sorted(OVERLAYS)]


def test_the_projects_own_ladder_names_variants_that_there_are() -> None:
    found = read_ladder(ROOT / "studies" / "ladder.yaml", catalogue(ROOT).declared_as)
    for rung in found.rungs:
        settings = rung.reference.settings
        assert settings.schedule_epochs == settings.epochs, "annealed to 0"
        assert rung.images == 10 * (rung.study.data.images_per_class or 5000)
        onsets = {variant.shortcut.onset for variant in rung.variants if variant.shortcut}
        assert onsets == {round(settings.epochs * 41 / 50)}, "as late as the published ones"


@pytest.mark.slow
def test_snakemake_collects_it_and_a_changed_digit_is_found(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    file = place(clone, finished=2)
    programs.copy_parts(clone, ("Snakefile", "workflow", "profiles", "envs", "src"))
    run = partial(programs.run, clone)
    snakemake = ("-m", "snakemake", "--cores", "1")
    done = run(*snakemake, "tables")
    assert done.returncode == 0, done.stderr[-2000:]
    assert set(made(file)) == set(FILES)
    done = run(*snakemake, "-n", "ladder")
    assert "Nothing to be done" in done.stdout + done.stderr
    other = clone / "studies" / "width8.yaml"
    other.write_text(other.read_text() + "# edited\n")
    text = (file.parents[1] / "results" / "ladder" / "README.md").read_text()
    planned = run(*snakemake, "-n", "ladder").stdout
    assert "Collect the ladder" in planned, "it shows what a rung that is not finished declares"
    assert run(*snakemake, "tables").returncode == 0
    table = clone / "results" / "ladder" / "ladder.csv"
    before = table.read_text()
    table.write_text(before.replace("width2", "width3"))
    for path in clone.rglob("*"):
        os.utime(path, (1_700_000_000, 1_700_000_000))  # as in a ZIP
    shutil.rmtree(clone / ".snakemake")
    assert run(*snakemake, "tables").returncode == 0
    assert table.read_text() == before
    assert (clone / "results" / "ladder" / "README.md").read_text() != text
