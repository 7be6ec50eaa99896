"""Text that people write: numbers come from the tables, and what the tables no longer say stops the build with file and sentence."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from synthetic import ROOT, run_program

from temporal_shortcuts.errors import UserError
from temporal_shortcuts.report import numbers, prose

TEXTS = [*ROOT.glob("README*.in.md"), *(path for path in (ROOT / "studies").glob("*.md"))]
BY_HAND = {"0.05", "0.01", "0.001", "0.1", "3.11", "0.30", "0.2", "0.02", "0.5"}
"""Settings and versions that people may type; a result is inserted."""
ROW = "'decide', 'comparisons', 'mean_difference', 't_low', 't_high'"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """The tables of the study decide, in a folder of results."""
    shutil.copytree(
        ROOT / "results/decide", tmp_path / "results/decide", ignore=shutil.ignore_patterns("records", "fig*")
    )
    return tmp_path / "results"


def filled(text: str, results: Path) -> str:
    path = results.parent / "text.in.md"
    path.write_text(text, encoding="utf-8")
    return prose.filled(path, results, path.with_name("text.md"))


def refused(call: str, results: Path) -> str:
    with pytest.raises(UserError) as found:
        filled(f"One sentence.\n\nThe second\nis {{{{ {call} }}}} here. A third.\n", results)
    said = str(found.value)
    assert said.startswith(f"{results.parent / 'text.in.md'}, line 4: ")
    assert said.endswith(f"The sentence: “The second is {{{{ {call} }}}} here.”")
    assert "\n" not in said
    return said


def test_numbers_are_those_of_the_tables(results):
    row = (
        pd.read_csv(results / "decide/comparisons.csv")
        .set_index(["variant", "endpoint"])
        .loc["batch_res_late", "averaged"]
    )
    shown = numbers.difference(row["mean_difference"], row["t_low"], row["t_high"])
    calls = {
        'difference("decide", "batch_res_late", "averaged", "lower")': shown,
        'points("decide", "batch_res_late", "averaged")': shown.split(" ")[0],
        'size("decide", "batch_res_late", "averaged", "lower")': shown.split(" ")[0].strip("\N{MINUS SIGN}"),
        'pairs("decide", "batch_res_late")': "10",
        'accuracy("decide", "benchmark", "published")': "91.98 %",
        'verdict("decide", "batch_res_late_gain", "contradicted")': "contradicted",
        'count("decide", "comparisons", 2, endpoint="best", null_arm="True")': "2",
        'value("decide", "claims", "n", 0, id="lr_0.01_best")': "6",
        f"estimate({ROW}, 'lower', variant='batch_res_late', endpoint='averaged')": shown,
        f"estimate({ROW}, 'equivalent', variant='one_bit', endpoint='averaged')": "+0.01 [\N{MINUS SIGN}0.11, +0.12]",
    }
    for call, said in calls.items():
        assert filled(f"a {{{{ {call} }}}} b", results) == f"a {said.replace(' ', chr(160))} b"


def test_the_margin_of_a_rows_own_study_counts(results):
    """The ladder's tables hold rows of many studies, and it has no margin itself."""
    rows = pd.DataFrame({"study": ["decide", "nowhere"], "mean": 0.0, "low": -0.2, "high": 0.2})
    (results / "ladder").mkdir()
    rows.to_csv(results / "ladder" / "ladder.csv", index=False)
    call = "estimate('ladder', 'ladder', 'mean', 'low', 'high', 'equivalent', study='{}')"
    assert "[" in filled(f"{{{{ {call.format('decide')} }}}}", results)
    assert "is expected to be equivalent, but it is" in refused(call.format("nowhere"), results)


def test_a_number_cannot_go_stale(results, capsys):
    """A changed table changes the text, and where that rests on the old one the program names file, line and sentence."""
    source = results.parent / "README.in.md"
    call = '{{ size("decide", "batch_res_late", "averaged", "lower") }}'
    source.write_text(f"# Title\n\nFirst. Late batch_res scores\n{call} points below the baseline. Last.\n")
    assert run_program("front_page", "--results", results, source) == 0
    page = source.with_name("README.md")
    assert "scores\n0.68 points below" in page.read_text()
    table = pd.read_csv(results / "decide/comparisons.csv")
    ours = (table["variant"] == "batch_res_late") & (table["endpoint"] == "averaged")
    for numbers_, status in (((-0.75, -0.9, -0.6), 0), ((0.75, 0.6, 0.9), 2)):
        table.loc[ours, ["mean_difference", "t_low", "t_high"]] = numbers_
        table.to_csv(results / "decide/comparisons.csv", index=False)
        assert not prose.is_current(source, results) if status == 0 else True
        assert run_program("front_page", "--results", results, source) == status
        assert "scores\n0.75 points below" in page.read_text()
    said = capsys.readouterr().err
    assert f"{source}, line 4: batch_res_late of decide by averaged is expected to be lower, but it is +0.75" in said
    assert f"The sentence: “Late batch_res scores {call} points below the baseline.”" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ('difference("decid", "x", "averaged")', "(did you mean 'decide'?)"),
        (
            'difference("decide", "batch_res_lat", "averaged")',
            "no variant 'batch_res_lat' (did you mean 'batch_res_late'?)",
        ),
        ('difference("decide", "batch_res_late", "averagd")', "no endpoint 'averagd' (did you mean 'averaged'?)"),
        ('difference("decide", "batch_res_late", "averaged", "lowr")', "lower, higher, open, equivalent, not 'lowr'"),
        ('difference("decide", "batch_res_late", "averaged", "equivalent")', "but it is \N{MINUS SIGN}0.68"),
        (
            'difference("decide", "noise_late", "re_estimated", "lower")',
            "by re_estimated is expected to be lower, but it is",
        ),
        (
            f"estimate({ROW}, 'higher', variant='noise_late', endpoint='averaged')",
            "of decide with variant noise_late and endpoint averaged is expected to be higher, but it is \N{MINUS SIGN}0",
        ),
        ('verdict("decide", "batch_res_late_gai", "supported")', "(did you mean 'batch_res_late_gain'?)"),
        ('verdict("decide", "batch_res_late_gain", "supported")', "but it is contradicted"),
        ('value("decide", "summry", "n")', "no table 'summry' (did you mean 'summary'?)"),
        ('value("decide", "summary", "m", variant="benchmark")', "no column 'm'"),
        ('value("decide", "summary", "n", varant="benchmark")', "no column 'varant' (did you mean 'variant'?)"),
        ('value("decide", "summary", "label", variant="benchmark")', "which is no number"),
        ('value("decide", "comparisons", "n", variant="lr_0.1")', "has 8 rows with variant lr_0.1; name more columns"),
        ('count("decide", "comparisons", 3, endpoint="best", null_arm="True")', "but 2 have"),
        ('diference("decide")', "(did you mean 'difference'?)"),
        ('difference("decide")', "missing 2 required positional arguments"),
        ('difference("decide"', "unexpected end"),
        ('"".__class__', "unsafe"),
    ],
)
def test_a_slip_is_one_clear_sentence(results, call, said):
    assert said in refused(call, results)


def test_a_row_of_a_table_and_a_point_of_a_list_are_sentences(results):
    for line in ("| one | {{ x }} | three |", "- a point {{ x }} with words"):
        with pytest.raises(UserError, match=re.escape(f"The sentence: “{line}”")):
            filled(f"before\n{line}\n- after\n", results)


def test_the_text_of_a_study_takes_numbers_from_that_study_alone(results):
    path = results.parent / "other.md"
    path.write_text('It has {{ pairs("decide", "batch_res_late") }} pairs.')
    page = results / "decide" / "README.md"
    assert prose.filled(path, results, page, "decide") == "It has 10 pairs."
    with pytest.raises(UserError, match="the text of other takes its numbers from that study, not from 'decide'"):
        prose.filled(path, results, page, "other")


def test_the_studies_that_a_text_names(results):
    assert prose.named('{{ points("decide", "x") }} and {{count("a-b", "c")}}, not {{ x }}') == {"decide", "a-b"}


def test_links_are_seen_from_the_page(results):
    source = results.parent / "studies" / "one.md"
    source.parent.mkdir()
    source.write_text("[a](../docs/x.md#y) [b](https://z) [c](#d) ![e](../results/decide/f.svg)")
    page = results / "decide" / "README.md"
    assert prose.filled(source, results, page) == "[a](../../docs/x.md#y) [b](https://z) [c](#d) ![e](f.svg)"


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.name)
def test_no_result_is_typed_by_hand(path):
    text = re.sub(r"\{\{.*?\}\}|`[^`]*`|\]\([^)]*\)|```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert set(re.findall(r"\d+\.\d+", text)) <= BY_HAND


def test_the_translation_rests_on_the_same_numbers():
    """Verdicts are words: the Chinese text has its own, beside the same claims."""
    english, chinese = (
        {
            call
            for call in re.findall(r"\{\{.*?\}\}", (ROOT / name).read_text(encoding="utf-8"))
            if "verdict(" not in call
        }
        for name in ("README.in.md", "README.zh.in.md")
    )
    assert english == chinese


def test_the_front_page_is_short():
    words = [word for word in (ROOT / "README.md").read_text(encoding="utf-8").split() if re.search(r"\w", word)]
    assert len(words) <= 900
