"""Pages of studies: each number comes from a table and each verdict from claims.csv, tables are narrow, and links lead somewhere."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from synthetic import CARRY, SMALL, SWEEP, run_program, study_of, tabulated

from temporal_shortcuts.analysis.outcomes import TestSet
from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.report import facts, markdown, numbers, page, texts, wording
from temporal_shortcuts.report.figures import drawing
from temporal_shortcuts.study import Study, declaration, published
from temporal_shortcuts.study.outputs import figures_of, outdated

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


def written(*given: object) -> str:
    """A study's page, with plain spaces for those at which no line may break."""
    return texts.page(*given).replace("\N{NO-BREAK SPACE}", " ")


def headline(text: str) -> str:
    return text.split("\n\n")[1]


def changed(tables: Tables, **columns: object) -> Tables:
    return replace(tables, claims=tables.claims.assign(**columns))


def test_no_text_of_a_study_with_validation_images_speaks_of_test_images(tmp_path):
    """And one of a study without speaks of no validation."""
    for overlay in (SMALL, CARRY, SWEEP):
        for name, data in (("test", {}), ("validation", {"validation_per_class": 100})):
            folder = tmp_path / f"{overlay['study']}-{name}"
            study, tables = tabulated(folder, overlay, {"data": data})
            page.write_page(study, tables, folder, folder / "page.html")
            shown = re.sub(r"<script>.*?</script>", "", (folder / "page.html").read_text(), count=1, flags=re.DOTALL)
            drawing.draw(study, tables, folder)
            figures = " ".join(path.read_text() for path in folder.glob("*.svg"))
            seen = " ".join(re.findall(r"(?<=<!-- ).*?(?= -->)|(?<=<dc:title>).*?(?=<)", figures))
            assert (name == "test") == bool(re.search(r"\btest\b", seen, re.IGNORECASE))
            text = written(study, tables, folder) + shown + seen
            wrong = {"test": "validation", "validation": r"\b[Tt]est (accuracy|images?|set|loss)|\| test\b"}
            found = re.search(wrong[name], text)
            assert not found, text[max(0, found.start() - 80) : found.end() + 80]


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_every_decimal_in_a_text_is_in_a_table(small):
    study, tables, folder = small
    known = set(re.findall(r"\d+\.\d+", study.text())) | {f"{100 * study.tolerance:.1f}", "2.14", "3.11"}  # versions
    known |= {
        f"{100 * row['mean']:.2f}"
        for claim in facts.claims_of(study, tables)
        for row in facts.means(study, tables, claim)
    }
    for table in (tables.summary, tables.comparisons, tables.claims, *tables.varied.values()):
        values = abs(table.select_dtypes("number").to_numpy(float).ravel())
        known |= {f"{value:.{digits}f}" for value in values for digits in (2, 3)} | {
            f"{100 * value:.2f}" for value in values
        }
    known |= {f"{value:.1f}" for value in tables.stability["stable_epoch_mean"]}
    known |= {f"{100 * tables.test_set.chance_limit:.2f}"}
    epochs = tables.varied["learning_rate"][["mean", "low", "high"]].to_numpy(float).ravel()
    known |= {f"{abs(value):.1f}" for value in epochs}
    found = set(re.findall(r"\d+\.\d+", re.sub(r"\]\([^)]*\)", "]", written(study, tables, folder))))
    assert len(found) > 30
    assert found <= known


def test_no_text_lets_a_missing_number_show_and_no_table_is_wide(small, others):
    for study, tables, folder in (small, *others):
        text = written(study, tables, folder)
        assert not re.search(r"\bnan\b|\bNone\b|<NA>|Undefined|\binf\b", text), study.name
        assert "  " not in text.replace("\n  ", "\n")
        for row in re.findall(r"^\|.*\|$", text, re.MULTILINE):
            assert row.count("|") <= 8, "seven columns at most"


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
    assert numbers.seeds_needed(10_000) == "10,000 or more"


# -- sentences ---------------------------------------------------------------------------------------------------------


def test_the_headline_is_the_main_claim_with_its_verdict_numbers_and_scale(small):
    study, tables, folder = small
    for verdict in ("supported", "contradicted", "negligible", "undecided"):
        said = headline(written(study, changed(tables, verdict=verdict, needed_n=12345), folder))
        assert said.startswith(f"**“Late batch_res beats the baseline”: {verdict}.** ")
    row = tables.claims.set_index("id").loc["batch_res_late_gain"]
    assert texts.evidence(dict(row)) in said
    assert wording.scale(study) in said
    assert wording.endpoint(study, "last5") in said


def test_the_headline_has_the_reports_measure_and_the_control_of_the_same_onset_beside_it(small, tmp_path):
    study, tables, folder = small
    rows = tables.comparisons.set_index(["endpoint", "variant"])
    best, control = rows.loc[("best", "batch_res_late")], rows.loc[("last5", "null_arm")]
    said = headline(written(study, tables, folder))
    for row, words in ((best, "best epoch "), (control, "A/A control: ")):
        assert words + numbers.difference(row["mean_difference"], row["t_low"], row["t_high"]) in said
    earlier = tabulated(tmp_path, SMALL, AS_PUBLISHED, {"variants": {"null_arm": {"shortcut": {"onset": 5}}}})
    assert "A/A control:" not in written(*earlier, tmp_path), "another onset is no yardstick"


def test_an_exploring_study_says_what_its_candidates_came_to(tmp_path):
    confirm = {"study": "confirmed", "checksum": "sha256:" + "1" * 64, "seeds": [7, 8]}
    explored = {"confirm": confirm, "data": {"validation_per_class": 100}}
    study, tables = tabulated(tmp_path, SWEEP, explored)
    found = facts.chosen(study, tables)
    said = headline(written(study, tables, tmp_path))
    assert said.startswith(f"**{found['better']} of 8 candidates are significantly better than “")
    assert f"Chosen to be confirmed: “{study.variants[found['variant']].label}”" in said


def test_a_study_without_claims_says_how_many_differences_are_significant(others):
    study, tables, folder = next(given for given in others if given[0].name == "sweep")
    family = tables.comparisons.query("endpoint == 'last5' and not null_arm")
    assert headline(written(study, tables, folder)).startswith(
        f"**{(family['p_holm'] <= 0.05).sum()} of {len(family)} differences are significant after Holm's correction.** "
    )


def test_too_few_seeds_are_said_in_one_way_and_no_needed_n_beside_it(others):
    study, tables, folder = next(given for given in others if given[0].name == "alone")
    text = written(study, tables, folder)
    assert text.count("| not tested: 1 of 3 seeds |") == len(tables.claims)
    assert "n ≥" not in text
    assert f"Claims: {len(tables.claims)} not tested." in text


@pytest.mark.parametrize("verdict", ["supported", "contradicted", "negligible", "undecided"])
def test_the_table_of_verdicts_follows_the_verdict_column(small, verdict):
    study, tables, folder = small
    text = written(study, changed(tables, verdict=verdict, needed_n=12345), folder).partition("## All variants")[0]
    n = len(tables.claims)
    assert f"Claims: {n} {verdict}. {declaration.said(study, folder)}\n" in text
    assert text.count("would need n ≥ 12,345") == (n if verdict == "undecided" else 0)
    assert text.count(f"**{verdict}**") == (0 if verdict == "undecided" else n)
    assert text.count("(the mean as defined) |") == 1, "which accounting does, or does not, converge"


def test_a_claim_shows_the_accuracies_that_its_difference_comes_from(small):
    study, tables, folder = small
    runs = tables.runs.pivot(index="seed", columns="variant", values="last5").mean()
    ours = f"{numbers.percent(runs['batch_res_late'])} against {numbers.percent(runs['benchmark'])}"
    assert f"| Late batch_res beats the baseline | 92.05 % against 91.98 % | {ours} | " in written(
        study, tables, folder
    )


def test_a_margin_and_a_claims_own_endpoint_are_said(small):
    """The margin is the one that decided the claims, which a claim can have of its own."""
    study, tables, folder = small
    own = changed(
        tables, endpoint=["best", *[""] * (len(tables.claims) - 1)], margin=[1.0, *[0.3] * (len(tables.claims) - 1)]
    )
    text = written(replace(study, margin=0.3), own, folder)
    assert "within the margin (±1.00, ±0.30 points)" in text
    assert text.count("(margin ±1.00) |") == 1, "in the row of the claim that has it"
    assert "% (best epoch) |" in text
    assert "within the margin" not in written(study, tables, folder)


def test_that_the_primary_endpoint_says_the_opposite_of_a_verdict_stands_in_its_row(small):
    study, tables, folder = small
    claims = tables.claims.copy()
    claims.loc[claims["test"] == "best_of", ["endpoint", "verdict"]] = ["best", "supported"]
    comparisons = tables.comparisons.copy()
    ours = (comparisons["variant"] == "lr_0.1") & (comparisons["endpoint"] == study.endpoint)
    comparisons.loc[ours, ["mean_difference", "t_low", "t_high"]] = [1.5, 1.0, 2.0]
    said = "| **supported**; reversed by last 5 epochs: learning rate 0.1 +1.50 [+1.00, +2.00] from baseline"
    for p_holm, is_said in ((0.01, True), (0.2, False)):
        comparisons.loc[ours, "p_holm"] = p_holm
        text = written(study, replace(tables, claims=claims, comparisons=comparisons), folder)
        assert (said in text) is is_said


# -- what was published, under which protocol ---------------------------------------------------------------------------


def test_a_value_of_another_onset_is_not_called_published():
    demo = study_of("demo.yaml")
    assert published.accuracy(demo, "benchmark") == 0.9198
    assert published.accuracy(demo, "batch_res_start") == 0.9172
    assert published.accuracy(demo, "batch_res_late") != published.accuracy(demo, "batch_res_late"), "nan"
    assert wording.published_cell(demo, "batch_res_late") == "92.05 % (batch_res after 41 epochs)"
    assert published.accuracy(study_of("laptop.yaml"), "batch_res_late") == 0.9205


def test_the_published_values_are_those_of_config_yaml():
    study = study_of()
    values = {variant.published for variant in study.variants.values()}
    assert values == {run.accuracy for run in published.RUNS}
    assert all(published.run_elsewhere(study, name) is None for name in study.variants)
    assert study.protocol == published.PROTOCOL
    assert published.differences(study) == []


# -- scale, epochs, chance ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("epochs", "said"),
    [(1, "the last epoch"), (3, "the mean of the last 3 epochs"), (9, "the mean of the last 5 epochs")],
)
def test_texts_say_how_many_epochs_were_averaged(tmp_path, epochs, said):
    late = dict.fromkeys(("batch_res_late", "epoch_res_late", "null_arm"))
    claims = [claim for claim in study_of().claims if "late" not in str(claim)]
    overlay = {"protocol": {"epochs": epochs}, "variants": late, "claims": claims}
    text = written(*tabulated(tmp_path, SMALL, overlay), tmp_path)
    assert said in text
    assert ("last 5 epochs" in text) == (epochs == 9)
    assert f"from epoch to epoch over the last {epochs}." in text


def test_chance_stands_beside_the_accuracies(others):
    study, tables, folder = next(given for given in others if given[0].name == "carry")
    said = {
        TestSet(
            360, 2, 0.9
        ): "Chance is 90.00 %, the share of the largest class; of 360 images, up to 94.44 % counts as at chance.",
        TestSet(
            400, 10, 0.1, 7
        ): "counts as at chance. **7 of them are training images too, so the accuracy is partly memory.**",
        TestSet(10_000, 10, 0.1): "Chance is 10.00 %; of 10,000 images, up to 10.94 % counts as at chance.",
    }
    for test_set, sentence in said.items():
        text = written(study, replace(tables, test_set=test_set), folder)
        assert sentence in text
        assert ("training images too" in text) == bool(test_set.shared)


@pytest.mark.parametrize("instruction_set", ["avx2", "avx512", "native"])
def test_the_processor_that_its_records_need_is_said(tmp_path, instruction_set):
    overlay = {"protocol": {"instruction_set": instruction_set}}
    text = written(*tabulated(tmp_path, SMALL, overlay), tmp_path)
    assert ("They can be made again on a processor with AVX-512 only." in text) == (instruction_set == "avx512")


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
    text = written(study, tables, tmp_path)
    shown = markdown.escape(HOSTILE)
    assert text.count(shown) > 10
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


# -- with and without the carry ------------------------------------------------------------------------------------------

IN_EVERY_WAY = {"protocol": {"average_from": 7, "evaluate_with_carry": True}, "endpoint": "averaged", "margin": 0.3}


def test_what_each_way_of_evaluating_changes_stands_in_one_table(folder, small):
    study, tables = tabulated(folder / "why", SMALL, IN_EVERY_WAY)
    rows = {row["variant"]: row for row in facts.mechanism(study, tables)}
    assert list(rows) == ["batch_res_late", "epoch_res_late"], "no null arm, and none from the start"
    own = tables.metrics.query("epoch > 3").groupby(["variant", "seed"])["train_accuracy"].mean()
    expected = 100 * (own["batch_res_late"] - own["benchmark"]).mean()
    assert rows["batch_res_late"]["training"] == pytest.approx(expected)
    cells = [rows["batch_res_late"][way] for way in facts.WAYS]
    said = [numbers.difference(cell["mean_difference"], cell["t_low"], cell["t_high"]) for cell in cells]
    assert f"| {numbers.points(expected)} | {' | '.join(said)} |" in written(study, tables, folder / "why")
    assert "## What each evaluation changes" not in written(*small)


def test_what_a_carry_amounts_to(others):
    study, tables, folder = next(given for given in others if given[0].name == "carry")
    rows = {row["variant"]: row for row in facts.carried(study, tables)}
    last = tables.metrics.query("variant == 'epoch_res_published' and epoch > 3")
    assert rows["epoch_res_published"]["train_accuracy"] == pytest.approx(last["train_accuracy"].mean())
    metrics = tables.metrics.copy()
    metrics.loc[(metrics["variant"] == "epoch_res_published") & (metrics["epoch"] == 3), "train_accuracy"] = 0.9
    row = facts.carried(study, replace(tables, metrics=metrics))[-1]
    assert (row["variant"], row["highest"], row["highest_epoch"]) == ("epoch_res_published", pytest.approx(0.9), 3)
    assert "90.00 % (epoch 3)" in written(study, replace(tables, metrics=metrics), folder)


def test_several_environments_are_said(small, tmp_path):
    study, tables = tabulated(tmp_path, SMALL)
    text = written(study, tables, tmp_path)
    assert "one environment" in text
    path = (tmp_path / study.runs[0].record).with_suffix(".json")
    sidecar = json.loads(path.read_text())
    sidecar["environments"].append(sidecar["environments"][0] | {"processor": "another processor"})
    path.write_text(json.dumps(sidecar | {"forced": True}))
    text = written(study, tables, tmp_path)
    assert "The records come from 2 environments" in text
    assert "another processor" in text
    assert "Forced to go on in another environment than they began in: 1." in text


def test_shared_epochs_are_counted(small):
    study, tables, folder = small
    text = written(study, tables, folder)
    shown, trained = 50 * len(study.runs), study.epochs_trained
    assert f"Runs: {len(study.runs)}; epochs shown {shown:,}, trained {trained:,}, since" in text


# -- files and links ---------------------------------------------------------------------------------------------------


def test_the_program_writes_the_page_and_its_links_lead_somewhere(small, tmp_path):
    study, _, folder = small
    text = tmp_path / "small.md"
    text.write_text('It scores {{ accuracy("small", "benchmark", "last5") }}, see [the docs](docs/method.md).\n')
    assert run_program("readme", "--study", folder / "study.json", "--text", text) == 0
    made = (folder / "README.md").read_text().replace("\N{NO-BREAK SPACE}", " ")
    mean = facts.rows_of(Tables.read(folder, study).summary)[0]["last5_mean"]
    assert f"It scores {numbers.percent(mean)}, see [the docs](" in made
    there = {str(path.relative_to(folder)) for path in folder.rglob("*")} | {
        f"figures/{name}" for name in figures_of(study)
    }
    links = set(re.findall(r"\]\(([^)]*)\)", made))
    assert {link for link in links if "docs/" not in link} <= there
    assert (folder / next(link for link in links if "docs/" in link)).resolve() == (
        tmp_path / "docs/method.md"
    ).resolve()
    assert all(f"(figures/{name})" in made for name in figures_of(study))


def test_what_an_edited_study_no_longer_has_goes_and_is_not_read(tmp_path: Path) -> None:
    """Its tables and figures would speak of variants that are gone, or show the numbers of another study."""
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
    left = {"decision_cost.csv", "variance.csv", "learning_rates.csv"}
    assert left <= set(outdated(after))
    assert all((tmp_path / name).is_file() for name in left)
    after.write(tmp_path / "study.json")
    assert run_program("readme", "--study", tmp_path / "study.json") == 0
    assert not any((tmp_path / name).exists() for name in outdated(after))
    text = (tmp_path / "README.md").read_text()
    assert {f"figures/{name}" for name in figures_of(after)} >= set(re.findall(r"figures/\w+\.svg", text))


def test_a_missing_table_is_named(tmp_path):
    study = study_of(SMALL)
    study.write(tmp_path / "study.json")
    with pytest.raises(UserError, match=r"runs\.csv is not there"):
        Tables.read(tmp_path, study)
