"""A study's texts, from templates and its tables: its README, the blocks for the repository's READMEs.

Every number in a sentence comes from a table, and every verdict in a sentence from claims.csv. The templates are in templates/,
one for each block and language (`headline.en.jinja`, `headline.zh.jinja`), `readme` among them for the study's own README.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import jinja2

from temporal_shortcuts.analysis.statistics import SMALLEST_N
from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.files import write_atomically
from temporal_shortcuts.report import chinese, facts, wording
from temporal_shortcuts.report.markdown import escape
from temporal_shortcuts.report.numbers import (
    difference,
    interval,
    mean_sd,
    missing,
    p_is,
    p_value,
    percent,
    plain,
    points,
    seeds_needed,
)
from temporal_shortcuts.study import Study
from temporal_shortcuts.study.model import plain as settings_of
from temporal_shortcuts.study.outputs import (
    LANGUAGES,
    TABULATED,
    block_names,
    explained_variants,
    figures_of,
    follows_average,
    headline_figures_of,
    mark,
    tables_of,
    varied_file,
)
from temporal_shortcuts.study.varied import varied


def evidence(claim: dict[str, Any], unit: str = " points") -> str:
    """A claim's estimate with its interval: an accuracy for `fails_to_converge`, else a difference in points."""
    if claim["test"] == "fails_to_converge":
        text, ends = f"{plain(claim['estimate'])} %", f" [{plain(claim['low'])}, {plain(claim['high'])}]"
    else:
        text, ends = f"{points(claim['estimate'])}{unit}", f" {interval(claim['low'], claim['high'])}"
    return text if missing(claim["low"]) else text + ends


# -- rendering ---------------------------------------------------------------------------------------------------------


def render(study: Study, tables: Tables, folder: Path, template: str, language: str, prefix: str) -> str:
    """A template's text for a study. `folder` holds the records, `prefix` precedes each link to a file of it."""
    return rendered(template, _context(study, tables, folder, language, prefix))


def rendered(template: str, context: Mapping[str, Any]) -> str:
    """A template's text, without spaces at the ends of lines and with one empty line at most between paragraphs."""
    text = _environment().get_template(template).render(context)
    text = re.sub(r"[ \t]+$", "", text, flags=re.MULTILINE)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("temporal_shortcuts.report"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # Markdown, not HTML
    )
    environment.filters |= {
        "percent": percent,
        "points": points,
        "plain": plain,
        "p": p_value,
        "p_is": p_is,
        "seeds_needed": seeds_needed,
        "evidence": evidence,
        "text": escape,
        "label": label,
        "claim": claim_text,
        "published": published_text,
    }
    environment.globals |= {
        "mean_sd": mean_sd,
        "difference": difference,
        "interval": interval,
        "findings": facts,
        "wording": wording,
    }
    return environment


@jinja2.pass_context
def label(context: jinja2.runtime.Context, name: str) -> str:
    """How a text calls a variant: the study's label, or in Chinese what its settings say."""
    study: Study = context["study"]
    return escape(chinese.label(study, name) if context["language"] == "zh" else study.variants[name].label)


@jinja2.pass_context
def claim_text(context: jinja2.runtime.Context, claim: dict[str, Any]) -> str:
    """A claim as the study's file words it, or in Chinese from its test and its variants."""
    return escape(chinese.claim(context["study"], claim) if context["language"] == "zh" else claim["text"])


@jinja2.pass_context
def published_text(context: jinja2.runtime.Context, claim: dict[str, Any]) -> str:
    """What the report has for a claim; nothing where it has nothing."""
    return escape(wording.published_claim(context["study"], claim, context["language"]))


def _context(study: Study, tables: Tables, folder: Path, language: str, prefix: str) -> dict[str, Any]:
    lead = next(iter(headline_figures_of(study)), None)
    shown = [varied_file(key, ".svg") for key in varied(study)]  # beside their tables
    return {
        "study": study,
        "mark": mark(study),
        "language": language,
        "tables": tables,
        "prefix": prefix,
        "protocol": settings_of(study.protocol),
        "scale": escape(wording.scale(study, language)),
        "images": wording.images(study, language),
        "primary": study.endpoint,
        "margin": study.margin,
        "endpoints": facts.endpoints(study, tables),
        "summary": {row["variant"]: row for row in facts.rows_of(tables.summary)},
        "stability": {row["variant"]: row for row in facts.rows_of(tables.stability)},
        "claims": facts.claims_of(study, tables),
        "verdicts": facts.by_verdict(study, tables),
        "comparisons": facts.primary(study, tables),
        "others": {(row["endpoint"], row["variant"]): row for row in facts.rows_of(tables.comparisons)},
        "bootstrap": facts.rows_of(tables.image_bootstrap),
        "averages": follows_average(study),
        "explained": explained_variants(study),
        "numbers_varied": facts.numbers_varied(study, tables),
        "more_tables": [name for name in tables_of(study) if name not in TABULATED],
        "folder": folder,
        "smallest_n": SMALLEST_N,
        "lead": lead,
        "figures": [name for name in figures_of(study) if name not in (lead, *shown)],
        "records": {name: study.variant_runs(name) for name in study.variants},
        "block": lambda name: render(study, tables, folder, f"{name}.{language}.jinja", language, prefix),
    }


def write_texts(study: Study, tables: Tables, folder: Path) -> None:
    """Write the study's READMEs, their links seen from its own folder, and the blocks/, theirs from the repository's root."""
    blocks = {name: name for name in block_names(study)}
    write_pages(folder, study.name, "readme", blocks, partial(_context, study, tables, folder))


def write_pages(
    folder: Path, name: str, readme: str, blocks: Mapping[str, str], context: Callable[[str, str], Mapping[str, Any]]
) -> None:
    """Write the READMEs of results/<name>/ and its blocks, each from its template; `context(language, prefix)` gives what they say."""
    for language, suffix in LANGUAGES.items():
        pages = [(f"README{suffix}", readme, "")]
        pages += [(f"blocks/{block}{suffix}", template, f"results/{name}/") for block, template in blocks.items()]
        for file, template, prefix in pages:
            text = rendered(f"{template}.{language}.jinja", context(language, prefix))
            write_atomically(folder / file, text.encode())
