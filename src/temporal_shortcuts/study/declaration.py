"""What a study declared before its first record: `declared.json` beside the records, and what has changed since.

A record is a function of its fingerprint, which holds none of this: so that claims, margin and endpoint came before the runs can only be
known from a file that was written with the first of them, and is never written again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from temporal_shortcuts.errors import UserError
from temporal_shortcuts.files import write_atomically
from temporal_shortcuts.study.model import Study

FILE = "declared.json"
_WORDS = {"endpoint": "the endpoint", "margin": "the margin", "variances": "the estimate of the variances"}


def declaration(study: Study) -> dict[str, Any]:
    """What decides a study's verdicts beside its records: without words, which may be put better at any time."""
    claims = [
        claim.model_dump(exclude_defaults=True, exclude_none=True, exclude={"text", "published"})
        for claim in study.claims
    ]
    return {"claims": claims} | {key: getattr(study, key) for key in _WORDS}


def write_first(study: Study, folder: Path) -> None:
    """Write declared.json into a study's results, where these hold no record yet."""
    path = folder / FILE
    if not path.exists() and not any(folder.glob("records/*/*.csv")):
        write_atomically(path, (json.dumps(declaration(study), indent=1) + "\n").encode())


def changes(study: Study, folder: Path) -> list[str] | None:
    """What is not as it was declared, each in a few words; None where nothing says what was. Raises `UserError` for a damaged file."""
    path = folder / FILE
    if not path.is_file():
        return None
    try:
        before = json.loads(path.read_text(encoding="utf-8"))
        return list(_changes(before, declaration(study)))
    except (ValueError, LookupError, TypeError, AttributeError):
        raise UserError(
            f"{path}: it does not hold what the study declared before its first record; get it again from where the records are from, "
            "or remove it: then nothing is said of what was declared."
        ) from None


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for key, words in _WORDS.items():
        if before[key] != now[key]:
            yield f"{words} came later" if before[key] is None else f"{words} was {before[key]}"
    old, new = ({claim["id"]: claim for claim in one["claims"]} for one in (before, now))
    for name in old | new:
        if name not in old:
            yield f"the claim {name} came later"
        elif name not in new:
            yield f"the claim {name} was dropped"
        elif old[name] != new[name]:
            keys = [key for key in old[name] | new[name] if old[name].get(key) != new[name].get(key)]
            yield f"the claim {name} had another {' and '.join(keys)}"


def said(study: Study, folder: Path) -> str:
    """The same as a sentence."""
    found = changes(study, folder)
    if found is None:
        return "Nothing tells whether claims, endpoint and margin were declared before the runs."
    if not found:
        return "Claims, endpoint and margin are those that were declared before the first record."
    return f"Not as declared before the first record: {'; '.join(found)}."
