"""Text as Markdown that shows it as it was written: labels, titles and names are never markup."""

from __future__ import annotations

import re

_MARKUP = re.compile(r"[\\`*\[\]<>|~$]|&(?=#?\w+;)|(?<![^\W_])_|_(?![^\W_])")
"""Characters that Markdown, its tables or a page's formulas take for something else; an underscore within a word is safe."""
_AT_BEGINNING = re.compile(r"^(?:([#+\-=])(?=[\s#+\-=]|$)|(\d+)([.)])(?=\s|$))")
"""What begins a heading, a list or a line where it opens a paragraph or a list's item."""


def escape(text: object) -> str:
    """Any value as text in a paragraph or in a cell of a table, on one line."""
    line = _MARKUP.sub(lambda found: "\\" + found[0], " ".join(str(text).split()))
    return _AT_BEGINNING.sub(lambda found: f"\\{found[1]}" if found[1] else f"{found[2]}\\{found[3]}", line)
