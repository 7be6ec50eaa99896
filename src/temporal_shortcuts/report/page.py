"""A study's results page: one HTML file that asks for nothing else, with verdicts, differences, curves and sortable runs.

Every number comes from a table. Figures are Plotly's, whose script is part of the file; templates/page.html.jinja has the rest: it
lets the reader choose what is drawn, sort the tables, and read in the light or the dark.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
import plotly.graph_objects as graph
from plotly.offline import get_plotlyjs

from temporal_shortcuts.analysis.statistics import SMALLEST_N
from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.files import write_atomically
from temporal_shortcuts.report import facts, texts
from temporal_shortcuts.report.figures.style import colour_of, span
from temporal_shortcuts.report.wording import endpoint_head
from temporal_shortcuts.study import Study, declaration
from temporal_shortcuts.study.image_sets import called

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
SHOWN_AT_FIRST = 8
"""Curves, where no claim names any: more can be read only by choosing."""
MARKS = {"supported": "✓", "contradicted": "✗", "negligible": "≈", "undecided": "?", "untested": "–"}
COLUMNS = {
    "variant": "variant",
    "seed": "seed",
    "best_epoch": "reached in epoch",
    "stable_epoch": "stable epoch",
    "diverged_epoch": "diverged in epoch",
    "fingerprint": "fingerprint",
}
"""What the table of runs shows beside the endpoints, and how it calls it."""


def write_page(study: Study, tables: Tables, folder: Path, path: Path) -> None:
    """Write the page of the results in a folder. The same tables give the same bytes."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("temporal_shortcuts.report"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        autoescape=True,
    )
    environment.globals |= {"texts": texts, "marks": MARKS}
    page = environment.get_template("page.html.jinja").render(
        _content(study, tables) | {"declared": declaration.said(study, folder)}
    )
    write_atomically(path, page.encode())


def _content(study: Study, tables: Tables) -> dict[str, Any]:
    return {
        "study": study,
        "images": study.evaluated,
        "data": called(study.data),
        "shared": tables.test_set.shared,
        "chance": tables.summary["chance"].max() if "chance" in tables.summary else math.nan,
        "script": get_plotlyjs(),
        "claims": [
            row | {"untested": facts.is_untested(row), "head": endpoint_head(study, row["endpoint"])}
            for row in facts.claims_of(study, tables)
        ],
        "primary": study.endpoint,
        "endpoints": endpoints_of(study, tables),
        "verdicts": {word: len(rows) for word, rows in facts.by_verdict(study, tables).items()},
        "variants": [_look(study, name) for name in study.variants],
        "at_first": at_first(tables),
        "summary": summary_table(study, tables),
        "runs": run_table(study, tables),
        "comparisons": comparison_table(study, tables),
        "curves": curves(study, tables),
        "differences": differences(study, tables),
        "epochs": {"shown": study.epochs_shown, "trained": study.epochs_trained},
    }


def at_first(tables: Tables) -> list[str]:
    """The variants that are chosen when the page opens: those that claims speak of, else the first ones."""
    named = [name for row in tables.claims.to_dict("records") for name in (row["variant"], *_names(row["than"]))]
    known = list(tables.summary["variant"])
    return [name for name in known if name in named] or known[:SHOWN_AT_FIRST]


def _names(text: Any) -> list[str]:
    return text.split(", ") if isinstance(text, str) else []


def _look(study: Study, name: str) -> dict[str, str]:
    """How a variant is drawn: its kind's colour, with a dash of its own and, when these run out, a lighter shade."""
    colours = {one: colour_of(study, one) for one in study.variants}
    alike = [one for one in colours if colours[one] == colours[name]]
    shade, dash = divmod(alike.index(name), len(DASHES))
    colour = _lighter(colours[name], min(0.3 * shade, 0.6))
    return {"name": name, "label": study.variants[name].label, "colour": colour, "dash": DASHES[dash]}


def _lighter(colour: str, share: float) -> str:
    parts = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    return "#" + "".join(f"{round(part + (255 - part) * share):02X}" for part in parts)


# -- tables ------------------------------------------------------------------------------------------------------------


def endpoints_of(study: Study, tables: Tables) -> dict[str, str]:
    """The endpoints that a study's tables have, the primary one first, and how the page calls them."""
    return {name: endpoint_head(study, name) for name in facts.endpoints(study, tables)}


def summary_table(study: Study, tables: Tables) -> dict[str, Any]:
    """One row a variant; a cell is (what is sorted by, what is shown)."""
    endpoints = endpoints_of(study, tables)
    rows = []
    for row in tables.summary.to_dict("records"):
        means = [(row[f"{name}_mean"], texts.mean_sd(row[f"{name}_mean"], row[f"{name}_sd"])) for name in endpoints]
        cells = [(row["label"], row["label"]), (row["n"], str(row["n"])), *means]
        rows.append({"variant": row["variant"], "cells": [*cells, (row["diverged"], str(row["diverged"]))]})
    return {"columns": ["variant", "seeds", *endpoints.values(), "diverged"], "rows": rows, "words": [0]}


def comparison_table(study: Study, tables: Tables) -> dict[str, Any]:
    """One row an endpoint and comparison, with what the figure of differences shows and what it says under the mouse."""
    endpoints, rows = endpoints_of(study, tables), []
    found = [row for row in facts.rows_of(tables.comparisons) if row["endpoint"] in endpoints]
    for row in sorted(found, key=lambda row: list(endpoints).index(row["endpoint"])):
        label, against = (study.variants[row[key]].label for key in ("variant", "against"))
        words = [(word, word) for word in (label, against, endpoints[row["endpoint"]])]
        cells = [
            (row["n"], str(row["n"])),
            (row["mean_difference"], texts.points(row["mean_difference"])),
            (row["t_low"], texts.interval(row["t_low"], row["t_high"])),
            (row["p_holm"], texts.p_value(row["p_holm"])),
            (row["detectable_difference"], texts.plain(row["detectable_difference"])),
        ]
        rows.append({"variant": row["variant"], "cells": [*words, *cells]})
    numbers = ["pairs", "difference", "95 % interval", "p (Holm)", "detectable"]
    return {"columns": ["variant", "baseline", "endpoint", *numbers], "rows": rows, "words": [0, 1, 2]}


def run_table(study: Study, tables: Tables) -> dict[str, Any]:
    """One row a run; a cell is (what is sorted by, what is shown)."""
    endpoints = endpoints_of(study, tables)
    named = COLUMNS | endpoints
    columns = [name for name in ("variant", "seed", *endpoints, *COLUMNS) if name in tables.runs]
    columns = list(dict.fromkeys(columns))
    rows = []
    for row in tables.runs.to_dict("records"):
        cells = [(row[name], _cell(name, row[name], name in endpoints)) for name in columns]
        label = study.variants[row["variant"]].label
        rows.append({"variant": row["variant"], "cells": [(label, label), *cells[1:]]})
    words = [columns.index(name) for name in ("variant", "fingerprint")]
    return {"columns": [named[name] for name in columns], "rows": rows, "words": words}


def _cell(column: str, value: Any, is_accuracy: bool) -> str:
    if isinstance(value, str):
        return value
    if column == "seed":
        return str(value)  # a name, without a comma at its thousands
    return texts.percent(value) if is_accuracy else texts.plain(value, 0)


# -- curves ------------------------------------------------------------------------------------------------------------


def curves(study: Study, tables: Tables) -> dict[str, dict[str, Any]]:
    """What can be drawn over the epochs -> its figure: for each variant a band from lowest to highest seed, and a mean."""
    metrics = tables.metrics
    measures = [column for column in metrics if column not in ("variant", "seed", "epoch")]
    measures.sort(key=lambda column: column != "test_accuracy")
    titles = {column: _title(column, study.evaluated) for column in measures}
    drawn = {title: _figure(study, _spread(metrics, column), title) for column, title in titles.items()}
    apart = _from_reference(study, metrics)
    if len(apart):
        title = f"{study.evaluated} accuracy, difference from the baseline (points)"
        drawn = {**dict(list(drawn.items())[:1]), title: _figure(study, _spread(apart, "points"), title), **drawn}
    return drawn


def _title(column: str, images: str) -> str:
    return column.replace("test", images).replace("_", " ") + (" (%)" if "accuracy" in column else "")


def _spread(metrics: pd.DataFrame, column: str) -> pd.DataFrame:
    """Mean, lowest and highest seed of each variant and epoch; accuracies in percent."""
    values = metrics[column] * (100 if "accuracy" in column else 1)
    groups = values.groupby([metrics["variant"], metrics["epoch"]], sort=False)
    return groups.agg(["mean", "min", "max"]).map(lambda value: float(f"{value:.6g}")).reset_index()


def _from_reference(study: Study, metrics: pd.DataFrame) -> pd.DataFrame:
    """Differences in points between runs of one seed, for each variant that has a reference."""
    against = metrics["variant"].map({name: variant.against for name, variant in study.variants.items()})
    columns = ["variant", "seed", "epoch", "test_accuracy"]
    own, reference = metrics.assign(against=against).dropna(subset="against"), metrics[columns]
    pairs = own.merge(
        reference.rename(columns={"variant": "against"}), on=["against", "seed", "epoch"], suffixes=("", "_reference")
    )
    return pairs.assign(points=100 * (pairs["test_accuracy"] - pairs["test_accuracy_reference"]))


def _figure(study: Study, spread: pd.DataFrame, title: str) -> dict[str, Any]:
    looks = [_look(study, name) for name in study.variants]
    parts = {str(name): part.reset_index(drop=True) for name, part in spread.groupby("variant")}
    bands = [
        _band(look, _since_parting(parts[name], parts.get(against or "")).dropna())
        for look in looks
        if (name := look["name"]) in parts and not parts[name]["min"].equals(parts[name]["max"])
        for against in [study.variants[name].against]
    ]
    lines = [_line(look, parts[look["name"]]) for look in looks if look["name"] in parts]
    figure = graph.Figure([*bands, *lines])
    figure.update_layout(template=None, showlegend=False, margin={"l": 58, "r": 12, "t": 32, "b": 44})
    figure.update_xaxes(title_text="epoch", zeroline=False, tickformat="d", unifiedhovertitle_text="epoch %{x}")
    figure.update_yaxes(zeroline="difference" in title, automargin=True)
    return figure.to_plotly_json()


def _since_parting(own: pd.DataFrame, reference: pd.DataFrame | None) -> pd.DataFrame:
    """A variant's epochs from the last one on that it shares with its reference, so that equal bands are not drawn twice."""
    if reference is None or len(own) != len(reference):
        return own
    columns = ["mean", "min", "max"]
    differs = (own[columns] != reference[columns]).any(axis=1)
    return own.iloc[max(int(differs.argmax()) - 1, 0) :] if differs.any() else own.iloc[:0]


def _line(look: dict[str, str], own: pd.DataFrame) -> graph.Scatter:
    ends = "lowest %{customdata[0]:.4~g}, highest %{customdata[1]:.4~g}"
    return graph.Scatter(
        x=_plain(own["epoch"]),
        y=_plain(own["mean"]),
        customdata=[list(pair) for pair in zip(_plain(own["min"]), _plain(own["max"]), strict=True)],
        mode="lines" if len(own) > 1 else "markers",
        name=_escaped(look["label"]),
        line={"color": look["colour"], "dash": look["dash"], "width": 2},
        hovertemplate="%{y:.4~g} (" + ends + ")",
        meta=look["name"],
    )


def _band(look: dict[str, str], own: pd.DataFrame) -> graph.Scatter:
    return graph.Scatter(
        x=_plain([*own["epoch"], *own["epoch"][::-1]]),
        y=_plain([*own["max"], *own["min"][::-1]]),
        mode="lines",
        line={"width": 0, "color": look["colour"]},
        fill="toself",
        fillcolor=look["colour"],
        opacity=0.15,
        hoverinfo="skip",
        meta=look["name"],
    )


def _plain(values: Iterable[Any]) -> list[Any]:
    """Numbers as JSON has them, where a missing or infinite one is null."""
    return [
        None if not math.isfinite(value) else int(value) if value == int(value) else float(value) for value in values
    ]


# -- differences -------------------------------------------------------------------------------------------------------


def differences(study: Study, tables: Tables) -> dict[str, dict[str, Any]]:
    """Each endpoint -> the figure of its comparisons: a row each, with the mean difference and its 95 % interval."""
    groups = dict(list(tables.comparisons.groupby("endpoint", sort=False)))
    called = {name: head for name, head in endpoints_of(study, tables).items() if name in groups}
    return {head: _forest(study, facts.rows_of(groups[name])) for name, head in called.items()}


def _forest(study: Study, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    figure = graph.Figure([_difference(study, row, place) for place, row in enumerate(rows)])
    ends = [
        (row["t_low"], row["t_high"]) if row["n"] >= SMALLEST_N else (row["mean_difference"],) * 2
        for row in rows
        if not math.isnan(row["mean_difference"])
    ]
    low, high = span(ends) if ends else (-1.0, 1.0)
    figure.update_layout(
        template=None,
        showlegend=False,
        hovermode="closest",
        meta={"rows": len(rows)},
        margin={"l": 12, "r": 12, "t": 32, "b": 44},
        annotations=[_row_label(study, row, place, (low, high)) for place, row in enumerate(rows)],
    )
    figure.update_xaxes(title_text="difference (points)", range=[min(low, 0.0), max(high, 0.0)], zeroline=True)
    figure.update_yaxes(visible=False, range=[len(rows) - 0.6, -0.9], fixedrange=True)
    return figure.to_plotly_json()


def _difference(study: Study, row: dict[str, Any], place: int) -> graph.Scatter:
    look = _look(study, row["variant"])
    (middle, low, high) = _plain([row["mean_difference"], row["t_low"], row["t_high"]])
    arms = None if middle is None or low is None else {"array": [high - middle], "arrayminus": [middle - low]}
    against = study.variants[row["against"]].label
    lines = [
        f"<b>{_escaped(look['label'])}</b> against {_escaped(against)}",
        f"{texts.points(row['mean_difference'])} points {texts.interval(row['t_low'], row['t_high'])}",
        f"{row['n']} seeds; p (Holm) {texts.p_value(row['p_holm'])}",
        f"detectable at 80 % power: {texts.plain(row['detectable_difference'])} points",
    ]
    return graph.Scatter(
        x=[middle],
        y=[place],
        mode="markers",
        marker={"color": look["colour"], "size": 10},
        error_x=None if arms is None else arms | {"color": look["colour"], "thickness": 2, "width": 5},
        hovertemplate="<br>".join(lines) + "<extra></extra>",
        meta=look["name"],
    )


def _row_label(study: Study, row: dict[str, Any], place: int, limits: tuple[float, float]) -> dict[str, Any]:
    """A row's label and numbers, in two lines for narrow pages, with an arrow where the point lies beyond the axis."""
    label, value = _escaped(study.variants[row["variant"]].label), row["mean_difference"]
    arrow = " ←" if value < min(limits[0], 0.0) else " →" if value > max(limits[1], 0.0) else ""
    found = f"{texts.points(value)} {texts.interval(row['t_low'], row['t_high'])}, n = {row['n']}{arrow}"
    look = {"xanchor": "left", "yanchor": "bottom", "align": "left", "yshift": 7, "showarrow": False}
    return {"text": f"{label}<br>{found}", "x": 0, "xref": "paper", "y": place, **look}


def _escaped(text: str) -> str:
    """Text that Plotly shows as it is: it reads a few tags of HTML, and takes `%{y}` for a number of its own."""
    for sign, entity in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("%", "&#37;")):
        text = text.replace(sign, entity)
    return text
