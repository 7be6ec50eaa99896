"""A study's texts, from templates and its tables: its README, the blocks for the repository's READMEs, and their splicing.

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
from temporal_shortcuts.errors import UserError
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
    BLOCKS,
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
    for language, suffix in LANGUAGES.items():
        for name, file, prefix in (
            ("readme", f"README{suffix}", ""),
            *((name, f"blocks/{name}{suffix}", f"results/{study.name}/") for name in block_names(study)),
        ):
            text = render(study, tables, folder, f"{name}.{language}.jinja", language, prefix)
            write_atomically(folder / file, text.encode())


# -- splicing ----------------------------------------------------------------------------------------------------------

_BEGIN = re.compile(r"\s*<!-- block (?P<study>[^/\s]+)/(?P<name>\S+) -->\s*")
_END = re.compile(r"\s*<!-- end -->\s*")


def splice(path: Path, results: Path) -> bool:
    """Put the blocks of the studies in `results` between a README's markers; whether that changed the file.

    A block stands between `<!-- block <study>/<name> -->` and `<!-- end -->`, each on a line of its own;
    `<one>|<other>/<name>` takes the first of these studies that has it. A file that ends in `.zh.md` gets the Chinese blocks.
    Raises `UserError` naming file and line for an unknown block and a marker without partner.
    """
    if is_spliced(path, results):
        return False
    write_atomically(path, _spliced_file(path, results).encode())
    return True


def is_spliced(path: Path, results: Path) -> bool:
    """Whether a README shows the blocks of the studies in `results` as they are."""
    return _spliced_file(path, results) == path.read_text(encoding="utf-8")


def _spliced_file(path: Path, results: Path) -> str:
    suffix = ".zh.md" if path.name.endswith(".zh.md") else ".md"
    return spliced(path.read_text(encoding="utf-8"), path, partial(_block, results, suffix))


def spliced(text: str, path: Path, block: Callable[[str, str], str | None]) -> str:
    """The text with what `block(study, name)` gives between its markers. Raises `UserError`."""
    lines: list[str] = []
    opened: int | None = None
    for number, line in enumerate(text.splitlines(keepends=True), start=1):
        begin, end = _BEGIN.fullmatch(line), _END.fullmatch(line)
        if begin and opened is not None:
            raise UserError(
                f"{path}, line {opened}: the block has no `<!-- end -->` before the next one begins; add it."
            )
        if end and opened is None:
            raise UserError(
                f"{path}, line {number}: `<!-- end -->` ends no block; remove it or add the block's marker above."
            )
        if begin:
            content = block(begin["study"], begin["name"])
            if content is None:
                raise UserError(
                    f"{path}, line {number}: there is no block {begin['study']}/{begin['name']}; the blocks of a study are "
                    f"{', '.join(BLOCKS)}, and its tables must have been made."
                )
            opened = number
            lines += [line, "\n", content.strip("\n"), "\n\n"]
        elif end:
            opened = None
            lines.append(line)
        elif opened is None:
            lines.append(line)
    if opened is not None:
        raise UserError(f"{path}, line {opened}: the block has no `<!-- end -->`; add it on a line of its own.")
    return "".join(lines)


def _block(results: Path, suffix: str, studies: str, name: str) -> str | None:
    paths = [results / study / "blocks" / f"{name}{suffix}" for study in studies.split("|")]
    there = [path for path in paths if name in BLOCKS and path.is_file()]
    return there[0].read_text(encoding="utf-8") if there else None
