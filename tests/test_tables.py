"""From records to tables: what they hold, in which order, and what happens to a record that is not whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.text import Text
from synthetic import SMALL, SWEEP, run_program, study_of, tabulated, write_results

from temporal_shortcuts.analysis import columns, records, tables
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.report import texts
from temporal_shortcuts.report.figures import drawing
from temporal_shortcuts.study import Study

DIVERGED = {"variants": {"lr_diverged": {"learning_rate": 1.0, "label": "learning rate 1"}}}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path, tables.Tables]:
    folder = tmp_path_factory.mktemp("results") / "small"
    study, read = tabulated(folder, SMALL, DIVERGED)
    return study, folder, read


def test_one_seed_is_enough_for_the_tables(tmp_path):
    _, read = tabulated(tmp_path, SMALL, {"seeds": [7]})
    assert set(read.summary["n"]) == {1}
    assert read.summary["last5_sd"].isna().all()
    assert read.varied["learning_rate"][["low", "high", "difference_low", "p"]].isna().all(axis=None)
    assert (read.claims["verdict"] == "undecided").all()


def test_the_test_set_says_how_many_images_and_what_chance_is(small, tmp_path):
    study, folder, read = small
    assert tables.test_set_of(study, folder) == tables.TestSet(400, 10, 0.1)
    assert set(read.summary["chance"]) == {0.1}
    study = study_of(SMALL)
    write_results(study, tmp_path)
    path = (tmp_path / study.runs[0].record).with_suffix(".json")
    unequal = {"classes": ["a", "b"], "test_classes": [360, 40], "shared_images": 3}
    path.write_text(json.dumps(json.loads(path.read_text()) | unequal))
    assert tables.test_set_of(study, tmp_path) == tables.TestSet(400, 2, 0.9, 3)


def test_a_diverged_run_counts_the_same_in_every_table_and_curve(tmp_path):
    """Nine of ten test images are of one class, which a network without numbers answers: neither curve nor table shows 90 %."""
    study = study_of(SMALL, DIVERGED)
    write_results(study, tmp_path)
    for run in study.runs:
        path = tmp_path / run.record
        beside = path.with_suffix(".json")
        beside.write_text(
            json.dumps(json.loads(beside.read_text()) | {"classes": ["a", "b"], "test_classes": [360, 40]})
        )
        if run.variant == "lr_diverged":
            record = pd.read_csv(path)
            record.loc[record["epoch"] > 2, "test_accuracy"] = 0.9
            record.to_csv(path, index=False, na_rep="nan")
            np.save(str(path).removesuffix(".csv") + ".correct.npy", np.packbits(np.arange(400) < 360))
    assert run_program("collect", "--study", tmp_path / "study.json", "--results", tmp_path) == 0
    assert run_program("analyse", "--study", tmp_path / "study.json") == 0
    read = tables.Tables.read(tmp_path, study)
    assert read.test_set == tables.TestSet(400, 2, 0.9)
    own = read.runs[read.runs["variant"] == "lr_diverged"]
    assert own["final"].tolist() == own["last5"].tolist() == [0.5] * 3
    assert own["best"].max() < 0.9
    assert own["stable_epoch"].isna().all()
    assert read.stability.set_index("variant").loc["lr_diverged", "n"] == 0
    assert read.stability.set_index("variant").loc["benchmark", "n"] == 3
    right = [records.correct_images(tmp_path / run.record).mean() for run in study.variant_runs("benchmark")]
    resampled = read.image_bootstrap.set_index("variant").loc["lr_diverged"]
    assert resampled["mean_difference"] == pytest.approx(100 * (0.5 - np.mean(right)), abs=1e-4)
    assert resampled["low"] < resampled["mean_difference"] < resampled["high"]
    curve = read.metrics[(read.metrics["variant"] == "lr_diverged") & (read.metrics["epoch"] > 2)]
    assert set(curve["test_accuracy"]) == {0.5}
    assert pd.read_csv(tmp_path / "metrics.csv")["test_accuracy"].max() == 0.9, "where the records' own numbers stay"
    rates = read.varied["learning_rate"].set_index(["variant", "measure"])
    for measure in ("swing", "gap", "train_accuracy"):
        assert rates.loc[("lr_diverged", measure), "n"].item() == 0
        assert np.isnan(rates.loc[("lr_diverged", measure), "mean"].item())
    drawing.draw(study, read, tmp_path / "figures")
    figure = drawing.DRAWINGS["final_accuracy.svg"](study, read)
    assert "chance: 90.00 %" in " ".join(" ".join(text.get_text() for text in figure.findobj(Text)).split())


def test_files_beside_a_record_are_named(tmp_path):
    study = study_of(SMALL)
    write_results(study, tmp_path)
    record = tmp_path / study.runs[2].record
    metrics, runs = tables.collect(study, tmp_path)
    bits, sidecar = record.with_suffix(".correct.npy"), record.with_suffix(".json")
    bits.write_bytes(bits.read_bytes()[:-20])
    with pytest.raises(UserError, match=bits.name):
        tables.tabulate(study, tmp_path, runs, metrics)
    for content in ("{", '{"fingerprint": "another"}'):
        sidecar.write_text(content)
        with pytest.raises(UserError, match=sidecar.name):
            tables.read_sidecar(tmp_path, study.runs[2])


def test_a_program_complains_in_one_sentence(tmp_path, capsys):
    study = study_of(SMALL)
    target = write_results(study, tmp_path)
    (tmp_path / study.runs[0].record).unlink()
    for program, more, missing in (
        ("collect", ["--results", tmp_path], study.runs[0].record),
        ("analyse", [], "runs.csv"),
    ):
        assert run_program(program, "--study", target, *more) == 2
        said = capsys.readouterr().err
        assert said.count("\n") == 1
        assert missing in said


def test_tables_read_back_as_written(tmp_path):
    table = pd.DataFrame({"p": [0.1 + 0.2, 1e-17, np.nan], "n": [1, 2, 3]})
    tables.write_table(table, tmp_path / "table.csv")
    pd.testing.assert_frame_equal(tables.read_table(tmp_path / "table.csv"), table)
    assert b"\r" not in (tmp_path / "table.csv").read_bytes()


WORDS = ["NA", "None", "null", "nan", "0.01", "007", "True", "-", "1e5", "2026-01-01"]


def test_text_stays_text_in_every_table_that_is_read_again(tmp_path):
    variants = {f"v{k}": {"label": word, "learning_rate": 0.2 + k / 100} for k, word in enumerate(WORDS)}
    claim = {"test": "better", "variant": "lr_0.1", "than": "benchmark"}
    claims = [claim | {"id": f"c{k}" if k else "null", "text": word, "published": word} for k, word in enumerate(WORDS)]
    _, read = tabulated(tmp_path, SMALL, {"variants": variants, "claims": claims})
    assert list(read.summary.set_index("variant").loc[list(variants), "label"]) == WORDS
    assert list(read.claims["id"]) == [one["id"] for one in claims]
    assert list(read.claims["text"]) == list(read.claims["published"]) == WORDS


NAMED = {"kind": "one_bit", "onset": 6}


@pytest.mark.parametrize("name", ["007", "1e5", "2026-01-01"])
def test_a_variants_name_is_a_name_in_every_table_and_figure(tmp_path, name):
    """As a reference too, of null arms and of late shortcuts, whose tables have a column of references."""
    variants = dict.fromkeys(study_of(SMALL).variants)
    late = {"kind": "batch_res", "strength": 0.05, "onset": 6}
    variants |= {name: {"label": name}, "00": {"shortcut": NAMED}, "01": {"shortcut": NAMED | {"kind": "fresh_order"}}}
    variants |= {"02": {"shortcut": NAMED | {"kind": "fresh_order", "stream": 2}}, "late": {"shortcut": late}}
    del variants["benchmark"]
    overlay = {"variants": variants, "benchmark": name, "claims": []}
    study, read = tabulated(tmp_path, SMALL, overlay | {"variants": variants | {"benchmark": None}})
    for file in (path for path in tmp_path.glob("*.csv")):
        table = tables.read_table(file)
        for column in {"variant", "against", "reference"} & set(table):
            assert set(table[column]) <= {*study.variants, ""}, (file.name, column)
    assert set(read.variance["reference"]) == set(read.decision_cost["reference"]) == {name}
    assert f"| {name} |" in texts.page(study, read, tmp_path)
    drawing.draw(study, read, tmp_path / "figures")


def test_every_column_of_every_table_is_declared_and_no_other_is_read(tmp_path):
    tabulated(tmp_path / "small", SMALL)
    tabulated(tmp_path / "sweep", SWEEP)
    for file in tmp_path.rglob("*.csv"):
        if "records" not in file.parts:
            tables.read_table(file)
    (tmp_path / "runs.csv").write_text("variant,seed,colour\nv,0,blue\n")
    with pytest.raises(UserError, match=r"runs.csv has a column 'colour' that no table"):
        tables.read_table(tmp_path / "runs.csv")
    (tmp_path / "runs.csv").write_text("variant,seed,last5\nv,0,high\n")
    with pytest.raises(UserError, match=r"holds something that is not a number in its column 'last5'"):
        tables.read_table(tmp_path / "runs.csv")
    assert not columns.TEXT & columns.NUMBERS


def test_empty_numbers_are_missing_and_names_are_not(tmp_path):
    (tmp_path / "claims.csv").write_text("id,published,than,low,needed_n\nNA,,,,7\n")
    (row,) = tables.read_table(tmp_path / "claims.csv").to_dict("records")
    assert (row["id"], row["published"], row["than"], row["needed_n"]) == ("NA", "", "", 7)
    assert np.isnan(row["low"])
    (tmp_path / "runs.csv").write_text("variant,seed,last5\nNone,0,0.5\n1,0,\n")
    runs = tables.read_table(tmp_path / "runs.csv")
    assert list(runs["variant"]) == ["None", "1"]
    assert runs["last5"].isna().tolist() == [False, True]
