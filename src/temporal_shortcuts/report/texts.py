"""A study's texts, from templates and its tables: its README, the blocks for the repository's READMEs, and their splicing.

Every number in a sentence comes from a table, and every verdict in a sentence from claims.csv. The templates are in templates/,
one for each block and language (`headline.en.jinja`, `headline.zh.jinja`) and `readme.jinja` for the study's own README.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import jinja2

from temporal_shortcuts.analysis.statistics import MOST_N, SMALLEST_N
from temporal_shortcuts.analysis.tables import Tables
from temporal_shortcuts.errors import UserError
from temporal_shortcuts.files import write_atomically
from temporal_shortcuts.report import chinese, facts
from temporal_shortcuts.study import Study
from temporal_shortcuts.study.outputs import BLOCKS, LANGUAGES, Resolved, figures_of, headline_figures_of

MINUS = "\N{MINUS SIGN}"
NOTHING = "–"


# -- numbers as text ---------------------------------------------------------------------------------------------------


def percent(fraction: float | None) -> str:
    """0.9198 -> 91.98 %"""
    return NOTHING if _missing(fraction) else f"{100 * fraction:.2f} %"


def points(difference: float | None) -> str:
    """A difference in points with its sign: 0.07 -> +0.07"""
    return NOTHING if _missing(difference) else f"{difference:+.2f}".replace("-", MINUS)


def plain(number: float | None, decimals: int = 2) -> str:
    """A number with a fixed number of decimals and a proper minus."""
    return NOTHING if _missing(number) else f"{number:,.{decimals}f}".replace("-", MINUS)


def mean_sd(mean: float, sd: float) -> str:
    """Fractions -> 71.92 ± 0.57 %; the mean alone where one seed gives no deviation."""
    if _missing(mean):
        return NOTHING
    return percent(mean) if _missing(sd) else f"{100 * mean:.2f} ± {100 * sd:.2f} %"


def interval(low: float, high: float) -> str:
    """[−0.19, +0.50]"""
    return NOTHING if _missing(low) or _missing(high) else f"[{points(low)}, {points(high)}]"


def p_value(p: float) -> str:
    if _missing(p):
        return NOTHING
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def seeds_needed(n: float) -> str:
    """The n of an undecided claim; the search ends at 10,000."""
    return NOTHING if _missing(n) else f"{int(n):,}" + (" or more" if n >= MOST_N else "")


def evidence(claim: dict[str, Any], unit: str = " points") -> str:
    """A claim's estimate with its interval: an accuracy for `fails_to_converge`, else a difference in points."""
    if claim["test"] == "fails_to_converge":
        text, ends = f"{plain(claim['estimate'])} %", f" [{plain(claim['low'])}, {plain(claim['high'])}]"
    else:
        text, ends = f"{points(claim['estimate'])}{unit}", f" {interval(claim['low'], claim['high'])}"
    return text if _missing(claim["low"]) else text + ends


def _missing(number: float | None) -> bool:
    return number is None or math.isnan(number)


# -- rendering ---------------------------------------------------------------------------------------------------------


def render(study: Study, tables: Tables, folder: Path, template: str, language: str, prefix: str) -> str:
    """A template's text for a study. `folder` holds the records, `prefix` stands before each link to a file of it."""
    text = _environment().get_template(template).render(_context(study, tables, folder, language, prefix))
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
        "seeds_needed": seeds_needed,
        "evidence": evidence,
        "label": label,
        "claim_zh": jinja2.pass_context(lambda context, claim: chinese.claim(context["resolved"], claim)),
        "published_zh": jinja2.pass_context(
            lambda context, claim: chinese.published(context["resolved"], percent, claim)
        ),
    }
    environment.globals |= {"mean_sd": mean_sd, "interval": interval, "findings": facts, "chinese": chinese}
    return environment


@jinja2.pass_context
def label(context: jinja2.runtime.Context, name: str) -> str:
    """How a text calls a variant: the study's label, or in Chinese what its settings say."""
    resolved: Resolved = context["resolved"]
    return chinese.label(resolved, name) if context["language"] == "zh" else resolved["variants"][name]["label"]


def _context(study: Study, tables: Tables, folder: Path, language: str, prefix: str) -> dict[str, Any]:
    resolved = study.resolved
    headline_figures = headline_figures_of(resolved)
    return {
        "study": study,
        "resolved": resolved,
        "language": language,
        "tables": tables,
        "prefix": prefix,
        "scale": resolved["scale"].rstrip("."),
        "summary": {row["variant"]: row for row in facts.rows_of(tables.summary)},
        "stability": {row["variant"]: row for row in facts.rows_of(tables.stability)},
        "claims": facts.rows_of(tables.claims),
        "verdicts": facts.by_verdict(tables),
        "comparisons": facts.primary(tables),
        "others": {(row["endpoint"], row["variant"]): row for row in facts.rows_of(tables.comparisons)},
        "bootstrap": facts.rows_of(tables.image_bootstrap),
        "folder": folder,
        "smallest_n": SMALLEST_N,
        "headline_figures": headline_figures,
        "figures": [name for name in figures_of(resolved) if name not in headline_figures],
        "records": {name: study.variant_runs(name) for name in resolved["variants"]},
        "block": lambda name: render(study, tables, folder, f"{name}.{language}.jinja", language, prefix),
    }


def write_texts(study: Study, tables: Tables, folder: Path) -> None:
    """Write the study's README.md, its links seen from its own folder, and the blocks/, theirs from the repository's root."""
    readme = render(study, tables, folder, "readme.jinja", "en", "")
    write_atomically(folder / "README.md", readme.encode())
    for name in BLOCKS:
        for language, suffix in LANGUAGES.items():
            text = render(study, tables, folder, f"{name}.{language}.jinja", language, f"results/{study.name}/")
            write_atomically(folder / "blocks" / f"{name}{suffix}", text.encode())


# -- splicing ----------------------------------------------------------------------------------------------------------

_BEGIN = re.compile(r"\s*<!-- block (?P<study>[^/\s]+)/(?P<name>\S+) -->\s*")
_END = re.compile(r"\s*<!-- end -->\s*")


def splice(path: Path, results: Path) -> bool:
    """Put the blocks of the studies in `results` between a README's markers; whether that changed the file.

    A block stands between `<!-- block <study>/<name> -->` and `<!-- end -->`, each on a line of its own; a file that ends in
    `.zh.md` gets the Chinese blocks. Raises `UserError` naming file and line for an unknown block and a marker without partner.
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


def _block(results: Path, suffix: str, study: str, name: str) -> str | None:
    path = results / study / "blocks" / f"{name}{suffix}"
    return path.read_text(encoding="utf-8") if name in BLOCKS and path.is_file() else None
