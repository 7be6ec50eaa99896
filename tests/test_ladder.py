"""The study of studies: its table is what its studies say, its trend a known answer, and what has not run is not there."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import programs
import pytest
import yaml
from scipy import stats
from synthetic import ROOT, SMALL, run_program, tabulated

from temporal_shortcuts import api
from temporal_shortcuts.analysis import ladder as ladders
from temporal_shortcuts.networks.parts.cost import training_flop
from temporal_shortcuts.report.figures.ladder import _beside
from temporal_shortcuts.study.ladder import FILES, read_ladder

OVERLAYS: dict[str, dict[str, Any]] = {
    f"width{width}": SMALL
    | {"study": f"width{width}", "endpoint": "averaged", "seeds": seeds, "claims": []}
    | {"protocol": {"epochs": epochs, "width": width, "average_from": epochs - 1}}
    for width, seeds, epochs in ((2, [0, 1, 2, 3, 4], 8), (4, [0, 1, 2, 3], 8), (8, [0, 1, 2], 9))
}
LADDER = {
    "title": "Does it hold?",
    "endpoint": "averaged",
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


def test_each_effect_is_its_studys_own(whole: Path) -> None:
    results = whole.parents[1] / "results"
    table = pd.read_csv(results / "ladder" / "ladder.csv").set_index(["study", "variant"])
    assert len(table) == 9
    for name in OVERLAYS:
        own = pd.read_csv(results / name / "comparisons.csv").set_index(["endpoint", "variant"]).loc["averaged"]
        for variant in ("batch_res_late", "epoch_res_late", "null_arm"):
            row, theirs = table.loc[(name, variant)], own.loc[variant]
            assert (row["n"], row["difference"], row["low"], row["high"]) == tuple(
                theirs[["n", "mean_difference", "t_low", "t_high"]]
            )
        summary = pd.read_csv(results / name / "summary.csv").set_index("variant").loc["benchmark"]
        assert set(table.loc[name]["accuracy"]) == {summary["averaged_mean"]}
        assert set(table.loc[name]["width"]) == {OVERLAYS[name]["protocol"]["width"]}


def test_a_step_is_welchs_test_of_rungs_that_differ_in_one_thing(whole: Path) -> None:
    folder = whole.parents[1] / "results" / "ladder"
    table, made = pd.read_csv(folder / "ladder.csv").set_index(["study", "kind"]), pd.read_csv(folder / "steps.csv")
    assert set(zip(made["setting"], made["smaller"], made["larger"], strict=True)) == {("width", "width2", "width4")}
    assert list(made["kind"]) == ["batch_res", "epoch_res", "null_arm"]
    for row in made.itertuples():
        sides = [
            table.loc[(name, row.kind), ["difference", "sd_difference", "n"]] for name in (row.larger, row.smaller)
        ]
        tested = stats.ttest_ind_from_stats(*sides[0], *sides[1], equal_var=False)
        assert row.p == pytest.approx(tested.pvalue, rel=1e-4)
        assert row.change == pytest.approx(sides[0]["difference"] - sides[1]["difference"], abs=1e-4)
        assert row.low < row.change < row.high
        assert (row.low < 0 < row.high) == (row.p > 0.05)
    smallest, largest = sorted(made["p"][:2])
    assert sorted(made["p_holm"][:2]) == pytest.approx([min(2 * smallest, 1), max(2 * smallest, largest)], rel=1e-4)
    assert made["p_holm"][2:].isna().all(), "a null arm is in no family"
    assert "| width, 2 to 4 | width2, width4 |" in (folder / "README.md").read_text()


def test_a_rung_says_how_many_pairs_it_has_where_these_are_fewer_than_its_seeds(tmp_path: Path) -> None:
    file = place(tmp_path / "fewer")
    comparisons = tmp_path / "fewer" / "results" / "width4" / "comparisons.csv"
    table = pd.read_csv(comparisons)
    table.loc[table["variant"] == "null_arm", "n"] = 3
    table.to_csv(comparisons, index=False)
    assert collect(file) == 0
    effects = made(file)["README.md"].decode().partition("## The effects")[2]
    rows = [line for line in effects.splitlines() if line.startswith("| [width")]
    assert ["n = " in row for row in rows] == [False, True, False]
    assert rows[1].endswith(", n = 3 |")


def test_a_step_of_two_pairs_is_not_tested(tmp_path: Path) -> None:
    few = tmp_path / "few"
    file = place(few, finished=0)
    for name, seeds in (("width2", [0, 1, 2]), ("width4", [0, 1])):
        overlay = OVERLAYS[name] | {"seeds": seeds}
        (few / "studies" / f"{name}.yaml").write_text(yaml.safe_dump({"extends": "../config.yaml"} | overlay))
        tabulated(few / "results" / name, overlay)
    assert collect(file) == 0
    assert pd.read_csv(few / "results" / "ladder" / "steps.csv")[["change", "p", "p_holm"]].isna().all(axis=None)
    text = made(file)["README.md"].decode()
    assert "| width, 2 to 4 | width2, width4 | – | – | – |" in text
    assert "nan" not in text


def test_rungs_are_compared_where_one_thing_alone_is_another(tmp_path: Path) -> None:
    def rungs(file: Path) -> list[Any]:
        return read_ladder(file, lambda name: api.declared_as(name, ROOT)).rungs

    declared = yaml.safe_load((ROOT / "studies" / "ladder.yaml").read_text())
    decide, width8, width16, full = rungs(ROOT / "studies" / "ladder.yaml")
    pairs = [(decide, width8), (width8, full), (width16, full), (decide, full), (width8, width16)]
    assert [one.alone(two, "batch_res") for one, two in pairs] == ["images", "width", "epochs", None, None]
    assert width8.alone(width16, "null_arm") is None
    assert width8.alone(full, "null_arm") is None, "one of them has none"
    declared["rungs"][0]["variants"] = ["batch_res_late", "epoch_res_late"]
    constant = tmp_path / "ladder.yaml"
    constant.write_text(yaml.safe_dump(declared))
    assert rungs(constant)[0].alone(width8, "batch_res") is None, "its learning rate is not annealed to 0"


def test_the_same_studies_give_the_same_bytes(whole: Path) -> None:
    before = made(whole)
    assert set(before) == set(FILES)
    assert collect(whole) == 0
    assert made(whole) == before


def test_the_cost_of_a_run_is_the_reports() -> None:
    assert training_flop("resnet18", 64, 10) * 50_000 * 50 == pytest.approx(8.3e15, rel=0.005)


def test_a_rung_that_has_not_run_is_in_progress_and_has_no_number(tmp_path: Path) -> None:
    file = place(tmp_path / "one", finished=1)
    assert collect(file) == 0
    files = made(file)
    assert set(pd.read_csv(tmp_path / "one" / "results" / "ladder" / "ladder.csv")["study"]) == {"width2"}
    assert pd.read_csv(tmp_path / "one" / "results" / "ladder" / "trend.csv")["p"].isna().all()
    text = files["README.md"].decode()
    assert "| width4 | 4 | 10,000 | 8 (2) | | | not finished |" in text
    assert "Rungs differ in width, epochs and epochs after the onset at once" in text
    assert "各级的宽度、轮数、捷径开始后的轮数同时不同" in files["README.zh.md"].decode()
    assert "Endpoint: averaged weights." in text, "since another epoch on each rung"
    assert "1 of 3 rungs is finished" in text
    assert "not tested, which needs 3 finished rungs" in text


def test_without_a_finished_rung_nothing_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = place(tmp_path / "none", finished=0)
    assert collect(file) == 2
    assert (
        "no rung is finished; run one with `snakemake --cores 2 --configfile studies/width2.yaml`"
        in capsys.readouterr().err
    )
    assert not (tmp_path / "none" / "results").exists()


def rows(
    slope: float, sizes: tuple[int, ...], spreads: tuple[float, ...], rng: np.random.Generator, kinds: int = 1
) -> pd.DataFrame:
    """Kinds at rungs of 70, 80 and 90 % with effects on a straight line, as `ladder.csv` has them."""
    found = []
    for accuracy, n, spread in zip((0.7, 0.8, 0.9), sizes, spreads, strict=False):
        pairs = rng.normal(slope * 10 * accuracy, spread, (kinds, n))
        reach = stats.t.isf(0.025, n - 1) * pairs.std(axis=1, ddof=1) / n**0.5
        for kind, (mean, half) in enumerate(zip(pairs.mean(axis=1), reach, strict=True)):
            found.append((f"kind{kind}", accuracy, n, mean, mean - half, mean + half))
    return pd.DataFrame(found, columns=["kind", "accuracy", "n", "difference", "low", "high"])


def test_the_slope_is_that_of_the_line_through_all_pairs() -> None:
    rng = np.random.default_rng(0)
    table = rows(0.5, (10, 5, 3), (0.1, 0.1, 0.1), rng)
    fitted = np.polyfit(np.repeat([7, 8, 9], table["n"]), np.repeat(table["difference"], table["n"]), 1)
    assert ladders.trend(table)["slope"].item() == pytest.approx(fitted[0], rel=1e-5)


def test_the_trend_is_found_where_there_is_one_and_rarely_where_there_is_none() -> None:
    rng, sizes, spreads = np.random.default_rng(1), (10, 5, 3), (0.3, 0.15, 0.1)
    assert 0.03 < (ladders.trend(rows(0.0, sizes, spreads, rng, kinds=800))["p"] <= 0.05).mean() < 0.07
    assert (ladders.trend(rows(0.5, sizes, spreads, rng, kinds=100))["p"] <= 0.05).mean() > 0.9


@pytest.mark.parametrize(
    "table",
    [
        rows(0.5, (10, 5), (0.1, 0.1), np.random.default_rng(0)),
        rows(0.5, (10, 5, 2), (0.1,) * 3, np.random.default_rng(0)),
    ],
)
def test_two_rungs_and_two_pairs_are_too_few_for_a_trend(table: pd.DataFrame) -> None:
    assert ladders.trend(table)[["slope", "p"]].isna().all(axis=None)


def test_rungs_of_nearly_the_same_accuracy_have_their_marks_beside_each_other() -> None:
    kinds, found = ["batch_res", "epoch_res", "null_arm"], []
    for name, accuracy in (("c", 83.04), ("a", 72.0), ("b", 83.01), ("d", 86.0)):
        found += [(name, "benchmark", kind, accuracy) for kind in (kinds[:2] if name == "d" else kinds)]
    table = pd.DataFrame(found, columns=["study", "benchmark", "kind", "accuracy"]).sort_values("kind", kind="stable")
    at = _beside(table["accuracy"], table.groupby("study").ngroup(), table["kind"].map(kinds.index), 0.5)
    places = {(row.study, row.kind): at[row.Index] for row in table.itertuples()}
    assert np.diff(sorted(places.values())).min() >= 0.5 - 1e-9
    assert [places["a", kind] for kind in kinds] == pytest.approx([71.5, 72, 72.5])
    assert [places["d", kind] for kind in kinds[:2]] == pytest.approx([85.5, 86])
    close = [places[name, kind] for kind in kinds for name in ("b", "c")]
    assert close == sorted(close)
    assert np.mean(close) == pytest.approx(83.025)


def rung(**changes: Any) -> dict[str, Any]:
    return {"rungs": [LADDER["rungs"][0] | changes]}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (rung(study="nix"), "there is no study 'nix'"),
        (rung(variants=["batch_late"]), "rungs.0.variants.0: found 'batch_late' (did you mean 'batch_res_late'?)"),
        (rung(variants=["benchmark"]), "rungs.0.variants.0: found 'benchmark', but it is compared with no other"),
        (
            rung(variants=["batch_res_late", "batch_res_start"]),
            "their kinds are batch_res, batch_res; name one variant",
        ),
        (rung(images=9999), "the rung width2 has images: 9999, but the training accuracies"),
        ({"endpoint": "first"}, "endpoint: found 'first', but it must be one of averaged"),
        ({"rung": []}, "the key 'rung' is not known (did you mean 'rungs'?)"),
    ],
)
def test_a_wrong_ladder_ends_in_one_sentence(
    change: dict[str, Any], sentence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert collect(place(tmp_path / "wrong", finished=1, **change)) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_a_study_of_validation_images_is_no_rung(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = place(tmp_path / "wrong", finished=0)
    study = file.with_name("width2.yaml")
    config = yaml.safe_load(study.read_text())
    study.write_text(yaml.safe_dump(config | {"data": config["data"] | {"validation_per_class": 10}}))
    assert collect(file) == 2
    assert "rungs.0.study: found 'width2', whose accuracies are of validation images" in capsys.readouterr().err


def test_tables_of_another_study_than_is_declared_are_not_taken(
    whole: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(whole.parents[1], tmp_path / "edited")
    study = tmp_path / "edited" / "studies" / "width2.yaml"
    study.write_text(study.read_text().replace("title: A small invented study", "title: Another"))
    assert collect(tmp_path / "edited" / "studies" / "ladder.yaml") == 2
    assert "its tables are not those of studies/width2.yaml as it is now" in capsys.readouterr().err


def test_the_ladders_file_is_no_study(whole: Path) -> None:
    assert [study.name for _, study in api.declared(whole.parents[1])] == ["published", *sorted(OVERLAYS)]


def test_the_projects_own_ladder_names_variants_that_there_are() -> None:
    found = read_ladder(ROOT / "studies" / "ladder.yaml", lambda name: api.declared_as(name, ROOT))
    assert [rung.study.name for rung in found.rungs] == [
        "decide",
        "scale_width8",
        "scale_width16",
        "scale_width16_full",
    ]
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
    page = clone / "README.md"
    page.write_text("<!-- block ladder/headline -->\nan old number\n<!-- end -->\n")
    run = partial(programs.run, clone)
    done = run("-m", "snakemake", "--cores", "1", "--configfile", "studies/width2.yaml")
    assert done.returncode == 0, done.stderr[-2000:]
    assert set(made(file)) == set(FILES)
    assert made(file)["blocks/headline.md"].decode() in page.read_text(), "the page shows the ladder, not this study"
    other = clone / "studies" / "width8.yaml"
    other.write_text(other.read_text() + "# edited\n")
    planned = run("-m", "snakemake", "-n", "--cores", "1", "--configfile", "studies/width2.yaml").stdout
    assert "Collect the ladder" in planned, "it shows what a rung that is not finished declares"
    assert run("workflow/scripts/regenerate.py").returncode == 0
    check = run("workflow/scripts/regenerate.py", "--check")
    assert check.returncode == 0, check.stdout + check.stderr
    table = clone / "results" / "ladder" / "ladder.csv"
    table.write_text(table.read_text().replace("width2", "width3"))
    check = run("workflow/scripts/regenerate.py", "--check")
    assert check.returncode == 1
    assert "results/ladder/ladder.csv" in check.stdout
