"""The blocks of the studies in the repository's READMEs: each stands between two markers, and is put there again from results/.

The Snakefile asks here which studies a README shows, each time it is read, so nothing that is slow to import is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

from temporal_shortcuts.errors import UserError
from temporal_shortcuts.files import write_atomically
from temporal_shortcuts.study.outputs import BLOCKS

_BEGIN = re.compile(r"\s*<!-- block (?P<study>[^/\s]+)/(?P<name>\S+) -->\s*")
_END = re.compile(r"\s*<!-- end -->\s*")


def shown(path: Path) -> set[str]:
    """The names of the studies of which a README has a marker; none where it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return set()
    found = map(_BEGIN.fullmatch, text.splitlines(keepends=True))
    return {study for begin in found if begin for study in begin["study"].split("|")}


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
