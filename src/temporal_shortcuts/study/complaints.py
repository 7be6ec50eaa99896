"""Complaining about a study: the files that it was merged from, and which of them to name."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import yaml

from temporal_shortcuts.errors import UserError

Key = tuple[str | int, ...]
"""Where something stands in a study: `("claims", 0, "than")`."""


class _Loader(yaml.SafeLoader):
    """Refuses a mapping in which one key stands twice; YAML readers silently keep the last one."""

    def compose_mapping_node(self, anchor: str | None) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                line = key.start_mark.line + 1
                raise UserError(f"{self.name}, line {line}: the key {key.value!r} stands twice; remove one of them.")
            seen.add(key.value)
        return node


def read(path: str | Path) -> Any:
    """The content of a YAML file. Raises `UserError` where it cannot be read, or has a key twice in one mapping."""
    try:
        loader = _Loader(Path(path).read_text(encoding="utf-8"))
        loader.name = str(path)
        return loader.get_single_data()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}; name a file of a study.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(f"{path} cannot be read as YAML: {' '.join(str(error).split())}.") from None


class Complaints:
    """What is wrong with `config`, merged from files with these contents, the one that counts last at the end."""

    def __init__(self, config: Mapping[str, Any], contents: Mapping[str, Any]):
        self.config, self.contents = config, contents

    def raise_(self, key: Key, sentence: str, cause: Key = ()) -> NoReturn:
        """Complain about a key. `cause` is what stands in the file, where that is not the key itself."""
        name = ".".join(map(str, key))
        raise UserError(f"{self._file(cause or key)}{name + ': ' if name else ''}{sentence}")

    def _file(self, key: Key) -> str:
        """The last file that has there what the configuration has, or else Snakemake's --config."""
        found = at(self.config, key)
        while found is _NOTHING:  # a missing key is missing from what should hold it
            key = key[:-1]
            found = at(self.config, key)
        for file, content in reversed(self.contents.items()):
            there = at(content, key)
            if repr(there) == repr(found) or (isinstance(there, Mapping) and isinstance(found, Mapping)):
                return f"{file}: "
        return "--config: " if self.contents else ""


_NOTHING = object()


def at(value: Any, key: Key) -> Any:
    """What stands at a key, or `_NOTHING`, which equals no value."""
    try:
        for part in key:
            value = value[part]
    except (LookupError, TypeError):
        return _NOTHING
    return value


def short(value: Any) -> str:
    """A value on one line of at most 60 characters, as a sentence shows it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def nearest(word: Any, allowed: list[str]) -> str:
    """The allowed word that is nearest to a misspelt one, as a question in parentheses, or nothing."""
    near = difflib.get_close_matches(str(word)[:100], allowed, 1)
    return f" (did you mean {near[0]!r}?)" if near else ""
