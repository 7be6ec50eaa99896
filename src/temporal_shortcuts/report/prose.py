"""Text that people write, with the numbers put in at build time: README.in.md, README.zh.in.md and studies/<name>.md.

`{{ difference("decide", "batch_res_late", "averaged", "lower") }}` becomes −0.68 [−0.96, −0.41], from results/decide/comparisons.csv.
Its last word is what the sentence rests on: where the tables say otherwise, the build stops and names file, line and sentence. The
functions are the methods of `Numbers`; between the braces stands one call, as in Jinja.
"""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import SandboxedEnvironment

from temporal_shortcuts.errors import UserError
from temporal_shortcuts.report import numbers
from temporal_shortcuts.study.reading import nearest

_CALL = re.compile(r"\{\{(?P<call>.*?)\}\}", re.DOTALL)
_STUDY = re.compile(r"\{\{\s*\w+\(\s*[\"']([^\"']+)[\"']")
_LINK = re.compile(r"(\]\()(?![a-z]+:|#|/)([^)\s]+)(\))")
_BETWEEN = re.compile(r"\n\s*\n|\n(?=[|#-])|(?<=[.!?:])\s+|(?<=[。：])")
"""What stands between two sentences, cells of a table apart: they are one."""
EXPECTED = ("lower", "higher", "open", "equivalent")
"""What a difference may be expected to be: its 95 % interval below 0, above 0, around 0, or within the study's margin."""

Row = dict[str, str]


def named(text: str) -> set[str]:
    """The studies whose tables a text takes numbers from."""
    return set(_STUDY.findall(text))


def filled(path: Path, results: Path, page: Path, only: str | None = None) -> str:
    """The text of a file with its numbers, for a page that its relative links are then seen from.

    `only` is the one study that the text may name, where a page is made from the tables of one. Raises `UserError` with file, line
    and sentence for a name that is not there, and for an expectation that the tables do not meet.
    """
    text, source = path.read_text(encoding="utf-8"), Numbers(results, only)

    def number(found: re.Match[str]) -> str:
        try:
            return source.evaluate(found["call"])
        except UserError as problem:
            line = text.count("\n", 0, found.start()) + 1
            raise UserError(f"{path}, line {line}: {problem} The sentence: “{_sentence(text, found)}”") from None

    def link(found: re.Match[str]) -> str:
        target = os.path.relpath(path.parent.absolute() / found[2], page.parent.absolute())
        return found[1] + Path(target).as_posix() + found[3]

    made = _CALL.sub(number, text)
    return made if page.parent.absolute() == path.parent.absolute() else _LINK.sub(link, made)


def front_page(source: Path, results: Path) -> tuple[Path, bytes]:
    """The page that a text README.in.md becomes, and its content. Raises `UserError`."""
    page = source.with_name(source.name.replace(".in.md", ".md"))
    head = f"<!-- Made from {source.name} by `make tables`: edit that file. -->\n"
    return page, (head + filled(source, results, page)).encode()


def is_current(source: Path, results: Path) -> bool:
    """Whether the page made of a text says what the tables say. Raises `UserError`, OSError."""
    page, content = front_page(source, results)
    return page.read_bytes() == content


def _sentence(text: str, found: re.Match[str]) -> str:
    """The sentence, or the row of a table, in which a call stands."""
    ends = [end for end in _BETWEEN.finditer(text) if not found.start() < end.start() < found.end()]
    first = max((end.end() for end in ends if end.end() <= found.start()), default=0)
    last = min((end.start() for end in ends if end.start() >= found.end()), default=len(text))
    return " ".join(text[first:last].split())


class Numbers:
    """The numbers of the studies in a folder of results, as texts show them; each function names its study first."""

    def __init__(self, results: Path, only: str | None = None):
        self._results, self._only = results, only
        self._tables: dict[tuple[str, str], list[Row]] = {}

    def evaluate(self, call: str) -> str:
        """What a call gives. Raises `UserError`."""
        try:
            said = str(self._environment.compile_expression(call, undefined_to_none=False)())
            return said.replace(" ", "\N{NO-BREAK SPACE}")  # no line and no cell breaks a number
        except TemplateError as problem:
            function = call.strip().partition("(")[0]
            known = f"{nearest(function, list(self._functions))}; there are {', '.join(self._functions)}."
            raise UserError(f"{{{{{call}}}}}: {str(problem.message).rstrip('.')}{known}") from None
        except TypeError as problem:
            raise UserError(f"{{{{{call}}}}}: {str(problem).removeprefix('Numbers.')}.") from None

    @cached_property
    def _functions(self) -> dict[str, Callable[..., str]]:
        return {name: getattr(self, name) for name in vars(Numbers) if name[0] != "_" and name != "evaluate"}

    @cached_property
    def _environment(self) -> SandboxedEnvironment:
        environment = SandboxedEnvironment(undefined=StrictUndefined)
        environment.globals = dict(self._functions)
        return environment

    # -- what a text can call ------------------------------------------------------------------------------------------

    def accuracy(self, study: str, variant: str, endpoint: str) -> str:
        """A variant's mean accuracy over its seeds, 74.82 %; `endpoint` may be "published"."""
        column = endpoint if endpoint == "published" else f"{endpoint}_mean"
        return numbers.percent(self._number(study, "summary", column, variant=variant))

    def run(self, study: str, variant: str, seed: int, endpoint: str) -> str:
        """The accuracy of one run: 13.01 %."""
        return numbers.percent(self._number(study, "runs", endpoint, variant=variant, seed=str(seed)))

    def difference(self, study: str, variant: str, endpoint: str, expected: str | None = None) -> str:
        """A paired difference from the variant's reference with its 95 % interval, in points: −0.68 [−0.96, −0.41]."""
        return numbers.difference(*self._difference(study, variant, endpoint, expected))

    def points(self, study: str, variant: str, endpoint: str, expected: str | None = None) -> str:
        """The same without its interval: −0.68."""
        return numbers.points(self._difference(study, variant, endpoint, expected)[0])

    def size(self, study: str, variant: str, endpoint: str, expected: str) -> str:
        """The same without its sign, which the sentence says: 0.68."""
        return numbers.plain(abs(self._difference(study, variant, endpoint, expected)[0]))

    def pairs(self, study: str, variant: str) -> str:
        """The number of seeds that a variant shares with its reference: 10."""
        return self._rows(study, "comparisons", variant=variant)[0]["n"]

    def claim(self, study: str, claim: str, expected: str) -> str:
        """What decided a claim, with the interval at the level of its test: a difference in points, or an accuracy."""
        row = self._claim(study, claim, expected)
        mean, low, high = (_float(row[key]) for key in ("estimate", "low", "high"))
        if row["test"] == "fails_to_converge":
            return f"{mean:.2f} %" + ("" if numbers.missing(low) else f" [{low:.2f}, {high:.2f}]")
        return numbers.difference(mean, low, high)

    def verdict(self, study: str, claim: str, expected: str) -> str:
        """A claim's verdict, which must be the expected one: contradicted."""
        return self._claim(study, claim, expected)["verdict"]

    def value(
        self, study: str, table: str, column: str, decimals: int = 2, /, *, sign: bool = False, **where: str
    ) -> str:
        """A number of any table, of the one row that has these values: value("decide", "claims", "n", 0, id="gain")."""
        number = self._number(study, table, column, **where)
        return f"{number:+.{decimals}f}".replace("-", numbers.MINUS) if sign else numbers.plain(number, decimals)

    def estimate(
        self, study: str, table: str, column: str, low: str, high: str, expected: str | None = None, /, **where: str
    ) -> str:
        """Three numbers of one row, with signs: +1.13 [+0.61, +1.64]; of a row that names a study, by that study's margin."""
        found = tuple(self._number(study, table, name, **where) for name in (column, low, high))
        self._check(found, expected, where.get("study", study), f"{column} of {study} with {_said(where)}")
        return numbers.difference(*found)

    def count(self, study: str, table: str, expected: int | None = None, /, **where: str) -> str:
        """How many rows have these values, or numbers on this side: count("explore", "comparisons", 3, p_holm="<= 0.05")."""
        n = len(self._rows(study, table, 0, **where))
        if expected not in (None, n):
            raise UserError(
                f"{expected} rows of {table}.csv of {study} are expected to have {_said(where)}, but {n} have."
            )
        return str(n)

    # -- where it comes from -------------------------------------------------------------------------------------------

    def _difference(self, study: str, variant: str, endpoint: str, expected: str | None) -> tuple[float, float, float]:
        (row,) = self._one(study, "comparisons", variant=variant, endpoint=endpoint)
        mean, low, high = (_float(row[key]) for key in ("mean_difference", "t_low", "t_high"))
        self._check((mean, low, high), expected, study, f"{variant} of {study} by {endpoint}")
        return mean, low, high

    def _check(self, found: tuple[float, ...], expected: str | None, study: str, what: str) -> None:
        """Raises `UserError` where a mean with its interval is not what the sentence rests on, by the margin of this study."""
        if expected is None:
            return
        if expected not in EXPECTED:
            raise UserError(f"a difference is expected to be {', '.join(EXPECTED)}, not {expected!r}.")
        _, low, high = found
        asked = self._results / study / "study.json"
        margin = (json.loads(asked.read_text(encoding="utf-8")).get("margin") if asked.is_file() else None) or 0.0
        holds = {"lower": high < 0, "higher": low > 0, "open": low <= 0 <= high}
        if not (holds | {"equivalent": -margin < low and high < margin})[expected]:
            raise UserError(f"{what} is expected to be {expected}, but it is {numbers.difference(*found)}.")

    def _claim(self, study: str, claim: str, expected: str) -> Row:
        (row,) = self._one(study, "claims", id=claim)
        if row["verdict"] != expected:
            raise UserError(f"the claim {claim} of {study} is expected to be {expected}, but it is {row['verdict']}.")
        return row

    def _number(self, study: str, table: str, column: str, /, **where: str) -> float:
        (row,) = self._one(study, table, **where)
        if column not in row:
            raise UserError(f"{table}.csv of {study} has no column {column!r}{nearest(column, list(row))}.")
        try:
            return _float(row[column])
        except ValueError:
            raise UserError(f"{column} in {table}.csv of {study} is {row[column]!r}, which is no number.") from None

    def _one(self, study: str, table: str, /, **where: str) -> list[Row]:
        rows = self._rows(study, table, **where)
        if len(rows) > 1:
            raise UserError(f"{table}.csv of {study} has {len(rows)} rows with {_said(where)}; name more columns.")
        return rows

    def _rows(self, study: str, table: str, at_least: int = 1, /, **where: str) -> list[Row]:
        rows = all_ = self._table(study, table)
        for column, wanted in where.items():
            if all_ and column not in all_[0]:
                raise UserError(f"{table}.csv of {study} has no column {column!r}{nearest(column, list(all_[0]))}.")
            there = list(dict.fromkeys(row[column] for row in rows))
            rows = [row for row in rows if _holds(row[column], str(wanted))]
            if len(rows) < at_least:
                raise UserError(f"{table}.csv of {study} has no {column} {wanted!r}{nearest(wanted, there)}.")
        return rows

    def _table(self, study: str, table: str) -> list[Row]:
        if (study, table) not in self._tables:
            path = self._folder(study) / f"{table}.csv"
            if not path.is_file():
                there = sorted(one.stem for one in path.parent.glob("*.csv"))
                raise UserError(f"the study {study} has no table {table!r}{nearest(table, there)}.")
            with path.open(encoding="utf-8", newline="") as file:
                self._tables[study, table] = list(csv.DictReader(file))
        return self._tables[study, table]

    def _folder(self, study: str) -> Path:
        if self._only not in (None, study):
            raise UserError(
                f"the text of {self._only} takes its numbers from that study, not from {study!r}: link its page."
            )
        if not any((self._results / study).glob("*.csv")):
            there = sorted({path.parent.name for path in self._results.glob("*/*.csv")})
            raise UserError(f"there are no tables of a study {study!r} in {self._results}{nearest(study, there)}.")
        return self._results / study


def _float(text: str) -> float:
    return float(text) if text else float("nan")


def _holds(value: str, wanted: str) -> bool:
    """Whether a cell has a value, or a number that is `< 0`, `<= 0`, `> 0` or `>= 0`; 0.01 and 1e-2 are one number."""
    sign, _, limit = wanted.partition(" ")
    if sign in ("<", "<=", ">", ">=") and limit:
        number, bound = _float(value), float(limit)
        return {"<": number < bound, "<=": number <= bound, ">": number > bound, ">=": number >= bound}[sign]
    try:
        return value == wanted or float(value) == float(wanted)
    except ValueError:
        return False


def _said(where: dict[str, str]) -> str:
    return " and ".join(f"{column} {value}" for column, value in where.items()) or "any value"
