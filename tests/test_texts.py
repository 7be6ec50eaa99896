"""Texts: each number comes from a table and each verdict from claims.csv, links lead somewhere, and blocks are spliced safely."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from synthetic import CARRY, ROOT, SMALL, SWEEP, run_program, study_of, tabulated

from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.report import chinese, facts, markdown, numbers, page, splicing, texts, wording
from temporal_shortcuts.study import Study, published
from temporal_shortcuts.study.outputs import BLOCKS, block_names, figures_of, outdated, texts_of

LATE = {key: {"shortcut": {"onset": 41}} for key in ("batch_res_late", "epoch_res_late", "null_arm")}
AS_PUBLISHED = {"protocol": {"epochs": 50}, "variants": LATE}
"""An overlay for `SMALL`: the late variants are what the report ran."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("results")


@pytest.fixture(scope="module")
def small(folder: Path) -> tuple[Study, Tables, Path]:
    return *tabulated(folder / "small", SMALL, AS_PUBLISHED), folder / "small"


@pytest.fixture(scope="module")
def others(folder: Path) -> list[tuple[Study, Tables, Path]]:
    alone = {"study": "alone", "seeds": [4], "protocol": {"epochs": 7}}
    overlays = {"carry": (CARRY,), "sweep": (SWEEP,), "alone": (SMALL, alone)}
    return [(*tabulated(folder / name, *given), folder / name) for name, given in overlays.items()]


def rendered(study: Study, tables: Tables, folder: Path, name: str, language: str = "en") -> str:
    return texts.render(study, tables, folder, f"{name}.{language}.jinja", language, f"results/{study.name}/")


def everything(study: Study, tables: Tables, folder: Path) -> str:
    blocks = [
        rendered(study, tables, folder, name, language) for name in block_names(study) for language in ("en", "zh")
    ]
    return "\n".join([texts.render(study, tables, folder, "readme.en.jinja", "en", ""), *blocks])


def test_no_text_of_a_study_with_validation_images_speaks_of_test_images(tmp_path):
    """And one of a study without speaks of no validation."""
    for overlay in (SMALL, CARRY, SWEEP):
        for name, data in (("test", {}), ("validation", {"validation_per_class": 100})):
            folder = tmp_path / f"{overlay['study']}-{name}"
            study, tables = tabulated(folder, overlay, {"data": data})
            page.write_page(study, tables, folder / "page.html")
            shown = re.sub(r"<script>.*?</script>", "", (folder / "page.html").read_text(), count=1, flags=re.DOTALL)
            text = everything(study, tables, folder) + shown
            wrong = {"test": r"validation|验证", "validation": r"\b[Tt]est (accuracy|images?|set|loss)|\| test\b|测试"}
            found = re.search(wrong[name], text)
            assert not found, text[max(0, found.start() - 80) : found.end() + 80]


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_every_decimal_in_a_text_is_in_a_table(small):
    study, tables, folder = small
    known = set(re.findall(r"\d+\.\d+", study.text())) | {
        f"{100 * study.tolerance:.1f}",
        "2.14",
        "3.11",
    }  # versions
    known |= {f"{facts.FULL_PROTOCOL_SD}", published.FLOP.removesuffix("e15")}
    known |= {
        f"{100 * row['mean']:.2f}"
        for claim in facts.claims_of(study, tables)
        for row in facts.means(study, tables, claim)
    }
    for table in (tables.summary, tables.comparisons, tables.image_bootstrap, tables.claims, *tables.varied.values()):
        values = abs(table.select_dtypes("number").to_numpy(float).ravel())
        known |= (
            {f"{value:.2f}" for value in values}
            | {f"{100 * value:.2f}" for value in values}
            | {f"{value:.3f}" for value in values}
        )
    known |= {f"{value:.1f}" for value in tables.stability["stable_epoch_mean"]}
    known |= {f"{value:.1f}" for value in tables.decision_cost["ratio"]}
    known |= {f"{value:.2f}" for value in tables.decision_cost["difference"]}
    epochs = tables.varied["learning_rate"][["mean", "low", "high"]].to_numpy(float).ravel()
    known |= {f"{abs(value):.1f}" for value in epochs}
    for text in (
        texts.render(study, tables, folder, "readme.en.jinja", "en", ""),
        rendered(study, tables, folder, "discussion", "zh"),
    ):
        prose = re.sub(r"\]\([^)]*\)", "]", text)
        found = set(re.findall(r"\d+\.\d+", prose))
        assert len(found) > 30
        assert found <= known


def test_both_languages_give_the_same_numbers(small):
    for name in ("headline", "verdicts", "comparisons", "discussion", "varied"):
        english, chinese_ = (
            sorted(re.findall(r"[+\N{MINUS SIGN}]\d+\.\d\d", rendered(*small, name, language)))
            for language in ("en", "zh")
        )
        assert english == chinese_, name
        assert english


def test_no_text_lets_a_missing_number_show(small, others):
    for study, tables, folder in (small, *others):
        text = everything(study, tables, folder)
        assert not re.search(r"\bnan\b|\bNone\b|<NA>|Undefined|\binf\b", text), study.name
        assert "  " not in text.replace("\n  ", "\n")


def test_formats():
    assert numbers.percent(0.9198) == "91.98 %"
    assert numbers.percent(float("nan")) == numbers.percent(None) == "–"
    assert numbers.points(0.07) == "+0.07"
    assert numbers.points(-0.62) == "\N{MINUS SIGN}0.62"
    assert numbers.interval(-0.19, 0.5) == "[\N{MINUS SIGN}0.19, +0.50]"
    assert numbers.interval(float("nan"), 1) == "–"
    assert numbers.mean_sd(0.72, float("nan")) == "72.00 %"
    assert numbers.mean_sd(0.72, 0.0057) == "72.00 ± 0.57 %"
    assert numbers.p_value(0.0004) == "< 0.001"
    assert (numbers.p_is(0.0004), numbers.p_is(0.3)) == ("p < 0.001", "p = 0.300")
    assert numbers.seeds_needed(10_000) == "10,000 or more"


# -- sentences ---------------------------------------------------------------------------------------------------------


def test_the_headline_answers_with_its_numbers_and_scale(small):
    study, tables, folder = small
    readme = texts.render(study, tables, folder, "readme.en.jinja", "en", "")
    answer, counts = readme.split("\n\n")[1:3]
    assert answer.startswith(
        "**Not decided at this scale.** The report's best, “batch_res after 6 epochs”, differs from “baseline”"
    )
    assert wording.scale(study) in answer
    row = tables.comparisons.query("endpoint == 'last5' and variant == 'batch_res_late'").iloc[0]
    assert f"{numbers.points(row['mean_difference'])} points" in answer
    found = tables.claims["verdict"].value_counts()
    for verdict in found.index:
        assert f"{found[verdict]} {'are' if found[verdict] > 1 else 'is'} {verdict}" in counts
    assert counts.startswith("Of the report's 7 claims, ")


@pytest.mark.parametrize(
    ("verdict", "opening"),
    [
        ("supported", "Yes, at this scale it raises accuracy"),
        ("contradicted", "No, at this scale it lowers accuracy"),
        ("negligible", "No, at this scale it makes no difference that matters"),
        ("undecided", "Not decided at this scale"),
    ],
)
def test_the_answer_is_the_verdict_on_the_reports_best(small, verdict, opening):
    study, tables, folder = small
    changed = Tables(**(vars(tables) | {"claims": tables.claims.assign(verdict=verdict)}))
    assert rendered(study, changed, folder, "headline").startswith(f"**{opening}.** ")


def test_a_study_without_a_published_winner_answers_with_its_own_claim(tmp_path):
    claim = {"id": "gain", "text": "It gains", "test": "better", "variant": "mixed", "than": "benchmark"}
    own = {
        "variants": {"mixed": {"label": "mixed", "shortcut": {"kind": "mixed", "strength": 0.2, "onset": 6}}},
        "claims": [claim],
    }
    study, tables = tabulated(tmp_path, SMALL, own)
    row = next(row for row in facts.primary(study, tables) if row["variant"] == "mixed")
    said = f"“mixed” differs from “baseline” by **{numbers.points(row['mean_difference'])} points**"
    text = rendered(study, tables, tmp_path, "headline")
    assert said in text
    assert "report's best" not in text
    assert "report has" not in text
    assert "原报告各跑一次" not in rendered(study, tables, tmp_path, "headline", "zh")


def test_the_headline_names_the_reference_that_it_compares_with(tmp_path):
    other = {"variants": {"batch_res_late": {"against": "lr_0.1"}, "lr_0.1": {"published": 0.8703}}}
    text = rendered(*tabulated(tmp_path, SMALL, AS_PUBLISHED, other), tmp_path, "headline")
    assert "differs from “baseline, learning rate 0.1” by" in text
    assert "benchmark" not in text.split("\n")[0]


def test_the_headline_has_the_null_arm_of_the_same_onset_beside_the_winner(small, tmp_path):
    study, tables, folder = small
    row = tables.comparisons.query("endpoint == 'last5' and variant == 'null_arm'").iloc[0]
    said = f"differs by {numbers.difference(row['mean_difference'], row['t_low'], row['t_high'])}. "
    assert f"“null arm”, which has no shortcut, {said}" in rendered(study, tables, folder, "headline")
    assert "没有捷径的「空白对照" in rendered(study, tables, folder, "headline", "zh")
    earlier = tabulated(tmp_path, SMALL, AS_PUBLISHED, {"variants": {"null_arm": {"shortcut": {"onset": 5}}}})
    for language, words in (("en", "null arm"), ("zh", "空白对照")):
        assert words not in rendered(*earlier, tmp_path, "headline", language), "another onset is no yardstick"


@pytest.mark.parametrize(("averaged", "both"), [(0.9, True), (0.1, False)])
def test_where_endpoints_disagree_on_the_best_learning_rate_both_are_said(tmp_path, averaged, both):
    study, tables = tabulated(tmp_path, SMALL, {"endpoint": "averaged", "protocol": {"average_from": 7}})
    summary = tables.summary.set_index("variant")
    summary.loc["benchmark", "last5_mean"] = 0.95
    summary.loc["lr_0.1", "averaged_mean"] = averaged
    changed = Tables(**(vars(tables) | {"summary": summary.reset_index()}))
    label = study.variants["lr_0.1"].label
    said = f"By the weights averaged over epochs 7 to 8 {label} is best, by the mean of the last 5 epochs baseline"
    for language, words in (("en", said), ("zh", "对权重取平均会消去")):
        assert (words in rendered(study, changed, tmp_path, "varied", language)) is both
    assert "95.00" in rendered(study, changed, tmp_path, "varied"), "both accuracies stand in the table"


def test_the_costs_of_a_decision_stand_in_the_studys_readme(small):
    study, tables, folder = small
    for language, runs, epochs in (("en", "runs", "epochs"), ("zh", "次运行", "轮")):
        text = texts.render(study, tables, folder, f"readme.{language}.jinja", language, "")
        for row in facts.rows_of(tables.decision_cost):
            found = re.search(rf"{row['runs']:,} {runs}[,，] ?{row['epochs']:,} {epochs} \|", text)
            assert found, (language, row["endpoint"], row["design"])


def test_the_share_of_chance_is_that_of_each_null_arm(tmp_path):
    arms = {"other": {"label": "another order", "shortcut": {"kind": "fresh_order", "onset": 6}}}
    study, tables = tabulated(tmp_path, SMALL, {"variants": arms})
    head, _, *rows = rendered(study, tables, tmp_path, "cost").split("| endpoint |")[2].splitlines()
    assert head == " null arm | another order |"
    for (_, arms_of), line in zip(tables.variance.groupby("endpoint", sort=False), rows, strict=False):
        for row, cell in zip(facts.rows_of(arms_of), line.split("|")[2:4], strict=True):
            assert cell.strip().startswith(f"{100 * row['share_within']:.0f} % [{100 * row['low']:.0f}, ")


def test_contradicted_claims_are_listed_once(small):
    study, tables, folder = small
    changed = Tables(**(vars(tables) | {"claims": tables.claims.assign(verdict="contradicted")}))
    for language, word, between in (("en", "Contradicted: “", "” and “"), ("zh", "。不成立：", "；")):
        text = rendered(study, changed, folder, "headline", language)
        assert text.count(word) == 1
        assert between in text


@pytest.mark.parametrize(
    ("low", "p_holm", "en", "zh"),
    [
        (0.1, 0.2, "leaves out zero, but not significant after Holm's correction", "区间本身不含零"),
        (-0.1, 0.2, "n = 3, not significant", "，不显著"),
        (0.1, 0.01, "n = 3, significant after Holm's correction", "，经 Holm 校正后显著"),
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


@pytest.mark.parametrize("verdict", ["supported", "contradicted", "negligible", "undecided"])
def test_sentences_follow_the_verdict_column(small, verdict):
    study, tables, folder = small
    changed = Tables(**(vars(tables) | {"claims": tables.claims.assign(verdict=verdict, needed_n=12345)}))
    n = len(tables.claims)
    assert f"{n} are {verdict}" in rendered(study, changed, folder, "headline")
    assert f"{n} 条{wording.VERDICTS[verdict]['zh']}" in rendered(study, changed, folder, "headline", "zh")
    table = rendered(study, changed, folder, "verdicts")
    assert table.count("would need n ≥ 12,345") == (n if verdict == "undecided" else 0)
    assert table.count(f"**{verdict}**") == (0 if verdict == "undecided" else n)
    headings = {
        "supported": "What holds.",
        "contradicted": "What does not.",
        "negligible": "What makes no difference that matters.",
        "undecided": "What remains open.",
    }
    discussion = rendered(study, changed, folder, "discussion")
    own = discussion.split(headings[verdict])[1].split("\n**")[0]
    assert own.count("\n- ") == n
    for other in {"supported", "contradicted", "undecided"} - {verdict}:
        assert f"No claim is {other}." in discussion


def test_too_few_seeds_are_said_in_one_way_and_no_needed_n_beside_it(others):
    study, tables, folder = next(given for given in others if given[0].name == "alone")
    for name in ("verdicts", "discussion"):
        text = rendered(study, tables, folder, name)
        assert text.lower().count("not tested: 1 of 3 seeds") >= len(tables.claims)
        assert "n ≥" not in text
    assert f"{len(tables.claims)} are not tested" in rendered(study, tables, folder, "headline")


def test_a_claim_shows_the_accuracies_that_its_difference_comes_from(small):
    study, tables, folder = small
    text = rendered(study, tables, folder, "verdicts")
    runs = tables.runs.pivot(index="seed", columns="variant", values="last5").mean()
    ours = f"{numbers.percent(runs['batch_res_late'])} against {numbers.percent(runs['benchmark'])}"
    assert f"| Late batch_res beats the baseline | 92.05 % against 91.98 % | {ours} | " in text


def test_a_margin_and_a_claims_own_endpoint_are_said(small):
    study, tables, folder = small
    declared = replace(study, margin=0.3)
    claims = tables.claims.assign(endpoint=["best", *[""] * (len(tables.claims) - 1)])
    changed = Tables(**(vars(tables) | {"claims": claims}))
    assert "within ±0.30 points" in rendered(declared, changed, folder, "verdicts")
    assert "± 0.30" not in rendered(study, changed, folder, "verdicts")
    assert "% (best epoch) |" in rendered(study, changed, folder, "verdicts")
    assert "（最佳轮）" in rendered(study, changed, folder, "verdicts", "zh")
    assert "unless another endpoint is named" not in rendered(study, tables, folder, "verdicts")


def test_the_reports_claims_are_counted_apart_from_the_studys_own(small):
    study, tables, folder = small
    own = tables.claims.tail(2)["id"].tolist()
    claims = tables.claims.assign(verdict="undecided", published=tables.claims["published"])
    claims.loc[claims["id"].isin(own), ["verdict", "published"]] = ["supported", ""]
    changed = Tables(**(vars(tables) | {"claims": claims}))
    assert "Of the report's 5 claims 5 are undecided; of 2 more, of our own, 2 are supported." in rendered(
        study, changed, folder, "headline"
    )
    assert "原报告的 5 条论断中，5 条尚无定论；我们另提的 2 条中，2 条成立。" in rendered(
        study, changed, folder, "headline", "zh"
    )
    assert rendered(study, changed, folder, "verdicts").count("| (our own) |") == 2


def test_that_the_primary_endpoint_says_the_opposite_of_a_verdict_is_said(small):
    study, tables, folder = small
    claims = tables.claims.copy()
    claims.loc[claims["test"] == "best_of", ["endpoint", "verdict"]] = ["best", "supported"]
    comparisons = tables.comparisons.copy()
    ours = (comparisons["variant"] == "lr_0.1") & (comparisons["endpoint"] == study.endpoint)
    comparisons.loc[ours, ["mean_difference", "t_low", "t_high", "p_holm"]] = [1.5, 1.0, 2.0, 0.01]
    said = "the order is another: “learning rate 0.1” differs from “baseline” by +1.50 [+1.00, +2.00]."
    for p_holm, is_said in ((0.01, True), (0.2, False)):
        comparisons.loc[ours, "p_holm"] = p_holm
        changed = Tables(**(vars(tables) | {"claims": claims, "comparisons": comparisons}))
        assert (said in rendered(study, changed, folder, "verdicts")) is is_said
        assert ("次序相反" in rendered(study, changed, folder, "verdicts", "zh")) is is_said


# -- what was published, under which protocol ---------------------------------------------------------------------------


def test_a_value_of_another_onset_is_not_called_published():
    demo = study_of("demo.yaml")
    assert published.accuracy(demo, "benchmark") == 0.9198
    assert published.accuracy(demo, "batch_res_start") == 0.9172
    assert published.accuracy(demo, "batch_res_late") != published.accuracy(demo, "batch_res_late"), "nan"
    assert wording.published_cell(demo, "batch_res_late") == "92.05 % (batch_res after 41 epochs)"
    assert published.accuracy(study_of("laptop.yaml"), "batch_res_late") == 0.9205


def test_a_value_of_a_study_of_ones_own_is_its_own():
    own = {"variants": {"mine": {"learning_rate": 0.3, "published": 0.5}}}
    assert published.accuracy(study_of(SMALL, own), "mine") == 0.5


@pytest.mark.parametrize("name", ["headline", "discussion", "comparisons"])
def test_a_winner_that_the_report_never_had_is_not_named(tmp_path, name):
    text = rendered(*tabulated(tmp_path, SMALL), tmp_path, name)
    assert "the report's best" not in text
    assert "+0.07" not in text
    assert "full protocol would need" not in text


def test_the_published_values_are_those_of_config_yaml():
    study = study_of()
    values = {variant.published for variant in study.variants.values()}
    assert values == {run.accuracy for run in published.RUNS}
    assert all(published.run_elsewhere(study, name) is None for name in study.variants)
    assert study.protocol == published.PROTOCOL
    assert published.differences(study) == []


# -- how many epochs, how high is chance --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epochs", "said"),
    [(1, "the last epoch"), (3, "the mean of the last 3 epochs"), (9, "the mean of the last 5 epochs")],
)
def test_texts_say_how_many_epochs_were_averaged(tmp_path, epochs, said):
    late = dict.fromkeys(("batch_res_late", "epoch_res_late", "null_arm"))
    claims = [claim for claim in study_of().claims if "late" not in str(claim)]
    text = everything(
        *tabulated(tmp_path, SMALL, {"protocol": {"epochs": epochs}, "variants": late, "claims": claims}), tmp_path
    )
    assert said in text
    assert ("last 5 epochs" in text) == (epochs == 9)
    assert " 1 epochs" not in text
    assert "最后 1 轮" not in text


@pytest.mark.parametrize(("share", "limit"), [(0.1, 0.2), (0.5, 0.5556), (0.9, 0.9111)])
def test_chance_follows_from_the_classes_of_the_test_set(others, share, limit):
    study, tables, _ = next(given for given in others if given[0].name == "carry")
    changed = Tables(**(vars(tables) | {"summary": tables.summary.assign(chance=share)}))
    assert facts.chance_limit(study, changed) == pytest.approx(limit, abs=1e-4)


def test_nothing_is_called_above_chance_where_chance_is_not_known(tmp_path):
    images = {"data": {"source": "image_folder", "path": "x.tar.xz", "archive_checksum": None}}
    study, tables = tabulated(tmp_path, CARRY, images)
    tables = replace(tables, summary=tables.summary.drop(columns="chance", errors="ignore"))
    assert {row["outcome"] for row in facts.carried(study, tables)} == {"unknown"}
    assert "is not judged" in rendered(study, tables, tmp_path, "discussion")
    assert "chance" not in rendered(study, tables, tmp_path, "headline")


# -- text is text -------------------------------------------------------------------------------------------------------

HOSTILE = r"a|b *c* <b>d</b> _e_ `f` [g](h) $5 to $7 ~~i~~ &amp; \| # j"


def test_labels_are_text_in_every_text(tmp_path):
    marked = {"title": HOSTILE, "scale": HOSTILE, "data": {"name": HOSTILE}}
    variants = {"batch_res_late": {"label": HOSTILE}, "null_arm": {"label": "1. " + HOSTILE}}
    claims = [
        {
            "id": "one",
            "text": HOSTILE,
            "test": "better",
            "variant": "batch_res_late",
            "than": "benchmark",
            "published": HOSTILE,
        }
    ]
    study, tables = tabulated(tmp_path, SMALL, marked, {"variants": variants, "claims": claims})
    text = everything(study, tables, tmp_path)
    shown = markdown.escape(HOSTILE)
    assert text.count(shown) > 20
    assert HOSTILE not in text
    rest = text.replace(shown, "")
    assert not re.search(r"[$`]|<b>|~~|\(h\)", rest)
    for table in re.findall(r"(?:^\|.*\n)+", rest, re.MULTILINE):
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("batch_res after 41 epochs", "batch_res after 41 epochs"),
        ("_start", r"\_start"),
        ("a*b", r"a\*b"),
        ("# heading", r"\# heading"),
        ("- item", r"\- item"),
        ("1. item", r"1\. item"),
        ("0.01", "0.01"),
        ("two\nlines", "two lines"),
        ("R&D", "R&D"),
        ("&lt;", r"\&lt;"),
        ("$5 to $7", r"\$5 to \$7"),
        ("基准", "基准"),
        (None, "None"),
    ],
)
def test_markdown_shows_text_as_written(text, shown):
    assert markdown.escape(text) == shown


def test_the_null_arm_and_controls_are_discussed(small):
    study, tables, folder = small
    row = tables.comparisons.query("endpoint == 'last5' and variant == 'null_arm'").iloc[0]
    assert f"null arm: {numbers.points(row['mean_difference'])} [" in rendered(study, tables, folder, "discussion")


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
        for row in facts.rescheduled(study, tables):
            assert discussion.count(numbers.interval(row["t_low"], row["t_high"])) == 1
    assert [row["variant"] for row in facts.rescheduled(study, tables)] == list(annealed)


def test_a_family_of_nothing_but_a_null_arm_decides_nothing(small):
    study, tables, _ = small
    null = tables.comparisons[tables.comparisons["null_arm"]]
    assert facts.decidable(study, Tables(**(vars(tables) | {"comparisons": null})))["n"] == 0
    assert facts.decidable(study, tables)["n"] == 3


# -- why ---------------------------------------------------------------------------------------------------------------

IN_EVERY_WAY = {"protocol": {"average_from": 7, "evaluate_with_carry": True}, "endpoint": "averaged", "margin": 0.3}
REASONS = {  # differences and half the width of their intervals: as trained, with the carry left on, with statistics estimated again
    "none": ((-0.2, 0.3), (-3, 0.3), (-0.2, 0.3), "there is no difference to explain", "没有需要解释的差异"),
    "carry": (
        (-0.5, 0.2),
        (0.1, 0.1),
        (-0.4, 0.1),
        "−0.50 becomes +0.10, within ±0.30, so the loss comes from",
        "所以它的损失来自",
    ),
    "statistics": (
        (-0.5, 0.2),
        (-3, 0.3),
        (-0.1, 0.2),
        "turn −0.50 into −0.10, which is not significant",
        "不再有显著差异",
    ),
    "partly": (
        (-0.5, 0.2),
        (-3, 0.3),
        (-0.3, 0.2),
        "turn −0.50 into −0.30; that much is due to the weights",
        "使 −0.50 变为 −0.30，这部分差距来自权重本身",
    ),
    "weights": ((0.5, 0.2), (3, 0.3), (0.6, 0.2), "neither way of evaluating takes it away", "都不能消除它"),
}


@pytest.mark.parametrize("reason", REASONS)
def test_why_a_late_shortcut_differs_follows_from_the_three_ways_of_evaluating(folder, reason):
    study, tables = tabulated(folder / "why", SMALL, IN_EVERY_WAY)
    *ways, english, chinese_words = REASONS[reason]
    changed = tables.comparisons.set_index(["variant", "endpoint"]).copy()
    for way, (mean, half) in zip(facts.WAYS, ways, strict=True):
        changed.loc[("batch_res_late", way), ["mean_difference", "t_low", "t_high"]] = mean, mean - half, mean + half
    tables = replace(tables, comparisons=changed.reset_index()[tables.comparisons.columns])
    rows = {row["variant"]: row for row in facts.mechanism(study, tables)}
    assert list(rows) == ["batch_res_late", "epoch_res_late"], "no null arm, and none from the start"
    assert rows["batch_res_late"]["outcome"] == reason
    own = tables.metrics.query("epoch > 3").groupby(["variant", "seed"])["train_accuracy"].mean()
    expected = 100 * (own["batch_res_late"] - own["benchmark"]).mean()
    assert rows["batch_res_late"]["training"] == pytest.approx(expected)
    for language, words in (("en", english), ("zh", chinese_words)):
        assert words in rendered(study, tables, folder / "why", "why", language)
    readme = texts.render(study, tables, folder / "why", "readme.en.jinja", "en", "")
    assert "## Why" in readme
    assert f"| {numbers.points(expected)} | {numbers.points(ways[0][0])} [" in readme, "a row of the table of all ways"


def test_where_not_every_way_of_evaluating_is_recorded_nothing_is_explained(small):
    study, tables, folder = small
    assert "why" not in block_names(study)
    assert "## Why" not in texts.render(study, tables, folder, "readme.en.jinja", "en", "")


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
    assert [pair["cause"] for pair in facts.accountings(study, changed)] == [cause]
    text = rendered(study, changed, folder, "headline")
    assert numbers.percent(published[1]) in text
    assert wording.scale(study) in text
    sayings = {
        "slip": "without it none does",
        "idea": "slip and without it, all 2 seeds end",
        "neither": "No seed ends at chance",
        "odd": "With the mean as defined all 2 seeds",
    }
    assert [key for key, saying in sayings.items() if saying in text] == [cause]
    metrics.loc[(metrics["variant"] == "epoch_res_published") & (metrics["seed"] == 1), "test_accuracy"] = (
        0.1 if published[1] > 0.2 else 0.6
    )
    assert [pair["cause"] for pair in facts.accountings(study, Tables(**(vars(tables) | {"metrics": metrics})))] == [
        "mixed"
    ]


def test_what_a_carry_amounts_to(others):
    study, tables, _ = next(given for given in others if given[0].name == "carry")
    rows = {row["variant"]: row for row in facts.carried(study, tables)}
    assert rows["epoch_res_start"]["outcome"] == "learns"
    assert rows["epoch_res_published"]["outcome"] == "misled", "the invented record learns, but needs its carry"
    last = tables.metrics.query("variant == 'epoch_res_published' and epoch > 3")
    assert rows["epoch_res_published"]["train_accuracy"] == pytest.approx(last["train_accuracy"].mean())
    metrics = tables.metrics.copy()
    metrics.loc[(metrics["variant"] == "epoch_res_published") & (metrics["epoch"] == 3), "train_accuracy"] = 0.9
    row = facts.carried(study, Tables(**(vars(tables) | {"metrics": metrics})))[-1]
    assert (row["variant"], row["highest"], row["highest_epoch"]) == ("epoch_res_published", pytest.approx(0.9), 3)


@pytest.mark.parametrize(("published", "best", "said"), [(0.1, 0.5, True), (0.1, 0.15, False), (0.9, 0.5, False)])
def test_a_best_epoch_that_the_slip_does_not_explain_is_said(others, published, best, said):
    study, tables, folder = next(given for given in others if given[0].name == "carry")
    summary = tables.summary.copy()
    summary.loc[summary["variant"] == "epoch_res_published", ["published", "best_mean"]] = published, best
    changed = Tables(**(vars(tables) | {"summary": summary}))
    assert ("best of all its epochs" in rendered(study, changed, folder, "headline")) == said


def test_several_environments_are_said(small, tmp_path):
    study, tables = tabulated(tmp_path, SMALL)
    text = texts.render(study, tables, tmp_path, "readme.en.jinja", "en", "")
    assert "one environment" in text
    path = (tmp_path / study.runs[0].record).with_suffix(".json")
    sidecar = json.loads(path.read_text())
    sidecar["environments"].append(sidecar["environments"][0] | {"processor": "another processor"})
    path.write_text(json.dumps(sidecar | {"forced": True}))
    text = texts.render(study, tables, tmp_path, "readme.en.jinja", "en", "")
    assert "The records come from 2 environments" in text
    assert "another processor" in text
    assert "1 run was forced" in text


def test_shared_epochs_are_counted(small):
    study, tables, folder = small
    text = texts.render(study, tables, folder, "readme.en.jinja", "en", "")
    assert (
        f"{len(study.runs)} runs of 50 epochs show {50 * len(study.runs):,} epochs, of which {study.epochs_trained} are trained"
        in text
    )


# -- Chinese -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overlays", [(), ("demo.yaml",), ("laptop.yaml",), ("slips.yaml",), (SWEEP,)])
def test_chinese_names_tell_variants_apart_and_scales_are_named(overlays):
    study = study_of(*overlays)
    names = [chinese.label(study, name) for name in study.variants]
    assert len(set(names)) == len(names)
    for language, words in (("en", "(report: 64)"), ("zh", "（原报告 64）")):
        scale = wording.scale(study, language)
        assert (words in scale) == (study.protocol.width != 64)
        assert study.data.name in scale


def test_chinese_blocks_are_chinese(small, others):
    for study, tables, folder in (small, *others):
        for name in block_names(study):
            text = rendered(study, tables, folder, name, "zh")
            assert len(re.findall(r"[\u4e00-\u9fff]", text)) > 8, name
        assert wording.scale(study, "zh") in rendered(study, tables, folder, "headline", "zh")


# -- files and links ---------------------------------------------------------------------------------------------------


def test_the_program_writes_all_texts_and_their_links_lead_somewhere(small):
    study, _, folder = small
    assert run_program("readme", "--study", folder / "study.json") == 0
    made = [*folder.glob("README*.md"), *(folder / "blocks").iterdir()]
    assert {str(path.relative_to(folder)) for path in made} == set(texts_of(study))
    there = {str(path.relative_to(folder)) for path in folder.rglob("*")} | {
        f"figures/{name}" for name in figures_of(study)
    }
    for path in made:
        prefix = "" if path.parent == folder else "results/small/"
        links = re.findall(r"\]\(([^)]*)\)", path.read_text())
        assert all(link.startswith(prefix) and link.removeprefix(prefix) in there for link in links), path.name
    readme = (folder / "README.md").read_text()
    assert all(run.record in readme for run in study.runs)
    assert all(f"(figures/{name})" in readme for name in figures_of(study))


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
    assert not splicing.splice(english, results)
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


def test_the_first_study_that_has_a_block_takes_the_lead(results, tmp_path):
    path = tmp_path / "README.md"
    path.write_text("<!-- block two|one/headline -->\n<!-- end -->\n")
    assert splicing.splice(path, results)
    assert "New" in path.read_text()
    later = results / "two" / "blocks" / "headline.md"
    later.parent.mkdir(parents=True)
    later.write_text("Decided\n")
    assert splicing.splice(path, results)
    assert "Decided" in path.read_text()
    assert "New" not in path.read_text()
    assert splicing.shown(path) == {"two", "one"}


def test_a_missing_readme_is_named(results, tmp_path, capsys):
    assert run_program("splice", "--results", results, tmp_path / "README.md") == 2
    assert "README.md" in capsys.readouterr().err


def test_templates_are_complete():
    present = {path.name for path in (ROOT / "src/temporal_shortcuts/report/templates").iterdir()}
    assert {f"{name}.{language}.jinja" for name in BLOCKS for language in ("en", "zh")} < present


def test_what_an_edited_study_no_longer_has_goes_and_is_not_read(tmp_path: Path) -> None:
    """Its tables, figures and blocks would speak of variants that are gone, or show the numbers of another study."""
    averages = {"protocol": {"average_from": 5, "evaluate_with_carry": True}}
    before, _ = tabulated(
        tmp_path, SMALL, averages, {"variants": {"no_effect": {"shortcut": {"kind": "fresh_order", "onset": 6}}}}
    )
    before.write(tmp_path / "study.json")
    for script in ("draw", "readme"):
        assert run_program(script, "--study", tmp_path / "study.json") == 0
    bare = dict.fromkeys(
        ("batch_res_start", "batch_res_late", "epoch_res_start", "epoch_res_late", "null_arm", "lr_0.1")
    )
    after, _ = tabulated(tmp_path, SMALL, {"variants": bare, "claims": []})
    left = {"decision_cost.csv", "variance.csv", "learning_rates.csv", "blocks/why.md", "figures/late_differences.svg"}
    assert left <= set(outdated(after))
    assert all((tmp_path / name).is_file() for name in left)
    after.write(tmp_path / "study.json")
    assert run_program("readme", "--study", tmp_path / "study.json") == 0
    assert not any((tmp_path / name).exists() for name in outdated(after))
    text = (tmp_path / "README.md").read_text()
    assert "What a decision costs" not in text
    assert {f"figures/{name}" for name in figures_of(after)} >= set(re.findall(r"figures/\w+\.svg", text))


def test_a_missing_table_is_named(tmp_path):
    study = study_of(SMALL)
    study.write(tmp_path / "study.json")
    with pytest.raises(UserError, match=r"runs\.csv is not there"):
        Tables.read(tmp_path, study)
