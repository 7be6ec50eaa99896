"""Texts: each number comes from a table and each verdict from claims.csv, links lead somewhere, and blocks are spliced safely."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from synthetic import CARRY, ROOT, SMALL, SWEEP, run_program, study_of, tabulated

from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.report import chinese, facts, texts
from temporal_shortcuts.study import Study
from temporal_shortcuts.study.outputs import BLOCKS, blocks_of, figures_of


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def small(folder: Path) -> tuple[Study, Tables, Path]:
    return *tabulated(folder / "small", SMALL), folder / "small"


@pytest.fixture(scope="module")
def others(folder: Path) -> list[tuple[Study, Tables, Path]]:
    alone = {"study": "alone", "seeds": [4], "protocol": {"epochs": 7}}
    overlays = {"carry": (CARRY,), "sweep": (SWEEP,), "alone": (SMALL, alone)}
    return [(*tabulated(folder / name, *given), folder / name) for name, given in overlays.items()]


def rendered(study: Study, tables: Tables, folder: Path, name: str, language: str = "en") -> str:
    return texts.render(study, tables, folder, f"{name}.{language}.jinja", language, f"results/{study.name}/")


def everything(study: Study, tables: Tables, folder: Path) -> str:
    blocks = [rendered(study, tables, folder, name, language) for name in BLOCKS for language in ("en", "zh")]
    return "\n".join([texts.render(study, tables, folder, "readme.jinja", "en", ""), *blocks])


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_every_decimal_in_a_text_is_in_a_table(small):
    study, tables, folder = small
    known = set(re.findall(r"\d+\.\d+", study.text())) | {
        f"{100 * study.resolved['tolerance']:.1f}",
        "2.14",
        "3.11",
    }  # versions
    known |= {f"{facts.FULL_PROTOCOL_SD}", facts.FULL_PROTOCOL_FLOP.removesuffix("e15")}
    for table in (tables.summary, tables.comparisons, tables.image_bootstrap, tables.claims):
        values = abs(table.select_dtypes("number").to_numpy(float).ravel())
        known |= (
            {f"{value:.2f}" for value in values}
            | {f"{100 * value:.2f}" for value in values}
            | {f"{value:.3f}" for value in values}
        )
    known |= {f"{value:.1f}" for value in tables.stability["stable_epoch_mean"]}
    for text in (
        texts.render(study, tables, folder, "readme.jinja", "en", ""),
        rendered(study, tables, folder, "discussion", "zh"),
    ):
        prose = re.sub(r"\]\([^)]*\)", "]", text)
        found = set(re.findall(r"\d+\.\d+", prose))
        assert len(found) > 30
        assert found <= known


def test_both_languages_give_the_same_numbers(small):
    for name in ("headline", "published", "verdicts", "comparisons", "discussion"):
        english, chinese_ = (
            sorted(re.findall(r"[+\N{MINUS SIGN}]\d+\.\d\d", rendered(*small, name, language)))
            for language in ("en", "zh")
        )
        assert english == chinese_, name
        assert english or name == "published"


def test_no_text_lets_a_missing_number_show(small, others):
    for study, tables, folder in (small, *others):
        text = everything(study, tables, folder)
        assert not re.search(r"\bnan\b|\bNone\b|<NA>|Undefined|\binf\b", text), study.name
        assert "  " not in text.replace("\n  ", "\n")


def test_formats():
    assert texts.percent(0.9198) == "91.98 %"
    assert texts.percent(float("nan")) == texts.percent(None) == "–"
    assert texts.points(0.07) == "+0.07"
    assert texts.points(-0.62) == "\N{MINUS SIGN}0.62"
    assert texts.interval(-0.19, 0.5) == "[\N{MINUS SIGN}0.19, +0.50]"
    assert texts.interval(float("nan"), 1) == "–"
    assert texts.mean_sd(0.72, float("nan")) == "72.00 %"
    assert texts.mean_sd(0.72, 0.0057) == "72.00 ± 0.57 %"
    assert texts.p_value(0.0004) == "< 0.001"
    assert texts.seeds_needed(10_000) == "10,000 or more"


# -- sentences ---------------------------------------------------------------------------------------------------------


def test_the_headline_states_result_and_scale_in_one_sentence(small):
    study, tables, folder = small
    readme = texts.render(study, tables, folder, "readme.jinja", "en", "")
    first = readme.split("\n\n")[1]
    counts = tables.claims["verdict"].value_counts()
    for verdict in ("supported", "contradicted", "undecided"):
        assert f"{counts.get(verdict, 'none')} {'are' if counts.get(verdict, 0) > 1 else 'is'} {verdict}" in first
    assert study.resolved["scale"] in first
    assert first.count(". ") == 0
    row = tables.comparisons.query("endpoint == 'last5' and variant == 'batch_res_late'").iloc[0]
    assert f"{texts.points(row['mean_difference'])} points" in first


def test_the_headline_has_the_null_arm_of_the_same_onset_beside_the_winner(small, tmp_path):
    study, tables, folder = small
    row = tables.comparisons.query("endpoint == 'last5' and variant == 'null_arm'").iloc[0]
    said = f"{texts.points(row['mean_difference'])} here {texts.interval(row['t_low'], row['t_high'])}"
    assert f"one flipped bit alone makes {said} — " in rendered(study, tables, folder, "headline")
    assert "只翻转一个比特" in rendered(study, tables, folder, "headline", "zh")
    earlier = tabulated(tmp_path, SMALL, {"variants": {"null_arm": {"shortcut": {"onset": 5}}}})
    for language, words in (("en", "flipped bit"), ("zh", "只翻转一个比特")):
        assert words not in rendered(*earlier, tmp_path, "headline", language), "another onset is no yardstick"


@pytest.mark.parametrize(
    ("low", "p_holm", "en", "zh"),
    [
        (0.1, 0.2, "leaves out zero, but after Holm's correction", "区间本身不含零"),
        (-0.1, 0.2, "which is not told apart from zero", "，不能与零区分"),
        (0.1, 0.01, "which is told apart from zero", "，可以与零区分"),
    ],
)
def test_an_interval_that_leaves_out_zero_and_decides_nothing_says_why(tmp_path, low, p_holm, en, zh):
    control = {"noise_late": {"label": "noise", "shortcut": {"kind": "noise", "strength": 0.05, "onset": 6}}}
    study, tables = tabulated(tmp_path, SMALL, {"variants": control})
    changed = tables.comparisons.assign(t_low=low, t_high=0.3, p_holm=p_holm)
    for language, words in (("en", en), ("zh", zh)):
        text = rendered(study, Tables(**(vars(tables) | {"comparisons": changed})), tmp_path, "discussion", language)
        (said,) = [line for line in text.splitlines() if line.startswith(("- noise: ", "- 同均值同方差的噪声"))]
        assert words in said


@pytest.mark.parametrize("verdict", ["supported", "contradicted", "undecided"])
def test_sentences_follow_the_verdict_column(small, verdict):
    study, tables, folder = small
    changed = Tables(**(vars(tables) | {"claims": tables.claims.assign(verdict=verdict, needed_n=12345)}))
    n = len(tables.claims)
    assert f"{n} are {verdict}" in rendered(study, changed, folder, "headline")
    assert f"{n} 条{chinese.VERDICTS[verdict]}" in rendered(study, changed, folder, "headline", "zh")
    table = rendered(study, changed, folder, "verdicts")
    assert table.count("would need n ≥ 12,345") == (n if verdict == "undecided" else 0)
    assert table.count(f"**{verdict}**") == (0 if verdict == "undecided" else n)
    heading = {"supported": "What holds.", "contradicted": "What does not.", "undecided": "What remains open."}
    discussion = rendered(study, changed, folder, "discussion")
    own = discussion.split(heading[verdict])[1].split("\n**")[0]
    assert own.count("\n- ") == n
    for other in {"supported", "contradicted", "undecided"} - {verdict}:
        assert f"No claim is {other}." in discussion


def test_the_published_tables_stand_beside_ours(small):
    study, tables, folder = small
    text = rendered(study, tables, folder, "published")
    assert text.count("| --- |") == 3
    assert study.resolved["scale"] in text
    for name, variant in study.resolved["variants"].items():
        if variant["published"] is not None:
            row = tables.summary.set_index("variant").loc[name]
            ours = texts.mean_sd(row["best_mean"], row["best_sd"])
            assert f"| {variant['label']} | {100 * variant['published']:.2f} % | {ours} |" in text
    assert text.index("learning rate 0.001") < text.index("benchmark") < text.index("learning rate 0.1 ")


def test_the_null_arm_and_controls_are_discussed(small):
    study, tables, folder = small
    row = tables.comparisons.query("endpoint == 'last5' and variant == 'null_arm'").iloc[0]
    assert f"null arm: {texts.points(row['mean_difference'])} points" in rendered(study, tables, folder, "discussion")


def test_variants_of_another_schedule_are_discussed(folder):
    annealed = {
        "annealed": {"schedule_epochs": 8},
        "late": {
            "schedule_epochs": 8,
            "against": "annealed",
            "shortcut": {"kind": "batch_res", "strength": 0.05, "onset": 6},
        },
    }
    study, tables = tabulated(folder / "annealed", SMALL, {"variants": annealed})
    for language in ("en", "zh"):
        discussion = rendered(study, tables, folder / "annealed", "discussion", language)
        for row in facts.rescheduled(study.resolved, tables):
            assert discussion.count(texts.interval(row["t_low"], row["t_high"])) == 1
    assert [row["variant"] for row in facts.rescheduled(study.resolved, tables)] == list(annealed)


def test_a_family_of_nothing_but_a_null_arm_decides_nothing(small):
    _, tables, _ = small
    null = tables.comparisons[tables.comparisons["null_arm"]]
    assert facts.decidable(Tables(**(vars(tables) | {"comparisons": null})))["n"] == 0
    assert facts.decidable(tables)["n"] == 3


def test_the_usual_schedule_is_not_discussed(small):
    assert "schedule" not in rendered(*small, "discussion")


@pytest.mark.parametrize(
    ("corrected", "published", "cause"),
    [
        ((0.7, 0.6, 0.6), (0.7, 0.1, 0.6), "slip"),
        ((0.1, 0.1, 0.1), (0.1, 0.1, 0.1), "idea"),
        ((0.7, 0.6, 0.6), (0.7, 0.5, 0.1), "neither"),
        ((0.7, 0.1, 0.1), (0.7, 0.6, 0.6), "odd"),
    ],
)
def test_where_the_10_percent_comes_from_follows_from_the_records(others, corrected, published, cause):
    study, tables, folder = next(given for given in others if given[0].name == "carry")
    metrics = tables.metrics.copy()
    for variant, values in (("epoch_res_start", corrected), ("epoch_res_published", published)):
        metrics.loc[metrics["variant"] == variant, ["train_accuracy", "test_accuracy", "test_accuracy_with_carry"]] = (
            values
        )
    changed = Tables(**(vars(tables) | {"metrics": metrics}))
    assert [pair["cause"] for pair in facts.accountings(study.resolved, changed)] == [cause]
    text = rendered(study, changed, folder, "headline")
    assert texts.percent(published[1]) in text
    assert study.resolved["scale"] in text
    sayings = {
        "slip": "comes from that slip",
        "idea": "does not need the slip",
        "neither": "Neither",
        "odd": "Only the mean as defined",
    }
    assert [key for key, saying in sayings.items() if saying in text] == [cause]
    metrics.loc[(metrics["variant"] == "epoch_res_published") & (metrics["seed"] == 1), "test_accuracy"] = (
        0.1 if published[1] > 0.2 else 0.6
    )
    assert [
        pair["cause"] for pair in facts.accountings(study.resolved, Tables(**(vars(tables) | {"metrics": metrics})))
    ] == ["mixed"]


def test_what_a_carry_amounts_to(others):
    study, tables, _ = next(given for given in others if given[0].name == "carry")
    rows = {row["variant"]: row for row in facts.carried(study.resolved, tables)}
    assert rows["epoch_res_start"]["outcome"] == "learns"
    assert rows["epoch_res_published"]["outcome"] == "misled", "the invented record learns, but needs its carry"
    last = tables.metrics.query("variant == 'epoch_res_published' and epoch > 3")
    assert rows["epoch_res_published"]["train_accuracy"] == pytest.approx(last["train_accuracy"].mean())
    metrics = tables.metrics.copy()
    metrics.loc[(metrics["variant"] == "epoch_res_published") & (metrics["epoch"] == 3), "train_accuracy"] = 0.9
    row = facts.carried(study.resolved, Tables(**(vars(tables) | {"metrics": metrics})))[-1]
    assert (row["variant"], row["highest"], row["highest_epoch"]) == ("epoch_res_published", pytest.approx(0.9), 3)


@pytest.mark.parametrize(("published", "best", "said"), [(0.1, 0.5, True), (0.1, 0.15, False), (0.9, 0.5, False)])
def test_a_best_epoch_that_the_slip_does_not_explain_is_said(others, published, best, said):
    study, tables, folder = next(given for given in others if given[0].name == "carry")
    summary = tables.summary.copy()
    summary.loc[summary["variant"] == "epoch_res_published", ["published", "best_mean"]] = published, best
    changed = Tables(**(vars(tables) | {"summary": summary}))
    assert ("best of all epochs" in rendered(study, changed, folder, "headline")) == said


def test_several_environments_are_said(small, tmp_path):
    study, tables = tabulated(tmp_path, SMALL)
    text = texts.render(study, tables, tmp_path, "readme.jinja", "en", "")
    assert "one environment" in text
    path = (tmp_path / study.runs[0].record).with_suffix(".json")
    sidecar = json.loads(path.read_text())
    sidecar["environments"].append(sidecar["environments"][0] | {"processor": "another processor"})
    path.write_text(json.dumps(sidecar | {"forced": True}))
    text = texts.render(study, tables, tmp_path, "readme.jinja", "en", "")
    assert "The records come from 2 environments" in text
    assert "another processor" in text
    assert "1 run was forced" in text


def test_shared_epochs_are_counted(small):
    study, tables, folder = small
    text = texts.render(study, tables, folder, "readme.jinja", "en", "")
    assert (
        f"{len(study.runs)} runs of 8 epochs show {8 * len(study.runs)} epochs, of which {study.epochs_trained} are trained"
        in text
    )


# -- Chinese -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overlays", [(), ("demo.yaml",), ("laptop.yaml",), ("slips.yaml",), (SWEEP,)])
def test_chinese_names_tell_variants_apart_and_scales_are_named(overlays):
    resolved = study_of(*overlays).resolved
    names = [chinese.label(resolved, name) for name in resolved["variants"]]
    assert len(set(names)) == len(names)
    scale = chinese.scale(resolved)
    assert ("原报告 64" in scale) == (resolved["protocol"]["width"] != 64)
    assert resolved["data"]["name"] in scale


def test_chinese_blocks_are_chinese(small, others):
    for study, tables, folder in (small, *others):
        for name in BLOCKS:
            text = rendered(study, tables, folder, name, "zh")
            assert len(re.findall(r"[\u4e00-\u9fff]", text)) > 8, name
        assert chinese.scale(study.resolved) in rendered(study, tables, folder, "headline", "zh")


# -- files and links ---------------------------------------------------------------------------------------------------


def test_the_program_writes_all_texts_and_their_links_lead_somewhere(small):
    study, _, folder = small
    assert run_program("readme", "--study", folder / "study.json") == 0
    made = {path.name for path in (folder / "blocks").iterdir()}
    assert made == set(blocks_of(study.resolved))
    there = {str(path.relative_to(folder)) for path in folder.rglob("*")} | {
        f"figures/{name}" for name in figures_of(study.resolved)
    }
    for path in (folder / "README.md", *(folder / "blocks").iterdir()):
        prefix = "" if path.name == "README.md" else "results/small/"
        links = re.findall(r"\]\(([^)]*)\)", path.read_text())
        assert all(link.startswith(prefix) and link.removeprefix(prefix) in there for link in links), path.name
    readme = (folder / "README.md").read_text()
    assert all(run.record in readme for run in study.runs)
    assert all(f"(figures/{name})" in readme for name in figures_of(study.resolved))


# -- splicing ----------------------------------------------------------------------------------------------------------

README = """# Title

<!-- block one/headline -->

old

<!-- end -->
between
<!-- block one/verdicts -->
<!-- end -->
after"""


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for name, text in {
        "headline.md": "New\n",
        "headline.zh.md": "新\n",
        "verdicts.md": "V\n",
        "verdicts.zh.md": "判\n",
    }.items():
        path = tmp_path / "results" / "one" / "blocks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "results"


def test_splicing_replaces_blocks_once(results, tmp_path):
    english, chinese_ = tmp_path / "README.md", tmp_path / "README.zh.md"
    for path in (english, chinese_):
        path.write_text(README)
    assert run_program("splice", "--results", results, english, chinese_) == 0
    expected = README.replace("\nold\n", "\nNew\n").replace("verdicts -->\n", "verdicts -->\n\nV\n\n")
    assert english.read_text() == expected
    assert "新" in chinese_.read_text()
    assert "New" not in chinese_.read_text()
    before = english.stat()
    assert not texts.splice(english, results)
    assert (english.stat().st_mtime_ns, english.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        (README.replace("one/verdicts", "one/verdict"), 9, "no block one/verdict"),
        (README.replace("one/verdicts", "two/verdicts"), 9, "no block two/verdicts"),
        (README.replace("one/headline", "../one/headline"), 3, None),
        (README.removesuffix("<!-- end -->\nafter"), 9, "no `<!-- end -->`"),
        (README.replace("<!-- end -->\nbetween", "between"), 3, "no `<!-- end -->`"),
        (README + "\n<!-- end -->\n", 12, "ends no block"),
    ],
)
def test_a_wrong_marker_is_named_and_nothing_is_written(results, tmp_path, capsys, text, line, said):
    path = tmp_path / "README.md"
    path.write_text(text)
    assert run_program("splice", "--results", results, path) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert f"{path}, line {line}:" in complaint
    assert said is None or said in complaint
    assert path.read_text() == text


def test_a_missing_readme_is_named(results, tmp_path, capsys):
    assert run_program("splice", "--results", results, tmp_path / "README.md") == 2
    assert "README.md" in capsys.readouterr().err


def test_templates_are_complete():
    present = {path.name for path in (ROOT / "src/temporal_shortcuts/report/templates").iterdir()}
    assert {f"{name}.{language}.jinja" for name in BLOCKS for language in ("en", "zh")} < present


def test_a_missing_table_is_named(tmp_path):
    study = study_of(SMALL)
    study.write(tmp_path / "study.json")
    with pytest.raises(UserError, match=r"runs\.csv is not there"):
        Tables.read(tmp_path)
