"""A study's results page: one HTML file that asks for nothing else, with verdicts, differences, curves and sortable runs.

Every number comes from a table. Figures are Plotly's, whose script is part of the file; templates/page.html.jinja has the rest.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import plotly.graph_objects as graph
from plotly.offline import get_plotlyjs

from temporal_shortcuts.analysis.statistics import SMALLEST_N
from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.files import write_atomically
from temporal_shortcuts.report import facts
from temporal_shortcuts.report.figures.curves import parting
from temporal_shortcuts.report.figures.rows import pair_differences
from temporal_shortcuts.report.figures.style import colour_of, looks_of, span
from temporal_shortcuts.report.numbers import interval, mean_sd, p_value, percent, plain, points
from temporal_shortcuts.report.texts import environment
from temporal_shortcuts.report.wording import endpoint_head
from temporal_shortcuts.study import Study, declaration
from temporal_shortcuts.study.image_sets import called

DASHES = {"-": "solid", "--": "dash", "-.": "dashdot", ":": "dot"}
SHOWN_AT_FIRST = 8
"""Curves, where no claim names any: more can be read only by choosing."""
MARKS = {"supported": "✓", "contradicted": "✗", "negligible": "≈", "undecided": "?", "untested": "–"}

Figure = dict[str, Any]
"""A figure as Plotly's JSON has it."""


def write_page(study: Study, tables: Tables, folder: Path, path: Path) -> None:
    """Write the page of the results in a folder. The same tables give the same bytes."""
    endpoints = {name: endpoint_head(study, name) for name in facts.endpoints(study, tables)}
    page = (
        environment()
        .overlay(autoescape=True)
        .get_template("page.html.jinja")
        .render(
            marks=MARKS,
            study=study,
            data=called(study.data),
            shared=tables.test_set.shared,
            chance=tables.test_set.chance,
            script=get_plotlyjs(),
            claims=[
                row | {"untested": facts.why_not_tested(row), "head": endpoint_head(study, row["endpoint"])}
                for row in facts.claims_of(study, tables)
            ],
            verdicts={word: len(rows) for word, rows in facts.by_verdict(study, tables).items()},
            declared=declaration.said(study, folder),
            endpoints=endpoints,
            summary=list(summary_table(study, tables, endpoints)),
            comparisons=list(comparison_table(study, tables, endpoints)),
            runs=list(run_table(study, tables, endpoints)),
            curves=curves(study, tables),
            differences=differences(study, tables, endpoints),
        )
    )
    write_atomically(path, page.encode())


def at_first(tables: Tables) -> list[str]:
    """The variants whose curves are shown when the page opens: those that claims speak of, else the first ones."""
    named = {name for row in facts.rows_of(tables.claims) for name in (row["variant"], *row["than"].split(", "))}
    known = list(tables.summary["variant"])
    return [name for name in known if name in named] or known[:SHOWN_AT_FIRST]


# -- tables: each row maps the heads of its columns to what is shown ---------------------------------------------------


def summary_table(study: Study, tables: Tables, endpoints: dict[str, str]) -> Iterable[dict[str, Any]]:
    """One row a variant."""
    for row in facts.rows_of(tables.summary):
        means = {head: mean_sd(row[f"{name}_mean"], row[f"{name}_sd"]) for name, head in endpoints.items()}
        yield {"variant": row["label"], "seeds": row["n"]} | means | {"diverged": row["diverged"]}


def comparison_table(study: Study, tables: Tables, endpoints: dict[str, str]) -> Iterable[dict[str, Any]]:
    """One row an endpoint and comparison, the primary endpoint first."""
    for name, head in endpoints.items():
        for row in facts.rows_of(tables.comparisons[tables.comparisons["endpoint"] == name]):
            yield {
                "variant": study.variants[row["variant"]].label,
                "baseline": study.variants[row["against"]].label,
                "endpoint": head,
                "pairs": row["n"],
                "difference": points(row["mean_difference"]),
                "95 % interval": interval(row["t_low"], row["t_high"]),
                "p (Holm)": p_value(row["p_holm"]),
                "detectable": plain(row["detectable_difference"]),
            }


def run_table(study: Study, tables: Tables, endpoints: dict[str, str]) -> Iterable[dict[str, Any]]:
    """One row a run."""
    for row in facts.rows_of(tables.runs):
        yield (
            {"variant": study.variants[row["variant"]].label, "seed": row["seed"]}
            | {head: percent(row[name]) for name, head in endpoints.items() if name in row}
            | {f"{what} epoch": plain(row[f"{what}_epoch"], 0) for what in ("best", "stable", "diverged")}
            | {"fingerprint": row["fingerprint"]}
        )


# -- curves ------------------------------------------------------------------------------------------------------------


def curves(study: Study, tables: Tables) -> dict[str, Figure]:
    """What can be drawn over the epochs -> its figure: for each variant a band from lowest to highest seed, and a mean."""
    shown, metrics = at_first(tables), tables.metrics
    measures = [column for column in metrics if column not in ("variant", "seed", "epoch")]
    drawn = {}
    for column in sorted(measures, key=lambda column: column != "test_accuracy"):
        is_accuracy = "accuracy" in column
        title = column.replace("test", study.evaluated).replace("_", " ") + (" (%)" if is_accuracy else "")
        values = metrics.assign(value=metrics[column] * (100 if is_accuracy else 1))
        drawn[title] = _curves(study, values, shown)
        if column == "test_accuracy" and len(pairs := list(_from_reference(study, metrics))):
            title = f"{study.evaluated} accuracy, difference from the baseline (points)"
            drawn[title] = _curves(study, pd.concat(pairs), shown)
    return drawn


def _from_reference(study: Study, metrics: pd.DataFrame) -> Iterable[pd.DataFrame]:
    """Differences in points between runs of one seed, for each variant that has a reference."""
    for name, variant in study.variants.items():
        if variant.against is not None:
            pairs = pair_differences(metrics, name, variant.against, "test_accuracy", ["epoch", "seed"])
            yield pairs.rename("value").reset_index().assign(variant=name)


def _curves(study: Study, values: pd.DataFrame, shown: list[str]) -> Figure:
    spread = values.groupby(["variant", "epoch"])["value"].agg(["mean", "min", "max"])
    spread = spread.map(lambda value: float(f"{value:.6g}")).reset_index()
    figure = graph.Figure()
    for name, look in _looks(study).items():
        own = spread[spread["variant"] == name]
        common = {"legendgroup": name, "visible": True if name in shown else "legendonly"}
        band = own[own["epoch"] >= parting(study, name)].dropna()  # before that it is its reference's
        figure.add_scatter(
            x=[*band["epoch"], *band["epoch"][::-1]],
            y=[*band["max"], *band["min"][::-1]],
            mode="none",
            fill="toself",
            fillcolor=look["color"],
            opacity=0.15,
            hoverinfo="skip",
            showlegend=False,
            **common,
        )
        figure.add_scatter(
            x=own["epoch"].tolist(),
            y=own["mean"].tolist(),
            customdata=own[["min", "max"]].to_numpy().tolist(),
            mode="lines" if len(own) > 1 else "markers",
            name=_escaped(study.variants[name].label),
            line={"color": look["color"], "dash": DASHES[look["linestyle"]], "width": 2},
            hovertemplate="%{y:.4~g} (lowest %{customdata[0]:.4~g}, highest %{customdata[1]:.4~g})",
            **common,
        )
    figure.update_xaxes(zeroline=False, tickformat="d", unifiedhovertitle_text="epoch %{x}")
    figure.update_yaxes(automargin=True)
    legend = {"orientation": "h", "y": -0.1}
    return _plain(figure, hovermode="x unified", uirevision="curves", height=560, legend=legend)


def _looks(study: Study) -> dict[str, dict[str, Any]]:
    """How each variant is drawn, in a shade of its kind's colour of its own."""
    alike: dict[str, list[str]] = {}
    for name in study.variants:
        alike.setdefault(colour_of(study, name), []).append(name)
    return {name: look for names in alike.values() for name, look in looks_of(study, names).items()}


def _plain(figure: graph.Figure, **layout: Any) -> Figure:
    """A figure's JSON, in which a missing or infinite number is null."""
    margin = {"l": 12, "r": 12, "t": 32, "b": 44}
    figure.update_layout(template="none", margin=margin, font={"size": 13}, **layout)
    made = json.loads(figure.to_json())
    assert isinstance(made, dict)
    return made


# -- differences -------------------------------------------------------------------------------------------------------


def differences(study: Study, tables: Tables, endpoints: dict[str, str]) -> dict[str, Figure]:
    """Each endpoint -> the figure of its comparisons: a row each, with the mean difference and its 95 % interval."""
    groups = dict(list(tables.comparisons.groupby("endpoint", sort=False)))
    return {head: _forest(study, facts.rows_of(groups[name])) for name, head in endpoints.items() if name in groups}


def _forest(study: Study, rows: list[dict[str, Any]]) -> Figure:
    ends = [
        (row["t_low"], row["t_high"]) if row["n"] >= SMALLEST_N else (row["mean_difference"],) * 2
        for row in rows
        if not math.isnan(row["mean_difference"])
    ]
    low, high = span(ends) if ends else (-1.0, 1.0)
    low, high = min(low, 0.0), max(high, 0.0)
    looks, figure = _looks(study), graph.Figure()
    for place, row in enumerate(rows):
        label, against = (_escaped(study.variants[row[key]].label) for key in ("variant", "against"))
        mean, colour = row["mean_difference"], looks[row["variant"]]["color"]
        found = f"{points(mean)} {interval(row['t_low'], row['t_high'])}, n = {row['n']}"
        arms = {"array": [row["t_high"] - mean], "arrayminus": [mean - row["t_low"]], "color": colour, "thickness": 2}
        lines = [f"<b>{label}</b> against {against}", found, f"p (Holm) {p_value(row['p_holm'])}"]
        lines += [f"detectable at 80 % power: {plain(row['detectable_difference'])} points<extra></extra>"]
        look = {"color": colour, "size": 10}
        figure.add_scatter(
            x=[mean], y=[place], error_x=arms, mode="markers", marker=look, hovertemplate="<br>".join(lines)
        )
        arrow = " ←" if mean < low else " →" if mean > high else ""
        where = {"x": 0, "xref": "paper", "y": place, "xanchor": "left", "yanchor": "bottom", "yshift": 7}
        figure.add_annotation(text=f"{label}<br>{found}{arrow}", align="left", showarrow=False, **where)
    figure.update_xaxes(title_text="difference (points)", range=[low, high], zeroline=True)
    figure.update_yaxes(visible=False, range=[len(rows) - 0.6, -0.9], fixedrange=True)
    return _plain(figure, hovermode="closest", showlegend=False, height=80 + 58 * len(rows))


def _escaped(text: str) -> str:
    """Text that Plotly shows as it is: it reads a few tags of HTML, and takes `%{y}` for a number of its own."""
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("%", "&#37;")):
        text = text.replace(sign, entity)
    return text
