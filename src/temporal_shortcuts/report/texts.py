"""The page of a study, results/<study>/README.md: what is generated from its tables, and what a person wrote of it.

Every number comes from a table and every verdict from claims.csv. The templates are in templates/; a person's text (`prose`) stands in
the file beside the study's that has its name and ends in .md.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jinja2

from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.files import write_atomically
from temporal_shortcuts.report import facts, numbers, prose, wording
from temporal_shortcuts.report.markdown import escape
from temporal_shortcuts.study import Study, declaration
from temporal_shortcuts.study.model import plain as settings_of
from temporal_shortcuts.study.outputs import (
    COLLECTED,
    explained_variants,
    figures_of,
    headline_figures_of,
    mark,
    tables_of,
    varied_file,
)
from temporal_shortcuts.study.varied import varied

_WITHIN = re.compile(r"(?<=\d) (?=[%±\[])|(?<=±) (?=\d)|(?<=\d,) (?=[+\N{MINUS SIGN}\d]\S*\])")
"""Spaces within a number and its interval, at which no cell of a table may break."""


def evidence(claim: dict[str, Any], unit: str = " points") -> str:
    """A claim's estimate with its interval: an accuracy for `fails_to_converge`, else a difference in points."""
    mean, low, high = claim["estimate"], claim["low"], claim["high"]
    if claim["test"] != "fails_to_converge":
        return numbers.difference(mean, low, high, claim["margin"], unit)
    interval = "" if numbers.missing(low) else f" [{numbers.plain(low)}, {numbers.plain(high)}]"
    return f"{numbers.plain(mean)} %{interval}"


def rendered(template: str, context: Mapping[str, Any]) -> str:
    """A template's text, without spaces at the ends of lines and with one empty line at most between paragraphs."""
    text = environment().get_template(template).render(context)
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    text = re.sub(r"^\|.*", lambda row: _WITHIN.sub("\N{NO-BREAK SPACE}", row[0]), text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


@cache
def environment() -> jinja2.Environment:
    """What the templates call: numbers as they are written, what the tables say, and what settings are called."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("temporal_shortcuts.report"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # Markdown, not HTML
    )
    made.filters |= {"evidence": evidence, "text": escape, "label": _label, "published": _published}
    made.filters |= {name: getattr(numbers, name) for name in ("percent", "points", "plain", "seeds_needed")}
    made.filters["p"] = numbers.p_value
    made.globals |= {"mean_sd": numbers.mean_sd, "difference": numbers.difference}
    made.globals |= {"findings": facts, "wording": wording}
    return made


@jinja2.pass_context
def _label(context: jinja2.runtime.Context, name: str) -> str:
    return escape(context["study"].variants[name].label)


@jinja2.pass_context
def _published(context: jinja2.runtime.Context, claim: dict[str, Any]) -> str:
    return escape(wording.published_claim(context["study"], claim))


def page(study: Study, tables: Tables, folder: Path, text: str = "", sources: Iterable[Path] = ()) -> str:
    """The Markdown of a study's page. `folder` holds its records, `text` is what a person wrote, with its numbers from `sources`."""
    lead = next(iter(headline_figures_of(study)), None)
    shown = [varied_file(key, ".svg") for key in varied(study)]  # beside their tables
    environments, forced = facts.environments(study, folder)
    context = {
        "study": study,
        "mark": mark(study, folder, sources),
        "tables": tables,
        "prose": text,
        "protocol": settings_of(study.protocol),
        "scale": escape(wording.scale(study)),
        "images": study.evaluated,
        "primary": study.endpoint,
        "test_set": tables.test_set,
        "declared": escape(declaration.said(study, folder)),
        "endpoints": facts.endpoints(study, tables),
        "summary": {row["variant"]: row for row in facts.rows_of(tables.summary)},
        "stability": {row["variant"]: row for row in facts.rows_of(tables.stability)},
        "claims": facts.claims_of(study, tables),
        "verdicts": facts.by_verdict(study, tables),
        "comparisons": facts.primary(study, tables),
        "by_endpoint": {(row["endpoint"], row["variant"]): row for row in facts.rows_of(tables.comparisons)},
        "explained": explained_variants(study),
        "carried": facts.carried(study, tables),
        "numbers_varied": facts.numbers_varied(study, tables),
        "tables_listed": [*COLLECTED, *tables_of(study)],
        "environments": environments,
        "forced": forced,
        "lead": lead,
        "figures": [name for name in figures_of(study) if name not in (lead, *shown)],
    }
    return rendered("study.jinja", context)


def write_page(study: Study, tables: Tables, folder: Path, text: Path | None = None) -> None:
    """Write a study's README.md into the folder of its results; `text` is a person's, if there is one. Raises `UserError`."""
    path = folder / "README.md"
    said = prose.filled(text, folder.parent, path, study.name) if text else ""
    write_atomically(path, page(study, tables, folder, said, [text] if text else []).encode())
